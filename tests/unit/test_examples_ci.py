"""The examples for GitHub Actions, GitLab and systemd are what those take, and call kph with what it has."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import data
from harness.cli import main
from harness.report.nightly.webhook import VARIABLE

CI = data.folder("examples") / "ci"


def _read(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((CI / name).read_text())
    return found


def _fits(schema: str, name: str, *words: str) -> None:
    """By the schema that check-jsonschema has brought along; nothing is fetched."""
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *words, str(CI / name)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _calls(script: str) -> list[list[str]]:
    """The lines that call kph, each one that its parser takes."""
    calls = [shlex.split(line.strip()) for line in script.splitlines() if line.strip().startswith("kph ")]
    for words in calls:
        main.parser().parse_args(words[1:])
    return [words[1:] for words in calls]


def test_github_actions() -> None:
    _fits("vendor.github-workflows", "github-actions.yml")
    flow = _read("github-actions.yml")
    job = flow["jobs"]["night"]
    assert flow[True]["schedule"] and flow["concurrency"]["cancel-in-progress"] is False  # YAML 1.1 reads on as true
    assert flow["permissions"] == {"contents": "read"} and job["timeout-minutes"] >= 600
    calls = [words for step in job["steps"] for words in _calls(step.get("run", ""))]
    assert [words[0] for words in calls] == ["doctor", "nightly", "history", "gc"]
    night = next(step for step in job["steps"] if step.get("run") == "kph nightly nightly.yaml")
    assert night["env"] == {VARIABLE: f"${{{{ secrets.{VARIABLE} }}}}"}, "no secret on a command line"
    after = job["steps"][job["steps"].index(night) + 1 :]
    assert after and all(step["if"] == "${{ always() }}" for step in after), "a red night has reports, too"
    upload = next(step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))
    assert upload["with"]["path"] == "out"


def test_gitlab() -> None:
    _fits("vendor.gitlab-ci", "gitlab-ci.yml", "--data-transform", "gitlab-ci")
    job = _read("gitlab-ci.yml")["night"]
    calls = _calls("\n".join([*job["before_script"], *job["script"], *job["after_script"]]))
    assert [words[0] for words in calls] == ["doctor", "nightly", "history", "gc"]
    assert job["resource_group"] and job["artifacts"]["when"] == "always" and job["allow_failure"]["exit_codes"] == [3]
    assert job["artifacts"]["reports"]["junit"] == "out/junit.xml"


def _unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((CI / name).read_text())
    return unit


def test_systemd_units_say_what_they_should() -> None:
    service, timer = _unit("kph-nightly.service"), _unit("kph-nightly.timer")
    command = shlex.split(service["Service"]["ExecStart"])
    assert command[0].endswith("/kph") and main.parser().parse_args(command[1:])
    assert service["Service"]["Type"] == "oneshot" and service["Service"]["SuccessExitStatus"] == "1"
    assert timer["Timer"]["Persistent"] == "true" and timer["Install"]["WantedBy"] == "timers.target"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze: only the syntax was checked")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """As they are, but for the program, which this machine need not have where the example says."""
    service = (CI / "kph-nightly.service").read_text()
    (tmp_path / "kph-nightly.service").write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", service))
    shutil.copy(CI / "kph-nightly.timer", tmp_path)
    units = [str(tmp_path / name) for name in ("kph-nightly.timer", "kph-nightly.service")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    when = _unit("kph-nightly.timer")["Timer"]["OnCalendar"]
    subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, check=True)


def test_there_is_no_example_without_a_test() -> None:
    tested = Path(__file__).read_text()
    assert all(file.name in tested for file in CI.iterdir())
