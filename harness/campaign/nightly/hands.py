"""What the command lends to a night, so that nothing here reaches up to commands and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.campaign.bisect.order import Found
from harness.campaign.nightly.plan import Planned
from harness.campaign.request import Request
from harness.model import RunResult


@dataclass(frozen=True)
class Hands:
    """Three things to do."""

    ask: Callable[[Planned, Sequence[str]], Request]  # the run of one cell: of these scenarios, or of all without any
    report: Callable[[RunResult, Path], None]  # keep a run's own report in its folder
    bisection: Callable[[Found], Mapping[str, str]]  # file name -> content of what a bisection leaves
