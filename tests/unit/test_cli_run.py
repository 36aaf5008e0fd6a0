"""What ``kph run`` refuses before it works."""

from __future__ import annotations

import argparse

import pytest

from harness.cli import options, run
from harness.errors import UserError
from harness.machine import target as targets
from harness.scenario import load as suites


@pytest.mark.parametrize("name", targets.known())
@pytest.mark.parametrize("suite", suites.known_suites())
def test_every_suite_sees_the_faults_of_every_target(suite: str, name: str) -> None:
    options._faults(suites.load_suite(suite), targets.load(name))


def test_faults_that_nobody_would_see_are_refused() -> None:
    suite, target = suites.load_suite("sva"), targets.load("x86_64-vtd")
    with pytest.raises(UserError, match="names no fault_events"):
        options._faults(suite, target.model_copy(update={"fault_events": ()}))
    with pytest.raises(UserError, match="does not know the fault event amdvi_page_fault of"):
        options._faults(suite, target.model_copy(update={"fault_events": ("vtd_dmar_fault", "amdvi_page_fault")}))
    options._faults(suites.load_suite("kunit"), target.model_copy(update={"fault_events": ()}))


def _options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    return parser.parse_args(["--tree", "x", *words])


def test_seed_and_stress_are_fixed_unless_asked_for() -> None:
    assert (_options().seed, _options().stress) == (1, 1)
    assert (_options("--seed", "7", "--stress", "20").seed, _options("--stress", "20").stress) == (7, 20)
    assert len({_options("--seed", "random").seed for _ in range(8)}) > 1


def test_a_patched_kernel_first_needs_a_series(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="needs a series"):
        run.run(_options("--patched-first", "--quiet"))


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--seed", "4294967296"), ("--stress", "0"), ("--stress", "1.5")])
def test_a_seed_or_stress_that_is_none_is_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _options(*words)
    assert "is n" in capsys.readouterr().err
