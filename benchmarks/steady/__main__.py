"""``python -m benchmarks.steady``, which is ``make steady``: run it again and again, and tell what differs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.steady.results import Once, differences, page, statuses
from harness.proc import Door

_ROOT = Path(__file__).parent.parent.parent
_SERIES = _ROOT / "examples/driver-owned-pasid/v2.mbox"
_KPH = (sys.executable, "-m", "harness.cli.main", "run", "--tree", "debian:7.3", "--series", str(_SERIES), "--force")
_LIMIT = 3600.0  # seconds for one run
_BUSY = (sys.executable, "-c", "while True: pass")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when every run said the same, 1 when one did not."""
    args = _arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    runs: list[Once] = []
    for number in range(1, args.runs + 1):
        loaded = number % 2 == 0
        with _load() if loaded else contextlib.nullcontext():
            runs.append(_once(number, loaded, args.options))
        last = runs[-1]
        found = len(differences(runs))
        print(f"{number}/{args.runs}: {last.verdict}, {last.seconds:.1f} s, differing so far: {found}", flush=True)
    command = f'make steady ARGS="--runs {args.runs} -- {shlex.join(args.options)}"'
    text = page(runs, machine.facts(Door()), command)
    args.out.write_text(text)
    print(text.split("**")[1])
    return 1 if differences(runs) or len({run.verdict for run in runs}) > 1 else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make steady", description="Does any verdict differ from run to run?")
    parser.add_argument("--runs", type=int, default=50, help="how often (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=_ROOT / "docs/steadiness.md", help="the table (default: %(default)s)"
    )
    parser.add_argument(
        "options", nargs="*", metavar="-- OPTION", help="for kph run (default: all targets, two workers)"
    )
    args = parser.parse_args(argv)
    args.options = args.options or ["--target", "all", "--jobs", "2"]
    return args


def _once(number: int, loaded: bool, options: Sequence[str]) -> Once:
    with tempfile.TemporaryDirectory(prefix="kph-steady-") as scratch:
        folder = Path(scratch) / "run"
        started = time.monotonic()
        done = subprocess.run(
            [*_KPH, *options, "--run-dir", str(folder), "--quiet"],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_LIMIT,
            check=False,
        )
        seconds = time.monotonic() - started
        file = folder / "report.json"
        if not file.exists():
            sys.exit(f"run {number} ended with status {done.returncode}:\n{done.stderr.decode(errors='replace')}")
        report = json.loads(file.read_bytes())
    return Once(number, loaded, seconds, done.returncode, report["verdict"], statuses(report))


@contextlib.contextmanager
def _load() -> Iterator[None]:
    """A process for each CPU that does nothing but want it."""
    children = [subprocess.Popen(_BUSY, stdin=subprocess.DEVNULL) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


if __name__ == "__main__":
    sys.exit(main())
