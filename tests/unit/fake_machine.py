"""A machine of which a test plays the monitor, the gdb server and the memory behind both."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness.machine.vm import Vm


class Machine:
    """A Vm of which only the monitor and the gdb server are there."""

    def __init__(self, memory: Mapping[int, int] | None = None, answer: str = "") -> None:
        self.memory = dict(memory or {})
        self.said: list[str] = []  # commands to the monitor
        self.packets: list[str] = []
        self.physical: dict[int, int] = {}  # by kernel address
        self.target = SimpleNamespace(memory_mib=256)
        self._answer = answer  # to every packet, whatever it asks
        self._threads: list[threading.Thread] = []

    def qmp(self, command: str, **arguments: Any) -> Any:
        line = arguments.get("command-line", command)
        self.said.append(line.split(":")[0])
        if command == "memsave":
            words = range(arguments["val"], arguments["val"] + arguments["size"], 8)
            saved = b"".join(self.memory.get(each, 0).to_bytes(8, "little") for each in words)
            Path(arguments["filename"]).write_bytes(saved)
        if line.startswith("gva2gpa"):
            found = self.physical.get(int(line.split()[1], 16))
            return "Unmapped\r\n" if found is None else f"gpa: {found:#x}\r\n"
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
