"""The replay script is run for real, against an agent played over a socket."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.proc import Door, Finished
from harness.scenario.replay import Recorder, script
from harness.scenario.run import run_scenario
from tests.unit.fake_guest import SUITE, FakeClock, FakeGuest, scenario

STEPS = """
- {do: take, actor: alice, device: left, save: t}
- {start: sleep_ms, ms: 1, token: u}
- {do: give, actor: alice, device: left, ticket: $t.ticket}
- {finish: u}
"""


def recorded() -> Recorder:
    recorder = Recorder(FakeGuest(FakeClock()))
    run_scenario(scenario(STEPS), SUITE, recorder, clock=FakeClock())
    return recorder


def test_the_recorder_keeps_requests_and_replies_in_order() -> None:
    kept = recorded().exchanges
    assert [each.request["op"] for each in kept if each.request] == [
        "count",
        "take",
        "sleep_ms",
        "give",
        "reset",
        "count",
    ]
    assert [each.number for each in kept] == [1, 1, 2, 2, 3, 4, 4, 3, 5, 5, 6, 6]
    assert kept[3].reply == {"ret": 0, "ticket": 1, "place": 3}


def test_a_look_at_the_hardware_is_passed_on_and_not_kept() -> None:
    guest = FakeGuest(FakeClock(), rows=[[{"kind": "entry"}]])
    recorder = Recorder(guest)
    assert recorder.hardware() == [{"kind": "entry"}] and recorder.exchanges == []


def serve(listener: socket.socket, changed: Mapping[str, Any]) -> None:
    """Answer as the guest did, but for ``changed`` replies by operation; the second request answers last."""
    guest = FakeGuest(FakeClock())
    peer, _ = listener.accept()
    with peer, peer.makefile("r") as lines:
        peer.sendall(b'{"hello": "kph-agent"}\n')
        for line in lines:
            request = json.loads(line)
            number, op, actor = request.pop("id"), request.pop("op"), request.pop("actor", None)
            reply = changed.get(op) or guest.call(op, request, actor)
            peer.sendall(json.dumps({"id": number, **reply}).encode() + b"\n")


def replayed(folder: Path, changed: Mapping[str, Any]) -> Finished:
    program = folder / "replay.py"
    program.write_text(script('take "and" give', recorded().exchanges))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener, changed), daemon=True)
        thread.start()
        ran = Door().run([sys.executable, "-I", program, folder / "s"], timeout=60, check=False)
        thread.join(10)
    return ran


def test_a_replay_that_goes_as_recorded(tmp_path: Path) -> None:
    ran = replayed(tmp_path, {})
    assert ran.status == 0, ran.output
    assert '"op": "give"' in ran.output and "was:" not in ran.output


def test_a_replay_that_goes_another_way_says_where(tmp_path: Path) -> None:
    ran = replayed(tmp_path, {"give": {"ret": -2, "errno": "ENOENT"}})
    assert ran.status == 1
    assert '< {"ret": -2, "errno": "ENOENT"}\n  was: {"ret": 0}' in ran.output


def test_a_title_cannot_break_the_script() -> None:
    compile(script('x """ \\ \n y', recorded().exchanges), "replay.py", "exec")
