"""The door for processes: deadlines, logs, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.proc import Door, paste, stop


def test_run_returns_output_and_status(tmp_path: Path) -> None:
    done = Door().run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10, check=False)
    assert (done.status, done.output.split()) == (3, ["out", "err"])


def test_a_failing_command_is_named_with_its_last_words() -> None:
    with pytest.raises(InfraError, match=r"status 4.*exit 4") as caught:
        Door().run(["sh", "-c", "echo why it failed; exit 4"], timeout=10)
    assert "why it failed" in caught.value.message


def test_a_missing_program_says_what_to_do() -> None:
    with pytest.raises(InfraError) as caught:
        Door().run(["kph-no-such-program"], timeout=10)
    assert "kph doctor" in caught.value.hint


def test_the_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(InfraError, match="did not end within"):
        Door().run(["sh", "-c", f"sleep 60 & echo $! > {pid}; wait"], timeout=1)
    assert _gone(int(pid.read_text()))


def test_leaving_the_block_ends_a_child_that_ignores_sigterm(tmp_path: Path) -> None:
    with Door().spawn(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]) as child:
        time.sleep(0.2)
        stop(child, grace=0.3)
        assert child.returncode == -signal.SIGKILL


def test_a_child_dies_with_a_killed_harness(tmp_path: Path) -> None:
    """SIGKILL gives the harness no chance to clean up; the kernel does it."""
    pid = tmp_path / "pid"
    program = textwrap.dedent(f"""
        from harness.proc import Door
        from pathlib import Path
        with Door().spawn(["sleep", "60"]) as child:
            Path({str(pid)!r}).write_text(str(child.pid))
            child.wait()
    """)
    harness = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 20
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    harness.kill()
    harness.wait()
    assert _gone(int(pid.read_text()))


@pytest.mark.parametrize("tree", [False, True])
def test_a_child_of_a_harness_killed_at_its_start_never_runs(tmp_path: Path, tree: bool) -> None:
    """Between the fork and prctl(2) nothing ties the child: here that moment lasts half a second."""
    slow = tmp_path / "bin" / "setpriv"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nsleep 0.5\nexec {shutil.which("setpriv")} "$@"\n')
    slow.chmod(0o755)
    program = textwrap.dedent(f"""
        from harness.proc import Door
        with Door().spawn(["sh", "-c", "echo $$ > {tmp_path}/ran; sleep 60"], tree={tree}) as child:
            print(child.pid, flush=True)
            child.wait()
    """)
    path = f"{slow.parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PATH": path}
    ) as harness:
        assert harness.stdout
        pid = int(harness.stdout.readline())
        harness.kill()
    assert _gone(pid) and not (tmp_path / "ran").exists()


def test_what_a_child_started_dies_with_a_killed_harness(tmp_path: Path) -> None:
    """A make that is killed leaves its children to go on, in a directory that the next run believes to be its own."""
    pid = tmp_path / "pid"
    program = textwrap.dedent(f"""
        from harness.proc import Door
        with Door().spawn(["sh", "-c", "sleep 60 & echo $! > {pid}; wait"], tree=True) as child:
            child.wait()
    """)
    harness = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 20
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _gone(int(pid.read_text()), 0.2)
    harness.kill()
    harness.wait()
    assert _gone(int(pid.read_text()))


def test_a_child_with_children_can_clean_up_and_tells_its_status(tmp_path: Path) -> None:
    with Door().spawn(
        ["sh", "-c", f"trap 'touch {tmp_path}/cleaned; exit 7' TERM; sleep 60 & wait"], tree=True
    ) as child:
        time.sleep(0.3)
        stop(child)
        assert child.returncode == 7 and (tmp_path / "cleaned").exists()
    with Door().spawn(["sh", "-c", "exit 5"], tree=True) as child:
        assert child.wait(10) == 5


def test_every_command_is_logged_ready_to_paste(tmp_path: Path) -> None:
    log = tmp_path / "commands.log"
    Door(log).run(["sh", "-c", 'test "$A" = "x y"'], timeout=10, cwd=tmp_path, env={"A": "x y"})
    line = log.read_text().strip()
    assert line == paste(["sh", "-c", 'test "$A" = "x y"'], tmp_path, {"A": "x y"})
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0


def _gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_closing_the_door_ends_what_other_threads_started(tmp_path: Path) -> None:
    door = Door()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(door.run, ["sleep", "60"], timeout=60, check=False)
        deadline = time.monotonic() + 10
        while not door._children and time.monotonic() < deadline:
            time.sleep(0.01)
        door.close()
        assert waiting.result(10).status == -signal.SIGTERM
    with pytest.raises(InfraError, match="being ended"):
        door.run(["true"], timeout=5)
