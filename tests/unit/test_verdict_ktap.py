"""KTAP texts in tests/data/ktap: a text and what its tests are taken for. Each bug of the parser adds a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.model import Outcome, Status
from harness.verdict import cases, ktap

SAMPLES = Path(__file__).parents[1] / "data" / "ktap"
NAMES = sorted(file.stem for file in SAMPLES.glob("*.ktap"))


def _text(name: str) -> str:
    return (SAMPLES / f"{name}.ktap").read_bytes().decode()


def _read(name: str) -> tuple[dict[str, Any], tuple[Outcome, ...]]:
    wanted = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())
    return wanted, cases.outcomes(wanted["label"], ktap.parse(_text(name)), Path("/kept"))


@pytest.mark.parametrize("name", NAMES)
def test_sample(name: str) -> None:
    wanted, outcomes = _read(name)
    assert [(each.scenario, each.status.value) for each in outcomes] == [
        (each["id"], each["status"]) for each in wanted["outcomes"]
    ]
    for outcome, each in zip(outcomes, wanted["outcomes"], strict=True):
        assert outcome.reason == each["reason"]
        steps = [f"{step.text}: {'ok' if step.ok else 'not ok'}" for step in outcome.steps]
        assert steps == each.get("steps", [])
        assert (outcome.evidence is not None) == (outcome.status is Status.FAIL)


def test_every_sample_has_its_expectation() -> None:
    assert sorted(file.stem for file in SAMPLES.glob("*.yaml")) == NAMES and len(NAMES) > 20


@pytest.mark.parametrize("name", ["kunit", "kunit-parameters", "three-levels", "subtest-without-version", "directives"])
def test_a_text_that_is_cut_never_passes_as_a_whole(name: str) -> None:
    """Whatever comes after the last result line is not missed; anything before it is."""
    lines = _text(name).splitlines(keepends=True)
    for number in range(len(lines)):
        outcomes = cases.outcomes(_read(name)[0]["label"], ktap.parse("".join(lines[:number])))
        assert outcomes[0].status is Status.FAIL, (number, lines[:number])


_LINES = st.sampled_from(
    [
        "KTAP version 1",
        "1..2",
        "1..0",
        "ok 1 a",
        "not ok 2 b",
        "# Subtest: s",
        "ok 2 c # SKIP",
        "noise",
        "Bail out!",
        "",
    ]
)


@given(st.lists(st.tuples(st.sampled_from(["", "  ", "    ", "      "]), _LINES), max_size=14))
def test_no_text_is_refused_and_no_failure_is_lost(lines: list[tuple[str, str]]) -> None:
    report = ktap.parse("\n".join(indent + body for indent, body in lines))
    tests = [test for _, test in ktap.walk(report.tests)]
    results = [body for _, body in lines if body.startswith(("ok", "not ok"))]
    named = [test for test in tests if "it has no result" not in test.problems]
    assert len(named) == len(results), "every result line is one test"
    if any(body == "not ok 2 b" for body in results):
        whole = cases.outcomes("s", report)[0]
        assert whole.status is Status.FAIL


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    for outcome in cases.outcomes("s", ktap.parse(text)):
        assert outcome.status in (Status.PASS, Status.FAIL, Status.SKIP)
