"""Panics that only follow up what was reported before."""

from __future__ import annotations

from harness.model import SplatKind
from harness.verdict.reports import Report

# Panics that say that something was reported before, and nothing else. From the panic() calls of kernel/panic.c,
# kernel/exit.c, arch/x86/kernel/{dumpstack,traps}.c, arch/arm64/kernel/traps.c, kernel/watchdog.c, kernel/hung_task.c,
# kernel/rcu/tree_stall.h, mm/kasan/report.c.
_AFTERMATH = (
    "Fatal exception",
    "Attempted to kill init! exitcode=0x000000",  # by a signal; the kernel's own is 0x0b or 0x09
    "Aiee, killing interrupt handler!",
    "Attempted to kill the idle task!",
    "Oopsed too often",
    "Machine halted.",
    "kernel stack overflow",
    "Asynchronous SError Interrupt",
    "Unhandled exception",
    "bad mode",
    "softlockup: hung tasks",
    "Hard LOCKUP",
    "hung_task: blocked tasks",
    "RCU Stall",
    "kasan.fault=",
)
_AFTER_WARN = ("panic_on_warn set ...", "system warned too often")
# Kinds that such a panic can follow although the kernel went on for a while.
_LASTING = (SplatKind.RCU_STALL, SplatKind.SOFT_LOCKUP, SplatKind.HUNG_TASK, SplatKind.KASAN)


def cause(what: str, mine: Report | None, latest: Report | None) -> Report | None:
    """The report that the panic ``what`` ends, if it is no more than that.

    ``mine`` is open in the caller that panics, ``latest`` is the newest of all.
    """
    newest = mine or latest
    if any(words in what for words in _AFTER_WARN):
        return newest
    if not any(words in what for words in _AFTERMATH):
        return None
    return next((report for report in (newest, latest) if report is not None and _can_kill(report)), None)


def _can_kill(report: Report) -> bool:
    return report.died or report.kind is SplatKind.OOPS or report.kind in _LASTING
