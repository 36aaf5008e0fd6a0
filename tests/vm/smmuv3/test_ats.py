"""ATS: what a function's cache keeps, what ATC_INV drops, and how a request without answer ends (3.9, 4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.vm.smmuv3 import regs
from tests.vm.smmuv3.bench import Wiring
from tests.vm.smmuv3.board import Master, Ste
from tests.vm.smmuv3.lab import PAGE, Lab, OpenLab, content, page
from tests.vm.smmuv3.regs import Cmd, Ev

_SLOT = 4
_SID = _SLOT << 3  # requester id of bus 0, function 0
_CONFIG = regs.ECAM + (_SID << 12)
_ATS_CTRL, _ATS_ENABLE = 0x104, 1 << 31  # qemu/device/kph_dma_pci.c: ATS at 0x100, its control in the upper half
_PASID_CTRL, _PASID_ENABLE = 0x10C, 1 << 16  # PASID at 0x108
_WIRING = Wiring(ats=True, devices=(*Wiring().devices, f"kph-dma-pci,addr={_SLOT:#x},pasid-width=16,pri=off"))
_TRANSLATES = Ste(eats=regs.EATS_TRANS)


@dataclass(frozen=True)
class Ats:
    """A machine whose PCIe function has ATS and PASIDs enabled."""

    lab: Lab
    function: Master

    @property
    def cached(self) -> int:
        """Translations in the function's cache."""
        return self.function.register(regs.KPH_DMA_N_ATC)

    def invalidate(self, address_and_size: int, flags: int = 0, ssid: int = 0, sid: int = _SID) -> None:
        """Send ATC_INV."""
        first = flags | ssid << regs.CMD_SSID_SHIFT
        assert self.lab.board.command(Cmd.ATC_INV, first, sid, address_and_size) == regs.CERROR_NONE

    def fill(self) -> None:
        """Have the function keep PAGE of SSIDs none, 1 and 2."""
        assert [self.function.read(PAGE, ssid) for ssid in (None, 1, 2)] == [content(0), content(1), content(2)]
        assert self.cached == 3

    def kept(self) -> tuple[bool, bool, bool]:
        """Which of those it still has, when none is mapped any more."""
        for space in self.lab.spaces:
            space.unmap(PAGE)
        self.lab.board.tlbi_all()
        return self.function.goes(PAGE), self.function.goes(PAGE, 1), self.function.goes(PAGE, 2)


@pytest.fixture
def ats(lab: OpenLab) -> Iterator[Ats]:
    with lab(_WIRING) as it:
        it.bench.write32(_CONFIG + regs.PCI_BASE_ADDRESS_0, regs.PCIE_MMIO)
        it.bench.write32(_CONFIG + regs.PCI_COMMAND, regs.PCI_COMMAND_MEMORY | regs.PCI_COMMAND_MASTER)
        it.bench.write32(_CONFIG + _ATS_CTRL, _ATS_ENABLE)
        it.bench.write32(_CONFIG + _PASID_CTRL, _PASID_ENABLE)
        it.board.replace(_SID, _TRANSLATES)
        yield Ats(it, Master(it.bench, regs.PCIE_MMIO))


def test_ats_is_announced(ats: Ats) -> None:
    announced = regs.IDR0_ATS | regs.IDR0_NS1ATS
    assert ats.lab.board.register(regs.IDR0) & announced == announced


# --- ATC_INV: 4.5.1 -------------------------------------------------------------
def test_tlbi_leaves_the_functions_cache(ats: Ats) -> None:
    ats.fill()
    assert ats.kept() == (True, True, True)
    assert ats.function.register(regs.KPH_DMA_N_INVALIDATIONS) == 0


def test_atc_inv_drops_a_page_of_one_ssid(ats: Ats) -> None:
    ats.fill()
    ats.invalidate(PAGE, regs.ATC_INV_SSV, ssid=1)
    assert ats.kept() == (True, False, True)


