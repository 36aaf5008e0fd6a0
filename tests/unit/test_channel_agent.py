"""The wire protocol over the serial channel, against an agent that misbehaves on request."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.channel.agent import AgentLink
from harness.channel.base import LINE_LIMIT
from harness.channel.serial import SerialChannel
from harness.scenario.link import GuestLost, GuestTimeout

Answer = Callable[[socket.socket, dict[str, object]], None]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _agent(peer: socket.socket, answer: Answer) -> threading.Thread:
    def serve() -> None:
        # The test may end, and close its side, while an answer is under way.
        with contextlib.suppress(ConnectionError), peer.makefile("rb") as lines:
            for line in lines:
                answer(peer, json.loads(line))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def _link(peer: socket.socket, tmp_path: Path, gone: Callable[[], str | None] = lambda: None) -> AgentLink:
    return AgentLink(SerialChannel(peer), gone, tmp_path / "protocol.log")


def _say(peer: socket.socket, **reply: object) -> None:
    peer.sendall(json.dumps(reply).encode() + b"\n")


def test_a_call_gets_its_own_reply(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    _agent(ends[1], lambda peer, request: _say(peer, id=request["id"], ret=0, op=request["op"], actor=request["actor"]))
    reply = _link(ends[0], tmp_path).call("bind", {"device": "dma0"}, "alice", 5)
    assert reply["op"] == "bind" and reply["actor"] == "alice"
    log = (tmp_path / "protocol.log").read_text().splitlines()
    assert log[0] == '> {"id":1,"actor":"alice","op":"bind","device":"dma0"}'
    assert log[1].startswith("< ")


def test_replies_may_overtake_each_other(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    held: list[dict[str, object]] = []

    def answer(peer: socket.socket, request: dict[str, object]) -> None:
        held.append(request)
        if len(held) == 2:
            for each in reversed(held):
                _say(peer, id=each["id"], ret=0, op=each["op"])

    _agent(ends[1], answer)
    link = _link(ends[0], tmp_path)
    slow, quick = link.begin("slow", {}), link.begin("quick", {})
    assert link.finish(slow, 5)["op"] == "slow"
    assert link.finish(quick, 5)["op"] == "quick"


def test_no_answer_is_a_timeout_that_names_the_request(
    ends: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    with pytest.raises(GuestTimeout, match=r'0\.3 s.*"op":"bind"'):
        _link(ends[0], tmp_path).call("bind", {}, "alice", 0.3)


def test_a_closed_port_is_a_lost_guest(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    link = _link(ends[0], tmp_path)
    ends[1].close()
    with pytest.raises(GuestLost):
        link.call("ping", {}, None, 5)


def test_a_panic_ends_the_wait_at_once(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    link = _link(ends[0], tmp_path, lambda: "kernel panic: Fatal exception")
    with pytest.raises(GuestLost, match="kernel panic: Fatal exception"):
        link.call("bind", {}, "alice", 60)


def test_noise_is_passed_over_but_not_without_end(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    def answer(peer: socket.socket, request: dict[str, object]) -> None:
        peer.sendall(b"not json\n[1]\n" + b'{"id":999,"ret":0}\n{"id":"x"}\n\xff\xfe\n')
        _say(peer, id=request["id"], ret=0)

    _agent(ends[1], answer)
    link = _link(ends[0], tmp_path)
    assert link.call("ping", {}, None, 5)["ret"] == 0
    threading.Thread(target=lambda: ends[1].sendall(b"noise\n" * 2000), daemon=True).start()
    with pytest.raises(GuestLost, match="nobody asked for"):
        link.finish(link.begin("ping", {}), 5) and link.finish(link.begin("ping", {}), 5)


def test_a_line_without_end_is_refused(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    threading.Thread(target=lambda: ends[1].sendall(b"x" * (LINE_LIMIT * 3)), daemon=True).start()
    with pytest.raises(GuestLost, match="without a newline"):
        _link(ends[0], tmp_path).call("ping", {}, None, 5)


def test_a_reply_of_a_hundred_megabytes_is_refused_in_bounded_memory(
    ends: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    def flood() -> None:
        with contextlib.suppress(OSError):  # nobody reads it to its end
            for _ in range(100):
                ends[1].sendall(b'{"id":1,"x":"' + b"x" * (1 << 20))

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(GuestLost, match="without a newline"):
        _link(ends[0], tmp_path).call("read_file", {}, None, 30)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 < 20
    assert (tmp_path / "protocol.log").stat().st_size < 1000
    ends[0].close()
    thread.join(5)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 60000,
        b'{"id":1,"ret":"0"}',
        b'{"id":1,"ret":null}',
        b'{"id":1,"ret":0.5}',
        b'{"id":1,"ret":0,"more":{"id":1}}',
        b'{"id":1,"ret":0,"more":[1]}',
        b'{"id":"1","ret":0}',
        b'{"id":1.0,"ret":0}',
        b'{"id":2,"ret":0}',
        b"ok 1 - everything",
    ],
)
def test_what_is_no_reply_is_not_taken_for_one(
    ends: tuple[socket.socket, socket.socket], tmp_path: Path, line: bytes
) -> None:
    ends[1].sendall(line + b"\n")
    with pytest.raises(GuestTimeout):
        _link(ends[0], tmp_path).call("ping", {}, None, 0.05)


def test_hello_comes_unasked(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    link = _link(ends[0], tmp_path)
    assert not link.wait_hello(0.1)
    _say(ends[1], hello="kph-agent", protocol=1)
    assert link.wait_hello(5)
    assert link.hello is not None and link.hello["protocol"] == 1
