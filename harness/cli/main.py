"""``kph``: finds the subcommands, and turns errors into exit codes (the only place that does).

Exit status: 0 nothing wrong with the series, 1 the series fails, 2 bad usage or
input, 3 the harness or host failed, 130 interrupted. A command whose exit status
``git bisect run`` reads adds its ERROR_STATUS to 2 and 3.
"""

from __future__ import annotations

import argparse
import errno
import gc
import importlib
import os
import pkgutil
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, cast

import platformdirs

from harness import cli
from harness.errors import KphError

_UNKNOWN = 128  # of a command that cannot be loaded; git bisect run takes what is below for an answer
_LEAST = 8 << 20  # bytes that are free on a disk that is not full
_SPACE = "free some space, as with kph gc --keep-days 7, and run it again; what was built is kept"
_OWN = "this is a mistake of kph's own, and says nothing of the series\n  hint: report it with the lines above"
# Errors of the operating system that are no mistake of ours, wherever they meet us.
_HOST = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EROFS: "name a folder on a disk that can be written to",
    errno.EIO: "the disk has an error: look into the host's kernel log",
    errno.EACCES: "is it yours? name another one, or run as its owner",
    errno.EMFILE: "raise the limit of open files: ulimit -n",
    errno.ENOMEM: "free some memory, or take fewer --jobs",
}


class Command(Protocol):
    """What a module of this package has when it is a subcommand."""

    NAME: str  # as typed; its module has the same name, with _ for -
    HELP: str  # one line

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the result is the exit status."""


def commands(word: str = "") -> tuple[Command, ...]:
    """Every subcommand, found by being there; if one's module is named ``word``, that one alone.

    What the others import is not loaded then.
    """
    names = [each.name for each in pkgutil.iter_modules(cli.__path__)]
    module = word.replace("-", "_")
    found = (importlib.import_module(f"harness.cli.{name}") for name in ([module] if module in names else names))
    return tuple(cast(Command, module) for module in found if hasattr(module, "NAME"))


def parser(word: str = "") -> argparse.ArgumentParser:
    """The command line: all of it, or what ``commands(word)`` has."""
    top = argparse.ArgumentParser(prog="kph", description="Does a kernel patch series do what it says?")
    subs = top.add_subparsers(metavar="COMMAND", required=True)
    for command in commands(word):
        sub = subs.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``kph`` command."""
    _hurry()
    words = sys.argv[1:] if argv is None else argv
    offset = _UNKNOWN
    try:
        offset = _error_status(words[0]) if words else 0
        return _main(words, offset)
    except SystemExit as end:  # argparse has said what is wrong, or printed its help
        raise SystemExit(end.code + offset if isinstance(end.code, int) and end.code else end.code) from None
    except Exception:  # left to Python it would end with 1, which says that the series fails
        traceback.print_exc()
        print(f"kph: {_OWN}", file=sys.stderr)
        return offset + 3


def _main(words: Sequence[str], offset: int) -> int:
    args = parser(words[0] if words else "").parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        status = int(args.run(args))
        sys.stdout.flush()  # what cannot be written is told here, and not at Python's end, with a status of its own
        return status
    except KphError as error:
        print(f"kph: {error}", file=sys.stderr)
        return error.exit_status + offset
    except KeyboardInterrupt:
        print("kph: interrupted; nothing is left running, and what was built is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _let_go_of_output()
        return 141
    except OSError as error:
        _let_go_of_output()
        if "usable temporary directory" in str(error):  # tempfile's word for disks that are full
            error.errno = errno.ENOSPC
        if error.errno not in _HOST:
            raise
        where = ", ".join(_full(args)) if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        print(f"kph: {error}{where and f' ({where})'}\n  hint: {_HOST[error.errno]}", file=sys.stderr)
        return offset + 3


def _let_go_of_output() -> None:
    """Write what can be written; what cannot is not tried again when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _full(args: argparse.Namespace) -> list[str]:
    """The folders that a command writes to whose disks are full: an error of a write does not tell its file."""
    named = [Path(value).absolute() for value in vars(args).values() if isinstance(value, Path)]
    # tempfile.gettempdir() would try to write.
    scratch = Path(os.environ.get("TMPDIR", "/tmp"))
    usual = [platformdirs.user_cache_path("kph"), platformdirs.user_state_path("kph"), scratch]
    full = []
    for folder in [*named, *usual]:
        there = next(each for each in (folder, *folder.parents) if each.is_dir())
        if shutil.disk_usage(there).free < _LEAST:
            full.append(str(there))
    return list(dict.fromkeys(full))


def _error_status(word: str) -> int:
    """What the command called ``word`` adds to the exit status of errors."""
    return next((getattr(each, "ERROR_STATUS", 0) for each in commands(word) if word == each.NAME), 0)


def _hurry() -> None:
    """What costs a short run time, and a long one nothing to leave out: 40 of 440 ms."""
    gc.set_threshold(100_000, 50, 50)  # models and parsed files by the ten thousand, none of them garbage
    # pydantic looks for plugins in every package that is installed (its docs, "Plugins"); we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End like Ctrl-C does, so that every process and lock is let go."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
