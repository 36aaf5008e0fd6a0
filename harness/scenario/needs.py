"""What a scenario or a step needs of a guest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.scenario import match, refs
from harness.scenario.schema import Behaviour, Capability, Condition, Plain

FLAVOUR = "flavour"  # the fact that names the kernel's configuration; the harness knows it, not the agent


def wrong_flavour(wanted: Iterable[str], facts: Mapping[str, Any]) -> str | None:
    """Why a kernel is not of every flavour of ``wanted``, or None. One of "a+b" is of both."""
    flavour = str(facts.get(FLAVOUR, "base"))
    missing = [name for name in wanted if name not in flavour.split("+")]
    return f"for kernels of flavour {'+'.join(missing)}; this one is {flavour}" if missing else None


def lacking(capability: Capability, facts: Mapping[str, Any]) -> str | None:
    """What is missing for ``capability``, or None; a fact that is not reported is not as needed."""
    failing = next((each for each in capability.needs if not _holds(each, facts)), None)
    return (failing.reason or capability.reason) if failing else None


def expected(behaviour: Behaviour, facts: Mapping[str, Any]) -> Plain:
    """What the suite expects of a series on a guest with these ``facts`` when the user does not say."""
    if behaviour.opposite_where and all(_holds(each, facts) for each in behaviour.opposite_where):
        return not behaviour.default
    return behaviour.default


def _holds(condition: Condition, facts: Mapping[str, Any]) -> bool:
    matcher = refs.resolve(condition.matcher, {"facts": facts})
    return match.holds(matcher, facts.get(condition.fact, match.ABSENT))
