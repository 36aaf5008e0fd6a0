"""Modules in the store: built once for every kernel to which they fit.

A kernel that differs in files that a module's build did not read gets the very module that was built against another.
Entries lie in a folder for their sources, configuration and compiler; a link names the one of a kernel.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.build import cmdfiles, elf, reads
from harness.build.artifact import identity
from harness.build.slot import Slot
from harness.cache import Cache, digest
from harness.model import Module, Tree
from harness.proc import Door
from harness.source.changes import changes

_RECIPE = "1"  # raise when the way of building modules, or what is kept of one, changes
_KBUILD = ("Kbuild", "Makefile")
_TRIED = 8  # entries at most; the newest first
_SYMBOLS = "vmlinux.symvers"  # what the kernel exports: one line each, the name second
# What every module's build takes from the output directory, whether or not a compiler opened it.
_ALWAYS = ("include/config/auto.conf", "include/generated/autoconf.h", "scripts/module.lds")
_ALL_SYMBOLS = "Module.symvers"  # those of the kernel and its own modules; of them the exports in use are compared


@dataclass(frozen=True)
class Suite:
    """What of a suite is built against a kernel."""

    name: str
    folder: Path  # its Kbuild and sources
    includes: tuple[Path, ...]  # more folders for #include
    modules: tuple[str, ...]  # .ko names in load order


@dataclass(frozen=True)
class Modules:
    """The entries of one suite for one configuration and compiler."""

    folder: Path
    names: tuple[str, ...]  # .ko names in load order

    @staticmethod
    def of(suite: Suite, made_by: Iterable[str], cache: Cache) -> Modules:
        """``made_by``: compiler, options and what else every kernel and module here has in common."""
        group = digest(_RECIPE, suite.name, *made_by, *_sources(suite))
        return Modules(cache.room("modules", group), suite.modules)

    def known(self, kernel: str) -> Module | None:
        """The module of the kernel with this key, if it is known which one that is."""
        return self._load(self._link(kernel))

    def fitting(self, kernel: str, tree: Tree, slot: Slot, door: Door) -> Module | None:
        """An entry that a build against the kernel in ``slot`` would only give again; from now on this kernel's."""
        newest = sorted(self._entries(), key=lambda entry: -entry.stat().st_mtime)
        for entry in newest[:_TRIED]:
            if _fits(entry, tree, slot, door):
                self._name(kernel, entry)
                return self._load(entry)
        return None

    def keep(self, kernel: str, tree: Tree, slot: Slot, source: Path, cache: Cache) -> Module:
        """Store what was built in ``source`` against the kernel in ``slot``."""
        entry = self.folder / digest(kernel, tree.content)
        with cache.build(entry) as scratch:
            for name in self.names:
                shutil.copy2(source / name, scratch / name)
            files = [scratch / name for name in self.names]
            asked = (named_by((source / name).read_text()) for name in _KBUILD if (source / name).exists())
            generated = cmdfiles.scan(source, slot.out) - {_ALL_SYMBOLS}
            facts = {
                "content": tree.content,
                "reads": sorted(cmdfiles.scan(source, slot.work).union(*asked)),
                "made": _digests(slot.out, (*_ALWAYS, *(name for name in generated if (slot.out / name).is_file()))),
                "exports": _exports(slot.out, {each for file in files for each in elf.imports(file.read_bytes())}),
                "identity": identity(files),
            }
            (scratch / "module.json").write_text(json.dumps(facts, indent=1))
        self._name(kernel, entry)
        module = self._load(entry)
        assert module is not None
        return module

    def reads(self, kernel: str) -> frozenset[str]:
        """The files of the tree that the build of this kernel's module read. Raises FileNotFoundError."""
        return frozenset(_facts(self._link(kernel))["reads"])

    def _entries(self) -> list[Path]:
        return [
            each for each in self.folder.iterdir() if each.is_dir() and not each.is_symlink() and each.name[0] != "."
        ]

    def _link(self, kernel: str) -> Path:
        return self.folder / f"for-{kernel}"

    def _name(self, kernel: str, entry: Path) -> None:
        link = self._link(kernel)
        fresh = self.folder / f".{link.name}"
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(entry.name)
        fresh.replace(link)

    def _load(self, entry: Path) -> Module | None:
        try:
            facts = _facts(entry)
        except FileNotFoundError:
            return None
        real = entry.resolve()
        return Module(real.name, tuple(real / name for name in self.names), str(facts["identity"]))


def goal(out: Path) -> str:
    """What make must be asked for before a module can be built against the kernel in ``out``."""
    # make goes through every folder for the kernel's own modules.
    return "modules" if has_own(out) else "modules_prepare"


def has_own(out: Path) -> bool:
    """Whether the kernel in ``out`` has modules of its own."""
    return "=m\n" in (out / "include/config/auto.conf").read_text()


def export(out: Path) -> None:
    """Say what a module may use, once make has done its goal()."""
    if not has_own(out):
        shutil.copy2(out / _SYMBOLS, out / _ALL_SYMBOLS)


def _fits(entry: Path, tree: Tree, slot: Slot, door: Door) -> bool:
    try:
        facts = _facts(entry)
        since = changes(facts["content"], tree, door)
        return (
            since is not None
            and not reads.module_differs(since, frozenset(facts["reads"]))
            and facts["made"] == _digests(slot.out, facts["made"])
            and facts["exports"] == _exports(slot.out, facts["exports"])
        )
    except (FileNotFoundError, KeyError):
        return False


def _facts(entry: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((entry / "module.json").read_text())
    return found


def _digests(out: Path, names: Iterable[str]) -> dict[str, str]:
    """The contents of files of the output directory. Raises FileNotFoundError."""
    return {name: digest((out / name).read_bytes()) for name in names}


def _exports(out: Path, symbols: Iterable[str]) -> dict[str, str]:
    """How the kernel exports ``symbols``: version, namespace and licence; empty for one that it does not export.

    Raises FileNotFoundError.
    """
    lines = (line.split("\t", 2) for line in (out / _SYMBOLS).read_text().splitlines())
    exported = {words[1]: f"{words[0]} {words[2]}" for words in lines}
    return {symbol: exported.get(symbol, "") for symbol in symbols}


def named_by(kbuild: str) -> frozenset[str]:
    """The files of the tree that a Kbuild file names, relative to the tree: its shell may read them."""
    return frozenset(posixpath.normpath(each) for each in re.findall(r"\$[({]srctree[)}]/([\w./+-]+)", kbuild))


def is_source(name: str) -> bool:
    """Whether the file of a suite's folder can be part of its module: ``ops*`` are the agent's."""
    return name in _KBUILD or (name.endswith((".c", ".h")) and not name.startswith("ops"))


def _sources(suite: Suite) -> list[str | bytes]:
    parts: list[str | bytes] = []
    for folder in (suite.folder, *suite.includes):
        for file in sorted(folder.glob("*")):
            if file.is_file() and is_source(file.name):
                parts += [file.name, file.read_bytes()]
    return parts
