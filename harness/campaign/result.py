"""What one kernel did, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import Known, Outcome, Splat


@dataclass(frozen=True)
class SideResult:
    """What one kernel did."""

    outcomes: tuple[Outcome, ...]  # of the scenarios that there are, in order
    boot_splats: tuple[Splat, ...]  # outside of any scenario: in boot
    boots: int  # VMs started
    boot_seconds: float  # of the first boot that worked; 0 when none did
    failure: str  # why there is no booted kernel at the end: not built, not booted; empty otherwise
    notes: tuple[str, ...] = ()  # what the reader should know of how this came about
    known: tuple[Known, ...] = ()  # splats outside of any scenario that do not count
    otherwise: Outcome | None = None  # of every scenario that is not in outcomes; None: the kernel has no such scenario
