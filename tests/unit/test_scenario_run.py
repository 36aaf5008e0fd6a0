"""The runner on a guest that is played by a few lines of Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import InfraError
from harness.model import Measured, Outcome, Status
from harness.scenario import yamlfile
from harness.scenario.check import World, check_scenario
from harness.scenario.language import Plain
from harness.scenario.link import GuestLost, GuestTimeout, TraceEvent
from harness.scenario.load import load_suite, roles_of
from harness.scenario.run import measure, run_scenario
from harness.scenario.schema import Behaviour, Scenario, ScenarioFile, Suite
from harness.scenario.tuning import Tuning

DATA = Path(__file__).parents[1] / "data" / "scenario"
Reply = dict[str, Any]


@dataclass
class FakeClock:
    """Time that passes only when somebody waits."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakeGuest:
    """A guest with tickets. ``script`` overrides what an operation does."""

    clock: FakeClock
    script: dict[str, Callable[[Mapping[str, object], str | None], Reply]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=lambda: {"left.size": 4, "right.size": 2, "demo.fast": True})
    free: int = 4
    events: list[TraceEvent] = field(default_factory=list)
    console: str = ""
    rows: list[list[dict[str, Any]]] = field(default_factory=lambda: [[]])  # of the hardware, at each look
    looks: int = 0  # at the hardware
    log: list[str] = field(default_factory=list)  # what was asked, in words
    deadlines: list[float] = field(default_factory=list)
    begun: list[tuple[str, Mapping[str, object], str | None]] = field(default_factory=list)

    def call(
        self, op: str, args: Mapping[str, object] | None = None, actor: str | None = None, deadline: float = 10.0
    ) -> Reply:
        self.log.append(" ".join([f"{actor}:{op}" if actor else op, *(f"{k}={v}" for k, v in (args or {}).items())]))
        self.deadlines.append(deadline)
        if op in self.script:
            return self.script[op](args or {}, actor)
        if op == "take":
            self.free -= 1
            return {"ret": 0, "ticket": 4 - self.free, "place": 3}
        if op in ("give", "reset"):
            self.free = min(4, self.free + 1) if op == "give" else 4
        return {"ret": 0, "free": self.free} if op == "count" else {"ret": 0}

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        self.begun.append((op, args, actor))
        return len(self.begun) - 1

    def finish(self, token: int, deadline: float) -> Reply:
        return self.call(*self.begun[token], deadline)

    def mark(self) -> tuple[int, int]:
        return len(self.events), len(self.console)

    def trace(self, since: tuple[int, int]) -> Sequence[TraceEvent]:
        return self.events[since[0] :]

    def console_since(self, since: tuple[int, int]) -> str:
        return self.console[since[1] :]

    def hardware(self) -> Sequence[Mapping[str, Any]]:
        self.looks += 1
        return self.rows[min(self.looks, len(self.rows)) - 1]


SUITE = load_suite("demo", DATA)


def scenario(text: str, suite: Suite = SUITE) -> Scenario:
    """A scenario from its steps (a list), or from a whole file (a mapping); checked as a file is."""
    raw = yaml.safe_load(text)
    whole = {"summary": "x", "rules": ["R1"], **(raw if isinstance(raw, dict) else {"steps": raw})}
    whole.setdefault("actors", [name for name in ("alice", "bob") if f"actor: {name}" in text])
    read = yamlfile.parse(yaml.safe_dump(whole), "x")
    assert isinstance(read, yamlfile.Document)
    spec = ScenarioFile.model_validate(whole)
    assert not check_scenario(read, spec, World(suite.spec, suite.operations, suite.common, ("kasan", "leak")))
    return Scenario("x", Path("x.yaml"), spec, roles_of(spec.steps, suite.operations))


@pytest.fixture
def guest() -> FakeGuest:
    return FakeGuest(FakeClock())


def run(guest: FakeGuest, text: str, scale: float = 1.0, **behaviours: Plain) -> Outcome:
    return run_scenario(scenario(text), SUITE, guest, clock=guest.clock, scale=scale, behaviours=behaviours)


