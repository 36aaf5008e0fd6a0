"""What a make that was killed leaves behind is not taken for finished."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.build.kernel import _unfinished


def _file(file: Path, age: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def test_objects_of_a_build_that_was_cut_off_are_made_again(tmp_path: Path) -> None:
    old = _file(tmp_path / "mm/old.o", 100)
    with pytest.raises(KeyboardInterrupt), _unfinished(tmp_path):
        raise KeyboardInterrupt
    half = _file(tmp_path / "mm/half.o", -1)
    header = _file(tmp_path / "include/generated/x.h", -1)
    deps = _file(tmp_path / "mm/.half.o.cmd", -1)
    with _unfinished(tmp_path):
        assert not half.exists()
        assert old.exists() and header.exists() and deps.exists()


def test_a_build_that_ended_leaves_nothing_to_undo(tmp_path: Path) -> None:
    with _unfinished(tmp_path):
        made = _file(tmp_path / "vmlinux", -1)
    with _unfinished(tmp_path):
        assert made.exists()
