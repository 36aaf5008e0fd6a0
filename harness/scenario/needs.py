"""What a scenario or a step needs of a guest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.scenario import match, refs
from harness.scenario.schema import Capability

FLAVOUR = "flavour"  # the fact that names the kernel's configuration; the harness knows it, not the agent


def wrong_flavour(wanted: Iterable[str], facts: Mapping[str, Any]) -> str | None:
    """Why a kernel is not of every flavour of ``wanted``, or None. One of "a+b" is of both."""
    flavour = str(facts.get(FLAVOUR, "base"))
    missing = [name for name in wanted if name not in flavour.split("+")]
    return f"for kernels of flavour {'+'.join(missing)}; this one is {flavour}" if missing else None


def lacking(capability: Capability, facts: Mapping[str, Any]) -> str | None:
    """What is missing for ``capability``, or None; a fact that is not reported is not as needed."""
    for each in capability.needs:
        matcher = refs.resolve(each.matcher, {"facts": facts})
        if not match.holds(matcher, facts.get(each.fact, match.ABSENT)):
            return each.reason or capability.reason
    return None
