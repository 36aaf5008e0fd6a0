"""Tests that the guest carries out itself, read over the agent's channel: printk cannot break what comes so."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.model import Outcome
from harness.scenario.language import Plain
from harness.scenario.link import Clock, GuestLink, GuestTimeout
from harness.scenario.schema import Carried, OwnTests, Suite
from harness.scenario.steps import Limits, StepFailed, StepRunner
from harness.verdict import cases, ktap
from harness.verdict.ktap import Report

_PIECE = 8192  # bytes of one read; a reply's bound
_LOOK = 0.25  # seconds between two looks at what a program has printed
_PROGRAMS = "/programs"  # folder of the guest
_PRINTED = "/tmp"
_HARMLESS = (0, 4)  # exit statuses when no test failed: kselftest's "pass" and "skip"


class OwnTestsRun:
    """One suite's tests on one guest. What is known when the guest is lost stays in ``found``."""

    def __init__(
        self,
        suite: Suite,
        tests: OwnTests,
        guest: GuestLink,
        clock: Clock,
        *,
        scale: float,
        behaviours: Mapping[str, Plain],
        folder: Path,
    ) -> None:
        """Each text is kept in ``folder``; ``scale`` multiplies every limit (a slow guest)."""
        self._suite, self._tests, self._guest, self._clock = suite, tests, guest, clock
        self._scale, self._behaviours, self._folder = scale, behaviours, folder
        self._deadline = suite.spec.defaults.deadline * scale
        self.found: list[Outcome] = []
        self.label = ""  # of the text that is being made; empty before the first
        self.at = ""  # how far it is

    def run(self, carried: Carried | None = None) -> None:
        """Carry out the suite's set-up, then the program, or read what the kernel's tests reported.

        Raises what the guest raises, StepFailed and AgentRefused.
        """
        spec = self._suite.spec
        limits = Limits(spec.defaults.deadline, spec.defaults.limit, self._scale)
        StepRunner(self._guest, self._clock, limits, self._behaviours, self._guest.mark(), spec).run(spec.setup)
        self._folder.mkdir(parents=True, exist_ok=True)
        if carried is not None:
            self._carry_out(carried)
            return
        for name, text in _texts(self._tests, self._guest, self._deadline):
            self.found += cases.outcomes(name, ktap.parse(text), self._kept(name, text))

    def _kept(self, name: str, text: str) -> Path:
        file = self._folder / f"{name.replace('/', '-')}.ktap"
        file.write_text(text)
        return file

    # --- programs -----------------------------------------------------------------
    def _carry_out(self, carried: Carried) -> None:
        self.label = name = carried.program
        growing = _Growing(f"{_PRINTED}/{name}.ktap", self._tests.limit, self._guest, self._deadline)
        try:
            ended = self._watch(carried, growing)
        except BaseException:
            report = ktap.parse(growing.text)
            # Tests that have their result keep it; the text as a whole has none.
            self.found += cases.outcomes(name, report, self._kept(name, growing.text))[1:]
            self.at = f"{name} had told {len(report.tests)} results or more, the last line read: {growing.last_line!r}"
            raise
        report = ktap.parse(growing.text)
        why = _ended_badly(report, ended)
        if why:
            report = dataclasses.replace(report, problems=(why, *report.problems))
        self.found += cases.outcomes(name, report, self._kept(name, growing.text))

    def _watch(self, carried: Carried, growing: _Growing) -> Mapping[str, object]:
        """The agent's word on the program's end; meanwhile, what it prints is read."""
        args = {"path": f"{_PROGRAMS}/{carried.program}", "args": carried.args, "out": growing.path}
        token = self._guest.begin("run_program", args, actor=carried.program)
        limit, heard = carried.silence * self._scale, self._clock.now()
        while True:
            try:
                reply = self._guest.finish(token, _LOOK)
            except GuestTimeout:
                if growing.read():
                    heard = self._clock.now()
                if self._clock.now() - heard > limit:
                    raise GuestTimeout(f"{carried.program} has printed nothing for {limit:.0f} s") from None
                continue
            growing.read()
            if reply.get("died") or reply.get("ret", -1) < 0:
                raise StepFailed(f"{carried.program} does not run: {reply.get('error') or reply.get('errno')}")
            return reply


class _Growing:
    """A file of the guest that grows while it is read."""

    def __init__(self, path: str, limit: int, guest: GuestLink, deadline: float) -> None:
        self.path, self._limit, self._guest, self._deadline = path, limit, guest, deadline
        self._bytes = b""

    @property
    def text(self) -> str:
        return self._bytes.decode(errors="replace")

    @property
    def last_line(self) -> str:
        lines = self.text.strip().splitlines()
        return lines[-1].strip() if lines else ""

    def read(self) -> bool:
        """Whether there was more. Raises StepFailed above the limit."""
        before = len(self._bytes)
        more = True
        while more:
            if len(self._bytes) >= self._limit:
                # Cut, it would look like tests that have no result.
                raise StepFailed(f"{self.path} is longer than {self._limit} bytes: raise 'limit' in suite.yaml")
            where = {"path": self.path, "offset": len(self._bytes), "limit": _PIECE}
            reply = self._guest.call("read_file", where, deadline=self._deadline)
            if reply.get("ret", -1) < 0:
                break
            self._bytes += reply["text"].encode("latin-1")  # each byte comes as the character of its number
            more = reply["more"]
        return len(self._bytes) > before


def _ended_badly(report: Report, ended: Mapping[str, object]) -> str:
    """What the program's end says that its text does not."""
    if "ended_by" in ended:
        return f"{ended['ended_by']} ended the program"
    quiet = not ktap.failed(report.tests) and not report.problems
    if quiet and ended.get("status") not in _HARMLESS:
        return f"no test failed, but the program ended with status {ended.get('status')}"
    return ""


# --- texts that are there -----------------------------------------------------------
def _texts(tests: OwnTests, guest: GuestLink, deadline: float) -> Iterator[tuple[str, str]]:
    """The texts that there are, in order, each with what tells it from the others."""
    for pattern in tests.files:
        for path in _expand(pattern, guest, deadline):
            growing = _Growing(path, tests.limit, guest, deadline)
            if growing.read() or _is_there(path, guest, deadline):
                yield label(pattern, path), growing.text


def _is_there(path: str, guest: GuestLink, deadline: float) -> bool:
    return bool(guest.call("read_file", {"path": path, "offset": 0, "limit": 1}, deadline=deadline)["ret"] == 0)


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
