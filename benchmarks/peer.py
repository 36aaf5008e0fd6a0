"""virtme-ng from PyPI, doing the same work on the same tree: its own configuration, its own way to boot.

It gets an environment, a tree and a home of its own, and Debian's QEMU. Its guest has the host's files as root.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import venv
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from benchmarks import edit
from benchmarks.machine import version
from benchmarks.turns import NotMeasured
from harness.errors import KphError
from harness.model import Tree
from harness.proc import Door
from harness.source.checkout import checkout

NAME = "virtme-ng"
# Debian's. kmod: depmod, without which it boots nothing it has built with modules; udev: without the names that udev
# gives to the guest's ports, it sends what the command says to the console and ends with an error.
PACKAGES = ("qemu-system-x86", "kmod", "udev")

_INSTALL = 900.0  # seconds for packages
_BUILD = 3 * 3600.0  # seconds; its configuration is three times as large as ours
_BOOT = 300.0  # seconds
_WORD = "guest-was-here"  # what the trivial command prints
# Where virtme-ng looks for a virtiofsd that it can use, the one in Rust. QEMU 7.2 has one in C, which it takes as root,
# and waits for 3 s until it falls back on 9p.
_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/virtiofsd/virtiofsd", "/usr/lib/virtiofsd")


class Peer:
    """virtme-ng with what it needs, made when first used. Every method raises NotMeasured with the reason."""

    def __init__(
        self, folder: Path, tree: Tree, text: str, door: Door, say: Callable[[str], None], kvm: Callable[[], bool]
    ) -> None:
        """``text``: the file that is edited, as ``tree`` has it; ``kvm``: whether kph's own guests run on KVM here."""
        self.folder = folder
        self.work = folder / "linux"  # sources and, as virtme-ng does it, objects beside them
        self._tree, self._text, self._door, self._say = tree, text, door, say
        self._kvm = kvm
        self._log = folder / "output"

    @property
    def ready(self) -> bool:
        """Whether it has been installed, by this run."""
        return "version" in self.__dict__

    @cached_property
    def version(self) -> str:
        """Its version and that of its QEMU; installs both."""
        self.folder.mkdir(parents=True, exist_ok=True)
        setup = Path(__file__).parent.parent / ".ci" / "bench.sh"
        self._say(f"{NAME}: needs Debian's {', '.join(PACKAGES)}; installing what is missing")
        self._checked([setup, *PACKAGES], _INSTALL, "the packages")
        if not self._program.exists():
            self._say(f"{NAME}: installing it from PyPI into {self.environment}")
            venv.create(self.environment, with_pip=True, clear=True)
            pip: list[str | Path] = [
                self.environment / "bin/python",
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                NAME,
            ]
            self._checked(pip, _INSTALL, f"pip install {NAME}")
        said = self._checked([self._program, "--version"], 60, f"{NAME} --version")
        qemu = self._checked(["qemu-system-x86_64", "--version"], 60, "QEMU's version")
        return f"{version(said)}, with QEMU {version(qemu)}"

    @property
    def environment(self) -> Path:
        """Its Python environment."""
        return self.folder / f"venv-{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def _program(self) -> Path:
        return self.environment / "bin" / "vng"

    @property
    def _done(self) -> Path:
        """Names the tree that ``work`` holds built."""
        return self.folder / "built"

    def built(self) -> None:
        """See that there is a built tree."""
        if not (self._done.exists() and self._done.read_text() == self._tree.commit):
            self._say(f"{NAME}: building its kernel for the first time (20 minutes on two cores)")
            self.cold()

    def cold(self) -> float:
        """Seconds for its configuration and a build from nothing; there is no compiler cache."""
        assert self.version
        self._done.unlink(missing_ok=True)
        for old in (self.work, self.work.with_name(self.work.name + ".index")):
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
        checkout(self._tree, self.work, self._door)
        started = time.monotonic()
        self._vng("--kconfig", seconds=_BUILD)
        self._vng("--build", seconds=_BUILD)
        seconds = time.monotonic() - started
        self._done.write_text(self._tree.commit)
        return seconds

    def change(self, number: int) -> float:
        """Seconds from a one-line change to a trivial command that ran on the changed kernel."""
        self.built()
        (self.work / edit.FILE).write_text(edit.edited(self._text, number))
        started = time.monotonic()
        self._vng("--build", seconds=_BUILD)
        self._boot()
        return time.monotonic() - started

    def boot(self) -> float:
        """Seconds from its start to its end, with a trivial command run in the guest."""
        self.built()
        started = time.monotonic()
        self._boot()
        return time.monotonic() - started

    def _boot(self) -> None:
        said = self._vng(*self._options(), "--run", self.work, "--exec", f"echo {_WORD}", seconds=_BOOT)
        if _WORD not in said:
            raise NotMeasured(f"{NAME}'s guest did not run the command: {_last(said)}")

    def _options(self) -> tuple[str, ...]:
        """What it must be told here. It does not notice a /dev/kvm that opens but cannot run guests."""
        return (*(() if self._kvm() else ("--disable-kvm",)), *(() if has_virtiofsd() else ("--force-9p",)))

    def _vng(self, *words: str | Path, seconds: float) -> str:
        assert self.version
        return self._checked([self._program, *words], seconds, f"vng {words[0]}", self.work)

    def _checked(self, argv: list[str | Path], seconds: float, what: str, cwd: Path | None = None) -> str:
        home = self.folder / "home"  # it writes a configuration there
        home.mkdir(exist_ok=True)
        env = {"HOME": str(home), "PATH": f"{self.environment / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        try:
            done = self._door.run(argv, timeout=seconds, cwd=cwd, env=env, check=False)
        except KphError as error:
            raise NotMeasured(f"{what}: {error.message}") from error
        with self._log.open("a") as sink:
            sink.write(f"--- {what}\n{done.output}")
        if done.status != 0:
            raise NotMeasured(f"{what} failed (status {done.status}): {_last(done.output)}")
        return done.output


def has_virtiofsd() -> bool:
    """Whether there is one that virtme-ng can use."""
    return bool(shutil.which("virtiofsd")) or any(Path(path).is_file() for path in _VIRTIOFSD)


def _last(said: str) -> str:
    return " / ".join(said.strip().splitlines()[-3:])
