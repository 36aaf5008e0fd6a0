"""``kph notify``: tell people and programs of a night, by mail and by webhook."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.campaign.nightly import history as histories
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.errors import UserError
from harness.proc import Door
from harness.report.nightly import facts, kcidb, mail, webhook
from harness.report.nightly import write as put

NAME = "notify"
HELP = "send a night by mail or webhook, or write it for others; the exit status is the night's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--history", type=Path, metavar="FILE", help="the history (default: that of kph nightly)")
    add("--name", default="", help="the last night of this name")
    add("--night", type=int, metavar="N", help="this night (default: the last)")
    add("--mail-to", action="append", default=[], metavar="ADDRESS", help="hand a summary to sendmail; may be repeated")
    add("--mail-from", default="kph <kph@localhost>", metavar="ADDRESS", help="its sender (default: %(default)s)")
    add("--mail-file", type=Path, metavar="FILE", help="write the mail, too, or only")
    add("--tester", default="", metavar="NAME <MAIL>", help="with Tested-by lines of this name")
    add("--webhook", metavar="URL", help=f"POST the night there; the secret is in {webhook.VARIABLE} or in:")
    add("--secret-file", type=Path, metavar="FILE", help="a file with the webhook's secret, mode 600")
    add("--deadline", type=float, default=60.0, metavar="S", help="until the webhook must have it (default: 60)")
    add("--kcidb", type=Path, metavar="FILE", help="write KCIDB JSON, under --origin")
    add("--origin", default="kph", help="what the KCIDB data base knows this machine by (default: kph)")
    add("--branch", action="append", default=[], metavar="TREE=BRANCH", help="a tree's branch, for KCIDB")
    add("--url", action="append", default=[], metavar="TREE=URL", help="a tree's https address, for KCIDB")
    add("--logs", default="", metavar="URL", help="where the runs' folders can be read, for KCIDB")


def run(args: argparse.Namespace) -> int:
    # All that can be wrong with what was asked, before anything is sent.
    envelope = mail.Envelope(args.mail_from, tuple(args.mail_to), args.tester)
    secret = webhook.secret(args.secret_file) if args.webhook else None
    names = _names(args)
    with History(args.history or histories.default_file(), read_only=True) as history:
        night = _night(history, args)
        status = int(facts.of(history, night).exit)
        if args.kcidb:
            put(kcidb.render(history, night, names), args.kcidb)
        if args.mail_to or args.mail_file:
            text = mail.render(history, night, envelope)
            if args.mail_file:
                put(text, args.mail_file)
            if args.mail_to:
                mail.send(text, Door())
        if secret is not None:
            webhook.post(args.webhook, webhook.render(history, night), secret, args.deadline)
    return status


def _night(history: History, args: argparse.Namespace) -> Night:
    found = history.night(args.night) if args.night else next(iter(history.nights(args.name, 1)), None)
    if found is None:
        raise UserError("there is no such night", "kph history lists them")
    return found


def _names(args: argparse.Namespace) -> kcidb.Names:
    try:
        return kcidb.Names(args.origin, _pairs(args.url), _pairs(args.branch), args.logs)
    except ValueError as error:
        raise UserError(f"--origin: {error}", "KernelCI's people give one") from error


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    if not all(name and value for name, _, value in pairs):
        raise UserError(f"{', '.join(words)}: not TREE=VALUE", "TREE is the tree's name in the file of the nights")
    return {name: value for name, _, value in pairs}
