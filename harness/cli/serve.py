"""``kph serve``: the history of nights in a browser of this machine."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from harness.campaign.nightly.history import History, default_file
from harness.report.site.server import Served, Server

NAME = "serve"
HELP = "show the history of nights to browsers of this machine, kept up to date"

_LOOK = 2.0  # seconds between looks at the history
_SHARE = 5  # times as long as a build took it waits for the next: the night needs the CPUs
_REFRESH = 15  # seconds after which pages of a running night are loaded again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--history", type=Path, metavar="FILE", help=f"the history (default: {default_file()})")
    add("--port", type=_port, default=8780, metavar="N", help="of 127.0.0.1; 0 takes one that is free (default: 8780)")
    add("--name", default="", help="only nights of this name")


def run(args: argparse.Namespace) -> int:
    """Ctrl-C is how it ends."""
    with (
        History(args.history or default_file(), read_only=True) as history,
        tempfile.TemporaryDirectory(prefix="kph-site-") as folder,
    ):
        try:
            with Server(Served(history, Path(folder), args.name, _REFRESH), args.port) as server:
                print(f"{server.address}\nCtrl-C ends it", file=sys.stderr, flush=True)
                pause = _LOOK
                while True:
                    time.sleep(pause)
                    began = time.monotonic()
                    server.served.renew()
                    pause = max(_LOOK, _SHARE * (time.monotonic() - began))
        except KeyboardInterrupt:
            return 0


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)
