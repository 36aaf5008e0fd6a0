"""The tests of a run once more, by hand: the same kernel and programs on a plain machine, their output on the console.

Nothing of the harness takes part but what the run left: no agent, no protocol, no parser of KTAP, no IOMMU of ours.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from pathlib import Path

from harness.build import cpio

_LIMIT = 900  # seconds
_COMPILERS = {"x86_64": "x86_64-linux-gnu-gcc", "aarch64": "aarch64-linux-gnu-gcc"}
_MACHINES = {
    "x86_64": ("console=ttyS0", "-machine", "q35", "-cpu", "max,la57=off"),
    "aarch64": ("console=ttyAMA0", "-machine", "virt,gic-version=3,iommu=smmuv3", "-cpu", "cortex-a57"),
}
_PREFIX = re.compile(r"^\[ *\d+\.\d+\]\[ *[TC]\d+\] ?", re.MULTILINE)
_RESULT = re.compile(r"^( *)(not ok|ok) \d+ (\S+)(?: # (SKIP|XFAIL|TODO))?", re.MULTILINE)


def console(run: Path, programs: tuple[str, ...], folder: Path) -> str:
    """What a guest prints that boots the base kernel of ``run`` and carries out ``programs`` of its initramfs."""
    commands = [shlex.split(line) for line in (run / "commands.log").read_text().splitlines()]
    (started, *_) = (words for words in commands if "qemu-system" in words[0] and "-kernel" in words)
    after = dict(itertools.pairwise(started))
    arch = started[0].rpartition("-")[2]
    init, initrd = folder / "init", folder / "initrd"
    source = Path(__file__).with_suffix(".c")
    subprocess.run([_COMPILERS[arch], "-Wall", "-Werror", "-O2", "-static", "-o", init, source], check=True)
    # The kernel unpacks one archive after the other: this init takes the agent's place.
    ours = cpio.archive([cpio.file("init", init.read_bytes(), 0o755)])
    initrd.write_bytes(Path(after["-initrd"]).read_bytes() + ours)
    tty, *machine = _MACHINES[arch]
    words = [started[0], "-L", after["-L"], *machine, "-accel", "tcg", "-m", after["-m"], "-smp", after["-smp"]]
    words += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", after["-kernel"]]
    words += ["-initrd", str(initrd)]
    # Lines of the kernel would end up in the middle of those of a program.
    quiet = f"loglevel=1 byhand={','.join(programs)}" if programs else "ignore_loglevel"
    words += ["-append", f"{tty} panic=-1 no_timer_check {quiet}"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, check=True)
    text = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    assert "byhand: done\n" in text, text[-2000:] + done.stderr.decode()
    return _PREFIX.sub("", text)


def results(text: str) -> list[tuple[str, str, int]]:
    """Name, status and depth of every result line, in order."""
    found = []
    for indent, word, name, directive in _RESULT.findall(text):
        status = "skip" if directive else {"ok": "pass", "not ok": "fail"}[word]
        found.append((name, status, len(indent)))
    return found
