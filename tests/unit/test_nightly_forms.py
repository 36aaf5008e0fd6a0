"""KCIDB, JUnit and b4's array: what programs read of a night."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from junitparser import JUnitXml
from kcidb_io import schema

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.report import nightly
from harness.report.nightly import b4, facts, junit, kcidb
from tests.unit import nights

Kept = tuple[History, Night]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    history, night = nights.history(tmp_path)
    with history:
        yield history, night


# --- KCIDB --------------------------------------------------------------------
def _valid(text: str) -> dict[str, Any]:
    """Checked by the data base's own library, also as the latest version of the schema."""
    document: dict[str, Any] = json.loads(text)
    version = schema.V5_3
    assert {"major": version.major, "minor": version.minor} == kcidb.VERSION
    assert version.is_valid_exactly(document) and schema.LATEST.is_compatible(document)
    assert version.validate(document) == document
    return document


def test_kcidb_is_valid_and_whole(kept: Kept) -> None:
    found = _valid(kcidb.render(*kept))
    ids = {kind: [each["id"] for each in found[kind]] for kind in ("checkouts", "builds", "tests")}
    for kind, names in ids.items():
        assert len(set(names)) == len(names), kind
        assert all(re.fullmatch("kph:[0-9a-f]{20}", name) for name in names)
    assert {each["checkout_id"] for each in found["builds"]} == set(ids["checkouts"])
    assert {each["build_id"] for each in found["tests"]} <= set(ids["builds"])
    assert len(found["builds"]) == 6 and len(found["checkouts"]) == 4, (
        "one for a tree and a series, whatever the target"
    )


def test_kcidb_ids_differ_from_night_to_night(kept: Kept) -> None:
    history, night = kept
    for kind in ("checkouts", "builds", "tests"):
        first, last = (
            {each["id"] for each in json.loads(kcidb.render(history, one))[kind]}
            for one in (history.nights()[0], night)
        )
        assert not first & last


def test_kcidb_statuses(kept: Kept) -> None:
    found = _valid(kcidb.render(*kept))
    statuses = {each["misc"]["kph"]["scenario"]: each["status"] for each in found["tests"]}
    assert statuses["p09-skip"] == "SKIP" and statuses["g07-leak"] == "FAIL"
    crash = next(each for each in found["tests"] if each["misc"]["kph"].get("culprit"))
    assert crash["status"] == "FAIL" and crash["path"] == "kph.sva.p01-own-bind" and crash["duration"] == 1.5
    assert crash["misc"]["kph"]["trend"] == "new failure" and crash["misc"]["kph"]["base"] == "pass"
    assert "slab-use-after-free" in crash["log_excerpt"] and "\\x1b[31m" in crash["log_excerpt"]
    assert {each["status"] for each in found["builds"]} == {"PASS", "FAIL"}
    broken = next(each for each in found["builds"] if each["status"] == "FAIL")
    assert "expected ';'" in broken["log_excerpt"] and broken["id"] not in {t["build_id"] for t in found["tests"]}
    assert all(kcidb._STATUS.get(status) != "PASS" for status in ("error", "", "crash", "hang", "fail", "skip"))


def test_kcidb_names_what_it_is_told_and_nothing_of_this_host(kept: Kept, tmp_path: Path) -> None:
    names = kcidb.Names(
        "lab_1", {"debian": "https://example.org/d.git"}, {"next": "master"}, "https://ci.example/runs/"
    )
    text = kcidb.render(*kept, names)
    found = _valid(text)
    assert str(tmp_path) not in text, "paths of the host"
    checkout = next(each for each in found["checkouts"] if each["tree_name"] == "next")
    assert checkout["id"].startswith("lab_1:") and checkout["origin"] == "lab_1"
    assert checkout["git_repository_branch"] == "master" and checkout["git_commit_hash"] == nights.COMMIT
    assert checkout["git_repository_url"] == "https://git.example.org/linux.git"
    crash = next(each for each in found["tests"] if each["misc"]["kph"].get("culprit"))
    assert crash["log_url"] == "https://ci.example/runs/bad/patched/p01-own-bind/console.log"
    for wrong in ("", "Lab", "a b", "a:b", "ä"):
        with pytest.raises(ValueError, match="no origin"):
            kcidb.Names(wrong)


def test_a_commit_made_from_files_is_not_given_as_one_of_a_repository(kept: Kept) -> None:
    history, _ = kept
    found = _valid(kcidb.render(history, history.nights()[0]))
    checkout = next(each for each in found["checkouts"] if each["tree_name"] == "debian")
    assert "git_commit_hash" not in checkout and checkout["patchset_hash"] == ""


def test_no_form_shows_the_password_in_the_address_of_a_tree(kept: Kept) -> None:
    history, night = kept
    for cell in history.cells(night.id):
        history.update(replace(cell, spec="https://user:hunter2@git.example.org/linux.git"))
    for form in nightly.forms():
        assert "hunter2" not in nightly.render(form, history, night)
    found = _valid(kcidb.render(history, night))
    assert {each["git_repository_url"] for each in found["checkouts"]} == {"https://git.example.org/linux.git"}


