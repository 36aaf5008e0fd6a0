"""The file of ``kph nightly``: trees, series, matrix, budget, what to do on a regression, where results go."""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from harness.errors import UserError
from harness.scenario import yamlfile
from harness.scenario.language import Plain, Strict, Words
from harness.scenario.load import validated
from harness.scenario.yamlfile import Document, Problem

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(min|h|d)")
_UNIT = {"min": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(value: object) -> float:
    """``90min``, ``6h`` or ``60d``, in seconds. Raises ValueError."""
    found = _DURATION.fullmatch(str(value).strip())
    if found is None:
        raise ValueError("a time is written as 90min, 6h or 60d")
    return float(found[1]) * _UNIT[found[2]]


Duration = Annotated[float, BeforeValidator(_duration)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_Text = Annotated[str, Field(min_length=1)]


class TreeEntry(Strict):
    """A kernel tree, looked at anew each night."""

    tree: _Text  # a git checkout or bare repository, a folder, a tarball, debian:X.Y; with remote: where to clone it
    branch: str = ""  # of a git repository; default its HEAD
    remote: str = ""  # fetched into ``tree`` each night, which is made when it is missing


class SeriesEntry(Strict):
    """Patches on top of trees."""

    series: Words  # as of --series, in order
    trees: tuple[str, ...] = ()  # names; default all


class QuarantineEntry(Strict):
    """Scenarios whose failures are known: shown, and not counted, until a day."""

    scenario: _Text  # with wildcards
    reason: _Text
    until: datetime.date  # last day
    tree: str = "*"
    target: str = "*"
    flavour: str = "*"
    link: str = ""


class OnRegression(Strict):
    """What happens when a scenario fails that passed the last time."""

    retry: Annotated[int, Field(ge=0, le=10)] = 2  # runs more, which tell a flaky one
    bisect: bool = True  # between the commit that was good last and the present one, of a git tree
    budget: Duration = 7200.0  # for all bisections of one night


class Mail(Strict):
    """A summary as mail."""

    to: Words
    sender: _Text
    sendmail: bool = False  # hand it to sendmail; else it is written to ``file`` alone
    file: Path | None = None
    tester: str = ""  # Name <mail> for Tested-by: lines; without it there are none


class Webhook(Strict):
    """A POST with a signed body."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    secret_file: Path | None = None  # readable by its owner alone; without it, KPH_WEBHOOK_SECRET has the secret


class Out(Strict):
    """Where results go; relative paths are beside the file."""

    site: Path | None = None  # folder of the pages
    kcidb: Path | None = None
    kcidb_origin: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = "kph"
    junit: Path | None = None
    b4: Path | None = None
    mail: Mail | None = None
    webhook: Webhook | None = None


class Keep(Strict):
    """What `kph gc` leaves after each night."""

    runs: Duration | None = None  # evidence of runs
    cache_gib: float | None = None


class NightlyFile(Strict):
    """The whole file."""

    name: _Name  # of its nights in the history
    trees: Annotated[Mapping[_Name, TreeEntry], Field(min_length=1)]
    series: Mapping[_Name, SeriesEntry] = {}
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("x86_64-vtd",)
    flavours: Annotated[tuple[str, ...], Field(min_length=1)] = ("base",)
    suites: Annotated[tuple[str, ...], Field(min_length=1)] = ("sva",)
    scenarios: tuple[str, ...] = ()  # as of --scenario
    expect: Mapping[str, Plain] = {}  # as of --expect
    channel: str = "serial"
    jobs: Annotated[int, Field(ge=1, le=64)] | None = None
    sandbox: bool = True  # builds are confined: nobody watches what a tree's Makefiles do at night
    budget: Duration = 10 * 3600.0  # of one night, bisections apart
    quarantine: tuple[QuarantineEntry, ...] = ()
    on_regression: OnRegression = OnRegression()
    out: Out = Out()
    keep: Keep = Keep()

    def quarantined(self, tree: str, target: str, flavour: str, scenario: str, today: datetime.date) -> str:
        """Why a failure there does not count today; empty when it does."""
        for entry in self.quarantine:
            pairs = ((tree, entry.tree), (target, entry.target), (flavour, entry.flavour), (scenario, entry.scenario))
            if today <= entry.until and all(fnmatch.fnmatchcase(*pair) for pair in pairs):
                return f"{entry.reason} (until {entry.until})"
        return ""

    def expired(self, today: datetime.date) -> tuple[str, ...]:
        """What is said of entries whose day is over."""
        return tuple(
            f"the quarantine of {entry.scenario} ended on {entry.until}: {entry.reason}"
            for entry in self.quarantine
            if entry.until < today
        )


def load(file: Path) -> NightlyFile:
    """The file, its relative paths made absolute. Raises UserError with everything that is wrong in it, by line."""
    problems: list[Problem] = []
    read = yamlfile.read(file)
    if isinstance(read, Problem):
        problems.append(read)
    else:
        found = validated(read, NightlyFile, problems)
        if found is not None:
            problems += _check(read, found)
            if not problems:
                return _absolute(found, file.resolve().parent)
    told = "\n".join(map(str, sorted(set(problems))))
    raise UserError(told, "docs/nightly.md describes the file; examples/nightly.yaml is one")


def _check(document: Document, found: NightlyFile) -> list[Problem]:
    """What a schema cannot say."""
    problems = [
        document.problem(("series", name, "trees", at), f"there is no tree {tree!r}; known: {', '.join(found.trees)}")
        for name, entry in found.series.items()
        for at, tree in enumerate(entry.trees)
        if tree not in found.trees
    ]
    problems += [
        document.problem(("trees", name, "branch"), "a debian: tree has no branches")
        for name, entry in found.trees.items()
        if entry.tree.startswith("debian:") and (entry.branch or entry.remote)
    ]
    return problems


def _absolute(found: NightlyFile, beside: Path) -> NightlyFile:
    def path(value: Path | None) -> Path | None:
        return beside / value.expanduser() if value is not None else None

    out = found.out
    mail = out.mail.model_copy(update={"file": path(out.mail.file)}) if out.mail else None
    hook = out.webhook.model_copy(update={"secret_file": path(out.webhook.secret_file)}) if out.webhook else None
    forms = {name: path(getattr(out, name)) for name in ("site", "kcidb", "junit", "b4")}
    trees = {name: _placed(entry, beside) for name, entry in found.trees.items()}
    series = {
        name: entry.model_copy(update={"series": tuple(_beside(word, beside) for word in entry.series)})
        for name, entry in found.series.items()
    }
    more = {"trees": trees, "series": series, "out": out.model_copy(update={**forms, "mail": mail, "webhook": hook})}
    return found.model_copy(update=more)


def _placed(entry: TreeEntry, beside: Path) -> TreeEntry:
    if entry.tree.startswith("debian:"):
        return entry
    return entry.model_copy(update={"tree": str(beside / Path(entry.tree).expanduser())})


def _beside(word: str, beside: Path) -> str:
    """A series that is a file or folder beside the nightly file; anything else as it is (A..B, b4:...)."""
    place = beside / Path(word).expanduser()
    return str(place) if place.exists() else word
