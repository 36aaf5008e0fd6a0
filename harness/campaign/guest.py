"""What a guest is booted from, and what is known of one: values that sessions and those who use them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.machine.accel import Choice
from harness.machine.target import Target
from harness.model import Guest, Qemu, Splat, Status

if TYPE_CHECKING:
    from harness.machine.snapshot import Snapshot


@dataclass(frozen=True)
class Plan:
    """Everything that a boot needs, but the evidence folder."""

    qemu: Qemu
    target: Target
    choice: Choice
    guest: Guest
    channel: str
    ssh_command: str  # what an SSH session runs to reach the agent
    flavour: str = "base"  # of the kernel's configuration


@dataclass(frozen=True)
class Mark:
    """A moment in the logs of a guest."""

    console: int = 0  # bytes of console before it
    trace: int = 0  # bytes of trace before it
    protocol: int = 0  # bytes of conversation before it


class BootFailed(Exception):
    """The guest never became ready; a result of the kernel under test, told to the caller at once."""

    def __init__(self, status: Status, reason: str, splats: tuple[Splat, ...], host_fault: str = "") -> None:
        super().__init__(reason)
        self.status = status  # crash or hang
        self.reason = reason
        self.splats = splats
        self.host_fault = host_fault  # why the host is to blame: boot again; empty when it is not


@dataclass(frozen=True)
class Frozen:
    """A guest that was saved when it was ready, and what is known of it."""

    snapshot: Snapshot  # copies start from it while it lasts
    hello: Mapping[str, Any]  # what its agent said
    facts: Mapping[str, Any]  # what its agent found
    boot_seconds: float  # what its boot took
    measured: Mapping[str, Any] | None  # the values of the suite's oracles; None: measure them on each copy
