"""What counts as bad, and what does not."""

from __future__ import annotations

import dataclasses

import pytest

from harness.campaign.bisect.signature import Mark, Reading, Signature, lock, masked, read, together
from harness.model import Outcome, Splat, SplatKind, Status, StepResult


def failed(step: str = "alice: bind device=dma0", got: str = "EBUSY", index: str = "3") -> Outcome:
    results = (StepResult("1", "map", True, "", "", 0.1), StepResult(index, step, False, "success", got, 0.1))
    return Outcome("own-first-bind", Status.FAIL, f"step {index}, {step}: got {got}", 1.0, steps=results)


PASSED = Outcome("own-first-bind", Status.PASS, "", 1.0)
OOPS = Splat(SplatKind.OOPS, "Oops in iommu_sva_bind_device", ("iommu_sva_bind_device", "kph_bind"), ("text",), 12)
OTHER = Splat(SplatKind.WARN, "WARNING in vfs_read", ("vfs_read", "ksys_read"), ("text",), 3)
CRASHED = Outcome("own-first-bind", Status.CRASH, "kernel panic: Oops", 1.0, splats=(OOPS,))


def mark(signature: Signature | None, outcome: Outcome, *boot: Splat, booted: bool = True) -> Mark:
    assert signature is not None
    return read(signature, outcome, boot, booted).mark


def test_a_failed_step_is_told_by_its_place_and_what_came() -> None:
    signature = lock(failed(), (), (), True)
    assert mark(signature, failed()) is Mark.BAD
    assert mark(signature, PASSED) is Mark.GOOD
    for other in (failed(got="EINVAL"), failed(index="4"), failed(step="bob: bind device=dma0"), CRASHED):
        assert mark(signature, other) is Mark.UNKNOWN
    assert str(signature) == "fail at step 3, alice: bind device=dma0: EBUSY"


def test_numbers_that_vary_do_not_make_another_failure() -> None:
    signature = lock(failed(got="success, pasid = 17, addr = 0x7f00"), (), (), True)
    assert mark(signature, failed(got="success, pasid = 3, addr = 0xffff81")) is Mark.BAD
    assert masked("dma0 of 3 at -22, sva2") == "dma0 of # at #, sva2"


def test_a_crash_is_told_by_its_splat() -> None:
    signature = lock(CRASHED, (), (), True)
    moved = dataclasses.replace(OOPS, title="Oops in other words", line=900)
    assert mark(signature, dataclasses.replace(CRASHED, splats=(OTHER, moved))) is Mark.BAD
    assert mark(signature, dataclasses.replace(CRASHED, splats=(OTHER,))) is Mark.UNKNOWN
    assert mark(signature, dataclasses.replace(PASSED, splats=(OTHER,))) is Mark.GOOD
    assert signature is not None and signature.splat is not None and signature.splat.text == ()


def test_a_splat_that_the_good_end_has_is_no_symptom() -> None:
    both = dataclasses.replace(PASSED, splats=(OTHER, OOPS))
    signature = lock(both, (), (OTHER,), True)
    assert signature is not None and signature.splat is not None and signature.splat.title == OOPS.title
    assert lock(dataclasses.replace(PASSED, splats=(OTHER,)), (), (OTHER,), True) is None
    assert lock(PASSED, (), (), True) is None
    assert mark(lock(PASSED, (OOPS,), (), True), PASSED, OOPS) is Mark.BAD, "it may come in boot"


def test_a_kernel_that_does_not_boot_is_skipped_unless_that_is_the_symptom() -> None:
    dead = Outcome("own-first-bind", Status.CRASH, "the kernel dies in boot: kernel panic: no init", 0.0)
    assert mark(lock(failed(), (), (), True), dead, booted=False) is Mark.SKIP
    signature = lock(dead, (), (), False)
    assert mark(signature, dead, booted=False) is Mark.BAD
    assert mark(signature, dataclasses.replace(dead, reason="the kernel hangs in boot"), booted=False) is Mark.SKIP
    assert mark(lock(dataclasses.replace(dead, splats=(OOPS,)), (), (), False), dead, OOPS, booted=False) is Mark.BAD


def test_what_the_kernel_lacks_is_skipped() -> None:
    reading = read(Signature("fail"), Outcome("x", Status.SKIP, "the tree has no own PASIDs", 0.0), (), True)
    assert reading == Reading(Mark.SKIP, "cannot be tested: the tree has no own PASIDs")


def test_a_title_takes_wildcards_and_lets_other_failures_pass() -> None:
    signature = Signature("", title="Oops in iommu_sva_*")
    assert mark(signature, CRASHED) is Mark.BAD
    assert mark(signature, failed()) is Mark.GOOD
    assert mark(signature, dataclasses.replace(CRASHED, splats=(OTHER,))) is Mark.UNKNOWN


@pytest.mark.parametrize(
    "marks, wanted",
    [
        ((Mark.GOOD, Mark.GOOD), Mark.GOOD),
        ((Mark.GOOD, Mark.BAD, Mark.UNKNOWN), Mark.BAD),
        ((Mark.GOOD, Mark.UNKNOWN), Mark.UNKNOWN),
        ((Mark.GOOD, Mark.SKIP), Mark.SKIP),
    ],
)
def test_runs_together(marks: tuple[Mark, ...], wanted: Mark) -> None:
    assert together([Reading(each, str(each)) for each in marks]).mark is wanted