def test_excerpts_are_bounded_and_read_from_compressed_logs(kept: Kept, tmp_path: Path) -> None:
    history, night = kept
    log = next(tmp_path.glob("runs/*3-*/bad/patched/p01-own-bind/console.log"))
    log.with_name("console.log.gz").write_bytes(gzip.compress(b"\x00" * 40000 + b"x\n" * 40000 + b"the end\n"))
    log.unlink()
    crash = next(each for each in _valid(kcidb.render(history, night))["tests"] if each["misc"]["kph"].get("culprit"))
    assert 8000 < len(crash["log_excerpt"]) <= 16384 and crash["log_excerpt"].endswith("the end")


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        (("kph", "sva", "p01-own-bind"), "kph.sva.p01-own-bind"),
        (("kph", "kunit", "iommu pgtable", "map: 4K"), "kph.kunit.iommu_pgtable.map__4K"),
        (("kph", "", "a..b", "ä.c"), "kph.a.b._.c"),
    ],
)
def test_paths_are_of_the_schemas_letters(parts: tuple[str, ...], wanted: str) -> None:
    assert kcidb.path(*parts) == wanted
    assert re.fullmatch(schema.V5_3.path_re, wanted)


# --- JUnit -----------------------------------------------------------------------
def test_junit_has_a_suite_for_each_cell(kept: Kept) -> None:
    text = junit.render(*kept)
    ElementTree.fromstring(text.encode())
    suites = {suite.name: {case.name: case for case in suite} for suite in JUnitXml.fromstring(text.encode())}
    assert len(suites) == 8

    def kind(suite: str, case: str) -> list[tuple[str, str]]:
        return [(type(each).__name__, each.type) for each in suites[suite][case].result]

    bad = "sva.next+pasid-v3.x86_64-vtd.base"
    assert kind(bad, "p01-own-bind") == [("Failure", "crash")] and kind(bad, "g04-twice") == []
    assert kind(bad, "p09-skip") == [("Skipped", "skip")] and kind(bad, "verdict") == [("Failure", "fail")]
    assert kind("sva.next+pasid-v3.arm64-smmuv3.kasan", "g07-leak") == [("Skipped", "quarantined")]
    assert kind("sva.debian.x86_64-vtd.base", "verdict") == [("Skipped", "dropped")]
    assert kind("kunit.debian.arm64-smmuv3.base", "verdict") == [("Error", "failed")]
    story = suites[bad]["p01-own-bind"].system_out
    assert "new failure since 2026-11-23" in story and "culprit: abab" in story
    assert "tried again: pass, fail, pass" in suites[bad]["race-exit"].system_out


# --- b4 ------------------------------------------------------------------------------
def _checked(text: str) -> list[dict[str, str]]:
    """As b4's docs describe what a check command prints."""
    entries: list[dict[str, str]] = json.loads(text)
    for entry in entries:
        assert set(entry) <= {"tool", "status", "summary", "url", "details"} and entry["tool"]
        assert entry["status"] in ("pass", "warn", "fail")
        assert all(isinstance(value, str) for value in entry.values()) and "\n" not in entry["summary"]
    return entries


def test_b4_gets_an_entry_for_each_cell_of_a_series(kept: Kept) -> None:
    entries = _checked(b4.render(*kept))
    told = [(entry["tool"], entry["status"]) for entry in entries]
    assert told == [
        ("kph x86_64-vtd", "fail"),
        ("kph arm64-smmuv3 (kasan)", "warn"),  # what is quarantined passes nobody's review
        ("kph x86_64-vtd", "pass"),
        ("kph arm64-smmuv3", "pass"),
        ("kph x86_64-vtd", "fail"),
    ]
    assert "CRASH p01-own-bind (pass without the series, new failure)" in entries[0]["details"]


def test_b4_asks_with_a_mail(kept: Kept) -> None:
    history, night = kept
    mail = b"Message-ID: <cleanup-v1@mail.example>\nSubject: [PATCH v2 0/1] whatever\n\ntext\n"
    entries = _checked(b4.text(b4.answer(history, mail, link="https://ci.example/runs/")))
    assert [entry["status"] for entry in entries] == ["pass", "pass"]
    assert entries[0]["url"] == "https://ci.example/runs/good-x86_64-vtd/"
    assert b4.answer(history, mail, name="other") == []
    assert b4.answer(history, b"Subject: [PATCH] unknown\n\n") == [] and b4.answer(history, b"\xff") == []
    assert facts.of(history, night).night.name == "next"


def test_b4_is_told_when_only_the_subject_fits(kept: Kept) -> None:
    history, _ = kept
    mail = b"Message-ID: <v9@mail.example>\nSubject: Re: [PATCH v9 1/1] iommu: Do\n  cleanup-v1\n\n"
    entries = _checked(b4.text(b4.answer(history, mail)))
    assert [entry["status"] for entry in entries] == ["warn", "warn"], "it may be another version"
    assert "found by its subject" in entries[0]["summary"]


def test_b4_finds_a_mail_in_the_mbox_that_was_tested(kept: Kept, tmp_path: Path) -> None:
    history, _ = kept
    mbox = tmp_path / "series.mbox"
    mbox.write_text("From x\nMessage-Id: <one@mail.example>\n\n")
    for report in tmp_path.glob("runs/*/good-x86_64-vtd/report.json"):
        document = json.loads(report.read_text())
        document["series"]["specs"] = [str(mbox)]
        report.write_text(json.dumps(document))
    assert [e["status"] for e in b4.answer(history, b"Message-ID: <one@mail.example>\nSubject: x\n\n")] == ["pass"]
