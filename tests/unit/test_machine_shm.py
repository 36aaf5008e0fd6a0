"""Folders in shared memory end with their process, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.machine import shm

_HOLDER = """
import sys
from pathlib import Path
from harness.machine import shm
with shm.folder(1, [Path(sys.argv[1])]) as place:
    (place.folder / "memory").write_bytes(b"x" * 4096)
    print(place.folder, flush=True)
    sys.stdin.read()
"""


def _hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that uses a folder below ``parent``."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(parent)],
        cwd=Path(__file__).parent.parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    return holder, Path(holder.stdout.readline().strip())


def test_the_folder_is_ours_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    with shm.folder(1, [tmp_path]) as place:
        (place.folder / "memory").write_bytes(b"secret")
        assert place.folder.parent == tmp_path and place.why == ""
        assert place.folder.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())


def test_the_folder_is_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), shm.folder(1, [tmp_path]):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    holder, left = _hold(tmp_path)
    holder.kill()
    holder.communicate()
    assert (left / "memory").exists(), "SIGKILL leaves the folder: otherwise this shows nothing"
    with shm.folder(1, [tmp_path]) as place:
        assert list(tmp_path.iterdir()) == [place.folder]


def test_the_folder_of_a_living_process_stays(tmp_path: Path) -> None:
    holder, used = _hold(tmp_path)
    with shm.folder(1, [tmp_path]):
        assert (used / "memory").stat().st_size == 4096
    assert holder.poll() is None
    holder.communicate("")
    assert not list(tmp_path.iterdir())


def test_folders_of_others_and_links_are_left_alone(tmp_path: Path) -> None:
    elsewhere, parent = tmp_path / "elsewhere", tmp_path / "parent"
    elsewhere.mkdir()
    parent.mkdir()
    (parent / "kph-memory-link").symlink_to(elsewhere)
    (parent / "other").mkdir()
    with shm.folder(1, [parent]):
        assert elsewhere.is_dir() and (parent / "kph-memory-link").is_symlink() and (parent / "other").is_dir()


def test_without_room_the_next_place_is_taken_and_said(tmp_path: Path) -> None:
    full = next((each for each in (Path("/dev/shm"), tmp_path) if each.is_dir()), tmp_path)
    missing = tmp_path / "missing"
    with shm.folder(1, [missing, tmp_path]) as place:
        assert place.folder.parent == tmp_path
        assert str(missing) in place.why and str(tmp_path) in place.why
    with pytest.raises(InfraError, match="MiB free of"), shm.folder(1 << 60, [full]):
        pass


def test_a_folder_that_a_sweep_took_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    taken: list[Path] = []

    def swept_first(path: Path, flags: int) -> int:
        handle = real(path, flags)
        if not taken:
            taken.append(path)
            path.rmdir()
        return handle

    monkeypatch.setattr("harness.machine.shm.os.open", swept_first)
    with shm.folder(1, [tmp_path]) as place:
        assert place.folder.is_dir() and taken and taken[0] != place.folder
