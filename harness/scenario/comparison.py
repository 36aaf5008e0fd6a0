"""What the machine's hardware would use against what its software says that it should: rows against rows. Pure.

A row is a flat mapping. Rows of both sides that have the same values of the ``key`` belong together; what
remains is what is wrong, each with a name of the suite's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.scenario import match
from harness.scenario.language import Plain
from harness.scenario.schema import Comparison, Naming

Row = Mapping[str, Any]


def rows_in(text: str) -> tuple[Row, ...]:
    """A row for each line of ``field=value`` words; values are numbers, true, false or text. Equal lines count once."""
    return tuple(
        {name: _value(value) for name, _, value in (word.partition("=") for word in line.split())}
        for line in dict.fromkeys(text.splitlines())
        if line.strip()
    )


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text, 0)
    except ValueError:
        return text


def chosen(rows: Iterable[Row], where: Mapping[str, Any]) -> tuple[Row, ...]:
    """The rows whose fields match ``where``."""
    return tuple(row for row in rows if _matches(row, where))


def _matches(row: Row, where: Mapping[str, Any]) -> bool:
    return all(match.holds(matcher, row.get(field, match.ABSENT)) for field, matcher in where.items())


def show(row: Row, first: Sequence[str] = ()) -> str:
    """``pasid=3 root=0x2a4000``, the fields ``first`` before the others; large numbers are shown in hexadecimal."""
    names = sorted(row, key=lambda name: (first.index(name) if name in first else len(first), name))
    return " ".join(f"{name}={_shown(row[name])}" for name in names)


def _shown(value: Any) -> str:
    return f"{value:#x}" if isinstance(value, int) and value > 0xFFFF else match.show(value)


def differences(
    spec: Comparison, software: Iterable[Row], hardware: Iterable[Row], behaviours: Mapping[str, Plain]
) -> tuple[str, ...]:
    """Everything that is wrong, one line each."""
    found: list[str] = []
    wanted = list(software)
    there = [row for row in hardware if any(_matches(row, where) for where in spec.hardware)]
    for one, other in _paired(wanted, there, spec.key):
        found += _named(spec, spec.differs, other, one, behaviours)
    for near in spec.near:
        for one, other in _paired(wanted, there, near.key):
            found.append(f"{near.name}: {show(other, spec.key)}, not {show(one, spec.key)}")
    for row in wanted:
        found += _named(spec, spec.missing, row, None, behaviours)
    for row in there:
        found += _named(spec, spec.unexpected, row, None, behaviours)
    return tuple(found)


def summary(wrong: Iterable[str]) -> str:
    """Differences in one line: the first of each name, and how many there are."""
    names: dict[str, list[str]] = {}
    for line in wrong:
        names.setdefault(line.partition(":")[0], []).append(line)
    return "; ".join(f"{lines[0]} and {len(lines) - 1} more" if lines[1:] else lines[0] for lines in names.values())


def _paired(wanted: list[Row], there: list[Row], key: Sequence[str]) -> list[tuple[Row, Row]]:
    """Rows of both with equal, present values of ``key``, taken out of the lists."""
    pairs = []
    for one in tuple(wanted):
        other = next((row for row in there if all(name in one and one[name] == row.get(name) for name in key)), None)
        if other is not None:
            wanted.remove(one)
            there.remove(other)
            pairs.append((one, other))
    return pairs


def _named(
    spec: Comparison, names: Iterable[Naming], row: Row, expected: Row | None, behaviours: Mapping[str, Plain]
) -> tuple[str, ...]:
    """The first of ``names`` that fits, with the row; nothing if none does, or it is not expected of the series."""
    for naming in names:
        subject = row if expected is None else expected
        if not _matches(subject, naming.where) or (expected is not None and not _differ(naming.fields, row, expected)):
            continue
        if any(behaviours.get(name) != value for name, value in naming.when.items()):
            return ()
        rest = "" if expected is None else f", not {show(expected, spec.key)}"
        return (f"{naming.name}: {show(row, spec.key)}{rest}",)
    return ()


def _differ(fields: Iterable[str], row: Row, expected: Row) -> bool:
    return any(row.get(name, match.ABSENT) != expected.get(name, match.ABSENT) for name in fields)