@pytest.mark.parametrize(
    ("what", "ssid", "sid"),
    [(2 * PAGE, 1, _SID), (regs.ATC_INV_ALL, 3, _SID), (regs.ATC_INV_ALL, 1, _SID + 1)],
    ids=("page", "ssid", "function"),
)
def test_atc_inv_of_another_drops_nothing(ats: Ats, what: int, ssid: int, sid: int) -> None:
    ats.fill()
    ats.invalidate(what, regs.ATC_INV_SSV, ssid, sid)
    assert ats.kept() == (True, True, True)


def test_a_global_atc_inv_drops_every_ssid(ats: Ats) -> None:
    ats.fill()
    ats.invalidate(regs.ATC_INV_ALL, regs.ATC_INV_SSV | regs.ATC_INV_GLOBAL, ssid=1)
    assert ats.kept() == (True, False, False)


def test_an_atc_inv_of_everything_without_ssid_empties_the_cache(ats: Ats) -> None:
    ats.fill()
    ats.invalidate(regs.ATC_INV_ALL)
    assert ats.cached == 0 and ats.kept() == (False, False, False)


def test_atc_inv_covers_an_aligned_range(ats: Ats) -> None:
    assert ats.function.goes(PAGE)
    eight_pages = 3
    ats.invalidate(8 * PAGE | eight_pages)
    assert ats.cached == 1
    ats.invalidate(PAGE | eight_pages)  # from 0 on
    assert ats.cached == 0


# --- answers: 3.9.1 ----------------------------------------------------------------
def test_a_request_that_finds_no_page_is_answered_not_recorded(ats: Ats) -> None:
    ats.lab.spaces[1].unmap(PAGE)
    assert not ats.function.goes(PAGE, 1)
    assert not ats.lab.board.events() and not ats.lab.bench.refusals()


def test_a_readonly_page_is_answered_without_write(ats: Ats) -> None:
    ats.lab.spaces[1].map(PAGE, page(1), readonly=True)
    assert ats.function.goes(PAGE, 1)
    assert not ats.function.goes(PAGE, 1, write=True)
    assert not ats.lab.board.events()


def test_a_bad_descriptor_is_answered_not_recorded(ats: Ats) -> None:
    assert not ats.function.goes(PAGE, 3)
    assert not ats.lab.board.events()


@pytest.mark.parametrize(
    "entry",
    [
        Ste(eats=regs.EATS_ABORT),
        Ste(eats=regs.EATS_RESERVED),
        Ste(eats=regs.EATS_TRANS, config=regs.CONFIG_BYPASS),
    ],
    ids=("no-ats", "reserved", "bypass"),
)
def test_a_stream_without_ats_records_the_request(ats: Ats, entry: Ste) -> None:
    ats.lab.board.replace(_SID, entry)
    assert not ats.function.goes(PAGE)
    event = ats.lab.board.event()
    assert (event.type, event.sid, event.ssv, event.address) == (Ev.F_BAD_ATS_TREQ, _SID, False, PAGE)


def test_the_record_of_a_bad_request_has_its_ssid(ats: Ats) -> None:
    ats.lab.board.replace(_SID, Ste(eats=regs.EATS_ABORT))
    assert not ats.function.goes(PAGE, 1)
    event = ats.lab.board.event()
    assert (event.type, event.ssv, event.ssid) == (Ev.F_BAD_ATS_TREQ, True, 1)
    assert not ats.lab.bench.refusals()


@pytest.mark.parametrize(
    "entry",
    [Ste(eats=regs.EATS_TRANS, config=regs.CONFIG_ABORT), Ste(eats=regs.EATS_SPLIT)],
    ids=("abort", "illegal"),
)
def test_an_aborted_or_bad_stream_leaves_no_record(ats: Ats, entry: Ste) -> None:
    ats.lab.board.replace(_SID, entry)
    assert not ats.function.goes(PAGE)
    assert not ats.lab.board.events()


def test_a_request_that_skips_stage_1_gets_its_own_address(ats: Ats) -> None:
    ats.lab.board.replace(_SID, Ste(eats=regs.EATS_TRANS, dss=regs.S1DSS_BYPASS))
    assert ats.function.read(page(1)) == content(1)


def test_a_disabled_smmu_records_the_request(ats: Ats) -> None:
    ats.lab.board.disable()
    assert not ats.function.goes(PAGE, 1)
    assert ats.lab.board.event().type == Ev.F_BAD_ATS_TREQ
