"""Logs of a run's folder, also those that ``kph gc`` has compressed."""

from __future__ import annotations

import gzip
from pathlib import Path

CONSOLE = "console.log"


def read(file: Path) -> bytes | None:
    """The whole of ``file``, or of its compressed form; None when it is gone or damaged."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        pass
    except OSError:
        return None
    try:
        return gzip.decompress(file.with_name(f"{file.name}.gz").read_bytes())
    except (OSError, EOFError):
        return None


def tail(folder: str, name: str = CONSOLE, limit: int = 4000) -> str:
    """The end of a log in a folder, at most ``limit`` characters of whole lines; empty when there is none."""
    raw = read(Path(folder) / name) if folder else None
    if not raw:
        return ""
    text = raw[-4 * limit :].decode(errors="replace").replace("\r\n", "\n").replace("\0", "")
    if len(text) <= limit:
        return text if len(raw) <= 4 * limit else text.partition("\n")[2]
    return text[-limit:].partition("\n")[2] or text[-limit:]
