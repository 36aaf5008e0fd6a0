"""kmemleak in a guest that this test plays: it answers soon, and does not read KASAN's own memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign import leaks
from harness.model import Kernel
from tests.unit.fake_machine import Machine, vm

ADDRESS = 0xFFFFFFFF81234560
TABLE, POOL, END = ADDRESS + 0x100, ADDRESS + 0x1000, ADDRESS + 0x3000
LOCKDEP = END
LINEAR, STACKS, SHADOW_OFFSET = 0xFFFF888000000000, 0xC200000, 0xDFFFFC0000000000
SHADOW = 0xE000000  # the first of the shadow's blocks
OBJECT = 0xF0  # bytes of one, with lockdep
TRACKED = 0x11  # allocated, by physical address
MIB = 1 << 20


@pytest.mark.parametrize(
    ("facts", "age", "wanted", "left"),
    [
        (5500, 500, 150, 10),
        (5500, 10, 150, 10),  # it was done before
        (5500, 77, 5500, 77),  # not the variable that we think it is
        (0, 500, 0, 500),
    ],
)
def test_kmemleak_is_hastened(tmp_path: Path, facts: int, age: int, wanted: int, left: int) -> None:
    machine = Machine({ADDRESS: age})
    found = leaks.hastened(vm(machine), kernel(tmp_path), {"leak_ms": facts, "other": 1})
    assert found == {"leak_ms": wanted, "other": 1}
    assert machine.memory[ADDRESS] == left


def test_a_kernel_that_cannot_be_hastened_is_waited_for(tmp_path: Path) -> None:
    facts = {"leak_ms": 5500}
    assert leaks.hastened(vm(Machine()), kernel(tmp_path), facts) == facts
    (tmp_path / "System.map").write_text("ffffffff81000000 T _text\n")
    machine = Machine({ADDRESS: 500})
    assert leaks.hastened(vm(machine), kernel(tmp_path, write=False), facts) == facts and machine.said == []


def kasan(*objects: tuple[int, int, int]) -> tuple[Machine, list[int]]:
    """A machine whose kmemleak has objects of these flags, addresses and sizes, and where each has its flags."""
    machine = Machine({ADDRESS: 500, TABLE: LINEAR + STACKS})
    machine.physical[LINEAR + STACKS] = STACKS
    for number in range(16):  # an eighth of 256 MiB in blocks of 2
        shadow = ((LINEAR >> 3) + SHADOW_OFFSET & (1 << 64) - 1) + number * 2 * MIB
        machine.physical[shadow] = SHADOW + number * 2 * MIB
    places = [POOL + 0x20 + number * OBJECT for number in range(len(objects))]
    for place, follower, (flags, pointer, size) in zip(places, [*places[1:], places[0]], objects, strict=True):
        machine.memory[place] = flags
        machine.memory[place + 8] = follower + 8  # object_list
        machine.memory[follower + 16] = place + 8
        machine.memory[place + 80] = 1  # use_count
        machine.memory[place + 88], machine.memory[place + 96] = pointer, size
    return machine, places


def test_kmemleak_does_not_read_the_memory_of_kasan(tmp_path: Path) -> None:
    machine, places = kasan(
        (TRACKED, STACKS, 16 * MIB),
        (TRACKED, SHADOW, 2 * MIB),
        (TRACKED, SHADOW + 30 * MIB, 2 * MIB),  # the last block
        (TRACKED, SHADOW + 32 * MIB, 2 * MIB),  # the next one is another's
        (TRACKED, SHADOW + 2 * MIB, 4096),  # a page that begins where a block does
        (TRACKED, STACKS + 16 * MIB, 16 * MIB),
        (TRACKED << 32 | 7, SHADOW + 4 * MIB, 2 * MIB),  # a lock of half a word before the flags
    )
    assert leaks.hastened(vm(machine), kernel(tmp_path), {"leak_ms": 5500}) == {"leak_ms": 150}
    skipped = TRACKED | 4
    flags = [skipped, skipped, skipped, TRACKED, TRACKED, TRACKED, skipped << 32 | 7]
    assert [machine.memory[place] for place in places] == flags
    assert machine.memory[ADDRESS] == 10


@pytest.mark.parametrize("flags", [0x10, 0x01, 0x15, 0x51, 0x100000011])
def test_an_object_with_other_flags_is_left_alone(tmp_path: Path, flags: int) -> None:
    machine, (place, _) = kasan((flags, STACKS, 16 * MIB), (TRACKED, 0x1000, 4096))
    assert leaks.hastened(vm(machine), kernel(tmp_path), {"leak_ms": 5500}) == {"leak_ms": 150}
    assert machine.memory[place] == flags


@pytest.mark.parametrize("successor", [0, ADDRESS])  # nothing is there, or something else
def test_what_is_in_no_list_is_no_object(tmp_path: Path, successor: int) -> None:
    machine, (place, _) = kasan((TRACKED, STACKS, 16 * MIB), (TRACKED, 0x1000, 4096))
    machine.memory[place + 8] = successor
    assert leaks.hastened(vm(machine), kernel(tmp_path), {"leak_ms": 5500}) == {"leak_ms": 150}
    assert machine.memory[place] == TRACKED


def test_without_kasan_nothing_is_left_out(tmp_path: Path) -> None:
    machine, (place, _) = kasan((TRACKED, STACKS, 16 * MIB), (TRACKED, 0x1000, 4096))
    assert leaks.hastened(vm(machine), kernel(tmp_path, shadow=False), {"leak_ms": 5500}) == {"leak_ms": 150}
    assert machine.memory[place] == TRACKED and "memsave" not in machine.said


@pytest.mark.parametrize(("option", "wanted"), [("CONFIG_LOCKDEP=y\n", 0), ("", 1)])
def test_lockdep_is_switched_off_where_it_is(tmp_path: Path, option: str, wanted: int) -> None:
    neighbour = 7 << 32
    machine = Machine({LOCKDEP: neighbour | 1})
    found = kernel(tmp_path)
    with found.config.open("a") as config:
        config.write(option)
    leaks.lockdep_off(vm(machine), found)
    assert machine.memory[LOCKDEP] == neighbour | wanted
    assert bool(machine.said) == (not wanted)


def test_a_lockdep_that_cannot_be_switched_off_stays_on(tmp_path: Path) -> None:
    machine = Machine()
    found = kernel(tmp_path)
    found.config.write_text("#\nCONFIG_LOCKDEP=y\n")
    leaks.lockdep_off(vm(machine), found)
    assert machine.said == ["gdbserver unix", "gdbserver none", "cont"]


def kernel(folder: Path, *, write: bool = True, shadow: bool = True) -> Kernel:
    if write:
        variables = ((ADDRESS, "jiffies_min_age"), (TABLE, "stack_table"), (POOL, "mem_pool"), (END, "debug_locks"))
        lines = "".join(f"{address:x} b {name}\n" for address, name in variables)
        (folder / "System.map").write_text(f"ffffffff81000000 T _text\n{lines}")
        options = f"CONFIG_KASAN_SHADOW_OFFSET={SHADOW_OFFSET:#x}\n" * shadow
        (folder / "config").write_text(f"CONFIG_HZ_100=y\nCONFIG_HZ=100\n{options}")
    return Kernel("k", folder, folder / "vmlinux", folder / "System.map", folder / "config", "7.3.4", 0.0)
