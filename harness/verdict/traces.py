"""Call traces: what is a frame, and which lines belong to a report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# printk_stack_address() in arch/x86/kernel/dumpstack.c (" ? " marks a guess) and dump_backtrace_entry() in
# arch/arm64/kernel/stacktrace.c (a letter in brackets at the end names the source).
_FRAME = re.compile(
    r"\s+(?P<guess>\? )?(?P<func>[A-Za-z_][\w.$]*)\+(?P<offset>0x[0-9a-f]+)/0x[0-9a-f]+(?: \[[^\]]*\])?"
    r"(?: \((?P<source>[A-Z]+)\))?$"
)
_BARE = re.compile(r"\s+(?:\? )?(?:\[<[0-9a-f]+>\] )?0x[0-9a-f]{1,16}(?: \[[^\]]*\])?(?: \([A-Z]+\))?$")
# show_ip() in arch/x86/kernel/dumpstack.c (segment 0010 is the kernel's), __show_regs() in arch/arm64/kernel/process.c
_TOP = re.compile(r"(?:RIP: 0010:|EIP: |pc : )(?P<func>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x[0-9a-f]+")
# Any of them, and the address that arm64's pc and x86's RIP give is that of the instruction itself.
_SPOT = re.compile(
    r"(?:(?P<exact>RIP: 0010:|EIP: |pc : )|lr : |\s+)"
    r"(?P<text>(?P<func>[A-Za-z_][\w.$]*)\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)"
    r"(?: \[(?P<module>\w+)[^\]]*\])?)"
    r"(?: \((?P<source>[A-Z]+)\))?$"
)
_CALLER = re.compile(r"lr : (?P<func>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x[0-9a-f]+")
# mm/kmemleak.c prints its own: where the memory was allocated, each line with its prefix.
_START = re.compile(r"Call [Tt]race:$|  backtrace(?: \(crc [0-9a-f]+\))?:$")
_PREFIX = "kmemleak: "
_STACK = re.compile(r" <(?P<end>/?)(?P<name>[A-Z_#]+)>$")
# Lines inside a trace that are no frames: registers at an exception, and the unwinder's own remarks.
_REGISTERS = re.compile(
    r"(?:RIP|RSP|EIP|EAX|ESI|RAX|RDX|RBP|R1[03]|FS|CS|CR[023]|DR[036]|PKRU|Code|ORIG_RAX|pstate|pc|lr|sp|pmr|x\d\d?)"
    r" ?: ?"
)
# What compilers append to the name of a clone or a split function.
_CLONE = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias|__uniq)\b(?:\.\d+)*")
_SUFFIX = re.compile(r"\.\d+$")


@dataclass(frozen=True)
class Frame:
    """One line of a call trace."""

    function: str  # without offset, module and compiler's suffix; empty when it is not known
    guess: bool  # found on the stack, not by the unwinder ("?")


@dataclass(frozen=True)
class Spot:
    """An address that a line of a report names by its function."""

    text: str  # function+0x12/0x34 [module]
    function: str  # as the image has it, compiler's suffix and all
    offset: int  # from the function's first byte
    size: int  # of the function, up to the next symbol
    module: str  # empty for the kernel itself
    exact: bool  # of an instruction; else the address to which a call returns


def spots(text: Iterable[str]) -> tuple[Spot, ...]:
    """What the lines of a report name, guesses left out."""
    return tuple(spot for line in text if (spot := _spot(unprefixed(line))) is not None)


def _spot(text: str) -> Spot | None:
    found = _SPOT.match(text)
    if found is None:
        return None
    exact = found["exact"] is not None or "P" in (found["source"] or "")
    numbers = int(found["offset"], 16), int(found["size"], 16)
    return Spot(found["text"], found["func"], *numbers, found["module"] or "", exact)


def frame(text: str) -> Frame | None:
    """The frame that a line of a call trace shows."""
    found = _FRAME.match(text)
    if found is None:
        return Frame("", True) if _BARE.match(text) else None
    guess = found["guess"] is not None
    # A call that never returns may be a function's last instruction: then the address to return to is the start of
    # whatever comes next. arm64 names that one (x86 looks up the byte before); only "P" is an address that was run.
    follows = int(found["offset"], 16) == 0 and "P" not in (found["source"] or "")
    return Frame("" if follows else plain(found["func"]), guess)


def top(text: str) -> str | None:
    """The kernel function that a register line says was running."""
    found = _TOP.match(text)
    return plain(found["func"]) if found else None


def caller(text: str) -> str | None:
    """The function that arm64's link register names: it called the one that was running, or is the same."""
    found = _CALLER.match(text)
    return plain(found["func"]) if found else None


def unprefixed(text: str) -> str:
    """A line without what printk's callers put in front of each line of a trace."""
    return text.removeprefix(_PREFIX)


def starts(text: str) -> bool:
    """The line before a call trace."""
    return _START.match(text) is not None


def stack_mark(text: str) -> tuple[str, bool] | None:
    """x86 names the stacks that a trace crosses: (TASK, False) for ``<TASK>``, (TASK, True) for ``</TASK>``."""
    found = _STACK.match(text)
    return (found["name"], found["end"] == "/") if found else None


def in_trace(text: str) -> bool:
    """A line that may stand inside a call trace without being a frame."""
    return bool(_STACK.match(text) or _REGISTERS.match(text) or not text)


def plain(function: str) -> str:
    """The name as the source has it: two compilations of one function may differ in clones."""
    return _SUFFIX.sub("", _CLONE.sub("", function)) or function


# Lines that reports consist of besides traces. Anything else after the trace ends the report.
_BELONGS = re.compile(
    r"\s*$|CPU: \d+ |Tainted: |Hardware name: |Workqueue: |Stopper: |Sched_ext: |Modules linked in: |Unloaded tainted"
    r"|---\[ end |note: |Kernel Offset: |Rebooting in |Dumping ftrace|Kernel panic|SMP: |\(detected by|\t"
    r"|rcu: |NMI backtrace|Sending NMI|task:|Preemption disabled at|INFO: lockdep is turned off|\d+ locks? held by"
    r"|locks held by|no locks held by| ?#\d+: |Showing all locks|=+$|irq event stamp|(?:hard|soft)irqs last|CPU#\d+ "
    r"|Mem abort info|Data abort info|  [A-Z][\w]* = |\[[0-9a-f]{16}\]|PGD |#PF: |Disabling lock debugging"
    r"|Lock dependency|INFO: task .* (?:is )?blocked on |\"echo 0 > /proc/sys/kernel/hung_task|Future hung task"
    r"|Asynchronous wait|Backtrace|Fix(?:ing)? |FIX |SLUB|Object |Redzone |Padding |Bytes b4 |Allocated by|Freed by"
    r"|Last potentially|Second to last|The buggy address|Memory state around|>|page: |page_type|flags: |raw: "
    r"|page dumped|Shutting down cpus|Slab 0x|(?:allocated|freed) by|Uninit was|Reported by"
    r"|stack backtrace|other info that|Call Trace|kmemleak:   "
)


def belongs(text: str) -> bool:
    """A line that only reports print: it keeps an open report open."""
    return any(shape.match(text) for shape in (_BELONGS, _REGISTERS, _FRAME, _BARE, _STACK))
