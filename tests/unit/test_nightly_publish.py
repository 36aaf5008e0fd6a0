"""What a nightly file wants of its night is written and sent; one that fails costs no other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.campaign.nightly.file import load
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Cell, CellState, Place, Result
from harness.errors import UserError
from harness.proc import Door
from harness.report.nightly import publish

_OUT = """
name: n
trees: {{one: {{tree: linux}}}}
out:
  site: out/site
  kcidb: out/k.json
  junit: out/j.xml
  b4: out/b.json
  mail: {{to: a@example.org, sender: kph <kph@example.org>, file: {mail}}}
"""


def night(history: History) -> int:
    begun = history.begin("n", "v")
    place = Place("one", "", "x86_64-vtd", "base", "sva")
    cell = history.add(Cell(0, begun.id, place, "linux", "c" * 40, "7.3.4", "k", CellState.RUNNING))
    done = dataclasses.replace(cell, state=CellState.DONE, verdict="fail")
    history.update(done, [Result(cell.id, "own-first-bind", "", "fail", "base only", "EBUSY")])
    history.end(begun.id)
    return begun.id


@pytest.mark.parametrize("mail", ["out/m.eml", "/dev/null/no-such-place"])
def test_all_that_is_wanted_is_there(tmp_path: Path, mail: str) -> None:
    file = tmp_path / "nightly.yaml"
    file.write_text(_OUT.format(mail=mail))
    wanted = load(file)
    publish.check(wanted)
    with History(tmp_path / "h.sqlite") as history:
        found = history.night(night(history))
        assert found is not None
        problems = publish.publish(wanted, history, found, Door())
    assert json.loads((tmp_path / "out/k.json").read_text())["tests"]
    assert "own-first-bind" in (tmp_path / "out/j.xml").read_text()
    assert (tmp_path / "out/site/index.html").is_file()
    json.loads((tmp_path / "out/b.json").read_text())
    if mail.startswith("out"):
        assert problems == () and "own-first-bind" in (tmp_path / mail).read_text()
    else:
        assert len(problems) == 1 and problems[0].startswith("mail: ")


def test_what_could_not_be_sent_is_told_before_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KPH_WEBHOOK_SECRET", raising=False)
    file = tmp_path / "nightly.yaml"
    file.write_text("name: n\ntrees: {one: {tree: linux}}\nout: {webhook: {url: 'https://example.org'}}\n")
    with pytest.raises(UserError, match="KPH_WEBHOOK_SECRET is not set"):
        publish.check(load(file))
    file.write_text("name: n\ntrees: {one: {tree: linux}}\nout: {mail: {to: nobody, sender: a@b.org}}\n")
    with pytest.raises(UserError, match="nobody"):
        publish.check(load(file))
