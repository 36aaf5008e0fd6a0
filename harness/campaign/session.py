"""A booted guest whose agent answers: machine and channel together, as scenarios see them."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.campaign import leaks
from harness.campaign.guest import BootFailed, Frozen, Mark, Plan
from harness.channel.agent import PROTOCOL, AgentLink
from harness.channel.base import ChannelClosed
from harness.channel.serial import SerialChannel
from harness.channel.ssh import SshChannel
from harness.errors import InfraError
from harness.machine import hardware
from harness.machine.snapshot import Snapshot, SnapshotFailed
from harness.machine.vm import Vm
from harness.model import Splat, Status
from harness.proc import Door
from harness.scenario.link import GuestLost, GuestTimeout, TraceEvent
from harness.scenario.needs import FLAVOUR

_LAST_WORDS = 3.0  # seconds for the console to end after a panic
_REPLY = 15.0  # seconds for the first requests
_CONSOLE = 10.0  # seconds of the guest's time for its console to print what the kernel has said, on a fast guest


class Session:
    """``with Session(...) as guest``: booted, modules loaded, roles named, facts known.

    With ``start``: a Snapshot, the guest can be frozen; Frozen, it is a copy, which does not boot and may be rewound.

    Raises BootFailed on entry when the kernel does not get there, SnapshotFailed when the copy does not go on where
    it was frozen, another InfraError when the host is at fault.
    """

    def __init__(self, plan: Plan, evidence: Path, door: Door, start: Snapshot | Frozen | None = None) -> None:
        self._plan = plan
        self._start = start
        self._machine = _machine(plan, evidence, door, start)
        self._vm: Vm
        self._stack = contextlib.ExitStack()
        self._link: AgentLink | None = None
        self.evidence = evidence
        self.facts: Mapping[str, Any] = {}
        self.boot_seconds = 0.0
        self.halted = False  # stopped, and may be rewound
        self._begin = Mark()  # where the logs of the present guest begin, in those of its machine

    def __enter__(self) -> Session:
        with contextlib.ExitStack() as stack:
            self._vm = stack.enter_context(self._machine)
            started = self.now()
            if isinstance(self._start, Frozen):
                self._go_on()
            else:
                try:
                    self._make_ready(started)
                except (GuestLost, GuestTimeout) as error:
                    status = Status.HANG if isinstance(error, GuestTimeout) else None
                    raise self._boot_failure(status, str(error)) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def freeze(self, measured: Mapping[str, Any] | None) -> Frozen:
        """Save the guest for copies; this session is of no more use. Raises SnapshotFailed.

        ``measured``: what the suite's oracles say of it; None where its copies differ from it.
        """
        assert isinstance(self._start, Snapshot)
        hello = self._agent.hello or {}
        self.drain()
        self._disconnect()
        self._start.save(self._vm)
        return Frozen(self._start, hello, self.facts, self.boot_seconds, measured)

    def spread(self) -> AbstractContextManager[None]:
        """See Vm.spread."""
        return self._vm.spread()

    def drain(self, scale: float = 1.0) -> bool:
        """Have the console print all that the kernel has said so far; False if that takes too long.

        Serial consoles print in a thread of the kernel, so what it said in a system call may come after the return;
        WARN, oops, panic and lockdep alone print at once (drivers/tty/serial/8250/8250_core.c and amba-pl011.c:
        CON_NBCON; kernel/printk/nbcon.c). Records are printed in order, and the last one is ours.
        """
        word, limit = f"kph: all is said, {secrets.token_hex(4)}", _CONSOLE * scale
        printed, until = self._vm.console.coming(word), self.now() + limit
        try:
            if self.call("write_file", {"path": "/dev/kmsg", "text": f"<6>{word}\n"}, deadline=limit)["ret"] < 0:
                return False
        except (GuestLost, GuestTimeout) as error:
            return isinstance(error, GuestLost)  # a dead kernel has printed what it could
        while not printed.wait(0.05):
            if self.now() > until:
                return False
        return True

    def halt(self) -> None:
        """Stop a copy whose scenario is over, if ``rewind`` can make it pristine again.

        What its kernel printed so far is read then, so ``splats`` has all of them.
        """
        # An answer that is still to come would be the next guest's.
        if not isinstance(self._start, Frozen) or self._agent.waiting or not self._start.snapshot.can_rewind(self._vm):
            return
        self._disconnect()
        with contextlib.suppress(SnapshotFailed):  # it has ended by itself, and is thrown away
            self._start.snapshot.stop(self._vm)
            self.halted = True
        self._vm.console.catch_up(_LAST_WORDS)

    def rewind(self) -> None:
        """Make a copy that was halted pristine again; its logs begin here. Raises SnapshotFailed."""
        assert isinstance(self._start, Frozen)
        self.halted = False
        self._vm.console.begin_anew()
        self._begin = self._here()
        self._start.snapshot.rewind(self._vm)
        self._go_on()

    # --- what scenarios use -------------------------------------------------
    def call(
        self, op: str, args: Mapping[str, object] | None = None, actor: str | None = None, deadline: float = _REPLY
    ) -> Mapping[str, Any]:
        """See AgentLink.call."""
        if op == leaks.SCAN and self._ends_with_oracles:
            leaks.lockdep_off(self._vm, self._plan.guest.kernel)
        return self._agent.call(op, args, actor, deadline)

    @property
    def _ends_with_oracles(self) -> bool:
        """Whether an oracle is asked only when the scenario is over, and the guest is thrown away afterwards."""
        return isinstance(self._start, Frozen) and self._start.measured is not None

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        """See AgentLink.begin."""
        return self._agent.begin(op, args, actor)

    def finish(self, token: int, deadline: float) -> Mapping[str, Any]:
        """See AgentLink.finish."""
        return self._agent.finish(token, deadline)

    def now(self) -> float:
        """Seconds of the guest's own time; see GuestClock."""
        return self._vm.clock.now()

    def sleep(self, seconds: float) -> None:
        """Wait, by the wall's time."""
        self._vm.clock.sleep(seconds)

    def mark(self) -> Mark:
        """Now, in the logs."""
        return self._here()

    def trace(self, since: Mark) -> Sequence[TraceEvent]:
        """What the emulated hardware saw after ``since``."""
        return self._vm.trace.since(since.trace)

    def console_since(self, since: Mark) -> str:
        """What the kernel printed after ``since``."""
        return self._vm.console.since(since.console)

    def hardware(self) -> Sequence[Mapping[str, Any]]:
        """What the emulated hardware would use now."""
        if gone := self._gone():
            raise GuestLost(gone)
        return hardware.rows(self._vm, self._plan.target)

    # --- what the suite runner uses -----------------------------------------
    def splats(self) -> tuple[Splat, ...]:
        """Every splat since power-on, or since the copy began."""
        return tuple(self._vm.console.watch().splats)

    def panic(self) -> str | None:
        """Title of the panic, if there was one."""
        return self._vm.console.panic()

    def last_words(self, lost: bool = False) -> str:
        """How the guest ended, after its console has had time to say so; empty while it runs.

        ``lost``: its channel is broken, so its end may be near.
        """
        if lost or self.panic() or self._vm.ended():
            self._vm.wait_end(_LAST_WORDS)
        panic = self.panic()
        return f"kernel panic: {panic}" if panic else (self._vm.ended() or "")

    def host_fault(self) -> str:
        """Why the host, and not the kernel, is to blame for the guest's end; empty when it is not.

        A QEMU that was ended by a signal (an assertion, the kernel's OOM killer) says nothing of the guest.
        """
        signal = self._vm.ended_by_signal()
        if signal:
            return f"QEMU was ended by {signal}: {self._vm.said()}"
        lines = self.console_since(self._begin).splitlines() if self.panic() else ()
        return next((line for line in lines for sign in self._plan.target.host_faults if sign in line), "")

    def blocked_tasks(self) -> None:
        """Ask the kernel to print its blocked tasks; evidence for a hang, best effort."""
        with contextlib.suppress(GuestLost, GuestTimeout):
            self._agent.call("sysrq", {"key": "w"}, deadline=2.0)
            time.sleep(0.5)

    def keep_logs(self, folder: Path) -> None:
        """Put the logs of the present guest into ``folder``, unless that is where its machine writes them."""
        if folder == self.evidence:
            return
        begin = self._begin
        (folder / "console.log").write_bytes(self._vm.console.raw(begin.console))
        for name, since in (
            ("trace.log", begin.trace),
            ("protocol.log", begin.protocol),
            ("qemu.log", 0),
        ):
            with contextlib.suppress(FileNotFoundError), (self.evidence / name).open("rb") as source:
                source.seek(since)
                with (folder / name).open("wb") as sink:
                    shutil.copyfileobj(source, sink)

    # --- boot -----------------------------------------------------------------
    @property
    def _agent(self) -> AgentLink:
        if self._link is None:
            raise GuestLost("the agent is not there yet")
        return self._link

    def _gone(self) -> str | None:
        panic = self.panic()
        return f"kernel panic: {panic}" if panic else self._vm.ended()

    def _here(self) -> Mark:
        log = self.evidence / "protocol.log"
        return Mark(self._vm.console.bytes, self._vm.trace.mark(), log.stat().st_size if log.exists() else 0)

    def _disconnect(self) -> None:
        """Close a connection that ends in the guest: what the guest becomes has no other end for it."""
        if self._plan.guest.ssh is not None and self._link is not None:
            self._link.close()
            self._link = None

    def _go_on(self) -> None:
        """As a copy, from where the guest was frozen."""
        try:
            self._make_ready(self.now())
        except (GuestLost, GuestTimeout) as error:
            raise SnapshotFailed(f"a copy of the guest does not go on: {error}") from error

    def _make_ready(self, started: float) -> None:
        frozen = self._start if isinstance(self._start, Frozen) else None
        if frozen and self._plan.guest.ssh is None:
            # The agent said hello and learned the roles before it was saved; it waits for a line on its port.
            self._link = self._link or self._connect()
            self._agent.hello, self.facts = frozen.hello, frozen.facts
            self.call("ping")
        else:
            self._boot(started)
            self._introduce()
            self.facts = leaks.hastened(self._vm, self._plan.guest.kernel, self.facts)
        self._vm.console.prompt.set()
        self.boot_seconds = frozen.boot_seconds if frozen else self.now() - started

    def _boot(self, started: float) -> None:
        target = self._plan.target
        printed, heard = 0, started
        while True:
            self._link = self._link or self._connect()
            if self._link and self._link.wait_hello(0.2):
                return
            gone = self._gone()
            if gone:
                raise GuestLost(gone)
            now = self.now()
            if self._vm.console.bytes != printed:
                printed, heard = self._vm.console.bytes, now
            if now - heard > target.boot_silence:
                raise GuestTimeout(f"no console output for {target.boot_silence:.0f} s")
            if now - started > target.boot_limit:
                raise GuestTimeout(f"the agent did not say hello within {target.boot_limit:.0f} s")

    def _connect(self) -> AgentLink | None:
        """The link over the plan's channel; None when the guest does not answer yet."""
        log = self.evidence / "protocol.log"
        keys = self._plan.guest.ssh
        if keys is None:
            assert self._vm.port is not None
            return self._keep(AgentLink(SerialChannel(self._vm.port), self._gone, log, self.now))
        try:
            channel = SshChannel(self._ssh_port(), keys, self._plan.ssh_command)
            return self._keep(AgentLink(channel, self._gone, log, self.now))
        except ChannelClosed:
            time.sleep(0.2)
            return None

    def _keep(self, link: AgentLink) -> AgentLink:
        self._vm.on_exit(link.close)
        return link

    def _ssh_port(self) -> int:
        """The loopback port that QEMU chose for the guest's port 22."""
        for line in str(self._vm.qmp("human-monitor-command", **{"command-line": "info usernet"})).splitlines():
            words = line.split()
            # Columns: protocol[state] fd source-address source-port destination-address destination-port queues
            if words and words[0].startswith("TCP[HOST_FORWARD]") and words[5] == "22":
                return int(words[3])
        raise InfraError("QEMU forwards no port to the guest's SSH server", "the target's ssh channel needs hostfwd")

    def _introduce(self) -> None:
        """Check that this is the kernel and the agent that we built, name the roles, read the facts."""
        hello = self._agent.hello or {}
        wanted = self._plan.guest.kernel.build_id  # the release says no more than the version
        if hello.get("protocol") != PROTOCOL or not wanted or hello.get("build_id") != wanted:
            raise InfraError(
                f"the guest runs {hello}, not the kernel with build id {wanted} and protocol {PROTOCOL}", "report this"
            )
        if hello.get("init") != "ok":
            raise GuestLost(f"the guest's init failed: {hello.get('init')}")
        roles = {name: role.device for name, role in self._plan.target.roles.items()}
        reply = self.call("roles", roles)
        if reply.get("ret", -1) < 0:
            raise GuestLost(f"the agent does not take the roles: {reply}")
        self.facts = {**self.call("facts"), FLAVOUR: self._plan.flavour}

    def _boot_failure(self, status: Status | None, reason: str) -> BootFailed:
        words = self.last_words(lost=status is None)
        lines = self._vm.console.since(0).strip().splitlines()
        tail = f"; last line: {lines[-1].strip()}" if lines and not words else ""
        verb = {None: "dies", Status.HANG: "hangs"}[status if not words else None]
        return BootFailed(
            Status.CRASH if words else (status or Status.CRASH),
            f"the kernel {verb} in boot: {words or reason}{tail}",
            self.splats(),
            self.host_fault(),
        )


def _machine(plan: Plan, evidence: Path, door: Door, start: Snapshot | Frozen | None) -> AbstractContextManager[Vm]:
    if isinstance(start, Frozen):
        return start.snapshot.copy(evidence)
    if start is not None:
        return start.boot(evidence)
    return Vm(plan.qemu, plan.target, plan.choice.accelerator, plan.guest, plan.channel, evidence, door)
