"""The console of a guest: which complaints of the kernel it holds, and how it ended.

``read()`` takes a whole console, ``ConsoleWatch`` takes it as it comes; both say the
same. One cause is one splat: the lines of an oops, its registers, its trace and the
panic that follows are one; so are the text of a refcount_t warning and the WARN that
prints it. Reports of CPUs that print at the same time are told apart by printk's caller
id (CONFIG_PRINTK_CALLER); without it an interleaved report is marked corrupted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from harness.model import Splat, SplatKind
from harness.verdict import kinds, lines, panics, titles
from harness.verdict.kinds import Header, Role
from harness.verdict.lines import Line
from harness.verdict.reports import Report

SPLATS = 256  # splats that are kept; later ones are counted only
_STREAMS = 64  # callers that are followed at the same time
_BEFORE = 16  # lines between "cut here" and the line that says what it is


@dataclass(frozen=True)
class Console:
    """What a console says."""

    splats: tuple[Splat, ...]  # in the order in which they begin; at most SPLATS
    dropped: int  # further splats that were not kept
    panic: str | None  # what the first "Kernel panic - not syncing:" says
    died: str | None  # title of the first report that went through die(): an oops
    lines: int  # lines seen

    @property
    def ended_in_panic(self) -> bool:
        """The kernel has stopped."""
        return self.panic is not None


@dataclass
class _Stream:
    """What one caller of printk is in the middle of."""

    report: Report | None = None
    before: list[Line] = field(default_factory=list)  # "cut here" or "====", and what came since

    @property
    def announced(self) -> bool:
        return bool(self.before) and kinds.is_cut(self.before[0].text)

    @property
    def after_rule(self) -> bool:
        return bool(self.before) and kinds.is_rule(self.before[-1].text)


class ConsoleWatch:
    """Reads a console in chunks of any size and tells at once when the kernel complains.

    Memory is bounded: one unfinished line, SPLATS splats of bounded text, _STREAMS callers.
    """

    def __init__(self) -> None:
        self.panic: str | None = None  # what the first kernel panic says, as soon as its line is complete
        self.panic_over = False  # the kernel has printed its last line, or is about to reboot
        self.last_line = ""  # the newest complete line of the kernel, without printk's prefix
        self.dropped = 0  # splats that were not kept
        self._splitter = lines.Splitter()
        self._stamped = False  # printk's prefix was seen, so a line without it is not the kernel's
        self._last = Line(0, "", False, "")  # the newest line of the kernel
        self._replay = False  # the kernel is about to print it once more
        self._now = 0.0  # newest time that printk has printed
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._reports: list[Report] = []
        self._latest: Report | None = None

    @property
    def lines(self) -> int:
        """Complete lines seen so far."""
        return self._splitter.count

    @property
    def splats(self) -> tuple[Splat, ...]:
        """The splats so far; those still being printed as they stand."""
        return tuple(report.splat() for report in self._reports)

    @property
    def died(self) -> str | None:
        """Title of the first oops so far."""
        for report in self._reports:
            if report.died:
                return report.splat().title
        return None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the console."""
        first = self._splitter.count + 1
        for number, text in enumerate(self._splitter.feed(data), first):
            self._take(lines.read(text, number, self._now))

    def close(self) -> Console:
        """The console has ended."""
        for text in self._splitter.flush():
            self._take(lines.read(text, self._splitter.count, self._now))
        for stream in self._streams.values():
            self._close_stream(stream)
        self._streams.clear()
        return Console(self.splats, self.dropped, self.panic, self.died, self.lines)

    # --- one line -----------------------------------------------------------
    def _take(self, line: Line) -> None:
        if lines.is_dropped(line.text):
            self._lose()
        replayed, self._replay = self._replay and line == replace(self._last, number=line.number), False
        if not line.stamped and self._stamped:
            self._replay = lines.is_replay(line.text)
            return  # user space writes to the console, not to the kernel's log
        if replayed:
            return
        self.last_line, self._last = line.text, line
        self._stamped |= line.stamped
        self._now = max(self._now, line.time)
        if line.text.startswith("kph-agent"):
            return
        stream = self._stream(line.caller)
        found = kinds.header(line.text, stream.after_rule)
        if found is not None:
            self._begin(stream, found, line)
        elif self._announces(stream, line):
            stream.before.append(line)
            if len(stream.before) > _BEFORE:
                self._abandon(stream)
        else:
            stream.before.clear()
            self._continue(stream, line)

    def _lose(self) -> None:
        """Lines are missing: whatever is being printed has a hole."""
        for stream in self._streams.values():
            if stream.report is not None:
                stream.report.corrupted = True

    def _announces(self, stream: _Stream, line: Line) -> bool:
        """Whether to hold the line back: the one that says what it is about comes next."""
        if kinds.is_cut(line.text):
            self._abandon(stream)
            return True
        if stream.announced:
            return True
        report = stream.report
        ends_kasan = report is not None and report.kind is SplatKind.KASAN and not report.complete
        if kinds.is_rule(line.text) and not ends_kasan:
            stream.before.clear()
            return True
        return False

    def _begin(self, stream: _Stream, header: Header, line: Line) -> None:
        before, stream.before = stream.before, []
        if header.rule.role is Role.PANIC:
            self._panic(stream, header, before, line)
            return
        report = stream.report
        if report is not None and report.continued_by(header):
            report.continue_by(header)
            report.begin(before, line)
            self._latest = report
            return
        self._open_report(stream, header, before, line)

    def _open_report(self, stream: _Stream, header: Header, before: list[Line], line: Line) -> None:
        self._close_report(stream)
        report = Report(header, (before[0] if before else line).number, line.caller)
        report.continue_by(header)
        report.begin(before, line)
        stream.report = self._latest = report
        if len(self._reports) < SPLATS:
            self._reports.append(report)
        else:
            self.dropped += 1

    def _continue(self, stream: _Stream, line: Line) -> None:
        if stream.report is None and line.text.startswith("NMI backtrace for cpu"):
            self._lend(stream)
        report = stream.report
        if line.text.startswith(("---[ end Kernel panic", "Rebooting in ")):
            self.panic_over = True
        if report is None:
            return
        if report.wants(line.text):
            report.take(line)
        else:
            self._close_report(stream, cut=False)

    def _lend(self, stream: _Stream) -> None:
        """Another CPU shows its stack for a stall or lockup that this one reports.

        Without true NMIs (arm64) it does so when it takes interrupts again, which may be after the next report.
        """
        stalls = [each for each in self._reports if each.kind in (SplatKind.RCU_STALL, SplatKind.SOFT_LOCKUP)]
        if stalls and (stalls[-1] is self._latest or not stalls[-1].has_trace):
            stream.report = stalls[-1]

    # --- panic --------------------------------------------------------------
    def _panic(self, stream: _Stream, header: Header, before: list[Line], line: Line) -> None:
        if self.panic is None:
            self.panic = header.what.strip() or "(no words)"
        cause = panics.cause(header.what, stream.report, self._latest)
        if cause is None:
            self._open_report(stream, header, before, line)
            return
        if stream.report is not cause:
            self._close_report(stream)
        cause.panic = cause.panic or header.what
        cause.begin(before, line)
        stream.report = cause

    # --- ends ---------------------------------------------------------------
    def _stream(self, caller: str) -> _Stream:
        stream = self._streams.get(caller)
        if stream is None:
            stream = self._streams[caller] = _Stream()
            if len(self._streams) > _STREAMS:
                _, oldest = self._streams.popitem(last=False)
                self._close_stream(oldest)
        else:
            self._streams.move_to_end(caller)
        return stream

    def _close_stream(self, stream: _Stream) -> None:
        self._abandon(stream)
        self._close_report(stream)

    def _close_report(self, stream: _Stream, *, cut: bool = True) -> None:
        if stream.report is not None:
            stream.report.end(cut=cut)
            stream.report = None

    def _abandon(self, stream: _Stream) -> None:
        """A "cut here" that nothing followed: the report itself is lost, which is no reason to keep quiet."""
        before, stream.before = stream.before, []
        if not before or not kinds.is_cut(before[0].text):
            return
        rule = kinds.LOST
        words = titles.normalise(before[1].text) if len(before) > 1 else "nothing follows"
        self._open_report(stream, Header(rule, words, ""), before[:-1], before[-1])
        self._close_report(stream)


def read(data: bytes) -> Console:
    """What a whole console says. Never raises: whatever the bytes are, they are evidence."""
    watch = ConsoleWatch()
    watch.feed(data)
    return watch.close()


def parse(console: Iterable[str | bytes]) -> tuple[Splat, ...]:
    """The splats of a console given as lines."""
    watch = ConsoleWatch()
    for line in console:
        watch.feed(_raw(line))
    return watch.close().splats


def panicked(console: Iterable[str | bytes]) -> str | None:
    """What the first kernel panic of these lines says; None when there was none."""
    watch = ConsoleWatch()
    for line in console:
        watch.feed(_raw(line))
        if watch.panic is not None:
            return watch.panic
    return watch.close().panic


def _raw(line: str | bytes) -> bytes:
    raw = line.encode(errors="replace") if isinstance(line, str) else line
    return raw.rstrip(b"\r\n") + b"\n"
