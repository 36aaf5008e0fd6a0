"""Stalled transactions: held, answered, given up, and kept when there is no room for their record (3.12, 4.6)."""

from __future__ import annotations

from tests.vm.smmuv3 import regs
from tests.vm.smmuv3.bench import Wiring
from tests.vm.smmuv3.board import CDTAB, DATA, Ste
from tests.vm.smmuv3.events import Event
from tests.vm.smmuv3.lab import CD_SIZE, HOLE, PAGE, SIDS, Lab, OpenLab, asid, content, furnish
from tests.vm.smmuv3.regs import Cmd, Ev, Status

_OTHER_HOLE = 0x7000


def _stalled(it: Lab, address: int = HOLE, write: bool = False) -> Event:
    """The record of an access of the first master with SSID 1, which is held."""
    it.masters[0].start(address, 1, write)
    event = it.board.event()
    assert event.stall and it.masters[0].is_held()
    return event


def _retry(it: Lab, event: Event) -> None:
    assert it.board.resume(event.sid, event.stag) == regs.CERROR_NONE


def test_a_retry_finds_the_page(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        event = _stalled(it, write=True)
        assert (event.type, event.sid, event.ssv, event.ssid) == (Ev.F_TRANSLATION, SIDS[0], True, 1)
        assert (event.address, event.read) == (HOLE, False)
        it.spaces[1].map(HOLE, DATA + HOLE)
        _retry(it, event)
        assert it.masters[0].end() is Status.DONE
        assert not it.board.events() and not it.bench.refusals()


def test_an_answer_to_another_transaction_is_ignored(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        event = _stalled(it)
        for sid, stag in ((SIDS[1], event.stag), (SIDS[0], event.stag + 1)):
            assert it.board.resume(sid, stag, regs.RESUME_ABORT) == regs.CERROR_NONE
        assert it.masters[0].is_held()


def test_a_retry_in_vain_stalls_anew(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        it.spaces[1].map(HOLE, DATA, readonly=True)
        first = _stalled(it, write=True)
        assert first.type == Ev.F_PERMISSION
        _retry(it, first)
        second = it.board.event()
        assert second.stall and second.type == Ev.F_PERMISSION and second.stag != first.stag
        assert it.masters[0].is_held()


def test_an_abort_ends_the_transfer_and_is_no_refusal(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        event = _stalled(it)
        assert it.board.resume(event.sid, event.stag, regs.RESUME_ABORT) == regs.CERROR_NONE
        assert it.masters[0].end() is Status.FAILED
        assert not it.board.events() and not it.bench.refusals()


def test_stall_term_ends_the_stalls_of_one_stream(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        it.masters[0].start(HOLE, 1)
        it.masters[1].start(HOLE, 2)
        first, second = it.board.wait_events(2)
        assert {first.sid, second.sid} == set(SIDS[:2]) and first.stag != second.stag
        assert it.board.command(Cmd.STALL_TERM, 0, SIDS[1]) == regs.CERROR_NONE
        assert it.masters[1].end() is Status.FAILED
        assert it.masters[0].is_held()
        assert not it.bench.refusals()


def test_disabling_the_smmu_ends_every_stall(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        _stalled(it)
        it.board.disable()
        assert it.masters[0].end() is Status.FAILED
        assert not it.bench.refusals()


# --- a full queue: 7.2.1, 7.4 ---------------------------------------------------
def _fill(it: Lab, records: int) -> None:
    """Records of the third stream, whose entry is not valid."""
    for _ in range(records):
        assert not it.masters[2].goes(PAGE)


def _overflow(it: Lab) -> bool:
    return bool(it.board.register(regs.EVENTQ_PROD) & regs.QUEUE_OVERFLOW)


def test_a_lost_record_is_an_overflow_and_no_error(lab: OpenLab) -> None:
    with lab(events_log2=1) as it:
        _fill(it, 2)
        assert not _overflow(it)
        _fill(it, 1)
        assert _overflow(it) and not it.board.register(regs.GERROR)


def test_a_stall_is_recorded_when_there_is_room(lab: OpenLab) -> None:
    with lab(stall=True, events_log2=1) as it:
        _fill(it, 2)
        it.masters[0].start(HOLE, 1)
        assert it.masters[0].is_held()
        assert it.masters[1].read(PAGE, 2) == content(2), "others go on"
        assert [event.type for event in it.board.wait_events(2)] == [Ev.C_BAD_STE, Ev.C_BAD_STE]
        event = it.board.event()
        assert event.stall and (event.type, event.address) == (Ev.F_TRANSLATION, HOLE)
        it.spaces[1].map(HOLE, DATA)
        _retry(it, event)
        assert it.masters[0].end() is Status.DONE
        assert not _overflow(it), "a stall is never lost"


def test_a_stall_whose_page_came_meanwhile_needs_no_record(lab: OpenLab) -> None:
    with lab(stall=True, events_log2=1) as it:
        _fill(it, 2)
        it.masters[0].start(_OTHER_HOLE, 1)
        it.spaces[1].map(_OTHER_HOLE, DATA)
        assert it.masters[0].is_held()
        it.board.wait_events(2)
        assert it.masters[0].end() is Status.DONE
        assert not it.board.events()


# --- what may stall: 5.2, 5.4, 6.3.1 ----------------------------------------------
def test_stalls_are_announced(lab: OpenLab) -> None:
    for stall, model in ((True, regs.STALL_MODEL_BOTH), (False, regs.STALL_MODEL_TERMINATE)):
        with lab(Wiring(stall=stall)) as it:
            found = it.board.register(regs.IDR0) >> regs.IDR0_STALL_MODEL_SHIFT & regs.IDR0_STALL_MODEL_MASK
            assert found == model
            assert bool(it.board.register(regs.IDR5) >> regs.IDR5_STALL_MAX_SHIFT) is stall


def test_s1stalld_makes_a_stalling_descriptor_bad(lab: OpenLab) -> None:
    with lab(stall=True, entry=Ste(stalld=True)) as it:
        assert not it.masters[0].goes(PAGE, 1)
        assert it.board.event().type == Ev.C_BAD_CD


def test_a_master_that_cannot_stall_is_refused(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        it.board.replace(SIDS[2], Ste())
        assert not it.masters[2].goes(HOLE, 1, recover=True)
        event = it.board.event()
        assert event.type == Ev.F_TRANSLATION and not event.stall
        assert len(it.bench.refusals()) == 1


def test_without_stalls_the_descriptor_must_not_ask_for_them(lab: OpenLab) -> None:
    with lab(Wiring(stall=False), stall=True) as it:
        assert not it.masters[0].goes(PAGE, 1)
        assert it.board.event().type == Ev.C_BAD_CD


def test_without_stalls_s1stalld_is_a_bad_entry(lab: OpenLab) -> None:
    with lab(Wiring(stall=False), entry=Ste(stalld=True)) as it:
        assert not it.masters[0].goes(PAGE, 1)
        assert it.board.event().type == Ev.C_BAD_STE


def test_without_stalls_and_ats_their_commands_are_illegal(lab: OpenLab) -> None:
    with lab(Wiring(stall=False)) as it:
        assert it.board.resume(SIDS[0], 1) == regs.CERROR_ILL
        for number in (Cmd.STALL_TERM, Cmd.ATC_INV):
            assert it.board.command(number, 0, SIDS[0]) == regs.CERROR_ILL
        assert it.masters[0].read(PAGE, 1) == content(1)


def test_a_stall_is_recorded_even_without_cd_r(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        it.board.cd(CDTAB + CD_SIZE, asid(1), it.spaces[1].root, stall=True, record=False)
        it.board.cfgi_all()
        _stalled(it)


def test_without_cd_r_a_refusal_leaves_no_record(lab: OpenLab) -> None:
    with lab() as it:
        it.board.cd(CDTAB + CD_SIZE, asid(1), it.spaces[1].root, record=False)
        it.board.cfgi_all()
        assert not it.masters[0].goes(HOLE, 1) and not it.board.events()


# --- the machine's life ---------------------------------------------------------
def test_a_reset_forgets_the_stalls(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        _stalled(it)
        it.bench.reset()
        assert it.masters[0].register(regs.KPH_DMA_STATUS) == Status.IDLE
        it.board.start()
        spaces = furnish(it.board, stall=True)
        event = _stalled(it)
        spaces[1].map(HOLE, DATA)
        _retry(it, event)
        assert it.masters[0].end() is Status.DONE


def test_a_machine_is_saved_only_without_stalls(lab: OpenLab) -> None:
    with lab(stall=True) as it:
        event = _stalled(it)
        refused = it.bench.save()
        assert refused["status"] == "failed" and "stalled" in refused["error-desc"]
        it.spaces[1].map(HOLE, DATA)
        _retry(it, event)
        assert it.masters[0].end() is Status.DONE
        assert it.bench.save()["status"] == "completed"
