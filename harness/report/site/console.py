"""A console as a page: lines that can be linked to, splats marked, and no more of it than a browser bears."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model import Splat
from harness.report import clean
from harness.verdict import lines
from harness.verdict.console import ConsoleWatch

LARGEST = 2 * 1024 * 1024  # bytes of a console that are shown
_READ = 64 * 1024 * 1024  # bytes at its end that are read
_CHUNK = 1024 * 1024
_AROUND = 200  # lines before a splat that are shown, whatever its console's size
_APART = 200  # foreign lines that may be in the middle of a splat


@dataclass(frozen=True)
class Line:
    """One line of the console."""

    number: int  # 1-based, as in the file
    text: str
    splat: int  # number of the splat that it is part of; 0: none
    begins: bool  # the first of that splat
    gap: int  # lines left out before it


@dataclass(frozen=True)
class Console:
    """What is shown of a console."""

    lines: tuple[Line, ...]
    splats: tuple[Splat, ...]
    dropped: int  # further splats
    total: int  # lines of the file
    after: int  # lines left out at the end


def read(file: Path, largest: int = LARGEST) -> Console | None:
    """None when there is no console, or an empty one."""
    try:
        with file.open("rb") as source:
            skipped = 0
            left = max(0, file.stat().st_size - _READ)
            while left > 0 and (chunk := source.read(min(_CHUNK, left))):
                left -= len(chunk)
                skipped += chunk.count(b"\n")
            return show(source.read(_READ), skipped, largest)
    except OSError:
        return None


def show(data: bytes, skipped: int = 0, largest: int = LARGEST) -> Console | None:
    """``data``, of which ``skipped`` lines came before."""
    watch, splitter = ConsoleWatch(), lines.Splitter()
    watch.feed(data)
    told = watch.close()
    texts = [*splitter.feed(data), *splitter.flush()]
    if not texts:
        return None
    owners = _owners(texts, told.splats)
    cleaned = functools.cache(lambda at: clean.line(texts[at]))
    shown = _chosen(len(texts), cleaned, [splat.line - 1 for splat in told.splats], owners, largest)
    found, last = [], -1
    begun: set[int] = set()
    for at in shown:
        owner = owners.get(at, 0)
        begins = owner > 0 and owner not in begun
        begun.add(owner)
        found.append(Line(skipped + at + 1, cleaned(at), owner, begins, at - last - 1))
        last = at
    return Console(tuple(found), told.splats, told.dropped, skipped + len(texts), len(texts) - 1 - last)


def _owners(texts: Sequence[str], splats: Iterable[Splat]) -> dict[int, int]:
    """Which lines are part of which splat: its text is found again from its first line on."""
    owners: dict[int, int] = {}
    parsed = functools.cache(lambda at: lines.read(texts[at], at + 1))
    for number, splat in enumerate(splats, 1):
        at = splat.line - 1
        caller = parsed(at).caller
        owners.setdefault(at, number)
        for wanted in splat.text:
            ahead = range(at, min(at + _APART, len(texts)))
            alike = [each for each in ahead if owners.get(each, number) == number and parsed(each).text == wanted]
            if alike:
                # Two CPUs may print the same at the same time; a few reports are printed by several.
                here = next((each for each in alike if parsed(each).caller == caller), alike[0])
                owners[here], at = number, here + 1
    return owners


def _chosen(
    total: int, cleaned: Callable[[int], str], starts: Sequence[int], owners: dict[int, int], largest: int
) -> list[int]:
    """Lines to show, in order: all, or the splats, what came before them, and the end."""
    before = (at for start in starts for at in range(start - 1, max(start - _AROUND, 0) - 1, -1))
    chosen: set[int] = set()
    spent = 0
    # The splats first, half of the room at most; then from the end backwards, the last words.
    for candidates, room in ((itertools.chain(owners, before), largest // 2), (range(total - 1, -1, -1), largest)):
        for at in candidates:
            if at in chosen:
                continue
            cost = len(cleaned(at)) + 1
            if spent + cost > room:
                break
            spent += cost
            chosen.add(at)
    return sorted(chosen)