TAKE = "{do: take, actor: alice, device: left"


def test_a_pass_measures_runs_cleans_up_and_measures_again(guest: FakeGuest) -> None:
    text = f"- {TAKE}, save: t}}\n- {{do: give, actor: alice, device: left, ticket: $t.ticket}}"
    outcome = run(guest, text)
    assert (outcome.status, outcome.reason) == (Status.PASS, "")
    assert guest.log == ["count", "alice:take device=left", "alice:give device=left ticket=1", "reset", "count"]
    assert [(step.index, step.text, step.ok) for step in outcome.steps] == [
        ("1", "alice: take device=left", True),
        ("2", "alice: give device=left ticket=1", True),
    ]


def test_what_a_step_reports_is_told_whether_it_passes_or_not(guest: FakeGuest) -> None:
    text = f"- {TAKE}, report: first}}\n- {TAKE}, report: second, expect: {{place: 4}}}}\n- {TAKE}, report: third}}"
    outcome = run(guest, text)
    assert outcome.status is Status.FAIL
    assert outcome.measured == (
        Measured("first", (("ticket", 1), ("place", 3))),
        Measured("second", (("ticket", 2), ("place", 3))),
    )


def test_a_mismatch_ends_the_scenario_and_says_what_came(guest: FakeGuest) -> None:
    outcome = run(guest, f"- {TAKE}, expect: {{ticket: {{ge: 2}}}}}}\n- {TAKE}}}")
    assert outcome.status is Status.FAIL
    assert outcome.reason == (
        "step 1, alice: take device=left: expected success, ticket >= 2, got success, ticket = 1, place = 3"
    )
    assert (outcome.steps[0].expected, outcome.steps[0].got) == (
        "success, ticket >= 2",
        "success, ticket = 1, place = 3",
    )
    assert guest.log == ["count", "alice:take device=left", "reset", "count"]


