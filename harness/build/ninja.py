"""Running ninja: output to a log, its own count on the terminal, the compiler's words on failure."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.build.toolchain import error_lines
from harness.errors import InfraError
from harness.proc import Door
from harness.ui import Ui

_STEP = re.compile(rb"^\[(\d+)/(\d+)\] ", re.MULTILINE)
_TICK = 0.3  # seconds between two looks at the log


def last_step(output: bytes) -> tuple[int, int] | None:
    """(done, all) of the last ``[n/m]`` line of ninja's output; None if there is none."""
    found = _STEP.findall(output)
    return (int(found[-1][0]), int(found[-1][1])) if found else None


def logged(
    argv: Sequence[str | Path],
    *,
    what: str,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    door: Door,
    ui: Ui,
    limit: float,
) -> float:
    """Run ``argv`` with its output appended to ``log``; returns the seconds it took.

    Raises InfraError with the tools' own error lines when it fails or does not end in ``limit`` seconds.
    """
    log.touch()
    before = log.stat().st_size
    started = time.monotonic()
    with door.spawn(argv, cwd=cwd, env=env, output=log, tree=True) as child, log.open("rb") as written:
        written.seek(before)
        step: tuple[int, int] | None = None
        while True:
            ended = _wait(child)
            step = last_step(written.read()) or step
            seconds = time.monotonic() - started
            if ended:
                break
            if seconds > limit:
                raise InfraError(f"{what}: {argv[0]} did not end within {limit:.0f} s", f"its output is in {log}")
            ui.live(f"{what}: {f'{step[0]}/{step[1]} files, ' if step else ''}{seconds:.0f} s")
        status = child.returncode
    if status != 0:
        with log.open("rb") as written:
            written.seek(before)
            lines = error_lines(written.read().decode(errors="replace"))
        words = "\n".join("    " + line for line in lines)
        raise InfraError(f"{what} failed (status {status}):\n{words}", f"the whole output is in {log}")
    return time.monotonic() - started


def _wait(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(_TICK)
    except subprocess.TimeoutExpired:
        return False
    return True
