"""The console parser on sample logs, on chunks, and on garbage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.model import Splat, SplatKind
from harness.verdict import console
from harness.verdict.console import SPLATS, ConsoleWatch

SAMPLES = Path(__file__).parents[1] / "data" / "console"
LOGS = sorted(SAMPLES.glob("*.log"))


def _wanted(log: Path) -> dict[str, Any]:
    wanted: dict[str, Any] = yaml.safe_load(log.with_suffix(".yaml").read_text())
    return wanted


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_sample(log: Path) -> None:
    wanted, found = _wanted(log), console.read(log.read_bytes())
    assert (found.panic, found.died) == (wanted["panic"], wanted["died"])
    told = [
        {
            "kind": splat.kind.value,
            "title": splat.title,
            "line": splat.line,
            "frames": list(splat.frames[: len(each["frames"])]),
            "corrupted": splat.corrupted,
        }
        for splat, each in zip(found.splats, wanted["splats"], strict=True)
    ]
    assert told == wanted["splats"]
    assert found.ended_in_panic == (wanted["panic"] is not None)


# The same mistake of the same function, told by the kernel in the same words.
_ON_BOTH = ("null", "bug", "warns", "warn-panic", "refcount", "hung", "soft-lockup", "rcu-stall", "init-oops", "panic")


@pytest.mark.parametrize("name", _ON_BOTH)
def test_equal_bugs_have_equal_titles_on_both_architectures(name: str) -> None:
    x86, arm64 = ({splat.title for splat in _splats(f"{arch}-{name}")} for arch in ("x86", "arm64"))
    shared = x86 & arm64
    assert shared and all("splat_" in title or "splat: " in title for title in shared)
    # what a waiter is called, and how often the whole was repeated, differs between the two modules
    assert not {title for title in x86 ^ arm64 if not title.startswith("task hung")}


def _splats(name: str) -> tuple[Splat, ...]:
    return console.read((SAMPLES / f"{name}.log").read_bytes()).splats


def test_an_address_behind_the_last_call_is_not_a_function_that_ran() -> None:
    assert "panic+0x0/" in (SAMPLES / "arm64-serror.log").read_text()
    assert "panic" not in _splats("arm64-serror")[0].frames


def test_the_link_register_names_the_caller_that_the_trace_of_arm64_lacks() -> None:
    splat = _splats("arm64-copy")[0]
    assert not any("splat_copy+" in line for line in splat.text if line.startswith(" "))
    assert splat.frames[:3] == ("__pi_memcpy_generic", "splat_copy", "splat_write")


def test_every_sample_has_an_expectation_and_every_kind_a_sample() -> None:
    assert {log.stem for log in LOGS} == {file.stem for file in SAMPLES.glob("*.yaml")}
    kinds = {splat["kind"] for log in LOGS for splat in _wanted(log)["splats"]}
    assert kinds == {kind.value for kind in SplatKind}
    assert sum(_wanted(log)["origin"] == "real" for log in LOGS) >= 70


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_lines_and_bytes_say_the_same(log: Path) -> None:
    data = log.read_bytes()
    assert console.parse(data.split(b"\n")) == console.read(data).splats
    assert console.parse(data.decode(errors="replace").split("\n")) == console.read(data).splats
    assert console.panicked(data.split(b"\n")) == console.read(data).panic


# One for each way in which a report ends: by a rule, a mark, the end of its trace, the next report.
_CUT = (
    "kasan-two-cpus-kasan",
    "ubsan-shift",
    "lockdep-rcu-usage",
    "lockdep-rcu-sleep",
    "lockdep-double-rcu",
    "base-list",
)


@pytest.mark.parametrize("name", _CUT)
def test_a_report_that_is_cut_at_any_line_has_its_title_or_says_that_it_may_not(name: str) -> None:
    lines = (SAMPLES / f"x86-{name}.log").read_bytes().splitlines(keepends=True)
    whole = {(splat.kind, splat.title) for splat in console.read(b"".join(lines)).splats}
    cuts = [console.read(b"".join(lines[:end])).splats for end in range(len(lines) + 1)]
    assert {(splat.kind, splat.title) for splats in cuts for splat in splats if not splat.corrupted} == whole
    assert any(splat.corrupted for splats in cuts for splat in splats)


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("name", ["x86-two-cpus", "x86-slab", "hostile-bytes", "x86-warn-panic"])
def test_chunks_of_any_size_say_the_same(name: str, size: int) -> None:
    data = (SAMPLES / f"{name}.log").read_bytes()
    watch = ConsoleWatch()
    for start in range(0, len(data), size):
        watch.feed(data[start : start + size])
    assert watch.close() == console.read(data)


def test_the_watch_tells_early() -> None:
    data = (SAMPLES / "x86-null.log").read_bytes()
    watch = ConsoleWatch()
    watch.feed(data[: data.index(b"RIP: 0010")])
    assert [splat.kind for splat in watch.splats] == [SplatKind.OOPS]
    assert watch.splats[0].title == "kernel NULL pointer dereference"  # the function comes with the trace
    assert watch.died and watch.panic is None
    watch.feed(data[data.index(b"RIP: 0010") : data.index(b"Fatal exception")])
    assert watch.panic is None, "the line is not complete"
    watch.feed(b"Fatal exception\n")
    assert watch.panic == "Fatal exception"
    assert watch.splats[0].title == "kernel NULL pointer dereference in splat_null"
    assert len(watch.splats) == 1


def test_the_watch_counts_lines_and_keeps_the_last_of_the_kernel() -> None:
    watch = ConsoleWatch()
    watch.feed(b"SeaBIOS\r\n[    0.000000][    T0] Linux version\r\nkph-agent: hello\r\n[    1.0")
    assert (watch.lines, watch.last_line) == (3, "Linux version")
    assert watch.close().lines == 4


def test_a_trace_inside_a_trace_is_interleaved() -> None:
    trace = b"Call Trace:\n foo+0x1/0x2\n"
    whole = console.read(b"BUG: one\n" + trace + b"\n").splats[0]
    mixed = console.read(b"BUG: one\n" + trace + trace + b"\n").splats[0]
    assert (whole.corrupted, mixed.corrupted) == (False, True)


def test_the_end_of_a_panic_is_seen() -> None:
    watch = ConsoleWatch()
    watch.feed(b"Kernel panic - not syncing: x\n")
    assert watch.panic == "x" and not watch.panic_over
    watch.feed(b"---[ end Kernel panic - not syncing: x ]---\n")
    assert watch.panic_over


def test_equal_bugs_have_equal_titles() -> None:
    data = (SAMPLES / "x86-uaf.log").read_bytes() if (SAMPLES / "x86-uaf.log").exists() else None
    data = data or (SAMPLES / "x86-debug-uaf.log").read_bytes()
    other = (
        data.replace(b"init/38", b"kworker/1:2/4711").replace(b"ffff8880", b"ffff9c41").replace(b"+0xaa/", b"+0xbe/")
    )
    assert other != data
    assert console.read(other).splats[0].title == console.read(data).splats[0].title


def test_a_consequence_is_not_a_splat_of_its_own() -> None:
    alone = console.read(b"Kernel panic - not syncing: Fatal exception\n")
    assert [splat.kind for splat in alone.splats] == [SplatKind.PANIC]
    oops = (SAMPLES / "x86-bug-no-panic.log").read_bytes()
    before = len(console.read(oops).splats)
    both = console.read(oops + b"[   99.000000][   T37] Kernel panic - not syncing: VFS: no root\n")
    assert [splat.kind for splat in both.splats[before:]] == [SplatKind.PANIC], "this panic has a cause of its own"


_OOPS = b"BUG: kernel NULL pointer dereference, address: 0000000000000000\nOops: Oops: 0002 [#1] SMP\n"
_WARN = b"WARNING: a.c:1 at foo+0x1/0x2, CPU#0: x/1\n"
_LOCKUP = b"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [x:1]\n"
_HUNG = b"INFO: task x:1 blocked for more than 10 seconds.\n"
_STALL = b"rcu: INFO: rcu_sched self-detected stall on CPU\n"


@pytest.mark.parametrize(
    ("before", "panic", "splats"),
    [
        (_OOPS, b"Fatal exception", 1),
        (_OOPS, b"Fatal exception in interrupt", 1),
        (_OOPS, b"Oops - BUG: Fatal exception", 1),
        (_OOPS, b"Attempted to kill init! exitcode=0x0000000b", 1),
        (_OOPS, b"Attempted to kill init! exitcode=0x00000100", 2),
        (_OOPS, b"Aiee, killing interrupt handler!", 1),
        (_OOPS, b"Oopsed too often (kernel.oops_limit is 10000)", 1),
        (_OOPS, b"Attempted to kill the idle task!", 1),
        (_OOPS, b"Machine halted.", 1),
        (_OOPS, b"VFS: Unable to mount root fs on unknown-block(0,0)", 2),
        (_WARN, b"kernel: panic_on_warn set ...", 1),
        (_WARN, b"kernel: system warned too often (kernel.warn_limit is 1)", 1),
        (_WARN, b"Fatal exception", 2),
        (_LOCKUP, b"softlockup: hung tasks", 1),
        (_LOCKUP, b"Hard LOCKUP", 1),
        (_HUNG, b"hung_task: blocked tasks", 1),
        (_STALL, b"RCU Stall", 1),
        (b"", b"Fatal exception", 1),
    ],
)
def test_one_cause_is_one_splat(before: bytes, panic: bytes, splats: int) -> None:
    found = console.read(before + b"Kernel panic - not syncing: " + panic + b"\n")
    assert len(found.splats) == splats
    assert found.panic == panic.decode()
    assert any(b"panic" in line.encode() for line in found.splats[-1].text)


def test_memory_is_bounded() -> None:
    watch = ConsoleWatch()
    watch.feed(b"A" * 10_000_000)
    assert len(watch._splitter._rest) == 4096
    watch.feed(b"\nBUG: everything is broken\n" + b"Call Trace:\n" + b" foo+0x1/0x2\n" * 100_000)
    splat = watch.splats[0]
    assert len(splat.text) <= 200 and sum(map(len, splat.text)) <= 65536 and len(splat.frames) <= 64
    for number in range(3 * SPLATS):
        watch.feed(f"[    1.{number:06d}][{f'T{number % 500}':>6}] BUG: {number}x\n".encode())
    assert len(watch.splats) == SPLATS and watch.dropped == 1 + 3 * SPLATS - SPLATS
    assert len(watch._streams) <= 64


def test_text_is_bounded_in_characters() -> None:
    long = b"BUG: KASAN: slab-out-of-bounds in foo+0x1/0x2\n" + (b"x" * 4000 + b"\n") * 60
    splat = console.read(long).splats[0]
    assert sum(map(len, splat.text)) <= 65536


# Pieces of which real consoles are made, so that garbage reaches the inner states.
_PIECES = st.sampled_from(
    [
        b"------------[ cut here ]------------",
        b"WARNING: a.c:1 at foo+0x1/0x2, CPU#0: x/1",
        b"BUG: KASAN: slab-use-after-free in foo+0x1/0x2",
        b"==================================================================",
        b"WARNING: possible recursive locking detected",
        b"Call Trace:",
        b" <TASK>",
        b" </TASK>",
        b" foo+0x1/0x2",
        b" ? bar+0x1/0x2",
        b"RIP: 0010:foo+0x1/0x2",
        b"Oops: Oops: 0002 [#1] SMP",
        b"kernel BUG at a.c:1!",
        b"refcount_t: underflow; use-after-free.",
        b"Kernel panic - not syncing: Fatal exception",
        b"---[ end trace 0000000000000000 ]---",
        b"** 3 printk messages dropped **",
        b"** replaying previous printk message **",
        b"NMI backtrace for cpu 1",
        b"rcu: INFO: rcu_sched self-detected stall on CPU",
        b"BUG kmalloc-64 (Not tainted): Object already free",
        b"Read of size 8 at addr ffff888000000000 by task x/1",
        b"",
    ]
)
_PREFIX = st.sampled_from(
    [b"", b"[    1.000000] ", b"[    2.000000][   T12] ", b"[    3.000000][    C0] ", b"[    T1] "]
)
_LINE = st.tuples(_PREFIX, st.one_of(_PIECES, st.binary(max_size=40))).map(lambda parts: parts[0] + parts[1])
_CONSOLE = st.lists(_LINE, max_size=60).map(b"\r\n".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(_CONSOLE, st.binary(max_size=600)), st.lists(st.integers(1, 200), max_size=20))
def test_garbage_never_raises_and_chunks_do_not_matter(data: bytes, sizes: list[int]) -> None:
    whole = console.read(data)
    watch = ConsoleWatch()
    start = 0
    for size in sizes:
        watch.feed(data[start : start + size])
        assert all(splat.title for splat in watch.splats)
        start += size
    watch.feed(data[start:])
    assert watch.close() == whole
    for splat in whole.splats:
        assert splat.title and splat.text and 1 <= splat.line <= whole.lines
        assert splat.title.isprintable() and "\n" not in splat.title


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    console.parse([text, f"BUG: {text}", f"kph-agent: {text}"])
    console.panicked([text])
