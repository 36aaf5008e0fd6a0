"""``kph bisect``: the commit that made a scenario fail, with evidence."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from harness import doctor, inuse, timing
from harness.cache import Cache, write_whole
from harness.campaign.bisect.configs import ConfigBisection, Configs
from harness.campaign.bisect.journal import NAME as JOURNAL
from harness.campaign.bisect.journal import Journal, Trial, read_git_log
from harness.campaign.bisect.walk import Bisection, Order
from harness.campaign.validate import run_folder
from harness.cli import options
from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.report import bisection, trace
from harness.timing import Timeline
from harness.ui import Ui

NAME = "bisect"
HELP = "find the commit that made a scenario fail, or that mended it"

PROVED, NOT_PROVED = 0, 1  # exit status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tree", help="a git checkout; it is never touched")
    add("--good", metavar="REV", help="a commit on which the scenario passes")
    add("--bad", metavar="REV", help="a commit on which it fails")
    options.add_arguments(parser, snapshot=False)
    add("--splat", default="", metavar="TITLE", help="what counts is a splat with this title; takes wildcards")
    add("--find-fix", action="store_true", help="bad is the older one: find the commit that mended the failure")
    add("--flaky", action="store_true", help="the failure does not show in each run: test as often as it takes")
    add(
        "--confidence",
        type=_chance,
        default=0.95,
        metavar="P",
        help="of a flaky failure's culprit (default: 0.95)",
    )
    add("--confirm", type=_number, default=2, metavar="N", help="runs on each end before the search (default: 2)")
    add("--fixup", action="append", default=[], metavar="SERIES", help="applied to each commit that lacks it")
    add(
        "--config-bisect",
        nargs=2,
        type=Path,
        metavar=("GOODCONFIG", "BADCONFIG"),
        help="find the options that make it fail; each is a fragment or a .config, on top of the target's own options",
    )
    add("--base", metavar="REV", help="with --config-bisect, the revision of a git checkout (default: HEAD)")
    add("--parallel", type=_number, default=1, metavar="N", help="commits to build and test at a time (default: 1)")
    add(
        "--resume",
        nargs="?",
        const="",
        metavar="DIR",
        help="go on with a bisection, by default the last unfinished",
    )
    add("--log", nargs="?", const="", metavar="DIR", help="print a bisection as git bisect replay takes it, and end")
    add("--replay", type=Path, metavar="FILE", help="believe the results of a git bisect log, or of a kph journal")
    add("--timings", type=Path, metavar="FILE", help="where the time went, as a trace for Perfetto or chrome://tracing")
    add("--run-dir", type=Path, metavar="DIR", help="where the evidence goes (default: a new folder)")
    add("-q", "--quiet", action="store_true", help="no progress, only the report")


def run(args: argparse.Namespace) -> int:
    if args.log is not None:
        return _log(_earlier(args.log, unfinished=False))
    ui = Ui(quiet=args.quiet, timeline=Timeline(timing.process_start()))
    with trace.kept(ui.timeline, args.timings):
        if args.resume is None:
            return _begin(args, ui)
        return _resume(_earlier(args.resume, unfinished=not args.resume), args, ui)


def _begin(args: argparse.Namespace, ui: Ui) -> int:
    order = _order(args)
    folder = _folder(args.run_dir, order.test)
    journal = Journal(folder)
    journal.begin({"argv": sys.argv[1:], "arguments": _plain(args), "directory": str(Path.cwd())})
    if args.replay is not None:
        _believe(args.replay, order, journal)
    return _carry_out(order, _configs(args), folder, journal, ui)


def _resume(folder: Path, args: argparse.Namespace, ui: Ui) -> int:
    journal = Journal(folder)
    if not journal.request:
        raise UserError(f"{folder} holds no bisection", f"its {JOURNAL} is missing or empty")
    os.chdir(journal.request["directory"])
    before = argparse.Namespace(**_parsed(journal.request["arguments"]))
    ui.say(f"going on after {len(journal.order)} tests and {journal.seconds:.0f} s")
    return _carry_out(_order(before), _configs(before), folder, journal, ui)


def _carry_out(order: Order, configs: Configs | None, folder: Path, journal: Journal, ui: Ui) -> int:
    cache = Cache.default()
    doctor.require(order.request.targets[0], cache, Door(timeline=ui.timeline))
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as held:
        raise UserError(f"the bisection in {folder} is being carried out by another kph", "wait for it") from held
    with lock, inuse.run(cache.root, folder):
        ui.say(f"bisection: {folder}")
        try:
            if configs is not None:
                options_found = ConfigBisection(order, configs, folder, journal, cache, ui).run()
                return _report(folder, bisection.config.files(options_found), options_found.proved)
            found = Bisection(order, folder, journal, cache, ui).run()
            return _report(folder, bisection.files(found), found.proved)
        except BaseException:
            ui.say(f"to go on: kph bisect --resume {folder}")
            raise


def _report(folder: Path, files: Mapping[str, str], proved: bool) -> int:
    for name, text in files.items():
        try:
            write_whole(folder / name, text.encode())
        except OSError as error:
            raise InfraError(f"the report cannot be written: {error}", "kph bisect --resume writes it again") from error
    sys.stdout.write(files[bisection.TEXT])
    return PROVED if proved else NOT_PROVED


def _log(folder: Path) -> int:
    file = folder / bisection.LOG
    if not file.is_file():
        raise UserError(f"the bisection in {folder} has not ended", f"kph bisect --resume {folder} goes on with it")
    sys.stdout.write(file.read_text())
    return 0


# --- what the user asked for ---------------------------------------------------------
def _order(args: argparse.Namespace) -> Order:
    for name in ("tree",) if args.config_bisect else ("tree", "good", "bad"):
        if not getattr(args, name):
            raise UserError(f"--{name} is missing", "kph bisect --tree REPO --good REV --bad REV --scenario NAME")
    options.single(args)
    request = options.request(args, args.base)
    return Order(
        request=request,
        scenario=request.scenarios[0] if request.scenarios else None,
        good=args.good or "",
        bad=args.bad or "",
        mends=args.find_fix,
        title=args.splat,
        confirm=args.confirm,
        flaky=args.flaky,
        confidence=args.confidence,
        parallel=args.parallel,
        fixups=tuple(args.fixup),
    )


def _configs(args: argparse.Namespace) -> Configs | None:
    if not args.config_bisect:
        return None
    try:
        return Configs.of(*(Path(file).read_text() for file in args.config_bisect))
    except OSError as error:
        raise UserError(f"--config-bisect: {error}", "name two fragments or .config files") from error


def _believe(file: Path, order: Order, journal: Journal) -> None:
    """Take over what another bisection found."""
    try:
        text = file.read_text()
    except OSError as error:
        raise UserError(f"--replay {file}: {error.strerror}", "name a git bisect log or a journal of kph") from error
    if text.startswith("{"):
        other = Journal(file.parent) if file.name == JOURNAL else None
        if other is None or other.request["arguments"]["scenario"] != [order.test]:
            raise UserError(f"{file} is not the {JOURNAL} of a bisection of {order.test}", "name its own journal")
        if other.signature is not None:
            journal.lock(other.signature)
        for test in other.order:
            journal.test(test)
        return
    for commit, mark in read_git_log(text).items():
        journal.test(Trial(commit, mark, "as the git bisect log says", shown=mark == "bad", hidden=mark == "good"))


def _plain(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments as JSON has them."""
    words = {name: value for name, value in vars(args).items() if name != "run"}
    found: dict[str, Any] = json.loads(json.dumps(words, default=str))
    return found


