"""Steps and oracles that look at what the machine's hardware would use."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from harness.model import Outcome, Status
from harness.scenario import yamlfile
from harness.scenario.check import World, check_scenario
from harness.scenario.language import CompareStep
from harness.scenario.run import run_scenario
from harness.scenario.schema import Comparison, Naming, Oracle, ScenarioFile, Suite
from tests.unit.fake_guest import SUITE, TAKE, FakeGuest, run, scenario

ROW = {"kind": "entry", "place": 3, "ticket": 1}
TICKETS = Comparison(
    about="x",
    software="count",
    rows="told",
    hardware=({"kind": "entry"},),
    key=("place",),
    unexpected=(Naming(name="stale ticket"),),
    missing=(Naming(name="missing ticket"),),
)
ORACLE = Oracle(
    about="tickets in the machine",
    leak="the machine is wrong",
    steps=(
        CompareStep.model_validate(
            {"compare": {"what": "tickets", "differences": {"matches": ""}}, "poll": 0.0, "save": "t"}
        ),
    ),
    value="$t.differences",
    must="none",
    early=True,
    poll=1.0,
)


def _compared(**oracles: Oracle) -> Suite:
    spec = SUITE.spec.model_copy(update={"comparisons": {"tickets": TICKETS}, "oracles": oracles})
    return dataclasses.replace(SUITE, spec=spec)


def _told(guest: FakeGuest, text: str) -> None:
    guest.script["count"] = lambda args, actor: {"ret": 0, "free": 4, "told": text}


def run_compared(guest: FakeGuest, text: str, **oracles: Oracle) -> Outcome:
    suite = _compared(**oracles)
    return run_scenario(scenario(text, suite), suite, guest, clock=guest.clock)


def test_a_hardware_step_counts_rows_and_saves_the_last(guest: FakeGuest) -> None:
    guest.rows = [[ROW, {"kind": "other", "place": 9}]]
    outcome = run(
        guest,
        """
        - {do: take, actor: alice, device: left, save: t}
        - {hardware: {where: {kind: entry, place: $t.place}, count: 1}, save: row}
        - {do: take, actor: alice, device: left, expect: {place: $row.place}}
        """,
    )
    assert outcome.status is Status.PASS, outcome.reason


def test_a_hardware_step_looks_again_until_its_time_is_over(guest: FakeGuest) -> None:
    guest.rows = [[], [], [ROW]]
    assert run(guest, "- {hardware: {where: {kind: entry}}}").status is Status.PASS
    assert guest.looks == 3
    guest.rows, guest.looks = [[]], 0
    outcome = run(guest, "- {hardware: {where: {kind: entry}}, poll: 3s}")
    assert outcome.reason == "step 1, hardware, kind = entry: expected number of rows >= 1, got none"
    assert guest.clock.time >= 3.0


def test_a_compare_step_names_what_is_wrong(guest: FakeGuest) -> None:
    guest.rows = [[ROW]]
    _told(guest, "place=4")
    outcome = run_compared(guest, "- {compare: {what: tickets}}")
    assert outcome.reason == (
        "step 1, compare tickets: expected no difference, got missing ticket: place=4; "
        "stale ticket: place=3 kind=entry ticket=1"
    )


def test_a_compare_step_may_expect_a_difference(guest: FakeGuest) -> None:
    guest.rows = [[ROW]]
    text = '- {compare: {what: tickets, differences: {matches: "^stale ticket"}}}'
    assert run_compared(guest, text).status is Status.PASS
    _told(guest, "place=3")
    assert run_compared(guest, text).status is Status.FAIL


def test_an_operation_that_fails_is_a_difference(guest: FakeGuest) -> None:
    guest.script["count"] = lambda args, actor: {"ret": -12, "errno": "ENOMEM"}
    assert "got count says ENOMEM" in run_compared(guest, "- {compare: {what: tickets}}").reason


def test_an_early_oracle_looks_before_the_clean_up_and_after(guest: FakeGuest) -> None:
    assert run_compared(guest, f"- {TAKE}}}", tickets=ORACLE).status is Status.PASS
    assert guest.looks == 3  # and once before the scenario
    guest.rows, guest.looks = [[], [ROW], [ROW]], 0
    outcome = run_compared(guest, f"- {TAKE}}}", tickets=ORACLE)
    assert outcome.status is Status.FAIL and "got stale ticket: place=3" in outcome.reason
    assert guest.log[-1].startswith("count") and "reset" in guest.log


def test_an_early_oracle_leaves_the_reason_of_a_step(guest: FakeGuest) -> None:
    guest.rows = [[], [ROW]]
    outcome = run_compared(guest, f"- {TAKE}, expect: {{place: 99}}}}", tickets=ORACLE)
    assert outcome.reason.startswith("step 1, ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- {compare: {what: tikets}}", "there is no comparison 'tikets'; did you mean tickets?"),
        ("- {hardware: {where: {kind: {lt: 3, foo: 1}}}}", "there is no matcher 'foo'"),
        ("- {hardware: {count: $x.y}}", "there is no saved reply 'x'"),
    ],
)
def test_names_in_hardware_steps_are_checked(text: str, complaint: str) -> None:
    suite = _compared()
    raw = {"summary": "x", "rules": ["R1"], "steps": yaml.safe_load(text)}
    read = yamlfile.parse(yaml.safe_dump(raw), "x")
    assert isinstance(read, yamlfile.Document)
    world = World(suite.spec, suite.operations, suite.common, ())
    assert complaint in str(check_scenario(read, ScenarioFile.model_validate(raw), world)[0])
