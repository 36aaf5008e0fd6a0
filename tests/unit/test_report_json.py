"""The report for programs, against its published schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from harness import schema
from harness.errors import UserError
from harness.model import Change, RunResult, SplatKind, Status, Verdict
from harness.report import render
from tests.unit import report_results as results

_CASES = {**results.CASES, "hostile": results.hostile, "hostile_targets": results.hostile_targets}


def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema.load("run"))


def _report(make: Callable[[], RunResult]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render("json", make()))
    return document


@pytest.mark.parametrize("case", _CASES)
def test_schema_holds(case: str) -> None:
    _validator().validate(_report(_CASES[case]))


def test_what_a_failure_is_there_to_show_is_told() -> None:
    row = _report(results.motive)["scenarios"][2]
    assert (row["change"], row["base"]["lacking"], row["patched"]["lacking"]) == ("fixed", results.NO_API, "")


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.load("run"))
    assert schema.names() == ("bisect", "run")
    with pytest.raises(UserError, match="no schema"):
        schema.load("nothing")


def test_the_schema_knows_every_word() -> None:
    known = schema.load("run")
    defs = known["$defs"]
    assert set(defs["outcome"]["properties"]["status"]["enum"]) == {status.value for status in Status}
    assert set(defs["scenario"]["properties"]["change"]["enum"]) == {change.value for change in Change}
    assert set(defs["counts"]["properties"]) == {change.value for change in Change}
    assert set(defs["splat"]["properties"]["kind"]["enum"]) == {kind.value for kind in SplatKind}
    for node in (known, defs["target"]):
        assert set(node["properties"]["verdict"]["enum"]) == {verdict.value for verdict in Verdict}


def _objects(node: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if isinstance(node, dict):
        found += [node] if node.get("type") == "object" else []
        for item in node.values():
            found += _objects(item)
    elif isinstance(node, list):
        for item in node:
            found += _objects(item)
    return found


def test_the_schema_is_strict_and_documented() -> None:
    for each in _objects(schema.load("run")):
        free = each.get("description", "").startswith(("Versions, keys and commands", "Values by name"))
        assert free or each["additionalProperties"] is False
        assert each.get("description")


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.pop("verdict"),
        lambda document: document.update(verdict="maybe"),
        lambda document: document.update(extra=1),
        lambda document: document["scenarios"][0].pop("base"),
        lambda document: document["scenarios"][0]["base"].update(status="passed"),
        lambda document: document["scenarios"][0]["base"].update(seconds=-1),
        lambda document: document["scenarios"][5]["patched"]["faults"][0].update(address=4096),
        lambda document: document["timings"][0].update(side="left"),
        lambda document: document["timings"][0].update(started=-1),
        lambda document: document["scenarios"][0]["base"].update(worker=1),
        lambda document: document["targets"][0]["boot_splats"][0].update(kind="ouch"),
        lambda document: document["series"]["patches"][0].update(number=0),
    ],
)
def test_the_schema_refuses_damage(damage: Callable[[dict[str, Any]], object]) -> None:
    document = _report(results.failing)
    broken = copy.deepcopy(document)
    damage(broken)
    with pytest.raises(jsonschema.ValidationError):
        _validator().validate(broken)


def test_what_readers_rely_on() -> None:
    document = _report(results.failing)
    assert (document["schema"], document["verdict"]) == ("kph.run.v3", "fail")
    assert document["tree"]["version"] == "7.3.4" and len(document["series"]["patches"]) == 2
    timings = document["timings"]
    assert [phase["name"] for phase in timings if phase["side"] != "patched"] == ["fetch", "build", "boot", "scenarios"]
    assert (timings[1]["started"], timings[1]["lane"], document["seconds"]) == (1.5, "main", 117.0)
    rows = {row["id"]: row for row in document["scenarios"]}
    assert len(rows) == len(results.failing().rows)
    hang = rows["p09-other-pasid"]
    assert (hang["base"]["status"], hang["patched"]["status"], hang["change"]) == ("skip", "hang", "new failure")
    assert hang["base"]["reason"] == results.NO_API and hang["patched"]["seconds"] == 0.25
    assert rows["g12-killed-while-bound"]["new_splats"][0]["title"] == results.UAF.title
    assert document["counts"]["regressed"] == 2 and "base only" not in document["counts"]
    assert document["targets"][0]["facts"]["path"] == str(results.RUN)


def test_every_row_names_its_target() -> None:
    document = _report(results.targets_differ)
    names = ["x86_64-vtd", "arm64-smmuv3", "mine"]
    assert [cell["name"] for cell in document["targets"]] == names
    assert [cell["verdict"] for cell in document["targets"]] == ["fail", "error", "pass"]
    assert document["verdict"] == "fail"
    own = [row for row in document["scenarios"] if row["id"] == "p01-own-bind"]
    assert [(row["target"], row["change"]) for row in own] == list(
        zip(names, ["regressed", "unknown", "new pass"], strict=True)
    )
    assert document["counts"]["unknown"] == 5 and document["targets"][1]["counts"] == {"unknown": 5}
    assert {phase["target"] for phase in document["timings"]} == {"", *names}


def test_without_a_series() -> None:
    document = _report(results.tree_alone)
    assert document["series"] is None
    assert all(row["patched"] is None and row["change"] == "base only" for row in document["scenarios"])


def test_a_base_that_was_not_asked() -> None:
    document = _report(results.patched_alone)
    assert document["series"] is not None and document["verdict"] == "pass"
    assert {(row["base"], row["change"]) for row in document["scenarios"]} == {(None, "patched only")}
    assert document["counts"] == {"patched only": 19}


def test_hostile_text_is_kept_as_ascii() -> None:
    text = render("json", results.hostile())
    assert text.isascii() and not any((ord(letter) < 32 and letter != "\n") or ord(letter) == 127 for letter in text)
    document = json.loads(text)
    told = document["scenarios"][0]["patched"]["splats"][0]["text"][0]
    assert told == results.HOSTILE.replace("\ud800", "?")
    assert document["scenarios"][0]["patched"]["seconds"] == 0.0 and document["targets"][0]["facts"]["n"] is None
