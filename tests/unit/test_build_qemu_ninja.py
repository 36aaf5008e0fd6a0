"""Long tools: their progress, their failure, their deadline."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from harness.build.ninja import last_step, logged
from harness.errors import InfraError
from harness.proc import Door
from harness.ui import Ui


@pytest.mark.parametrize(
    ("output", "step"),
    [
        (b"[1/9] Compiling\n[2/9] Compiling\n", (2, 9)),
        (b"warning: x[1/9]\n", None),
        (b"", None),
        (b"[10/1389] Generating a [3/4]\nno step\n", (10, 1389)),
    ],
)
def test_ninjas_own_count_is_read(output: bytes, step: tuple[int, int] | None) -> None:
    assert last_step(output) == step


def run(tmp_path: Path, script: str, ui: Ui, limit: float = 30) -> float:
    return logged(
        ["sh", "-c", script],
        what="QEMU",
        cwd=tmp_path,
        env={"WORD": "seen"},
        log=tmp_path / "log",
        door=Door(),
        ui=ui,
        limit=limit,
    )


def test_progress_goes_to_the_terminal_and_output_to_the_log(tmp_path: Path) -> None:
    screen = io.StringIO()
    ui = Ui(Console(file=screen, force_terminal=True, width=80))
    run(tmp_path, "echo '[3/7] Compiling'; sleep 1; echo $WORD", ui)
    assert "QEMU: 3/7 files" in screen.getvalue()
    assert (tmp_path / "log").read_text() == "[3/7] Compiling\nseen\n"


def test_what_failed_is_taken_from_this_command_only(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a.c:1:1: error: of an earlier command\n")
    with pytest.raises(InfraError, match=r"QEMU failed \(status 1\)") as caught:
        run(tmp_path, "echo 'b.c:2:2: error: now'; exit 1", Ui(quiet=True))
    assert "b.c:2:2" in caught.value.message and "earlier" not in caught.value.message


def test_a_tool_that_does_not_end_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(InfraError, match="did not end within 1 s"):
        run(tmp_path, "sleep 60", Ui(quiet=True), limit=1)
    assert time.monotonic() - started < 20
