"""What doctor finds, and the one command that it offers."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml

from harness import data, doctor, requirements
from harness.cache import Cache
from harness.cli import doctor as command
from harness.doctor import Level
from harness.errors import InfraError
from harness.machine import target as targets
from harness.machine.target import Target
from harness.proc import Door
from harness.requirements import Missing, Requirement


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return tmp_path


def offline(cache: Path) -> doctor.Report:
    return doctor.examine(Cache(cache), Door(), network=False)


def test_a_bare_machine_lacks_everything_and_gets_one_command(bare: Path) -> None:
    report = offline(bare)
    assert not report.healthy
    missing = {each.name for each in report.findings if each.level is Level.MISSING}
    assert {"gcc", "make", "flex", "bison", "bc", "ninja", "library glib-2.0", "header gelf.h", "git"} <= missing
    command = report.missing.command
    assert command.count("apt-get install") == 1
    for package in ("gcc", "libglib2.0-dev", "libelf-dev", "ninja-build", "ccache"):
        assert f" {package}" in command
    assert command in doctor.render(report).splitlines()[-1]


def test_every_package_is_named_once(bare: Path) -> None:
    packages = doctor.packages()
    assert len(packages) == len(set(packages))
    assert "b4" not in packages  # only for those who ask for it


def test_an_absent_extra_does_not_make_it_unhealthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extras = [each for each in requirements.load() if each.need != "required"]
    monkeypatch.setattr(requirements, "missing", lambda each, door: Missing(tuple(extras)))
    report = offline(tmp_path)
    notes = {each.name for each in report.findings if each.level is Level.NOTE}
    assert {"b4", "ccache"} <= notes
    assert "ccache" in report.missing.packages and "b4" not in report.missing.packages
    assert not any(each.level is Level.MISSING and each.name in ("b4", "ccache") for each in report.findings)


def test_people_who_are_not_root_get_sudo(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert offline(bare).missing.command.startswith("sudo apt-get install -y ")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert offline(bare).missing.command.startswith("apt-get install -y ")


def test_python_packages_come_from_pip(bare: Path) -> None:
    each = Requirement.model_validate({"python": "no_such_module", "package": "thing", "for": ["qemu"], "why": "x"})
    assert requirements.missing([each], Door()).command == "pip install thing"


@pytest.mark.parametrize(("full", "level"), [(0.0, Level.NOTE), (1e9, Level.MISSING)])
def test_a_small_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: float, level: Level) -> None:
    monkeypatch.setattr(doctor, "DISK_GIB", 1e9)
    monkeypatch.setattr(doctor, "FULL_GIB", full)
    found = {each.name: each for each in offline(tmp_path / "not" / "there").findings}
    assert found["disk"].level is level and "XDG_CACHE_HOME" in found["disk"].text


@pytest.mark.parametrize(("kib", "level"), [(512 * 1024, Level.NOTE), (8 * 2**20, Level.OK)])
def test_memory_is_read_in_kib(kib: int, level: Level) -> None:
    assert doctor._memory(f"MemTotal:  9 kB\nMemAvailable:   {kib} kB\n").level is level


def test_exit_status_and_package_list(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--offline"])) == 3
    assert "apt-get install" in capsys.readouterr().out
    assert command.run(parser.parse_args(["--packages"])) == 0
    assert "gcc" in capsys.readouterr().out.split()


def test_exit_status_is_0_when_everything_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(requirements, "missing", lambda each, door: Missing(()))
    monkeypatch.setattr(doctor, "FULL_GIB", 0)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--offline"])) == 0
    assert "Everything that is needed is here." in capsys.readouterr().out
    assert command.run(parser.parse_args(["--packages"])) == 0
    assert capsys.readouterr().out == "\n"


def test_a_run_without_a_compiler_stops_before_work(bare: Path) -> None:
    with pytest.raises(InfraError, match="gcc") as caught:
        doctor.require(targets.load(targets.known()[0]), Door())
    assert "apt-get install" in caught.value.hint and "flex" in caught.value.hint


def _host_target() -> Target:
    """A target whose kernel this machine's own compiler builds."""
    found = targets.load(targets.known()[0])
    return found.model_copy(update={"kernel": found.kernel.model_copy(update={"cross_compile": ""})})


def test_without_a_cross_compiler_only_its_targets_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = "pdp11-linux-gnu-"
    native = _host_target()
    foreign = native.model_copy(update={"kernel": native.kernel.model_copy(update={"cross_compile": prefix})})
    entry = {"program": f"{prefix}gcc", "package": "gcc-pdp11", "for": [prefix], "why": "x", "need": "recommended"}
    known = (*requirements.load(), Requirement.model_validate(entry))
    monkeypatch.setattr(requirements, "load", lambda: known)
    monkeypatch.setattr(requirements, "present", lambda each, door: not each.program.startswith(prefix))
    doctor.require(native, Door())
    with pytest.raises(
        InfraError, match=f"{foreign.name} needs what this machine does not have: {prefix}gcc"
    ) as caught:
        doctor.require(foreign, Door())
    assert caught.value.hint.endswith("apt-get install -y gcc-pdp11")
    assert "gcc-pdp11" not in doctor.packages(), "no target here asks for it"
    monkeypatch.setattr(targets, "load", lambda name: foreign)
    assert doctor.packages() == ("gcc-pdp11",)
    found = {each.name: each for each in offline(tmp_path).findings}
    assert found[f"{prefix}gcc"].level is Level.NOTE and "missing" in found[f"{prefix}gcc"].text


@pytest.mark.parametrize("name", targets.known())
def test_every_cross_compiler_has_packages(name: str) -> None:
    recipe = yaml.safe_load((data.folder("qemu") / "machines" / f"{name}.yaml").read_text())["kernel"]
    prefix = recipe["cross_compile"]
    found = [each for each in requirements.load() if prefix in each.parts]
    assert {each.program or each.compiler for each in found} == {f"{prefix}gcc"}
    assert {bool(each.header) for each in found} == {True, False}, "the compiler, and the C library for it"
    assert {each.need for each in found} == {"recommended"}, "the other targets work without"


def test_a_header_is_asked_of_its_own_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cross-gcc").write_text("#!/bin/sh\ngrep -q stdio.h\n")
    (tmp_path / "cross-gcc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    common = {"compiler": "cross-gcc", "package": "x", "for": [], "why": "x"}
    found = Requirement.model_validate({"header": "stdio.h", **common})
    assert requirements.present(found, Door()) and found.name == "header stdio.h of cross-gcc"
    assert not requirements.present(Requirement.model_validate({"header": "stddef.h", **common}), Door())


def test_each_requirement_is_of_one_kind() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Requirement.model_validate({"package": "x", "for": [], "why": "x"})
    with pytest.raises(ValueError, match="exactly one"):
        Requirement.model_validate({"program": "a", "header": "b", "package": "x", "for": [], "why": "x"})


def test_headers_and_libraries_are_looked_for_by_their_own_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in (("gcc", "grep -q gelf.h"), ("pkg-config", 'test "$2" = glib-2.0')):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    common = {"package": "x", "for": [], "why": "x"}
    found = [
        requirements.present(Requirement.model_validate({kind: value, **common}), Door())
        for kind, value in (("header", "gelf.h"), ("header", "other.h"), ("pkgconfig", "glib-2.0"), ("pkgconfig", "no"))
    ]
    assert found == [True, False, True, False]
