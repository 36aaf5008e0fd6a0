"""What the command loads before it works."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.cli import main

_SLOW = ("paramiko", "cryptography", "mesonbuild", "jsonschema")  # each takes as long as all of ours


def test_one_command_does_not_load_the_others() -> None:
    assert [command.NAME for command in main.commands("run")] == ["run"]
    assert {"run", "list", "doctor"} <= {command.NAME for command in main.commands("nonsense")}


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["--help"]])
def test_help_names_every_command(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(argv)
    out, err = capsys.readouterr()
    assert all(command.NAME in out + err for command in main.commands()) or "COMMAND" in err


def test_a_run_over_serial_does_without_what_is_slow_to_load() -> None:
    code = "import sys; from harness.cli import main; main.commands('run'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(_SLOW) & set(done.stdout.split())
