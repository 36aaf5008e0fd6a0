"""A file: mailbox, raw mail, or bare diff."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError
from harness.source.arrange import Batch, arrange
from harness.source.kind import Context, Kind
from harness.source.mail import read


def _accepts(spec: str) -> bool:
    return Path(spec).expanduser().is_file()


def _read(spec: str, context: Context) -> Batch:
    path = Path(spec).expanduser()
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {fault.strerror}", "check the file's permissions") from fault
    if not data.strip():
        raise UserError(f"{path} is empty", "was the series saved?")
    return arrange(read(data, path.name), path.name, context.ui.say)


KIND = Kind("file", "series.mbox", _accepts, _read)
