"""``kph bisect``: the commit that made a scenario fail, with evidence."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from harness import inuse, timing
from harness.cache import Cache, write_whole
from harness.campaign.bisect.configs import ConfigBisection, Configs
from harness.campaign.bisect.journal import NAME as JOURNAL
from harness.campaign.bisect.journal import Journal, Trial, git_log, read_git_log
from harness.campaign.bisect.order import Order
from harness.campaign.bisect.signature import Mark, Signature
from harness.campaign.bisect.walk import Bisection
from harness.campaign.validate import run_folder
from harness.cli import options
from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.report import bisection, trace
from harness.source.usergit import find_repo, resolve_revision
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
    add("--confirm", type=options.count, default=2, metavar="N", help="runs on each end before the search (default: 2)")
    add("--fixup", action="append", default=[], metavar="SERIES", help="applied to each commit that lacks it")
    add(
        "--config-bisect",
        nargs=2,
        type=Path,
        metavar=("GOODCONFIG", "BADCONFIG"),
        help="find the options that make it fail; each is a fragment or a .config, on top of the target's own options",
    )
    add("--base", metavar="REV", help="with --config-bisect, the revision of a git checkout (default: HEAD)")
    add("--parallel", type=options.count, metavar="N", help="commits to build and test at a time (default: 1)")
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
    timings = args.timings.absolute() if args.timings else None  # a bisection that is resumed has its own directory
    with trace.kept(ui.timeline, timings):
        if args.resume is None:
            return _begin(args, ui)
        return _resume(_earlier(args.resume, unfinished=not args.resume), args, ui)


def _begin(args: argparse.Namespace, ui: Ui) -> int:
    """All that can be refused is, before there is anything to resume."""
    order = _order(args)
    texts = [_text(file) for file in args.config_bisect] if args.config_bisect else []
    configs = Configs.of(*texts) if texts else None
    believed = _believed(args) if args.replay is not None else (None, ())
    if configs is None:
        _revisions(order)
    folder = _folder(args.run_dir, order.test)
    with _held(folder):
        journal = Journal(folder, write=True)
        journal.begin({"arguments": _plain(args), "directory": str(Path.cwd()), "configs": texts})
        signature, tests = believed
        if signature is not None:
            journal.lock(signature)
        for test in tests:
            journal.test(test)
        return _carry_out(order, configs, folder, journal, ui)


def _resume(folder: Path, args: argparse.Namespace, ui: Ui) -> int:
    with _held(folder):
        journal = Journal(folder, write=True)
        if not journal.request:
            raise UserError(f"{folder} holds no bisection", f"its {JOURNAL} is empty")
        try:
            os.chdir(journal.request["directory"])
        except OSError as error:
            raise UserError(f"the directory in which the bisection was begun: {error}", "make it again") from error
        before = argparse.Namespace(**_parsed(journal.request["arguments"]))
        before.jobs, before.parallel = args.jobs or before.jobs, args.parallel or before.parallel
        configs = Configs.of(*journal.request["configs"]) if journal.request["configs"] else None
        ui.say(f"going on after {len(journal.order)} tests and {journal.seconds:.0f} s")
        return _carry_out(_order(before), configs, folder, journal, ui)


def _carry_out(order: Order, configs: Configs | None, folder: Path, journal: Journal, ui: Ui) -> int:
    cache = Cache.default()
    options.require(order.request, cache, Door(timeline=ui.timeline))
    ui.say(f"bisection: {folder}")
    began = timing.process_start()
    try:
        if configs is not None:
            options_found = ConfigBisection(order, configs, folder, journal, cache, ui, began).run()
            return _report(folder, bisection.config.files(options_found), options_found.proved)
        found = Bisection(order, folder, journal, cache, ui, began).run()
        return _report(folder, bisection.files(found), found.proved)
    except BaseException:
        ui.say(f"to go on: kph bisect --resume {folder}")
        raise


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the bisection in ``folder``: its journal is read and written by one at a time."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as held:
        raise UserError(f"the bisection in {folder} is being carried out by another kph", "wait for it") from held
    with lock, inuse.run(Cache.default().root, folder):  # kph gc leaves what we find
        yield


def _report(folder: Path, files: Mapping[str, str], proved: bool) -> int:
    for name, text in files.items():
        try:
            write_whole(folder / name, text.encode())
        except OSError as error:
            raise InfraError(f"the report cannot be written: {error}", "kph bisect --resume writes it again") from error
    sys.stdout.write(files[bisection.TEXT])
    return PROVED if proved else NOT_PROVED


def _log(folder: Path) -> int:
    """What git takes: as the report has it, or of a bisection under way what is known so far."""
    file = folder / bisection.LOG
    if file.is_file():
        sys.stdout.write(file.read_text())
        return 0
    journal = Journal(folder)
    if journal.request.get("configs"):
        raise UserError(
            f"the bisection in {folder} is one of options, of which git knows nothing", "see its report.txt"
        )
    sys.stdout.write(git_log(journal, {}, mends=bool(journal.request.get("arguments", {}).get("find_fix"))))
    return 0


# --- what the user asked for ---------------------------------------------------------
def _order(args: argparse.Namespace) -> Order:
    for name in ("tree",) if args.config_bisect else ("tree", "good", "bad"):
        if not getattr(args, name):
            raise UserError(f"--{name} is missing", "kph bisect --tree REPO --good REV --bad REV --scenario NAME")
    _fit_together(args)
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
        parallel=args.parallel or 1,
        fixups=tuple(args.fixup),
    )


def _fit_together(args: argparse.Namespace) -> None:
    """Raise UserError for options that say nothing beside others."""
    commits = ("good", "bad", "find_fix", "fixup", "parallel", "replay")
    useless = [name for name in commits if getattr(args, name)] if args.config_bisect else ["base"] if args.base else []
    if useless:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in useless)
        raise UserError(
            f"{words}: of no use {'with' if args.config_bisect else 'without'} --config-bisect", "leave it out"
        )


def _revisions(order: Order) -> None:
    """Raise UserError unless the ends are commits of a git checkout."""
    path = Path(order.request.tree).expanduser()
    repo = find_repo(path) if path.is_dir() else None
    if repo is None:
        raise UserError(
            f"--tree {order.request.tree} is no git repository, so it has no history", "give a git checkout"
        )
    for revision in (order.good, order.bad):
        resolve_revision(repo, revision, Door())


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}", "name a file that can be read") from error


# What decides a result: a journal with other values says nothing here.
_DECIDE = (
    "suite",
    "scenario",
    "target",
    "flavour",
    "expect",
    "channel",
    "seed",
    "stress",
    "splat",
    "fixup",
    "find_fix",
)


def _believed(args: argparse.Namespace) -> tuple[Signature | None, tuple[Trial, ...]]:
    """What another bisection found: what git's says is believed for the search, and seen again for the proof."""
    text = _text(args.replay)
    if not text.startswith("{"):
        marks = read_git_log(text, mends=args.find_fix)
        told = "as the git bisect log says"
        return None, tuple(
            Trial(name, mark, told, shown=int(mark is Mark.BAD), hidden=int(mark is Mark.GOOD), believed=True)
            for name, mark in marks.items()
        )
    other = Journal(args.replay.parent) if args.replay.name == JOURNAL else None
    if other is None or not other.request:
        raise UserError(f"{args.replay} is neither a git bisect log nor the {JOURNAL} of a bisection", "name one")
    mine, theirs = _plain(args), other.request["arguments"]
    if differ := [name for name in _DECIDE if mine[name] != theirs[name]]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in differ)
        raise UserError(f"the bisection of {args.replay} was made with another {names}", "its results say nothing here")
    folder = args.replay.parent.absolute()
    tests = (replace(test, evidence=str(folder / test.evidence) if test.evidence else "") for test in other.order)
    return other.signature, tuple(tests)


def _plain(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments as JSON has them."""
    words = {name: value for name, value in vars(args).items() if name != "run"}
    found: dict[str, Any] = json.loads(json.dumps(words, default=str))
    return found


def _parsed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse; paths are paths again."""
    paths = {"qemu", "timings", "run_dir"}
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
        with contextlib.suppress(UserError):  # a journal that cannot be read does not hide the others
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


def _chance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability from 0.5 to below 1")
    return value
