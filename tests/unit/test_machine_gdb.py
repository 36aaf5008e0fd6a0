"""Words of a guest's memory through a gdb server that this test plays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from harness.campaign import leaks
from harness.machine import gdb
from harness.machine.vm import Vm
from harness.model import Kernel

ADDRESS = 0xFFFFFFFF81234560


class Machine:
    """A Vm of which only the monitor and the gdb server are there."""

    def __init__(self, memory: Mapping[int, int] | None = None, answer: str = "") -> None:
        self.memory = dict(memory or {})
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
                while b"#" in buffer and len(buffer) >= buffer.index(b"#") + 3:
                    body = buffer[buffer.index(b"$") + 1 : buffer.index(b"#")]
                    assert buffer[buffer.index(b"#") + 1 :][:2] == b"%02x" % (sum(body) % 256)
                    buffer = buffer[buffer.index(b"#") + 3 :]
                    text = self._told(body.decode()).encode()
                    for piece in (b"+$", text, b"#%02x" % (sum(text) % 256)):
                        peer.sendall(piece)

    def _told(self, packet: str) -> str:
        self.packets.append(packet)
        if self._answer:
            return self._answer
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


def kernel(folder: Path, *, write: bool = True) -> Kernel:
    if write:
        (folder / "System.map").write_text(f"ffffffff81000000 T _text\n{ADDRESS:x} b jiffies_min_age\n")
        (folder / "config").write_text("CONFIG_HZ_100=y\nCONFIG_HZ=100\n")
    return Kernel("k", folder, folder / "vmlinux", folder / "System.map", folder / "config", "7.3.4", 0.0)
