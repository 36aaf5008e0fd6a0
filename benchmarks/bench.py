"""What the cases work with: one folder of the benchmark's own, and the runs of kph in it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import edit, reading
from benchmarks.memory import Sampler
from benchmarks.peer import NAME as PEER
from benchmarks.peer import Peer
from benchmarks.turns import NotMeasured
from harness.apt import PrivateApt
from harness.build import qemu_recipe
from harness.build.qemu_source import find_files
from harness.cache import Cache
from harness.model import Tree
from harness.proc import Door
from harness.source.git import Git
from harness.source.trees import resolve_tree
from harness.ui import Ui

TREE = "debian:7.3"
SERIES = Path(__file__).parent.parent / "examples/driver-owned-pasid/v2.mbox"
TARGETS = ("x86_64-vtd", "arm64-smmuv3")

KPH = Path(sys.executable).with_name("kph")
_LIMIT = 3 * 3600.0  # seconds for one run of kph; a cold one builds everything
# What is downloaded or made of downloads: measuring how it is built does not need it to come again.
_SOURCES = ("trees", "apt", "downloads")


@dataclass(frozen=True)
class KphRun:
    """One `kph run` that ended with a verdict."""

    seconds: float  # from its start to its end, by the clock
    report: Mapping[str, Any]  # report.json
    folder: Path  # its evidence
    peak: int = 0  # bytes of memory at most; 0 when it was not watched

    @property
    def commands(self) -> str:
        """commands.log."""
        return (self.folder / "commands.log").read_text()


class Bench:
    """The folder ``home`` and what is done in it."""

    def __init__(self, home: Path, runs: int, user: Cache, say: Callable[[str], None], alone: bool) -> None:
        """``user``: the user's own cache, whose downloads are copied; nothing in it is changed.

        ``alone``: without virtme-ng.
        """
        self.home, self.runs, self.say = home, runs, say
        self._alone = alone
        self._user = user
        self.cache = Cache(home / "cache" / "kph")
        home.mkdir(parents=True, exist_ok=True)
        self.door = Door(home / "commands.log")
        self.ui = Ui(quiet=True)
        self._accelerators: dict[str, str] = {}  # target -> what its guests run on
        self.evidence = home / "runs"
        shutil.rmtree(self.evidence, ignore_errors=True)  # of the benchmark before
        self.evidence.mkdir()

    # --- sources ---------------------------------------------------------------
    def seed(self) -> None:
        """Copy the user's downloads, so that nothing is downloaded twice."""
        for name in _SOURCES:
            theirs, ours = self._user.root / name, self.cache.room() / name
            if theirs.is_dir() and not ours.exists():
                self.door.run(["cp", "-a", "--reflink=auto", theirs, ours], timeout=900)

    def forget(self) -> None:
        """Empty the benchmark's cache of everything that was built, the compiler cache with it."""
        for room in self.cache.room().iterdir():
            if room.name not in _SOURCES:
                shutil.rmtree(room)

    @cached_property
    def tree(self) -> Tree:
        """The tree that is built."""
        self.seed()
        return resolve_tree(TREE, None, self.cache, self.door, self.ui)

    @cached_property
    def text(self) -> str:
        """The file that is edited, without the series."""
        blob = Git(self.door, self.tree.repo).blob(f"{self.tree.commit}:{edit.FILE}")
        if blob is None:
            raise NotMeasured(f"{TREE} has no {edit.FILE}")
        return blob.decode()

    @cached_property
    def peer(self) -> Peer:
        """virtme-ng on the same tree. Raises NotMeasured when it was left out."""
        if self._alone:
            raise NotMeasured("left out by --alone")
        return Peer(self.home / "virtme-ng", self.tree, self.text, self.door, self.say, self._on_kvm)

    def _on_kvm(self) -> bool:
        """Whether kph's own guests of this machine's architecture had KVM."""
        return self._accelerators.get(TARGETS[0], "").startswith("kvm")

    def download_qemu(self) -> None:
        """Have QEMU's sources, so that building it downloads nothing."""
        self.seed()
        recipe, named = qemu_recipe.load(), os.environ.get("KPH_MIRROR")
        apt = PrivateApt(self.cache, self.door, self.say)
        source = recipe.source
        find_files(
            recipe,
            Path(named).expanduser().resolve() if named else None,
            lambda: apt.source(source.package, source.version, (source.suite,)),
            self.cache.room("downloads"),
        )

    # --- runs -----------------------------------------------------------------
    @cached_property
    def force(self) -> tuple[str, ...]:
        """What makes `kph run` run although its result is known; nothing where it always does."""
        said = self.door.run([KPH, "run", "--help"], timeout=60).output
        return ("--force",) if "--force" in said else ()

    def kph(self, *words: str | Path, watch: bool = False) -> KphRun:
        """`kph run` of TREE with ``words``. Raises NotMeasured when it ends without a verdict, or the verdict is bad.

        ``watch``: sample its memory, which costs it some time.
        """
        self.seed()
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.evidence))
        argv: list[str | Path] = [KPH, "run", "--tree", TREE, *words, "--quiet", "--run-dir", folder / "evidence"]
        log = folder / "output"
        # As a user starts it: with the bytecode that an earlier run left, whatever this shell says.
        env = {"XDG_CACHE_HOME": str(self.home / "cache"), "PYTHONDONTWRITEBYTECODE": ""}
        started = time.monotonic()
        with self.door.spawn(argv, env=env, cwd=self.home, output=log) as child:
            with Sampler(child.pid) if watch else contextlib.nullcontext() as sampler:
                _wait(child)
            seconds = time.monotonic() - started
            peak = sampler.peak if sampler else 0
        return self._judged(KphRun(seconds, {}, folder / "evidence", peak), child.returncode, log)

    def command(
        self, *words: str | Path, accepted: Collection[int] = (0,), env: Mapping[str, str] | None = None
    ) -> float:
        """Seconds of a command in the benchmark's own cache. Raises NotMeasured when its exit status is another."""
        log = Path(tempfile.mkdtemp(prefix="command-", dir=self.evidence)) / "output"
        env = {"XDG_CACHE_HOME": str(self.home / "cache"), "PYTHONDONTWRITEBYTECODE": ""}
        started = time.monotonic()
        done = self.door.run(words, timeout=_LIMIT, cwd=self.home, env=env, output=log, check=False)
        if done.status not in accepted:
            said = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise NotMeasured(f"{words[0]} ended with status {done.status}: {' '.join(said)}")
        return time.monotonic() - started

    def versions(self) -> Mapping[str, str]:
        """What the runs so far were made with."""
        found = {f"accelerator, {target}": text for target, text in sorted(self._accelerators.items())}
        # Only what has been made is asked: looking must not install anything.
        peer = self.__dict__.get("peer")
        if isinstance(peer, Peer) and peer.ready:
            found[PEER] = peer.version
        return found

    def new_edit(self, text: str | None = None) -> tuple[int, str]:
        """A number that was never used, and the patch that changes the file by it."""
        number = secrets.randbits(28)
        return number, edit.patch(text or self.text, number)

    def patch_file(self) -> Path:
        """A new one-line patch, as a file."""
        number, mail = self.new_edit()
        file = self.evidence / f"edit-{number:x}.patch"
        file.write_text(mail)
        return file

    def _judged(self, run: KphRun, status: int, log: Path) -> KphRun:
        try:
            report = json.loads((run.folder / "report.json").read_text())
        except FileNotFoundError:
            words = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise NotMeasured(f"kph ended with status {status}: {' '.join(words)}") from None
        if report["verdict"] != "pass":
            raise NotMeasured(f"the run's verdict is {reading.verdict(report)}")
        self._accelerators |= reading.accelerators(report)
        return KphRun(run.seconds, report, run.folder, run.peak)


def _wait(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(_LIMIT)
    except subprocess.TimeoutExpired as late:
        raise NotMeasured(f"kph did not end within {_LIMIT:.0f} s") from late
