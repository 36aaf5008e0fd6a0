"""What the numbers depend on: the machine and the versions of its tools."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from harness.proc import Door

_TOOLS = (("gcc", "gcc"), ("binutils", "ld"), ("make", "make"), ("ccache", "ccache"), ("git", "git"))
_ASK = 30.0  # seconds for a tool to say its version


def cpu_model(cpuinfo: str) -> str:
    """The processor's name in /proc/cpuinfo, as x86 or arm64 give it."""
    found = re.search(r"^(?:model name|CPU part)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def memory(meminfo: str) -> str:
    """The machine's memory in /proc/meminfo."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return f"{int(found[1]) / 2**20:.1f} GiB" if found else "unknown"


def version(said: str) -> str:
    """The version in the first line of what ``--version`` prints, or that line."""
    first = (said.strip().splitlines() or [""])[0]
    numbers = re.findall(r"\d+(?:\.\d+)+\S*", re.sub(r"\(.*?\)", "", first))
    return str(numbers[-1]) if numbers else first


def facts(door: Door) -> Mapping[str, str]:
    """Name -> value, in the order in which the table shows them."""
    found = {
        "processor": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": memory(Path("/proc/meminfo").read_text()),
        "kernel": platform.release().split("-")[0],
        "Python": platform.python_version(),
    }
    for name, program in _TOOLS:
        done = door.run([program, "--version"], timeout=_ASK, check=False)
        found[name] = version(done.output) if done.status == 0 else "none"
    return found
