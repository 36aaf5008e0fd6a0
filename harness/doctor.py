"""What this machine lacks, what each thing is for, and the one command that fixes it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from harness import data, requirements
from harness.apt import PrivateApt
from harness.build import qemu_recipe
from harness.build.toolchain import compiler_id, jobs
from harness.cache import Cache
from harness.errors import KphError
from harness.machine import accel
from harness.machine import target as targets
from harness.machine.target import Target
from harness.model import Qemu
from harness.proc import Door
from harness.requirements import Missing, Requirement

DISK_GIB = 6.0  # sources, build outputs, QEMU and the compiler cache; measured: 3.3 for two targets on one Linux
FULL_GIB = 1.0  # less than this is too little even when everything is built
MEMORY_GIB = 2.0  # the kernel's link beside a guest
_PARTS = ("kernel", "agent", "qemu", "source", "guest")


class Level(StrEnum):
    """How a finding counts."""

    OK = "ok"
    NOTE = "note"  # works, but something is slower or not available
    MISSING = "missing"  # the harness does not work without it


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    name: str
    text: str  # what it is for, or what was found


@dataclass(frozen=True)
class Report:
    """Everything that was found."""

    findings: tuple[Finding, ...]
    missing: Missing  # what a package brings

    @property
    def healthy(self) -> bool:
        """Whether everything required is there."""
        return all(each.level is not Level.MISSING for each in self.findings)


def require(target: Target, door: Door) -> None:
    """Raise InfraError, before any work, when kernels and modules for ``target`` cannot be built here."""
    parts = requirements.needed(("kernel", "agent", target.kernel.cross_compile))
    requirements.require(parts, f"building a kernel for {target.name}", door)


def packages() -> tuple[str, ...]:
    """The Debian packages that set-up has to install: required and recommended ones that are missing."""
    wanted = [each for each in _useful() if each.need != "extra"]
    return requirements.missing(wanted, Door()).packages


def examine(cache: Cache, door: Door, network: bool = True) -> Report:
    """Look at everything. With ``network`` the Debian archive is asked, too (seconds)."""
    known = _useful()
    lacking = requirements.missing(known, door)
    findings = [_requirement(each, each in lacking.requirements) for each in known]
    findings += [_disk(cache), _memory(Path("/proc/meminfo").read_text()), _kvm(cache, door), _qemu(cache, door)]
    if network:
        findings.append(_archive(cache, door))
    return Report(tuple(findings), Missing(tuple(each for each in lacking.requirements if each.need != "extra")))


def render(report: Report) -> str:
    """The report for people; its last line says what to do."""
    width = max(len(each.name) for each in report.findings)
    lines = [f"{each.level:<8} {each.name:<{width}}  {each.text}" for each in report.findings]
    command = report.missing.command
    if command:
        lines += ["", "This installs what is missing:", f"  {command}"]
    elif report.healthy:
        lines += ["", "Everything that is needed is here."]
    return "\n".join(lines)


def _useful() -> tuple[Requirement, ...]:
    """What some part of the harness, or some target on this host, has a use for."""
    return requirements.of_use((*_PARTS, *(targets.load(name).kernel.cross_compile for name in targets.known())))


# --- one look each --------------------------------------------------------------
def _requirement(each: Requirement, lacking: bool) -> Finding:
    if not lacking:
        return Finding(Level.OK, each.name, each.why)
    return Finding(Level.MISSING if each.need == "required" else Level.NOTE, each.name, f"missing: {each.why}")


def _disk(cache: Cache) -> Finding:
    free = shutil.disk_usage(_existing(cache.root)).free / 2**30
    text = f"{free:.0f} GiB free in {cache.root}"
    if free < DISK_GIB:
        level = Level.MISSING if free < FULL_GIB else Level.NOTE
        return Finding(
            level, "disk", f"{text}; a first run takes up to {DISK_GIB:.0f} (XDG_CACHE_HOME moves the cache)"
        )
    return Finding(Level.OK, "disk", text)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _memory(meminfo: str) -> Finding:
    """``meminfo``: /proc/meminfo, whose unit is KiB (proc_meminfo(5))."""
    fields = {line.split(":")[0]: line.split() for line in meminfo.splitlines() if ":" in line}
    free = int(fields["MemAvailable"][1]) / 2**20
    text = f"{free:.1f} GiB available, {jobs()} CPUs"
    if free < MEMORY_GIB:
        return Finding(Level.NOTE, "memory", f"{text}; builds may fail with less than {MEMORY_GIB:.0f} GiB")
    return Finding(Level.OK, "memory", text)


def _built(cache: Cache, door: Door) -> Qemu | None:
    """Our QEMU, if it is built already."""
    recipe, folder = qemu_recipe.load(), data.folder("qemu")
    entry = cache.room("qemu") / qemu_recipe.key(recipe, folder, compiler_id(door))
    return Qemu(entry, recipe.version, entry.name) if entry.is_dir() else None


def _qemu(cache: Cache, door: Door) -> Finding:
    try:
        built = _built(cache, door)
    except KphError as error:
        return Finding(Level.NOTE, "our QEMU", error.message)
    if built is None:
        return Finding(Level.NOTE, "our QEMU", "not built yet; the first run does it (about 5 minutes on two cores)")
    return Finding(Level.OK, "our QEMU", f"{built.version}, {built.folder}")


def _kvm(cache: Cache, door: Door) -> Finding:
    """Whether guests can run at full speed; proved when our QEMU is there to prove it."""
    device = Path("/dev/kvm")
    slow = "guests run under TCG, several times slower"
    if not device.exists():
        return Finding(Level.NOTE, "/dev/kvm", f"not there: {slow}")
    if not os.access(device, os.R_OK | os.W_OK):
        return Finding(Level.NOTE, "/dev/kvm", f"may not be opened: {slow}; to fix: sudo adduser $USER kvm")
    try:
        built = _built(cache, door)
        known = [targets.load(name) for name in targets.known()]
        chosen = {each.name: accel.choose(each, built, cache, door) for each in known} if built else {}
    except KphError as error:
        return Finding(Level.NOTE, "/dev/kvm", error.message)
    if not chosen:
        return Finding(Level.OK, "/dev/kvm", "opens; whether it can run a guest is proved when QEMU is built")
    proved = any(each.accelerator.name == "kvm" for each in chosen.values())
    text = "; ".join(f"{name} runs with {each.reason}" for name, each in chosen.items())
    return Finding(Level.OK if proved else Level.NOTE, "/dev/kvm", text)


def _archive(cache: Cache, door: Door) -> Finding:
    """Whether apt reaches a Debian archive: sources of kernels and QEMU, and the SSH server, come from there."""
    said: list[str] = []
    wanted = qemu_recipe.load().source
    try:
        offers = PrivateApt(cache, door, said.append).offers(wanted.package, (wanted.suite,), source=True)
    except KphError as error:
        return Finding(Level.NOTE, "Debian archive", f"{error.message} (needed for debian:..., QEMU's sources and SSH)")
    if said or not offers:
        return Finding(Level.NOTE, "Debian archive", "; ".join(said) or f"it has no {wanted.package}")
    return Finding(Level.OK, "Debian archive", f"reached through apt; {wanted.suite} has QEMU {offers[0].version}")
