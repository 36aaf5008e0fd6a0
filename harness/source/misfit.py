"""Why a patch does not fit a file (pure). git decides whether it fits; this only explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.source.diff import FileDiff, Hunk

_WINDOW = 400  # lines above and below the announced place in which the nearest likeness is looked for


@dataclass(frozen=True)
class Misfit:
    """One file that a patch cannot be applied to."""

    path: str
    reason: str  # e.g. "hunk 2 of 3 does not fit: @@ -1,3 +1,4 @@ f()"
    detail: tuple[str, ...] = ()  # the first line that differs
    applied: bool = False  # the file already has the result of that hunk

    def lines(self) -> list[str]:
        """The explanation, for a message."""
        return [f"  {self.path}: {self.reason}", *(f"    {line}" for line in self.detail)]


def explain(change: FileDiff, content: bytes | None) -> Misfit | None:
    """Why ``change`` does not fit a file of ``content`` (None: no such file); None if it seems to fit."""
    path = change.old or change.path
    if change.old is None:
        return None if content is None else Misfit(change.path, "the patch creates it, and it is there already")
    if content is None:
        return Misfit(path, "the patch changes it, and it is not there")
    lines = content.split(b"\n")
    shift = 0
    for place, hunk in enumerate(change.hunks, 1):
        before = hunk.before()
        start = max(hunk.old_start - 1, 0) + shift
        found = _find(lines, before, start)
        if found is None:
            return _misfit(path, hunk, f"hunk {place} of {len(change.hunks)}", lines, start)
        shift = found - max(hunk.old_start - 1, 0)
    return None


def _misfit(path: str, hunk: Hunk, name: str, lines: Sequence[bytes], start: int) -> Misfit:
    if hunk.before() != hunk.after() and _find(lines, hunk.after(), start) is not None:
        return Misfit(path, f"{name} is applied already: {hunk.header}", applied=True)
    reason = f"{name} does not fit: {hunk.header}"
    at = _closest(lines, hunk.before(), start)
    if at is None:
        return Misfit(path, reason, ("nothing like it is in the file",))
    place, want, have = _first_difference(lines, hunk.before(), at)
    return Misfit(
        path,
        reason,
        (
            f"line {place + 1}: the patch expects {_show(want)}",
            f"{'':{len(str(place + 1))}}       the tree has     {have}",
        ),
    )


def _find(lines: Sequence[bytes], block: Sequence[bytes], near: int) -> int | None:
    """Index in ``lines`` where ``block`` stands, closest to ``near``."""
    if not block:
        return min(near, len(lines))
    size = len(block)
    spots = [at for at, line in enumerate(lines) if line == block[0] and list(lines[at : at + size]) == list(block)]
    return min(spots, key=lambda at: abs(at - near), default=None)


def _closest(lines: Sequence[bytes], block: Sequence[bytes], near: int) -> int | None:
    """Where most lines of ``block`` agree; None when no line that says something does."""
    first, last = max(near - _WINDOW, 0), min(near + _WINDOW, len(lines))
    telling = [(offset, line) for offset, line in enumerate(block) if len(line.strip()) > 2]

    def agreement(at: int) -> tuple[int, int]:
        return (sum(lines[at + k] == line for k, line in telling if at + k < len(lines)), -abs(at - near))

    best = max(range(first, max(last, first + 1)), key=agreement)
    return best if agreement(best)[0] else None


def _first_difference(lines: Sequence[bytes], block: Sequence[bytes], at: int) -> tuple[int, bytes, str]:
    for offset, line in enumerate(block):
        if at + offset >= len(lines):
            return at + offset, line, "no more lines"
        if lines[at + offset] != line:
            return at + offset, line, _show(lines[at + offset])
    return at, block[0], _show(lines[at])


def _show(line: bytes) -> str:
    return repr(line.decode(errors="replace")[:100])
