"""Steps that look at something beside the replies: events, console, what the hardware would use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.scenario import comparison, match
from harness.scenario.language import (
    CompareStep,
    ConsoleStep,
    FaultStep,
    HardwareStep,
    Plain,
    TraceStep,
)
from harness.scenario.link import Clock, GuestLink, TraceEvent
from harness.scenario.observe import chosen, fault_events, lines_with, show_events
from harness.scenario.schema import SuiteFile

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two looks
_SHOWN = 5  # rows in a report

LookStep = TraceStep | FaultStep | ConsoleStep | HardwareStep | CompareStep


@dataclass(frozen=True)
class Seen:
    """What a look found."""

    text: str  # the step in one line
    good: bool  # as expected
    wanted: str  # in words
    got: str  # in words
    saved: Mapping[str, Any]  # what later steps may refer to


@dataclass(frozen=True)
class Looker:
    """Looks at a guest until it sees what a step wants, or its time is over."""

    guest: GuestLink
    clock: Clock
    scale: float  # multiplies how long a step looks
    suite: SuiteFile
    behaviours: Mapping[str, Plain]
    marks: Mapping[str, Any]  # name -> moment; "" is where the scenario began

    def look(self, step: LookStep, resolve: Callable[[Any], Any]) -> Seen:
        """``resolve`` replaces the references in a value."""
        if isinstance(step, ConsoleStep):
            return self._console(step)
        if isinstance(step, CompareStep):
            return self._compare(step, resolve)
        if isinstance(step, HardwareStep):
            return self._hardware(step, resolve)
        return self._events(step, resolve)

    def _events(self, step: TraceStep | FaultStep, resolve: Callable[[Any], Any]) -> Seen:
        body = step.trace if isinstance(step, TraceStep) else step.fault
        name = step.trace.event if isinstance(step, TraceStep) else "fault"
        where, count = resolve(body.where), resolve(body.count)

        def look() -> Sequence[TraceEvent]:
            events = self.guest.trace(self.marks[body.since or ""])
            if isinstance(step, FaultStep):
                events = fault_events(self.suite.faults, events)
            return chosen(events, name, where)

        events: Sequence[TraceEvent] = self._until(look, lambda found: match.holds(count, len(found)), step.poll)
        return Seen(
            (f"trace {name}" if isinstance(step, TraceStep) else name) + _conditions(where),
            match.holds(count, len(events)),
            f"number of events {match.describe(count)}",
            show_events(events),
            {**(events[-1].fields if events else {}), "count": len(events)},
        )

    def _console(self, step: ConsoleStep) -> Seen:
        body = step.console
        pattern = body.present or body.absent or ""

        def look() -> Sequence[str]:
            return lines_with(pattern, self.guest.console_since(self.marks[body.since or ""]))

        lines = self._until(look, lambda found: bool(found) == (body.present is not None), step.poll)
        good = bool(lines) == (body.present is not None)
        wanted = "a line" if body.present is not None else "no line"
        return Seen(f"console /{pattern}/", good, wanted, "; ".join(lines[:3]) or "none", {})

    def _hardware(self, step: HardwareStep, resolve: Callable[[Any], Any]) -> Seen:
        where, count = resolve(step.hardware.where), resolve(step.hardware.count)

        def look() -> Sequence[comparison.Row]:
            return comparison.chosen(self.guest.hardware(), where)

        rows = self._until(look, lambda found: match.holds(count, len(found)), step.poll)
        return Seen(
            f"hardware{_conditions(where)}",
            match.holds(count, len(rows)),
            f"number of rows {match.describe(count)}",
            f"{len(rows)}: {_listed([comparison.show(row) for row in rows])}" if rows else "none",
            {**(rows[-1] if rows else {}), "count": len(rows)},
        )

    def _compare(self, step: CompareStep, resolve: Callable[[Any], Any]) -> Seen:
        spec = self.suite.comparisons[step.compare.what]
        wanted = resolve(step.compare.differences)

        def look() -> Sequence[str]:
            reply = self.guest.call(spec.software, deadline=self.suite.defaults.deadline * self.scale)
            if reply.get("ret", -1) < 0:
                return (f"{spec.software} says {reply.get('errno', reply.get('ret'))}",)
            told = comparison.rows_in(str(reply.get(spec.rows, "")))
            return comparison.differences(spec, told, self.guest.hardware(), self.behaviours)

        found = self._until(look, lambda each: match.holds(wanted, "\n".join(each)), step.poll)
        text = "\n".join(found)
        return Seen(
            f"compare {step.compare.what}",
            match.holds(wanted, text),
            f"differences {match.describe(wanted)}" if wanted else "no difference",
            comparison.summary(found) or "none",
            {"differences": comparison.summary(found) or "none", "count": len(found)},
        )

    def _until(self, look: Callable[[], Any], good: Callable[[Any], bool], limit: float) -> Any:
        """What ``look`` gives once it is ``good``, or at last."""
        end = self.clock.now() + limit * self.scale
        pause = _FIRST_PAUSE
        found = look()
        while not good(found) and self.clock.now() < end:
            self.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            found = look()
        return found


def _conditions(where: Mapping[str, Any]) -> str:
    return "".join(f", {field} {match.describe(matcher)}" for field, matcher in where.items())


def _listed(lines: Sequence[str]) -> str:
    return "; ".join(lines[:_SHOWN]) + (f"; {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else "")
