"""Files of known splats: what they say, and where what is wrong with them stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.model import Pattern
from harness.scenario import known
from harness.scenario.load import known_suites, load_suite

GOOD = """\
known:
  - title: "WARNING in intel_*"
    reason: told on the list
  - title: "KASAN: *"
    kind: kasan
    target: arm64-*
    reason: being worked on
    link: https://lore.kernel.org/x
    until: 2027-01-31
  - {title: x, reason: y, until: "7.4"}
"""


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    link = "https://lore.kernel.org/x"
    assert known.load([file]) == (
        Pattern("WARNING in intel_*", "told on the list", target="*", origin=f"{file}:2"),
        Pattern("KASAN: *", "being worked on", "kasan", "arm64-*", link, "2027-01-31", f"{file}:4"),
        Pattern("x", "y", target="*", until="7.4", origin=f"{file}:10"),
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("known:\n  - title: x\n", 2, "known[0].reason: is missing"),
        ("known:\n  - {title: '', reason: y}\n", 2, "known[0].title"),
        ("known:\n  - {title: x, reason: y}\n  - title: x\n    reason: y\n    knid: warn\n", 5, "knid"),
        ("known:\n  - {title: x, reason: y, kind: warning}\n", 2, "kind"),
        ("known:\n  - title: x\n    reason: y\n    until: 7.4\n", 4, 'a kernel version in quotes ("7.4")'),
        ("known:\n  - {title: x, reason: y, until: soon}\n", 2, "is a date"),
        ("known:\n  - {title: x, reason: y, until: 2027-13-01}\n", 1, "month must be in 1..12"),
        ('known:\n  - {title: x, reason: y, until: "2027-13-01"}\n', 2, "is a date"),
        ("- title: x\n", 1, ""),
        ("known: [\n", 2, "is not YAML"),
        ("", 1, "is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        known.load([file])
    assert f"{file}:{line}: " in caught.value.message and what in caught.value.message


def test_every_file_is_read_before_anything_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        known.load([tmp_path / "one.yaml", tmp_path / "two.yaml"])
    assert "one.yaml:1: cannot be read" in caught.value.message and "two.yaml:1: " in caught.value.message


@pytest.mark.parametrize("name", known_suites())
def test_the_suites_own_files(name: str) -> None:
    file = load_suite(name).folder / known.NAME
    assert not file.exists() or len(known.load([file])) == file.read_text().count("- title:")
