"""``kph doctor``: what is missing, and the one command that fixes it."""

from __future__ import annotations

import argparse

from harness import doctor
from harness.cache import Cache
from harness.proc import Door

NAME = "doctor"
HELP = "say what this machine lacks, what it is for, and the one command that fixes it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--packages", action="store_true", help="print only the Debian packages to install, on one line"
    )
    parser.add_argument("--offline", action="store_true", help="do not ask the Debian archive")


def run(args: argparse.Namespace) -> int:
    if args.packages:
        print(" ".join(doctor.packages()))
        return 0
    report = doctor.examine(Cache.default(), Door(), network=not args.offline)
    print(doctor.render(report))
    return 0 if report.healthy else 3
