"""The sva suite as data: every rule has its scenarios, and each scenario asks for what it needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from harness.scenario.language import DoStep, FaultStep, ParallelStep, RepeatStep, StartStep, Step, TraceStep
from harness.scenario.load import coverage, load_suite
from harness.scenario.schema import Scenario

SUITE = load_suite("sva")
EVERY = pytest.mark.parametrize("scenario", SUITE.scenarios, ids=lambda each: each.id)


def steps_of(scenario: Scenario) -> Iterator[Step]:
    def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
        for step in steps:
            yield step
            if isinstance(step, RepeatStep):
                yield from walk(step.repeat.steps)
            elif isinstance(step, ParallelStep):
                yield from walk(step.parallel)

    return walk(scenario.spec.steps)


def operations_of(scenario: Scenario) -> set[str]:
    return {
        step.do if isinstance(step, DoStep) else step.start
        for step in steps_of(scenario)
        if isinstance(step, DoStep | StartStep)
    }


def test_every_rule_of_the_contract_has_a_scenario() -> None:
    assert set(SUITE.spec.rules) == {*(f"G{n}" for n in range(1, 13)), *(f"P{n}" for n in range(1, 17))}
    table = coverage(SUITE)
    print("\n".join(f"{rule:4} {', '.join(ids)}" for rule, ids in table.items()))
    assert [rule for rule, ids in table.items() if not ids] == []


def test_rules_of_the_base_tree_are_shown_without_own_pasids() -> None:
    on_base = Counter(
        rule for each in SUITE.scenarios if "own_pasid" not in each.spec.requires for rule in each.spec.rules
    )
    assert [f"G{n}" for n in range(1, 13) if not on_base[f"G{n}"]] == []


def test_rules_of_the_series_are_shown_on_the_default_behaviours() -> None:
    default = {name: each.default for name, each in SUITE.spec.behaviours.items()}
    shown = {
        rule
        for each in SUITE.scenarios
        if all(default[name] == value for name, value in each.spec.when.items())
        for rule in each.spec.rules
    }
    assert set(SUITE.spec.rules) - shown == set()


@EVERY
def test_a_scenario_asks_for_what_it_uses(scenario: Scenario) -> None:
    needs, used = set(scenario.spec.requires), operations_of(scenario)
    pasid_by_driver = any(
        isinstance(step, DoStep | StartStep)
        and (step.do if isinstance(step, DoStep) else step.start) in ("churn", "churn_bind", "sweep", "race", "storm")
        and {"pasid", "other_pasid"} & set(step.args)
        for step in steps_of(scenario)
    )
    # What it asks for at a step it does without elsewhere.
    needs |= {name for step in steps_of(scenario) for name in step.if_}
    assert ("bind_own" in used or pasid_by_driver) == ("own_pasid" in needs)
    assert ("gp" in used) == ("enqcmd" in needs)
    assert ("sweep" in used) == ("failing_allocations" in needs)
    assert ("hold_mm" not in used) or "page_faults" in needs


@EVERY
def test_a_scenario_for_a_rule_of_the_series_needs_the_series(scenario: Scenario) -> None:
    # P13 and P14 say also what stays as it was, P16 holds for the old errors, too.
    own = {rule for rule in scenario.spec.rules if rule.startswith("P")} - {"P13", "P14", "P16"}
    assert not own or "own_pasid" in (*scenario.spec.requires, scenario.spec.motivates)


@EVERY
def test_the_id_says_what_it_is_about(scenario: Scenario) -> None:
    assert re.fullmatch(
        r"(global|own|motive|data|life|enqcmd|stress|race|sweep|tables|config|next)(-[a-z0-9]+)+", scenario.id
    )
    assert not scenario.id.startswith("own-") or "own_pasid" in scenario.spec.requires
    assert 20 <= len(scenario.summary) <= 120 and not scenario.summary.endswith(".")


@EVERY
def test_a_scenario_that_traces_faults_expects_them(scenario: Scenario) -> None:
    faults = set(SUITE.spec.faults)
    traced = any(isinstance(step, TraceStep) and step.trace.event in faults for step in steps_of(scenario))
    assert not traced, "a fault step does not depend on the IOMMU"
    if any(isinstance(step, FaultStep) for step in steps_of(scenario)):
        assert scenario.spec.faults == "expected"


@EVERY
def test_a_sweep_tells_its_points_each_under_a_name_of_its_own(scenario: Scenario) -> None:
    names = [step.report for step in steps_of(scenario) if isinstance(step, DoStep) and step.do == "sweep"]
    assert all(names) and len(names) == len(set(names))


def test_summaries_differ() -> None:
    assert [text for text, n in Counter(each.summary for each in SUITE.scenarios).items() if n > 1] == []


def test_the_data_plane_is_there() -> None:
    """What a bind that returns 0 does not prove: bytes that arrive, and accesses that are refused."""
    reading = [each.id for each in SUITE.scenarios if operations_of(each) & {"dma_read", "dma_write", "dma_fill"}]
    assert len(reading) >= 40
    assert {"data-after-unbind", "data-after-munmap", "data-read-only-page", "life-killed-while-bound"} <= set(reading)
