"""The configuration of an output directory, made again only when what it depends on may have changed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.build import kconfig
from harness.build.make import BuildFailure
from harness.build.slot import Slot
from harness.cache import digest, write_whole
from harness.model import Tree
from harness.proc import Door
from harness.source.changes import Change, changes

_METHOD = "1"  # raise when the way of configuring changes
_LIMIT = 180.0  # seconds for one of its commands
_STAMP = ".kph-configured"  # in the output directory: what its .config was made of
# Kconfig files ask scripts and the compiler, and make hands them its variables; none looks at these.
_UNASKED = (".c", ".h", ".S", ".rst", ".dts", ".dtsi")
_ASKED = ("scripts/", "tools/")  # whatever the name
_APART = ("tools/testing/",)  # neither a configuration nor a build of a kernel opens these


class Configuration:
    """The options that one kind of kernel is to have."""

    def __init__(self, wanted: kconfig.Wanted, tools: str, door: Door, logs: Path) -> None:
        """``tools``: tells the compiler and its companions from others."""
        self._wanted, self._door, self._logs = wanted, door, logs
        self._tools = tools

    def ensure(self, slot: Slot, tree: Tree, side: str) -> BuildFailure | None:
        """Make ``.config`` what it is for ``tree``, unless it is that already.

        Raises UserError when an option does not survive.
        """
        stamp = slot.out / _STAMP
        asked = digest(_METHOD, slot.recipe.make_arch, slot.recipe.cross_compile, self._tools, self._rendered)
        if not self._stands(slot, tree, asked):
            stamp.unlink(missing_ok=True)
            failure = self._configure(slot, side)
            if failure:
                return failure
            kconfig.require(self._wanted, (slot.out / ".config").read_text(), f"{side} kernel {tree.version}")
        facts = {"asked": asked, "tree": tree.content, "config": digest((slot.out / ".config").read_bytes())}
        write_whole(stamp, json.dumps(facts).encode())
        return None

    @property
    def _rendered(self) -> str:
        return kconfig.render(self._wanted)

    def _stands(self, slot: Slot, tree: Tree, asked: str) -> bool:
        """Whether what configured the output directory would give the same for ``tree``."""
        try:
            facts = json.loads((slot.out / _STAMP).read_bytes())
            config = digest((slot.out / ".config").read_bytes())
        except (FileNotFoundError, ValueError):
            return False
        if (facts["asked"], facts["config"]) != (asked, config):
            return False
        since = changes(facts["tree"], tree, self._door)
        return since is not None and unasked(since)

    def _configure(self, slot: Slot, side: str) -> BuildFailure | None:
        out = slot.out
        asked = self._logs / "asked.config"
        asked.write_text(self._rendered)
        log = self._logs / f"config-{side}.log"
        merge: list[str | Path] = [
            slot.work / "scripts/kconfig/merge_config.sh",
            "-m",
            "-O",
            out,
            out / ".config",
            asked,
        ]
        with _same_keeps_its_time(out / ".config"):
            for argv in (slot.make("tinyconfig"), merge, slot.make("olddefconfig")):
                words = slot.confined(argv, readable=[asked])
                done = self._door.run(words, timeout=_LIMIT, cwd=slot.work, env=slot.env, check=False)
                with log.open("a") as sink:
                    sink.write(done.output)
                if done.status != 0:
                    return BuildFailure(f"{side} configuration", tuple(done.output.splitlines()[-10:]), log)
        return None


def unasked(since: Iterable[Change]) -> bool:
    """Whether none of these changes can be seen by what makes a ``.config``."""
    return all(each.path.startswith(_APART) or _unasked(each) for each in since)


def _unasked(change: Change) -> bool:
    return change.plain and change.path.endswith(_UNASKED) and not change.path.startswith(_ASKED)


@contextlib.contextmanager
def _same_keeps_its_time(file: Path) -> Iterator[None]:
    """make takes a ``.config`` that is newer than what it made of it for another one."""
    try:
        before, times = file.read_bytes(), file.stat()
    except FileNotFoundError:
        yield
        return
    yield
    if file.exists() and file.read_bytes() == before:
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
