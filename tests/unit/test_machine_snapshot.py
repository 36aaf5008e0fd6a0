"""What a snapshot asks of QEMU, and how it ends; with a QEMU that only says what it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from qemu.qmp.error import QMPError

from harness.errors import InfraError
from harness.machine import shm, snapshot, target
from harness.machine.argv import Ram, Sockets, qemu_argv
from harness.machine.snapshot import Snapshot, SnapshotFailed
from harness.model import Guest, Kernel, Qemu
from harness.proc import Door

TARGETS = [target.load(name) for name in target.known()]
SOCKETS = Sockets(*(Path("/f") / each for each in ("console", "port", "qmp", "events", "trace")))


def _guest() -> Guest:
    folder = Path("/f")
    kernel = Kernel("k", folder, folder / "Image", folder / "map", folder / "config", "7.3.4", 1.0)
    return Guest(kernel, folder / "initramfs", None)


class FakeVm:
    """Stands for Vm; ``made`` are all of them."""

    made: list[FakeVm]
    answers: list[Mapping[str, Any] | Exception]  # to query-migrate, the last one over and over
    dead: str | None
    refuses: bool  # to start

    def __init__(self, *launch: Any) -> None:
        self.evidence, self.ram = launch[-3], launch[-1]
        self.commands: list[str] = []
        self.arguments: dict[str, dict[str, Any]] = {}
        self.entered = self.left = False
        FakeVm.made.append(self)

    def __enter__(self) -> FakeVm:
        if FakeVm.refuses:
            raise InfraError("QEMU does not start: no memory")
        self.entered = True
        if not self.ram.copy:
            self.ram.file.write_bytes(b"m" * 8192)
        return self

    def __exit__(self, *_: object) -> None:
        self.left = True

    def qmp(self, command: str, **arguments: Any) -> Any:
        self.commands.append(command)
        self.arguments[command] = arguments
        if command == "migrate":
            Path(arguments["uri"].removeprefix("file:")).write_bytes(b"s" * 10)
        if command != "query-migrate":
            return {}
        answer = FakeVm.answers.pop(0) if len(FakeVm.answers) > 1 else FakeVm.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ended(self) -> str | None:
        return FakeVm.dead

    def said(self) -> str:
        return "qemu: last words"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FakeVm]:
    FakeVm.made, FakeVm.dead, FakeVm.refuses = [], None, False
    FakeVm.answers = [{}, {"status": "active"}, {"status": "completed"}]
    monkeypatch.setattr(snapshot, "Vm", FakeVm)
    monkeypatch.setattr(shm, "places", lambda: (tmp_path / "shm",))
    (tmp_path / "shm").mkdir()
    return FakeVm.made


def _snapshot() -> Snapshot:
    chosen = TARGETS[0]
    return Snapshot(Qemu(Path("/f"), "10", "k"), chosen, chosen.accelerators[-1], _guest(), "serial", Door())


@pytest.mark.parametrize("channel", ["serial", "ssh"])
@pytest.mark.parametrize("chosen", TARGETS, ids=lambda each: each.name)
def test_a_copy_is_the_same_machine_with_private_memory(chosen: target.Target, channel: str) -> None:
    def argv(ram: Ram | None) -> tuple[str, ...]:
        qemu = Qemu(Path("/f"), "10", "k")
        return qemu_argv(qemu, chosen, chosen.accelerators[-1], _guest(), channel, SOCKETS, ram)

    plain, memory = argv(None), Path("/shm/a,b/memory")
    booted, copied = argv(Ram(memory, copy=False)), argv(Ram(memory, copy=True))
    files = [next(word for word in words if word.startswith("memory-backend-file")) for words in (booted, copied)]
    path = f"memory-backend-file,id=ram,size={chosen.memory_mib}M,mem-path=/shm/a,,b/memory"
    assert files == [f"{path},share=on", f"{path},share=off,readonly=on,rom=off"]
    at = plain.index("-chardev")
    both = ("-object", "FILE", "-machine", "memory-backend=ram")
    assert tuple("FILE" if word == files[0] else word for word in booted) == (*plain[:at], *both, *plain[at:])
    assert tuple("FILE" if word == files[1] else word for word in copied) == (
        *plain[:at],
        *both,
        "-incoming",
        "defer",
        *plain[at:],
    )


def test_boot_save_and_copies(made: list[FakeVm], tmp_path: Path) -> None:
    with _snapshot() as shot:
        with shot.boot(tmp_path / "boot") as vm:
            saved = shot.save(vm)
        assert (saved.state, saved.memory) == (10, 8192) and shot.saved == saved
        for number in range(2):
            with shot.copy(tmp_path / f"copy-{number}") as copy:
                assert copy.evidence == tmp_path / f"copy-{number}" and copy is not vm
        origin, *copies = made
        assert origin.commands[:3] == ["stop", "migrate-set-capabilities", "migrate"]
        assert not origin.ram.copy and origin.left
        for each in copies:
            assert each.ram == Ram(origin.ram.file, copy=True) and each.left
            assert each.commands[:2] == ["migrate-set-capabilities", "migrate-incoming"]
            assert each.commands[-1] == "cont"
            assert each.arguments["migrate-incoming"]["uri"] == origin.arguments["migrate"]["uri"]
            assert each.arguments["migrate-set-capabilities"] == origin.arguments["migrate-set-capabilities"]
        assert list((tmp_path / "shm").iterdir())
    assert not list((tmp_path / "shm").iterdir())


def test_a_copy_that_does_not_start_is_a_failure_of_the_snapshot(made: list[FakeVm], tmp_path: Path) -> None:
    with _snapshot() as shot:
        with shot.boot(tmp_path / "boot") as vm:
            shot.save(vm)
        FakeVm.refuses = True
        with pytest.raises(SnapshotFailed, match="no memory"), shot.copy(tmp_path / "copy"):
            pass
    assert len(made) == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": "failed", "error-desc": "dma0: a transfer is under way"}, "dma0: a transfer is under way"),
        ({"status": "failed"}, "last words"),
        (QMPError("refused"), "refused"),
        (EOFError(), "last words"),
    ],
)
def test_what_qemu_says_of_a_failure_is_told(
    made: list[FakeVm], tmp_path: Path, answer: Mapping[str, Any] | Exception, told: str
) -> None:
    with _snapshot() as shot, shot.boot(tmp_path) as vm:
        FakeVm.answers = [answer]
        with pytest.raises(SnapshotFailed, match=f"cannot save the guest: .*{told}"):
            shot.save(vm)
        assert shot.saved is None
        with pytest.raises(SnapshotFailed, match="no saved guest"), shot.copy(tmp_path):
            pass
        FakeVm.answers = [{"status": "completed"}]
        shot.save(vm)
        FakeVm.answers = [answer]
        with pytest.raises(SnapshotFailed, match=f"cannot start a copy of the guest: .*{told}"), shot.copy(tmp_path):
            pytest.fail("the block must not run")
        assert made[-1].left and "cont" not in made[-1].commands


def test_a_guest_that_has_ended_is_not_saved(made: list[FakeVm], tmp_path: Path) -> None:
    with _snapshot() as shot, shot.boot(tmp_path) as vm:
        FakeVm.dead = "the guest powered off or rebooted"
        with pytest.raises(SnapshotFailed, match="powered off"):
            shot.save(vm)
        assert made[0].commands == []


def test_a_state_that_never_comes_is_given_up(
    made: list[FakeVm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_LIMIT", 0.02)
    FakeVm.answers = [{"status": "active"}]
    with _snapshot() as shot, shot.boot(tmp_path) as vm, pytest.raises(SnapshotFailed, match="not done after"):
        shot.save(vm)


def test_an_error_in_a_copy_is_its_own(made: list[FakeVm], tmp_path: Path) -> None:
    """Only what concerns saving and loading is called so."""
    with _snapshot() as shot:
        with shot.boot(tmp_path) as vm:
            shot.save(vm)
        with pytest.raises(EOFError), shot.copy(tmp_path):
            raise EOFError
