"""What is looked at beside the steps: resources, faults, the trace, the console."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from harness.model import Status
from harness.scenario.link import TraceEvent
from harness.scenario.run import measure, run_scenario
from tests.unit.fake_guest import SUITE, TAKE, FakeGuest, Reply, run, scenario


def test_a_leak_is_found_when_it_does_not_come_back_in_time(guest: FakeGuest) -> None:
    guest.script["count"] = lambda args, actor: {"ret": 0, "free": 4 if guest.log == ["count"] else 3}
    outcome = run(guest, f"- {TAKE}}}")
    assert outcome.status is Status.FAIL
    assert outcome.reason == "a ticket leaked: tickets that are free: expected = 4 (before: 4), got 3"
    assert outcome.steps[-1].index == "oracle tickets" and not outcome.steps[-1].ok
    assert 2.0 <= guest.clock.time < 4.0
    assert "sleep_ms ms=1" in guest.log


def test_two_leaks_share_the_wait(guest: FakeGuest) -> None:
    oracle = SUITE.spec.oracles["tickets"]
    spec = SUITE.spec.model_copy(update={"oracles": {"one": oracle, "two": oracle}})
    suite = dataclasses.replace(SUITE, spec=spec)
    guest.script["count"] = lambda args, actor: {"ret": 0, "free": 4 if guest.log == ["count"] * len(guest.log) else 3}
    outcome = run_scenario(scenario(f"- {TAKE}}}"), suite, guest, clock=guest.clock)
    assert [step.index for step in outcome.steps if not step.ok] == ["oracle one", "oracle two"]
    assert 2.0 <= guest.clock.time < 4.0
    assert guest.log.count("sleep_ms ms=1") == guest.log.count("count") // 2 - 2


def test_what_comes_back_late_is_no_leak(guest: FakeGuest) -> None:
    guest.script["count"] = lambda args, actor: {"ret": 0, "free": 3 if 1 < guest.log.count("count") < 4 else 4}
    assert run(guest, f"- {TAKE}}}").status is Status.PASS


def test_what_was_measured_before_a_guest_was_frozen_is_not_measured_again(guest: FakeGuest) -> None:
    measured = measure(SUITE, guest, clock=guest.clock)
    assert measured == {"tickets": 4} and guest.log.count("count") == 1
    for _ in range(3):
        outcome = run_scenario(scenario(f"- {TAKE}}}"), SUITE, guest, clock=guest.clock, measured=measured)
        assert outcome.status is Status.PASS
    assert guest.log.count("count") == 4


def test_a_leak_shows_against_what_was_measured_before(guest: FakeGuest) -> None:
    outcome = run_scenario(scenario(f"- {TAKE}}}"), SUITE, guest, clock=guest.clock, measured={"tickets": 5})
    assert outcome.status is Status.FAIL and "(before: 5)" in outcome.steps[-1].expected


def test_an_oracle_can_be_switched_off_with_a_reason(guest: FakeGuest) -> None:
    outcome = run(guest, "{without: {tickets: by design}, steps: [{do: take, actor: alice, device: left}]}")
    assert outcome.status is Status.PASS
    assert "count" not in guest.log


FAULT = TraceEvent("iommu_fault", {"sid": 0x28, "addr": 0x7000, "why": 0x59, "write": 1, "pasid": 5})


def test_a_fault_that_is_not_expected_fails(guest: FakeGuest) -> None:
    guest.events.append(FAULT)  # an earlier scenario's

    def take(args: Mapping[str, object], actor: str | None) -> Reply:
        guest.events.append(FAULT)
        return {"ret": 0}

    guest.script["take"] = take
    outcome = run(guest, f"- {TAKE}}}")
    assert outcome.status is Status.FAIL
    assert outcome.reason.endswith("first: device 00:05.0, write at 0x7000 with PASID 5, reason 0x59")
    assert len(outcome.faults) == 1
    outcome = run(guest, "{faults: expected, steps: [{do: take, actor: alice, device: left}]}")
    assert outcome.status is Status.PASS and len(outcome.faults) == 1


def test_trace_counts_events_since_a_mark(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: guest.events.append(FAULT) or {"ret": 0}  # type: ignore[func-returns-value]
    text = """
    faults: expected
    steps:
      - {do: take, actor: alice, device: left}
      - {mark: here}
      - {trace: {event: iommu_fault, since: here, count: 0}}
      - {do: take, actor: alice, device: left, save: t}
      - {trace: {event: iommu_fault, where: {why: 0x59, sid: {ge: 1}}, count: 2}, save: f}
      - {trace: {event: iommu_fault, where: {addr: $f.addr, why: {ne: $f.why}}, count: 0}}
      - {trace: {event: iommu_fault, since: here, count: 3}}
    """
    outcome = run(guest, text)
    assert outcome.status is Status.FAIL
    assert outcome.reason.startswith("step 7, trace iommu_fault: expected number of events = 3, got 1: sid=0x28")


def test_fault_steps_do_not_depend_on_the_iommu(guest: FakeGuest) -> None:
    event = TraceEvent("smmu_event", {"sid": 0x100, "type": 10, "ssv": 1, "ssid": 5, "addr": 0x7000, "write": 1})
    plain = TraceEvent("smmu_event", {"sid": 0x101, "type": 16, "ssv": 0, "ssid": 0, "addr": 0x8000, "write": 0})
    guest.script["take"] = lambda args, actor: guest.events.extend((event, plain)) or {"ret": 0}  # type: ignore[func-returns-value]
    text = """
    faults: expected
    steps:
      - {do: take, actor: alice, device: left}
      - {mark: here}
      - {fault: {where: {why: unbound, pasid: 5, address: 0x7000, write: 1, device: sid 0x100}, count: 1}}
      - {fault: {where: {pasid: {absent: true}, why: unmapped}}}
      - {fault: {since: here, count: 0}}
      - {fault: {where: {why: unbound, pasid: 6}}}
    """
    outcome = run(guest, text)
    assert outcome.status is Status.FAIL
    assert outcome.reason == ("step 6, fault, why = unbound, pasid = 6: expected number of events >= 1, got none")
    assert [(fault.device, fault.reason, fault.pasid) for fault in outcome.faults] == [
        ("sid 0x100", "0xa unbound", 5),
        ("sid 0x101", "0x10 unmapped", None),
    ]


def test_console_lines(guest: FakeGuest) -> None:
    def take(args: Mapping[str, object], actor: str | None) -> Reply:
        guest.console += "[ 1.0] all is well\n"
        return {"ret": 0}

    guest.console = "[ 0.5] BUG: long ago\n"
    guest.script["take"] = take
    good = "- {do: take, actor: alice, device: left}\n- {console: {present: well$}}\n- {console: {absent: BUG}}"
    assert run(guest, good).status is Status.PASS
    outcome = run(guest, good + "\n- {console: {absent: all}}")
    assert outcome.reason == "step 4, console /all/: expected no line, got [ 1.0] all is well"
    assert run(guest, good + "\n- {console: {present: ill}}").reason.endswith("expected a line, got none")
