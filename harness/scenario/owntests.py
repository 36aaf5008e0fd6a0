"""Tests that the guest carries out itself, read over the agent's channel: printk cannot break what comes so."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.model import Outcome
from harness.scenario.language import Plain
from harness.scenario.link import Clock, GuestLink
from harness.scenario.schema import OwnTests, Suite
from harness.scenario.steps import Limits, StepFailed, StepRunner
from harness.verdict import cases, ktap

_PIECE = 8192  # bytes of one read; a reply's bound


def run_own_tests(
    suite: Suite,
    tests: OwnTests,
    guest: GuestLink,
    clock: Clock,
    *,
    scale: float,
    behaviours: Mapping[str, Plain],
    folder: Path,
) -> tuple[Outcome, ...]:
    """Carry out the suite's set-up, then read what the tests reported; each text is kept in ``folder``.

    Nothing when the guest has no such tests. Raises what the guest raises, StepFailed and AgentRefused.
    """
    limits = Limits(suite.spec.defaults.deadline, suite.spec.defaults.limit, scale)
    StepRunner(guest, clock, limits, behaviours, guest.mark(), suite.spec).run(suite.spec.setup)
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Outcome] = []
    for label, text in _texts(tests, guest, suite.spec.defaults.deadline * scale):
        kept = folder / f"{label.replace('/', '-')}.ktap"
        kept.write_text(text)
        found += cases.outcomes(label, ktap.parse(text), kept)
    return tuple(found)


def _texts(tests: OwnTests, guest: GuestLink, deadline: float) -> Iterator[tuple[str, str]]:
    """The texts that there are, in order, each with what tells it from the others."""
    for pattern in tests.files:
        for path in _expand(pattern, guest, deadline):
            text = _read(path, tests.limit, guest, deadline)
            if text is not None:
                yield label(pattern, path), text


def label(pattern: str, path: str) -> str:
    """What the wildcards of ``pattern`` stand for in ``path``; the file's name without suffix if there are none."""
    found = _regex(pattern).fullmatch(path)
    return "/".join(found.groups()) if found and found.groups() else posixpath.basename(path).split(".")[0]


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile("([^/]*)".join(map(re.escape, pattern.split("*"))))


def _expand(pattern: str, guest: GuestLink, deadline: float) -> tuple[str, ...]:
    """Paths that fit ``pattern`` as far as its last wildcard; whether a file is there shows when it is read."""
    paths = ["/"]
    for part in pattern.strip("/").split("/"):
        if "*" not in part:
            paths = [posixpath.join(path, part) for path in paths]
            continue
        wanted = _regex(part)
        paths = [
            posixpath.join(path, name)
            for path in paths
            for name in _names(path, guest, deadline)
            if wanted.fullmatch(name)
        ]
    return tuple(paths)


def _names(folder: str, guest: GuestLink, deadline: float) -> Sequence[str]:
    names: list[str] = []
    more = True
    while more:
        reply = guest.call("list_folder", {"path": folder, "offset": len(names)}, deadline=deadline)
        if reply.get("ret", -1) < 0 or not reply["count"]:
            break
        names += reply["names"].split("/")
        more = reply["more"]
    return names


def _read(path: str, limit: int, guest: GuestLink, deadline: float) -> str | None:
    """The file's text; None when it cannot be read. Raises StepFailed above ``limit`` bytes."""
    text = b""
    more = True
    while more:
        if len(text) >= limit:
            # Cut, it would look like tests that have no result.
            raise StepFailed(f"{path} is longer than {limit} bytes: raise 'limit' under 'ktap' in suite.yaml")
        reply = guest.call("read_file", {"path": path, "offset": len(text), "limit": _PIECE}, deadline=deadline)
        if reply.get("ret", -1) < 0:
            return None if not text else text.decode(errors="replace")
        text += reply["text"].encode("latin-1")  # each byte comes as the character of its number
        more = reply["more"]
    return text.decode(errors="replace")
