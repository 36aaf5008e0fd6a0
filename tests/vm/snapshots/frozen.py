"""A real guest, booted and saved, and what these tests do with its copies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import data
from harness.build.agent import ensure_agent
from harness.build.kernel import Workshop
from harness.build.make import BuildFailure
from harness.build.module import Suite as ModuleSources
from harness.build.qemu import ensure_qemu
from harness.build.rootfs import ensure_ssh_root, guest_initrd
from harness.build.sshkeys import make_keys
from harness.cache import Cache
from harness.channel.agent import AgentLink
from harness.channel.base import ChannelClosed
from harness.channel.serial import SerialChannel
from harness.channel.ssh import SshChannel
from harness.machine import accel
from harness.machine import target as targets
from harness.machine.snapshot import Snapshot
from harness.machine.vm import Vm
from harness.model import Guest
from harness.proc import Door
from harness.scenario.load import load_suite
from harness.source.trees import resolve_tree
from harness.ui import Ui

BOOT = 60.0  # seconds


@dataclass(frozen=True)
class Made:
    """A booted and saved guest."""

    shot: Snapshot
    guest: Guest
    roles: dict[str, str]  # role -> device
    uptime: float  # the guest's, shortly before it was saved; seconds
    boot: float  # seconds from QEMU's start to the agent's hello
    folder: Path

    @property
    def memory(self) -> Path:
        """The file that copies share."""
        return self.shot._folder / "memory"

    @contextlib.contextmanager
    def copy(self, name: str) -> Iterator[tuple[AgentLink, Vm]]:
        """A copy whose agent is connected and knows the roles."""
        with self.shot.copy(self.folder / name) as vm:
            link = linked(vm, self.guest)
            if self.guest.ssh is not None:
                assert link.wait_hello(10)
                assert link.call("roles", self.roles)["ret"] == 0
            yield link, vm


def built(name: str, channel: str, folder: Path, door: Door) -> tuple[Snapshot, Guest]:
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


def linked(vm: Vm, guest: Guest) -> AgentLink:
    """A link to the agent, connected as soon as the guest takes connections."""
    deadline = time.monotonic() + BOOT
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


def uptime(link: AgentLink) -> float:
    return float(str(link.call("read_file", {"path": "/proc/uptime"})["text"]).split()[0])


def transfer(link: AgentLink) -> None:
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
