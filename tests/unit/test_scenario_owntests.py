"""Tests that the guest carries out itself: finding and reading the texts over the agent's protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.model import Outcome, Status
from harness.scenario import load
from harness.scenario.link import GuestLost, GuestTimeout, TraceEvent
from harness.scenario.owntests import OwnTestsRun, label
from harness.scenario.run import SystemClock
from harness.scenario.schema import Carried, OwnTests
from harness.scenario.steps import StepFailed

KUNIT = "/sys/kernel/debug/kunit"
PASSES = "KTAP version 1\n1..1\nok 1 {}\n"


class Guest:
    """A guest that is nothing but files; replies are as small as the agent's."""

    def __init__(self, files: Mapping[str, bytes], lost_at: str = "") -> None:
        self._files, self._lost_at = files, lost_at
        self.facts: Mapping[str, Any] = {}
        self.asked: list[str] = []

    def call(
        self, op: str, args: Mapping[str, object] | None = None, actor: str | None = None, deadline: float = 1.0
    ) -> Mapping[str, Any]:
        found: dict[str, Any] = {**(args or {})}
        self.asked.append(f"{op} {found['path']}")
        if found["path"] == self._lost_at:
            raise GuestLost("kernel panic: Oops")
        return self._folder(found) if op == "list_folder" else self._file(found)

    def _folder(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        start = args["path"].rstrip("/") + "/"
        inside = sorted({name[len(start) :].split("/")[0] for name in self._files if name.startswith(start)})
        if not inside:
            return {"ret": -2, "errno": "ENOENT"}
        names = inside[args["offset"] :][:3]
        more = len(inside) > args["offset"] + 3
        return {"ret": 0, "names": "/".join(names), "count": len(names), "more": more}

    def _file(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if args["path"] not in self._files:
            return {"ret": -2, "errno": "ENOENT"}
        rest = self._files[args["path"]][args["offset"] :]
        piece = rest[: args["limit"]]
        return {"ret": 0, "text": piece.decode("latin-1"), "bytes": len(piece), "more": len(rest) > len(piece)}

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        raise AssertionError("nothing is begun")

    def finish(self, token: int, deadline: float) -> Mapping[str, Any]:
        raise AssertionError("nothing is begun")

    def mark(self) -> Any:
        return 0

    def trace(self, since: Any) -> Sequence[TraceEvent]:
        return ()

    def console_since(self, since: Any) -> str:
        return ""

    def hardware(self) -> Sequence[Mapping[str, Any]]:
        return ()


def _run(guest: Guest, folder: Path, pattern: str = f"{KUNIT}/*/results", limit: int = 1 << 20) -> tuple[Outcome, ...]:
    tests = OwnTests(files=(pattern,), limit=limit, missing="nothing")
    suite = load.load_suite("kunit")
    own = OwnTestsRun(suite, tests, guest, SystemClock(), scale=1.0, behaviours={}, folder=folder)
    own.run()
    return tuple(own.found)


def test_every_text_is_read_and_kept(tmp_path: Path) -> None:
    names = [f"suite-{number}" for number in range(7)]
    guest = Guest(
        {f"{KUNIT}/{name}/{file}": PASSES.format(name).encode() for name in names for file in ("results", "run")}
    )
    outcomes = _run(guest, tmp_path)
    assert [(each.scenario, each.status) for each in outcomes] == [(name, Status.PASS) for name in names]
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}.ktap" for name in names]
    assert not any("/run" in each for each in guest.asked)


def test_a_long_text_comes_in_pieces(tmp_path: Path) -> None:
    lines = [f"    ok {number} case_{number} # " + "ü" * 50 for number in range(1, 1001)]
    text = "\n".join(["KTAP version 1", "1..1", "    KTAP version 1", "    1..1000", *lines, "ok 1 long", ""])
    outcomes = _run(Guest({f"{KUNIT}/long/results": text.encode()}), tmp_path)
    assert len(outcomes) == 1001 and {each.status for each in outcomes} == {Status.PASS}
    assert (tmp_path / "long.ktap").read_text() == text


def test_a_text_above_the_limit_is_told_as_such_and_is_no_result(tmp_path: Path) -> None:
    text = "\n".join(["KTAP version 1", "1..2000", *(f"ok {number} case_{number}" for number in range(1, 2001))])
    with pytest.raises(StepFailed, match="long/results is longer than 10000 bytes: raise 'limit'"):
        _run(Guest({f"{KUNIT}/long/results": text.encode()}), tmp_path, limit=10000)


def test_no_text_is_no_outcome(tmp_path: Path) -> None:
    assert _run(Guest({}), tmp_path) == ()
    assert _run(Guest({f"{KUNIT}/suite/other": b""}), tmp_path) == ()


def test_an_empty_text_is_a_failure(tmp_path: Path) -> None:
    assert [each.status for each in _run(Guest({f"{KUNIT}/s/results": b""}), tmp_path)] == [Status.FAIL]


def test_a_guest_that_dies_meanwhile_is_not_taken_for_one_without_tests(tmp_path: Path) -> None:
    files = {f"{KUNIT}/{name}/results": PASSES.format(name).encode() for name in ("a", "b")}
    with pytest.raises(GuestLost):
        _run(Guest(files, lost_at=f"{KUNIT}/b/results"), tmp_path)


@pytest.mark.parametrize(
    ("pattern", "path", "name"),
    [
        (f"{KUNIT}/*/results", f"{KUNIT}/a.b/results", "a.b"),
        ("/run/ktap/*.ktap", "/run/ktap/iommu.fd.ktap", "iommu.fd"),
        ("/run/*/x/*.ktap", "/run/a/x/b.ktap", "a/b"),
        ("/run/all.ktap", "/run/all.ktap", "all"),
        ("/run/all", "/run/all", "all"),
    ],
)
def test_a_text_is_named_by_what_the_wildcards_stand_for(pattern: str, path: str, name: str) -> None:
    assert label(pattern, path) == name


def test_the_suite_of_the_kernels_own_tests() -> None:
    suite = load.load_suite("kunit")
    assert suite.spec.ktap is not None and suite.spec.flavour == "kunit"
    assert suite.scenarios == () and suite.modules == () and suite.spec.roles == {}
    assert load.select(suite, ["anything*"]) == ()
    assert {"read_file", "list_folder"} <= set(suite.operations)


# --- programs -------------------------------------------------------------------------
TAP = """\
TAP version 13
1..3
#  RUN           fd.open ...
#            OK  fd.open
ok 1 fd.open
#  RUN           fd.map ...
# fd.c:12:map:Expected 0 (0) == errno (22)
not ok 2 fd.map
#  RUN           fd.huge ...
ok 3 fd.huge # SKIP no huge pages
"""


class Running(Guest):
    """A guest in which a program prints ``pieces``, one at each look, and then ends as ``end`` says."""

    def __init__(self, pieces: Sequence[str], end: Mapping[str, Any] | Exception | None) -> None:
        super().__init__({})
        self._pieces, self._end, self._time = list(pieces), end, 0.0
        self.begun: list[tuple[str, Mapping[str, object], str | None]] = []

    def now(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        raise AssertionError("its looks are its pauses")

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        self.begun.append((op, args, actor))
        return 7

    def finish(self, token: int, deadline: float) -> Mapping[str, Any]:
        assert token == 7
        self._time += deadline
        path = str(self.begun[0][1]["out"])
        if self._pieces:
            self._files = {path: self._files.get(path, b"") + self._pieces.pop(0).encode()}
            if self._pieces or self._end is None:
                raise GuestTimeout("not yet")
        if self._end is None:
            raise GuestTimeout("never")
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


def _program(folder: Path, guest: Running, scale: float = 1.0) -> OwnTestsRun:
    suite = load.load_suite("iommufd")
    suite = dataclasses.replace(suite, spec=suite.spec.model_copy(update={"setup": ()}))
    assert suite.spec.ktap is not None
    return OwnTestsRun(suite, suite.spec.ktap, guest, guest, scale=scale, behaviours={}, folder=folder)


def _carried(folder: Path, *pieces: str, end: Mapping[str, Any] | Exception | None) -> dict[str, tuple[Status, str]]:
    own = _program(folder, Running(pieces, end))
    own.run(Carried(program="fd", args="-v"))
    return {each.scenario: (each.status, each.reason) for each in own.found}


@pytest.mark.parametrize("size", [1, 40, len(TAP)])
def test_what_a_program_prints_is_read_while_it_runs(tmp_path: Path, size: int) -> None:
    pieces = [TAP[at : at + size] for at in range(0, len(TAP), size)]
    found = _carried(tmp_path, *pieces, end={"ret": 0, "status": 1})
    assert found == {
        "fd": (Status.FAIL, "1 of 3 tests failed"),
        "fd/fd.open": (Status.PASS, ""),
        "fd/fd.map": (Status.FAIL, "RUN           fd.map ... fd.c:12:map:Expected 0 (0) == errno (22)"),
        "fd/fd.huge": (Status.SKIP, "no huge pages"),
    }
    assert (tmp_path / "fd.ktap").read_text() == TAP


def test_the_agent_is_asked_for_the_program_by_an_actor_of_its_name(tmp_path: Path) -> None:
    guest = Running([TAP], {"ret": 0, "status": 1})
    _program(tmp_path, guest).run(Carried(program="fd", args="-v"))
    ((op, args, actor),) = guest.begun
    assert (op, actor) == ("run_program", "fd")
    assert args == {"path": "/programs/fd", "args": "-v", "out": "/tmp/fd.ktap"}


@pytest.mark.parametrize(
    ("text", "end", "reason"),
    [
        (PASSES, {"ended_by": "SIGSEGV"}, "SIGSEGV ended the program"),
        (PASSES, {"status": 1}, "no test failed, but the program ended with status 1"),
        (TAP[: TAP.index("not ok 2")], {"status": 1}, "the plan says 3 tests, 1 have a result"),
        (
            TAP[: TAP.index("not ok 2")],
            {"ended_by": "SIGKILL"},
            "SIGKILL ended the program; the plan says 3 tests, 1 have a result",
        ),
        ("", {"status": 127}, "there is no version line"),
    ],
)
def test_an_end_that_the_text_does_not_tell_fails_the_whole(
    tmp_path: Path, text: str, end: Mapping[str, Any], reason: str
) -> None:
    found = _carried(tmp_path, text, end={"ret": 0, **end})
    assert found["fd"][0] is Status.FAIL and reason in found["fd"][1]
    assert all(status is Status.PASS for name, (status, _) in found.items() if name != "fd")


@pytest.mark.parametrize("status", [0, 4])
def test_a_good_end_adds_nothing(tmp_path: Path, status: int) -> None:
    found = _carried(tmp_path, "TAP version 13\n1..1\nok 1 a\n", end={"ret": 0, "status": status})
    assert found == {"fd": (Status.PASS, ""), "fd/a": (Status.PASS, "")}


def test_a_crash_leaves_the_results_before_it_and_says_where_it_was(tmp_path: Path) -> None:
    text = TAP[: TAP.index("# fd.c:12")]
    own = _program(tmp_path, Running([text, ""], GuestLost("kernel panic: Oops")))
    with pytest.raises(GuestLost):
        own.run(Carried(program="fd"))
    assert [(each.scenario, each.status) for each in own.found] == [("fd/fd.open", Status.PASS)]
    assert (own.label, own.at) == (
        "fd",
        "fd had told 1 results or more, the last line read: '#  RUN           fd.map ...'",
    )
    assert (tmp_path / "fd.ktap").read_text() == text


@pytest.mark.parametrize(("scale", "looks"), [(1.0, 5), (3.0, 15)])
def test_silence_is_a_hang_and_a_slow_guest_may_be_silent_longer(tmp_path: Path, scale: float, looks: int) -> None:
    guest = Running([TAP[:60], *[""] * 3, TAP[60:100]], None)
    own = _program(tmp_path, guest, scale)
    with pytest.raises(GuestTimeout, match=f"fd has printed nothing for {looks} s"):
        own.run(Carried(program="fd", silence=5.0))
    assert guest.now() == 5 * 0.25 + looks + 0.25, "what it printed meanwhile counts"


def test_a_program_that_cannot_start_is_no_result(tmp_path: Path) -> None:
    own = _program(tmp_path, Running([], {"ret": -2, "errno": "ENOENT"}))
    with pytest.raises(StepFailed, match="fd does not run: ENOENT"):
        own.run(Carried(program="fd"))


def test_a_program_that_prints_without_end_is_stopped(tmp_path: Path) -> None:
    guest = Running(["x" * 5000] * 10, None)
    own = _program(tmp_path, guest)
    own._tests = OwnTests(run=(Carried(program="fd"),), limit=20000, missing="nothing")
    with pytest.raises(StepFailed, match="is longer than 20000 bytes"):
        own.run(Carried(program="fd"))
