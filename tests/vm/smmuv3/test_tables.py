"""``x-query-iommu-tables``: what the tables say, and what is kept and no longer backed by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.vm.smmuv3 import regs
from tests.vm.smmuv3.bench import Wiring
from tests.vm.smmuv3.board import CDTAB, STRTAB, Ste
from tests.vm.smmuv3.lab import CD_SIZE, HOLE, PAGE, SIDS, SSIDS, Lab, OpenLab, asid, page

_ROWS = 16384  # that one answer has at most


@pytest.fixture
def it(lab: OpenLab) -> Iterator[Lab]:
    with lab() as opened:
        yield opened


def _rows(it: Lab, kind: str, everything: bool = False) -> list[dict[str, Any]]:
    return [row for row in it.bench.tables(everything)["rows"] if row["kind"] == kind]


def _used(it: Lab) -> None:
    """SSID 1 of the first stream is in every cache."""
    assert it.masters[0].goes(PAGE, 1, write=True)
    assert not it.bench.tables()["truncated"] and len(_rows(it, "translation", everything=True)) == 1
    assert not [row for row in it.bench.tables()["rows"] if row["kind"] != "entry"]


def test_every_valid_descriptor_has_a_row(it: Lab) -> None:
    wanted = [
        {
            "kind": "entry",
            "requester": sid,
            "pasid": ssid,
            "present": True,
            "type": "first-stage",
            "root": it.spaces[ssid].root,
            "domain": asid(ssid),
            "silent": False,
        }
        for sid in SIDS[:2]
        for ssid in SSIDS
    ]
    assert it.bench.tables() == {"rows": wanted, "kept": 0, "truncated": False}


def test_a_descriptor_that_is_not_valid_has_none(it: Lab) -> None:
    it.board.cd(CDTAB + CD_SIZE, asid(1), it.spaces[1].root, valid=False)
    assert [row["pasid"] for row in _rows(it, "entry")] == [0, 2, 0, 2]


def test_a_descriptor_without_table_blocks_and_may_be_silent(it: Lab) -> None:
    at = CDTAB + CD_SIZE
    it.board.cd(at, asid(1), 0, record=False)
    it.bench.write32(at, it.bench.read32(at) | 1 << 14)  # EPD0
    row = _rows(it, "entry")[1]
    assert (row["type"], row["silent"], "root" in row) == ("blocked", True, False)
    assert not it.masters[0].goes(PAGE, 1)


def test_a_descriptor_that_the_smmu_refuses_is_invalid(it: Lab) -> None:
    it.bench.write32(CDTAB + CD_SIZE + 4, it.bench.read32(CDTAB + CD_SIZE + 4) & ~regs.CD_AA64)
    assert _rows(it, "entry")[1]["type"] == "invalid"
    assert not it.masters[0].goes(PAGE, 1)


def test_a_disabled_smmu_uses_nothing(it: Lab) -> None:
    it.board.disable()
    assert it.bench.tables()["rows"] == []


def test_a_translation_that_is_unmapped_is_not_backed(it: Lab) -> None:
    _used(it)
    it.spaces[1].unmap(PAGE)
    (row,) = _rows(it, "translation")
    assert (row["domain"], row["pasid"], row["first"], row["target"]) == (asid(1), 1, PAGE, page(1))
    assert row["backed"] is False
    it.board.tlbi_va(asid(1), PAGE)
    assert not _rows(it, "translation")


def test_a_translation_to_another_page_is_not_backed(it: Lab) -> None:
    _used(it)
    it.spaces[1].map(PAGE, page(2))
    assert len(_rows(it, "translation")) == 1


def test_a_translation_that_may_write_what_is_read_only_is_not_backed(it: Lab) -> None:
    _used(it)
    it.spaces[1].map(PAGE, page(1), readonly=True)
    assert len(_rows(it, "translation")) == 1


def test_a_translation_that_may_less_than_the_table_is_backed(it: Lab) -> None:
    it.spaces[1].map(PAGE, page(1), readonly=True)
    assert it.masters[0].goes(PAGE, 1)
    it.spaces[1].map(PAGE, page(1))
    assert not _rows(it, "translation") and it.bench.tables()["kept"] > 0


def test_a_translation_of_an_asid_that_no_descriptor_has_is_not_backed(it: Lab) -> None:
    _used(it)
    it.board.cd(CDTAB + CD_SIZE, asid(1) + 100, it.spaces[1].root)
    (row,) = _rows(it, "translation")
    assert "pasid" not in row and row["domain"] == asid(1)


def test_a_configuration_that_changed_is_not_backed(it: Lab) -> None:
    _used(it)
    it.board.cd(CDTAB + CD_SIZE, asid(1), it.spaces[2].root)
    (row,) = _rows(it, "cached-entry")
    assert (row["requester"], row["pasid"], row["root"]) == (SIDS[0], 1, it.spaces[1].root)
    it.board.cfgi_cd(SIDS[0], 1)
    assert not _rows(it, "cached-entry")


def test_a_stream_table_entry_that_changed_is_not_backed(it: Lab) -> None:
    _used(it)
    it.board.ste(SIDS[0], Ste(cdmax=3))
    (row,) = _rows(it, "cached-entry")
    assert row["requester"] == SIDS[0] and "pasid" not in row
    it.board.cfgi_ste(SIDS[0])
    assert not _rows(it, "cached-entry")


def test_a_look_changes_nothing(it: Lab) -> None:
    _used(it)
    it.board.cd(CDTAB + CD_SIZE, asid(1), it.spaces[1].root, valid=False)
    before = it.bench.tables(everything=True)
    assert it.bench.tables(everything=True) == before
    assert it.masters[0].goes(PAGE, 1)  # from what was kept before the looks
    assert not it.masters[0].goes(HOLE, 1)


def test_garbage_is_bounded(lab: OpenLab) -> None:
    with lab(Wiring(ssidsize=16)) as it:
        # Every stream has the same table of context descriptors, of 4 MiB.
        for sid in range(512):
            it.board.ste(sid, Ste(cdmax=16))
        for ssid in range(256):
            it.board.cd(CDTAB + CD_SIZE * ssid, ssid, STRTAB)
        found = it.bench.tables()
        assert found["truncated"] and len(found["rows"]) == _ROWS
        assert it.bench.tables() == found


def test_tables_in_registers_are_not_read(it: Lab) -> None:
    it.bench.write64(regs.SMMU + regs.STRTAB_BASE, regs.SMMU)
    assert it.bench.tables() == {"rows": [], "kept": 0, "truncated": False}
