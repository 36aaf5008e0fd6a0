"""Which address space a transaction gets, and what the SMMU records of one that gets none."""

from __future__ import annotations

import pytest

from tests.vm.smmuv3 import regs
from tests.vm.smmuv3.bench import Wiring
from tests.vm.smmuv3.board import CDTAB, Ste
from tests.vm.smmuv3.lab import CD_SIZE, HOLE, PAGE, SIDS, Lab, OpenLab, content, page
from tests.vm.smmuv3.regs import Ev

_LEAF_TABLE = CDTAB + 0x1_0000  # second level of context descriptors


def _refused(it: Lab, address: int, ssid: int | None, kind: Ev) -> None:
    """A read fails and leaves this record."""
    assert it.masters[0].read(address, ssid) is None
    event = it.board.event()
    assert event.type == kind
    # 7.3.7: F_STREAM_DISABLED has no SubstreamID
    assert event.ssid == (0 if kind is Ev.F_STREAM_DISABLED else ssid or 0)
    assert event.sid == SIDS[0] and not event.stall


def test_each_ssid_has_its_address_space(lab: OpenLab) -> None:
    with lab() as it:
        found = [it.masters[0].read(PAGE, ssid) for ssid in (None, 1, 2)]
        assert found == [content(0), content(1), content(2)]
        assert not it.board.events() and not it.bench.refusals()


def test_a_translation_fault_tells_ssid_address_and_direction(lab: OpenLab) -> None:
    with lab() as it:
        assert not it.masters[0].goes(HOLE, 1, write=True)
        event = it.board.event()
        assert (event.type, event.sid, event.ssv, event.ssid) == (Ev.F_TRANSLATION, SIDS[0], True, 1)
        assert (event.address, event.read, event.fault_class) == (HOLE, False, regs.CLASS_IN)
        assert not (event.stall or event.privileged or event.instruction)
        assert not it.masters[0].goes(HOLE)
        event = it.board.event()
        assert (event.type, event.ssv, event.ssid, event.read) == (Ev.F_TRANSLATION, False, 0, True)
        assert len(it.bench.refusals()) == 2


def test_an_invalid_descriptor_is_bad(lab: OpenLab) -> None:
    with lab() as it:
        _refused(it, PAGE, 3, Ev.C_BAD_CD)


def test_an_ssid_above_the_table_is_bad(lab: OpenLab) -> None:
    with lab() as it:
        _refused(it, PAGE, 1 << Ste().cdmax, Ev.C_BAD_SUBSTREAMID)


def test_an_invalid_stream_table_entry_is_bad(lab: OpenLab) -> None:
    with lab() as it:
        assert it.masters[2].read(PAGE, 0) is None
        event = it.board.event()
        assert (event.type, event.sid, event.ssv, event.ssid) == (Ev.C_BAD_STE, SIDS[2], True, 0)


# --- STE.S1DSS: 5.2 -----------------------------------------------------------
def test_s1dss_ssid0_reserves_ssid_0(lab: OpenLab) -> None:
    with lab() as it:
        _refused(it, PAGE, 0, Ev.F_STREAM_DISABLED)


@pytest.mark.parametrize("dss", [regs.S1DSS_TERMINATE, regs.S1DSS_RESERVED])
def test_s1dss_terminates_what_has_no_ssid(lab: OpenLab, dss: int) -> None:
    with lab(entry=Ste(dss=dss)) as it:
        _refused(it, PAGE, None, Ev.F_STREAM_DISABLED)
        assert it.masters[0].read(PAGE, 0) == content(0)


def test_s1dss_bypass_is_for_what_has_no_ssid(lab: OpenLab) -> None:
    with lab(entry=Ste(dss=regs.S1DSS_BYPASS)) as it:
        assert it.masters[0].read(page(1)) == content(1)
        assert it.masters[0].read(PAGE, 2) == content(2)


