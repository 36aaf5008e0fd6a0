"""One-line mutations of the reference series and of an IOMMU driver: the scenario that the table names catches each
harmful one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.vm.conftest import ROOT, SERIES, Kph

FOLDER = ROOT / "tests/data/mutations"
TABLE: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "mutations.yaml").read_text())
HARMFUL = {name: entry for name, entry in TABLE.items() if entry["caught_by"]}
UNHARMFUL = sorted(set(TABLE) - set(HARMFUL))
ALL = "KPH_ALL_MUTATIONS" in os.environ  # half a minute each
BAD = {"fail", "crash", "hang"}


def _not_now(name: str) -> None:
    if not (ALL or TABLE[name].get("every_run")):
        pytest.skip("not in every run: make mutations runs them all")


def test_the_table_has_every_mutation_and_at_least_ten_harmful_ones() -> None:
    assert set(TABLE) == {file.stem for file in FOLDER.glob("*.patch")}
    now = {name for name, entry in TABLE.items() if entry.get("every_run")}
    assert len(now & set(HARMFUL)) >= 10 and now & set(UNHARMFUL)


@pytest.mark.parametrize("name", sorted(HARMFUL))
def test_a_harmful_mutation_is_caught_where_the_table_says(kph: Kph, name: str) -> None:
    _not_now(name)
    catcher = HARMFUL[name]["caught_by"]
    target = HARMFUL[name].get("target", "x86_64-vtd")
    flavour, wanted = HARMFUL[name].get("flavour", "base"), HARMFUL[name].get("title", "")
    options = ("--scenario", catcher, "--flavour", flavour)
    ran = kph("--series", SERIES, "--series", FOLDER / f"{name}.patch", *options, target=target)
    assert ran.status == 1
    row = ran.rows()[catcher]
    splats = row["patched"].get("splats", [])
    assert row["patched"]["status"] in BAD or splats, row
    assert row["change"] in ("regressed", "new failure"), row
    told = [row["patched"]["reason"], *(splat["title"] for splat in splats)]
    assert any(wanted in each for each in told), told
    assert (ran.folder / "patched" / catcher / "replay.sh").exists()


@pytest.mark.parametrize("name", UNHARMFUL)
def test_an_unharmful_mutation_passes_the_suite(kph: Kph, name: str) -> None:
    _not_now(name)
    # What takes longest once in a while only.
    chosen = () if ALL else ("--scenario", "!sweep-[!o]*", "--scenario", "!race-[!t]*")
    ran = kph("--series", SERIES, "--series", FOLDER / f"{name}.patch", *chosen)
    assert ran.status == 0
