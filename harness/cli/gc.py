"""``kph gc``: free the disk of what is old."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from harness.cache import Cache
from harness.campaign import gc
from harness.campaign.gc import Freed, Policy, Report

NAME = "gc"
HELP = "remove kernels, results, work trees and evidence that nobody has used for long, and compress old logs"

_DAYS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--keep-days", type=_number, metavar="N", help=f"what was used since (default: {_DAYS:.0f}, without --keep-gib)"
    )
    add("--keep-gib", type=_number, metavar="X", help="that much, of cache and evidence; the oldest goes first")
    add("--no-compress", action="store_true", help="leave the logs of runs that are over as they are")
    add("--dry-run", action="store_true", help="only say what would go")
    add("-v", "--verbose", action="store_true", help="name each thing")


def run(args: argparse.Namespace) -> int:
    """Status 1 when there is more left than --keep-gib allows."""
    days = _DAYS if args.keep_days is None and args.keep_gib is None else args.keep_days
    policy = Policy(days, args.keep_gib, not args.no_compress)
    cache, state = Cache.default().root, Path(platformdirs.user_state_dir("kph"))
    report = gc.collect(cache, state, policy, dry_run=args.dry_run)
    print("\n".join(_lines(report, args)))
    return 1 if report.over else 0


def _lines(report: Report, args: argparse.Namespace) -> Iterable[str]:
    would = "would be " if args.dry_run else ""
    for compressed, verb in ((False, f"{would}removed"), (True, f"{would}compressed")):
        kinds: dict[str, list[Freed]] = {}
        for each in report.freed:
            if each.compressed is compressed:
                kinds.setdefault(each.kind, []).append(each)
        for kind, those in sorted(kinds.items()):
            what = f"logs of {len(those)} {kind}" if compressed else f"{len(those)} {kind}"
            yield f"{_size(sum(each.bytes for each in those)):>10}  {what} {verb}"
            if args.verbose:
                yield from (f"{'':12}{_size(each.bytes):>10}  {each.path}" for each in those)
    reasons: dict[str, int] = {}
    for path, why in report.kept:
        reasons[why] = reasons.get(why, 0) + 1
        if args.verbose:
            yield f"kept: {path}: {why}"
    yield from (f"{number} kept: {why}" for why, number in reasons.items())
    yield f"{_size(sum(each.bytes for each in report.freed)):>10}  {would}freed"
    if report.left is not None:
        tail = (
            f", more than the {args.keep_gib:g} GiB asked for: the rest is in use, or not gc's" if report.over else ""
        )
        yield f"{_size(report.left):>10}  left{tail}"


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if abs(number) >= 2**30 else f"{number / 2**20:.1f} MiB"


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return value
