"""What is done with the splats of a kernel once its suite is over: file and line, and which of them are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.build import symbols
from harness.build.symbols import Symbols
from harness.campaign.result import SideResult
from harness.errors import InfraError
from harness.model import Outcome, Pattern, Splat
from harness.verdict import known


def told(result: SideResult, images: Symbols, patterns: Sequence[Pattern], target: str) -> SideResult:
    """``result`` with its known splats set apart, and with the places of the frames of all of them."""
    result = _placed(result, images)
    boot_splats, boot_known = known.sort(result.boot_splats, patterns, target)
    return dataclasses.replace(
        result,
        outcomes=tuple(known.settle(outcome, patterns, target) for outcome in result.outcomes),
        boot_splats=boot_splats,
        known=boot_known,
        otherwise=known.settle(result.otherwise, patterns, target) if result.otherwise else None,
    )


def _placed(result: SideResult, images: Symbols) -> SideResult:
    every = [*result.boot_splats, *(splat for outcome in _outcomes(result) for splat in outcome.splats)]
    if not every:
        return result
    try:
        if not images.known():
            return dataclasses.replace(result, notes=(*result.notes, symbols.WITHOUT_LINES))
        placed = dict(zip(every, images.placed(every), strict=True))
    except (InfraError, OSError, ValueError) as error:  # a report without line numbers is still a report
        return dataclasses.replace(result, notes=(*result.notes, f"no line numbers: {error}"))
    return dataclasses.replace(
        result,
        outcomes=tuple(_with(outcome, placed) for outcome in result.outcomes),
        boot_splats=tuple(placed[splat] for splat in result.boot_splats),
        otherwise=_with(result.otherwise, placed) if result.otherwise else None,
    )


def _outcomes(result: SideResult) -> tuple[Outcome, ...]:
    return (*result.outcomes, *((result.otherwise,) if result.otherwise else ()))


def _with(outcome: Outcome, placed: dict[Splat, Splat]) -> Outcome:
    return dataclasses.replace(outcome, splats=tuple(placed[splat] for splat in outcome.splats))
