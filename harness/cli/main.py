"""``kph``: finds the subcommands, and turns errors into exit codes (the only place that does).

Exit status: 0 nothing wrong with the series, 1 the series fails, 2 bad usage or
input, 3 the harness or host failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, Protocol, cast

from harness import cli
from harness.errors import KphError


class Command(Protocol):
    """What a module of this package has when it is a subcommand."""

    NAME: str  # as typed
    HELP: str  # one line

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the result is the exit status."""


def commands() -> tuple[Command, ...]:
    """Every subcommand, found by being there."""
    found = (importlib.import_module(f"harness.cli.{each.name}") for each in pkgutil.iter_modules(cli.__path__))
    return tuple(cast(Command, module) for module in found if hasattr(module, "NAME"))


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="kph", description="Does a kernel patch series do what it says?")
    subs = top.add_subparsers(metavar="COMMAND", required=True)
    for command in commands():
        sub = subs.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``kph`` command."""
    args = parser().parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return int(args.run(args))
    except KphError as error:
        print(f"kph: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("kph: interrupted; nothing is left running, and what was built is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End like Ctrl-C does, so that every process and lock is let go."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
