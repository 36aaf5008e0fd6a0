"""The console's reader: unhurried while the guest boots, prompt when verdicts depend on it."""

from __future__ import annotations

import re
import resource
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


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "HEAD", 1000)
    monkeypatch.setattr(console, "TAIL", 100)


def _flooded(tmp_path: Path, *chunks: bytes) -> Console:
    guest, ours = socket.socketpair()
    with guest, ours:
        seen = Console(tmp_path / "log")
        seen.prompt.set()
        seen.start(ours)
        for chunk in chunks:
            guest.sendall(chunk)
        guest.shutdown(socket.SHUT_WR)
        seen.join(60)
        assert seen.closed.is_set() and seen.bytes == sum(map(len, chunks))
    return seen


@pytest.mark.usefixtures("small")
def test_what_a_flood_begins_and_ends_with_is_kept_and_the_cut_is_told(tmp_path: Path) -> None:
    seen = _flooded(tmp_path, b"first words\n", b"x" * 70 * 1000, b"\nlast words\n")
    for text in (seen.log.read_text(), seen.since(0)):
        assert text.startswith("first words\n") and text.endswith("\nlast words\n")
        assert len(text) < 1000 + 64 * 1024 + 200
        (cut,) = re.findall(r"\n\[kph: (\d+) bytes of the console are not kept\]\n", text)
        kept = len(re.sub(r"\n\[kph: .*\]\n", "", text))
        assert kept + int(cut) == seen.bytes


@pytest.mark.usefixtures("small")
def test_marks_hold_in_what_is_kept_and_in_what_is_not(tmp_path: Path) -> None:
    seen = _flooded(tmp_path, b"a" * 1500, b"b" * 99_400, b"c" * 100)
    assert seen.since(seen.bytes - 5) == "ccccc" and seen.since(seen.bytes) == ""
    middle = seen.since(2000)
    assert middle.startswith("\n[kph: ") and middle.endswith("c" * 100)
    assert seen.since(995).startswith("aaaaa\n[kph: ")


@pytest.mark.usefixtures("small")
def test_nothing_is_cut_of_what_fits(tmp_path: Path) -> None:
    text = "".join(f"{number:09}\n" for number in range(105))
    seen = _flooded(tmp_path, text.encode())
    assert seen.since(0) == text == seen.log.read_text() and seen.since(998) == text[998:]


def test_a_gigabyte_takes_bounded_memory_and_disk(tmp_path: Path) -> None:
    """Lines that look like verdicts, control characters, and one line without an end."""
    piece = b"ok 1 - all\x1b[2J\x00\r\n" + b'{"id":1,"ret":0}\n' + bytes(range(0x20)) + b"\xff" * 65000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = _flooded(tmp_path, *[piece] * ((1 << 30) // len(piece) + 1), b"\nKernel panic - not syncing: the end\n")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert seen.bytes >= 1 << 30
    assert seen.panic() == "the end"
    assert seen.log.stat().st_size < (console.HEAD + console.TAIL) * 1.1
    assert grown < 100, f"{grown} MiB more"


def test_a_full_disk_does_not_stop_the_reader(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    (tmp_path / "log").symlink_to(full)
    seen = _flooded(tmp_path, b"x" * 10_000, b"\nKernel panic - not syncing: no space\n")
    assert seen.panic() == "no space"


def test_a_word_is_waited_for_until_it_comes_whole_or_the_console_ends(tmp_path: Path) -> None:
    guest, ours = socket.socketpair()
    with guest, ours:
        seen = Console(tmp_path / "log")
        seen.prompt.set()
        seen.start(ours)
        guest.sendall(b"a word before its time\n")
        _until(seen, 23)
        word = seen.coming("word")
        for piece in (b"another wo", b"r", b"k"):
            guest.sendall(piece)
            assert not word.wait(0.02)
        for piece in (b"; a w", b"or", b"d\n"):
            guest.sendall(piece)
        assert word.wait(5)
        never = seen.coming("never")
        assert not never.wait(0.02)
        guest.shutdown(socket.SHUT_WR)
        assert never.wait(5) and seen.coming("after the end").is_set()
