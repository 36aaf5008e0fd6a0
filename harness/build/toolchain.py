"""The compiler as the builds see it: its identity, a ccache of our own, and what it complained of.

The ccache lives in our cache directory under a bound of its own, so a build
neither fills nor empties the one that the user may have.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.cache import Cache
from harness.errors import InfraError
from harness.proc import Door

_CCACHE_BOUND = "4G"
# What builds take from the environment. The user may have set any of them, and content keys know of none.
_FOREIGN = (
    *("MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "CROSS_COMPILE", "LLVM", "KBUILD_OUTPUT", "KBUILD_EXTRA_SYMBOLS"),
    *("KCFLAGS", "KAFLAGS", "KCPPFLAGS", "KRUSTFLAGS", "HOSTCFLAGS", "HOSTLDFLAGS"),
)
_COMPANIONS = ("gcc", "as", "ld", "nm", "objcopy")
_HELPERS = ("pahole", "rustc", "bindgen")
_TIMEOUT = 30.0  # seconds for a compiler to say its version

# gcc and clang, their linkers, make, ninja and meson each have a way to say what failed.
_COMPLAINT = re.compile(
    r"""
      (?:^|\s|:)(?:fatal\ )?error:\s      # gcc, clang, ld.lld, modpost ("ERROR: modpost:")
    | ^ERROR:\s
    | :\s+ERROR:\s                        # meson.build:12:3: ERROR: ...
    | undefined\ reference\ to
    | multiple\ definition\ of
    | ^make(?:\[\d+\])?:\ \*\*\*\s
    | ^FAILED:\s
    | ^ninja:\ error:
    | ^Killed\b | signal\ terminated\ program | No\ space\ left\ on\ device
    """,
    re.VERBOSE | re.IGNORECASE,
)


def has_ccache() -> bool:
    """Whether builds go through ccache; ``CCACHE_DISABLE`` in the environment is respected by ccache itself."""
    return shutil.which("ccache") is not None


def compiler(name: str = "gcc") -> str:
    """The compiler as a CC value for make or configure: ``ccache gcc``, or ``gcc`` where there is no ccache."""
    return f"ccache {name}" if has_ccache() else name


def compiler_env(cache: Cache) -> Mapping[str, str]:
    """Environment for a build: a ccache under our cache, messages in English so that they can be read back.

    Variables of the user's environment that would change what is built are empty in it.
    """
    env = {"LC_ALL": "C.UTF-8", **{name: "" for name in _FOREIGN if os.environ.get(name)}}
    if has_ccache():
        env["CCACHE_DIR"] = str(cache.room("ccache"))
        env["CCACHE_MAXSIZE"] = _CCACHE_BOUND
        # Takes the compiler's own list of headers instead of preprocessing first: a cold build costs 2 % more than
        # without ccache, not 27 %.
        env["CCACHE_DEPEND"] = "1"
        # The user's settings name the user's cache; CCACHE_DIR alone does not override this one.
        env["CCACHE_CONFIGPATH"] = str(cache.room("ccache") / "ccache.conf")
    return env


def compiler_id(door: Door, name: str = "gcc") -> str:
    """What tells this compiler from another: its version line and its machine. For content keys.

    Raises InfraError when the compiler is missing or cannot run.
    """
    said = door.run([name, "--version"], timeout=_TIMEOUT, env={"LC_ALL": "C.UTF-8"}).output.splitlines()
    machine = door.run([name, "-dumpmachine"], timeout=_TIMEOUT).output.strip()
    if not said or not machine:
        raise InfraError(f"the compiler {name} does not say its version", f"run {name} --version by hand")
    return f"{said[0].strip()} for {machine}"


def tools_id(cross_compile: str) -> str:
    """What tells this machine's compiler and its companions from those it had before an update. Cheap: asks no program.

    Beside the compiler Kconfig looks at the assembler, the linker and what else may be there.
    """
    found = []
    for name in (*(f"{cross_compile}{tool}" for tool in _COMPANIONS), *_HELPERS):
        path = shutil.which(name)
        facts = Path(path).stat() if path else None
        found.append(f"{name} {path} {facts.st_size} {facts.st_mtime_ns}" if facts else name)
    return "\n".join(found)


def error_lines(log: str, limit: int = 20) -> tuple[str, ...]:
    """The lines of a build log that say what failed, in order, each once; the log's last lines if none does.

    A compiler error is followed by the source line and the caret that gcc and clang print below it.
    """
    lines = log.splitlines()
    found: list[str] = []
    for number, line in enumerate(lines):
        if not _COMPLAINT.search(line) or line in found:
            continue
        found.append(line)
        found += [more for more in lines[number + 1 : number + 3] if re.match(r"\s*\d*\s*\|", more)]
        if len(found) >= limit:
            break
    return tuple(found[:limit]) or tuple(lines[-limit:])


def jobs() -> int:
    """How many compilers to run at once: the CPUs this process may use."""
    return max(1, len(os.sched_getaffinity(0)))
