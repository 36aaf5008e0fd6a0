"""Where time goes: what is recorded, the trace that viewers open, and the table of the report."""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness import timing
from harness.cli import run
from harness.errors import InfraError, UserError
from harness.model import Phase
from harness.proc import Door
from harness.report import View, render, trace
from harness.timing import Span, Timeline
from harness.ui import Ui
from tests.unit import report_results as results


def test_spans_nest_and_know_their_lane() -> None:
    timeline = Timeline()
    with timeline.span("outer", "phase"), timeline.lane("worker-1"), timeline.span("inner", "scenario", number=3):
        time.sleep(0.01)
    outer, inner = timeline.spans
    assert (outer.name, outer.lane, inner.lane) == ("outer", threading.current_thread().name, "worker-1")
    assert inner.args == {"number": 3} and inner.seconds is not None and inner.seconds >= 0.01
    assert outer.started <= inner.started and timeline.here == outer.lane


def test_a_span_that_raises_is_kept() -> None:
    timeline = Timeline()
    with pytest.raises(ValueError, match="no"), timeline.span("bad", "phase"):
        raise ValueError("no")
    assert [span.name for span in timeline.spans] == ["bad"]


def test_a_lane_belongs_to_its_thread() -> None:
    timeline = Timeline()
    with timeline.lane("mine"):
        other = threading.Thread(target=timeline.mark, args=("there", "mark"), name="other")
        other.start()
        other.join()
    assert [(span.name, span.lane, span.seconds) for span in timeline.spans] == [("there", "other", None)]


def test_the_process_began_before_now() -> None:
    assert time.monotonic() - 3600 < timing.process_start() < time.monotonic() - 0.05


def test_phases_are_spans_with_a_start() -> None:
    ui = Ui(quiet=True, timeline=Timeline(time.monotonic() - 5))
    ui.started()
    with ui.view("x86_64-vtd", True).phase("boot", "base", "note"):
        pass
    start, boot = ui.phases
    assert (start.name, start.started) == ("start", 0.0) and start.seconds >= 5
    assert boot.started >= start.seconds and boot.lane == threading.current_thread().name
    assert [(span.name, span.category) for span in ui.timeline.spans] == [("start", "phase"), ("boot base", "phase")]
    assert ui.timeline.spans[1].args == {"target": "x86_64-vtd", "side": "base", "note": "note"}


def test_processes_are_spans() -> None:
    timeline = Timeline()
    Door(timeline=timeline).run(["/bin/sh", "-c", "sleep 0.05"], timeout=10)
    (span,) = timeline.spans
    assert (span.name, span.category, span.args["command"]) == ("sh", "process", "/bin/sh -c 'sleep 0.05'")
    assert span.seconds is not None and span.seconds >= 0.05


# --- the trace ---------------------------------------------------------------------
def _events(spans: list[Span], kind: str) -> list[dict[str, Any]]:
    return [event for event in trace.document(spans)["traceEvents"] if event["ph"] == kind]


def test_events_are_complete_and_in_microseconds() -> None:
    (event,) = _events([Span("a", "phase", "main", 0.5, 1.25, {"side": "base"})], "X")
    assert (event["ts"], event["dur"], event["cat"], event["args"]) == (500_000, 1_250_000, "phase", {"side": "base"})
    (mark,) = _events([Span("a", "mark", "main", 0.5, None, {})], "i")
    assert (mark["ts"], mark["s"]) == (500_000, "t") and "dur" not in mark


def test_lanes_have_names() -> None:
    spans = [Span("a", "phase", "main", 0, 1, {}), Span("b", "phase", "patched-1", 0, 1, {})]
    names = {event["tid"]: event["args"]["name"] for event in _events(spans, "M") if event["name"] == "thread_name"}
    assert [names[event["tid"]] for event in _events(spans, "X")] == ["main", "patched-1"]


