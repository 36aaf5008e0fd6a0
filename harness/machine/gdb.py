"""Words of a guest's memory, read and written by kernel address through QEMU's gdb server.

As the vCPUs see it, so that nobody need know how an architecture maps its kernel. The guest stands still meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.machine.vm import Vm

_WAIT = 10.0  # seconds for an answer
_WORD = 8  # bytes


class Refused(Exception):
    """The gdb server did not do it."""


class Words:
    """64-bit words at addresses of the guest's kernel. Both raise Refused when the address is not mapped."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._rest = b""

    def read(self, address: int) -> int:
        try:
            (value,) = struct.unpack("<Q", bytes.fromhex(self.ask(f"m{address:x},{_WORD}")))
        except (ValueError, struct.error) as error:
            raise Refused(f"nothing can be read at {address:#x}") from error
        assert isinstance(value, int)
        return value

    def write(self, address: int, value: int) -> None:
        if self.ask(f"M{address:x},{_WORD}:{struct.pack('<Q', value).hex()}") != "OK":
            raise Refused(f"nothing can be written at {address:#x}")

    def ask(self, command: str) -> str:
        """The answer to one packet of the remote serial protocol."""
        self._peer.sendall(b"$%s#%02x" % (command.encode(), sum(command.encode()) % 256))
        while True:
            begin, end = self._rest.find(b"$"), self._rest.find(b"#")
            if 0 <= begin < end and len(self._rest) >= end + 3:
                answer, self._rest = self._rest[begin + 1 : end], self._rest[end + 3 :]
                self._peer.sendall(b"+")
                return answer.decode(errors="replace")
            chunk = self._peer.recv(4096)
            if not chunk:
                raise Refused("the gdb server closed its connection")
            self._rest += chunk


@contextlib.contextmanager
def words(vm: Vm) -> Iterator[Words]:
    """The memory of ``vm``, which stands still inside the block.

    Raises Refused and OSError when the server cannot be reached, and what ``Vm.qmp`` raises.
    """
    with tempfile.TemporaryDirectory(prefix="kph-") as folder, socket.socket(socket.AF_UNIX) as peer:
        path = Path(folder) / "gdb"
        _server(vm, f"unix:{path},server=on,wait=off")
        try:
            peer.settimeout(_WAIT)
            peer.connect(str(path))
            found = Words(peer)
            yield found
            found.ask("D")  # detaching lets the guest go on
        finally:
            _server(vm, "none")
            vm.qmp("cont")


def _server(vm: Vm, device: str) -> None:
    vm.qmp("human-monitor-command", **{"command-line": f"gdbserver {device}"})
