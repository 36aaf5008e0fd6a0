"""The guest's agent: one static binary per suite and architecture, under a content key."""

from __future__ import annotations

from pathlib import Path

from harness import data
from harness.build.make import BuildFailure, make
from harness.build.toolchain import compiler_id
from harness.cache import Cache, digest
from harness.errors import InfraError
from harness.proc import Door
from harness.ui import Ui


def ensure_agent(suite: str, cross_compile: str, cache: Cache, door: Door, ui: Ui, logs: Path) -> Path:
    """The agent with the operations of ``suite``, for the machine that ``cross_compile`` compiles for.

    Raises InfraError, with the compiler's words, when it does not build: it is our code, not the tree's.
    """
    modules = data.folder("test-modules")
    common = modules / "agent"
    parts: list[str | bytes] = [suite, compiler_id(door, f"{cross_compile}gcc")]
    for folder in (common, modules / suite, data.folder("qemu") / "device"):  # the device's headers are the ABI
        for file in sorted(folder.iterdir()):
            if file.suffix in (".c", ".h", ".S") or file.name == "Makefile":
                parts += [f"{folder.name}/{file.name}", file.read_bytes()]
    entry = cache.room("agents") / digest(*parts)
    if not cache.used(entry):
        with cache.build(entry) as scratch:
            log = logs / "agent.log"
            argv: list[str | Path] = ["make", "-C", common, f"CC={cross_compile}gcc", f"SUITE={suite}", f"O={scratch}"]
            made = make(argv, what=f"agent for {suite}", cwd=common, env={}, log=log, door=door, ui=ui)
            if isinstance(made, BuildFailure):
                raise InfraError("\n  ".join((made.what + " does not build:", *made.lines)), "kph doctor")
    return entry / "agent"
