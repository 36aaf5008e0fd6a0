"""The registry of formats: found by being there, asked for as FORMAT=FILE."""

from __future__ import annotations

import dataclasses
import io
import sys
from pathlib import Path

import pytest

from harness import report
from harness.errors import InfraError, UserError
from tests.unit import report_results as results


def test_formats() -> None:
    assert report.formats() == ("json", "junit", "ktap", "text")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("json=r.json", ("json", Path("r.json"))),
        ("junit=a=b.xml", ("junit", Path("a=b.xml"))),
        ("ktap", ("ktap", None)),
        ("text=-", ("text", None)),
    ],
)
def test_request(text: str, wanted: tuple[str, Path | None]) -> None:
    assert report.parse_request(text) == wanted


@pytest.mark.parametrize("text", ["yaml=x", "", "=x", "JSON=x", "json_", "clean"])
def test_unknown_format_lists_the_known_ones(text: str) -> None:
    with pytest.raises(UserError) as caught:
        report.parse_request(text)
    assert caught.value.hint == "known: json, junit, ktap, text"


def test_a_file_must_have_a_name() -> None:
    with pytest.raises(UserError, match="file is missing"):
        report.parse_request("json=")


@pytest.mark.parametrize("form", ["json", "junit", "ktap", "text"])
def test_write(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = results.failing()
    file = tmp_path / "new" / "report"
    report.write(form, result, file)
    assert file.read_text(encoding="utf-8") == report.render(form, result)
    report.write(form, result, None)
    assert capsys.readouterr().out == report.render(form, result)
    assert report.render(form, result).endswith("\n")


def test_verbose_reaches_the_format(capsys: pytest.CaptureFixture[str]) -> None:
    report.write("text", results.passing(), None, verbose=True)
    assert "g07-global-bind" in capsys.readouterr().out


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfraError, match="cannot be written"):
        report.write("json", results.passing(), tmp_path / "file" / "r.json")


def test_a_terminal_without_the_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    report.write("junit", dataclasses.replace(results.passing(), suite="Grüße"), None)
    assert b"Gr\\xfc\\xdfe.x86_64-vtd" in raw.getvalue()
