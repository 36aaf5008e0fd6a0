"""What is told of one scenario: its console is read to the end before its guest is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.campaign.one import OneScenario
from harness.model import Outcome, Splat, SplatKind, Status
from harness.scenario.link import GuestLost
from harness.scenario.tuning import Tuning
from tests.unit.fake_guest import SUITE, FakeClock, FakeGuest, raising, scenario


class SlowConsole(FakeGuest):
    """A guest whose console has printed a splat only when it was waited for."""

    boot_seconds = 1.0
    evidence = Path()
    complete = True
    said: tuple[Splat, ...] = ()

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def drain(self, scale: float) -> bool:
        self.log.append("drain")
        if "halt" not in self.log:
            self.said = (Splat(SplatKind.LEAK, "memory leak in bind", ("bind",), (), 1),)
        return self.complete

    def halt(self) -> None:
        self.log.append("halt")

    def splats(self) -> tuple[Splat, ...]:
        return self.said

    def last_words(self, lost: bool) -> str:
        return ""

    def host_fault(self) -> str:
        return ""

    def keep_logs(self, folder: Path) -> None:
        self.log.append("keep")


def ran(guest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    one = OneScenario.__new__(OneScenario)
    plan: Any = None
    one._plan, one._suite, one._behaviours, one._tuning = plan, SUITE, {}, Tuning()
    one._side, one._evidence = "patched", tmp_path
    monkeypatch.setattr(OneScenario, "_keep", lambda *rest: tmp_path)
    return one.run(guest, scenario("[{do: take, actor: alice, device: left}]"), None)


def test_a_splat_that_is_printed_last_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = SlowConsole(FakeClock())
    outcome = ran(guest, tmp_path, monkeypatch)
    assert [splat.title for splat in outcome.splats] == ["memory leak in bind"]
    assert guest.log[-2:] == ["drain", "halt"] and outcome.status is Status.PASS


def test_nothing_passes_whose_console_does_not_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = SlowConsole(FakeClock())
    guest.complete = False
    outcome = ran(guest, tmp_path, monkeypatch)
    assert outcome.status is Status.ERROR and "what the kernel said last is not known" in outcome.reason


def test_a_guest_that_is_gone_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = SlowConsole(FakeClock(), {"take": raising(GuestLost("gone"))})
    outcome = ran(guest, tmp_path, monkeypatch)
    assert outcome.status is Status.CRASH and "drain" not in guest.log
