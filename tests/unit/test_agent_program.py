"""The agent carries out other programs: what they print, how they end, what is refused."""

from __future__ import annotations

import time
from pathlib import Path

from tests.unit.agent_process import Agent


def test_what_a_program_prints_is_in_the_file_whole_and_in_order(agent: Agent, tmp_path: Path) -> None:
    script, out = tmp_path / "script", tmp_path / "out"
    script.write_text("#!/bin/sh\necho $#:$1:$2\necho error >&2\necho last\ncat\nexit 7\n")
    script.chmod(0o755)
    out.write_text("of an earlier program, and longer than what comes\n" * 3)
    reply = agent.ok("run_program", actor="alice", path=str(script), args=" one  two ", out=str(out))
    assert reply["status"] == 7 and "ended_by" not in reply
    assert out.read_text() == "2:one:two\nerror\nlast\n"


def test_a_signal_that_ends_a_program_is_told(agent: Agent, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho begun\nkill -SEGV $$\n")
    script.chmod(0o755)
    reply = agent.ok("run_program", actor="alice", path=str(script), out=str(tmp_path / "out"))
    assert reply["ended_by"] == "SIGSEGV" and "status" not in reply
    assert (tmp_path / "out").read_text() == "begun\n"


def test_others_work_while_a_program_runs_and_it_ends_with_its_actor(agent: Agent, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho $$\nexec sleep 60\n")
    script.chmod(0o755)
    running = agent.begin("run_program", actor="alice", path=str(script), out=str(out))
    end = time.monotonic() + 10
    while not (out.exists() and out.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    pid = int(agent.ok("read_file", path=str(out))["text"])
    assert Path(f"/proc/{pid}/comm").exists()
    agent.ok("kill", actor="alice", wait=True)
    assert agent.finish(running)["died"] is True
    while Path(f"/proc/{pid}/exe").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_cannot_run_is_the_errno(agent: Agent, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert agent.call("run_program", actor="alice", path="/nonexistent", out=out)["errno"] == "ENOENT"
    assert agent.call("run_program", actor="alice", path=str(tmp_path), out=out)["errno"] == "EACCES"
    assert agent.call("run_program", actor="alice", path="/bin/true", out=str(tmp_path))["errno"] == "EISDIR"
    assert agent.call("run_program", actor="alice", path="/bin/true", args="x " * 40, out=out)["errno"] == "EINVAL"
    assert agent.call("run_program", path="/bin/true", out=out)["errno"] == "EPROTO"
    agent.ok("ping")
