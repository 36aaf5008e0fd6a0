"""Unified diffs as values (pure).

Formats: git's extended headers (git-diff(1), "Generating patch text with -p")
and plain ``diff -u``. Hunks are counted, so what follows the last one (mail
signatures, list footers) is not part of the diff.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


class Damaged(ValueError):
    """The text is a diff, but not a whole one."""


@dataclass(frozen=True)
class Hunk:
    """One @@ block."""

    header: str  # the @@ line
    old_start: int  # 1-based first line in the old file; 0 when it has none
    lines: tuple[bytes, ...]  # with their first character (space, - or +) and without line ends

    def before(self) -> tuple[bytes, ...]:
        """The lines that must be in the file."""
        return tuple(line[1:] for line in self.lines if line[:1] in (b" ", b"-", b""))

    def after(self) -> tuple[bytes, ...]:
        """The lines that are in the file once the hunk is applied."""
        return tuple(line[1:] for line in self.lines if line[:1] in (b" ", b"+", b""))


@dataclass(frozen=True)
class FileDiff:
    """What a patch does to one file."""

    old: str | None  # path before, relative to the tree; None: the file is created
    new: str | None  # path after; None: the file is deleted
    modes: tuple[str, ...]  # octal modes that the headers name, e.g. 100644
    old_blob: str  # abbreviated blob id before, from the index line; empty when not given
    binary: bool
    hunks: tuple[Hunk, ...]
    text: bytes = field(repr=False)  # headers and hunks as they were

    @property
    def path(self) -> str:
        """The path that names this change to a person."""
        return self.new or self.old or ""


@dataclass
class _Header:
    """A file's header while it is being read."""

    line_names: bytes = b""  # what follows "diff --git "
    minus: bytes | None = None
    plus: bytes | None = None
    moved_from: bytes | None = None
    moved_to: bytes | None = None
    created: bool = False
    deleted: bool = False
    modes: list[str] = field(default_factory=list)
    old_blob: str = ""


def parse(text: bytes, strip: int = 1) -> tuple[FileDiff, ...]:
    """Every file that ``text`` changes; text around the diffs is skipped.

    ``strip`` is the number of leading path components to drop (``patch -p``).
    Raises Damaged when a hunk ends early or a binary file has no content.
    """
    lines = text.split(b"\n")
    found = []
    at = 0
    while at < len(lines):
        if lines[at].startswith(b"diff --git ") or _is_plain_start(lines, at):
            change, at = _file(lines, at, strip)
            found.append(change)
        else:
            at += 1
    return tuple(found)


def find_strip(text: bytes) -> int:
    """The strip level that a diff asks for: 0 when no name has a prefix (diff.noprefix, ``svn diff``), else 1."""
    lines = text.split(b"\n")
    pairs = []
    for at, line in enumerate(lines[:-1]):
        if line.startswith(b"--- ") and lines[at + 1].startswith(b"+++ "):
            pairs.append((_plain_name(line[4:]), _plain_name(lines[at + 1][4:])))
    names = [pair for pair in pairs if b"/dev/null" not in pair]
    bare = [name for pair in pairs for name in pair if name != b"/dev/null"]
    prefixed = any(re.match(rb"[abciow]/", name) for name in bare)
    return 0 if names and not prefixed and all(old == new for old, new in names) else 1


def _is_plain_start(lines: list[bytes], at: int) -> bool:
    return (
        lines[at].startswith(b"--- ")
        and at + 2 < len(lines)
        and lines[at + 1].startswith(b"+++ ")
        and _HUNK.match(lines[at + 2]) is not None
    )


def _file(lines: list[bytes], start: int, strip: int) -> tuple[FileDiff, int]:
    header = _Header()
    at = start
    if lines[at].startswith(b"diff --git "):
        header.line_names = lines[at][11:].rstrip(b"\r")
        at += 1
        while at < len(lines) and _extended(header, lines[at].rstrip(b"\r")):
            at += 1
    if at + 1 < len(lines) and lines[at].startswith(b"--- ") and lines[at + 1].startswith(b"+++ "):
        header.minus, header.plus = _plain_name(lines[at][4:]), _plain_name(lines[at + 1][4:])
        at += 2
    old, new = _names(header, strip)
    shown = (new or old or b"").decode(errors="replace")
    hunks: list[Hunk] = []
    binary = at < len(lines) and lines[at].startswith((b"GIT binary patch", b"Binary files "))
    if binary:
        at = _binary(lines, at, shown)
    while at < len(lines) and _HUNK.match(lines[at]):
        hunk, at = _hunk(lines, at, shown)
        hunks.append(hunk)
    change = FileDiff(
        old=None if old is None else old.decode(errors="surrogateescape"),
        new=None if new is None else new.decode(errors="surrogateescape"),
        modes=tuple(header.modes),
        old_blob=header.old_blob,
        binary=binary,
        hunks=tuple(hunks),
        text=b"\n".join(lines[start:at]) + b"\n",
    )
    return change, at


