"""What depends on a behaviour, a fact, a flavour or a capability of the guest."""

from __future__ import annotations

import pytest

from harness.model import Status
from harness.scenario.schema import Behaviour
from tests.unit.fake_guest import TAKE, FakeGuest, Reply, run


def test_our_choice_is_advice_and_the_scenario_goes_on(guest: FakeGuest) -> None:
    outcome = run(guest, f"- {TAKE}, expect: {{ticket: 7}}, our_choice: seven would be nice}}\n- {TAKE}}}")
    assert outcome.status is Status.PASS
    assert outcome.advice[0].startswith(
        "seven would be nice (step 1, alice: take device=left: expected success, ticket"
    )
    assert outcome.steps[0].expected and outcome.steps[0].ok
    assert len(outcome.steps) == 2


def test_a_scenario_that_is_our_choice_passes_with_advice(guest: FakeGuest) -> None:
    text = "{our_choice: we like seven, steps: [{do: take, actor: alice, device: left, expect: {ticket: 7}}]}"
    outcome = run(guest, text)
    assert (outcome.status, outcome.reason) == (Status.PASS, "")
    assert outcome.advice[0].startswith("we like seven: step 1")


def test_steps_for_another_behaviour_are_left_out(guest: FakeGuest) -> None:
    text = f"- {TAKE}, when: {{strict: false}}, fails: EBUSY}}\n- {TAKE}, when: {{strict: true}}}}"
    assert run(guest, text).status is Status.PASS
    assert run(guest, text, strict=False).status is Status.FAIL


@pytest.mark.parametrize(
    ("size", "flavour", "chosen", "status"),
    [
        (1, "base", {}, Status.PASS),
        (2, "kasan", {}, Status.PASS),
        (1, "kasan", {}, Status.SKIP),
        (1, "kasan", {"kind": True}, Status.PASS),
        (2, "kasan", {"kind": False}, Status.SKIP),
    ],
)
def test_what_is_expected_may_depend_on_the_guest(
    guest: FakeGuest, size: int, flavour: str, chosen: dict[str, bool], status: Status
) -> None:
    guest.facts = {"left.size": size, "flavour": flavour}
    outcome = run(guest, f"{{when: {{kind: true}}, steps: [{TAKE}}}]}}", **chosen)
    assert outcome.status is status
    assert (status is Status.PASS) or outcome.reason == "for series with kind=true; this one is run with false"


def test_only_true_and_false_have_an_opposite() -> None:
    with pytest.raises(ValueError, match="true or false"):
        Behaviour.model_validate({"about": "x", "default": 1, "opposite_where": [{"fact": "left.size"}]})


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"right.size": 2}, "no counter is fast"),
        ({"demo.fast": False, "right.size": 2}, "no counter is fast"),
        ({"demo.fast": True}, "no right counter"),
    ],
)
def test_a_condition_may_have_a_reason_of_its_own(guest: FakeGuest, facts: Reply, reason: str) -> None:
    guest.facts = facts
    outcome = run(guest, "- {do: take, actor: alice, device: right}")
    assert (outcome.status, outcome.reason) == (Status.SKIP, reason)


@pytest.mark.parametrize(
    ("head", "facts", "reason"),
    [
        ("requires: [fast]", {"demo.fast": False}, "the tree is slow"),
        ("requires: [fast]", {}, "the tree is slow"),
        ("requires: []", {"left.size": 0}, "no left counter"),
        ("when: {level: 2}", {}, "for series with level=2; this one is run with 1"),
        ("flavours: [kasan]", {}, "for kernels of flavour kasan; this one is base"),
        ("flavours: [kasan, leak]", {"flavour": "kasan"}, "for kernels of flavour leak; this one is kasan"),
    ],
)
def test_skip_says_what_is_missing(guest: FakeGuest, head: str, facts: Reply, reason: str) -> None:
    guest.facts = {"left.size": 4, **facts}
    outcome = run(guest, f"{{{head}, steps: [{{do: take, actor: alice, device: left}}]}}")
    assert (outcome.status, outcome.reason) == (Status.SKIP, reason)
    assert guest.log == []


def test_a_kernel_of_more_flavours_than_asked_for_will_do(guest: FakeGuest) -> None:
    guest.facts = {**guest.facts, "flavour": "lockdep+kasan"}
    assert run(guest, f"{{flavours: [kasan], steps: [{TAKE}}}]}}").status is Status.PASS


def test_steps_for_trees_with_and_without_a_capability(guest: FakeGuest) -> None:
    text = f"- {TAKE}, if: fast}}\n- {{do: count, unless: [fast]}}"
    assert run(guest, text).status is Status.PASS
    assert guest.log == ["count", "alice:take device=left", "reset", "count"]
    guest.facts = {**guest.facts, "demo.fast": False}
    guest.log.clear()
    assert run(guest, text).status is Status.PASS
    assert guest.log == ["count", "count", "reset", "count"]


def test_a_failure_that_a_capability_would_mend_says_what_is_lacking(guest: FakeGuest) -> None:
    text = f"{{motivates: fast, steps: [{TAKE}, fails: EBUSY}}]}}"
    outcome = run(guest, text)
    assert (outcome.status, outcome.lacking) == (Status.FAIL, "")
    guest.facts = {**guest.facts, "demo.fast": False}
    outcome = run(guest, text)
    assert (outcome.status, outcome.lacking) == (Status.FAIL, "the tree is slow")
