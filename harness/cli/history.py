"""``kph history``: what nights have found, for people and for programs."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from harness.campaign.nightly import history as histories
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.cli import history_tables as tables
from harness.errors import InfraError, UserError
from harness.report import nightly

NAME = "history"
HELP = "list nights, show one, follow a scenario over nights, export, check"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--history", type=Path, metavar="FILE", help="the history (default: that of kph nightly)")
    add("--name", default="", help="only nights of this name")
    add("--night", type=int, metavar="N", help="one night: its cells, and what is new in it; 0: the last")
    add("--scenario", metavar="PATTERN", help="this scenario over the nights; takes wildcards")
    add("--place", default="*", metavar="PATTERN", help="only places whose text matches, as in '*arm64*'")
    for word, what in (("failing", "fails"), ("flaky", "is flaky"), ("new", "failed last night and not before")):
        add(f"--{word}", action="store_true", help=f"what {what}")
    add("--report", action="append", default=[], metavar="FORM[=FILE]", help="a night in a form; may be repeated")
    add("--export", choices=("json", "csv"), help="every result as rows, see docs/nightly-outputs.md")
    add("--check", action="store_true", help="say what is wrong with the file; status 1 if anything is")
    add("--forget", type=_days, metavar="DAYS", help="remove nights older than this; never results in use")


def run(args: argparse.Namespace) -> int:
    file = args.history or histories.default_file()
    if args.check:
        return _check(file)
    reports = [nightly.parse_request(text) for text in args.report]
    with History(file, read_only=args.forget is None) as history:
        if args.forget is not None:
            return _forget(history, args.forget)
        if args.export:
            export = tables.csv_text if args.export == "csv" else tables.json_text
            nightly.write(export(tables.rows(history, args.name, args.scenario or "*", args.place)), None)
            return 0
        for form, to in reports:
            nightly.write(nightly.render(form, history, _night(history, args)), to)
        if not reports:
            sys.stdout.write(_text(history, args))
    return 0


def _text(history: History, args: argparse.Namespace) -> str:
    view = tables.view()
    kinds = [name for name in ("failing", "flaky", "new") if getattr(args, name)]
    if args.night is not None and not kinds:
        return tables.night(history, _night(history, args), view)
    if kinds:
        wanted = args.scenario or "*"
        return tables.judged(history, _night(history, args), kinds, (wanted, args.place), view)
    if args.scenario:
        return tables.timeline(history, args.name, (args.scenario, args.place), view)
    return tables.nights(history, args.name, view)


def _night(history: History, args: argparse.Namespace) -> Night:
    if args.night:
        found = history.night(args.night)
        if found is None:
            raise UserError(f"there is no night {args.night}", "kph history lists them")
        return found
    nights = history.nights(args.name, 1)
    if not nights:
        raise UserError("there is no night" + (f" of {args.name}" if args.name else ""), "kph nightly makes one")
    return nights[0]


def _check(file: Path) -> int:
    try:
        with History(file, read_only=True) as history:
            wrong = history.check()
    except InfraError as error:  # it cannot even be opened, or read to the end
        wrong = [error.message]
    for each in wrong:
        print(each)
    if not wrong:
        print(f"{file}: nothing is wrong")
    return 1 if wrong else 0


def _forget(history: History, days: int) -> int:
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    print(f"{history.forget(before.isoformat(timespec='milliseconds'))} nights are forgotten")
    return 0


def _days(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return int(text)