def _extended(header: _Header, line: bytes) -> bool:
    """Note one extended header line; False if ``line`` is not one."""
    if match := re.match(rb"index ([0-9a-f]+)\.\.[0-9a-f]+(?: (\d+))?", line):
        header.old_blob = match[1].decode()
        header.modes += [match[2].decode()] if match[2] else []
    elif match := re.match(rb"(old|new|new file|deleted file) mode (\d+)", line):
        header.modes.append(match[2].decode())
        header.created |= match[1] == b"new file"
        header.deleted |= match[1] == b"deleted file"
    elif match := re.match(rb"(?:rename|copy) (from|to) (.+)", line):
        if match[1] == b"from":
            header.moved_from = unquote(match[2])
        else:
            header.moved_to = unquote(match[2])
    else:
        return line.startswith((b"similarity index ", b"dissimilarity index "))
    return True


def _names(header: _Header, strip: int) -> tuple[bytes | None, bytes | None]:
    if header.moved_from is not None and header.moved_to is not None:  # these have no a/ and b/ in front
        return _strip(header.moved_from, strip - 1), _strip(header.moved_to, strip - 1)
    if header.minus is not None and header.plus is not None:
        old = None if header.minus == b"/dev/null" else _strip(header.minus, strip)
        new = None if header.plus == b"/dev/null" else _strip(header.plus, strip)
        return old, new
    first, second = split_names(header.line_names)
    return (
        None if header.created else _strip(first, strip),
        None if header.deleted else _strip(second, strip),
    )


def split_names(text: bytes) -> tuple[bytes, bytes]:
    """The two names of a ``diff --git`` line. Raises Damaged when they cannot be told apart."""
    if text.startswith(b'"'):
        end = re.match(rb'"(?:[^"\\]|\\.)*"', text)
        if end:
            return unquote(end[0]), unquote(text[end.end() + 1 :])
    if text.endswith(b'"') and b' "' in text:
        first, second = text.split(b' "', 1)
        return first, unquote(b'"' + second)
    for at in (spot.start() for spot in re.finditer(rb" ", text)):
        first, second = text[:at], text[at + 1 :]
        if first.split(b"/", 1)[1:] == second.split(b"/", 1)[1:] or first == second:
            return first, second
    raise Damaged(f"the names in {text.decode(errors='replace')!r} cannot be told apart")


def unquote(name: bytes) -> bytes:
    """A path as git writes it, C-style quotes removed (core.quotePath in git-config(1))."""
    if not (len(name) > 1 and name.startswith(b'"') and name.endswith(b'"')):
        return name

    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8) & 0xFF if code.isdigit() else _ESCAPES.get(code, code[0])])

    return re.sub(rb"\\([0-7]{3}|.)", plain, name[1:-1])


def _plain_name(text: bytes) -> bytes:
    text = text.rstrip(b"\r")
    return unquote(text) if text.startswith(b'"') else text.split(b"\t", 1)[0].rstrip(b" ")


def _strip(name: bytes, count: int) -> bytes:
    parts = name.split(b"/")
    return b"/".join(parts[count:]) if 0 < count < len(parts) else name


def _hunk(lines: list[bytes], start: int, shown: str) -> tuple[Hunk, int]:
    match = _HUNK.match(lines[start])
    if match is None:
        raise Damaged(f"{lines[start]!r} is not the start of a hunk")
    header = lines[start].decode(errors="replace").rstrip("\r")
    old, new = (1 if match[group] is None else int(match[group]) for group in (2, 4))
    at = start + 1
    body: list[bytes] = []
    while old > 0 or new > 0:
        line = lines[at] if at < len(lines) else None
        # Mail programs cut the blank of an empty context line; git takes the bare line for it too.
        sign = b" " if line in (b"", b"\r") and at + 1 < len(lines) else (line or b"?")[:1]
        if line is None or sign not in (b" ", b"-", b"+", b"\\"):
            raise Damaged(
                f"hunk {header} of {shown} ends early, at its line {at - start}:"
                f" {(b'end of text' if line is None else line).decode(errors='replace')!r}"
            )
        old -= sign in (b" ", b"-")
        new -= sign in (b" ", b"+")
        if sign != b"\\":
            body.append(line)
        at += 1
    if old < 0 or new < 0:
        raise Damaged(f"hunk {header} of {shown} has more lines than it announces")
    if at < len(lines) and lines[at].startswith(b"\\ "):
        at += 1
    return Hunk(header, int(match[1]), tuple(body)), at


def _binary(lines: list[bytes], start: int, shown: str) -> int:
    if lines[start].startswith(b"Binary files "):
        raise Damaged(f"the new content of the binary file {shown} is not in the patch (it needs git diff --binary)")
    at = start + 1
    while at < len(lines) and re.match(rb"(literal|delta) \d+\r?$", lines[at]):
        at += 1
        while at < len(lines) and re.match(rb"[A-Za-z][!-~]+\r?$", lines[at]):
            at += 1
        if at < len(lines) and lines[at] in (b"", b"\r"):
            at += 1
    return at
