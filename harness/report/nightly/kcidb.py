"""KCIDB, the form of the common report data base of kernel CI systems (its schema: kcidb-io, version 5.3).

A checkout for each tree with its series, a build for each cell, a test for each scenario on the kernel under test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cache import digest
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Cell, CellState, Night, Result
from harness.report import clean
from harness.report.nightly import facts, logs
from harness.report.nightly.facts import Facts, Line

NAME = "kcidb"
HELP = "KCIDB JSON, for the data base that kernel CI systems share"
VERSION = {"major": 5, "minor": 3}

_EXCERPT = 16000  # characters; the schema's limit is 16384
# Its MISS is "a failure in the test harness, and the status of both the test and the tested code is unknown".
_STATUS = {"pass": "PASS", "skip": "SKIP", "error": "MISS", **dict.fromkeys(BAD, "FAIL")}
_ORIGIN = re.compile(r"[a-z0-9_]+")
# Trees of which our repository alone has the commit: it was made from files.
_NO_GIT = re.compile(r"debian:.*|.*\.(tar(\.\w+)?|tgz)$")


@dataclass(frozen=True)
class Names:
    """What the data base knows us and our trees by."""

    origin: str = "kph"  # small letters, digits and _; the data base's keepers give it
    urls: Mapping[str, str] = field(default_factory=dict)  # tree -> https:// address of its repository
    branches: Mapping[str, str] = field(default_factory=dict)  # tree -> branch of that
    logs: str = ""  # https:// address of what holds the runs' folders

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin):
            raise ValueError(f"{self.origin!r} is no origin: small letters, digits and _ only")

    def id(self, *parts: str) -> str:
        """An id that nobody else gives, the same whenever the night is reported."""
        return f"{self.origin}:{digest(*parts)}"


def render(history: History, night: Night, names: Names | None = None) -> str:
    """See Form.render."""
    return json.dumps(document(facts.of(history, night), names or Names()), indent=1) + "\n"


def document(found: Facts, names: Names) -> dict[str, Any]:
    """The report as JSON values."""
    cells = [cell for cell in found.cells if cell.state in (CellState.DONE, CellState.UNCHANGED)]
    checkouts = {_source(found.night, cell, names): cell for cell in reversed(cells)}
    return {
        "version": VERSION,
        "checkouts": [_checkout(id, cell, names) for id, cell in reversed(checkouts.items())],
        "builds": [_build(found, cell, names) for cell in cells],
        "tests": [
            _test(found.night, line, names) for cell in cells if not _broken(found.of(cell)) for line in found.of(cell)
        ],
    }


def _source(night: Night, cell: Cell, names: Names) -> str:
    return names.id("checkout", night.name, night.started, cell.place.tree, cell.place.series, cell.commit)


def _built(night: Night, cell: Cell, names: Names) -> str:
    place = cell.place
    where = (place.tree, place.series, place.target, place.flavour, place.suite)
    return names.id("build", night.name, night.started, *where)


def _checkout(id: str, cell: Cell, names: Names) -> dict[str, Any]:
    tree = cell.place.tree
    git = not _NO_GIT.fullmatch(cell.spec) and re.fullmatch("[0-9a-f]{40}", cell.commit)
    spec = facts.shown(cell.spec)
    url = facts.shown(names.urls.get(tree, spec if spec.startswith("https://") else ""))
    return _said(
        id=id,
        origin=names.origin,
        tree_name=clean.line(tree),
        git_repository_url=url,
        git_repository_branch=clean.line(names.branches.get(tree, "")),
        git_commit_hash=cell.commit if git else "",
        git_commit_name=f"v{cell.version}" if cell.version else "",
        comment=clean.line(cell.place.series),
        start_time=cell.started,
        valid=True,
        # Of a series the data base wants a hash over the patch files, which a history does not have.
        **({} if cell.place.series else {"patchset_hash": ""}),
        misc={"kph": _said(spec=clean.line(spec), commit=cell.commit, version=cell.version)},
    )


def _build(found: Facts, cell: Cell, names: Names) -> dict[str, Any]:
    lines = found.of(cell)
    broken = _broken(lines)
    place = cell.place
    return _said(
        id=_built(found.night, cell, names),
        checkout_id=_source(found.night, cell, names),
        origin=names.origin,
        architecture=re.sub("[^a-z0-9_]", "_", place.target.partition("-")[0].lower()),
        config_name=clean.line(place.flavour),
        start_time=cell.started,
        status="FAIL" if broken else "PASS" if lines else "MISS",
        comment=clean.line(cell.reason) if broken else "",
        log_excerpt=_excerpt(logs.tail(str(Path(broken).parent), Path(broken).name, _EXCERPT)) if broken else "",
        misc={
            "kph": _said(
                target=place.target,
                suite=place.suite,
                verdict=cell.verdict,
                reason=clean.line(cell.reason),
                key=cell.key,
                unchanged=bool(cell.same),
                seconds=cell.seconds,
                run=Path(cell.folder).name,
            )
        },
    )


def _test(night: Night, line: Line, names: Names) -> dict[str, Any]:
    cell, result = line.cell, line.result
    build = _built(night, cell, names)
    return _said(
        id=names.id("test", build, result.scenario),
        build_id=build,
        origin=names.origin,
        path=path("kph", cell.place.suite, *result.scenario.split("/")),
        status=_STATUS.get(result.status, "MISS"),
        comment=clean.line(result.reason),
        start_time=cell.started,
        duration=round(max(result.seconds, 0.0), 3),
        environment=_said(comment=", ".join(filter(None, (cell.place.target, clean.line(cell.accelerator))))),
        log_url=_address(cell, result, names),
        log_excerpt=_story(result) if result.status in BAD else "",
        misc={
            "kph": _said(
                scenario=clean.line(result.scenario),
                base=result.base,
                change=result.change,
                splats=[clean.line(each) for each in result.splats],
                tries=list(result.tries),
                quarantined=clean.line(result.quarantined),
                trend=str(line.trend),
                since=line.since,
                evidence=_evidence(cell, result),
                culprit=line.bisected.culprit if line.bisected else "",
            )
        },
    )


def path(*parts: str) -> str:
    """A place in the tree of tests: words of letters, digits, _ and - with dots between them."""
    words = (re.sub("[^a-zA-Z0-9_-]", "_", word) for part in parts for word in part.split("."))
    return ".".join(word for word in words if word)


def _broken(lines: Sequence[Line]) -> str:
    """The log of the build that failed, so that nothing ran; empty when it did not."""
    evidence = {line.result.evidence for line in lines}
    only = next(iter(evidence)) if len(evidence) == 1 else ""
    return only if only.endswith(".log") else ""


def _story(result: Result) -> str:
    """Why it failed, and the end of its console."""
    told = "\n".join(filter(None, (result.reason, *result.splats)))
    return _excerpt(f"{told}\n\n{logs.tail(result.evidence, limit=_EXCERPT - len(told) - 2)}".strip("\n"))


def _excerpt(text: str) -> str:
    shown = "\n".join(clean.lines(text))
    return shown if len(shown) <= _EXCERPT else "[...]\n" + shown[6 - _EXCERPT :].partition("\n")[2]


def _evidence(cell: Cell, result: Result) -> str:
    """Its folder, from that of the runs on: where the host keeps them is nobody else's concern."""
    run = Path(cell.folder)
    if cell.folder and Path(result.evidence).is_relative_to(run):
        return str(Path(run.name, Path(result.evidence).relative_to(run)))
    return Path(result.evidence).name if result.evidence else ""


def _address(cell: Cell, result: Result, names: Names) -> str:
    evidence = _evidence(cell, result)
    return f"{names.logs.rstrip('/')}/{evidence}/{logs.CONSOLE}" if names.logs and evidence else ""


def _said(**values: object) -> dict[str, Any]:
    """Without what is not known: the form has no nulls, and gives a meaning to what is there only."""
    return dict(_known(values))


def _known(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if name in ("patchset_hash", "valid") or (value is not None and value != "" and value != [] and value != {}):
            yield name, value
