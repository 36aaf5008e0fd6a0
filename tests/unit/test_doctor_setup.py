"""Set-up, as the Makefile calls it, with every program that it runs replaced by one that writes down its call."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.proc import Door, Finished

ROOT = Path(__file__).resolve().parents[2]


def program(file: Path, script: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\necho "$(basename $0) $*" >> "$CALLS"\n{script}\n')
    file.chmod(0o755)


@dataclass
class Checkout:
    """A checkout with an environment of fakes."""

    root: Path

    def set_up(self) -> Finished:
        env = {"CALLS": str(self.root / "calls"), "PATH": f"{self.root / 'bin'}:/usr/bin:/bin", "PYTHON": ""}
        return Door().run([self.root / ".ci" / "setup.sh"], timeout=60, cwd=self.root, env=env, check=False)

    def calls(self) -> list[str]:
        """What was run since the last look, without fakes of no interest."""
        file = self.root / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("python")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / ".ci").mkdir()
    (tmp_path / "harness").mkdir()
    for script in ("setup.sh", "apt.sh"):
        shutil.copy(ROOT / ".ci" / script, tmp_path / ".ci")
    for name in ("pyproject.toml", "harness/requirements.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("python", "pip"):
        program(tmp_path / ".venv" / "bin" / name, "exit 0")
    program(tmp_path / ".venv" / "bin" / "kph", "echo flex bison")
    program(tmp_path / "bin" / "apt-get", "exit 0")
    program(tmp_path / "bin" / "sudo", 'exec "$@"')
    return Checkout(tmp_path)


INSTALL = "apt-get install -y --no-install-recommends flex bison"
PIP = "pip install --disable-pip-version-check --editable .[test]"


def without_sudo(calls: list[str]) -> list[str]:
    return [call for call in calls if not call.startswith("sudo")]


def test_missing_packages_are_installed_and_the_second_time_costs_nothing(checkout: Checkout) -> None:
    assert checkout.set_up().status == 0
    assert without_sudo(checkout.calls()) == [PIP, "kph doctor --packages", INSTALL]
    again = checkout.set_up()
    assert (again.status, again.output, checkout.calls()) == (0, "", [])
    assert again.seconds < 0.3


@pytest.mark.parametrize("name", ["pyproject.toml", "harness/requirements.yaml"])
def test_new_requirements_are_noticed(checkout: Checkout, name: str) -> None:
    checkout.set_up()
    checkout.calls()
    (checkout.root / name).write_text("changed")
    assert checkout.set_up().status == 0
    assert PIP in checkout.calls()


def test_apt_is_left_alone_when_nothing_is_missing(checkout: Checkout) -> None:
    program(checkout.root / ".venv" / "bin" / "kph", "echo")
    assert checkout.set_up().status == 0
    assert not any("apt-get" in call for call in checkout.calls())


def test_old_package_lists_are_fetched_again(checkout: Checkout) -> None:
    program(
        checkout.root / "bin" / "apt-get", 'case $1 in update) touch "$CALLS.fresh";; *) test -e "$CALLS.fresh";; esac'
    )
    assert checkout.set_up().status == 0
    assert without_sudo(checkout.calls())[-3:] == [INSTALL, "apt-get update", INSTALL]


def test_packages_that_cannot_be_had_stop_it_with_the_command(checkout: Checkout) -> None:
    program(checkout.root / "bin" / "apt-get", "echo E: no such package; exit 100")
    done = checkout.set_up()
    assert done.status == 3
    assert "E: no such package" in done.output
    assert f"try by hand: {INSTALL}" in done.output
    assert not (checkout.root / ".venv" / "kph-setup").exists()


def test_pip_that_fails_shows_its_own_words(checkout: Checkout) -> None:
    program(checkout.root / ".venv" / "bin" / "pip", "echo ERROR: no network; exit 1")
    done = checkout.set_up()
    assert done.status == 3 and "ERROR: no network" in done.output


def test_without_an_environment_one_is_made_by_a_python_that_can(checkout: Checkout) -> None:
    shutil.rmtree(checkout.root / ".venv")
    make = 'case $1 in -m) mkdir -p "$3/bin"; for p in python pip kph; do cp "$0.$p" "$3/bin/$p"; done;; esac'
    for name, script in (("python", "exit 0"), ("pip", "exit 0"), ("kph", "echo")):
        program(checkout.root / "bin" / f"python3.13.{name}", script)
    program(checkout.root / "bin" / "python3", "exit 1")  # too old, or without ensurepip
    program(checkout.root / "bin" / "python3.14", "exit 1")
    program(checkout.root / "bin" / "python3.13", make)
    assert checkout.set_up().status == 0
    assert os.access(checkout.root / ".venv" / "bin" / "kph", os.X_OK)
    assert not any("apt-get" in call for call in checkout.calls())
