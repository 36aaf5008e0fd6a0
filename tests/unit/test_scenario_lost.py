"""Guests that hang, crash, or answer what nobody understands."""

from __future__ import annotations

import pytest

from harness.errors import InfraError
from harness.model import Status
from harness.scenario.link import GuestLost, GuestTimeout
from tests.unit.fake_guest import TAKE, FakeGuest, raising, run


def test_no_answer_is_a_hang_and_the_guest_is_left_alone(guest: FakeGuest) -> None:
    guest.script["take"] = raising(GuestTimeout("no answer within 10.0 s"))
    outcome = run(guest, f"- {TAKE}}}")
    assert outcome.status is Status.HANG
    assert outcome.reason == "step 1, alice: take device=left: no answer within 10.0 s"
    assert not outcome.steps[-1].ok
    assert guest.log[-1].startswith("alice:take")


def test_a_guest_that_goes_away_is_a_crash(guest: FakeGuest) -> None:
    guest.script["take"] = raising(GuestLost("kernel panic: oops"))
    outcome = run(guest, f"- {TAKE}}}")
    assert (outcome.status, outcome.reason) == (
        Status.CRASH,
        "step 1, alice: take device=left: kernel panic: oops",
    )


def test_a_scenario_without_end_is_a_hang(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: guest.clock.sleep(20) or {"ret": 0}  # type: ignore[func-returns-value]
    outcome = run(guest, f"{{limit: 30s, steps: [{{repeat: {{times: 9, steps: [{TAKE}}}]}}}}]}}")
    assert outcome.status is Status.HANG
    assert "the scenario takes longer than 30 s" in outcome.reason


def test_a_clean_up_that_fails_is_a_hang(guest: FakeGuest) -> None:
    guest.script["reset"] = lambda args, actor: {"ret": -110, "errno": "ETIMEDOUT"}
    outcome = run(guest, f"- {TAKE}, fails: EBUSY}}")
    assert outcome.status is Status.HANG
    assert "then the clean-up failed: step 1, reset: expected success, got ETIMEDOUT" in outcome.reason


def test_an_agent_that_does_not_understand_is_no_evidence(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: {"ret": -71, "errno": "EPROTO", "error": "unknown argument"}
    outcome = run(guest, f"- {TAKE}, fails: any}}")
    assert outcome.status is Status.ERROR
    assert "unknown argument" in outcome.reason


def test_a_measurement_that_fails_at_the_start_is_told_as_such(guest: FakeGuest) -> None:
    guest.script["count"] = lambda args, actor: {"ret": -5, "errno": "EIO"}
    outcome = run(guest, f"- {TAKE}}}")
    assert outcome.status is Status.FAIL
    assert outcome.reason.startswith("before the first step: step 1, count")
    assert not outcome.began


def test_a_reply_without_the_field_that_a_later_step_needs_fails_there(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: {"ret": 0}
    outcome = run(guest, f"- {TAKE}, save: t}}\n- {{do: give, actor: alice, device: left, ticket: $t.ticket}}")
    assert outcome.status is Status.FAIL
    assert outcome.reason == "step 2: the reply saved as 't' has no 'ticket'"


def test_a_fault_of_the_host_is_not_swallowed(guest: FakeGuest) -> None:
    guest.script["take"] = raising(InfraError("no space"))
    with pytest.raises(InfraError):
        run(guest, f"- {TAKE}}}")
