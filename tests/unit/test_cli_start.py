"""What the command loads before it works, and how it ends when it cannot."""

from __future__ import annotations

import errno
import importlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import main
from harness.errors import InfraError

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


@pytest.mark.parametrize("command", ["list", "test-commit"])
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/initramfs"), "'/x/initramfs'\n  hint: free some space"),
        (OSError(errno.EACCES, "Permission denied", "/x"), "hint: is it yours"),
        (OSError(errno.ENOENT, "No such file", "/x"), "a mistake of kph's own"),
        (ValueError("a mistake"), "ValueError: a mistake\nkph: this is a mistake of kph's own"),
        (InfraError("no QEMU", "build it"), "kph: no QEMU\n  hint: build it"),
    ],
)
def test_what_is_no_fault_of_the_series_does_not_look_like_one(
    command: str, raised: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = next(each for each in main.commands(command) if command == each.NAME)

    def run(_: object) -> int:
        raise raised

    monkeypatch.setattr(module, "run", run)
    offset = getattr(module, "ERROR_STATUS", 0)
    words = {"list": ["list"], "test-commit": ["test-commit", "--tree", ".", "--scenario", "s"]}[command]
    assert main.main(words) == offset + 3
    said = capsys.readouterr().err
    assert told in said and ("Traceback" in said) == ("mistake of kph" in said)


def test_a_run_over_serial_does_without_what_is_slow_to_load() -> None:
    code = "import sys; from harness.cli import main; main.commands('run'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(_SLOW) & set(done.stdout.split())


@pytest.mark.parametrize(("output", "status", "told"), [("/dev/full", 3, "No space left"), ("|true", 141, "")])
def test_output_that_cannot_be_written_is_no_result(output: str, status: int, told: str) -> None:
    kph = f"{shlex.quote(sys.executable)} -m harness.cli.main list sva"
    command = f"({kph}; echo $? >&2) | (exec <&-; sleep 1)" if output == "|true" else f"{kph} > {output}; echo $? >&2"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == str(status) and told in done.stderr and "Traceback" not in done.stderr


def test_no_command_that_cannot_be_loaded_ends_like_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> None:
        raise ImportError("no such module")

    monkeypatch.setattr(importlib, "import_module", gone)
    assert main.main(["test-commit"]) > 127


def test_the_disk_that_is_full_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = next(each for each in main.commands("history") if each.NAME == "history")

    def run(_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0 if folder == tmp_path else 1 << 30))
    assert main.main(["history", "--history", str(tmp_path / "deep" / "history.sqlite")]) == 3
    assert f"No space left on device ({tmp_path})\n" in capsys.readouterr().err
