"""What the benchmark reads in the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import reading
from benchmarks.turns import NotMeasured
from harness.proc import paste

_ENV = {"CCACHE_DIR": "/c/cc ache", "KBUILD_BUILD_USER": "kph"}


def _phase(name: str, side: str, seconds: float) -> dict[str, Any]:
    return {"name": name, "side": side, "target": "t", "seconds": seconds, "note": ""}


def _row(name: str, status: str) -> dict[str, Any]:
    return {"id": name, "base": {"status": status, "evidence": f"/run/{name}"}, "patched": None}


_REPORT = {
    "verdict": "fail",
    "reasons": ["one regressed", "one splat"],
    "timings": [_phase("kernel", "base", 3.0), _phase("scenarios", "base", 8.0), _phase("scenarios", "patched", 6.0)],
    "targets": [{"name": "x86", "accelerator": "tcg: no kvm"}, {"name": "arm64", "accelerator": ""}],
    "scenarios": [_row("one", "pass"), _row("two", "skip"), _row("three", "fail")],
}


def test_phases_are_found_by_name_and_side() -> None:
    assert reading.phase(_REPORT, "scenarios", "patched") == 6.0
    assert reading.phase(_REPORT, "scenarios") == 14.0


def test_a_phase_that_was_not_there_took_no_zero_seconds() -> None:
    with pytest.raises(NotMeasured, match="no phase kernel patched"):
        reading.phase(_REPORT, "kernel", "patched")


def test_skipped_scenarios_did_not_run() -> None:
    assert reading.ran(_REPORT, "base") == 2
    assert reading.share(_REPORT, "base", 50) == 8.0 * 25


def test_a_suite_that_did_not_run_has_no_share() -> None:
    with pytest.raises(NotMeasured, match="no scenario ran"):
        reading.share(_REPORT, "patched")


def test_words() -> None:
    assert reading.verdict(_REPORT) == "fail: one regressed; one splat"
    assert reading.accelerators(_REPORT) == {"x86": "tcg: no kvm"}


def test_a_command_is_read_as_it_was_written() -> None:
    argv = ("make", "-C", "/w/a b", "CC=ccache gcc", "vmlinux")
    made = reading.command(paste(argv, Path("/w/a b"), _ENV))
    assert made == reading.Command("/w/a b", _ENV, argv)
    assert reading.command("ls -l") == reading.Command("", {}, ("ls", "-l"))


def test_the_kernels_make_is_neither_configuration_nor_module() -> None:
    common = ("make", "-C", "/w", "O=/o", "-j2", "ARCH=x86", "LOCALVERSION=-a")
    lines = [
        paste((*common, "tinyconfig"), Path("/w"), _ENV),
        paste((*common, "vmlinux", "modules"), Path("/w"), _ENV),
        paste((*common, "M=/m", "modules"), Path("/w"), _ENV),
        "git read-tree vmlinux",
    ]
    made = reading.kernel_make("\n".join(lines))
    assert made.argv[-2:] == ("vmlinux", "modules")
    assert reading.only(made, "vmlinux") == (*common, "vmlinux")
    assert reading.output_folder(made) == "/o"


def test_a_run_that_made_no_kernel() -> None:
    with pytest.raises(NotMeasured, match="no make of vmlinux"):
        reading.kernel_make("git status\n")


def _began(name: str, started: float, status: str = "pass") -> dict[str, Any]:
    return {"id": name, "base": {"status": status, "started": started}, "patched": None}


def test_a_cycle_goes_from_one_beginning_to_the_next_and_the_last_to_the_end_of_the_suite() -> None:
    phases = [{**_phase("scenarios", "base", 10.0), "started": 2.0}]
    rows = [_began("second", 6.0), _began("first", 5.0), _began("skipped", 8.0, "skip"), _began("last", 9.0)]
    assert reading.cycles({"timings": phases, "scenarios": rows}, "base") == (1.0, 2.0, 3.0)


def test_no_cycle_without_beginnings() -> None:
    with pytest.raises(NotMeasured, match="does not say when"):
        reading.cycles(_REPORT, "base")
