"""The agent's actors: processes that work at the same time, die, fork and exec."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.unit.agent_process import Agent


def test_actors_are_processes_of_their_own(agent: Agent) -> None:
    pid = agent.ok("spawn", actor="alice")["pid"]
    assert agent.call("spawn", actor="alice")["ret"] == -17
    agent.ok("sleep_ms", actor="bob", ms=0)
    listed = agent.ok("actors")
    assert listed["count"] == 2
    assert f"alice={pid}" in listed["actors"].split(",")
    # spawn answers before the new program runs; an answer from the actor says that it does.
    agent.ok("sleep_ms", actor="alice", ms=0)
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "alice"


def test_a_blocked_actor_blocks_nobody(agent: Agent) -> None:
    slow = agent.begin("sleep_ms", actor="alice", ms=1500)
    worker = agent.begin("sleep_ms", ms=1500)
    behind = agent.begin("sleep_ms", actor="alice", ms=0)
    start = time.monotonic()
    agent.ok("sleep_ms", actor="bob", ms=1)
    agent.ok("ping")
    assert time.monotonic() - start < 1.0
    for number in (slow, behind, worker):
        assert agent.finish(number)["ret"] == 0
    assert time.monotonic() - start > 1.2


def test_an_actor_that_is_killed_answers_all_that_it_was_asked(agent: Agent) -> None:
    numbers = [agent.begin("sleep_ms", actor="alice", ms=60000) for _ in range(3)]
    killed = agent.begin("kill", actor="alice", signal="TERM")
    for number in numbers:
        reply = agent.finish(number)
        assert (reply["ret"], reply["errno"], reply["died"], reply["signal"]) == (-3, "ESRCH", True, "SIGTERM")
    assert agent.finish(killed)["ret"] == 0
    assert agent.call("sleep_ms", actor="alice", ms=0)["died"] is True
    assert agent.ok("actors")["dead"] == "alice"
    assert agent.ok("wait", actor="alice")["signal"] == "SIGTERM"
    assert agent.call("wait", actor="alice")["ret"] == -3
    agent.ok("sleep_ms", actor="alice", ms=0)


@pytest.mark.parametrize(
    ("name", "shown"), [("SIGKILL", "SIGKILL"), ("USR1", "SIGUSR1"), (15, "SIGTERM"), ("9", "SIGKILL")]
)
def test_kill_can_wait_for_the_end(agent: Agent, name: object, shown: str) -> None:
    agent.ok("spawn", actor="alice")
    assert agent.ok("kill", actor="alice", signal=name, wait=True)["signal"] == shown
    assert agent.ok("actors") | {"id": 0} == {"id": 0, "ret": 0, "count": 0, "actors": "", "dead": ""}


@pytest.mark.parametrize("name", ["NOSUCH", "0", 0, 65, "-9"])
def test_an_unknown_signal_is_refused(agent: Agent, name: object) -> None:
    agent.ok("spawn", actor="alice")
    assert agent.call("kill", actor="alice", signal=name)["ret"] == -22
    agent.ok("sleep_ms", actor="alice", ms=0)


def test_kill_and_wait_need_an_actor(agent: Agent) -> None:
    assert agent.call("kill", actor="nobody")["ret"] == -3
    assert agent.call("wait", actor="nobody")["ret"] == -3


def test_wait_gives_up_in_time(agent: Agent) -> None:
    agent.ok("spawn", actor="alice")
    start = time.monotonic()
    reply = agent.call("wait", actor="alice", timeout_ms=100)
    assert reply["errno"] == "ETIMEDOUT"
    assert 0.08 < time.monotonic() - start < 2
    waiting = agent.begin("wait", actor="alice")
    assert agent.call("wait", actor="alice")["errno"] == "EBUSY"
    agent.ok("kill", actor="alice")
    assert agent.finish(waiting)["signal"] == "SIGKILL"


def test_exit_is_answered_when_the_actor_has_gone(agent: Agent) -> None:
    pid = agent.ok("spawn", actor="alice")["pid"]
    reply = agent.ok("exit", actor="alice", code=7)
    assert (reply["exit"], reply["pid"]) == (7, pid)
    assert not Path(f"/proc/{pid}").exists()
    assert agent.ok("spawn", actor="alice")["pid"] != pid
    assert agent.call("exit", actor="alice", code=256)["ret"] == -22


def test_reset_ends_everybody_and_frees_the_names(agent: Agent) -> None:
    agent.ok("spawn", actor="alice")
    sleeping = agent.begin("sleep_ms", actor="bob", ms=60000)
    agent.ok("kill", actor="alice", wait=False)
    reply = agent.call("reset")
    assert reply["ret"] == 0
    assert agent.finish(sleeping)["died"] is True
    assert agent.ok("actors") | {"id": 0} == {"id": 0, "ret": 0, "count": 0, "actors": "", "dead": ""}
    assert agent.ok("reset")["count"] == 0


def test_roles_are_given_before_there_are_actors(agent: Agent) -> None:
    assert agent.ok("roles", dma0="0000:00:04.0", bare="bare")["count"] == 2
    facts = agent.ok("facts")
    assert facts["dma0.present"] is False
    assert "bare.present" in facts
    assert agent.ok("roles", dma1="x")["count"] == 1
    assert "dma0.present" not in agent.ok("facts")
    for bad in ("a,b", "a=b", "a/b", "", "x" * 64):
        assert agent.call("roles", dma0=bad)["ret"] == -22
    agent.ok("spawn", actor="alice")
    assert agent.call("roles", dma0="y")["ret"] == -16


def test_times_stops_at_the_first_other_outcome(agent: Agent) -> None:
    assert agent.ok("sleep_ms", actor="alice", ms=0, times=100)["done"] == 100
    reply = agent.call("map", actor="alice", buffer="b", pages=1, times=5)
    assert (reply["errno"], reply["done"]) == ("EEXIST", 1)
    reply = agent.call("bind", actor="alice", device="no-such-device", times=50)
    assert (reply["errno"], reply["done"]) == ("ENODEV", 50)
    assert "done" not in agent.ok("sleep_ms", actor="alice", ms=0)


def test_many_actors_at_once(agent: Agent) -> None:
    numbers = [agent.begin("sleep_ms", actor=f"a{n}", ms=50) for n in range(40)]
    assert all(agent.finish(number)["ret"] == 0 for number in numbers)
    assert agent.ok("reset")["count"] == 40


def test_a_stopped_actor_is_not_an_ended_one(agent: Agent) -> None:
    pid = agent.ok("spawn", actor="alice")["pid"]
    agent.ok("kill", actor="alice", signal="STOP")
    number = agent.begin("sleep_ms", actor="alice", ms=0)
    assert agent.ok("actors")["count"] == 1
    os.kill(pid, signal.SIGCONT)
    assert agent.finish(number)["ret"] == 0


def test_a_forked_actor_copies_private_and_shares_shared_memory(agent: Agent) -> None:
    agent.ok("map", actor="alice", buffer="private", pages=1)
    agent.ok("map", actor="alice", buffer="shared", pages=1, shared=True)
    for buffer in ("private", "shared"):
        agent.ok("write", actor="alice", buffer=buffer, seed=1)
    pid = agent.ok("fork", actor="alice", **{"as": "kid"})["pid"]
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "kid"
    for buffer in ("private", "shared"):
        assert agent.ok("check", actor="kid", buffer=buffer, seed=1)["match"] is True
        agent.ok("write", actor="kid", buffer=buffer, seed=2)
    assert agent.ok("check", actor="alice", buffer="private", seed=1)["match"] is True
    assert agent.ok("check", actor="alice", buffer="shared", seed=2)["match"] is True


def test_a_forked_actor_outlives_its_parent_and_is_waited_for(agent: Agent) -> None:
    agent.ok("fork", actor="alice", **{"as": "kid"})
    agent.ok("exit", actor="alice")
    agent.ok("fork", actor="kid", **{"as": "grandkid"})
    assert agent.ok("exit", actor="kid", code=3)["exit"] == 3
    assert agent.ok("kill", actor="grandkid", wait=True)["signal"] == "SIGKILL"


def test_requests_for_a_child_wait_for_its_fork(agent: Agent) -> None:
    numbers = [
        agent.begin("map", actor="alice", buffer="b", pages=1),
        agent.begin("sleep_ms", actor="alice", ms=100),
        agent.begin("fork", actor="alice", **{"as": "kid"}),
        agent.begin("touch", actor="kid", buffer="b"),
    ]
    assert [agent.finish(number)["ret"] for number in numbers] == [0, 0, 0, 0]


def test_a_fork_that_never_happens_answers_for_its_child(agent: Agent) -> None:
    slow = agent.begin("sleep_ms", actor="alice", ms=60000)
    fork = agent.begin("fork", actor="alice", **{"as": "kid"})
    orphan = agent.begin("ping_kid", actor="kid")
    waiting = agent.begin("sleep_ms", actor="kid", ms=0)
    agent.ok("kill", actor="alice")
    assert agent.finish(slow)["died"] is True
    assert agent.finish(fork)["died"] is True
    assert agent.finish(orphan)["ret"] == -95
    reply = agent.finish(waiting)
    assert (reply["ret"], "died" in reply) == (-3, False)
    agent.ok("spawn", actor="kid")


def test_a_fork_needs_a_free_name(agent: Agent) -> None:
    agent.ok("spawn", actor="bob")
    for taken in ("bob", "alice"):
        assert agent.call("fork", actor="alice", **{"as": taken})["errno"] == "EEXIST"
    assert agent.call("fork", actor="alice", **{"as": "a/b"})["errno"] == "EINVAL"


def test_exec_gives_a_new_address_space_to_the_same_process(agent: Agent) -> None:
    agent.ok("map", actor="alice", buffer="b", pages=1)
    pid = agent.ok("actors")["actors"]
    agent.ok("exec", actor="alice")
    assert agent.call("touch", actor="alice", buffer="b")["errno"] == "ENOENT"
    agent.ok("exec", actor="alice", keep_files=True)
    assert agent.ok("actors")["actors"] == pid


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="hlt is an x86 instruction")
@pytest.mark.parametrize("thread", [False, True])
def test_a_privileged_instruction_ends_the_actor(agent: Agent, thread: bool) -> None:
    reply = agent.call("gp", actor="alice", thread=thread)
    assert (reply["died"], reply["signal"]) == (True, "SIGSEGV")
