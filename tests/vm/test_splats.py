"""Kernels of every flavour, made to fail: what the samples in tests/data/console say holds for the kernels of today."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.build.symbols import Symbols
from harness.machine import target as targets
from harness.proc import Door
from harness.verdict import console
from tests.splats import take
from tests.vm.conftest import ALL

pytestmark = pytest.mark.skipif(
    not ALL, reason="KERNELS OF EVERY FLAVOUR ARE NOT MADE TO FAIL: set KPH_ALL (make vm-all)"
)
CASES = [(target, kernel) for target in targets.known() for kernel in take.kernels()]
_SOURCE = Path(take.__file__).parent / "module"


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def failing(request: pytest.FixtureRequest) -> Iterator[take.Failing]:
    target, kernel = request.param
    if lacking := [" ".join(each) for each in take.mistakes(kernel) if not take.sample(target, *each).exists()]:
        pytest.skip(f"NO SAMPLES OF {target}: {', '.join(lacking)}; python -m tests.splats.take makes them")
    with take.failing(*request.param) as guest:
        yield guest


def test_what_a_kernel_says_of_each_mistake(failing: take.Failing) -> None:
    """Titles and kinds; frames and lines are the compiler's."""
    differing = {}
    for flavour, mistake in take.mistakes(failing.kernel):
        wanted = yaml.safe_load(take.sample(failing.plan.target.name, flavour, mistake).read_text())
        found = take.expectation(failing.console(mistake))
        told = [{(splat["kind"], splat["title"]) for splat in each["splats"]} for each in (wanted, found)]
        # What a task that has lost count of its locks stumbles over next is chance.
        if told[0] != told[1] and mistake != "scheduling":
            differing[flavour, mistake] = told
    assert not differing


def test_frames_have_the_lines_of_the_source(failing: take.Failing) -> None:
    if ("kasan", "inlined") not in take.mistakes(failing.kernel):
        pytest.skip("no mistake inside an inlined function is made on this flavour")
    images = Symbols(failing.plan.guest.kernel, failing.module, failing.plan.target.kernel.cross_compile, Door())
    (splat,) = images.placed(console.read(failing.console("inlined")).splats)
    lines = (_SOURCE / "memory.c").read_text().splitlines()
    told = [(place.function, place.file, lines[place.line - 1].strip()) for place in splat.places[:3]]
    assert [each[:2] for each in told] == [(f"splat_{name}", "memory.c") for name in ("innermost", "inner", "inlined")]
    assert told[0][2].startswith("WARN(") and told[1][2] == "splat_innermost(buffer);"
    assert told[2][2] == "splat_inner(buffer);"
    writing = next(place for place in splat.places if place.function == "splats_write")
    assert (_SOURCE / "main.c").read_text().splitlines()[writing.line - 1].strip() == "each->make();"
    assert any(place.file == "fs/read_write.c" for place in splat.places)
