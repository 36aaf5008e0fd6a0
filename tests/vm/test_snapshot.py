"""Snapshots of real guests: copies are private, whole, quick to start, and do not notice."""

from __future__ import annotations

import contextlib
import hashlib
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import data
from harness.build.agent import ensure_agent
from harness.build.kernel import Workshop
from harness.build.make import BuildFailure
from harness.build.module import Suite as ModuleSources
from harness.build.qemu import ensure_qemu
from harness.build.rootfs import ensure_ssh_root, guest_initrd, make_keys
from harness.cache import Cache
from harness.channel.agent import AgentLink
from harness.channel.base import ChannelClosed
from harness.channel.serial import SerialChannel
from harness.channel.ssh import SshChannel
from harness.machine import accel
from harness.machine import target as targets
from harness.machine.snapshot import Snapshot, SnapshotFailed
from harness.machine.vm import Vm
from harness.model import Guest
from harness.proc import Door
from harness.scenario.link import GuestLost
from harness.scenario.load import load_suite
from harness.source.trees import resolve_tree
from harness.ui import Ui

_BOOT = 60.0  # seconds
_SLOW = 1.0  # seconds that no median may take, on however busy a host; quiet ones: 0.1 over serial, 0.5 over SSH
_MEMORY = 1536 << 20  # bytes that a snapshot and two copies may take together
CASES = [(name, channel) for name in targets.known() for channel in ("serial", "ssh")]


@dataclass(frozen=True)
class Made:
    """A booted and saved guest."""

    shot: Snapshot
    guest: Guest
    roles: dict[str, str]  # role -> device
    uptime: float  # the guest's, shortly before it was saved; seconds
    folder: Path

    @property
    def memory(self) -> Path:
        """The file that copies share."""
        return self.shot._folder / "memory"

    @contextlib.contextmanager
    def copy(self, name: str) -> Iterator[tuple[AgentLink, Vm]]:
        """A copy whose agent is connected and knows the roles."""
        with self.shot.copy(self.folder / name) as vm:
            link = _linked(vm, self.guest)
            if self.guest.ssh is not None:
                assert link.wait_hello(10)
                assert link.call("roles", self.roles)["ret"] == 0
            yield link, vm


def _built(name: str, channel: str, folder: Path, door: Door) -> tuple[Snapshot, Guest]:
    """A snapshot to boot with, of Linux 7.3 and the suite sva."""
    target, suite, cache, ui = targets.load(name), load_suite("sva"), Cache.default(), Ui(quiet=True)
    tree = resolve_tree("debian:7.3", None, cache, door, ui)
    qemu = ensure_qemu(cache, door, ui, None, target)
    accelerator = accel.choose(target, qemu, cache, door).accelerator
    sources = ModuleSources(suite.name, suite.folder, (data.folder("qemu") / "device",), suite.spec.modules)
    built = Workshop(target.kernel, target.arch, "base", cache, door, ui, folder).build(tree, sources, "base")
    assert not isinstance(built, BuildFailure), built.reason
    kernel, module = built
    agent = ensure_agent(suite.name, target.kernel.cross_compile, cache, door, ui, folder)
    keys = make_keys(folder) if channel == "ssh" else None
    root = ensure_ssh_root(target.arch, cache, door, ui) if keys else None
    guest = Guest(kernel, guest_initrd(agent, module.files, keys, root, folder / "initramfs"), keys)
    return Snapshot(qemu, target, accelerator, guest, channel, door), guest


def _linked(vm: Vm, guest: Guest) -> AgentLink:
    """A link to the agent, connected as soon as the guest takes connections."""
    deadline = time.monotonic() + _BOOT
    while True:
        try:
            assert vm.port is not None
            channel = SshChannel(_forwarded(vm), guest.ssh, "/init serve") if guest.ssh else SerialChannel(vm.port)
            break
        except ChannelClosed:
            assert vm.ended() is None and time.monotonic() < deadline, vm.console.since(0)[-2000:]
            time.sleep(0.05)
    link = AgentLink(channel, vm.ended, vm.evidence / "protocol.log")
    vm.on_exit(link.close)
    return link


def _forwarded(vm: Vm) -> int:
    """The port of this host that leads to the guest's port 22."""
    lines = str(vm.qmp("human-monitor-command", **{"command-line": "info usernet"})).splitlines()
    return next(int(line.split()[3]) for line in lines if "HOST_FORWARD" in line)


def _uptime(link: AgentLink) -> float:
    return float(str(link.call("read_file", {"path": "/proc/uptime"})["text"]).split()[0])


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    name, channel = request.param
    folder = tmp_path_factory.mktemp(name)
    door = Door(folder / "commands.log")
    shot, guest = _built(name, channel, folder, door)
    roles = {role: each.device for role, each in targets.load(name).roles.items()}
    with shot:
        with shot.boot(folder / "boot") as vm:
            link = _linked(vm, guest)
            assert link.wait_hello(_BOOT), vm.console.since(0)[-2000:]
            assert link.call("roles", roles)["ret"] == 0
            uptime = _uptime(link)
            if guest.ssh is not None:
                link.close()
            print(shot.save(vm))
        yield Made(shot, guest, roles, uptime, folder)


