"""QEMU's command line as a pure function of what is to be run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.machine.target import Accelerator, Target
from harness.model import Guest, Qemu


@dataclass(frozen=True)
class Sockets:
    """Where a VM's ports and logs are."""

    console: Path  # UNIX socket that we listen on: first serial port
    port: Path  # UNIX socket that we listen on: second serial port, the agent's
    qmp: Path  # UNIX socket that we listen on
    events: Path  # file with the names of the trace events to record
    trace: Path  # file that QEMU writes them to


@dataclass(frozen=True)
class Ram:
    """Guest memory in a file, as snapshots need it."""

    file: Path
    copy: bool  # a private copy of what the file holds: QEMU waits for the state that belongs to it; nothing boots


def qemu_argv(
    qemu: Qemu,
    target: Target,
    accelerator: Accelerator,
    guest: Guest,
    channel: str,
    sockets: Sockets,
    ram: Ram | None = None,
) -> tuple[str, ...]:
    """Arguments that boot ``guest`` on ``target``; QEMU connects to sockets on which we already listen."""
    return (
        *_machine(qemu, target, accelerator, guest, channel),
        *(_ram(target, ram) if ram else ()),
        *("-chardev", f"socket,id=console,path={_value(sockets.console)}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=port,path={_value(sockets.port)}", "-serial", "chardev:port"),
        *("-chardev", f"socket,id=qmp,path={_value(sockets.qmp)}", "-mon", "chardev=qmp,mode=control"),
        *("-trace", f"events={_value(sockets.events)}", "-D", str(sockets.trace)),
    )


def replay_script(qemu: Qemu, target: Target, accelerator: Accelerator, guest: Guest, events: Path, title: str) -> str:
    """A shell script that boots ``guest`` without the harness and runs the ``replay.py`` beside it.

    Files of the machine go to a scratch folder: ``console``, ``trace``, and ``port``, the agent's serial port.
    """
    argv = (
        *_machine(qemu, target, accelerator, guest, "serial"),
        *("-serial", "file:console"),
        *("-chardev", "socket,id=port,path=port,server=on,wait=off", "-serial", "chardev:port"),
        *("-trace", f"events={_value(events)}", "-D", "trace"),
    )
    return _REPLAY.format(title=" ".join(title.split()), argv=shlex.join(argv))


_REPLAY = """#!/bin/sh
# Repeats, without the harness: {title}
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$(mktemp -d)"
echo "console, trace: $PWD"
{argv} &
qemu=$!
trap 'kill $qemu 2>/dev/null || :' EXIT
until grep -q kph-agent: console 2>/dev/null; do
    kill -0 $qemu || {{ echo "the guest did not boot"; exit 3; }}
    sleep 0.2
done
sleep 1
python3 "$here/replay.py" "$PWD/port"
"""


def _machine(qemu: Qemu, target: Target, accelerator: Accelerator, guest: Guest, channel: str) -> tuple[str, ...]:
    recipe = target.channels[channel]
    return (
        str(qemu.folder / "bin" / target.binary),
        *("-L", str(qemu.folder / "share" / "qemu")),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-rtc", "clock=vm"),  # as the guest's other clocks: it stands still while the guest does
        *("-accel", accelerator.name, *accelerator.argv),
        *("-m", f"{target.memory_mib}M", "-smp", str(target.cpus)),
        *target.argv,
        *(word for role in target.roles.values() for word in role.argv),
        *recipe.argv,
        *("-kernel", str(guest.kernel.image), "-initrd", str(guest.initrd)),
        *("-append", " ".join(kernel_cmdline(target, accelerator, channel))),
    )


def _ram(target: Target, ram: Ram) -> tuple[str, ...]:
    """The machine is otherwise the same for a snapshot and its copies: QEMU loads a state into no other."""
    # rom=off: the file is only read, but the guest may write to its private pages.
    share = "share=off,readonly=on,rom=off" if ram.copy else "share=on"
    return (
        *("-object", f"memory-backend-file,id=ram,size={target.memory_mib}M,mem-path={_value(ram.file)},{share}"),
        *("-machine", "memory-backend=ram"),
        *(("-incoming", "defer") if ram.copy else ()),
    )


def _value(path: Path) -> str:
    """``path`` in an option of several parts: QEMU's parser takes two commas for one that separates nothing."""
    return str(path).replace(",", ",,")


def kernel_cmdline(target: Target, accelerator: Accelerator, channel: str) -> Sequence[str]:
    """The guest kernel's command line, word by word."""
    return (*target.kernel.cmdline, *accelerator.cmdline, *target.channels[channel].cmdline)
