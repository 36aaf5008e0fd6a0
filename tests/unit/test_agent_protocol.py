"""The agent's protocol: what it accepts, what it refuses, what it publishes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import data
from tests.unit.agent_process import LINE_LIMIT, Agent


def test_hello_comes_first_and_on_demand(agent: Agent) -> None:
    assert agent.hello["hello"] == "kph-agent"
    assert agent.hello["protocol"] == 1
    assert agent.hello["suite"] == "sva"
    assert agent.hello["release"] == os.uname().release
    assert agent.hello["build_id"] == _build_id()
    assert agent.hello["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert "id" not in agent.hello
    again = agent.ok("hello")
    assert {key: again[key] for key in agent.hello} == agent.hello


def _build_id() -> str:
    """That of the kernel we run on; empty if it has none."""
    try:
        notes = Path("/sys/kernel/notes").read_bytes()
    except OSError:
        return ""
    found = re.search(rb"\x04\0\0\0(.)\0\0\0\x03\0\0\0GNU\0", notes, re.DOTALL)
    return notes[found.end() :][: found[1][0]].hex() if found else ""


@pytest.mark.parametrize("nonce", ["abc", "", 'quote " back \\ slash / tab \t line \n', "é ü 漢 😀", "\x01\x1f\x7f"])
def test_ping_repeats_text_exactly(agent: Agent, nonce: str) -> None:
    assert agent.ok("ping", nonce=nonce)["nonce"] == nonce
    agent.raw(json.dumps({"id": 99, "op": "ping", "nonce": nonce}, ensure_ascii=False).encode() + b"\n")
    assert agent.finish(99)["nonce"] == nonce


@pytest.mark.parametrize("number", [0, 1, -1, 2**63, 2**64 - 1, -(2**63)])
def test_ids_and_integers_have_64_bits(agent: Agent, number: int) -> None:
    agent.raw(b'{"op":"ping","id":%d,"nonce":%d}\n' % (number, number))
    reply = agent.line()
    assert reply["id"] == number
    assert reply["nonce"] == str(number)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"x", None),
        (b"{", None),
        (b"[]", None),
        (b'{"id":1}', 1),
        (b'{"id":1,"op":2}', 1),
        (b'{"op":"ping"}', None),
        (b'{"id":"1","op":"ping"}', None),
        (b'{"id":1.5,"op":"ping"}', None),
        (b'{"id":1e3,"op":"ping"}', None),
        (b'{"id":18446744073709551616,"op":"ping"}', None),
        (b'{"id":-9223372036854775809,"op":"ping"}', None),
        (b'{"id":01,"op":"ping"}', None),
        (b'{"id":1,"op":"ping"', 1),
        (b'{"id":1,"op":"ping"}x', 1),
        (b'{"id":1,"op":"ping",}', 1),
        (b'{"id":1,"op":"ping","nonce":null}', 1),
        (b'{"id":1,"op":"ping","nonce":{"a":1}}', 1),
        (b'{"id":1,"op":"ping","nonce":[1]}', 1),
        (b'{"id":1,"op":"ping","nonce":"\\q"}', 1),
        (b'{"id":1,"op":"ping","nonce":"\\u12"}', 1),
        (b'{"id":1,"op":"ping","nonce":"\\u0000"}', 1),
        (b'{"id":1,"op":"ping","nonce":"\\ud800"}', 1),
        (b'{"id":1,"op":"ping","nonce":"a\tb"}', 1),
        (b'{"id":1,"op":"ping","nonce":"a\x00b"}', 1),
        (b'{"id":1,"op":"ping","nonce":"unfinished}', 1),
        (b'{"id":1,"op":"ping","nonce":1,"nonce":2}', 1),
        (b'{"id":1,"op":"ping"}\x00', 1),
        (b'{"id":1,"op":"map","actor":"a/b"}', 1),
        (b'{"id":1,"op":"map","actor":""}', 1),
        (b'{"id":1,"op":"map","actor":"' + b"a" * 32 + b'"}', 1),
        (b"{" + b",".join(b'"k%d":1' % k for k in range(40)) + b"}", None),
        (b"\xff\xfe", None),
    ],
)
def test_malformed_lines_are_refused(agent: Agent, line: bytes, number: int | None) -> None:
    agent.raw(line + b"\n")
    reply = agent.line()
    assert reply["id"] == number
    assert reply["ret"] == -71
    assert reply["errno"] == "EPROTO"
    assert reply["error"]
    assert agent.ok("ping", nonce="still there")["nonce"] == "still there"


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"op": "ping", "nonce": True}, "nonce"),
        ({"op": "ping", "times": 2}, "times"),
        ({"op": "ping", "actor": "alice"}, "actor"),
        ({"op": "map", "actor": "alice", "buffer": "b"}, "pages"),
        ({"op": "map", "actor": "alice", "buffer": "b", "pages": "1"}, "pages"),
        ({"op": "map", "actor": "alice", "buffer": "b", "pages": 1, "page": 1}, "page"),
        ({"op": "map", "buffer": "b", "pages": 1}, "actor"),
        ({"op": "fork", "actor": "alice", "as": "bob", ".pid": 1}, ".pid"),
        ({"op": "sleep_ms", "ms": 0, "times": 0}, "times"),
    ],
)
def test_wrong_arguments_are_named(agent: Agent, request_: dict[str, object], error: str) -> None:
    agent.raw(json.dumps({"id": 5, **request_}).encode() + b"\n")
    reply = agent.line()
    assert (reply["id"], reply["ret"]) == (5, -71)
    assert error in reply["error"]


@pytest.mark.parametrize("name", [b"a\xffb", b"\xed\xa0\x80", b'q\\"b', b"\\u0001", b"x" * 60000, "é".encode() * 100])
def test_an_error_that_quotes_any_bytes_is_still_json(agent: Agent, name: bytes) -> None:
    agent.raw(b'{"id":1,"op":"ping","%s":1}\n' % name)
    reply = agent.line()
    assert (reply["id"], reply["ret"]) == (1, -71)
    assert "no such argument" in reply["error"]


def test_an_unknown_operation_is_not_supported(agent: Agent) -> None:
    reply = agent.call("no_such_thing", actor="alice", anything=1)
    assert reply["ret"] == -95
    assert reply["error"]
    assert agent.ok("actors")["count"] == 0


def test_empty_lines_and_carriage_returns_are_ignored(agent: Agent) -> None:
    agent.raw(b'\n\r\n  \n{"id":7,"op":"ping"}\r\n')
    assert agent.line() == {"id": 7, "ret": 0}


def test_the_longest_line_passes_and_a_longer_one_is_dropped(agent: Agent) -> None:
    tail = b'","path":"/dev/null"}\n'
    for head in (b'{"id":1,"op":"write_file","text":"', b'{"id":1,"actor":"alice","op":"write_file","text":"'):
        agent.raw(head + b"x" * (LINE_LIMIT - len(head) - len(tail)) + tail)
        assert agent.finish(1)["bytes"] == LINE_LIMIT - len(head) - len(tail)
    frame = len(b'{"id":1,"op":"ping","nonc":""}\n')
    for length in (LINE_LIMIT + 1, 3 * LINE_LIMIT + 17):
        agent.raw(b'{"id":1,"op":"ping","nonc":"' + b"x" * (length - frame) + b'"}\n')
        reply = agent.line()
        assert (reply["id"], reply["ret"]) == (None, -71)
        assert "65536" in reply["error"]
        assert agent.ok("ping")["ret"] == 0


def test_a_line_may_come_in_pieces_and_several_at_once(agent: Agent) -> None:
    for piece in (b'{"id":1,', b'"op":"pi', b'ng"}\n{"id":2,"op":"ping"}\n{"id":3,"op"', b':"ping"}\n'):
        agent.raw(piece)
        time.sleep(0.01)
    assert [agent.line()["id"] for _ in range(3)] == [1, 2, 3]


def test_end_of_input_ends_every_actor(agent_binary: Path) -> None:
    agent = Agent(agent_binary)
    pids = [agent.ok("spawn", actor=name)["pid"] for name in ("alice", "bob")]
    agent.begin("sleep_ms", actor="alice", ms=60000)
    assert agent.close() == 0
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()


def test_the_machine_is_ended_only_where_our_init_runs(agent: Agent) -> None:
    for op, args in (
        ("poweroff", {}),
        ("panic", {}),
        ("sysrq", {"key": "h"}),
        ("module_unload", {"name": "no_such_module"}),
        ("module_load", {"path": "/no/such/file"}),
    ):
        assert agent.call(op, **args)["ret"] == -1, op


def test_the_published_list_is_the_program(agent_binary: Path) -> None:
    listed = subprocess.run([agent_binary, "ops"], capture_output=True, text=True, check=True).stdout
    folder = data.folder("test-modules")
    published: dict[str, Any] = {}
    for file in (folder / "agent" / "ops.yaml", folder / "sva" / "ops.yaml"):
        for name, op in yaml.safe_load(file.read_text())["ops"].items():
            published.setdefault(name, op)
    types = {"integer": "integer", "string": "string", "boolean": "boolean", "text": "text", "role": "string"}
    found: dict[str, tuple[str, set[str]]] = {}
    for line in listed.splitlines():
        name, where, _, *args = line.split()
        found[name] = (where, set(args))
    expected: dict[str, tuple[str, set[str]]] = {}
    for name, op in published.items():
        declared = (op.get("args") or {}).items()
        words = {f"{arg}:{types[about['type']]}{'!' if about.get('required') else ''}" for arg, about in declared}
        expected[name] = (op["runs"], words)
    assert found == expected
