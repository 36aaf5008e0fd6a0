"""Consoles as pages: which lines, which splats."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report.site import console
from harness.verdict.console import read as splats_of
from tests.unit.generated_history import CONSOLE

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "console").glob("*.log"))


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_every_splat_of_the_samples_is_marked(file: Path) -> None:
    found = console.read(file)
    assert found is not None
    told = splats_of(file.read_bytes())
    assert found.splats == told.splats
    assert [line.number for line in found.lines] == list(range(1, found.total + 1))
    begun = [line.splat for line in found.lines if line.begins]
    assert sorted(begun) == list(range(1, len(told.splats) + 1))
    for number, splat in enumerate(told.splats, 1):
        marked = [line for line in found.lines if line.splat == number]
        assert marked[0].number == splat.line
        assert len(marked) >= len(splat.text) * 0.9, "nearly all of its lines are found again"


def test_a_long_console_is_cut_to_its_splats_and_its_end() -> None:
    noise = b"".join(b"[    3.%06d] noise\n" % number for number in range(40_000))
    data = noise + CONSOLE.encode() + noise
    found = console.show(data, largest=100_000)
    assert found is not None and found.total == 80_014
    assert sum(len(line.text) + 1 for line in found.lines) <= 100_000
    assert [line.number for line in found.lines if line.begins] == [40_003]
    assert found.lines[0].gap > 0 and found.lines[-1].number == found.total and found.after == 0
    assert found.total == len(found.lines) + sum(line.gap for line in found.lines) + found.after
    shown = {line.number for line in found.lines}
    assert {40_003 - 150, 40_013} <= shown


def test_of_a_huge_file_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_READ", 400)
    monkeypatch.setattr(console, "_CHUNK", 64)
    file = tmp_path / "console.log"
    file.write_bytes(b"".join(b"line %d\n" % number for number in range(1, 1001)))
    found = console.read(file)
    assert found is not None and found.total == 1000
    assert found.lines[-1].number == 1000 and found.lines[-1].text == "line 1000"
    assert len(found.lines) < 50


@pytest.mark.parametrize("data", [b"", b"\r"])
def test_an_empty_console_is_none(data: bytes, tmp_path: Path) -> None:
    assert console.show(data) is None
    assert console.read(tmp_path / "gone") is None


def test_whatever_it_holds_becomes_lines() -> None:
    found = console.show(bytes(range(256)) * 3 + b"\n\x1b]0;x\x07\n")
    assert found is not None
    assert all(line.text.isprintable() for line in found.lines)
