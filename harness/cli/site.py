"""``kph site``: the history of nights as static pages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.campaign.nightly.history import History, default_file
from harness.report.site import build

NAME = "site"
HELP = "write the history of nights as pages that need no server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--history", type=Path, metavar="FILE", help=f"the history (default: {default_file()})")
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder, or one of an earlier kph site")
    add("--name", default="", help="only nights of this name")
    add("-q", "--quiet", action="store_true", help="say nothing")


def run(args: argparse.Namespace) -> int:
    with History(args.history or default_file(), read_only=True) as history:
        built = build(history, args.out, args.name)
    if not args.quiet:
        print(f"{built.pages} pages, {built.written} of them written: {args.out / 'index.html'}", file=sys.stderr)
    return 0
