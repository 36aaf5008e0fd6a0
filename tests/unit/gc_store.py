"""A cache and a state directory, made by hand, for kph gc."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import inuse
from harness.campaign import gc
from harness.campaign.gc import Policy, Report

DAY = 86400.0


def aged(path: Path, days: float) -> Path:
    """``path`` and all below it, last used that long ago."""
    moment = time.time() - days * DAY
    for each in (*path.rglob("*"), path) if path.is_dir() else (path,):
        os.utime(each, (moment, moment), follow_symlinks=False)
    return path


@dataclass(frozen=True)
class Store:
    """A cache and a state directory, made by hand."""

    cache: Path
    state: Path

    def entry(self, name: str, days: float, size: int = 1 << 16) -> Path:
        folder = self.cache / name
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(os.urandom(size))
        return aged(folder, days)

    def file(self, name: str, days: float) -> Path:
        file = self.cache / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"{}")
        return aged(file, days)

    def run(self, days: float, kind: str = "runs", name: str = "x86_64-vtd-abc", mark: str = ".in-use") -> Path:
        folder = self.state / kind / f"20261101-0200{len(list(self.state.glob('*/*'))):02}-{name}"
        (folder / "base" / "boot-1").mkdir(parents=True)
        (folder / mark).touch()
        (folder / "base" / "boot-1" / "console.log").write_bytes(b"[    0.000000] Linux version\r\n" * 4000)
        (folder / "report.json").write_text("{}")
        return aged(folder, days)

    def slot(self, name: str, outs: dict[str, float]) -> Path:
        folder = self.cache / "slots" / name
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "Makefile").touch()
        (folder / "work.index").touch()
        aged(folder, max(outs.values()))
        for out, days in outs.items():
            (folder / out).mkdir()
            (folder / out / "vmlinux").write_bytes(os.urandom(1 << 16))
            (folder / out / ".kph-built").touch()
            aged(folder / out, days)
        os.utime(folder, (time.time() - min(outs.values()) * DAY,) * 2)
        return folder

    def collect(self, days: float | None = None, gib: float | None = None, **more: bool) -> Report:
        policy = Policy(days, gib=gib, compress=more.pop("compress", True))
        return gc.collect(self.cache, self.evidence, policy, **more)

    @property
    def evidence(self) -> list[Path]:
        return [self.state / "runs", self.state / "bisections"]


def furnished(tmp_path: Path) -> Store:
    made = Store(tmp_path / "cache", tmp_path / "state")
    with inuse.run(made.cache):
        pass
    return made


@contextmanager
def elsewhere(code: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """``code`` in another process, which holds what it took until it is told to end."""
    begin = "import sys; from pathlib import Path; from harness import inuse; from harness.cache import Cache\n"
    argv = [sys.executable, "-c", begin + code, *map(str, words)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


HOLD = "print('ready', flush=True); sys.stdin.read()"
RUN = f"""
with inuse.run(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None):
    {HOLD}
"""


LOCK = f"""
with Cache(Path(sys.argv[1])).lock(sys.argv[2]):
    {HOLD}
"""
