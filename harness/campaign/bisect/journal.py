"""What a bisection found out, one line of JSON for each event, so that nothing but the step under way can be lost.

The same journal, read again, leads to the same next step: ``kph bisect --resume``
is a bisection that begins with the answers of the one before. It is also written
as a log that ``git bisect replay`` takes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.campaign.bisect.signature import Mark, Signature
from harness.errors import UserError

NAME = "journal.jsonl"
_VERSION = 1


@dataclass(frozen=True)
class Trial:
    """What came of one commit, or of one with something done to it."""

    name: str  # what was tested: a commit id, or one with a word in front for what was done to it (revert:ID)
    mark: Mark
    reason: str  # in one line; empty when it is good
    shown: int = 0  # runs with the symptom
    hidden: int = 0  # runs without it
    identity: str = ""  # tells the image and the module from others; empty when it was not built
    built: bool = False  # a kernel was built for it, or that failed
    shared: str = ""  # what was tested with the very same image, whose result this is
    kept: bool = False  # every run of it was made by an earlier bisection or run
    seconds: float = 0.0  # wall time, building and all
    build_seconds: float = 0.0  # of that, until there was a kernel and all that its guest needs
    evidence: str = ""  # folder, below that of the bisection, or absolute
    believed: bool = False  # somebody else says so, and it was not tested


@dataclass(frozen=True)
class Ends:
    """The range."""

    old: str  # commit id of the older end, which the user named
    new: str  # the newer one
    base: (
        str  # where the history to be searched begins: ``old``, or the commit at which its branch left that of ``new``
    )


@dataclass(frozen=True)
class Finding:
    """One point of the proof."""

    what: str  # in words
    held: bool | None  # None: it could not be tried
    why: str = ""  # what came, in one line


_TESTS: TypeAdapter[Trial] = TypeAdapter(Trial)
_ENDS: TypeAdapter[Ends] = TypeAdapter(Ends)
_SIGNATURES: TypeAdapter[Signature] = TypeAdapter(Signature)
_FINDINGS: TypeAdapter[Finding] = TypeAdapter(Finding)


class Journal:
    """The journal in ``folder``; what was in it already is there to be read.

    Only the one that carries the bisection out may write, and takes away what a crash has cut short.
    """

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        """Raises UserError when the journal there is of another version of kph."""
        self._file, self._write = folder / NAME, write
        self.request: Mapping[str, Any] = {}  # what the user asked for, as it was typed
        self.ends: Ends | None = None
        self.signature: Signature | None = None
        self.tests: dict[str, Trial] = {}  # by name; runs on one commit are added up
        self.order: list[Trial] = []  # every event, as it happened
        self.findings: dict[str, Finding] = {}
        self.seconds = 0.0  # of the bisections before this one
        self.over = False
        for event in events(self._file, repair=write):
            self._take(event)

    def begin(self, request: Mapping[str, Any]) -> None:
        """Keep what was asked for."""
        self._add({"event": "begin", "version": _VERSION, "request": dict(request)})

    def set_ends(self, ends: Ends) -> None:
        self._add({"event": "ends", **_ENDS.dump_python(ends)})

    def lock(self, signature: Signature, *tests: Trial) -> None:
        """From here on, this is what counts as bad; ``tests`` of the ends are kept with it, or nothing is."""
        told = [_TESTS.dump_python(test, mode="json") for test in tests]
        self._add({"event": "signature", **_SIGNATURES.dump_python(signature, mode="json"), "tests": told})

    def test(self, test: Trial) -> None:
        self._add({"event": "test", **_TESTS.dump_python(test, mode="json")})

    def find(self, finding: Finding) -> None:
        self._add({"event": "finding", **_FINDINGS.dump_python(finding)})

    def spent(self, seconds: float, *, over: bool) -> None:
        """``seconds`` of work came to their end; ``over``: so did the bisection."""
        self._add({"event": "end" if over else "pause", "seconds": round(seconds, 1)})

    def _add(self, event: dict[str, Any]) -> None:
        """Keep it on disk before anything is built on it."""
        assert self._write, "this journal is only read"
        with self._file.open("ab") as sink:
            sink.write(json.dumps(event).encode() + b"\n")
            sink.flush()
            os.fsync(sink.fileno())
        self._take(event)

    def _take(self, event: Mapping[str, Any]) -> None:
        body = {name: value for name, value in event.items() if name != "event"}
        kind = event["event"]
        if kind == "begin":
            if body["version"] != _VERSION:
                raise UserError(f"{self._file} was written by another version of kph", "begin a new bisection")
            self.request = body["request"]
        elif kind == "ends":
            self.ends = _ENDS.validate_python(body)
        elif kind == "signature":
            tests = body.pop("tests")
            self.signature = _SIGNATURES.validate_python(body)
            for test in tests:
                self._count(_TESTS.validate_python(test))
        elif kind == "test":
            self._count(_TESTS.validate_python(body))
        elif kind == "finding":
            finding = _FINDINGS.validate_python(body)
            self.findings[finding.what] = finding
        elif kind in ("pause", "end"):
            self.seconds += body["seconds"]
            self.over = kind == "end"

    def _count(self, test: Trial) -> None:
        self.order.append(test)
        before = self.tests.get(test.name)
        # What was only believed does not count beside what was seen.
        self.tests[test.name] = test if before is None or before.believed else joined(before, test)


def joined(before: Trial, test: Trial) -> Trial:
    """All runs on one commit as one: the symptom, once seen, stays."""
    worst = before if before.mark is Mark.BAD else test
    return Trial(
        test.name,
        worst.mark,
        worst.reason,
        before.shown + test.shown,
        before.hidden + test.hidden,
        test.identity or before.identity,
        before.built or test.built,
        before.shared or test.shared,
        before.kept and test.kept,
        before.seconds + test.seconds,
        before.build_seconds + test.build_seconds,
        worst.evidence,
    )


def events(file: Path, *, repair: bool = False) -> list[dict[str, Any]]:
    """The whole events of a journal.

    A last line that is not whole was cut short by a crash, or is being written: it does not count, and ``repair`` takes
    it away.
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return []
    whole, _, torn = raw.rpartition(b"\n")
    if torn and repair:
        os.truncate(file, len(raw) - len(torn))
    found: list[dict[str, Any]] = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise UserError(f"{file}, line {number} is damaged: {error}", "begin a new bisection") from error
    return found


