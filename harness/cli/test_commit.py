"""``kph test-commit``: one commit and one scenario, in the exit codes of ``git bisect run``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import inuse
from harness.build.kconfig import OptionsLost
from harness.cache import Cache
from harness.campaign.bisect.journal import Journal
from harness.campaign.bisect.signature import Mark, Signature, lock, read, together
from harness.campaign.bisect.tester import Runs, Tester
from harness.campaign.bisect.trees import Trees, Unfit
from harness.campaign.slots import Slots, usual
from harness.cli import options
from harness.errors import UserError
from harness.proc import Door
from harness.ui import Ui

NAME = "test-commit"
HELP = "test one commit for git bisect run: 0 good, 1 bad, 125 cannot be tested, above 127 the host failed"
# git bisect run (its manual, "bisect run"): 1 to 127 but 125 say that the commit is bad, more end the bisection.
ERROR_STATUS = 128

_EXIT = {Mark.GOOD: 0, Mark.BAD: 1, Mark.SKIP: 125, Mark.UNKNOWN: 125}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tree", default=".", help="a git checkout (default: the current directory)")
    add("--commit", default="HEAD", metavar="REV", help="what is tested (default: HEAD)")
    options.add_arguments(parser, snapshot=False)
    add("--splat", default="", metavar="TITLE", help="what counts is a splat with this title; takes wildcards")
    add("--like", type=Path, metavar="DIR", help="what counts is the failure of the bisection in this folder")
    add("--fixup", action="append", default=[], metavar="SERIES", help="applied to the commit, if it lacks it")
    add(
        "--runs",
        type=options.count,
        default=1,
        metavar="N",
        help="runs of the scenario; the failure in one of them counts",
    )
    add("--run-dir", type=Path, metavar="DIR", help="where the evidence goes (default: nowhere)")
    add("-q", "--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="kph-test-commit-") as scratch, inuse.run(Cache.default().root):
        folder = args.run_dir or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        mark, reason = _test(args, folder.resolve())
    print(f"{mark}: {reason}" if reason else str(mark))
    return _EXIT[mark]


def _test(args: argparse.Namespace, folder: Path) -> tuple[Mark, str]:
    ui, cache = Ui(quiet=args.quiet), Cache.default()
    scenario, signature = options.single(args), _signature(args)
    request = options.request(args)
    options.require(request, cache, Door())
    door = Door(folder / "commands.log")
    try:
        trees = Trees.of(args.tree, args.commit, args.fixup, cache, door, ui)
        slots = Slots(request.jobs or usual(request.targets[0].memory_mib))
        tester = Tester(request, request.scenarios[0] if request.scenarios else None, folder, cache, door, ui, slots)
        runs = tester.raw(trees.end.commit, trees.tree(trees.end.commit), args.runs)
    except Unfit as why:
        return Mark.SKIP, str(why)
    except OptionsLost as error:
        return Mark.SKIP, " ".join(error.message.split())
    except BaseException:
        door.close()
        raise
    return _read(runs, signature, scenario)


def _signature(args: argparse.Namespace) -> Signature | None:
    if args.splat:
        return Signature("", title=args.splat)
    if args.like is None:
        return None
    found = Journal(args.like).signature
    if found is None:
        raise UserError(f"{args.like} holds no bisection that has locked what counts as bad", "name its folder")
    return found


def _read(runs: Runs, signature: Signature | None, scenario: str) -> tuple[Mark, str]:
    if runs.failure:
        return Mark.SKIP, runs.failure
    if signature is None:
        # Nothing else is known of the failure: whatever it is counts, but what keeps the commit from being tested.
        shown = [run for run in runs.runs if run.booted and lock(run.outcome, run.boot_splats, (), run.booted)]
        if shown:
            return Mark.BAD, f"{scenario}: {lock(shown[0].outcome, shown[0].boot_splats, (), True)}"
        signature = Signature("none")
    said = together([read(signature, run.outcome, run.boot_splats, run.booted) for run in runs.runs])
    return said.mark, said.reason
