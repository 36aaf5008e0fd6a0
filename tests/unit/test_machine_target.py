"""Targets are data; QEMU's command line is a pure function of them."""

from __future__ import annotations

import itertools
import platform
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from harness import data
from harness.errors import UserError
from harness.machine import target
from harness.machine.argv import Ram, Sockets, qemu_argv, replay_script
from harness.model import Guest, Kernel, Qemu

NAMES = target.known()


def _guest(folder: Path) -> Guest:
    kernel = Kernel("k", folder, folder / "bzImage", folder / "System.map", folder / "config", "7.3.4-kph-0", 1.0)
    return Guest(kernel, folder / "initramfs", None)


@pytest.mark.parametrize("name", NAMES)
def test_every_target_loads_and_is_whole(name: str) -> None:
    found = target.load(name)
    assert found.name == name and found.accelerators and "serial" in found.channels
    assert set(found.fault_events) <= set(found.trace)
    assert any(not each.probe for each in found.accelerators), "one accelerator must work on every host"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channel", ["serial", "ssh"])
def test_the_command_line_has_every_part(name: str, channel: str) -> None:
    found, folder = target.load(name), Path("/f")
    sockets = Sockets(*(folder / each for each in ("console", "port", "qmp", "events", "trace")))
    for each in found.accelerators:
        argv = qemu_argv(Qemu(folder, "10.2.2", "k"), found, each, _guest(folder), channel, sockets)
        assert argv[0] == f"/f/bin/{found.binary}"
        assert "-no-reboot" in argv and "-nodefaults" in argv
        append = argv[argv.index("-append") + 1].split()
        assert set(found.kernel.cmdline) | set(each.cmdline) | set(found.channels[channel].cmdline) == set(append)
        assert argv.index("chardev:console") < argv.index("chardev:port"), "the console is the first serial port"
        for role in found.roles.values():
            assert set(role.argv) <= set(argv)
        forwards = [word for word in argv if "hostfwd" in word]
        assert len(forwards) == (channel == "ssh")
        assert all("tcp:127.0.0.1:0-" in word and "restrict=on" in word for word in forwards), "loopback only"


def test_a_comma_in_a_path_begins_no_option() -> None:
    found, folder = target.load("x86_64-vtd"), Path("/a,b")
    sockets = Sockets(*(folder / each for each in ("console", "port", "qmp", "events", "trace")))
    made_of = (Qemu(folder, "10.2.2", "k"), found, found.accelerators[-1], _guest(folder))
    argv = qemu_argv(*made_of, "serial", sockets, Ram(folder / "ram", copy=False))
    for option in ("-chardev", "-trace", "-object"):
        words = [after for word, after in itertools.pairwise(argv) if word == option and "/a" in after]
        assert words and all("=/a,,b/" in word for word in words)
    assert {argv[argv.index(option) + 1] for option in ("-L", "-D")} == {"/a,b/share/qemu", "/a,b/trace"}
    assert "events=/a,,b/events" in replay_script(*made_of, folder / "events", "title")


@pytest.mark.parametrize("name", NAMES)
def test_the_replay_script_is_a_shell_script_with_the_same_machine(name: str) -> None:
    found, folder = target.load(name), Path("/with space")
    qemu, tcg = Qemu(folder, "10.2.2", "k"), next(each for each in found.accelerators if not each.probe)
    text = replay_script(qemu, found, tcg, _guest(folder), folder / "events", "a title\nrm -rf in a second line")
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0
    assert text.splitlines()[1].startswith("# ") and "\nrm -rf" not in text
    command = next(line for line in text.splitlines() if found.binary in line)
    assert {word for role in found.roles.values() for word in role.argv} <= set(shlex.split(command))


@pytest.mark.parametrize("name", NAMES)
def test_a_host_of_the_guests_architecture_needs_no_cross_compiler(name: str) -> None:
    there = target.load(name)
    recipe = there.kernel.model_copy(update={"cross_compile": "pdp11-linux-gnu-"})
    there = there.model_copy(update={"kernel": recipe})
    assert target.for_host(there, there.arch).kernel.cross_compile == ""
    assert target.for_host(there, "pdp11").kernel.cross_compile == "pdp11-linux-gnu-"
    assert (
        target.load(name).kernel.cross_compile
        == target.for_host(target.load(name), platform.machine()).kernel.cross_compile
    )


def test_an_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        target.load("x86_64-vdt")
    assert "did you mean x86_64-vtd?" in caught.value.hint and all(name in caught.value.hint for name in NAMES)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("summary: [", "while parsing"),
        ("- a\n- b\n", "YAML mapping"),
        ("summary: s\ncpus: many\n", "cpus"),
        ("summary: s\nno_such_field: 1\n", "no_such_field"),
        ("summary: s\nkernel: {make_arch: 3}\n", "kernel.make_arch"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_target_file_is_named_with_its_field(tmp_path: Path, text: str | None, named: str) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as caught:
        target.parse(file)
    assert "mine.yaml" in caught.value.message and named in str(caught.value)


def _derived(folder: Path, name: str, **changes: object) -> Path:
    """A target file of the user's own: a known one with ``changes``."""
    raw = yaml.safe_load((data.folder("qemu") / "machines" / f"{NAMES[-1]}.yaml").read_text())
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({**raw, **changes}))
    return file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fault_events": ["nothing"]}, "fault_events: nothing must be in 'trace', too"),
        ({"channels": {"ssh": {}}}, "'serial' is missing"),
        ({"accelerators": [{"name": "kvm", "argv": [], "probe": True}]}, "one without 'probe'"),
        ({"cpus": 0}, "cpus"),
    ],
)
def test_a_target_of_ones_own_is_checked_like_the_others(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        target.choose([str(_derived(tmp_path, "mine", **changes))])
    assert said in caught.value.message and "mine.yaml" in caught.value.message


def test_targets_are_chosen_by_name_by_file_and_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = _derived(tmp_path, "mine", memory_mib=512)
    monkeypatch.chdir(tmp_path)
    assert [each.name for each in target.choose(["all"])] == list(NAMES)
    assert [each.name for each in target.choose([NAMES[0], NAMES[0]])] == [NAMES[0]]
    assert [each.name for each in target.choose([f"{mine},{NAMES[0]}"])] == ["mine", NAMES[0]]
    assert [each.name for each in target.choose(["all", "./mine.yaml"])] == [*NAMES, "mine"]
    assert target.choose(["mine.yaml"])[0].memory_mib == 512


def test_names_of_targets_are_plain_and_used_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two targets are named"):
        target.choose([NAMES[-1], str(_derived(tmp_path, NAMES[-1]))])
    for name in ("all", ".hidden", "a b"):
        with pytest.raises(UserError, match=r"name of all targets|name: "):
            target.choose([str(_derived(tmp_path, name))])
    for word in ("", ","):
        with pytest.raises(UserError, match="names no target"):
            target.choose([word])