def git_log(journal: Journal, subjects: Mapping[str, str], *, mends: bool, culprit: str = "") -> str:
    """What was found, as ``git bisect replay`` takes it. ``subjects``: of the commits."""
    words = {Mark.BAD: "broken", Mark.GOOD: "fixed"} if mends else {Mark.BAD: "bad", Mark.GOOD: "good"}
    lines = ["git bisect start" + (" '--term-new=fixed' '--term-old=broken'" if mends else "")]
    for test in _of_commits(journal):
        word = words.get(test.mark, "skip")
        lines += [f"# {word}: [{test.name}] {subjects.get(test.name, '')}".rstrip()]
        if word == "skip":
            lines.append(f"# {' '.join(test.reason.split())}")
        lines.append(f"git bisect {word} {test.name}")
    if culprit:
        lines.append(f"# first {'fixed' if mends else 'bad'} commit: [{culprit}] {subjects.get(culprit, '')}".rstrip())
    return "\n".join(lines) + "\n"


def _of_commits(journal: Journal) -> Iterable[Trial]:
    return (test for test in journal.tests.values() if ":" not in test.name)


def read_git_log(text: str, *, mends: bool) -> dict[str, Mark]:
    """Commit -> what a ``git bisect log`` says of it. Raises UserError when it says nothing.

    Its terms are those of `git bisect`: bad, new or --term-new is the state of the newer end, which with ``mends`` is
    the one without the failure.
    """
    older, newer = (Mark.BAD, Mark.GOOD) if mends else (Mark.GOOD, Mark.BAD)
    words = {"good": older, "old": older, "bad": newer, "new": newer, "skip": Mark.SKIP}
    for kind, term in re.findall(r"--term-(\w+)[= ]'?([^\s']+)", text):
        words[term] = older if kind in ("old", "good") else newer
    found: dict[str, Mark] = {}
    for line in text.splitlines():
        parts = line.split()
        if parts[:2] == ["git", "bisect"] and len(parts) >= 4 and parts[2] in words:
            found |= {name: words[parts[2]] for name in parts[3:]}
    if not found:
        raise UserError("there is no result in this git bisect log", "it has lines such as: git bisect good COMMIT")
    return found