def _transfer(link: AgentLink) -> None:
    """Bind; DMA both ways by PASID, on memory that nobody has touched; unbind; nothing goes any more."""

    def alice(op: str, **args: object) -> dict[str, object]:
        return dict(link.call(op, args, "alice"))

    bound = alice("bind", device="dma0")
    assert bound["ret"] == 0, bound
    assert alice("map", buffer="fresh", pages=8)["ret"] == 0
    written = alice("dma_write", device="dma0", buffer="fresh", seed=7)
    assert written["dma"] == "done", written
    assert alice("check", buffer="fresh", seed=7)["match"] is True
    assert alice("dma_read", device="dma0", buffer="fresh", seed=7)["match"] is True
    assert alice("unbind", bond=bound["bond"])["ret"] == 0
    after = alice("dma_write", device="dma0", buffer="fresh", seed=8, pasid=bound["pasid"])
    assert after["dma"] != "done", after
    assert alice("check", buffer="fresh", seed=7)["match"] is True


def test_copies_do_dma_and_share_nothing_that_they_write(made: Made) -> None:
    before = hashlib.sha256(made.memory.read_bytes()).digest()
    pasids = []
    for name in ("one", "two"):
        with made.copy(name) as (link, vm):
            assert link.call("bonds", {}, "alice")["count"] == 0
            pasids.append(link.call("bind", {"device": "dma0"}, "alice")["pasid"])
            assert link.call("bonds", {}, "alice")["count"] == 1
            assert link.call("reset")["ret"] == 0
            _transfer(link)
        assert not vm.console.watch().splats, vm.console.since(0)
        assert (vm.evidence / "trace.log").exists()
    assert pasids[0] == pasids[1], "both start where the guest was saved"
    assert hashlib.sha256(made.memory.read_bytes()).digest() == before


def test_a_transfer_waits_for_its_page_in_a_copy_as_in_any_guest(made: Made) -> None:
    """Page requests and stalls: their queues and interrupts are part of the state."""
    with made.copy("pages") as (link, _):
        link.call("clear_counters", {"device": "dma0"})
        _transfer(link)
        assert int(link.call("counters", {"device": "dma0"})["page_requests"]) >= 1


def test_the_guests_clock_stands_still(made: Made) -> None:
    time.sleep(5)
    with made.copy("clock") as (link, vm):
        assert 0 <= _uptime(link) - made.uptime < 4.5, "a jump is what wakes the watchdogs"
    assert not vm.console.watch().splats


def _timed(made: Made, name: str) -> tuple[float, int]:
    """Seconds to the first answer, and the memory that the copy alone takes."""
    started = time.monotonic()
    with made.copy(name) as (link, vm):
        assert link.call("ping", {"nonce": name})["nonce"] == name
        seconds = time.monotonic() - started
        assert vm._process is not None
        rollup = Path(f"/proc/{vm._process.pid}/smaps_rollup").read_text()
        return seconds, sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) << 10


def test_twenty_copies_one_after_the_other(made: Made) -> None:
    assert made.shot.saved is not None
    assert made.shot.saved.state < 4 << 20, "the memory is not in it"
    seconds = [_timed(made, f"row-{number}")[0] for number in range(20)]
    print(f"restore to answer: median {statistics.median(seconds):.3f} s, {min(seconds):.3f} to {max(seconds):.3f}")
    assert statistics.median(seconds) < _SLOW


def test_two_copies_at_a_time(made: Made) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda number: _timed(made, f"pair-{number}"), range(10)))
    base = made.memory.stat().st_blocks * 512
    most = base + 2 * max(each for _, each in found)
    print(f"two at a time: median {statistics.median(each for each, _ in found):.3f} s; {most >> 20} MiB with the base")
    assert most < _MEMORY


def test_a_panic_costs_one_copy(made: Made) -> None:
    with made.copy("panics") as (link, vm):
        with pytest.raises(GuestLost):
            link.call("panic")
            link.call("facts", deadline=5)
        vm.wait_end(5)
        assert vm.console.panic()
    with made.copy("lives") as (link, vm):
        assert link.call("ping")["ret"] == 0 and not vm.console.panic()


def test_a_state_that_does_not_load_is_told_and_leaves_nothing(made: Made, tmp_path: Path) -> None:
    state = made.shot._folder / "state"
    whole = state.read_bytes()
    damages: list[Callable[[bytes], bytes]] = [lambda each: each[: len(each) // 2], lambda each: b"?" + each[1:]]
    for damage in damages:
        state.write_bytes(damage(whole))
        try:
            with (
                pytest.raises(SnapshotFailed, match="cannot start a copy of the guest: "),
                made.shot.copy(tmp_path / "bad"),
            ):
                pytest.fail("the block must not run")
        finally:
            state.write_bytes(whole)
    with made.copy("good") as (link, _):
        assert link.call("ping")["ret"] == 0
