"""The sva suite's operations that race, as far as they go without its devices."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.agent_process import Agent

RACE: dict[str, Any] = {"actor": "alice", "device": "nothing", "first": "bind", "second": "unbind", "rounds": 3}
STORM: dict[str, Any] = {"actor": "alice", "devices": "nothing", "processes": 1, "actions": 20}


@pytest.mark.parametrize(
    "wrong",
    [{"rounds": 0}, {"first": "jump"}, {"second": ""}, {"held": 0}, {"held": 9}],
)
def test_a_race_that_cannot_be_is_refused(agent: Agent, wrong: dict[str, object]) -> None:
    assert agent.call("race", **{**RACE, **wrong})["errno"] == "EINVAL"


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("second", ["bind", "exit"])
def test_a_side_without_its_device_ends_the_race(agent: Agent, processes: bool, second: str) -> None:
    reply = agent.ok("race", **{**RACE, "second": second, "processes": processes})
    assert "opening the device's file: ENODEV" in reply["wrong"]
    assert agent.ok("actors")["actors"].startswith("alice=")


@pytest.mark.parametrize(
    "wrong",
    [{"devices": ""}, {"devices": "a,b,c,d,e"}, {"threads": 9}, {"kind": "other"}, {"kind": "own"}, {"ending": "well"}],
)
def test_a_storm_that_cannot_be_is_refused(agent: Agent, wrong: dict[str, object]) -> None:
    assert agent.call("storm", **{**STORM, **wrong})["errno"] == "EINVAL"


def test_a_storm_draws_by_seed_and_actor_alone(agent: Agent) -> None:
    def choices(**more: object) -> int:
        reply = agent.ok("storm", **{**STORM, **more})
        assert "could not start" in reply["wrong"]
        found: int = reply["choices"]
        return found

    first = choices(seed=5)
    assert choices(seed=5) == first == choices(seed=5, kind="own", pasid=3)
    assert len({first, choices(seed=6), choices(seed=5, actor="bob"), choices(seed=5, threads=3)}) == 4