def _parsed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse; paths are paths again."""
    paths = {"qemu", "replay", "timings", "run_dir"}
    found = {name: Path(value) if name in paths and value else value for name, value in arguments.items()}
    return {**found, "known": [Path(each) for each in arguments["known"]]}


def _earlier(named: str, *, unfinished: bool) -> Path:
    if named:
        folder = Path(named)
        if not (folder / JOURNAL).is_file():
            raise UserError(f"{folder} holds no bisection", f"name a folder with a {JOURNAL}")
        return folder.resolve()
    folders = sorted(_root().glob(f"*/{JOURNAL}"), key=lambda file: -file.stat().st_mtime)
    for file in folders:
        if not unfinished or not Journal(file.parent).over:
            return file.parent
    raise UserError(f"there is no {'unfinished ' if unfinished else ''}bisection in {_root()}", "name its folder")


def _root() -> Path:
    return Path(platformdirs.user_state_dir("kph")) / "bisections"


def _folder(wanted: Path | None, test: str) -> Path:
    if wanted is None:
        return run_folder(_root(), test.replace("/", "-"))
    if wanted.exists() and any(wanted.iterdir()):
        raise UserError(f"the directory {wanted} is not empty", "name a new one, or go on with --resume")
    wanted.mkdir(parents=True, exist_ok=True)
    return wanted.resolve()


def _number(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def _chance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability from 0.5 to below 1")
    return value
