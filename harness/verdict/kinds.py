"""The first lines of the kernel's complaints: which words mean which kind.

Every pattern follows a format string of Linux 7.3, named beside it; older forms are
kept where trees of the last years still print them. A pattern is matched against the
start of a line without printk's prefix, so a quotation in the middle is not a complaint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from harness.model import SplatKind

# %pS of lib/vsprintf.c: function+offset/size [module build-id]; a bare address without CONFIG_KALLSYMS.
SYMBOL = r"(?:(?P<func>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[[^\]]*\])?|(?:0x)?[0-9a-f]{8,16})"


class Role(Enum):
    """What a first line does when a report is already open."""

    START = auto()  # always a report of its own
    CAUSE = auto()  # a DIE line of the same event follows
    DIE = auto()  # the architecture's die(): continues a CAUSE
    TRAP = auto()  # WARN or BUG machinery: continues a MESSAGE
    MESSAGE = auto()  # the text of a WARN or BUG, which has a kind of its own
    PANIC = auto()  # may be the consequence of what came before


@dataclass(frozen=True)
class Rule:
    """One kind of first line."""

    kind: SplatKind
    role: Role
    # groups: what and more (go into the title, one after the other), func (function that the line names)
    pattern: re.Pattern[str]
    title: str  # {what} is filled in; " in <function>" is added
    trace: bool = True  # a call trace is part of the report; without it the report is cut
    patience: int = 24  # lines of no known form that may come before the trace


@dataclass(frozen=True)
class Header:
    """A first line that was recognised."""

    rule: Rule
    what: str  # words for the title, not yet normalised
    function: str  # empty when the line names none
    file: str = ""  # source file that the line names


def _rule(
    kind: SplatKind, role: Role, pattern: str, title: str = "{what}", *, trace: bool = True, patience: int = 24
) -> Rule:
    return Rule(kind, role, re.compile(pattern), title, trace, patience)


_K = SplatKind
_OOPS = (
    # arch/x86/mm/fault.c: show_fault_oops(); the second form of each is from before 5.1
    _rule(
        _K.OOPS,
        Role.CAUSE,
        r"BUG: (?:kernel NULL pointer dereference, address: |unable to handle kernel NULL pointer dereference at )",
        "kernel NULL pointer dereference",
    ),
    _rule(
        _K.OOPS,
        Role.CAUSE,
        r"BUG: unable to handle (?:page fault for address: |kernel paging request at )",
        "page fault",
    ),
    # arch/x86/kernel/traps.c: handle_stack_overflow(), exc_double_fault()
    _rule(_K.OOPS, Role.CAUSE, r"BUG: \S+ stack guard page was hit at ", "stack guard page"),
    _rule(_K.OOPS, Role.CAUSE, r"PANIC: double fault, error_code: ", "double fault"),
    _rule(_K.OOPS, Role.CAUSE, r"BUG: invalid or fatal FRED event; ", "invalid FRED event"),
    # arch/x86/mm/fault.c: pgtable_bad(); the line begins with the task's name
    _rule(_K.OOPS, Role.CAUSE, r"\S.{0,15}: Corrupted page table at address ", "corrupted page table"),
    # arch/x86/mm/extable.c: early_fixup_exception()
    _rule(_K.OOPS, Role.START, r"PANIC: (?P<what>early exception 0x[0-9a-f]{2}) IP ", trace=False),
    # lib/bug.c: __report_bug()
    _rule(_K.OOPS, Role.TRAP, r"kernel BUG at \S+:\d+!$", "kernel BUG"),
    _rule(_K.OOPS, Role.TRAP, rf"kernel BUG at {SYMBOL} \[verbose debug info unavailable\]", "kernel BUG"),
    # arch/arm64/mm/fault.c: die_kernel_fault(); the first has the words, and the title, of x86 before 5.1
    _rule(_K.OOPS, Role.CAUSE, r"Unable to handle kernel paging request at virtual address [0-9a-f]+", "page fault"),
    _rule(
        _K.OOPS,
        Role.CAUSE,
        r"Unable to handle kernel (?P<what>.+?) at virtual address [0-9a-f]+",
        "kernel {what}",
    ),
    # arch/arm64/kernel/traps.c: panic_bad_stack(), arm64_serror_panic()
    _rule(_K.OOPS, Role.START, r"Insufficient stack space to handle exception!", "kernel stack overflow"),
    _rule(_K.OOPS, Role.START, r"SError Interrupt on CPU\d+, code 0x", "SError interrupt"),
    # arch/arm64/kernel/entry-common.c: __panic_unhandled(); traps.c: bad_mode() before 5.13
    _rule(_K.OOPS, Role.START, r"Unhandled (?P<what>.+) exception on CPU\d+, ESR 0x", "unhandled {what} exception"),
    _rule(_K.OOPS, Role.START, r"Bad mode in (?P<what>.+) handler detected on CPU\d+, ", "bad mode in {what} handler"),
    # arch/arm64/kernel/traps.c: __die(); "UBSAN: ..." there is ubsan_brk_handler()
    _rule(_K.UBSAN, Role.DIE, r"Internal error: UBSAN: (?P<what>.+?): [0-9a-f]{1,16} \[#\d+\]", "UBSAN: {what}"),
    _rule(_K.OOPS, Role.DIE, r"Internal error: (?:Oops - )?(?P<what>.+?): [0-9a-f]{1,16} \[#\d+\]"),
    # arch/x86/kernel/dumpstack.c: __die_header(); the "Oops: " in front is from 6.9 on
    _rule(_K.OOPS, Role.DIE, r"(?:Oops: )?(?P<what>[A-Za-z#][^,]*?)(?:, .*)?: [0-9a-f]{4} \[#\d+\]"),
)
_MEMORY = (
    # mm/kasan/report.c: print_error_description(), kasan_report_async()
    _rule(_K.KASAN, Role.START, rf"BUG: KASAN: (?P<what>[\w-]+) in {SYMBOL}", "KASAN: {what}", patience=64),
    _rule(_K.KASAN, Role.START, r"BUG: KASAN: (?P<what>invalid-access)$", "KASAN: {what}", patience=64),
    # mm/kfence/report.c, mm/kmsan/report.c, kernel/kcsan/report.c
    _rule(_K.BUG, Role.START, rf"BUG: KFENCE: (?P<what>.+?) in {SYMBOL}", "KFENCE: {what}", trace=False, patience=64),
    _rule(_K.BUG, Role.START, rf"BUG: KMSAN: (?P<what>[\w-]+) in {SYMBOL}", "KMSAN: {what}", trace=False, patience=64),
    _rule(
        _K.BUG,
        Role.START,
        r"BUG: KCSAN: (?P<what>[\w-]+ in [\w.$]+ / [\w.$]+)$",
        "KCSAN: {what}",
        trace=False,
        patience=64,
    ),
    _rule(_K.BUG, Role.START, rf"BUG: KCSAN: (?P<what>[\w-]+) in {SYMBOL}", "KCSAN: {what}", trace=False, patience=64),
    # mm/slub.c: __slab_bug(); object_err() and __slab_err() end in a WARN of their own
    _rule(
        _K.SLAB,
        Role.START,
        r"BUG (?P<cache>\S.*?) \((?:Not tainted|Tainted: [^)]*)\): (?P<what>.+)",
        "slab: {what}",
        patience=160,
    ),
    # lib/ubsan.c: ubsan_prologue(); arch/x86/kernel/traps.c: handle_bug() with CONFIG_UBSAN_TRAP
    _rule(_K.UBSAN, Role.START, r"UBSAN: (?P<what>[\w -]+?) in \S+:\d+(?::\d+)?$", "UBSAN: {what}"),
    _rule(_K.UBSAN, Role.CAUSE, rf"UBSAN: (?P<what>.+) at {SYMBOL}$", "UBSAN: {what}"),
    # lib/refcount.c, lib/list_debug.c
    _rule(_K.REFCOUNT, Role.MESSAGE, r"refcount_t: (?P<what>.+?)[.!?]*$", "refcount_t: {what}"),
    _rule(
        _K.LIST_CORRUPTION,
        Role.MESSAGE,
        r"(?P<what>list_(?:add|del)) (?:corruption[.,]|double add:) ",
        "{what} corruption",
    ),
    # lib/debugobjects.c: debug_print_object()
    _rule(
        _K.DEBUG_OBJECTS,
        Role.MESSAGE,
        r"ODEBUG: (?P<what>\w+ [\w ]+?) \(active state \d+\) object: \S+ object type: (?P<more>\w+)",
        "ODEBUG: {what}",
    ),
    # mm/kmemleak.c: __print_unreferenced()
    _rule(
        _K.LEAK,
        Role.START,
        r"kmemleak: unreferenced object(?: \(\w+\))? 0x[0-9a-f]+ \(size \d+\):$",
        "memory leak",
        patience=0,
    ),
)
_WAITING = (
    # kernel/sched/core.c: __schedule_bug(), schedule_debug(), __might_resched(), __cant_sleep(), __cant_migrate()
    _rule(
        _K.ATOMIC_SLEEP, Role.START, r"BUG: (?P<what>scheduling while atomic|scheduling in a non-blocking section): "
    ),
    _rule(
        _K.ATOMIC_SLEEP,
        Role.START,
        r"BUG: (?P<what>sleeping function called from invalid context"
        r"|assuming atomic context|assuming non migratable context) at ",
    ),
    # kernel/watchdog.c: watchdog_timer_fn(), watchdog_hardlockup_check(); kernel/workqueue.c: wq_watchdog_timer_fn()
    _rule(_K.SOFT_LOCKUP, Role.START, r"BUG: soft lockup - CPU#\d+ stuck for \d+s!", "soft lockup"),
    _rule(_K.SOFT_LOCKUP, Role.START, r"(?:CPU\d+: )?Watchdog detected hard LOCKUP on cpu \d+", "hard lockup"),
    _rule(_K.SOFT_LOCKUP, Role.START, r"BUG: workqueue lockup - pool", "workqueue lockup", trace=False),
    # kernel/rcu/tree_stall.h: print_other_cpu_stall(), print_cpu_stall(); kernel/rcu/tree_exp.h
    _rule(
        _K.RCU_STALL,
        Role.START,
        r"INFO: \S+ (?:self-)?detected (?:expedited )?stalls? on ",
        "RCU stall",
        trace=False,
        patience=40,
    ),
    _rule(_K.RCU_STALL, Role.START, r"INFO: \S+ detected (?:expedited )?stalls?, but ", "RCU stall", trace=False),
    # kernel/hung_task.c: hung_task_info()
    _rule(
        _K.HUNG_TASK, Role.START, r"INFO: task .+:\d+ blocked(?: in I/O wait)? for more than \d+ seconds", "task hung"
    ),
)
_WARN = (
    # kernel/panic.c: __warn(), and its form before 6.19
    _rule(_K.WARN, Role.TRAP, rf"WARNING: (?:(?P<file>\S+):\d+ )?at {SYMBOL}, CPU#\d+: ", "WARNING"),
    _rule(_K.WARN, Role.TRAP, rf"WARNING: CPU: \d+ PID: \d+ at (?:(?P<file>\S+):\d+ )?{SYMBOL}", "WARNING"),
    # kernel/locking/lockdep.c: register_lock_class()
    _rule(_K.LOCKDEP, Role.START, r"INFO: (?P<what>trying to register non-static key)\."),
)
_BUG = (
    # lib/smp_processor_id.c, mm/page_alloc.c, mm/memory.c, kernel/locking/spinlock_debug.c, kernel/workqueue.c
    _rule(_K.BUG, Role.START, r"BUG: (?P<what>using \S+\(\) in preemptible)", "BUG: {what} code"),
    _rule(_K.BUG, Role.START, r"BUG: (?P<what>Bad page (?:state|map|cache)) in process ", "BUG: {what}"),
    _rule(_K.BUG, Role.START, r"BUG: (?P<what>(?:spinlock|rwlock) .+?) on CPU#\d+, ", "BUG: {what}"),
    _rule(_K.BUG, Role.START, r"BUG: (?P<what>workqueue leaked atomic, lock or RCU): ", "BUG: {what}"),
    # kernel/fork.c: check_mm()
    _rule(_K.BUG, Role.START, r"BUG: (?P<what>Bad rss-counter state) ", "BUG: {what}", trace=False, patience=4),
    _rule(_K.BUG, Role.START, r"BUG: (?P<what>non-zero pgtables_bytes) ", "BUG: {what}", trace=False, patience=4),
    # Anything else that calls itself a bug. Not print_lockdep_off() (kernel/locking/lockdep.c): a table was too small.
    _rule(_K.BUG, Role.START, r"BUG: (?!MAX_)(?P<what>\S.*)", "BUG: {what}", trace=False, patience=8),
)
# kernel/panic.c: vpanic()
_PANIC = (
    _rule(_K.PANIC, Role.PANIC, r"Kernel panic - not syncing: (?P<what>.*)", "kernel panic: {what}", trace=False),
)
_RULES = _PANIC + _OOPS + _MEMORY + _WAITING + _WARN + _BUG

# kernel/locking/lockdep.c: a line of "=", then the name of the problem; the second form: invalid wait context.
_AFTER_RULE = (
    # lockdep_sys_exit() alone shows no trace
    _rule(
        _K.LOCKDEP,
        Role.START,
        r"WARNING: (?P<what>lock held when returning to user space)!$",
        trace=False,
        patience=400,
    ),
    _rule(_K.LOCKDEP, Role.START, r"WARNING: (?:\S.*/\d+ )?(?P<what>\S.*?)(?: detected)?!?$", patience=400),
    _rule(_K.LOCKDEP, Role.START, r"\[ BUG: (?P<what>.*?)!? \]$", patience=400),
)

# "cut here" came, what it announced did not.
LOST = Rule(_K.WARN, Role.START, re.compile(r"(?!)"), "report cut short: {what}")

# pr_fmt() of kernel/rcu/tree.c, kernel/watchdog.c, arch/x86/kernel/traps.c; "NMI watchdog" is from before 6.6
_PREFIX = re.compile(r"(?:rcu|watchdog|NMI watchdog|traps): ")
# Most lines of a console hold none of these words, and need no further look.
_HINT = re.compile(
    r"BUG|WARNING: |\[#\d|[Pp]anic - |PANIC: |INFO: |refcount_t: |list_|UBSAN: |LOCKUP|Unable to|kernel BUG"
    r"|Insufficient|SError|Unhandled|Bad mode|Corrupted|ODEBUG|kmemleak"
)
_CUT_HERE = "------------[ cut here ]------------"  # include/asm-generic/bug.h
_RULE_LINE = re.compile(r"={10,}$")


def is_cut(text: str) -> bool:
    """The line that WARN and BUG print first."""
    return text == _CUT_HERE


def is_rule(text: str) -> bool:
    """The line of "=" that frames reports of lockdep, KASAN and the slab allocator."""
    return _RULE_LINE.fullmatch(text) is not None


def header(text: str, after_rule: bool = False) -> Header | None:
    """The complaint that ``text`` begins, if it does. ``after_rule``: the line before it was one of "="."""
    if _HINT.search(text) is None:
        return None
    text = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    for rule in (_AFTER_RULE + _RULES) if after_rule else _RULES:
        found = rule.pattern.match(text)
        if found is not None and not (after_rule and rule in _AFTER_RULE and _is_warn(text)):
            groups = found.groupdict()
            what = " ".join(filter(None, (groups.get("what"), groups.get("more"))))
            return Header(rule, what, groups.get("func") or "", groups.get("file") or "")
    return None


def _is_warn(text: str) -> bool:
    return any(rule.pattern.match(text) for rule in _WARN)
