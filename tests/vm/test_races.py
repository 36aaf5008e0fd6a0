"""Seeds and stress reach the scenarios that race; with flavours and stress those pass on the reference series."""

from __future__ import annotations

import pytest

from tests.vm.conftest import ALL, SERIES, Kph


def test_a_seed_and_a_factor_reach_the_scenario_and_the_report(kph: Kph) -> None:
    ran = kph("--scenario", "race-first-bind", "--seed", "7", "--stress", "2", "-v")
    assert ran.status == 0
    assert (ran.report["seed"], ran.report["stress"]) == (7, 2)
    assert "seed 7, stress 2" in ran.said
    (step,) = ran.rows()["race-first-bind"]["base"]["steps"]
    assert {"rounds=400", "ms=1600", "seed=7"} <= set(step["text"].split())


@pytest.mark.parametrize("target", ["x86_64-vtd", "arm64-smmuv3"])
def test_races_pass_on_kernels_that_see_more(kph: Kph, target: str) -> None:
    if not ALL:
        pytest.skip("two more kernels and minutes of racing: make vm-all runs the races on kasan and lockdep")
    flavours = ("--flavour", "kasan,lockdep")
    ran = kph("--series", SERIES, "--scenario", "race-*", "--stress", "5", "--seed", "random", *flavours, target=target)
    assert ran.status == 0, ran.report["seed"]
