"""One report of the kernel while its lines come in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.model import Splat, SplatKind
from harness.verdict import generic, titles, traces
from harness.verdict.kinds import Header, Role, is_rule
from harness.verdict.lines import Line

TEXT_LINES = 200  # lines of a splat that are kept
TEXT_BYTES = 64 * 1024  # characters of a splat that are kept
FRAMES = 64  # functions of a trace that are kept
_ACCESS = re.compile(
    r"(?P<access>Read|Write) (?:of size \d+ )?at addr "
)  # mm/kasan/report.c: print_error_description()
_HELD = re.compile(
    r".*, at: (?P<func>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x[0-9a-f]+"
)  # kernel/locking/lockdep.c: print_lock()
# kernel/rcu/tree_stall.h: rcu_check_gp_kthread_starvation(); these stacks are not those of the CPU that stalls
_BYSTANDER = ("rcu: RCU grace-period kthread stack dump:", "rcu: Stack dump where RCU GP kthread last ran:")
_END_TRACE = "---[ end trace "  # kernel/panic.c: print_oops_end_marker(); lib/ubsan.c: ubsan_epilogue()
_END_PANIC = ("---[ end Kernel panic", "Rebooting in ")  # kernel/panic.c: vpanic()
_ENDS_BY_MARK = (
    SplatKind.WARN,
    SplatKind.OOPS,
    SplatKind.KASAN,
    SplatKind.REFCOUNT,
    SplatKind.LIST_CORRUPTION,
    SplatKind.UBSAN,
    SplatKind.DEBUG_OBJECTS,
)


@dataclass
class Report:
    """Lines of one report, and what they say so far."""

    header: Header
    start: int  # line of the console where it begins
    caller: str  # printk's caller id, empty when unknown
    died: bool = False  # die() was reached: the task or the machine is lost
    panic: str = ""  # the panic that followed, in the kernel's words
    trapped: bool = False  # the WARN or BUG line of this report has come
    complete: bool = False  # its last line has come
    corrupted: bool = False  # something is missing or foreign
    _text: list[str] = field(default_factory=list)
    _bytes: int = 0
    _useful: int = 0  # lines of _text up to the last that surely belongs
    _quiet: int = 0  # lines since then
    _frames: list[str] = field(default_factory=list)
    _top: str = ""  # function of the registers before the trace
    _caller: str = ""  # function of arm64's link register there
    _tracing: bool = False  # inside the first trace
    _traced: bool = False  # the first trace has ended
    _guessed: bool = False  # a guess was in the trace
    _bystander: bool = False  # the next trace is somebody else's
    _stacks: int = 0  # stacks of x86 that were begun and not ended
    _access: str = ""  # Read or Write, for KASAN
    _held: str = ""  # where the last lock of the list was taken

    @property
    def kind(self) -> SplatKind:
        return self.header.rule.kind

    @property
    def has_trace(self) -> bool:
        """A function of the call trace is known."""
        return bool(self._frames)

    def wants(self, text: str) -> bool:
        """Whether a line that begins nothing else is part of this report."""
        if traces.belongs(text) or (self._tracing and traces.in_trace(text)):
            return True
        if self.complete or (self._traced and self.kind not in _ENDS_BY_MARK):
            return False
        return self._quiet < self.header.rule.patience

    def begin(self, before: Sequence[Line], line: Line) -> None:
        """Add a line that a header was found in, with the lines that announced it."""
        for early in before:
            self._keep(early.text, sure=True)
            self.corrupted |= early.torn
        self._keep(line.text, sure=True)
        self.corrupted |= line.torn

    def take(self, line: Line) -> None:
        """Add a line."""
        text = line.text
        self._keep(text, sure=bool(text) and traces.belongs(text))
        text = traces.unprefixed(text)
        self.corrupted |= line.torn
        self._follow_trace(text)
        self._follow_end(text)
        if not self._access:
            found = _ACCESS.match(text)
            self._access = found["access"] if found else ""
        found = _HELD.match(text)
        self._held = found["func"] if found else self._held

    def _keep(self, text: str, *, sure: bool) -> None:
        if len(self._text) < TEXT_LINES and self._bytes + len(text) <= TEXT_BYTES:
            self._text.append(text)
            self._bytes += len(text)
        if sure:
            self._useful, self._quiet = len(self._text), 0
        elif text:
            self._quiet += 1

    def _follow_trace(self, text: str) -> None:
        if self._traced:
            return
        self._bystander |= text.startswith(_BYSTANDER)
        running = traces.top(text)
        self._top = running or self._top
        self._caller = traces.caller(text) or self._caller
        if traces.starts(text):
            self._start_trace()
        elif self._tracing:
            self._trace_line(text, running or "")

    def _start_trace(self) -> None:
        if self._bystander:
            self._bystander = False
            return
        self.corrupted |= self._tracing
        self._tracing = True
        self._add(self._top)

    def _trace_line(self, text: str, running: str) -> None:
        mark = traces.stack_mark(text)
        if mark is not None:
            self._stacks += -1 if mark[1] else 1
            self._ended(mark == ("TASK", True))
            return
        found = traces.frame(text)
        if found is not None:
            self._add("" if found.guess and not self._calls_top(found.function) else found.function)
            self._guessed |= found.guess
        elif running:
            self._add(running)
        else:
            self._ended(not traces.in_trace(text) or text == "")

    def _calls_top(self, function: str) -> bool:
        """Whether the guess ``function`` called what was running: x86's memcpy() and the like have no frame."""
        first = not self._guessed and self._frames == [self._top]
        return first and generic.is_frameless(self._top) and function not in ("", self._top)

    def _add(self, function: str) -> None:
        if not function or len(self._frames) >= FRAMES:
            return
        running = [self._top] if self._top else []
        if self._frames == running and running != [function]:
            # arm64's trace has no frame of a leaf function's caller, nor of one that called a bad address
            self._frames += [self._caller] if self._caller not in ("", self._top, function) else []
        if not self._frames == [function] == running:  # arm64 shows the function of pc again as the first frame
            self._frames.append(function)

    def _ended(self, ended: bool) -> None:
        if ended and self._tracing:
            self._tracing, self._traced = False, True
            self.corrupted |= self._stacks > 0
            self.complete |= self.kind not in _ENDS_BY_MARK

    def _follow_end(self, text: str) -> None:
        if text.startswith(_END_PANIC):
            self.complete = True
        elif text.startswith(_END_TRACE) or (self.kind is SplatKind.KASAN and is_rule(text)):
            self._ended(True)
            self.complete = True

    def end(self, *, cut: bool) -> None:
        """No further line comes. ``cut``: because the console ended or another report began."""
        if cut and self._tracing and self.kind not in _ENDS_BY_MARK and not self._stacks and self._frames:
            self._ended(True)  # arm64 has no mark at the end of a trace
        needs = self.header.rule.trace
        self.corrupted |= needs and (not (self.complete or self.panic) or not self._frames)
        self.corrupted |= (cut and self._tracing) or (self._traced and not self._frames)
        self._text = self._text[: self._useful]

    def splat(self) -> Splat:
        """The report as it stands."""
        return Splat(self.kind, self._title(), tuple(self._frames), tuple(self._text), self.start, self.corrupted)

    def _title(self) -> str:
        words = self.header.rule.title.replace("{what}", self.header.what)
        if self.kind is SplatKind.KASAN and self._access:
            words = f"{words} {self._access}"
        if self.kind is SplatKind.PANIC or "CSAN: data-race in " in words:
            return titles.normalise(words)
        if self.kind is SplatKind.LEAK and self._frames:
            return titles.chain(words, self._frames)
        frames = tuple(self._frames) or ((self._top,) if self._top else ())
        if self.kind is SplatKind.LOCKDEP and not frames and self._held:
            return titles.make(words, (), self._held)
        return titles.make(words, frames, self.header.function)

    def continued_by(self, new: Header) -> bool:
        """Whether ``new`` is a further line of the same event and not a report of its own."""
        role = self.header.rule.role
        if role is Role.CAUSE and new == self.header and not (self.died or self._tracing or self._traced):
            return True  # a fault while the fault is told: the kernel may go round for ever
        if new.rule.role is Role.DIE:
            can_die = role is Role.CAUSE or self.kind in (SplatKind.OOPS, SplatKind.LIST_CORRUPTION)
            return can_die and not self.died
        if new.rule.role is Role.TRAP and not self.trapped:
            return role is Role.MESSAGE or (self.kind is SplatKind.SLAB and new.file.endswith("mm/slub.c"))
        return False

    def continue_by(self, new: Header) -> None:
        """Note that ``new`` belongs here."""
        self.trapped |= new.rule.role is Role.TRAP
        self.died |= new.rule.role is Role.DIE or (self.kind is SplatKind.OOPS and new.rule.role is Role.START)
        if new.rule.role is Role.TRAP:  # the trace and the end mark of the WARN are the report's
            self.complete = self._traced = self._tracing = False
            self._frames.clear()
