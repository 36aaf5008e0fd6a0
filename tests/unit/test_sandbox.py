"""What a tree's Makefiles may do when they run in the sandbox, and what not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from harness import data
from harness.build import sandbox
from harness.build.make import BuildFailure
from harness.build.sandbox import Sandbox
from harness.errors import UserError
from harness.proc import Door
from tests.unit.kernel_tree import Yard


def _confinable() -> str:
    try:
        sandbox.require(Door())
    except Exception as error:
        return str(error)
    return ""


WHY_NOT = _confinable()
confined = pytest.mark.skipif(bool(WHY_NOT), reason=f"NOT RUN: this host cannot confine a build: {WHY_NOT}")


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other/secret").write_text("secret")
    return tmp_path


def run(script: str, rooms: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sandbox, "_HIDDEN", (rooms,))
    argv = Sandbox((rooms / "mine",)).wrap(["sh", "-c", script], {"GIVEN": "yes"})
    return Door().run(argv, timeout=30, check=False).output


@confined
def test_it_writes_into_its_own_folders_alone(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(
        f"echo 1 > {rooms}/mine/file; echo 2 > /etc/kph-was-here; echo 3 > {rooms}/other/file", rooms, monkeypatch
    )
    assert (rooms / "mine/file").read_text() == "1\n"
    assert "/etc/kph-was-here" in said and not Path("/etc/kph-was-here").exists()
    assert [each.name for each in (rooms / "other").iterdir()] == ["secret"]


@confined
def test_it_sees_nothing_that_is_hidden(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPH_WEBHOOK_SECRET", "s3cret")
    said = run(f"cat {rooms}/other/secret; env; ls /proc | grep -c '^[0-9]'", rooms, monkeypatch)
    assert "No such file" in said and "s3cret" not in said
    assert "GIVEN=yes" in said and f"PATH={os.environ['PATH']}" in said
    assert int(said.splitlines()[-1]) < 10, "no process of the host"


@confined
def test_it_has_no_network(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"
        assert Door().run(["bash", "-c", script], timeout=30).output == "reached\n", "it can be reached at all"
        assert "reached" not in run(f'bash -c "{script}"', rooms, monkeypatch)


@confined
def test_a_kernel_and_its_module_build_there_and_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for walled in (False, True):
        folder = tmp_path / str(walled)
        folder.mkdir()
        monkeypatch.setattr(data, "folder", lambda _, folder=folder: folder)
        yard = Yard.at(folder, sandbox=walled)
        made = yard.shop.build(yard.tree(), yard.suite, "base")
        assert not isinstance(made, BuildFailure), made.log.read_text()
        found.append([each.identity for each in made])
        assert yard.desk.door.log and ("bwrap" in yard.desk.door.log.read_text()) == walled
    assert found[0] == found[1]


@confined
def test_a_makefile_changes_nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "folder", lambda _: tmp_path)
    yard = Yard.at(tmp_path, sandbox=True)
    makefile = (yard.repo / "Makefile").read_text()
    target = tmp_path / "was-here"
    bad = yard.tree(Makefile=makefile.replace("tinyconfig:\n", f"tinyconfig:\n\ttouch {target}\n"))
    made = yard.shop.build(bad, yard.suite, "base")
    assert not isinstance(made, BuildFailure), "it sees a /tmp of its own"
    assert not target.exists()


def test_a_compiler_in_the_home_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x-tools/bin").mkdir(parents=True)
    monkeypatch.setattr(sandbox, "_HIDDEN", (tmp_path,))
    monkeypatch.setenv("PATH", f"{tmp_path}/x-tools/bin:{tmp_path}/bin:/usr/bin")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    words = list(map(str, Sandbox().wrap(["true"], {})))
    bound = [words[at + 1] for at, word in enumerate(words) if word == "--ro-bind-try"]
    assert bound == [f"{tmp_path}/x-tools"], "not the home itself, for its bin"


def test_a_host_that_cannot_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho bwrap: No permissions to create new namespace\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UserError, match="cannot be confined here: bwrap: No permissions") as told:
        sandbox.require(Door())
    assert "--no-sandbox" in (told.value.hint or "")
