"""``kph nightly``: test what changed since last night on several trees, and say what is new."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout
from rich.table import Table

from harness import doctor, inuse, report, timing
from harness.build import sandbox
from harness.cache import Cache
from harness.campaign.nightly.file import NightlyFile, load
from harness.campaign.nightly.hands import Hands
from harness.campaign.nightly.history import History, default_file
from harness.campaign.nightly.keep import keep
from harness.campaign.nightly.night import Ended, Nights
from harness.campaign.nightly.plan import Planned
from harness.campaign.request import Request
from harness.cli import options
from harness.errors import UserError
from harness.machine import target as targets
from harness.model import RunResult
from harness.proc import Door
from harness.report import View, bisection, clean
from harness.report.nightly import facts, mail, publish
from harness.report.nightly.facts import Facts
from harness.report.page import Page
from harness.timing import Timeline
from harness.ui import Ui

NAME = "nightly"
HELP = "test what changed since last night on several trees, keep a history, bisect what broke"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="trees, matrix, budget and where results go; docs/nightly.md")
    add("--check", action="store_true", help="say what would run, and end")
    add("--history", type=Path, metavar="FILE", help="the history (default: one for all nights of this user)")
    add("--runs", type=Path, metavar="DIR", help="where the evidence goes (default: with that of kph run)")
    add("-q", "--quiet", action="store_true", help="no progress, only what is new")


def run(args: argparse.Namespace) -> int:
    ui = Ui(quiet=args.quiet, timeline=Timeline(timing.process_start()))
    file, cache = load(args.file), Cache.default()
    publish.check(file)
    if not args.check:  # what would run can be told on a machine that cannot run it
        for target in targets.choose(file.targets):
            doctor.require(target, cache, Door())
        if file.sandbox:
            sandbox.require(Door())
    place = args.history or default_file()
    runs = args.runs or Path(platformdirs.user_state_dir("kph")) / "runs"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{place}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as held:
        raise UserError(f"another kph nightly is using the history {place}", "wait until its night is over") from held
    with lock, History(place) as history:
        nights = Nights(file, history, runs, cache, ui, hands(file))
        if args.check:
            sys.stdout.write(_plan(file, nights.plan()))
            return 0
        with inuse.run(cache.root):  # kph gc leaves what this night finds, from its trees to its bisections
            ended = nights.run()
        trouble = publish.publish(file, history, ended.night, Door())
        notes = keep(file.keep, history, ended.night, runs, cache)
        sys.stdout.write(_told(ended, facts.of(history, ended.night), (*ended.problems, *trouble, *notes)))
        return ended.status or (3 if trouble else 0)


def hands(file: NightlyFile) -> Hands:
    """See Hands."""

    def ask(planned: Planned, scenarios: Sequence[str]) -> Request:
        return asked(file, planned, scenarios)

    def keep_report(found: RunResult, folder: Path) -> None:
        report.write("json", found, folder / "report.json")

    return Hands(ask, keep_report, bisection.files)


def asked(file: NightlyFile, planned: Planned, scenarios: Sequence[str] = ()) -> Request:
    """The run of one cell. ``scenarios``: these alone."""
    place = planned.place
    words = ["--target", place.target, "--flavour", place.flavour, "--suite", place.suite, "--channel", file.channel]
    words += [word for pattern in scenarios or file.scenarios for word in ("--scenario", pattern)]
    words += [word for name, value in file.expect.items() for word in ("--expect", f"{name}={str(value).lower()}")]
    words += ["--sandbox"] if file.sandbox else []
    words += ["--jobs", str(file.jobs)] if file.jobs else []
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    args = parser.parse_args(words)
    args.tree = planned.spec
    # A git tree is tested as it was when the night was planned, whatever its branch does meanwhile.
    tree = planned.tree
    is_git = tree is not None and tree.repo.name.startswith("git-")
    return options.request(args, tree.commit if is_git and tree else None, planned.series)


def _plan(file: NightlyFile, planned: Sequence[Planned]) -> str:
    page = Page(View(width=120))
    page.paragraph(f"nights of {file.name}: {len(planned)} cells, at most {file.budget / 3600:.1f} h")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for each in planned:
        commit = each.tree.commit[:12] if each.tree else ""
        about = "" if each.known else " (a guess)"
        what = (
            f"CANNOT BE RUN: {each.problem}"
            if each.problem
            else "unchanged"
            if each.same
            else f"dropped: {each.dropped}"
            if each.dropped
            else f"run, about {each.seconds / 60:.0f} min{about}"
        )
        table.add_row(clean.line(str(each.place)), commit, clean.line(what))
    page.table(table)
    total = sum(each.seconds for each in planned if not (each.problem or each.same or each.dropped))
    page.paragraph(f"about {total / 3600:.1f} h")
    return page.text()


def _told(ended: Ended, found: Facts, problems: Sequence[str]) -> str:
    told = {(line.cell.id, line.result.scenario) for line in found.new}
    # What fails anew after it came and went is flaky for those who read the mail; it counts in this night all the same.
    others = [(cell, result) for cell, result in ended.failures if (cell.id, result.scenario) not in told]
    last = [clean.line(f"NEW: {cell.place}: {result.scenario}: {result.status}") for cell, result in others]
    last += [f"NOTE: {clean.line(problem)}" for problem in problems]
    last += [] if ended.failures else ["nothing fails that did not fail before"]
    return "\n".join((mail.body(found), *last)).rstrip() + "\n"
