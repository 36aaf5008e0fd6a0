"""Fixtures of the tests without a VM."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from harness import data
from tests.unit import gc_store, qemu_house
from tests.unit.agent_process import Agent
from tests.unit.fake_guest import FakeClock, FakeGuest
from tests.unit.source_tree import Desk

# A busy machine is no fault of what is tested; pytest-timeout ends what really hangs.
hypothesis.settings.register_profile("kph", deadline=None)
hypothesis.settings.load_profile("kph")


@pytest.fixture(scope="session")
def agent_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (shutil.which("gcc") and shutil.which("make")):
        pytest.skip("needs gcc and make")
    out = tmp_path_factory.mktemp("agent")
    command = ["make", "-C", str(data.folder("test-modules") / "agent"), "CC=gcc", "SUITE=sva", f"O={out}", "-j2"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return out / "agent"


@pytest.fixture
def agent(agent_binary: Path) -> Iterator[Agent]:
    started = Agent(agent_binary)
    yield started
    try:
        assert started.close() == 0
    finally:
        started.process.kill()
        started.process.wait()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> qemu_house.House:
    return qemu_house.furnished(tmp_path, monkeypatch)


@pytest.fixture
def guest() -> FakeGuest:
    return FakeGuest(FakeClock())


@pytest.fixture
def store(tmp_path: Path) -> gc_store.Store:
    return gc_store.furnished(tmp_path)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.at(tmp_path)
