"""Words of a guest's memory through a gdb server that this test plays."""

from __future__ import annotations

import pytest

from harness.machine import gdb
from tests.unit.fake_machine import Machine, vm

ADDRESS = 0xFFFFFFFF81234560


def test_words_are_read_and_written_and_the_guest_goes_on() -> None:
    machine = Machine({ADDRESS: 500})
    with gdb.words(vm(machine)) as words:
        assert words.read(ADDRESS) == 500
        words.write(ADDRESS, 2**63 + 1)
        assert words.read(ADDRESS) == 2**63 + 1
    assert machine.packets[-1] == "D"
    assert machine.said == ["gdbserver unix", "gdbserver none", "cont"]


def test_what_is_not_mapped_is_refused_and_the_guest_goes_on() -> None:
    machine = Machine()
    with pytest.raises(gdb.Refused, match="nothing can be read at 0x10"), gdb.words(vm(machine)) as words:
        words.read(16)
    assert machine.said == ["gdbserver unix", "gdbserver none", "cont"]
    with pytest.raises(gdb.Refused, match="nothing can be written"), gdb.words(vm(Machine(answer="E22"))) as words:
        words.write(16, 1)
