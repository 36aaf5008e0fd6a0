"""The life of one virtual machine: ``with Vm(...) as vm``; it is gone when the block is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from qemu.qmp.legacy import QEMUMonitorProtocol
from qemu.qmp.protocol import ConnectError

from harness.errors import InfraError
from harness.machine.argv import Ram, Sockets, qemu_argv
from harness.machine.console import Console
from harness.machine.hosttime import GuestClock
from harness.machine.target import Accelerator, Target
from harness.machine.trace import TraceLog, unknown
from harness.model import Guest, Qemu
from harness.proc import Door, stop

_START = 15.0  # seconds in which QEMU must have connected all its ports
_COMMAND = 30.0  # seconds for QEMU's answer to a command on its monitor


class Vm:
    """One QEMU process with console, agent port, monitor and trace log.

    Raises InfraError on entry when QEMU does not start.
    """

    def __init__(
        self,
        qemu: Qemu,
        target: Target,
        accelerator: Accelerator,
        guest: Guest,
        channel: str,
        evidence: Path,
        door: Door,
        ram: Ram | None = None,
    ) -> None:
        self.target = target
        self.guest = guest
        self.evidence = evidence  # folder that keeps console.log, trace.log and qemu.log
        self.console = Console(evidence / "console.log")
        self.trace = TraceLog(evidence / "trace.log")
        self.port: socket.socket | None = None  # the agent's serial port
        self.clock = GuestClock()  # wall time until QEMU has started
        self._door = door
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: QEMUMonitorProtocol | None = None
        self._launch = (qemu, target, accelerator, guest, channel)
        self._ram = ram

    def __enter__(self) -> Vm:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def on_exit(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` before the machine is stopped."""
        self._stack.callback(callback)

    def _start(self) -> None:
        self.evidence.mkdir(parents=True, exist_ok=True)
        # A UNIX socket's path has 107 bytes at most (unix(7)); a run directory may be deeper.
        folder = Path(tempfile.mkdtemp(prefix="kph-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sockets = Sockets(
            folder / "console", folder / "port", folder / "qmp", self.evidence / "events", self.trace.file
        )
        sockets.events.write_text("".join(f"{name}\n" for name in self.target.trace))
        console, port = self._listen(sockets.console), self._listen(sockets.port)
        self._monitor = QEMUMonitorProtocol(str(sockets.qmp), server=True)
        self._stack.callback(self._close_monitor)
        qemu, target, accelerator, guest, channel = self._launch
        argv = qemu_argv(qemu, target, accelerator, guest, channel, sockets, self._ram)
        log = self.evidence / "qemu.log"
        self._process = self._stack.enter_context(self._door.spawn(argv, output=log))
        try:
            self.console.start(self._accept(console))
            self._stack.callback(self.console.join, 2.0)
            self.port = self._accept(port)
            self._monitor.accept(_START)
            self._monitor.settimeout(_COMMAND)
        except (OSError, ConnectError, TimeoutError) as error:
            raise InfraError(
                f"QEMU did not start: {log.read_text(errors='replace').strip() or error}",
                f"its command is in {self._door.log}",
            ) from error
        self.clock = GuestClock(self._threads())
        self._stack.callback(self.clock.close)
        # First of all that happens at the end: the console is read to its end, which comes with QEMU's.
        self._stack.callback(stop, self._process)
        if lacking := unknown(target.fault_events, log.read_text(errors="replace")):
            raise InfraError(
                f"{argv[0]} has no trace event {', '.join(lacking)}, so no DMA fault would be seen",
                "apply qemu/patches and build with the trace backend 'log'; or leave --qemu out",
            )

    def _threads(self) -> tuple[int, ...]:
        """Those that the guest needs in order to go on: QEMU's main loop and the virtual CPUs."""
        assert self._process is not None
        return (self._process.pid, *(int(cpu["thread-id"]) for cpu in self.qmp("query-cpus-fast")))

    def _listen(self, path: Path) -> socket.socket:
        listener = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(str(path))
        listener.listen(1)
        return listener

    def _accept(self, listener: socket.socket) -> socket.socket:
        deadline = time.monotonic() + _START
        listener.settimeout(0.1)
        while True:
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                if self.ended() is None and time.monotonic() < deadline:
                    continue
                raise
            peer.settimeout(None)
            return self._stack.enter_context(peer)

    def _close_monitor(self) -> None:
        # The library raises what the peer's end left behind; the machine is going away, so nobody can use it.
        with contextlib.suppress(OSError, EOFError, ConnectError, RuntimeError):
            if self._monitor is not None:
                self._monitor.close()

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Run one QMP command. Raises what qemu.qmp raises on refusal."""
        assert self._monitor is not None
        return self._monitor.cmd(command, **arguments)

    @contextlib.contextmanager
    def spread(self) -> Iterator[None]:
        """Each CPU of the guest has CPUs of the host for itself, so that they do run at the same time.

        Left alone, the host puts one that it wakes beside the one that has woken it.
        """
        host = sorted(os.sched_getaffinity(0))
        threads = [cpu["thread-id"] for cpu in self.qmp("query-cpus-fast")]
        if len(host) < len(threads):
            yield
            return
        for number, thread in enumerate(threads):
            os.sched_setaffinity(thread, host[number :: len(threads)])
        try:
            yield
        finally:
            for thread in threads:
                with contextlib.suppress(ProcessLookupError):  # the guest may be gone
                    os.sched_setaffinity(thread, host)

    def ended(self) -> str | None:
        """How QEMU ended, or None while it runs."""
        status = self._process.poll() if self._process else None
        if status is None:
            return None
        if status < 0:
            return f"QEMU was ended by {self.ended_by_signal()}"
        return "the guest powered off or rebooted" if status == 0 else f"QEMU ended with status {status}"

    def ended_by_signal(self) -> str:
        """Name of the signal that ended QEMU; empty while it runs, and when it ended by itself."""
        status = self._process.poll() if self._process else None
        return signal.Signals(-status).name if status is not None and status < 0 else ""

    def said(self) -> str:
        """The last line that QEMU itself printed."""
        log = self.evidence / "qemu.log"
        return (log.read_text(errors="replace").strip().splitlines() or [""])[-1] if log.exists() else ""

    def wait_end(self, seconds: float) -> bool:
        """Whether QEMU ends within ``seconds``."""
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self.console.join(2.0)
        return True
