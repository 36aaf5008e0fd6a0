"""Matchers: what a scenario expects of a value. Pure.

A matcher is a plain value (equality), or a mapping of one or more of the words
below, all of which must hold. They work on values whose references are resolved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()  # the value of a field that is not there

_ORDER = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_WORDS = ("eq", "ne", *_ORDER, "in", "between", "any_of", "matches", "absent")


def fault_in(matcher: Any) -> str | None:
    """What is wrong with ``matcher`` as written (references not resolved yet), or None."""
    if isinstance(matcher, list):
        return "a list is no matcher; write {in: [...]}"
    if not isinstance(matcher, Mapping):
        return None if isinstance(matcher, str | int | float) else f"{matcher!r} can not be expected"
    if not matcher:
        return f"an empty matcher; the words are {', '.join(_WORDS)}"
    return next(filter(None, (_fault_of(word, value) for word, value in matcher.items())), None)


def _fault_of(word: object, value: Any) -> str | None:
    if word not in _WORDS:
        return f"there is no matcher {word!r}; the words are {', '.join(_WORDS)}"
    if word == "in" and not isinstance(value, list):
        return "'in' takes a list of values"
    if word == "between" and not (isinstance(value, list) and len(value) == 2):
        return "'between' takes two values, both included"
    if word == "any_of":
        if not isinstance(value, list) or not value:
            return "'any_of' takes a list of matchers"
        return next(filter(None, map(fault_in, value)), None)
    if word == "absent" and value is not True:
        return "'absent' takes true"
    if word == "matches":
        return _fault_of_pattern(value)
    return None


def _fault_of_pattern(value: Any) -> str | None:
    try:
        re.compile(value)
    except (re.error, TypeError) as error:
        return f"'matches' takes a regular expression: {error}"
    return None


def holds(matcher: Any, value: Any) -> bool:
    """Whether ``value`` is as expected. Never true of an absent value, but for {absent: true} and {ne: ...}."""
    if not isinstance(matcher, Mapping):
        return _equal(matcher, value)
    return all(_word_holds(word, wanted, value) for word, wanted in matcher.items())


def _word_holds(word: str, wanted: Any, value: Any) -> bool:
    if word in _ORDER:
        return _ordered(word, wanted, value)
    if word == "between":
        return _ordered("ge", wanted[0], value) and _ordered("le", wanted[1], value)
    if word == "in":
        return any(_equal(each, value) for each in wanted)
    if word == "any_of":
        return any(holds(each, value) for each in wanted)
    if word == "matches":
        return isinstance(value, str) and re.search(wanted, value) is not None
    if word == "absent":
        return value is ABSENT
    return _equal(wanted, value) == (word == "eq")


def _equal(wanted: Any, value: Any) -> bool:
    """Equality that does not take True for 1."""
    return isinstance(wanted, bool) == isinstance(value, bool) and bool(wanted == value)


def _ordered(word: str, wanted: Any, value: Any) -> bool:
    for side in (wanted, value):
        if isinstance(side, bool) or not isinstance(side, int | float):
            return False
    return bool({"ge": value >= wanted, "gt": value > wanted, "le": value <= wanted, "lt": value < wanted}[word])


def describe(matcher: Any) -> str:
    """The matcher in words that fit after a field's name: ``= 3``, ``>= 1``, ``in 1..3``."""
    if not isinstance(matcher, Mapping):
        return f"= {show(matcher)}"
    return " and ".join(_describe_word(word, wanted) for word, wanted in matcher.items())


def _describe_word(word: str, wanted: Any) -> str:
    if word in _ORDER:
        return f"{_ORDER[word]} {show(wanted)}"
    if word == "between":
        return f"in {show(wanted[0])}..{show(wanted[1])}"
    if word == "in":
        return f"one of {', '.join(map(show, wanted))}"
    if word == "any_of":
        return "(" + " or ".join(map(describe, wanted)) + ")"
    if word == "matches":
        return f"matching /{wanted}/"
    if word == "absent":
        return "absent"
    return f"{'=' if word == 'eq' else '!='} {show(wanted)}"


def show(value: Any) -> str:
    """A value as YAML would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
