"""``kph run``: test a tree and a series, and say what the series changed."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import secrets
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from harness import doctor, report, timing
from harness.build import flavour
from harness.cache import Cache
from harness.campaign.request import Request
from harness.campaign.validate import Validation, run_folder
from harness.errors import UserError
from harness.machine import target as targets
from harness.machine.target import Target
from harness.model import RunResult, Verdict
from harness.proc import Door
from harness.report import trace
from harness.scenario import known
from harness.scenario import load as suites
from harness.scenario.schema import Suite
from harness.scenario.tuning import SEED_LIMIT, STRESS_LIMIT, Tuning
from harness.timing import Timeline
from harness.ui import Ui

NAME = "run"
HELP = "build base and patched kernel, run a suite on both, and compare"

_TARGET = "x86_64-vtd"
_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.ERROR: 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tree", required=True, help="a git checkout, a source folder, a tarball, or debian:7.3")
    add("--base", metavar="REV", help="revision of a git checkout to test (default: HEAD)")
    add("--series", action="append", default=[], help="mbox, folder of patches, A..B, b4:<message-id>; may be repeated")
    add(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="machine, IOMMU and devices: a name, a YAML file of your own, several with commas, or all;"
        f" may be repeated (default: {_TARGET})",
    )
    add("--suite", default="sva", help="suite of scenarios (default: %(default)s)")
    add(
        "--scenario",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these, or with ! before it all but these; may be repeated, takes wildcards",
    )
    add("--expect", action="append", default=[], metavar="NAME=VALUE", help="which behaviour the suite expects")
    add(
        "--flavour",
        action="append",
        default=[],
        metavar="NAME",
        help="kernel configuration on top of the base, a+b for two in one; several with commas, each with kernels"
        " of its own; may be repeated (default: what the suite needs)",
    )
    add(
        "--known",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="splats that do not count; may be repeated",
    )
    add("--channel", default="serial", help="how to talk to the guest: serial or ssh (default: %(default)s)")
    add("--accel", help="kvm or tcg (default: the first that is proved to work)")
    add("--qemu", type=Path, metavar="DIR", help="your own QEMU build instead of ours")
    add(
        "--snapshot",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run scenarios on copies of one booted guest, which is the default, or boot a guest for each of them",
    )
    add("--jobs", type=_jobs, metavar="N", help="guests at a time (default: what CPUs and memory carry)")
    add(
        "--seed",
        type=_seed,
        default=1,
        metavar="N",
        help="of the choices of scenarios that race, or 'random' (default: 1)",
    )
    add("--stress", type=_stress, default=1, metavar="FACTOR", help="rounds and time of those scenarios, times this")
    add("--force", action="store_true", help="measure again what an earlier run has measured")
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
        request = _request(args)
        for target in request.targets:
            doctor.require(target, cache, Door(timeline=ui.timeline))
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


def _request(args: argparse.Namespace) -> Request:
    chosen = targets.choose(args.target or [_TARGET])
    suite = suites.load_suite(args.suite)
    for target in chosen:
        _faults(suite, target)
    chosen = tuple(target.with_memory(suite.spec.memory_mib) for target in chosen)
    return Request(
        tree=args.tree,
        base=args.base,
        series=tuple(args.series),
        targets=chosen,
        suite=suite,
        scenarios=suites.select(suite, args.scenario),
        patterns=tuple(args.scenario),
        behaviours=suites.choose_behaviours(suite, args.expect),
        flavours=flavour.choose(args.flavour or [suite.spec.flavour]),
        known=known.load([*_own(suite), *args.known]),
        channel=_channel(args.channel, chosen),
        accelerator=args.accel,
        qemu=args.qemu,
        snapshot=args.snapshot,
        jobs=args.jobs,
        tuning=Tuning(args.seed, args.stress),
        force=args.force,
    )


def _own(suite: Suite) -> list[Path]:
    """The suite's own file of known splats, if it has one."""
    file = suite.folder / known.NAME
    return [file] if file.is_file() else []


def _seed(text: str) -> int:
    if text == "random":
        return secrets.randbelow(SEED_LIMIT)
    if not (text.isdecimal() and int(text) < SEED_LIMIT):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'random' nor a number below {SEED_LIMIT}")
    return int(text)


def _stress(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= STRESS_LIMIT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {STRESS_LIMIT}")
    return int(text)


def _jobs(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _channel(name: str, chosen: Sequence[Target]) -> str:
    for target in chosen:
        _known(f"channel of {target.name}", name, tuple(target.channels))
    return name


def _faults(suite: Suite, target: Target) -> None:
    """A fault that nobody reads would be a pass for lack of evidence."""
    if not suite.spec.faults:
        return
    known = ", ".join(suite.spec.faults)
    if not target.fault_events:
        raise UserError(
            f"the target {target.name} names no fault_events, so the suite {suite.name} would see no DMA fault",
            f"name those of its trace events that are IOMMU faults; the suite knows {known}",
        )
    if strange := [name for name in target.fault_events if name not in suite.spec.faults]:
        raise UserError(
            f"the suite {suite.name} does not know the fault event {', '.join(strange)} of the target {target.name}",
            f"say in its suite.yaml, under 'faults', which fields the event has; it knows {known}",
        )


def _known(what: str, name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(f"there is no {what} {name!r}", f"{hint}known: {', '.join(names)}")


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
