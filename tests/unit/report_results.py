"""Results that the tests of the reports share. Run as a program, it writes the golden files anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from harness.model import (
    Cell,
    IommuFault,
    Known,
    Measured,
    Outcome,
    Patch,
    Pattern,
    Phase,
    Place,
    Row,
    RunResult,
    Series,
    Splat,
    SplatKind,
    Status,
    StepResult,
    Tree,
    Verdict,
)
from harness.report import View, render
from harness.verdict import compare

GOLDEN = Path(__file__).parents[1] / "data" / "report"
WIDTHS = (80, 120)
RUN = Path("/home/dev/.local/state/kph/runs/20261123-120000-x86_64-vtd-k3v9")
TREE = Tree(
    "debian:7.3", Path("/cache/trees"), "35c45eb1a2b3c4d5e6f708192a3b4c5d6e7f8091", "c0ffee" * 6, "7.3.4", "deb"
)
SERIES = Series(
    ("v2.mbox",),
    "iommu: Allow device driver to use its own PASID space for SVA",
    (
        Patch(1, "iommu: Pass the PASID", "A Dev <a@example.org>", b"", ("drivers/iommu/iommu-sva.c",), "v2.mbox"),
        Patch(2, "iommu: Document it", "A Dev <a@example.org>", b"", ("Documentation/x.rst",), "v2.mbox"),
    ),
)
UAF = Splat(
    SplatKind.KASAN,
    "KASAN: slab-use-after-free Read in iommu_sva_unbind_device",
    (
        "dump_stack_lvl",
        "kasan_report",
        "iommu_sva_unbind_device",
        "kph_release",
        "exit_mmap",
        "mm_put",
        "do_one",
        "last",
    ),
    (
        "BUG: KASAN: slab-use-after-free in iommu_sva_unbind_device+0x1a/0x90",
        "Call Trace:",
        " iommu_sva_unbind_device+0x1a/0x90",
        " kph_release+0x30/0x50 [kph_sva]",
    ),
    412,
    places=(
        Place("iommu_sva_unbind_device+0x1a/0x90", "refcount_dec", "include/linux/refcount.h", 401),
        Place("iommu_sva_unbind_device+0x1a/0x90", "iommu_sva_unbind_device", "drivers/iommu/iommu-sva.c", 177),
        Place("kph_release+0x30/0x50 [kph_sva]", "kph_release", "kph_sva_main.c", 88),
    ),
)
KNOWN = Known(
    Splat(SplatKind.LOCKDEP, "suspicious RCU usage in prq_event_thread", ("prq_event_thread",), ("x",), 90),
    Pattern("suspicious RCU usage in *", "being worked on", link="https://example.org/1", origin="known.yaml:2"),
)
WARN = Splat(SplatKind.WARN, "WARNING in mm_pasid_drop", ("mm_pasid_drop",), ("WARNING: x",), 17, corrupted=True)
NO_API = "the tree does not declare iommu_sva_bind_device_pasid()"
NO_ENQCMD = "the guest's CPU has no ENQCMD"
_STEPS = (
    StepResult("1", "alice: bind dma0 as first", True, "", "ret 0, pasid 1", 0.004),
    StepResult(
        "3.2",
        "alice: bind dma0 as second, which must be the same handle with one more reference than before",
        False,
        "ret 0, handle 1",
        "ret -28 (ENOSPC)",
        0.003,
    ),
)
_FAULTS = tuple(IommuFault("00:04.0", 0x7F1200000000 + 4096 * page, "0x59", 1, False) for page in range(7))


def outcome(name: str, status: Status, reason: str = "", **more: Any) -> Outcome:
    evidence = RUN / "patched" / name if status not in (Status.PASS, Status.SKIP) else None
    return Outcome(name, status, reason, 0.25, evidence=evidence, **more)


def _row(name: str, base: Outcome | None, patched: Outcome | None, series: bool = True) -> Row:
    summary = f"what {name} is about, in words that need more than one line on a narrow terminal"
    return compare.row(summary, "x86_64-vtd", "base", base, patched, series)


def _passes(count: int) -> tuple[Row, ...]:
    names = [f"g{number:02}-global-bind" for number in range(1, count + 1)]
    return tuple(_row(name, outcome(name, Status.PASS), outcome(name, Status.PASS)) for name in names)


def _own(count: int) -> tuple[Row, ...]:
    names = [f"p{number:02}-own-bind" for number in range(1, count + 1)]
    return tuple(_row(name, outcome(name, Status.SKIP, NO_API), outcome(name, Status.PASS)) for name in names)


def _both(name: str, base: tuple[Status, str], patched: tuple[Status, str], **more: Any) -> Row:
    return _row(name, outcome(name, *base), outcome(name, *patched, **more))


def _result(
    rows: tuple[Row, ...], series: Series | None = SERIES, boot: tuple[Splat, ...] = (), reasons: tuple[str, ...] = ()
) -> RunResult:
    return _run((_cell("x86_64-vtd", rows, boot, reasons),), series)


def _cell(target: str, rows: tuple[Row, ...], boot: tuple[Splat, ...] = (), reasons: tuple[str, ...] = ()) -> Cell:
    verdict, why = compare.judge(rows, boot)
    return Cell(
        target,
        verdict,
        (*reasons, *why),
        "tcg: /dev/kvm opens, but its test guest did not end within 2 s",
        tuple(dataclasses.replace(row, target=target) for row in rows),
        boot,
        facts={"qemu": "10.2.2", "boots": {"base": 1, "patched": 2}, "path": RUN},
    )


def _run(cells: tuple[Cell, ...], series: Series | None = SERIES) -> RunResult:
    verdict, reasons = compare.together(cells)
    phases = [Phase("fetch", "", 1.234, started=0.2, lane="main")]
    for number, cell in enumerate(cells):
        name, at = cell.target, 1.5 + 102.5 * number
        phases += [
            Phase("build", "base", 80.21, "from cache", name, at, "main"),
            Phase("build", "patched", 21.9, "", name, at + 80.3, "main"),
            Phase("boot", "base", 2.5, "", name, at + 80.4, f"{name} base"),
            Phase("scenarios", "base", 12.0, "", name, at + 80.3, f"{name} base"),
            Phase("boot", "patched", 2.25, "", name, at + 102.3, f"{name} patched"),
            Phase("boot", "patched", 2.5, "", name, at + 106.3, f"{name} patched 2"),
            Phase("scenarios", "patched", 13.04, "", name, at + 102.3, f"{name} patched"),
        ]
    return RunResult(
        run=RUN,
        verdict=verdict,
        reasons=reasons,
        tree=TREE,
        series=series,
        suite="sva",
        channel="serial",
        cells=cells,
        phases=tuple(phases),
        seconds=1.6 + 102.5 * (len(cells) - 1) + 115.4,
    )


def passing() -> RunResult:
    skip = (Status.SKIP, NO_ENQCMD)
    return _result((*_passes(12), *_own(6), _both("p14-enqcmd", skip, skip)))


def failing() -> RunResult:
    ok, step = (Status.PASS, ""), "step 3.2: expected ret 0, handle 1, got ret -28 (ENOSPC)"
    skip = (Status.SKIP, NO_ENQCMD)
    rows = (
        *_passes(5),
        _both(
            "g02-same-device-again-gives-the-same-handle",
            ok,
            (Status.FAIL, step),
            steps=_STEPS,
            faults=_FAULTS,
            advice=("a failed own bind counts as an own bind",),
            measured=(Measured("first bind", (("points", 9), ("kinds", "slab"), ("complete", True))),),
        ),
        _both("g12-killed-while-bound", ok, (Status.CRASH, "kernel panic: Fatal exception"), splats=(UAF, UAF)),
        *_own(2),
        _both("p09-other-pasid", (Status.SKIP, NO_API), (Status.HANG, "step 4 did not answer within 15 s")),
        _both("p14-enqcmd", skip, skip),
        _both("p16-error-paths", (Status.ERROR, "QEMU was killed by signal 9"), ok),
        _both("x01-known-bug", (Status.FAIL, "step 1: expected ret 0, got ret -22 (EINVAL)"), (Status.FAIL, "step 1")),
        _both("x02-mended", (Status.CRASH, "kernel panic: Fatal exception"), ok),
    )
    return _result(rows, boot=(WARN,))


def no_evidence() -> RunResult:
    skip = (Status.SKIP, NO_API)
    return _result((_both("p01-own-bind", skip, skip), _both("p02-own-bind", skip, skip)))


def tree_alone() -> RunResult:
    rows = (
        *(_row(f"g{n:02}-global-bind", outcome(f"g{n:02}-global-bind", Status.PASS), None, False) for n in range(4)),
        _row("g12-killed-while-bound", outcome("g12-killed-while-bound", Status.PASS, splats=(UAF,)), None, False),
        _row("p01-own-bind", outcome("p01-own-bind", Status.SKIP, NO_API), None, False),
        _row("x01-known-bug", outcome("x01-known-bug", Status.FAIL, "step 1", steps=_STEPS), None, False),
    )
    return _result(rows, series=None)


def not_booted() -> RunResult:
    evidence, reason = RUN / "patched" / "boot-1", "the kernel dies in boot: kernel panic: Fatal exception"
    rows = []
    for number in range(1, 6):
        name = f"g{number:02}-global-bind"
        dead = Outcome(name, Status.CRASH, reason, 0.0, splats=(UAF,), evidence=evidence)
        rows.append(_row(name, outcome(name, Status.PASS), dead))
    return _result(tuple(rows), reasons=(f"patched: {reason}",))


def not_built() -> RunResult:
    ok, failed = (Status.PASS, ""), (Status.FAIL, "the patched kernel does not build")
    errors = (
        "patched: the kernel does not build",
        "    drivers/iommu/iommu-sva.c:101:9: error: implicit declaration of function 'mm_pasid_take'",
        "      101 |         mm_pasid_take(mm, pasid);",
    )
    return _result((_both("g01-global-bind", ok, failed),), reasons=("\n".join(errors),))


HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J[red]:smile:[/red] </failure>]]>&lt;\u202e\x00\x7f\x85\ud800\ufffe"
    "\r\n# ok 1 - fake\nVerdict: pass"
)


def targets_pass() -> RunResult:
    return _run((_cell("x86_64-vtd", passing().rows), _cell("arm64-smmuv3", passing().rows)))


def _sound() -> tuple[Row, ...]:
    told = [row.patched for row in passing().rows]
    return tuple(compare.alone("", "x86_64-vtd", "base", each) for each in told if each is not None)


def patched_alone() -> RunResult:
    """Nothing is wrong with the patched kernel, so the base was not asked."""
    return _result(_sound())


def patched_first() -> RunResult:
    """On one target the base was not asked, on the other it was."""
    return _run((_cell("x86_64-vtd", _sound()), _cell("arm64-smmuv3", failing().rows)))


def targets_differ() -> RunResult:
    """The series fails on one target, of the next there is no evidence; each has a scenario that others lack."""
    ok, bad = (Status.PASS, ""), (Status.FAIL, "step 3: expected ret 0, got ret -28 (ENOSPC)")
    error = "no accelerator of arm64-smmuv3 can run a guest"
    names = (*(row.scenario for row in _passes(3)), "p01-own-bind", "arm-only")
    dead = [Outcome(name, Status.ERROR, error, 0.0, evidence=RUN / "arm64-smmuv3") for name in names]
    broken = tuple(_row(each.scenario, each, each) for each in dead)
    rows = (*_passes(3), _both("p01-own-bind", ok, bad), _both("x86-only", ok, ok))
    fine = (*_passes(3), *_own(1))
    return _run(
        (
            _cell("x86_64-vtd", rows, (WARN,)),
            _cell("arm64-smmuv3", broken, reasons=(f"base: {error}", f"patched: {error}")),
            _cell("mine", fine),
        )
    )


def flavours_differ() -> RunResult:
    """More columns than a terminal has; one flavour finds what the others do not."""
    rows = (*_passes(3), *_own(1))
    found = (*_passes(3), _row("p01-own-bind", outcome("p01-own-bind", Status.SKIP, NO_API), _sloppy()))
    return _run(
        tuple(
            dataclasses.replace(
                _cell(target, tuple(dataclasses.replace(row, flavour=flavour) for row in here)), flavour=flavour
            )
            for target in ("x86_64-vtd", "arm64-smmuv3")
            for flavour, here in (("base", rows), ("kasan", found), ("lockdep+leak", rows))
        )
    )


def _sloppy() -> Outcome:
    return outcome("p01-own-bind", Status.CRASH, UAF.title, splats=(UAF,))


def targets_alone() -> RunResult:
    return _run((_cell("x86_64-vtd", tree_alone().rows), _cell("arm64-smmuv3", tree_alone().rows[:4])), None)


def motive() -> RunResult:
    """What the series is for fails without it; one of them for another reason, too, once it is there."""
    need = outcome("motive-one-pasid", Status.FAIL, "step 4: expected ret 0, got ret -28 (ENOSPC)", lacking=NO_API)
    still, other = (dataclasses.replace(need, scenario=f"motive-{name}") for name in ("still", "other"))
    rows = (
        _row(need.scenario, need, outcome(need.scenario, Status.PASS)),
        _row(still.scenario, still, still),
        _row(other.scenario, other, outcome(other.scenario, Status.FAIL, "step 6", steps=_STEPS)),
    )
    return _result((*_passes(2), *rows))


def motive_alone() -> RunResult:
    return _result(tuple(_row(row.scenario, row.base, None, False) for row in motive().rows), None)


def known_splats() -> RunResult:
    """Known splats on both sides and in boot, and a pattern of no use any more."""
    rows = passing().rows
    first = rows[0]
    assert first.base and first.patched
    base, patched = (dataclasses.replace(each, known=(KNOWN,)) for each in (first.base, first.patched))
    first = dataclasses.replace(first, base=base, patched=patched)
    result = _result((first, *rows[1:]), SERIES)
    cells = tuple(dataclasses.replace(cell, known=(KNOWN,)) for cell in result.cells)
    note = "known splat 'WARNING in f' (known.yaml:5) counts again: it was known until 7.3"
    return dataclasses.replace(result, cells=cells, notes=(note,))


def hostile(targets: tuple[str, ...] = (HOSTILE,)) -> RunResult:
    """Every string that a guest, a mail or a suite can choose is hostile."""
    places = (Place("f+0x1/0x2", HOSTILE, HOSTILE, 1), Place(HOSTILE, HOSTILE, HOSTILE, 1))
    splat = Splat(SplatKind.WARN, HOSTILE, ("f", HOSTILE), (HOSTILE, " f+0x1/0x2"), 1, places=places)
    known = Known(splat, Pattern(HOSTILE, HOSTILE, link=HOSTILE, until=HOSTILE, origin=HOSTILE))
    step = StepResult("1", HOSTILE, False, HOSTILE, HOSTILE, float("nan"))
    bad = Outcome(
        HOSTILE,
        Status.FAIL,
        HOSTILE,
        float("inf"),
        (step,),
        (splat,),
        (),
        (HOSTILE,),
        Path("/" + HOSTILE.replace("\0", "")),
        known=(known,),
    )
    fine = Outcome(HOSTILE, Status.PASS, "", -1.0)
    skip = Outcome(HOSTILE, Status.SKIP, HOSTILE, 0.0)
    rows = (
        compare.row(HOSTILE, HOSTILE, HOSTILE, fine, bad, True),
        compare.row(HOSTILE, HOSTILE, HOSTILE, skip, skip, True),
    )
    facts = {HOSTILE: HOSTILE, "n": float("nan"), "s": {HOSTILE}}
    return RunResult(
        run=RUN,
        verdict=Verdict.FAIL,
        reasons=(HOSTILE,),
        tree=Tree(HOSTILE, RUN, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        series=Series((HOSTILE,), HOSTILE, (Patch(1, HOSTILE, HOSTILE, b"", (HOSTILE,), HOSTILE),)),
        suite=HOSTILE,
        channel=HOSTILE,
        cells=tuple(
            Cell(target, Verdict.FAIL, (HOSTILE,), HOSTILE, rows, (splat,), facts, known=(known,)) for target in targets
        ),
        phases=(Phase(HOSTILE, "base", float("nan"), HOSTILE, HOSTILE),),
    )


def hostile_targets() -> RunResult:
    return hostile((HOSTILE, "x86_64-vtd"))


CASES = {
    case.__name__: case
    for case in (
        passing,
        failing,
        no_evidence,
        tree_alone,
        not_built,
        not_booted,
        targets_pass,
        targets_differ,
        targets_alone,
        flavours_differ,
        patched_alone,
        patched_first,
        motive,
        motive_alone,
        known_splats,
    )
}


def golden(case: str, width: int) -> Path:
    return GOLDEN / f"{case.replace('_', '-')}.{width}.txt"


if __name__ == "__main__":
    for name, make in CASES.items():
        for columns in WIDTHS:
            golden(name, columns).write_text(render("text", make(), View(columns)))
