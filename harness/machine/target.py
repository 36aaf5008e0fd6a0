"""Targets: one YAML file in ``qemu/machines`` each, found by being there."""

from __future__ import annotations

import difflib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness import data, fastyaml
from harness.errors import UserError

ALL = "all"  # in place of a target's name: every target there is


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KernelRecipe(_Strict):
    """How the kernel of a target is built."""

    make_arch: str  # ARCH=
    cross_compile: str = ""  # CROSS_COMPILE= on a host of another architecture; empty: the host's own compiler
    fragments: tuple[str, ...]  # kernel-configs/<name>.config, merged in this order over tinyconfig
    goal: str  # make target of the image, e.g. bzImage
    image: str  # the image below the output directory
    cmdline: tuple[str, ...]  # kernel command line, whatever the channel


class Probe(_Strict):
    """A guest of a few instructions that shows whether an accelerator can run guests at all."""

    size: int  # size of the ROM image in bytes
    code: dict[int, str]  # offset into it -> hex bytes; the rest is filled with zeros
    argv: tuple[str, ...]  # QEMU arguments; {rom} is the image, {accel} the accelerator
    status: int  # exit status of QEMU when the guest has run
    says: str = ""  # what QEMU or the guest must have printed by then


class Accelerator(_Strict):
    """One way to run the vCPUs."""

    name: str  # as QEMU's -accel calls it
    argv: tuple[str, ...]  # more arguments with this accelerator (the CPU model)
    cmdline: tuple[str, ...] = ()  # kernel arguments that make sense only with it
    probe: bool = False  # prove that it runs guests before using it
    hosts: tuple[str, ...] = ()  # architectures of hosts that can have it; empty: all


class ChannelRecipe(_Strict):
    """What a channel asks of the machine."""

    argv: tuple[str, ...] = ()  # QEMU arguments
    cmdline: tuple[str, ...] = ()  # kernel arguments
    fragment: str = ""  # one of the kernel's, without which it does not work


class Role(_Strict):
    """A device by the name that scenarios use."""

    device: str  # the guest kernel's name for it
    requester: int | None = None  # what the IOMMU calls it: requester ID, StreamID
    argv: tuple[str, ...] = ()  # QEMU arguments that add it


class Target(_Strict):
    """Machine, IOMMU and devices."""

    name: Annotated[str, Field(pattern=r"^\w[\w.+-]*$")]  # file name without suffix; names folders, too
    summary: str
    arch: str  # guest architecture as Debian's compilers name it: x86_64, aarch64
    kernel: KernelRecipe
    binary: str  # system emulator
    argv: tuple[str, ...]  # machine, IOMMU, everything that every run has
    cpus: Annotated[int, Field(ge=1, le=64)]
    memory_mib: Annotated[int, Field(ge=64)]
    accelerators: tuple[Accelerator, ...]  # in order of preference
    probe: Probe
    channels: dict[str, ChannelRecipe]
    roles: dict[str, Role]
    trace: tuple[str, ...]  # QEMU trace events that the oracles read
    fault_events: tuple[str, ...] = ()  # those of them that are IOMMU faults; a suite with 'faults' knows each
    hardware: str | None = None  # QMP command that tells what the emulated hardware would use
    needs: dict[str, tuple[str, ...]]  # QEMU device -> properties that our own build has
    host_faults: tuple[str, ...] = ()  # console lines that are the host's fault: boot again
    boot_silence: float = 15  # seconds without a console byte that make a boot a hang
    boot_limit: float = 60  # seconds until the agent must have said hello

    @model_validator(mode="after")
    def _whole(self) -> Target:
        """What the parts say of each other."""
        if self.name == ALL:
            raise ValueError(f"{ALL!r} is the name of all targets together")
        if "serial" not in self.channels:
            raise ValueError("channels: 'serial' is missing")
        if all(each.probe for each in self.accelerators):
            raise ValueError("accelerators: one without 'probe' must work on every host")
        if unread := set(self.fault_events) - set(self.trace):
            raise ValueError(f"fault_events: {', '.join(sorted(unread))} must be in 'trace', too")
        return self

    def with_memory(self, mib: int) -> Target:
        """The same with at least ``mib`` MiB."""
        return self.model_copy(update={"memory_mib": max(mib, self.memory_mib)})


def known() -> tuple[str, ...]:
    """Names of the targets there are."""
    return tuple(sorted(file.stem for file in _folder().glob("*.yaml")))


def choose(words: Sequence[str]) -> tuple[Target, ...]:
    """The targets that ``words`` ask for, in order, each once; a word may be several with commas between them.

    A word is a known name, a YAML file (anything with a slash or the suffix .yaml), or "all": every known one. Raises
    UserError when there is no such target, a file is wrong, or two targets have the same name.
    """
    names = [name for word in words for name in word.split(",") if name]
    wanted = [each for name in names for each in (known() if name == ALL else (name,))]
    found: dict[str, Target] = {}
    for target in map(_find, dict.fromkeys(wanted)):
        if target.name in found:
            raise UserError(f"two targets are named {target.name!r}", "rename your file: a target is named after it")
        found[target.name] = target
    if not found:
        raise UserError("--target names no target", f"known targets: {', '.join(known())}, or {ALL}")
    return tuple(found.values())


def _find(name: str) -> Target:
    return parse(Path(name)) if "/" in name or name.endswith(".yaml") else load(name)


def load(name: str) -> Target:
    """The target ``name``. Raises UserError when there is none or its file is wrong."""
    file = _folder() / f"{name}.yaml"
    if name not in known():
        near = difflib.get_close_matches(name, known(), 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"there is no target {name!r}", f"{hint}known targets: {', '.join(known())}, or {ALL}")
    return parse(file)


def parse(file: Path) -> Target:
    """Read one target file. Raises UserError that names file and field."""
    try:
        raw = fastyaml.load(file.read_text())
        return for_host(Target.model_validate({"name": file.stem, **raw}), platform.machine())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the target {file} cannot be read: {error}", "a target is a YAML file; see qemu/machines"
        ) from error
    except (yaml.YAMLError, TypeError) as error:
        raise UserError(f"{file}: {error}", "a target is a YAML mapping; see qemu/machines") from error
    except ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"{file}: {what}", "harness/machine/target.py describes each field") from error


def for_host(target: Target, machine: str) -> Target:
    """``target`` on a host with the architecture ``machine``: the guest's own needs no cross compiler."""
    if machine != target.arch:
        return target
    return target.model_copy(update={"kernel": target.kernel.model_copy(update={"cross_compile": ""})})


def _folder() -> Path:
    return data.folder("qemu") / "machines"
