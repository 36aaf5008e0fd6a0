"""Who may run beside whom: tests with kernels share a room, and one that measures has it to itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

USUAL = Path(tempfile.gettempdir(), f"kph-tests-vm-{os.getuid()}")  # for all test processes of a user


@contextlib.contextmanager
def entered(alone: bool, folder: Path = USUAL) -> Iterator[None]:
    """Hold the room that ``folder`` stands for, ``alone`` or with others. Who waits for it lets nobody pass."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "room").open("w") as room:
        with (folder / "door").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
