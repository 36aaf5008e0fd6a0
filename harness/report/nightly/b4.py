"""The JSON array that b4 takes from the commands of b4.review-series-check-cmd and b4.review-perpatch-check-cmd.

As b4's docs tell it ("CI check integration", since 0.15): objects with ``tool`` and ``status`` (pass, warn or fail),
and where there is something to tell ``summary``, ``url`` and ``details``. An empty array has nothing to report.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Cell, CellState, Night
from harness.report import clean
from harness.report.nightly import facts
from harness.report.nightly.facts import Facts, Line

NAME = "b4"
HELP = "the array that b4 review takes from a check command, of every series of the night"

_BY_ID = "id"  # the mail is one of those that were tested
_LARGE = 64 << 20  # bytes; no series is
_PREFIX = re.compile(r"^\s*(?:(?:re|fwd?):\s*)*(?:\[[^\]]*\]\s*)*", re.I)


def render(history: History, night: Night) -> str:
    """See Form.render."""
    found = facts.of(history, night)
    return text(entry(found, cell) for cell in found.cells if cell.place.series)


def text(entries: Iterable[Mapping[str, str]]) -> str:
    """What the command prints."""
    return json.dumps(list(entries), indent=1) + "\n"


def answer(history: History, mail: bytes, name: str = "", link: str = "") -> list[dict[str, str]]:
    """What the last nights (of this name) found of the series that the mail, a patch or its cover, belongs to.

    ``link``: address of what holds the runs' folders. One entry for each place at which the series was ever tested.
    """
    asked = email.message_from_bytes(mail, policy=email.policy.default)
    nights: dict[int, Facts] = {}
    found = []
    for place in history.places():
        for cell in history.last(place) if place.series else ():
            night = history.night(cell.night)
            how = _about(cell, asked) if night and name in ("", night.name) else ""
            if night is None or not how:
                continue
            if night.id not in nights:
                nights[night.id] = facts.of(history, night)
            url = f"{link.rstrip('/')}/{Path(cell.folder).name}/" if link and cell.folder else ""
            told = entry(nights[night.id], cell, url)
            found.append(told if how == _BY_ID else _unsure(told))
    return found


def _unsure(told: Mapping[str, str]) -> dict[str, str]:
    """Of what has the subject, but may be another version of the series."""
    status = "warn" if told["status"] == "pass" else told["status"]
    return {**told, "status": status, "summary": f"{told['summary']} (found by its subject: perhaps another version)"}


def entry(found: Facts, cell: Cell, url: str = "") -> dict[str, str]:
    """One object of the array. What has no evidence is a warning, never a pass."""
    lines = found.of(cell)
    place = cell.place
    where = place.target if place.flavour == "base" else f"{place.target} ({place.flavour})"
    status = "warn"
    if cell.state in (CellState.DONE, CellState.UNCHANGED):
        doubtful = any((line.result.quarantined and line.result.status in BAD) or not line.steady for line in lines)
        status = {"pass": "warn" if doubtful else "pass", "fail": "fail"}.get(cell.verdict, "warn")
    values = {
        "tool": clean.line(f"kph {where}"),
        "status": status,
        "summary": clean.line(_summary(cell, lines)),
        "url": url,
        "details": "\n".join(clean.line(each) for each in _details(cell, lines)),
    }
    return {name: value for name, value in values.items() if value}


def _summary(cell: Cell, lines: tuple[Line, ...]) -> str:
    if not lines:
        return f"{cell.state}: {cell.reason}" if cell.reason else str(cell.state)
    passed = sum(line.result.status == "pass" for line in lines)
    bad = sum(line.bad for line in lines)
    counts = f"{passed} of {len(lines)} scenarios pass" + (f", {bad} fail" if bad else "")
    return f"{counts} on {cell.place.tree} {cell.version}" + (f": {cell.reason}" if cell.reason else "")


def _details(cell: Cell, lines: tuple[Line, ...]) -> Iterator[str]:
    yield f"{cell.place}, {facts.shown(cell.spec)} at {cell.commit[:12]}"
    for line in lines:
        result = line.result
        if result.status in BAD or not line.steady:
            before = f"{result.base} without the series, " if result.base else ""
            why = f": {result.reason}" if result.reason else ""
            mark = f" [quarantined: {result.quarantined}]" if result.quarantined else ""
            yield f"{result.status.upper()} {result.scenario} ({before}{line.trend}){why}{mark}"
            yield from (f"  {splat}" for splat in result.splats)


def _about(cell: Cell, asked: Any) -> str:
    """How the mail belongs to what the cell tested, as its run's report names it; empty when it does not."""
    try:
        series = json.loads((Path(cell.folder) / "report.json").read_bytes())["series"]
        patches = series["patches"]
        specs, titles = series["specs"], {series["title"], *(patch["subject"] for patch in patches)}
        origins = [*specs, *(patch["origin"] for patch in patches)]
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the folder is gone, or its report was cut
    id = str(asked.get("Message-ID", "")).strip(" <>\t\r\n")
    if id and (any(id in origin for origin in origins) or any(_has(Path(spec), id) for spec in specs)):
        return _BY_ID
    subject = " ".join(_PREFIX.sub("", str(asked.get("Subject", ""))).split())
    return "subject" if subject and subject in {" ".join(title.split()) for title in titles} else ""


def _has(mbox: Path, id: str) -> bool:
    """Whether a mail with this id is in the file."""
    try:
        size = mbox.stat().st_size if mbox.is_file() else _LARGE
        return size < _LARGE and f"<{id}>".encode() in mbox.read_bytes()
    except OSError:
        return False
