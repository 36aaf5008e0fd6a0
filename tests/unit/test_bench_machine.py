"""What the benchmark says of the machine, and how it counts memory and disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import case, disk, machine
from benchmarks.memory import Sampler, Use, family, total, use

_ROLLUP = """\
55d0-7ffc ---p 00000000 00:00 0                          [rollup]
Rss:              900 kB
Pss:              700 kB
Pss_Anon:         400 kB
Pss_File:         100 kB
Pss_Shmem:        200 kB
"""


def test_processor_and_memory() -> None:
    assert machine.cpu_model("processor\t: 0\nmodel name\t: A Processor\n") == "A Processor"
    assert machine.cpu_model("") == "unknown"
    assert machine.memory("MemTotal:       24641536 kB\n") == "23.5 GiB"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright", "12.2.0"),
        ("GNU ld (GNU Binutils for Debian) 2.40", "2.40"),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "7.2.22"),
        ("virtme-ng 1.42", "1.42"),
        ("none at all", "none at all"),
        ("", ""),
    ],
)
def test_versions(said: str, version: str) -> None:
    assert machine.version(said) == version


def test_memory_of_one_process() -> None:
    assert use(_ROLLUP) == Use(500 << 10, 200 << 10)
    assert use("") == Use(0, 0)


def test_shared_memory_counts_once_whether_it_is_mapped_or_not() -> None:
    uses = (Use(10, 4), Use(20, 6))
    assert total(uses, files=7) == 40
    assert total(uses, files=50) == 80


def test_descendants() -> None:
    assert family({1: 0, 5: 1, 6: 5, 7: 6, 8: 1}, 5) == {5, 6, 7}


def test_the_sampler_sees_what_a_process_takes(tmp_path: Path) -> None:
    program = "import sys; kept = bytearray(64 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        with Sampler(child.pid, tmp_path) as sampler:
            while sampler.samples < 2:
                pass
        child.stdin.close()
    assert sampler.peak >= 64 << 20


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    empty = disk.allocated(tmp_path)
    (tmp_path / "one").write_bytes(os.urandom(1 << 20))
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert (1 << 20) <= disk.allocated(tmp_path) - empty < (2 << 20)
    assert disk.allocated(tmp_path / "none") == 0


def test_every_case_has_its_own_letter() -> None:
    keys = [each.KEY for each in case.found()]
    assert sorted(keys) == sorted(set(keys))
    assert keys[0] == "e", "cold builds leave what the others start from"
