"""Makes kernels of every flavour fail, and keeps what their consoles say as samples.

``python -m tests.splats.take --target arm64-smmuv3 --flavour kasan [MISTAKE ...]`` builds a kernel with the flavour
and the module of mistakes beside this file, boots it once, and makes each mistake of ``samples.yaml`` on a copy. It
writes ``<arch>-<flavour>-<mistake>.log`` and, as ``.yaml``, what the parser says of it: read both before you commit
them.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.build.agent import ensure_agent
from harness.build.flavour import with_cmdline
from harness.build.kernel import Workshop
from harness.build.make import BuildFailure
from harness.build.module import Suite as ModuleSources
from harness.build.qemu import ensure_qemu
from harness.build.rootfs import guest_initrd
from harness.cache import Cache
from harness.campaign.guest import Frozen, Plan
from harness.campaign.session import Session
from harness.channel.base import ChannelClosed
from harness.machine import accel
from harness.machine import target as targets
from harness.machine.snapshot import Snapshot
from harness.model import Guest, Kernel, Module
from harness.proc import Door
from harness.scenario.link import GuestLost, GuestTimeout
from harness.source.trees import resolve_tree
from harness.ui import Ui
from harness.verdict import console

_HERE = Path(__file__).parent
SAMPLES = _HERE.parent / "data" / "console"
_FRAMES = 5  # of each splat that an expectation names
_PATIENCE = 30.0  # seconds for one mistake
_QUIET = 1.0  # seconds after it, for what other tasks and timers print
_LEAK = "/sys/kernel/debug/kmemleak"
_RIPE = 5500  # ms until kmemleak speaks of an object; mm/kmemleak.c: MSECS_MIN_AGE


def kernels() -> tuple[str, ...]:
    """The flavours of the kernels that are made to fail; each is made of several, as a rule."""
    return tuple(_known()["kernels"])


def mistakes(kernel: str) -> tuple[tuple[str, str], ...]:
    """Flavour and name of those that are made on a kernel of the flavour ``kernel``."""
    known = _known()
    return tuple((flavour, name) for flavour in known["kernels"][kernel] for name in known["mistakes"][flavour])


def sample(target: str, flavour: str, mistake: str, folder: Path = SAMPLES) -> Path:
    """The file that says what the parser makes of it."""
    arch = target.split("-")[0].removesuffix("_64")
    return folder / f"{arch}-{flavour}-{mistake.replace('_', '-')}.yaml"


def _known() -> dict[str, dict[str, list[str]]]:
    known: dict[str, dict[str, list[str]]] = yaml.safe_load((_HERE / "samples.yaml").read_text())
    return known


@dataclass(frozen=True)
class Failing:
    """A guest that was saved before its first mistake."""

    plan: Plan
    kernel: str  # its flavour
    module: Module
    frozen: Frozen
    folder: Path
    door: Door

    def console(self, mistake: str) -> bytes:
        """What the console of a copy shows of ``mistake``."""
        evidence = Path(tempfile.mkdtemp(prefix=f"{mistake}-", dir=self.folder))
        with Session(self.plan, evidence, self.door, self.frozen) as guest:
            with contextlib.suppress(GuestLost, GuestTimeout, ChannelClosed):
                guest.call("write_file", {"path": "/dev/splats", "text": mistake}, "culprit", _PATIENCE)
                guest.call("sleep_ms", {"ms": int(_QUIET * 1000)})
                if mistake.startswith("leak"):
                    _scan(guest)
            guest.last_words(lost=True)
            guest.halt()
        return (evidence / "console.log").read_bytes()


def _scan(guest: Session) -> None:
    guest.call("reset")  # the culprit's stack still has the pointer
    for op, args in (
        ("write_file", {"path": "/sys/module/kmemleak/parameters/verbose", "text": "Y"}),
        ("sleep_ms", {"ms": _RIPE}),
        ("write_file", {"path": _LEAK, "text": "scan"}),
        ("write_file", {"path": _LEAK, "text": "scan"}),  # the first one but marks what it may be
    ):
        guest.call(op, args, deadline=_PATIENCE)


@contextlib.contextmanager
def failing(name: str, kernel: str, tree: str = "debian:7.3") -> Iterator[Failing]:
    """A saved guest of the target ``name`` on a kernel of the flavour ``kernel``, with the module loaded."""
    target, cache, ui = with_cmdline(targets.load(name), kernel), Cache.default(), Ui(quiet=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="splats-")))
        door = Door(folder / "commands.log")
        source = resolve_tree(tree, None, cache, door, ui)
        qemu = ensure_qemu(cache, door, ui, None, target)
        choice = accel.choose(target, qemu, cache, door)
        workshop = Workshop(target.kernel, target.arch, kernel, cache, door, ui, folder)
        built = workshop.build(source, ModuleSources("splats", _HERE / "module", (), ("splats.ko",)), "base")
        if isinstance(built, BuildFailure):
            raise SystemExit("\n".join((built.reason, *built.lines)))
        guest = _guest(built, target.kernel.cross_compile, cache, door, ui, folder)
        plan = Plan(qemu, target, choice, guest, "serial", "")
        shot = stack.enter_context(Snapshot(qemu, target, choice.accelerator, guest, "serial", door))
        with Session(plan, folder / "boot", door, shot) as session:
            frozen = session.freeze(None)
        yield Failing(plan, kernel, built[1], frozen, folder, door)


def _guest(built: tuple[Kernel, Module], cross: str, cache: Cache, door: Door, ui: Ui, folder: Path) -> Guest:
    agent = ensure_agent("kunit", cross, cache, door, ui, folder)  # the one without operations of a suite
    return Guest(built[0], guest_initrd(agent, built[1].files, None, None, folder / "initramfs"), None)


def expectation(log: bytes) -> dict[str, Any]:
    """What the parser says of a console, as in the samples' yaml files."""
    found = console.read(log)
    splats = [
        {
            "kind": splat.kind.value,
            "title": splat.title,
            "line": splat.line,
            "frames": list(splat.frames[:_FRAMES]),
            "corrupted": splat.corrupted,
        }
        for splat in found.splats
    ]
    return {"origin": "real", "panic": found.panic, "died": found.died, "splats": splats}


def main() -> int:
    known = _known()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="x86_64-vtd")
    parser.add_argument("--flavour", default="base", choices=known["mistakes"])
    parser.add_argument("--out", type=Path, default=SAMPLES)
    parser.add_argument("mistake", nargs="*")
    args = parser.parse_args()
    kernel = next(each for each, flavours in known["kernels"].items() if args.flavour in flavours)
    with failing(args.target, kernel) as guest:
        for mistake in args.mistake or known["mistakes"][args.flavour]:
            log = guest.console(mistake)
            file, wanted = sample(args.target, args.flavour, mistake, args.out), expectation(log)
            file.with_suffix(".log").write_bytes(log)
            file.write_text(yaml.safe_dump(wanted, sort_keys=False))
            titles = "; ".join(splat["title"] for splat in wanted["splats"])
            sys.stdout.write(f"{file.stem}: {len(log)} bytes: {titles or 'no splat'}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
