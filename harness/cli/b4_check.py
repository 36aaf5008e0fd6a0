"""``kph b4-check``: what the nights found of a series, for ``b4 review``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.campaign.nightly import history as histories
from harness.campaign.nightly.history import History
from harness.report.nightly import b4

NAME = "b4-check"
HELP = "a check command for b4 review: reads a mail, prints what the nights found of its series"

_LARGEST = 64 << 20  # bytes of a mail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--history", type=Path, metavar="FILE", help="the history (default: that of kph nightly)")
    add("--name", default="", help="only nights of this name")
    add("--link", default="", metavar="URL", help="where the runs' folders can be read")


def run(args: argparse.Namespace) -> int:
    """An error is told on standard error, with nothing on standard output: b4 shows that as a failed check."""
    asked = sys.stdin.buffer.read(_LARGEST)
    with History(args.history or histories.default_file(), read_only=True) as history:
        sys.stdout.write(b4.text(b4.answer(history, asked, args.name, args.link)))
    return 0
