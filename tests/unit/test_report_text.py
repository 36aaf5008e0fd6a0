"""The report for people: golden files, what must be said, and what must not reach a terminal."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from pathlib import Path

import pytest

from harness.report import View, clean, render
from tests.unit import report_results as results


@pytest.mark.parametrize("width", results.WIDTHS)
@pytest.mark.parametrize("case", results.CASES)
def test_golden(case: str, width: int) -> None:
    """``python -m tests.unit.report_results`` writes the files anew; look at the difference before you keep it."""
    assert render("text", results.CASES[case](), View(width)) == results.golden(case, width).read_text()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("case", results.CASES)
def test_lines_fit_but_for_paths_and_titles(case: str, width: int) -> None:
    for line in render("text", results.CASES[case](), View(width)).splitlines():
        whole = line.lstrip().startswith(("evidence", "replay", "drivers/")) or re.search(r"\.c:\d+$|\.h:\d+ ", line)
        assert whole or len(line) <= width, line


def test_verbose_lists_every_scenario() -> None:
    result = results.passing()
    short, long = render("text", result), render("text", result, View(verbose=True))
    assert "g07-global-bind" not in short and "12 scenarios (-v lists them)" in short
    assert all(row.scenario in long for row in result.rows)
    assert "-v lists" not in long


def test_skips_are_said_with_reason_and_number() -> None:
    text = render("text", results.passing())
    assert "SKIPPED on base: 7 of 19" in text and "SKIPPED on patched: 1 of 19" in text
    assert results.NO_API in text and results.NO_ENQCMD in text


def test_the_last_line_is_the_verdict() -> None:
    for case, start in (("passing", "pass."), ("failing", "fail."), ("no_evidence", "error."), ("tree_alone", "fail.")):
        last = " ".join(render("text", results.CASES[case]()).rstrip().split("\n\n")[-1].split())
        assert last.startswith(f"Verdict: {start} x86_64-vtd, Linux 7.3.4, suite sva: "), last


def test_a_base_that_was_not_asked_is_told_as_such() -> None:
    text = " ".join(render("text", results.patched_alone()).split())
    assert "18 of 19 scenarios pass with the series (1 skipped); none fails, so the base was not tested." in text
    assert "SKIPPED on patched: 1 of 19" in text and "SKIPPED on base" not in text


def test_a_failure_that_shows_the_need_is_told_as_such() -> None:
    text = " ".join(render("text", results.motive()).split())
    assert f"motive-one-pasid fail pass fails on base, which shows the need: {results.NO_API}" in text
    assert f"fails on base and patched, which shows the need: {results.NO_API}" in text
    alone = render("text", results.motive_alone(), View(120))
    assert "motive-one-pasid: fail" not in alone, "nobody has to act on it"
    assert "2 of 5 scenarios pass (3 failed, which shows the need)." in " ".join(alone.split())


def test_known_splats_are_told_with_the_reason_and_counted() -> None:
    text = " ".join(render("text", results.known_splats()).split())
    assert "3 suspicious RCU usage in prq_event_thread: being worked on (https://example.org/1)" in text
    assert "NOTE: known splat 'WARNING in f' (known.yaml:5) counts again" in text
    assert "Verdict: pass." in text


def test_targets_are_side_by_side() -> None:
    text = render("text", results.targets_differ(), View(120))
    lines = [line.split() for line in text.splitlines()]
    assert ["x86_64-vtd", "arm64-smmuv3", "mine"] in lines
    assert ["CHANGE", "SCENARIO", *["BASE", "PATCHED"] * 3, "WHY"] in lines
    assert any(
        line[:8] == ["regressed", "p01-own-bind", "pass", "fail", "error", "error", "skip", "pass"] for line in lines
    )
    assert ["unknown", "arm-only", "-", "-", "error", "error", "-", "-", "as", "above"] in lines
    assert "p01-own-bind on x86_64-vtd: regressed" in text and "SKIPPED on mine base: 1 of 4" in text


def test_the_verdict_names_every_target_that_did_not_pass() -> None:
    last = " ".join(render("text", results.targets_differ()).split("Verdict: ")[1].split())
    assert last.startswith("fail. x86_64-vtd, arm64-smmuv3 and mine, Linux 7.3.4, suite sva: x86_64-vtd: 1 scenario")
    assert "arm64-smmuv3: base: no accelerator" in last
    assert last.endswith("so nothing can be said of the series on arm64-smmuv3.")
    last = " ".join(render("text", results.targets_pass()).split("Verdict: ")[1].split())
    assert last.startswith("pass. ") and last.count("the series makes nothing worse in 19 scenarios") == 2


def test_a_replay_script_is_named_when_it_is_there(tmp_path: Path) -> None:
    result = results.failing()
    evidence = tmp_path / "a b"
    evidence.mkdir()
    outcome = result.rows[5].patched
    assert outcome is not None
    row = dataclasses.replace(result.rows[5], patched=dataclasses.replace(outcome, evidence=evidence))
    result = dataclasses.replace(result, cells=(dataclasses.replace(result.cells[0], rows=(row,)),))
    assert "replay.sh" not in render("text", result)
    (evidence / "replay.sh").touch()
    assert f"replay    sh '{evidence}/replay.sh'\n" in render("text", result)


def test_colours_only_where_asked() -> None:
    assert "\x1b" not in render("text", results.failing())
    assert "\x1b[1;31m" in render("text", results.failing(), View(colour=True))


def test_environment_does_not_change_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = render("text", results.failing())
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "33"), ("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    assert render("text", results.failing()) == plain


@pytest.mark.parametrize("colour", [False, True])
def test_hostile_text_is_shown_and_not_obeyed(colour: bool) -> None:
    text = render("text", results.hostile(), View(colour=colour))
    text.encode()
    bare = text
    for number in (*range(30, 38), 0, 1, 2, *range(90, 98)):
        bare = bare.replace(f"\x1b[{number}m", "").replace(f"\x1b[1;{number}m", "")
    kinds = {unicodedata.category(letter) for letter in bare if letter != "\n"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}, kinds
    assert "[red]:smile:[/red]" in bare.replace("\n", "") and "\\x1b]0;owned\\x07" in bare.replace("\n", "")
    assert sum(line.startswith("Verdict: ") for line in bare.split("\n")) == 1


def test_multiline_reasons_do_not_forge_the_verdict() -> None:
    forged = dataclasses.replace(results.failing(), reasons=("broken\nVerdict: pass. all is well",))
    last = render("text", forged).rstrip().split("\n\n")[-1]
    assert last.startswith("Verdict: fail.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("tab\there", "tab    here"),
        ("a\nb\r\nc", "a b c"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x85\x9b1m", "\\x85\\x9b1m"),
        ("\u202eabc\u200b", "\\u202eabc\\u200b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("Grüße, 漢字", "Grüße, 漢字"),
    ],
)
def test_clean_line(text: str, shown: str) -> None:
    assert clean.line(text) == shown


def test_clean_lines() -> None:
    assert clean.lines("a\r\n\x07b\n") == ("a", "\\x07b", "")