# --- STE.Config and S1CDMax: 5.2 ------------------------------------------------
def test_a_bypassed_stream_takes_no_ssid(lab: OpenLab) -> None:
    with lab(entry=Ste(config=regs.CONFIG_BYPASS)) as it:
        assert it.masters[0].read(page(1)) == content(1)
        _refused(it, page(1), 1, Ev.C_BAD_SUBSTREAMID)


def test_an_aborted_stream_leaves_no_record(lab: OpenLab) -> None:
    with lab(entry=Ste(config=regs.CONFIG_ABORT)) as it:
        assert it.masters[0].read(page(0)) is None and it.masters[0].read(PAGE, 1) is None
        assert not it.board.events()


def test_a_stream_of_one_descriptor_takes_no_ssid(lab: OpenLab) -> None:
    with lab(entry=Ste(cdmax=0)) as it:
        assert it.masters[0].read(PAGE) == content(0)
        _refused(it, PAGE, 0, Ev.C_BAD_SUBSTREAMID)
        _refused(it, PAGE, 1, Ev.C_BAD_SUBSTREAMID)


@pytest.mark.parametrize("bits", [0, 4, 16])
def test_ssidsize_is_announced(lab: OpenLab, bits: int) -> None:
    with lab(Wiring(ssidsize=bits)) as it:
        assert it.board.register(regs.IDR1) >> regs.IDR1_SSIDSIZE_SHIFT & regs.IDR1_SSIDSIZE_MASK == bits
        assert bool(it.board.register(regs.IDR0) & regs.IDR0_CD2L) == (bits > 0)


def test_a_table_wider_than_ssidsize_is_a_bad_entry(lab: OpenLab) -> None:
    with lab(Wiring(ssidsize=4), entry=Ste(cdmax=4)) as it:
        assert it.masters[0].read(PAGE, 1) == content(1)
        it.board.replace(SIDS[0], Ste(cdmax=5))
        _refused(it, PAGE, 1, Ev.C_BAD_STE)


def test_without_ssidsize_no_ssid_is_taken(lab: OpenLab) -> None:
    with lab(Wiring(ssidsize=0), entry=Ste(cdmax=0)) as it:
        assert it.masters[0].read(PAGE) == content(0)
        _refused(it, PAGE, 1, Ev.C_BAD_SUBSTREAMID)


# --- tables of two levels: 5.3 -------------------------------------------------
@pytest.mark.parametrize(("fmt", "bits"), [(regs.S1FMT_4K, 6), (regs.S1FMT_64K, 10)])
def test_a_table_of_two_levels_splits_the_ssid(lab: OpenLab, fmt: int, bits: int) -> None:
    with lab() as it:
        for entry, value in ((0, 0), (2, _LEAF_TABLE | regs.L1CD_V), (3, 0)):
            it.bench.write64(CDTAB + 8 * entry, value)
        ssid = (2 << bits) + 5
        it.board.cd(_LEAF_TABLE + CD_SIZE * 5, 7, it.spaces[1].root)
        it.board.replace(SIDS[0], Ste(fmt=fmt, cdmax=14))
        assert it.masters[0].read(PAGE, ssid) == content(1)
        _refused(it, PAGE, ssid + 1, Ev.C_BAD_CD)
        _refused(it, PAGE, (3 << bits) + 5, Ev.C_BAD_SUBSTREAMID)
        _refused(it, PAGE, None, Ev.C_BAD_SUBSTREAMID)


def test_a_second_level_beyond_the_address_size_is_bad(lab: OpenLab) -> None:
    with lab() as it:
        it.bench.write64(CDTAB + 8 * 3, 1 << 45 | regs.L1CD_V)  # IDR5.OAS: 44 bits
        it.board.replace(SIDS[0], Ste(fmt=regs.S1FMT_4K, cdmax=14))
        _refused(it, PAGE, 3 << 6, Ev.C_BAD_SUBSTREAMID)
