"""The runner takes one step after the other, on a guest that is played."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model import Measured, Status
from harness.scenario.tuning import Tuning
from tests.unit.fake_guest import TAKE, FakeGuest, Reply, run, tuned


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
