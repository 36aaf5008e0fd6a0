"""What the user sees while work is under way: one line per event, a live line on a terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from rich.console import Console

from harness.model import Phase
from harness.timing import Span, Timeline


@dataclass
class Ui:
    """Progress to standard error, so that standard output carries reports only."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    quiet: bool = False
    phases: list[Phase] = field(default_factory=list)  # in the order in which they ended
    timeline: Timeline = field(default_factory=Timeline)  # phases, and what else is worth timing
    _said: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _live: list[bool] = field(default_factory=lambda: [False])  # one item: views share it
    _target: str = ""  # whose phases these are
    _prefix: str = ""  # before each line

    def view(self, target: str, named: bool) -> Ui:
        """The same progress as one target tells it; ``named``: each of its lines begins with the target's name."""
        return replace(self, _target=target, _prefix=f"{target}: " if named else "")

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self.quiet:
            with self._lock:
                self._clear()
                self.console.print(self._prefix + text, markup=False, soft_wrap=True)

    def once(self, text: str) -> None:
        """A line that stays, the first time only."""
        if self._prefix + text not in self._said:
            self._said.add(self._prefix + text)
            self.say(text)

    def live(self, text: str) -> None:
        """A line that the next one overwrites; nothing when this is not a terminal."""
        if self.quiet or not self.console.is_terminal:
            return
        with self._lock:
            width = self.console.width - 1
            self.console.file.write("\r\x1b[K" + (self._prefix + text)[:width])
            self.console.file.flush()
            self._live[0] = True

    def _clear(self) -> None:
        if self._live[0]:
            self.console.file.write("\r\x1b[K")
            self._live[0] = False

    @contextlib.contextmanager
    def phase(self, name: str, side: str = "", note: str = "") -> Iterator[None]:
        """Time the block under ``name``; kept for the report even when the block raises."""
        lane, started = self.timeline.here, self.timeline.now()
        try:
            yield
        finally:
            with self._lock:
                self._clear()
            self._ended(Phase(name, side, self.timeline.now() - started, note, self._target, started, lane))

    def started(self) -> None:
        """What was done since the process began is the phase "start"."""
        self._ended(Phase("start", "", self.timeline.now(), lane=self.timeline.here))

    def _ended(self, phase: Phase) -> None:
        self.phases.append(phase)
        args = {name: text for name in ("target", "side", "note") if (text := getattr(phase, name))}
        title = " ".join(filter(None, (phase.name, phase.side)))
        self.timeline.add(Span(title, "phase", phase.lane, phase.started, phase.seconds, args))
