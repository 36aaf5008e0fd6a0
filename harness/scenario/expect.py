"""Replies of the agent against what a step expects of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.scenario import match

_QUIET = frozenset({"id", "ret", "errno", "error", "died", "signal", "exit"})  # told in words, not as fields
_LONGEST = 400  # characters of a reply in a message


@dataclass(frozen=True)
class Expected:
    """What must come, references resolved."""

    fields: Mapping[str, Any]  # field of the reply -> matcher
    fails: tuple[str, ...] = ()  # errno names, one of which must come; "any" for whichever
    may_fail: tuple[str, ...] = ()  # errno names that are as good as success
    died: str | None = None  # how the actor must end: a signal's name, exit:N, any; None: it must live

    def __str__(self) -> str:
        if self.died:
            first = "the actor's end" if self.died == "any" else f"the actor's end by {self.died}"
        else:
            errors = ["an error"] if "any" in (*self.fails, *self.may_fail) else [*self.fails, *self.may_fail]
            first = " or ".join(errors if self.fails else ["success", *errors])
        return ", ".join([first, *(f"{name} {match.describe(matcher)}" for name, matcher in self.fields.items())])


def met(expected: Expected, reply: Mapping[str, Any]) -> bool:
    """Whether ``reply`` is as expected."""
    return _ended_as(expected, reply) and all(
        match.holds(matcher, reply.get(name, match.ABSENT)) for name, matcher in expected.fields.items()
    )


def _ended_as(expected: Expected, reply: Mapping[str, Any]) -> bool:
    if reply.get("died"):
        return expected.died is not None and expected.died in ("any", end_of(reply))
    if expected.died:
        return False
    if int(reply.get("ret", -1)) >= 0:
        return not expected.fails
    allowed = (*expected.fails, *expected.may_fail)
    return "any" in allowed or reply.get("errno") in allowed


def end_of(reply: Mapping[str, Any]) -> str:
    """How an actor ended: ``SIGSEGV``, or ``exit:0``."""
    return str(reply["signal"]) if "signal" in reply else f"exit:{reply.get('exit', '?')}"


def fields(reply: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What ``reply`` tells beside how it went."""
    return tuple((name, value) for name, value in reply.items() if name not in _QUIET)


def came(reply: Mapping[str, Any]) -> str:
    """``reply`` in words."""
    if reply.get("died"):
        first = f"the actor ended by {end_of(reply)}"
    elif int(reply.get("ret", -1)) < 0:
        why = f" ({reply['error']})" if reply.get("error") else ""
        first = f"{reply.get('errno', reply.get('ret', 'no ret'))}{why}"
    else:
        first = "success"
    text = ", ".join([first, *(f"{name} = {match.show(value)}" for name, value in fields(reply))])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def refused(reply: Mapping[str, Any]) -> str | None:
    """Why the agent did not understand the request, or None. That is the harness's fault, not the kernel's."""
    if reply.get("errno") == "EPROTO":
        return str(reply.get("error") or "protocol error")
    return None
