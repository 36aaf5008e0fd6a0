"""A directory: patches with or without a quilt ``series`` file, or a Maildir."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from harness.errors import UserError
from harness.source.arrange import Batch, arrange
from harness.source.kind import Context, Kind
from harness.source.mail import Draft, read

_SUFFIXES = frozenset((".patch", ".diff", ".eml", ".mbox", ".mbx", ".gz", ".txt"))


def parse_series(text: str) -> tuple[tuple[str, int | None], ...]:
    """(file name, strip level or None) of each line of a quilt series file (quilt(1), "SERIES FILE").

    Raises UserError for an option that means anything but a strip level.
    """
    found = []
    for line in text.splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).split()
        strip = None
        for word in words[1:]:
            level = re.fullmatch(r"-p(\d+|ab)", word)
            if level is None:
                raise UserError(f"the quilt series file has {word!r} after {words[0]}", "only -p levels are read")
            strip = 1 if level[1] == "ab" else int(level[1])
        if words:
            found.append((words[0], strip))
    return tuple(found)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that puts 2-x.patch before 10-x.patch."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part)


def _read(spec: str, context: Context) -> Batch:
    folder = Path(spec).expanduser()
    quilt = folder / "series"
    if quilt.is_file():
        return _quilt(folder, quilt)
    if (folder / "cur").is_dir() and (folder / "new").is_dir():
        files = [*(folder / "cur").iterdir(), *(folder / "new").iterdir()]
    else:
        files = [file for file in folder.iterdir() if file.suffix in _SUFFIXES or re.match(r"\d", file.name)]
    files = sorted((file for file in files if file.is_file()), key=lambda file: natural(file.name))
    drafts: list[Draft] = []
    for file in files:
        drafts += read(file.read_bytes(), file.name)
    if not drafts:
        raise UserError(
            f"{folder} holds no patch files", "they are named *.patch or *.diff, or listed in a file 'series'"
        )
    return arrange(drafts, str(folder), context.ui.say)


def _quilt(folder: Path, quilt: Path) -> Batch:
    drafts: list[Draft] = []
    for name, strip in parse_series(quilt.read_text(errors="replace")):
        file = folder / name
        if not file.is_file():
            raise UserError(f"{quilt} lists {name}, which is not there", "complete the directory, or edit its series")
        drafts += [replace(draft, strip=strip) for draft in read(file.read_bytes(), name) if draft.has_diff]
    if not drafts:
        raise UserError(f"{quilt} lists no patch", "name one patch file per line")
    bases = [draft.base_commit for draft in drafts if draft.base_commit]
    return Batch(drafts[0].label.title, tuple(drafts), bases[0] if bases else "")


KIND = Kind("directory", "patches/", lambda spec: Path(spec).expanduser().is_dir(), _read)
