"""References in scenarios: ``$first.pasid``, ``$facts.dma0.max_pasids - 1``, ``$stress * 50``, ``b${i}``. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Scope = Mapping[str, Any]  # saved replies by name (mappings), and plain values such as i

_TOKEN = re.compile(r"\s*(?:(?P<op>[-+*])|(?P<int>0x[0-9a-fA-F]+|\d+)|\$(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*))")
_INSIDE = re.compile(r"\$\{([^}]*)\}")


class BadReference(Exception):
    """An expression that cannot be read, or that names what is not there."""


@dataclass(frozen=True)
class Name:
    """A reference: ``$first.pasid`` is variable ``first``, field ``pasid``."""

    variable: str
    field: str  # with dots if it has any; empty for a plain value such as $i

    def __str__(self) -> str:
        return f"${self.variable}.{self.field}" if self.field else f"${self.variable}"


@dataclass(frozen=True)
class Term:
    """One summand."""

    sign: int  # 1 or -1
    factors: tuple[int | Name, ...]


def is_reference(value: object) -> bool:
    """Whether ``value`` is text that stands for something else."""
    return isinstance(value, str) and (value.startswith("$") or "${" in value)


def parse(text: str) -> tuple[Term, ...]:
    """The summands of ``$name.field + 1``. Raises BadReference."""
    terms: list[Term] = []
    position, operator = 0, "+"
    want_value = True
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None or want_value == (found["op"] is not None):
            raise BadReference(f"{text!r} is not a reference; write $name.field, with + - or * and a number after it")
        position = found.end()
        if found["op"]:
            operator, want_value = found["op"], True
            continue
        value = int(found["int"], 0) if found["int"] else Name(*_split(found["name"]))
        if operator == "*" and terms:
            terms[-1] = Term(terms[-1].sign, (*terms[-1].factors, value))
        else:
            terms.append(Term(-1 if operator == "-" else 1, (value,)))
        want_value = False
    if want_value:
        raise BadReference(f"{text!r} ends where a number or a $name should stand")
    return tuple(terms)


def _split(name: str) -> tuple[str, str]:
    variable, _, rest = name.partition(".")
    return variable, rest


def names(value: object) -> Iterator[Name]:
    """Every reference in ``value``, at any depth. Raises BadReference."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from names(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from names(each)
    elif isinstance(value, str) and is_reference(value):
        for expression in _expressions(value):
            yield from (each for term in parse(expression) for each in term.factors if isinstance(each, Name))


def _expressions(text: str) -> list[str]:
    return ["$" + inside for inside in _INSIDE.findall(text)] if "${" in text else [text]


def resolve(value: Any, scope: Scope) -> Any:
    """``value`` with every reference replaced, at any depth. Raises BadReference."""
    if isinstance(value, Mapping):
        return {key: resolve(each, scope) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(each, scope) for each in value]
    if not isinstance(value, str) or not is_reference(value):
        return value
    if "${" in value:
        return _INSIDE.sub(lambda found: str(evaluate("$" + found[1], scope)), value)
    return evaluate(value, scope)


def evaluate(text: str, scope: Scope) -> Any:
    """The value of one expression. Raises BadReference."""
    terms = parse(text)
    values = [
        tuple(_look_up(each, scope) if isinstance(each, Name) else each for each in term.factors) for term in terms
    ]
    if len(terms) == 1 and len(values[0]) == 1 and terms[0].sign == 1:
        return values[0][0]
    for term, factors in zip(terms, values, strict=True):
        for name, value in zip(term.factors, factors, strict=True):
            if isinstance(value, bool) or not isinstance(value, int):
                raise BadReference(f"{name} is {value!r}, not a number; {text!r} cannot be worked out")
    return sum(term.sign * math.prod(factors) for term, factors in zip(terms, values, strict=True))


def _look_up(name: Name, scope: Scope) -> Any:
    if name.variable not in scope:
        raise BadReference(f"nothing was saved as {name.variable!r}")
    value = scope[name.variable]
    if not name.field:
        if isinstance(value, Mapping):
            raise BadReference(f"{name} is a whole reply; say which field, as in {name}.ret")
        return value
    if not isinstance(value, Mapping) or name.field not in value:
        raise BadReference(f"the reply saved as {name.variable!r} has no {name.field!r}")
    return value[name.field]
