"""Programs of the tree under test, built for the guest: static, against the tree's own user interface.

What a tree gives is kept, and found again by every tree that differs from it in nothing that such a build reads.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.apt import PrivateApt
from harness.build import reads
from harness.build.artifact import identity
from harness.build.make import BuildFailure, make
from harness.build.rootfs import load_recipe
from harness.build.slot import Slot, unfinished
from harness.build.toolchain import compiler, compiler_env, compiler_id, tools_id
from harness.cache import Cache, digest
from harness.errors import UserError
from harness.machine.target import Target
from harness.model import Programs, Tree
from harness.proc import Door
from harness.source.changes import changes
from harness.source.checkout import checkout
from harness.ui import Ui

_RECIPE = "1"  # raise when the way of building, or what is kept, changes
_FACTS = "programs.json"
_TRIED = 8  # entries at most; the newest first
_SPACE = 2.0  # GiB for a work tree and the headers
# The oldest release that the harness runs on: its static libraries go with the C library of every later one.
_SUITE = "bookworm"
NONE = Programs((), "")


@dataclass(frozen=True)
class Wanted:
    """What a suite asks for."""

    folder: str  # of the tree; its Makefile takes the words of kselftest's lib.mk
    names: tuple[str, ...]  # programs that it makes
    packages: tuple[str, ...]  # Debian packages with headers and static libraries that they need


class ProgramShop:
    """Builds the programs of one suite for the guests of one target."""

    def __init__(
        self, wanted: Wanted, target: Target, cache: Cache, door: Door, ui: Ui, logs: Path, sandbox: bool = False
    ) -> None:
        """``sandbox``: make runs in bubblewrap."""
        self._wanted, self._target, self._sandbox = wanted, target, sandbox
        self._cache, self._door, self._ui, self._logs = cache, door, ui, logs
        recipe = target.kernel
        made_by = (recipe.make_arch, recipe.cross_compile, compiler_id(door, f"{recipe.cross_compile}gcc"))
        asked = (wanted.folder, *wanted.names, "", *wanted.packages, _SUITE)
        self._room = cache.room("programs", digest(_RECIPE, *asked, "", *made_by, tools_id(recipe.cross_compile)))

    def build(self, tree: Tree, side: str) -> Programs | BuildFailure:
        """The programs of ``tree``, from the store or built. ``side`` is for people.

        Raises InfraError when the host fails.
        """
        found = self._stored(tree)
        if found:
            return found
        self._cache.need_space(_SPACE, "building programs for the guest")
        libraries = self._libraries()
        with self._cache.lock(f"slot-{tree.lineage}", self._ui.say):
            return self._stored(tree) or self._build(tree, libraries, side)

    def _stored(self, tree: Tree) -> Programs | None:
        exact = self._room / tree.content
        if self._cache.used(exact):
            return self._load(exact)
        entries = (each for each in self._room.iterdir() if each.name[0] != ".")
        for entry in sorted(entries, key=lambda each: -each.stat().st_mtime)[:_TRIED]:
            since = changes(entry.name, tree, self._door)
            if since is not None and not reads.programs_differ(since) and self._cache.used(entry):
                return self._load(entry)
        return None

    def _load(self, entry: Path) -> Programs:
        facts = json.loads((entry / _FACTS).read_text())
        return Programs(tuple(entry / name for name in self._wanted.names), facts["identity"])

    def _build(self, tree: Tree, libraries: Path, side: str) -> Programs | BuildFailure:
        folder = self._cache.room("slots", tree.lineage)
        # Apart from the kernel's output: neither build changes what the other finds.
        out = folder / f"headers-{self._target.arch}"
        out.mkdir(exist_ok=True)
        slot = Slot(folder / "work", out, self._target.kernel, compiler_env(self._cache), sandbox=self._sandbox)
        with self._ui.phase("checkout", side):
            checkout(tree, slot.work, self._door)
        if not (slot.work / self._wanted.folder).is_dir():
            nothing = f"Linux {tree.version} has no {self._wanted.folder}"
            return BuildFailure(f"{side} programs", (nothing,), self._logs)
        with (
            self._ui.phase("programs", side),
            unfinished(out),
            tempfile.TemporaryDirectory(prefix=".build.", dir=self._room) as made,
        ):
            for words, log in (
                (slot.make("headers"), "headers"),
                (self._words(slot, Path(made), libraries), "programs"),
            ):
                argv = slot.confined(words, writable=[Path(made)], readable=[libraries])
                failure = self._make(argv, slot, log, side)
                if failure:
                    return failure
            return self._keep(tree, Path(made))

    def _make(self, words: list[str | Path], slot: Slot, log: str, side: str) -> BuildFailure | None:
        file = self._logs / f"{log}-{side}.log"
        what = f"{side} {log} of {self._wanted.folder}"
        done = make(words, what=what, cwd=slot.work, env=slot.env, log=file, door=self._door, ui=self._ui)
        return done if isinstance(done, BuildFailure) else None

    def _words(self, slot: Slot, made: Path, libraries: Path) -> list[str | Path]:
        recipe = slot.recipe
        links = " ".join(
            f"-L{folder}" for folder in (libraries / "usr/lib", *sorted((libraries / "usr/lib").glob("*/")))
        )
        return [
            *("make", "-C", slot.work / self._wanted.folder, f"ARCH={recipe.make_arch}"),
            *([f"CROSS_COMPILE={recipe.cross_compile}"] if recipe.cross_compile else []),
            f"CC={compiler(f'{recipe.cross_compile}gcc')}",
            f"OUTPUT={made}",
            f"KHDR_INCLUDES=-isystem {slot.out / 'usr/include'}",
            f"USERCFLAGS=-I{libraries / 'usr/include'}",
            f"USERLDFLAGS=-static {links}",
            *(f"{made / name}" for name in self._wanted.names),
        ]

    def _keep(self, tree: Tree, made: Path) -> Programs:
        entry = self._room / tree.content
        with self._cache.build(entry) as scratch:
            for name in self._wanted.names:
                shutil.copy2(made / name, scratch / name)
            facts = {"identity": identity(scratch / name for name in self._wanted.names)}
            (scratch / _FACTS).write_text(json.dumps(facts) + "\n")
        return self._load(entry)

    def _libraries(self) -> Path:
        """A folder with ``usr/include`` and ``usr/lib`` of the packages, fetched when the cache lacks it."""
        architectures = load_recipe().architectures
        arch = self._target.arch
        if arch not in architectures:
            raise UserError(f"Debian's name of {arch} is not known", f"known: {', '.join(architectures)}")
        entry = self._cache.room("libraries") / digest(_RECIPE, _SUITE, arch, *self._wanted.packages)
        if not self._cache.used(entry):
            apt = PrivateApt(self._cache, self._door, self._ui.say)
            debs = [apt.download(name, (_SUITE,), architectures[arch]) for name in self._wanted.packages]
            with self._cache.build(entry) as scratch:
                for deb in debs:
                    apt.extract(deb, scratch)
        return entry