def test_an_error_that_is_expected(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: {"ret": -16, "errno": "EBUSY"}
    assert run(guest, f"- {TAKE}, fails: EBUSY}}").status is Status.PASS
    assert run(guest, f"- {TAKE}, fails: [ENOSPC, EBUSY]}}").status is Status.PASS
    assert run(guest, f"- {TAKE}, fails: ENOSPC}}").reason.endswith("expected ENOSPC, got EBUSY")
    assert run(guest, f"- {TAKE}, may_fail: EBUSY}}").status is Status.PASS
    assert run(guest, f"- {TAKE}}}").status is Status.FAIL


def test_an_actor_that_dies(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: {"ret": -3, "errno": "ESRCH", "died": True, "signal": "SIGSEGV"}
    assert run(guest, f"- {TAKE}, died: SIGSEGV}}").status is Status.PASS
    assert run(guest, f"- {TAKE}}}").reason.endswith("expected success, got the actor ended by SIGSEGV")
    assert run(guest, f"- {TAKE}, fails: any}}").status is Status.FAIL


def test_poll_asks_again_until_it_holds(guest: FakeGuest) -> None:
    replies: Iterator[Reply] = iter(
        [{"ret": -28, "errno": "ENOSPC"}, {"ret": -28, "errno": "ENOSPC"}, {"ret": 0, "ticket": 1}]
    )
    guest.script["take"] = lambda args, actor: next(replies)
    assert run(guest, f"- {TAKE}, poll: 5s}}").status is Status.PASS
    assert guest.log.count("alice:take device=left") == 3


def test_poll_gives_up_at_its_deadline_times_the_scale(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: {"ret": -28, "errno": "ENOSPC"}
    assert run(guest, f"- {TAKE}, poll: 5s}}", scale=2.0).status is Status.FAIL
    assert 10.0 <= guest.clock.time < 11.0


def test_poll_does_not_ask_a_dead_actor(guest: FakeGuest) -> None:
    guest.script["take"] = lambda args, actor: {"ret": -3, "died": True, "signal": "SIGBUS"}
    run(guest, f"- {TAKE}, poll: 5s}}")
    assert guest.log.count("alice:take device=left") == 1


def test_deadlines_are_scaled(guest: FakeGuest) -> None:
    run(guest, f"- {TAKE}, deadline: 2s}}\n- {TAKE}}}", scale=3.0)
    assert guest.deadlines[1:3] == [6.0, 30.0]


def tuned(guest: FakeGuest, text: str, tuning: Tuning) -> Outcome:
    return run_scenario(scenario(text), SUITE, guest, clock=guest.clock, tuning=tuning)


def test_seed_and_stress_are_plain_values_and_stress_scales_what_uses_it(guest: FakeGuest) -> None:
    assert (
        tuned(guest, f"- {TAKE}, as: 'n${{seed}}', times: $stress * 5, deadline: 2s}}", Tuning(7, 3)).status
        is Status.PASS
    )
    assert "alice:take device=left as=n7 times=15" in guest.log
    assert guest.deadlines[1] == 6.0
    guest.deadlines.clear()
    tuned(guest, f"- {TAKE}, as: 'n${{seed}}', deadline: 2s}}", Tuning(7, 3))
    assert guest.deadlines[1] == 2.0


def test_a_failure_tells_the_seed_where_it_had_a_part(guest: FakeGuest) -> None:
    wrong = "expect: {ticket: 99}}"
    assert tuned(guest, f"- {TAKE}, as: 'n${{seed}}', {wrong}", Tuning(7)).reason.endswith(" (seed 7)")
    assert "seed" not in tuned(guest, f"- {TAKE}, {wrong}", Tuning(7)).reason


def test_repeat_counts_and_keeps_only_what_matters(guest: FakeGuest) -> None:
    text = f"- repeat: {{times: 3, steps: [{TAKE}, as: 'n${{i}}', expect: {{ticket: {{le: 3}}}}}}]}}"
    outcome = run(guest, text)
    assert outcome.status is Status.PASS
    assert [line for line in guest.log if "take" in line] == [f"alice:take device=left as=n{i}" for i in range(3)]
    assert [(step.index, step.text) for step in outcome.steps] == [("1", "3 times 1 steps")]
    outcome = run(guest, text.replace("le: 3", "le: 2"))
    assert outcome.status is Status.FAIL
    assert [(step.index, step.ok) for step in outcome.steps] == [("1.3.1", False)]


def test_repeat_in_repeat_has_its_own_counter(guest: FakeGuest) -> None:
    inner = "{repeat: {times: 2, steps: [{do: take, actor: alice, device: left, tag: $i}]}}"
    run(guest, f"- repeat: {{times: $facts.right.size, steps: [{inner}, {TAKE}, as: 'o${{i}}'}}]}}")
    tags = [line.split("=")[-1] for line in guest.log if "take" in line]
    assert tags == ["0", "1", "o0", "0", "1", "o1"]


def test_start_goes_on_and_finish_collects(guest: FakeGuest) -> None:
    outcome = run(
        guest,
        """
        - {start: take, actor: alice, device: left, token: t}
        - {do: give, actor: bob, device: left, ticket: 9}
        - {finish: t, expect: {ticket: 1}}
        """,
    )
    assert outcome.status is Status.PASS
    assert guest.log[1:3] == ["bob:give device=left ticket=9", "alice:take device=left"]
    assert [step.text for step in outcome.steps][-1] == "alice: take device=left"


def test_parallel_begins_all_and_judges_each(guest: FakeGuest) -> None:
    guest.script["give"] = lambda args, actor: {"ret": -2, "errno": "ENOENT"}
    outcome = run(
        guest,
        """
        - parallel:
            - {do: give, actor: alice, device: left, ticket: 1}
            - {do: take, actor: bob, device: left}
        """,
    )
    assert outcome.status is Status.FAIL
    assert [(step.index, step.ok) for step in outcome.steps] == [("1.1", False), ("1.2", True)]


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


def raising(error: Exception) -> Callable[[Mapping[str, object], str | None], Reply]:
    def act(args: Mapping[str, object], actor: str | None) -> Reply:
        raise error

    return act


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
