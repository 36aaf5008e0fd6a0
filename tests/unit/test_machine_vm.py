"""The start of a machine, with a program in place of QEMU that connects to its ports and prints what it is told to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.machine import target as targets
from harness.machine.vm import Vm
from harness.model import Guest, Kernel, Qemu
from harness.proc import Door

TARGET = targets.load("x86_64-vtd")
[FAULT] = TARGET.fault_events
QEMU = """#!{python}
import json, re, socket, sys
print({said!r}, file=sys.stderr, flush=True)
ports = []
for name in ("console", "port", "qmp"):
    path = next(found[1] for word in sys.argv if (found := re.fullmatch(f"socket,id={{name}},path=(.*)", word)))
    ports.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    ports[-1].connect(path)
def say(message):
    ports[-1].sendall(json.dumps(message).encode() + b"\\r\\n")
version = {{"qemu": {{"major": 10, "minor": 2, "micro": 2}}, "package": ""}}
say({{"QMP": {{"version": version, "capabilities": []}}}})
while command := ports[-1].recv(65536):  # commands end without a new line
    asked = json.loads(command)
    answer = [{{"thread-id": 1}}] if asked["execute"] == "query-cpus-fast" else {{}}
    say({{"return": answer, **({{"id": asked["id"]}} if "id" in asked else {{}})}})
"""


def _vm(folder: Path, said: str) -> Vm:
    program = folder / "bin" / TARGET.binary
    program.parent.mkdir()
    program.write_text(QEMU.format(python=sys.executable, said=said))
    program.chmod(0o755)
    guest = Guest(Kernel("k", folder, folder, folder, folder, "7.3.4", 1.0), folder, None)
    return Vm(Qemu(folder, "10", "user"), TARGET, TARGET.accelerators[-1], guest, "serial", folder / "boot", Door())


def test_a_machine_starts_whatever_other_warnings_there_are(tmp_path: Path) -> None:
    with _vm(tmp_path, "warning: trace event 'another_one' does not exist") as vm:
        assert vm.ended() is None
    assert vm.ended() is not None


@pytest.mark.parametrize("trouble", ["does not exist", "is not traceable"])
def test_without_the_event_of_its_faults_there_is_no_machine(tmp_path: Path, trouble: str) -> None:
    vm = _vm(tmp_path, f"qemu-system-x86_64: warning: trace event '{FAULT}' {trouble}")
    with pytest.raises(InfraError, match=f"no trace event {FAULT}, so no DMA fault would be seen"), vm:
        pytest.fail("the block must not run")
    assert vm.ended() is not None
