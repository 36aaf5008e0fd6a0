"""What a scenario or a step needs of a guest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.scenario import match, refs
from harness.scenario.schema import Capability


def lacking(capability: Capability, facts: Mapping[str, Any]) -> str | None:
    """What is missing for ``capability``, or None; a fact that is not reported is not as needed."""
    for each in capability.needs:
        matcher = refs.resolve(each.matcher, {"facts": facts})
        if not match.holds(matcher, facts.get(each.fact, match.ABSENT)):
            return each.reason or capability.reason
    return None
