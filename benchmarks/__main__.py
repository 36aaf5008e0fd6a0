"""``python -m benchmarks``, which is ``make bench``: measure, and write a table and every number."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import platformdirs

from benchmarks import case, machine, table
from benchmarks.bench import TREE, Bench
from benchmarks.case import Case
from benchmarks.document import document
from benchmarks.model import Report
from benchmarks.peer import NAME as PEER
from harness.cache import Cache
from harness.errors import KphError

_HERE = Path(__file__).parent
# Those of the make that started us: another make would take its job server and its options from them.
_FOREIGN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS", "MAKEOVERRIDES")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when every number was had, 1 when one is missing, 2 for bad usage."""
    args = _arguments(argv)
    # Also where a shell that started us in the background has it ignored: what we started must end with us.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    for name in _FOREIGN:
        os.environ.pop(name, None)
    cases = _chosen(args.only)
    bench = Bench(args.home.expanduser().resolve(), args.runs, Cache.default(), _say, args.alone)
    try:
        report = _measure(bench, cases, args.out)
    except KphError as error:
        _say(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        _say("interrupted; what was measured is in the last files written")
        return 130
    if args.publish:
        _write(report, bench, _HERE / "results")
    print(table.render(report))
    return 0 if _whole(report, args.alone) else 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="What kph costs on this machine.")
    parser.add_argument("--only", default="", metavar="a,b", help="only these letters of the table")
    parser.add_argument("--runs", type=int, default=5, help="repetitions (default: %(default)s); cold builds run once")
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(platformdirs.user_cache_dir("kph-bench")),
        help="the benchmark's folder, about 10 GiB (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=_HERE / "results", help="where results go (default: %(default)s)")
    parser.add_argument("--alone", action="store_true", help="without virtme-ng, whose build takes longest")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results.md and .json as well")
    args = parser.parse_args(argv)
    if args.runs < 1:
        parser.error("--runs must be 1 or more")
    return args


def _chosen(only: str) -> tuple[Case, ...]:
    cases = case.found()
    wanted = {word.strip() for word in only.split(",") if word.strip()}
    known = {each.KEY for each in cases}
    if strange := wanted - known:
        raise SystemExit(
            f"make bench: there is no case {', '.join(sorted(strange))}; known: {', '.join(sorted(known))}"
        )
    return tuple(each for each in cases if not wanted or each.KEY in wanted)


def _measure(bench: Bench, cases: Sequence[Case], out: Path) -> Report:
    """Every case; what there is so far is written after each of them."""
    out.mkdir(parents=True, exist_ok=True)
    base = out / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    bench.seed()
    facts = {**machine.facts(bench.door), "tree": f"{TREE}, Linux {bench.tree.version}"}
    report = Report(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), facts, bench.runs)
    for each in cases:
        _say(f"({each.KEY}) {each.TITLE}")
        report = dataclasses.replace(report, cases=(*report.cases, case.run(each, bench)))
        _write(report, bench, base)
    return dataclasses.replace(report, machine=_versions(report, bench))


def _write(report: Report, bench: Bench, base: Path) -> None:
    """``base`` with .md and .json; paths of this machine say nothing to others."""
    report = dataclasses.replace(report, machine=_versions(report, bench))
    files = {".md": table.render(report), ".json": json.dumps(document(report), indent=1, ensure_ascii=False) + "\n"}
    for suffix, text in files.items():
        base.with_suffix(suffix).write_text(text.replace(str(bench.home), "BENCH").replace(str(Path.home()), "~"))


def _versions(report: Report, bench: Bench) -> dict[str, str]:
    """What is known when something has run."""
    return {**report.machine, **bench.versions()}


def _whole(report: Report, alone: bool) -> bool:
    """Whether every number was had that was asked for."""
    rows = [row for each in report.cases for row in each.measures if not (alone and PEER in row.who)]
    return not any(each.failure for each in report.cases) and not any(row.failure for row in rows)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
