"""Words of a guest's memory through a gdb server that this test plays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.campaign import leaks
from harness.machine import gdb
from harness.machine.vm import Vm
from harness.model import Kernel

ADDRESS = 0xFFFFFFFF81234560


class Machine:
    """A Vm of which only the monitor and the gdb server are there."""

    def __init__(
        self,
        memory: Mapping[int, int] | None = None,
        answer: str = "",
        arch: str = "x86_64",
        registers: Mapping[int, int] | None = None,
        stops: Sequence[str] = (),
    ) -> None:
        self.memory = dict(memory or {})
        self.target = SimpleNamespace(arch=arch)
        self.at: list[tuple[int, int]] = []  # where it was stopped, and what memory had at ``watched`` then
        self.watched = 0
        self._registers = dict(registers or {})
        self._stops = list(stops)  # what it says when it stops; at its breakpoint when nothing is left here
        self._breakpoint = 0
        self.said: list[str] = []  # commands to the monitor
        self.packets: list[str] = []
        self._answer = answer  # to every packet, whatever it asks
        self._threads: list[threading.Thread] = []

    def qmp(self, command: str, **arguments: Any) -> Any:
        line = arguments.get("command-line", command)
        self.said.append(line.split(":")[0])
        if "unix:" in line:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(line.split("unix:")[1].split(",")[0])
            listener.listen(1)
            thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, listener: socket.socket) -> None:
        with listener, listener.accept()[0] as peer:
            buffer = b""
            while chunk := peer.recv(3):  # packets come in pieces
                buffer += chunk
                if buffer.startswith(b"\x03"):
                    buffer = buffer[1:]
                    self.packets.append("\x03")
                    peer.sendall(b"$T02#b6")
                while b"#" in buffer and len(buffer) >= buffer.index(b"#") + 3:
                    body = buffer[buffer.index(b"$") + 1 : buffer.index(b"#")]
                    assert buffer[buffer.index(b"#") + 1 :][:2] == b"%02x" % (sum(body) % 256)
                    buffer = buffer[buffer.index(b"#") + 3 :]
                    text = self._told(body.decode()).encode()
                    if text == b"never":
                        continue
                    for piece in (b"+$", text, b"#%02x" % (sum(text) % 256)):
                        peer.sendall(piece)

    def _told(self, packet: str) -> str:
        self.packets.append(packet)
        if self._answer:
            return self._answer
        if packet == "g":
            return "".join(self._registers.get(number, 0).to_bytes(8, "little").hex() for number in range(33))
        if packet[0] == "Z":
            assert packet.startswith("Z1,")  # nothing is mapped yet: a breakpoint in memory could not be set
            self._breakpoint = int(packet.split(",")[1], 16)
        if packet == "c":
            self.at.append((self._breakpoint, self.memory.get(self.watched, 0)))
            return self._stops.pop(0) if self._stops else "T05thread:01;"
        where, _, value = packet[1:].partition(":")
        if packet[0] == "m":
            word = self.memory.get(int(where.split(",")[0], 16))
            return "E14" if word is None else word.to_bytes(8, "little").hex()
        if packet[0] == "M":
            self.memory[int(where.split(",")[0], 16)] = int.from_bytes(bytes.fromhex(value), "little")
        return "OK"


def vm(machine: Machine) -> Vm:
    return cast(Vm, machine)


def test_words_are_read_and_written_and_the_guest_goes_on() -> None:
    machine = Machine({ADDRESS: 500})
    with gdb.words(vm(machine)) as words:
        assert words.read(ADDRESS) == 500
        words.write(ADDRESS, 2**63 + 1)
        assert words.read(ADDRESS) == 2**63 + 1
    assert machine.packets[-1] == "D"
    assert machine.said == ["gdbserver unix", "gdbserver none", "cont"]


def test_what_is_not_mapped_is_refused_and_the_guest_goes_on() -> None:
    machine = Machine()
    with pytest.raises(gdb.Refused, match="nothing can be read at 0x10"), gdb.words(vm(machine)) as words:
        words.read(16)
    assert machine.said == ["gdbserver unix", "gdbserver none", "cont"]
    with pytest.raises(gdb.Refused, match="nothing can be written"), gdb.words(vm(Machine(answer="E22"))) as words:
        words.write(16, 1)


@pytest.mark.parametrize(
    ("facts", "age", "wanted", "left"),
    [
        (5500, 500, 150, 10),
        (5500, 10, 150, 10),  # it was done before
        (5500, 77, 5500, 77),  # not the variable that we think it is
        (0, 500, 0, 500),
    ],
)
def test_kmemleak_is_hastened(tmp_path: Path, facts: int, age: int, wanted: int, left: int) -> None:
    machine = Machine({ADDRESS: age})
    found = leaks.hastened(vm(machine), kernel(tmp_path), {"leak_ms": facts, "other": 1})
    assert found == {"leak_ms": wanted, "other": 1}
    assert machine.memory[ADDRESS] == left


def test_a_kernel_that_cannot_be_hastened_is_waited_for(tmp_path: Path) -> None:
    facts = {"leak_ms": 5500}
    assert leaks.hastened(vm(Machine()), kernel(tmp_path), facts) == facts
    (tmp_path / "System.map").write_text("ffffffff81000000 T _text\n")
    machine = Machine({ADDRESS: 500})
    assert leaks.hastened(vm(machine), kernel(tmp_path, write=False), facts) == facts and machine.said == []


INIT, TABLE, ENABLED, STACK = 0xFFFFFFFF82000000, 0xFFFFFFFF82000100, 0xFFFFFFFF81000014, 0xFFFFFFFF81FFF000
BACK = 0xFFFFFFFF82000042
SYMBOLS = f"""\
{TABLE:x} T stack_depot_early_init
{INIT:x} T kasan_init
{INIT + 64:x} t kasan_init_caches
{ENABLED:x} d kmemleak_enabled
"""


CONFIG = "CONFIG_DEBUG_KMEMLEAK=y\nCONFIG_KASAN=y\nCONFIG_KASAN_GENERIC=y\n"


def boots(folder: Path, symbols: str = SYMBOLS, config: str = CONFIG) -> Kernel:
    (folder / "System.map").write_text(symbols)
    (folder / "config").write_text(config)
    return kernel(folder, write=False)


@pytest.mark.parametrize(("arch", "registers"), [("x86_64", {7: STACK}), ("aarch64", {30: BACK})])
def test_kmemleak_is_off_while_kasan_takes_its_memory(tmp_path: Path, arch: str, registers: Mapping[int, int]) -> None:
    beside = 0x1234_5678_0000_0000  # the next variable
    machine = Machine({STACK: BACK, ENABLED: beside | 1}, arch=arch, registers=registers)
    machine.watched = ENABLED
    leaks.lightened(vm(machine), boots(tmp_path))
    assert machine.at == [(INIT, beside | 1), (BACK, beside), (TABLE, beside | 1), (BACK, beside)]
    assert machine.memory[ENABLED] == beside | 1
    assert machine.packets[-1] == "D" and machine.said[-1] == "cont"
    points = [packet for packet in machine.packets if packet[0] in "Zz"]
    assert [each.lower() for each in points[::2]] == points[1::2]  # none stays


def test_kmemleak_that_is_off_stays_off(tmp_path: Path) -> None:
    machine = Machine({STACK: BACK, ENABLED: 0}, registers={7: STACK})
    leaks.lightened(vm(machine), boots(tmp_path))
    assert len(machine.at) == 4 and machine.memory[ENABLED] == 0


@pytest.mark.parametrize("lacking", ["kasan_init", "stack_depot_early_init", "kmemleak_enabled"])
def test_other_kernels_boot_as_they_are(tmp_path: Path, lacking: str) -> None:
    machine = Machine()
    symbols = "".join(f"{line}\n" for line in SYMBOLS.splitlines() if not line.endswith(f" {lacking}"))
    leaks.lightened(vm(machine), boots(tmp_path, symbols))
    assert machine.said == []


@pytest.mark.parametrize("lacking", ["CONFIG_DEBUG_KMEMLEAK", "CONFIG_KASAN_GENERIC"])
def test_kernels_without_either_boot_as_they_are(tmp_path: Path, lacking: str) -> None:
    machine = Machine({STACK: BACK, ENABLED: 1}, registers={7: STACK})
    config = CONFIG.replace(f"{lacking}=y", f"# {lacking} is not set")
    leaks.lightened(vm(machine), boots(tmp_path, config=config))
    assert machine.said == []


@pytest.mark.parametrize(
    ("stops", "stopped"),
    [
        (["W00"], 1),  # it ended before
        (["T05thread:01;", "T02thread:01;"], 2),  # somebody stopped it inside
    ],
)
def test_a_boot_that_goes_another_way_is_left_alone(tmp_path: Path, stops: Sequence[str], stopped: int) -> None:
    machine = Machine({STACK: BACK, ENABLED: 1}, registers={7: STACK}, stops=stops)
    leaks.lightened(vm(machine), boots(tmp_path))
    assert len(machine.at) == stopped and machine.memory[ENABLED] == 1
    assert machine.said[-1] == "cont"


def test_a_function_that_is_not_reached_is_no_longer_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdb, "_WAIT", 0.2)
    machine = Machine({STACK: BACK, ENABLED: 1}, registers={7: STACK}, stops=["never"])
    leaks.lightened(vm(machine), boots(tmp_path))
    place = f"1,{INIT:x},1"
    assert machine.packets == [f"Z{place}", "c", "\x03", f"z{place}"]  # the guest is stopped, and goes on without it
    assert machine.said[-1] == "cont" and machine.memory[ENABLED] == 1


def test_a_server_that_can_do_nothing_does_no_harm(tmp_path: Path) -> None:
    machine = Machine(answer="E22")
    leaks.lightened(vm(machine), boots(tmp_path))
    assert machine.said == ["gdbserver unix", "gdbserver none", "cont"]


def kernel(folder: Path, *, write: bool = True) -> Kernel:
    if write:
        (folder / "System.map").write_text(f"ffffffff81000000 T _text\n{ADDRESS:x} b jiffies_min_age\n")
        (folder / "config").write_text("CONFIG_HZ_100=y\nCONFIG_HZ=100\n")
    return Kernel("k", folder, folder / "vmlinux", folder / "System.map", folder / "config", "7.3.4", 0.0)
