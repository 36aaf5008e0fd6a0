"""Console bytes to lines: prefixes, ends of line, two writers on one line."""

from __future__ import annotations

import pytest

from harness.verdict import lines
from harness.verdict.lines import LINE_BYTES, Line, Splitter


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[    1.234567] text", Line(1, "", True, "text", time=1.234567)),
        ("[    1.234567][   T12] text", Line(1, "T12", True, "text", time=1.234567)),
        ("[12345.000001][    C0]  foo", Line(1, "C0", True, " foo", time=12345.000001)),
        ("[    T1] text", Line(1, "T1", True, "text")),
        ("<4>[    1.000000] text", Line(1, "", True, "text", time=1.0)),
        ("text", Line(1, "", False, "text")),
        ("[drm] not a prefix", Line(1, "", False, "[drm] not a prefix")),
        ("\x1b[1;31m[    1.000000] red\x1b[0m", Line(1, "", True, "red", time=1.0)),
        ("user[    9.000000][    T1] kernel", Line(1, "T1", True, "kernel", time=9.0)),
        ("kph-agent: exit[    9.000000] kernel", Line(1, "", True, "kernel", time=9.0)),
        ("kph-agent: [    5.000000] quoted", Line(1, "", False, "kph-agent: [    5.000000] quoted")),
        ("[    6.000000] cut[    6.000001] other", Line(1, "", True, "cut[    6.000001] other", torn=True, time=6.0)),
    ],
)
def test_prefix(text: str, line: Line) -> None:
    assert lines.read(text, 1, now=5.0) == line


def test_ends_of_line() -> None:
    cutter = Splitter()
    assert cutter.feed(b"one\r\ntwo\r\r\n\nthr") == ["one", "two", ""]
    assert cutter.rest == "thr"
    assert cutter.feed(b"ee") == []
    assert cutter.flush() == ["three"]
    assert cutter.flush() == []
    assert cutter.count == 4


def test_a_line_without_end_is_cut() -> None:
    cutter = Splitter()
    cutter.feed(b"x" * LINE_BYTES)
    cutter.feed(b"y" * LINE_BYTES)
    assert cutter.feed(b"\nz\n") == ["x" * LINE_BYTES, "z"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert Splitter().feed(b"\xff\xfea\n") == ["��a"]
