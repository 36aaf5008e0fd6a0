"""The one-line change of the benchmark."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import edit

_TEXT = "static int f(void)\n{\n\tint a;\n\n\tif (!mmget_not_zero(mm))\n\t\treturn status;\n\n\treturn 0;\n}\n"


def test_one_line_changes_and_each_number_gives_another() -> None:
    first, second = edit.edited(_TEXT, 1), edit.edited(_TEXT, 2)
    assert first != second
    changed = [(old, new) for old, new in zip(_TEXT.splitlines(), first.splitlines(), strict=True) if old != new]
    assert changed == [("\tif (!mmget_not_zero(mm))", "\tif (prm->grpid == 0x10000001 || !mmget_not_zero(mm))")]


def test_what_was_changed_can_be_changed_again() -> None:
    assert edit.edited(edit.edited(_TEXT, 1), 2) == edit.edited(_TEXT, 2)


@pytest.mark.parametrize("text", ["", _TEXT * 2])
def test_a_file_without_the_one_line_is_refused(text: str) -> None:
    with pytest.raises(edit.NoAnchor, match="not one"):
        edit.edited(text, 1)


def test_the_patch_applies_where_the_line_has_moved(tmp_path: Path) -> None:
    file = tmp_path / edit.FILE
    file.parent.mkdir(parents=True)
    file.write_text("/* of a series */\n" + _TEXT)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=edit.patch(_TEXT, 7).encode(), check=True)
    assert file.read_text() == "/* of a series */\n" + edit.edited(_TEXT, 7)
