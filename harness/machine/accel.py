"""Accelerators are proved, not assumed.

``/dev/kvm`` may open and still be unable to run a guest (a vCPU that spins for
ever, a QEMU that aborts on an MSR). The proof is a guest of a few instructions
with a deadline; its result is kept until the host reboots.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache, digest, write_whole
from harness.errors import InfraError, UserError
from harness.machine.target import Accelerator, Target
from harness.model import Qemu
from harness.proc import Door

PROBE_SECONDS = 2.0


@dataclass(frozen=True)
class Choice:
    """The accelerator to use."""

    accelerator: Accelerator
    reason: str  # one line for people: why this one


def choose(target: Target, qemu: Qemu, cache: Cache, door: Door, wanted: str | None = None) -> Choice:
    """The first accelerator of ``target`` that is proved to run guests, or the ``wanted`` one.

    Raises UserError when ``wanted`` is unknown or cannot run guests.
    """
    names = tuple(each.name for each in target.accelerators)
    if wanted is not None and wanted not in names:
        raise UserError(f"target {target.name} has no accelerator {wanted!r}", f"known: {', '.join(names)}")
    refusals: list[str] = []
    for each in target.accelerators:
        if wanted not in (None, each.name):
            continue
        trouble = _trouble(each, target, qemu, cache, door) if each.probe else ""
        if not trouble:
            why = f"{each.name}: {'; '.join(refusals)}" if refusals else each.name
            return Choice(each, why)
        refusals.append(f"{each.name} not used, {trouble}")
    if wanted is not None:
        raise UserError(
            f"accelerator {wanted} was asked for: {'; '.join(refusals)}", "leave --accel out to use another"
        )
    raise InfraError(f"no accelerator of {target.name} can run a guest: {'; '.join(refusals)}", "kph doctor")


def _trouble(each: Accelerator, target: Target, qemu: Qemu, cache: Cache, door: Door) -> str:
    """Why ``each`` cannot run guests; empty when it can."""
    machine = platform.machine()
    if each.hosts and machine not in each.hosts:
        return f"it needs a host that is {' or '.join(each.hosts)}, this one is {machine}"
    device = Path("/dev") / each.name
    if not device.exists():
        return f"{device} does not exist"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be opened (add yourself to its group)"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    binary = qemu.folder / "bin" / target.binary
    what = (each.model_dump_json(), target.probe.model_dump_json())
    kept = cache.room("accel") / f"{digest(boot, str(binary), str(binary.stat().st_mtime_ns), *what)}.json"
    if kept.exists():
        return str(json.loads(kept.read_text())["trouble"])
    trouble = prove(each, target, qemu, cache, door)
    write_whole(kept, json.dumps({"trouble": trouble}).encode())
    return trouble


def prove(each: Accelerator, target: Target, qemu: Qemu, cache: Cache, door: Door) -> str:
    """Run the guest of the proof. Returns why ``each`` cannot run guests of ``target``; empty when it can."""
    probe = target.probe
    image = bytearray(probe.size)
    for offset, code in probe.code.items():
        raw = bytes.fromhex(code)
        image[offset : offset + len(raw)] = raw
    rom = cache.room("accel") / f"{digest(bytes(image))}.rom"
    write_whole(rom, bytes(image))
    words = [word.format(rom=rom, accel=each.name) for word in probe.argv]
    argv: list[str | Path] = [
        qemu.folder / "bin" / target.binary,
        "-L",
        qemu.folder / "share" / "qemu",
        *words,
        *each.argv,
    ]
    try:
        done = door.run(argv, timeout=PROBE_SECONDS, check=False)
    except InfraError:
        return f"a guest of a few instructions did not end within {PROBE_SECONDS:.0f} s"
    if done.status == probe.status and probe.says in done.output:
        return ""
    last = (done.output.strip().splitlines() or ["no message"])[-1]
    return f"a guest of a few instructions ended with status {done.status}: {last}"
