"""``kph list``: what there is to choose from."""

from __future__ import annotations

import argparse

from harness import report
from harness.build.flavour import flavours
from harness.machine import target as targets
from harness.scenario import load as suites

NAME = "list"
HELP = "list targets, flavours, report formats, suites, and the scenarios of a suite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", nargs="?", help="list the scenarios of this suite, with the rules they stand for")


def run(args: argparse.Namespace) -> int:
    if args.suite:
        for scenario in suites.load_suite(args.suite).scenarios:
            print(f"{scenario.id:45} {','.join(scenario.spec.rules):12} {scenario.summary}")
        return 0
    for name in targets.known():
        print(f"target    {name:20} {targets.load(name).summary}")
    for name in suites.known_suites():
        suite = suites.load_suite(name)
        what = "the guest's own tests" if suite.spec.ktap else f"{len(suite.scenarios)} scenarios"
        print(f"suite     {name:20} {what}; {suite.spec.summary}")
    print(f"flavour   {', '.join(flavours())}")
    print(f"report    {', '.join(report.formats())}")
    return 0
