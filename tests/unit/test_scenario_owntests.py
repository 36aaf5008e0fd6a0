"""Tests that the guest carries out itself: finding and reading the texts over the agent's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.model import Outcome, Status
from harness.scenario import load
from harness.scenario.link import GuestLost, TraceEvent
from harness.scenario.owntests import OwnTestsRun, label
from harness.scenario.run import SystemClock
from harness.scenario.schema import OwnTests
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
