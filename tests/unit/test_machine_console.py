"""The console's reader: unhurried while the guest boots, prompt when verdicts depend on it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from harness.machine import console
from harness.machine.console import Console

_LONG = 30.0  # seconds; a reader that waits so long has seen nothing more by the end of the test


def _until(seen: Console, count: int) -> None:
    deadline = time.monotonic() + 5
    while seen.bytes < count and time.monotonic() < deadline:
        time.sleep(0.001)


def test_bytes_of_a_boot_are_read_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_PAUSE", _LONG)
    guest, ours = socket.socketpair()
    with guest, ours:
        seen = Console(tmp_path / "log")
        seen.start(ours)
        guest.send(b"a")
        _until(seen, 1)
        guest.sendall(b"bc")
        time.sleep(0.02)
        assert seen.bytes == 1
        seen.prompt.set()
        _until(seen, 3)
        assert seen.since(0) == "abc"
        guest.shutdown(socket.SHUT_WR)
        seen.join(5)
        assert seen.closed.is_set()


def test_when_prompt_every_byte_is_seen_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_PAUSE", _LONG)
    guest, ours = socket.socketpair()
    with guest, ours:
        seen = Console(tmp_path / "log")
        seen.prompt.set()
        seen.start(ours)
        for count in range(1, 4):
            guest.send(b"x")
            _until(seen, count)
            assert seen.bytes == count
        guest.shutdown(socket.SHUT_WR)
        seen.join(5)