def test_what_overlaps_in_part_has_a_row_of_its_own() -> None:
    spans = [
        Span("scenarios", "phase", "base", 0, 10, {}),
        Span("boot", "phase", "base", 0, 3, {}),
        Span("qemu", "process", "base", 1, 8, {}),
        Span("scenario", "scenario", "base", 3, 4, {}),
    ]
    events = _events(spans, "X")
    first, *others = [event["tid"] for event in events if event["name"] != "qemu"]
    assert set(others) == {first}
    assert [event["name"] for event in events if event["tid"] != first] == ["qemu"]
    names = [event["args"]["name"] for event in _events(spans, "M") if event["name"] == "thread_name"]
    assert names == ["base", "base (2)"]


def test_hostile_names_are_made_safe() -> None:
    spans = [Span(results.HOSTILE, results.HOSTILE, results.HOSTILE, 0, 1, {"a": results.HOSTILE, "b": float("nan")})]
    text = json.dumps(trace.document(spans), allow_nan=False)
    assert "\\u001b" not in text and "\\ud800" not in text.replace("\\\\ud800", "")


def test_the_trace_is_written_however_the_run_ends(tmp_path: Path) -> None:
    file, timeline = tmp_path / "new" / "t.json", Timeline()
    with pytest.raises(KeyboardInterrupt), trace.kept(timeline, file), timeline.span("a", "phase"):
        raise KeyboardInterrupt
    assert [event["name"] for event in json.loads(file.read_text())["traceEvents"]][-1] == "a"


def test_a_trace_that_cannot_be_written_hides_no_other_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="first"), trace.kept(Timeline(), tmp_path):
        raise ValueError("first")
    with pytest.raises(InfraError, match="timings cannot be written"), trace.kept(Timeline(), tmp_path):
        pass
    with trace.kept(Timeline(), None):
        pass


def test_a_refused_run_leaves_its_trace(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    args = parser.parse_args(["-q", "--tree", "none", "--suite", "nothing", "--timings", str(tmp_path / "t.json")])
    with pytest.raises(UserError, match="no suite"):
        run.run(args)
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "X"] == ["start", "request"]


# --- the table -----------------------------------------------------------------------
def _table(*phases: Phase, seconds: float = 0.0) -> list[list[str]]:
    result = results.passing()
    result = type(result)(**{**vars(result), "phases": phases, "seconds": seconds})
    text = render("text", result, View(120))
    return [line.split() for line in text[text.index("TIME") :].split("\n\n")[0].splitlines()]


def test_phases_are_in_order_of_their_start_and_what_nests_follows() -> None:
    lines = _table(
        Phase("boot", "base", 1.0, "", "t", 2.0, "a"),
        Phase("kernel", "", 2.0, "from cache", "", 0.0, "main"),
        Phase("scenarios", "base", 6.0, "", "t", 2.0, "a"),
        Phase("report", "", 2.0, "", "", 8.0, "main"),
        seconds=10.0,
    )
    assert lines[1:] == [
        ["kernel", "2.0", "20%", "from", "cache"],
        ["scenarios", "base", "6.0", "60%"],
        ["boot", "base", "1.0", "10%"],
        ["report", "2.0", "20%"],
        ["whole", "run", "10.0", "100%"],
    ]


def test_phases_alike_share_a_line_and_small_ones_another() -> None:
    scenarios = Phase("scenarios", "base", 9.0, "", "t", 0.95, "a")
    boots = [Phase("boot", "base", 1.0, "", "t", 1.5 + number, f"b-{number}") for number in range(3)]
    small = [Phase(name, "", 0.01, "", "", at, "main") for name, at in (("fetch", 0.1), ("apply", 0.2))]
    lines = _table(*boots, *small, scenarios, seconds=10.0)
    assert lines[1:] == [
        ["scenarios", "base", "9.0", "90%"],
        ["boot", "x3", "base", "3.0", "30%"],
        ["others", "0.0", "0%", "fetch,", "apply"],
        ["elsewhere", "1.0", "10%", "in", "no", "phase"],
        ["whole", "run", "10.0", "100%"],
    ]


def test_overlap_is_told() -> None:
    lines = _table(Phase("a", "base", 8.0, "", "", 0.0, "a"), Phase("a", "patched", 8.0, "", "", 2.0, "b"))
    assert lines[1:] == [
        ["a", "base", "8.0", "80%"],
        ["a", "patched", "8.0", "80%"],
        ["whole", "run", "10.0", "100%", "phases", "overlap"],
    ]
