"""A copy that was taken back is the guest that was saved, bit for bit; its past does not reach the next scenario."""

from __future__ import annotations

import statistics
import time

import pytest

from harness.channel.agent import AgentLink
from harness.machine import target as targets
from harness.machine.snapshot import SnapshotFailed
from harness.machine.vm import Vm
from harness.scenario.link import GuestTimeout
from tests.vm.snapshots.frozen import Made, linked, transfer, uptime

_SLOW = 0.5  # seconds that no median may take, on however busy a host; a quiet one: 0.012
_RAM = {"x86_64": 0, "aarch64": 0x40000000}  # where the machine's memory begins


def _taken_back(made: Made, vm: Vm, link: AgentLink) -> AgentLink:
    """The link to the copy once it is as new."""
    if made.guest.ssh is not None:
        link.close()
    made.shot.stop(vm)
    made.shot.rewind(vm)
    if made.guest.ssh is not None:
        link = linked(vm, made.guest)
        assert link.wait_hello(10) and link.call("roles", made.roles)["ret"] == 0
    return link


def _state(made: Made, vm: Vm, name: str) -> tuple[bytes, bytes]:
    """State of the devices and memory of a stopped machine."""
    devices, memory = made.folder / f"{name}.devices", made.folder / f"{name}.memory"
    vm.qmp("xen-save-devices-state", filename=str(devices), live=False)
    target = vm.target
    vm.qmp("pmemsave", val=_RAM[target.arch], size=target.memory_mib << 20, filename=str(memory))
    found = devices.read_bytes(), memory.read_bytes()
    devices.unlink()
    memory.unlink()
    return found


def _devices_work(link: AgentLink) -> None:
    transfer(link)
    assert link.call("reset")["ret"] == 0


def test_it_is_the_same_bit_for_bit(made: Made) -> None:
    saved = made.memory.read_bytes()
    states = []
    for name in ("new", "used"):
        with made.copy(f"bits-{name}") as (link, vm):
            if name == "used":
                _devices_work(link)
                link.call("bind", {"device": "dma0"}, "alice")
            if made.guest.ssh is not None:
                link.close()
            made.shot.stop(vm)
            vm.qmp("x-rewind", filename=str(made.shot._folder / "state"))
            states.append(_state(made, vm, name))
    (devices, memory), (devices_after, memory_after) = states
    assert memory == saved == memory_after
    assert len(devices) == len(devices_after)
    differ = [place for place, pair in enumerate(zip(devices, devices_after, strict=True)) if pair[0] != pair[1]]
    # The network's other end is outside of the guest: it counts its packets on, whatever becomes of the guest.
    assert not differ if made.guest.ssh is None else len(differ) <= 2


def test_it_works_every_time_and_knows_nothing_of_the_past(made: Made) -> None:
    with made.copy("again") as (first, vm):
        link = first
        for _ in range(5):
            assert link.call("bonds", {}, "alice")["count"] == 0
            bound = link.call("bind", {"device": "dma0"}, "alice")
            assert bound["pasid"] == 1, "nobody else has one"
            assert link.call("reset")["ret"] == 0
            _devices_work(link)
            link = _taken_back(made, vm, link)
        assert not vm.console.watch().splats, vm.console.since(0)


def test_its_clocks_go_back(made: Made) -> None:
    """The TSC, too: a jump is what wakes the watchdogs, and would add up over the scenarios."""
    with made.copy("clocks") as (first, vm):
        link = first
        for _ in range(3):
            link.call("sleep_ms", {"ms": 800})
            link = _taken_back(made, vm, link)
            assert 0 <= uptime(link) - made.uptime < 0.7
        assert not vm.console.watch().splats


def test_code_that_was_overwritten_is_translated_again(made: Made) -> None:
    """The module is unloaded and another page's worth of programs run where it was; then it is back."""
    with made.copy("code") as (link, vm):
        _devices_work(link)
        assert link.call("module_unload", {"name": "kph_sva"})["ret"] == 0
        for number in range(4):
            assert link.call("map", {"buffer": f"b{number}", "pages": 2000, "populate": True}, "alice")["ret"] == 0
        _devices_work(_taken_back(made, vm, link))
        assert not vm.console.watch().splats, vm.console.since(0)


def test_an_answer_that_is_still_to_come_stays_away(made: Made) -> None:
    if made.guest.ssh is not None:
        pytest.skip("over SSH each guest has a connection of its own")
    with made.copy("answer") as (link, vm):
        token = link.begin("sleep_ms", {"ms": 60000})
        assert link.waiting, "so kph takes a new copy"
        again = _taken_back(made, vm, link)
        assert again.call("ping", {"nonce": "n"})["nonce"] == "n"
        with pytest.raises(GuestTimeout):
            again.finish(token, 0.5)


def test_going_back_is_quick(made: Made) -> None:
    seconds = []
    with made.copy("quick") as (first, vm):
        link = first
        for _ in range(20):
            link.call("bind", {"device": "dma0"}, "alice")
            made.shot.stop(vm)
            started = time.monotonic()
            made.shot.rewind(vm)
            seconds.append(time.monotonic() - started)
            link = linked(vm, made.guest) if made.guest.ssh is not None else link
            assert link.wait_hello(10) if made.guest.ssh is not None else link.call("ping")["ret"] == 0
    print(f"back: median {statistics.median(seconds):.3f} s, {min(seconds):.3f} to {max(seconds):.3f}")
    assert statistics.median(seconds) < _SLOW


def test_a_state_that_is_gone_is_told(made: Made) -> None:
    state = made.shot._folder / "state"
    aside = state.with_name("aside")
    with made.copy("gone") as (_, vm):
        made.shot.stop(vm)
        state.rename(aside)
        try:
            with pytest.raises(SnapshotFailed, match="cannot take a copy of the guest back: "):
                made.shot.rewind(vm)
        finally:
            aside.rename(state)
    with made.copy("there") as (link, vm):
        assert link.call("ping")["ret"] == 0
        assert _taken_back(made, vm, link).call("ping")["ret"] == 0


def test_every_target_can_be_read_here() -> None:
    assert {targets.load(name).arch for name in targets.known()} <= set(_RAM)
