"""``kph run``: test a tree and a series, and say what the series changed."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from harness import report, timing
from harness.cache import Cache
from harness.campaign.validate import Validation, run_folder
from harness.cli import options
from harness.errors import UserError
from harness.machine.target import Target
from harness.model import RunResult, Verdict
from harness.proc import Door
from harness.report import trace
from harness.timing import Timeline
from harness.ui import Ui

NAME = "run"
HELP = "build base and patched kernel, run a suite on both, and compare"

_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.ERROR: 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tree", required=True, help="a git checkout, a source folder, a tarball, or debian:7.3")
    add("--base", metavar="REV", help="revision of a git checkout to test (default: HEAD)")
    add("--series", action="append", default=[], help="mbox, folder of patches, A..B, b4:<message-id>; may be repeated")
    options.add_arguments(parser)
    add(
        "--patched-first",
        action="store_true",
        help="build and test the base only where something is wrong with the patched kernel",
    )
    add("--report", action="append", default=[], metavar="FORMAT[=FILE]", help="more reports; may be repeated")
    add("--timings", type=Path, metavar="FILE", help="where the time went, as a trace for Perfetto or chrome://tracing")
    add("--run-dir", type=Path, metavar="DIR", help="where the evidence goes (default: a new folder)")
    add("-v", "--verbose", action="store_true", help="list every scenario")
    add("-q", "--quiet", action="store_true", help="no progress, only reports")


def run(args: argparse.Namespace) -> int:
    ui = Ui(quiet=args.quiet, timeline=Timeline(timing.process_start()))
    ui.started()
    with trace.kept(ui.timeline, args.timings):
        return _run(args, ui)


def _run(args: argparse.Namespace, ui: Ui) -> int:
    cache = Cache.default()
    with ui.phase("request"):
        reports = [report.parse_request(text) for text in args.report]
        request = options.request(args, args.base, args.series)
        if args.patched_first and not args.series:
            raise UserError("--patched-first needs a series", "without one there is only the base")
        request = dataclasses.replace(request, patched_first=args.patched_first)
        options.require(request, cache, Door(timeline=ui.timeline))
    folder = _folder(args.run_dir, request.targets)
    ui.say(f"run: {folder}")
    result = Validation(request, folder, cache, ui).run()
    _write(result, folder, reports, args.verbose, ui)
    return _EXIT[result.verdict]


def _write(result: RunResult, folder: Path, reports: Sequence[tuple[str, Path | None]], verbose: bool, ui: Ui) -> None:
    with ui.phase("report"):
        report.write("json", result, folder / "report.json")
    result = dataclasses.replace(result, phases=tuple(ui.phases), seconds=ui.timeline.now())
    for form, file in reports:
        report.write(form, result, file)
    if not any(file is None for _, file in reports):
        report.write("text", result, None, verbose=verbose)


def _folder(wanted: Path | None, chosen: Sequence[Target]) -> Path:
    if wanted is None:
        name = chosen[0].name if len(chosen) == 1 else f"{len(chosen)}-targets"
        return run_folder(Path(platformdirs.user_state_dir("kph")) / "runs", name)
    if wanted.exists() and any(wanted.iterdir()):
        raise UserError(
            f"the run directory {wanted} is not empty", "name a new one; a run's evidence is not overwritten"
        )
    wanted.mkdir(parents=True, exist_ok=True)
    return wanted.resolve()
