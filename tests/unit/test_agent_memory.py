"""The agent's operations on memory, files and the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.unit.agent_process import Agent


def test_memory_holds_what_was_written(agent: Agent) -> None:
    mapped = agent.ok("map", actor="alice", buffer="b", pages=4)
    size = mapped["bytes"]
    assert size == 4 * os.sysconf("SC_PAGE_SIZE")
    assert mapped["address"] % os.sysconf("SC_PAGE_SIZE") == 0
    assert agent.ok("resident", actor="alice", buffer="b")["pages"] == 0
    assert agent.ok("check", actor="alice", buffer="b", value=0)["match"] is True
    wrote = agent.ok("write", actor="alice", buffer="b", seed=5)
    checked = agent.ok("check", actor="alice", buffer="b", seed=5)
    assert checked["match"] is True
    assert checked["checksum"] == wrote["checksum"] == agent.ok("checksum", actor="alice", buffer="b")["checksum"]
    assert agent.ok("check", actor="alice", buffer="b", seed=6)["mismatch"] in range(64)
    assert agent.ok("resident", actor="alice", buffer="b")["pages"] == 4


def test_a_pattern_depends_on_the_place_in_the_buffer(agent: Agent) -> None:
    agent.ok("map", actor="alice", buffer="b", pages=2)
    agent.ok("write", actor="alice", buffer="b", seed=1)
    for offset, length in ((0, 1), (3, 5), (4090, 13), (8191, 1), (8192, 0)):
        assert agent.ok("check", actor="alice", buffer="b", seed=1, offset=offset, length=length)["match"] is True
    agent.ok("write", actor="alice", buffer="b", seed=2, offset=1001, length=7)
    assert agent.ok("check", actor="alice", buffer="b", seed=1, length=1001)["match"] is True
    assert agent.ok("check", actor="alice", buffer="b", seed=1, offset=1008)["match"] is True
    assert agent.ok("check", actor="alice", buffer="b", seed=1)["mismatch"] in range(1001, 1008)
    agent.ok("write", actor="alice", buffer="b", value=0x1122334455667788, offset=8, length=16)
    agent.ok("write", actor="alice", buffer="b", value=2**64 - 1, offset=16, length=8)
    reply = agent.ok("check", actor="alice", buffer="b", value=0x1122334455667788, offset=8, length=16)
    assert reply["mismatch"] == 16


@pytest.mark.parametrize(
    ("op", "args", "errno"),
    [
        ("write", {"buffer": "b"}, "EINVAL"),
        ("write", {"buffer": "b", "seed": 1, "value": 1}, "EINVAL"),
        ("write", {"buffer": "none", "seed": 1}, "ENOENT"),
        ("check", {"buffer": "b", "seed": 1, "offset": 4097}, "EINVAL"),
        ("check", {"buffer": "b", "seed": 1, "offset": 4000, "length": 97}, "EINVAL"),
        ("check", {"buffer": "b", "seed": 1, "offset": 2**64 - 1, "length": 2}, "EINVAL"),
        ("check", {"buffer": "b", "seed": 1, "offset": -1}, "EINVAL"),
        ("map", {"buffer": "b", "pages": 1}, "EEXIST"),
        ("map", {"buffer": "c", "pages": 0}, "EINVAL"),
        ("map", {"buffer": "c", "pages": 65537}, "EINVAL"),
        ("map", {"buffer": "c", "pages": 1, "prot": "q"}, "EINVAL"),
        ("map", {"buffer": "", "pages": 1}, "EINVAL"),
        ("protect", {"buffer": "b", "prot": ""}, "EINVAL"),
        ("unmap", {"buffer": "b", "offset": 1, "length": 1}, "EINVAL"),
        ("advise", {"buffer": "b", "advice": "x"}, "EINVAL"),
    ],
)
def test_bad_ranges_are_refused(agent: Agent, op: str, args: dict[str, object], errno: str) -> None:
    agent.ok("map", actor="alice", buffer="b", pages=1)
    assert agent.call(op, actor="alice", **args)["errno"] == errno


def test_a_wrong_access_kills_the_actor(agent: Agent) -> None:
    agent.ok("map", actor="alice", buffer="b", pages=2)
    agent.ok("protect", actor="alice", buffer="b", prot="r", offset=4096)
    agent.ok("write", actor="alice", buffer="b", seed=1, length=4096)
    assert agent.ok("touch", actor="alice", buffer="b")["pages"] == 2
    assert agent.call("touch", actor="alice", buffer="b", write=True)["signal"] == "SIGSEGV"


def test_unmapped_memory_is_gone(agent: Agent) -> None:
    agent.ok("map", actor="alice", buffer="b", pages=3, populate=True)
    agent.ok("unmap", actor="alice", buffer="b", offset=4096, length=4096)
    agent.ok("write", actor="alice", buffer="b", seed=1, offset=8192)
    assert agent.call("resident", actor="alice", buffer="b")["errno"] == "ENOMEM"
    agent.ok("unmap", actor="alice", buffer="b")
    agent.ok("map", actor="alice", buffer="b", pages=1)


def test_two_actors_can_have_the_same_address(agent: Agent) -> None:
    address = agent.ok("map", actor="alice", buffer="b", pages=1)["address"]
    agent.ok("spawn", actor="bob")
    where = 0x2000_0000_0000
    for seed, actor in enumerate(("alice", "bob")):
        assert agent.ok("map", actor=actor, buffer="fixed", pages=1, address=where)["address"] == where
        agent.ok("write", actor=actor, buffer="fixed", seed=seed)
    for seed, actor in enumerate(("alice", "bob")):
        assert agent.ok("check", actor=actor, buffer="fixed", seed=seed)["match"] is True
    assert agent.call("map", actor="alice", buffer="c", pages=1, address=address)["errno"] == "EEXIST"


def test_dontneed_empties_pages(agent: Agent) -> None:
    agent.ok("map", actor="alice", buffer="b", pages=2)
    agent.ok("write", actor="alice", buffer="b", seed=1)
    agent.ok("advise", actor="alice", buffer="b", advice="dontneed", offset=4096)
    assert agent.ok("resident", actor="alice", buffer="b")["pages"] == 1
    assert agent.ok("check", actor="alice", buffer="b", value=0, offset=4096)["match"] is True
    assert agent.ok("check", actor="alice", buffer="b", seed=1, length=4096)["match"] is True


def test_facts_are_those_of_this_machine(agent: Agent) -> None:
    facts = agent.ok("facts")
    assert facts["release"] == os.uname().release
    assert facts["cpus"] == os.cpu_count()
    assert facts["page_size"] == os.sysconf("SC_PAGE_SIZE")
    assert facts["uid"] == os.getuid()
    assert facts["cmdline"] == Path("/proc/cmdline").read_text().strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert facts["memory_kb"] * 1024 == pytest.approx(memory, rel=0.01)
    assert facts["sva.module"] is Path("/dev/kph_dma-bare").exists()


def test_files_are_read_in_parts(agent: Agent, tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(bytes(range(256)) * 40)
    reply = agent.ok("read_file", path=str(file))
    assert (reply["bytes"], reply["more"]) == (4096, True)
    assert reply["text"].encode("latin-1") == file.read_bytes()[:4096]
    reply = agent.ok("read_file", path=str(file), offset=10000, limit=8192)
    assert (reply["bytes"], reply["more"]) == (240, False)
    assert reply["text"].encode("latin-1") == file.read_bytes()[10000:]
    assert agent.ok("read_file", path=str(file), limit=8192)["bytes"] == 8192
    assert agent.ok("read_file", path=str(file), offset=10239, limit=1)["more"] is False
    assert agent.call("read_file", path=str(file), limit=8193)["errno"] == "EINVAL"
    assert agent.call("read_file", path=str(tmp_path / "none"))["errno"] == "ENOENT"
    assert agent.call("read_file", path=str(tmp_path))["errno"] == "EISDIR"


def test_a_folder_is_listed_in_pieces(agent: Agent, tmp_path: Path) -> None:
    names = sorted(f"{number:03}-{'x' * 50}" for number in range(300))
    for name in names:
        (tmp_path / name).touch()
    found: list[str] = []
    more = True
    while more:
        reply = agent.ok("list_folder", path=str(tmp_path), offset=len(found))
        piece = reply["names"].split("/")
        assert len(piece) == reply["count"] and len(reply["names"]) < 8192
        found += piece
        more = reply["more"]
    assert found == names
    assert agent.ok("list_folder", path=str(tmp_path), offset=300)["count"] == 0
    (tmp_path / "empty").mkdir()
    reply = agent.ok("list_folder", path=str(tmp_path / "empty"))
    assert (reply["names"], reply["count"], reply["more"]) == ("", 0, False)
    assert agent.call("list_folder", path=str(tmp_path / names[0]))["errno"] == "ENOTDIR"
    assert agent.call("list_folder", path=str(tmp_path / "none"))["errno"] == "ENOENT"


def test_files_are_written_only_if_they_exist(agent: Agent, tmp_path: Path) -> None:
    file = tmp_path / "text"
    assert agent.call("write_file", path=str(file), text="x")["errno"] == "ENOENT"
    file.touch()
    assert agent.ok("write_file", path=str(file), text="héllo\n")["bytes"] == 7
    assert file.read_text() == "héllo\n"


def test_settling_visits_every_cpu(agent: Agent) -> None:
    assert agent.ok("settle", ms=1)["cpus"] == len(os.sched_getaffinity(0))
    assert agent.ok("settle", actor="alice", ms=1)["ret"] == 0


def test_what_is_not_there_is_said(agent: Agent) -> None:
    assert agent.call("slab", caches="no-such-cache")["errno"] == "ENOENT"
    assert agent.call("slab", caches="../x")["errno"] == "EINVAL"
    if not Path("/sys/kernel/debug/kmemleak").exists():
        assert agent.call("scan_leaks")["errno"] == "ENOENT"
    assert agent.call("module_refs", name="no_such_module")["errno"] == "ENOENT"
    assert agent.call("bind", actor="alice", device="no-such-device")["errno"] == "ENODEV"
    assert agent.call("bind", actor="alice", device="../null")["errno"] == "ENODEV"
    assert agent.call("global_pasids", device="no-such-device")["errno"] == "ENODEV"
    assert agent.call("unbind", actor="alice")["errno"] == "EINVAL"
    assert agent.call("unbind", actor="alice", bond=1)["errno"] == "ENOENT"
    assert agent.call("dma_read", actor="alice", device="x", address=0, length=1)["errno"] == "ENODEV"


def test_every_error_has_its_name(agent: Agent) -> None:
    reply = agent.call("read_file", path="/no/such/file")
    assert (reply["ret"], reply["errno"]) == (-2, "ENOENT")
    assert re.fullmatch(r"[A-Z0-9]+", reply["errno"])
