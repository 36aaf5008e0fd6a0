"""What a run is asked to do."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.machine.target import Target
from harness.model import Pattern
from harness.scenario.schema import Plain, Scenario, Suite
from harness.scenario.tuning import Tuning


@dataclass(frozen=True)
class Request:
    """What the user asked for, names already checked."""

    tree: str  # --tree
    base: str | None  # --base
    series: tuple[str, ...]  # --series, in order
    targets: tuple[Target, ...]  # one or more, in order
    suite: Suite
    scenarios: tuple[Scenario, ...]  # none when the suite's tests are the guest's own
    patterns: tuple[str, ...]  # --scenario, which chooses among those, too
    behaviours: Mapping[str, Plain]  # what the user says is to be expected of this series; the rest is by default
    flavours: tuple[str, ...]  # kernel configurations, one or more, in order
    channel: str
    accelerator: str | None  # --accel
    qemu: Path | None  # --qemu
    snapshot: bool = True  # --snapshot: scenarios on copies of one guest, where that works; else each on its own boot
    jobs: int | None = None  # --jobs: guests at a time; None: as many as the machine carries
    tuning: Tuning = field(default_factory=Tuning)  # --seed, --stress
    force: bool = False  # --force: measure also what an earlier run has measured
    patched_first: bool = False  # --patched-first: the base only where something is wrong on the patched kernel
    options: str = ""  # a fragment of kernel options besides, which need not survive
    sandbox: bool = False  # --sandbox: what the tree makes make run is confined
    known: tuple[Pattern, ...] = ()  # splats that do not count: the suite's and those of --known

    @property
    def several(self) -> bool:
        """Whether there is more than one cell: target and flavour."""
        return len(self.targets) * len(self.flavours) > 1


def write(request: Request, file: Path) -> None:
    """Keep the request as evidence."""
    facts = {
        "argv": sys.argv,
        "tree": request.tree,
        "base": request.base,
        "series": request.series,
        "targets": [target.name for target in request.targets],
        "suite": request.suite.name,
        "scenarios": [scenario.id for scenario in request.scenarios],
        "patterns": request.patterns,
        "behaviours": dict(request.behaviours),
        "flavours": request.flavours,
        "known": [pattern.origin for pattern in request.known],
        "channel": request.channel,
        "snapshot": request.snapshot,
        "jobs": request.jobs,
        "seed": request.tuning.seed,
        "stress": request.tuning.stress,
        "force": request.force,
        "patched_first": request.patched_first,
        "sandbox": request.sandbox,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    file.write_text(json.dumps(facts, indent=1) + "\n")
