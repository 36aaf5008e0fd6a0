"""virtme-ng as the benchmark starts it; fake programs stand for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import edit, peer
from benchmarks.peer import Peer
from benchmarks.turns import NotMeasured
from harness.model import Tree
from harness.proc import Door

_TEXT = "\tif (!mmget_not_zero(mm))\n"


def _peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vng: str, kvm: bool = False) -> Peer:
    """virtme-ng installed and its tree built; ``vng`` is what its program does."""
    tree = Tree("debian:7.3", tmp_path, "0" * 40, "", "7.3.4", "")
    made = Peer(tmp_path / "peer", tree, _TEXT, Door(), lambda text: None, lambda: kvm)
    made.__dict__["version"] = "1"  # nothing is installed
    program = made.environment / "bin" / "vng"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{vng}\n')
    program.chmod(0o755)
    (made.work / edit.FILE).parent.mkdir(parents=True)
    (made.folder / "built").write_text(tree.commit)
    monkeypatch.setattr(peer, "has_virtiofsd", lambda: False)
    return made


def _calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def test_a_change_is_built_and_booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _peer(tmp_path, monkeypatch, "echo guest-was-here")
    assert made.change(5) > 0
    assert (made.work / edit.FILE).read_text() == edit.edited(_TEXT, 5)
    build, boot = _calls(tmp_path)
    assert build == "--build"
    assert boot.startswith("--disable-kvm --force-9p --run ")


def test_it_has_kvm_where_kph_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _peer(tmp_path, monkeypatch, "echo guest-was-here", kvm=True).boot()
    assert "--disable-kvm" not in _calls(tmp_path)[0]


@pytest.mark.parametrize(
    ("vng", "said"),
    [("echo no depmod; exit 3", "status 3.*no depmod"), ("echo nothing", "did not run the command: nothing")],
)
def test_what_does_not_work_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vng: str, said: str) -> None:
    with pytest.raises(NotMeasured, match=said):
        _peer(tmp_path, monkeypatch, vng).boot()
