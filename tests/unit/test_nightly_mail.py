"""The mail of a night: its head, its text, and its way to sendmail."""

from __future__ import annotations

import email
import email.policy
import os
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.report.nightly import mail
from harness.report.nightly.mail import Envelope
from tests.unit import nights

Kept = tuple[History, Night]
ENVELOPE = Envelope("Night <kph@lab.example>", ("M. Müller <mm@a.example>", "b@c.example"), "J. Doe <jd@lab.example>")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    history, night = nights.history(tmp_path)
    with history:
        yield history, night


def _read(text: str) -> EmailMessage:
    return email.message_from_bytes(text.encode(), policy=email.policy.default)


def test_the_head_is_whole_and_the_same_each_time(kept: Kept) -> None:
    read = _read(mail.render(*kept, ENVELOPE))
    assert read["Subject"] == "[kph] next 2026-11-23: 1 new failure, 1 fixed, 1 flaky, 1 dropped, 1 without evidence"
    assert str(read["From"]) == "Night <kph@lab.example>"
    assert [each.addr_spec for each in read["To"].addresses] == ["mm@a.example", "b@c.example"]
    assert read["To"].addresses[0].display_name == "M. Müller"
    assert read["Message-ID"] == "<kph.night.3.20261123020000123@lab.example>"
    assert read["Date"].datetime.isoformat() == "2026-11-23T05:10:00+00:00"
    assert read["Auto-Submitted"] == "auto-generated" and read.get_content_type() == "text/plain"
    assert not read.defects


def test_the_text_begins_with_what_needs_a_look(kept: Kept) -> None:
    text = _read(mail.render(*kept, ENVELOPE)).get_content()
    order = [
        "New failures (1)",
        "Without evidence",
        "Flaky (1)",
        "Fixed (1)",
        "Dropped",
        "Still failing",
        "Quarantined",
    ]
    places = [text.index(title) for title in order]
    assert places == sorted(places)
    assert "\n           1 scenario regressed" in text and "p01-own-bind: crash\n" in text
    assert 'culprit: abababababab ("iommu: Free it early"), proved' in text
    assert nights.SPLAT in text and "tonight pass, fail, pass" in text and "no time was left" in text
    assert "\x1b" not in text and "\u202e" not in text


def test_a_cell_that_passes_tells_what_fails_in_it_all_the_same(kept: Kept) -> None:
    """A series passes where the base fails as well."""
    history, night = kept
    cell = next(each for each in history.cells(night.id) if each.place == nights.GOOD)
    results = history.results(cell)
    history.update(replace(cell, seconds=12.4), [replace(each, status="fail", base="fail") for each in results])
    lines = mail.render(history, night).splitlines()
    (line,) = [line for line in lines if line.startswith("  pass ") and f"{cell.place}," in line]
    assert line.endswith(f" {cell.commit[:12]}, {len(results)} fail, 12 s")


def test_tested_by_stands_alone_and_only_where_everything_passed(kept: Kept) -> None:
    text = _read(mail.render(*kept, ENVELOPE)).get_content()
    assert [line for line in text.splitlines() if "Tested-by:" in line] == ["Tested-by: J. Doe <jd@lab.example>"]
    before, _, _ = text.partition("Tested-by:")
    assert "cleanup-v1 passes on every cell" in before.splitlines()[-2] + before.splitlines()[-1]
    assert "No Tested-by for" in text and "  pasid-v3: " in text
    assert "Tested-by:" not in mail.render(*kept), "nobody vouches unless told who"
    history, night = kept
    cell = next(each for each in history.cells(night.id) if each.place == nights.GOOD_ARM)
    history.update(replace(cell, verdict="fail"))
    assert "Tested-by:" not in mail.render(history, night, ENVELOPE)


def test_what_fails_without_the_series_too_is_told_beside_its_tested_by(kept: Kept) -> None:
    history, night = kept
    cell = next(each for each in history.cells(night.id) if each.place == nights.GOOD)
    results = history.results(cell)
    history.update(cell, [replace(each, status="fail", base="fail") for each in results])
    text = " ".join(mail.render(history, night, ENVELOPE).split())
    assert "; fails with it and without it: motive-one, p01-own-bind Tested-by: J. Doe" in text


@pytest.mark.parametrize("wrong", ["", "me", "a@", "@b", "A <a@b.example>\nBcc: x@y.example", "A <a@b c>", "x\x00@y.z"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="no mail address"):
        Envelope(to=(wrong,))


def test_a_name_cannot_add_to_the_head(kept: Kept) -> None:
    history, night = kept
    read = _read(mail.render(history, replace(night, name="x\nBcc: all@example.org"), ENVELOPE))
    assert read["Bcc"] is None and "Bcc" in read["Subject"]


def _sendmail(folder: Path, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> Path:
    program, got = folder / "bin" / "sendmail", folder / "got"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {got}.argv\ncat > {got}\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return got


def test_sendmail_gets_it_byte_for_byte(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got = _sendmail(tmp_path, monkeypatch)
    text = mail.render(*kept, ENVELOPE)
    mail.send(text, Door(tmp_path / "commands.log"))
    assert got.read_bytes() == text.encode() and got.with_suffix(".argv").read_text() == "-i -t\n"
    assert (tmp_path / "commands.log").read_text() == "sendmail -i -t\n"
    with pytest.raises(UserError, match="no recipient"):
        mail.send(mail.render(*kept), Door())


def test_a_sendmail_that_fails_or_is_missing_is_told(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = mail.render(*kept, ENVELOPE)
    _sendmail(tmp_path, monkeypatch, status=75)
    with pytest.raises(InfraError, match="not sent"):
        mail.send(text, Door())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InfraError, match="not installed"):
        mail.send(text, Door())
