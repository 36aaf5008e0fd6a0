"""Accelerators are proved with a guest; here QEMU is a script that plays each way a host can be."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import InfraError, UserError
from harness.machine import accel
from harness.machine.target import Accelerator, Target
from harness.model import Qemu
from harness.proc import Door


def _target(*accelerators: Accelerator, says: str = "") -> Target:
    return Target.model_validate(
        {
            "name": "t",
            "summary": "s",
            "arch": "x86_64",
            "binary": "qemu-x",
            "argv": (),
            "cpus": 1,
            "memory_mib": 64,
            "kernel": {"make_arch": "x86_64", "fragments": (), "goal": "g", "image": "i", "cmdline": ()},
            "accelerators": [each.model_dump() for each in accelerators],
            "probe": {
                "size": 16,
                "code": {8: "f4"},
                "argv": ("-bios", "{rom}", "-accel", "{accel}"),
                "status": 33,
                "says": says,
            },
            "channels": {"serial": {}},
            "roles": {},
            "trace": (),
            "needs": {},
        }
    )


@pytest.fixture
def host(tmp_path: Path) -> tuple[Path, Qemu, Cache]:
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin" / "qemu-x", Qemu(tmp_path, "10.2.2", "key"), Cache(tmp_path / "cache")


def _script(file: Path, body: str) -> None:
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


KVM = Accelerator(name="null", argv=(), probe=True)  # /dev/null exists and opens, as a useless /dev/kvm does
TCG = Accelerator(name="tcg", argv=())


def test_an_accelerator_that_runs_the_guest_is_used(host: tuple[Path, Qemu, Cache]) -> None:
    script, qemu, cache = host
    _script(script, "exit 33")
    choice = accel.choose(_target(KVM, TCG), qemu, cache, Door())
    assert (choice.accelerator.name, choice.reason) == ("null", "null")


def test_a_vcpu_that_spins_is_given_up_in_two_seconds_and_said(host: tuple[Path, Qemu, Cache]) -> None:
    script, qemu, cache = host
    _script(script, "sleep 60")
    started = time.monotonic()
    choice = accel.choose(_target(KVM, TCG), qemu, cache, Door())
    assert time.monotonic() - started < accel.PROBE_SECONDS + 1
    assert choice.accelerator.name == "tcg"
    assert "did not end within 2 s" in choice.reason


def test_the_proof_is_kept_until_the_host_reboots(host: tuple[Path, Qemu, Cache]) -> None:
    script, qemu, cache = host
    runs = script.parent / "runs"
    _script(script, f"echo x >> {runs}; echo no such MSR; exit 1")
    for _ in range(2):
        choice = accel.choose(_target(KVM, TCG), qemu, cache, Door())
        assert "ended with status 1: no such MSR" in choice.reason
    assert runs.read_text().count("x") == 1


def test_asking_for_an_accelerator_that_cannot_run_is_refused(host: tuple[Path, Qemu, Cache]) -> None:
    script, qemu, cache = host
    _script(script, "exit 1")
    with pytest.raises(UserError, match="null was asked for"):
        accel.choose(_target(KVM, TCG), qemu, cache, Door(), "null")
    with pytest.raises(UserError, match="no accelerator 'hvf'"):
        accel.choose(_target(KVM, TCG), qemu, cache, Door(), "hvf")


def test_nothing_that_runs_is_the_hosts_fault(host: tuple[Path, Qemu, Cache]) -> None:
    script, qemu, cache = host
    _script(script, "exit 1")
    with pytest.raises(InfraError, match="no accelerator"):
        accel.choose(_target(TCG).model_copy(update={"accelerators": (KVM,)}), qemu, cache, Door())
    absent = Accelerator(name="kph-no-such-device", argv=(), probe=True)
    choice = accel.choose(_target(absent, TCG), qemu, cache, Door())
    assert "kph-no-such-device does not exist" in choice.reason


def test_a_host_of_another_architecture_is_not_even_asked(host: tuple[Path, Qemu, Cache]) -> None:
    script, qemu, cache = host
    _script(script, f"touch {script.parent / 'ran'}; exit 33")
    foreign = Accelerator(name="null", argv=(), probe=True, hosts=("pdp11",))
    choice = accel.choose(_target(foreign, TCG), qemu, cache, Door())
    assert choice.accelerator.name == "tcg" and not (script.parent / "ran").exists()
    assert choice.reason == f"tcg: null not used, it needs a host that is pdp11, this one is {platform.machine()}"
    native = Accelerator(name="null", argv=(), probe=True, hosts=("pdp11", platform.machine()))
    assert accel.choose(_target(native, TCG), qemu, cache, Door()).reason == "null"


def test_a_guest_may_have_to_say_that_it_ran(host: tuple[Path, Qemu, Cache]) -> None:
    script, qemu, cache = host
    _script(script, "echo it does not fit; exit 33")
    choice = accel.choose(_target(KVM, TCG, says="it runs"), qemu, cache, Door())
    assert choice.reason == "tcg: null not used, a guest of a few instructions ended with status 33: it does not fit"
    _script(script, "echo it runs; exit 33 # another script: what was proved of the first does not count")
    os.utime(script, (1, 1))
    assert accel.choose(_target(KVM, TCG, says="it runs"), qemu, cache, Door()).accelerator.name == "null"
