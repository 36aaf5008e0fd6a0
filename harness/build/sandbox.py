"""A wall around builds: what a patch makes make run sees no network and no home, and writes into its own folders alone.

The Makefiles, scripts and host programs of a tree run with the rights of the
user who builds it. In bubblewrap (bwrap(1)) they have no network, no process of
the host, none of its environment but what a build needs; homes, /tmp and /run
are empty; everything else is read-only but the folders that are named. The
compiler cache is one of those: what is built in the sandbox can still put a
wrong object there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.proc import Door

_HIDDEN = (Path("/home"), Path("/root"), Path("/tmp"), Path("/var/tmp"), Path("/run"))
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "TERM")  # of the environment; what a build sets comes on top
_TIMEOUT = 30.0  # seconds for a sandbox to start


@dataclass(frozen=True)
class Sandbox:
    """Puts commands into a sandbox."""

    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()  # beside what is not hidden

    def wrap(
        self, argv: Sequence[str | Path], env: Mapping[str, str], more: Iterable[Path] = (), read: Iterable[Path] = ()
    ) -> list[str | Path]:
        """``argv`` in the sandbox, with ``env`` and nothing else of the caller's environment but a few names.

        ``more``: folders that are writable, too. ``read``: folders that can be read, if they would be hidden.
        """
        given = {name: os.environ[name] for name in _PASSED if name in os.environ} | dict(env)
        words: list[str | Path] = ["bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
        words += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        for folder in _hidden():
            words += ["--tmpfs", folder]
        for folder in dict.fromkeys((*_programs(), *self.readable, *read)):
            words += ["--ro-bind-try", folder, folder]
        for folder in dict.fromkeys((*self.writable, *more)):
            words += ["--bind", folder, folder]
        words.append("--clearenv")
        for name, value in sorted(given.items()):
            words += ["--setenv", name, value]
        return [*words, "--", *argv]


def require(door: Door) -> None:
    """Raises UserError unless builds can be confined on this host."""
    hint = "install bubblewrap and allow user namespaces, or build without the sandbox (--no-sandbox, sandbox: false)"
    done = door.run(Sandbox().wrap(["true"], {}), timeout=_TIMEOUT, check=False)
    if done.status != 0:
        raise UserError(f"builds cannot be confined here: {done.output.strip()[-300:]}", hint)


def _hidden() -> list[Path]:
    """What of the host is replaced by an empty folder."""
    homes = (*_HIDDEN, Path.home())
    found = [folder for folder in homes if folder.is_dir() and not folder.is_symlink()]
    return [folder for folder in dict.fromkeys(found) if not any(each in folder.parents for each in found)]


def _programs() -> list[Path]:
    """Folders of programs that the hiding would take away, as a compiler in the user's home."""
    found = []
    for word in filter(None, os.environ.get("PATH", "").split(":")):
        folder = Path(word)
        whole = folder.parent if folder.name in ("bin", "sbin") else folder
        if any(each in whole.parents for each in _hidden()) and whole != Path.home():
            found.append(whole)
    return found
