"""Running the kernel's make: output to a log, progress on the terminal, the compiler's words on failure."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.toolchain import error_lines
from harness.errors import InfraError
from harness.proc import Door
from harness.ui import Ui

_LIMIT = 3 * 3600.0  # seconds; a slow machine may take long, a stuck make must not take for ever
_STEP = re.compile(rb"^  (?:CC|AS|LD|AR|HOSTCC|HOSTLD|OBJCOPY|CC \[M\]|GEN|EXPORTS)\s", re.MULTILINE)


@dataclass(frozen=True)
class BuildFailure:
    """A build that the compiler or make refused. A result, not an error: the patch may be the cause."""

    what: str  # what was being built, for people
    lines: tuple[str, ...]  # the tools' own error lines
    log: Path  # the whole output

    @property
    def reason(self) -> str:
        """One line for the verdict."""
        first = self.lines[0].strip() if self.lines else "see the log"
        return f"{self.what} does not build: {first}"


@dataclass(frozen=True)
class Built:
    """A make that ended well."""

    steps: int  # files compiled, linked, generated
    seconds: float


def make(
    argv: Sequence[str | Path],
    *,
    what: str,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    door: Door,
    ui: Ui,
    expected: int = 0,
) -> Built | BuildFailure:
    """Run ``argv`` with its output in ``log``.

    ``expected`` is the number of steps that a like build took, 0 if unknown.
    Raises InfraError when the disk is full, memory ran out or make did not end in three hours: then nothing is
    known of the tree.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    started = time.monotonic()
    with door.spawn(argv, cwd=cwd, env=env, output=log, tree=True) as child, log.open("rb") as written:
        steps = 0
        while True:
            ended = _wait(child, 0.3)
            steps += len(_STEP.findall(written.read()))
            seconds = time.monotonic() - started
            if ended:
                break
            if seconds > _LIMIT:
                raise InfraError(f"{what}: make did not end within {_LIMIT:.0f} s", f"its output is in {log}")
            ui.live(f"{what}: {steps}{f'/{expected}' if expected else ''} files, {seconds:.0f} s")
    if child.returncode == 0:
        return Built(steps, time.monotonic() - started)
    text = log.read_text(errors="replace")
    _refuse_host_trouble(text, what, log)
    return BuildFailure(what, error_lines(text), log)


def _wait(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _refuse_host_trouble(text: str, what: str, log: Path) -> None:
    """Raise InfraError for failures that say nothing about the tree."""
    for sign, hint in (
        ("No space left on device", "free some space, or point XDG_CACHE_HOME at a larger disk"),
        ("Killed signal terminated program", "the machine ran out of memory: free some, then run again"),
        ("Cannot allocate memory", "the machine ran out of memory: free some, then run again"),
    ):
        if sign in text:
            raise InfraError(f"{what}: {sign} (see {log})", hint)
