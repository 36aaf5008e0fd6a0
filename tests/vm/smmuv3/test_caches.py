"""What the SMMU keeps of tables that have changed: an invalidation drops what it names and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.smmuv3 import regs
from tests.vm.smmuv3.board import CDTAB, DATA, Ste
from tests.vm.smmuv3.lab import CD_SIZE, PAGE, SIDS, SSIDS, Lab, OpenLab, asid, page

_SECOND = 0x2000  # another page of SSID 1


def _goes(it: Lab) -> tuple[bool, bool, bool, bool]:
    """Whether these go: SSIDs 0 (as none), 1 and 2 of the first stream, SSID 1 of the second."""
    first, second = it.masters[:2]
    return first.goes(PAGE), first.goes(PAGE, 1), first.goes(PAGE, 2), second.goes(PAGE, 1)


@pytest.fixture
def spoilt(lab: OpenLab) -> Iterator[Lab]:
    """All context descriptors have been read, and made invalid since."""
    with lab() as it:
        assert all(_goes(it))
        for ssid in SSIDS:
            it.board.cd(CDTAB + CD_SIZE * ssid, asid(ssid), it.spaces[ssid].root, valid=False)
        yield it


def test_tlbi_leaves_the_configuration(spoilt: Lab) -> None:
    spoilt.board.tlbi_all()
    assert _goes(spoilt) == (True, True, True, True)


def test_cfgi_cd_drops_one_descriptor_of_one_stream(spoilt: Lab) -> None:
    spoilt.board.cfgi_cd(SIDS[0], 1)
    assert _goes(spoilt) == (True, False, True, True)


def test_cfgi_cd_of_ssid_0_is_for_what_has_none(spoilt: Lab) -> None:
    spoilt.board.cfgi_cd(SIDS[0], 0)
    assert _goes(spoilt) == (False, True, True, True)


def test_cfgi_cd_all_drops_one_stream(spoilt: Lab) -> None:
    spoilt.board.cfgi_cd_all(SIDS[0])
    assert _goes(spoilt) == (False, False, False, True)


def test_cfgi_ste_drops_the_descriptors_of_its_stream(spoilt: Lab) -> None:
    spoilt.board.cfgi_ste(SIDS[1])
    assert _goes(spoilt) == (True, True, True, False)


def test_cfgi_ste_range_drops_its_streams(spoilt: Lab) -> None:
    spoilt.board.cfgi_range(SIDS[2], 0)  # 0x102 and 0x103
    assert _goes(spoilt) == (True, True, True, True)
    spoilt.board.cfgi_range(SIDS[0], 0)  # 0x100 and 0x101
    assert _goes(spoilt) == (False, False, False, False)


def test_cfgi_cd_does_not_read_the_stream_table_again(lab: OpenLab) -> None:
    with lab() as it:
        assert all(_goes(it))
        it.board.ste(SIDS[0], Ste(valid=False))
        it.board.cfgi_cd_all(SIDS[0])
        assert all(_goes(it))
        it.board.cfgi_ste(SIDS[0])
        assert _goes(it) == (False, False, False, True)


def test_a_failure_is_not_cached(lab: OpenLab) -> None:
    with lab() as it:
        it.board.replace(SIDS[0], Ste(valid=False))
        assert not it.masters[0].goes(PAGE, 1)
        it.board.ste(SIDS[0], Ste())
        assert it.masters[0].goes(PAGE, 1)


def test_a_bypass_by_s1dss_is_part_of_the_stream(lab: OpenLab) -> None:
    with lab(entry=Ste(dss=regs.S1DSS_BYPASS)) as it:
        assert it.masters[0].goes(page(0))
        it.board.ste(SIDS[0], Ste(config=regs.CONFIG_ABORT))
        it.board.cfgi_cd(SIDS[0], 0)
        it.board.cfgi_cd_all(SIDS[0])
        assert it.masters[0].goes(page(0))
        it.board.cfgi_ste(SIDS[0])
        assert not it.masters[0].goes(page(0))


# --- translations ---------------------------------------------------------------
@pytest.fixture
def unmapped(lab: OpenLab) -> Iterator[Lab]:
    """Two pages of SSID 1 and one of SSID 2 have been translated, and unmapped since."""
    with lab() as it:
        it.spaces[1].map(_SECOND, DATA)
        assert _pages(it) == (True, True, True)
        it.spaces[1].unmap(PAGE)
        it.spaces[1].unmap(_SECOND)
        it.spaces[2].unmap(PAGE)
        yield it


def _pages(it: Lab) -> tuple[bool, bool, bool]:
    master = it.masters[0]
    return master.goes(PAGE, 1), master.goes(_SECOND, 1), master.goes(PAGE, 2)


def test_cfgi_leaves_the_translations(unmapped: Lab) -> None:
    unmapped.board.cfgi_all()
    assert _pages(unmapped) == (True, True, True)


def test_tlbi_va_drops_one_page(unmapped: Lab) -> None:
    unmapped.board.tlbi_va(asid(1), PAGE)
    assert _pages(unmapped) == (False, True, True)


def test_tlbi_asid_drops_one_space(unmapped: Lab) -> None:
    unmapped.board.tlbi_asid(asid(1))
    assert _pages(unmapped) == (False, False, True)


def test_tlbi_all_drops_every_space(unmapped: Lab) -> None:
    unmapped.board.tlbi_all()
    assert _pages(unmapped) == (False, False, False)
