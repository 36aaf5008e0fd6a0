"""A guest is taken for the kernel that was built only if it says so itself; what it says is read to the end."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from harness.campaign import leaks
from harness.campaign.guest import Frozen
from harness.campaign.session import Session
from harness.channel.agent import PROTOCOL
from harness.errors import InfraError
from harness.scenario.link import GuestLost, GuestTimeout


def introduced(built: str, **hello: object) -> dict[str, Any]:
    """The facts of a guest whose agent says ``hello`` and whose kernel was built with the id ``built``."""
    session = Session.__new__(Session)
    kernel = SimpleNamespace(build_id=built, release="7.3.4-kph")
    target = SimpleNamespace(roles={})
    plan: Any = SimpleNamespace(guest=SimpleNamespace(kernel=kernel), target=target, flavour="kasan+leak")
    link: Any = SimpleNamespace(hello=hello, call=lambda op, *rest: {"op": op, "ret": 0})
    session._plan, session._link = plan, link
    session._introduce()
    return dict(session.facts)


def test_the_kernel_with_our_build_id_is_ours() -> None:
    said = {"protocol": PROTOCOL, "release": "7.3.4-kph", "init": "ok"}
    assert introduced("0a1b", build_id="0a1b", **said)["op"] == "facts"
    with pytest.raises(GuestLost, match="no module"):
        introduced("0a1b", build_id="0a1b", **{**said, "init": "no module"})


@pytest.mark.parametrize(
    ("built", "hello"),
    [
        ("0a1b", {"build_id": "0a1c"}),
        ("0a1b", {"build_id": ""}),
        ("0a1b", {}),
        ("0a1b", {"build_id": "0a1b", "protocol": PROTOCOL + 1}),
        ("", {"build_id": ""}),
    ],
)
def test_any_other_is_not(built: str, hello: dict[str, object]) -> None:
    with pytest.raises(InfraError, match="not the kernel with build id"):
        introduced(built, **{"protocol": PROTOCOL, "release": "7.3.4-kph", "init": "ok", **hello})


class Speaker:
    """A guest that has something left to say when it is asked for its last record."""

    def __init__(self, *, answer: int | Exception = 0, prints: bool = True) -> None:
        self.asked: list[Mapping[str, object]] = []
        self.time = 0.0
        self._answer, self._prints = answer, prints
        self._word = ""

    def session(self) -> Session:
        session = Session.__new__(Session)
        vm: Any = SimpleNamespace(console=self, clock=self)
        link: Any = self
        session._vm, session._link = vm, link
        return session

    def coming(self, word: str) -> Any:
        self._word = word
        return SimpleNamespace(wait=self._wait)

    def call(self, op: str, args: Mapping[str, object], actor: str | None, deadline: float) -> Mapping[str, Any]:
        assert op == "write_file" and args["path"] == "/dev/kmsg" and self._word in str(args["text"])
        self.asked.append(args)
        if isinstance(self._answer, Exception):
            raise self._answer
        return {"ret": self._answer}

    def now(self) -> float:
        return self.time

    def _wait(self, seconds: float) -> bool:
        """The console's thread gets to print at the third look."""
        self.time += seconds
        return self._prints and self.time > 2.5 * seconds


@pytest.mark.parametrize(
    ("guest", "drained"),
    [
        (Speaker(), True),
        (Speaker(prints=False), False),
        (Speaker(answer=-2), False),
        (Speaker(answer=GuestTimeout("no answer")), False),
        (Speaker(answer=GuestLost("kernel panic")), True),
    ],
    ids=["printed", "prints without end", "no such file", "does not answer", "is dead, and says so otherwise"],
)
def test_the_console_is_waited_for(guest: Speaker, drained: bool) -> None:
    assert guest.session().drain() is drained and len(guest.asked) == 1
    assert guest.time < 11


def test_on_a_slow_guest_it_is_waited_for_longer() -> None:
    guest = Speaker(prints=False)
    assert not guest.session().drain(3.0) and 30 < guest.time < 31


@pytest.mark.parametrize(
    ("op", "start", "unwatched"),
    [
        ("scan_leaks", "copy", 1),
        ("slab", "copy", 0),
        ("scan_leaks", "copy that is measured", 0),  # before its scenario, which lockdep is to see
        ("scan_leaks", "boot", 0),
    ],
)
def test_lockdep_is_off_in_the_last_scan_of_a_copy_alone(
    monkeypatch: pytest.MonkeyPatch, op: str, start: str, unwatched: int
) -> None:
    done: list[str] = []
    monkeypatch.setattr(leaks, "lockdep_off", lambda vm, kernel: done.append(kernel))
    snapshot: Any = None
    session = Session.__new__(Session)
    link: Any = SimpleNamespace(call=lambda op, *rest: done.append(op))
    vm: Any = None
    plan: Any = SimpleNamespace(guest=SimpleNamespace(kernel="kernel"))
    session._link, session._vm, session._plan = link, vm, plan
    session._start = None if start == "boot" else Frozen(snapshot, {}, {}, 1.0, {} if start == "copy" else None)
    session.call(op)
    assert done == ["kernel"] * unwatched + [op]
