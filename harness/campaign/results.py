"""Results of earlier runs: the same scenario on the same kernel in the same machine need not run again.

A scenario runs on a pristine kernel, so its result depends on nothing but what
the key and its own file say, whichever other scenarios ran. Only what is
steady is kept: passes, skips and failed expectations. A crash, a hang, a splat
or an error of the host is measured again by every run.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

import harness
from harness import inuse
from harness.cache import Cache, digest, digest_folder, write_whole
from harness.campaign.guest import Plan
from harness.campaign.result import SideResult
from harness.errors import InfraError
from harness.model import Outcome, Splat, Status
from harness.scenario import known
from harness.scenario.schema import Plain, Scenario, Suite
from harness.scenario.tuning import Tuning

_STEADY = (Status.PASS, Status.SKIP, Status.FAIL)


@dataclass(frozen=True)
class Kept:
    """What is known of one kernel in one machine."""

    boot_seconds: float
    boot_splats: tuple[Splat, ...]
    outcomes: Mapping[str, tuple[str, Outcome]]  # scenario id -> digest of its file, and what came of it


@functools.cache
def _form() -> TypeAdapter[Kept]:
    return TypeAdapter(Kept)


class Results:
    """The results under one key."""

    def __init__(self, cache: Cache, key: str, run: Path, kind: str = "", tuning: Tuning | None = None) -> None:
        """``run``: the directory of the present run, which kept outcomes name as where they were measured.

        ``kind``: what has scenarios that take about the same time, whichever the kernel.
        """
        self._cache, self._key, self._run, self._tuning = cache, key, run, tuning or Tuning()
        self._file = cache.room("results") / f"{key}.json"
        self._times = cache.room("results") / f"seconds-{kind}.json"

    def complete(
        self,
        scenarios: Sequence[Scenario],
        measure: Callable[[Sequence[Scenario]], SideResult],
        waiting: Callable[[str], None],
        *,
        force: bool,
    ) -> SideResult:
        """Outcomes of all ``scenarios``: those that are kept, and what ``measure`` finds of the others.

        With ``force`` everything is measured, and kept for the next run. Another run that is measuring the same
        scenarios is waited for, after a word to ``waiting``; one with others, though some may be the same, goes on
        beside it.
        """
        # A lock's file stays for ever, so there are 4096 of them; two that share one wait, which is rare and no harm.
        what = digest(self._key, *sorted(scenario.id for scenario in scenarios))[:3]
        with self._cache.lock(f"measuring-{what}", waiting):
            kept = None if force else self._load()
            known = self._known(kept, scenarios) if kept else {}
            rest = [scenario for scenario in scenarios if scenario.id not in known]
            trouble: tuple[str, ...] = ()
            if kept and not rest:
                fresh = SideResult((), kept.boot_splats, 0, kept.boot_seconds, "")
            else:
                fresh = measure(self._longest_first(rest))
                trouble = self._kept(fresh, rest)
        found = {**known, **{outcome.scenario: outcome for outcome in fresh.outcomes}}
        outcomes = tuple(found[scenario.id] for scenario in scenarios)
        return dataclasses.replace(fresh, outcomes=outcomes, notes=(*_notes(known.values(), len(scenarios)), *trouble))

    def _longest_first(self, scenarios: Iterable[Scenario]) -> list[Scenario]:
        """So that no worker is at a long one still when the others are done.

        New ones come after those that were measured, and first those that may take the longest.
        """
        seconds = self._seconds()
        return sorted(scenarios, key=lambda each: (-seconds.get(each.id, 0.0), -(each.spec.limit or 0.0)))

    def _digest(self, scenario: Scenario) -> str:
        """Of the scenario's file, and of what it takes from the run."""
        taken = (f"{name}={value}" for name, value in self._tuning.scope.items() if scenario.uses(name))
        return digest(scenario.file.read_bytes(), *taken)

    def _seconds(self) -> dict[str, float]:
        try:
            found: dict[str, float] = json.loads(self._times.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def _load(self) -> Kept | None:
        try:
            self._cache.used(self._file)
            return _form().validate_json(self._file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _known(self, kept: Kept, scenarios: Iterable[Scenario]) -> dict[str, Outcome]:
        known = {}
        for scenario in scenarios:
            of, outcome = kept.outcomes.get(scenario.id, ("", None))
            if outcome is None or of != self._digest(scenario):
                continue
            evidence = self._there(outcome)
            if evidence or outcome.status is not Status.FAIL:  # else nobody could look into the failure
                known[scenario.id] = dataclasses.replace(outcome, started=0.0, worker="", evidence=evidence)
        return known

    def _there(self, outcome: Outcome) -> Path | None:
        """Its evidence, which stays while we tell of it."""
        if outcome.evidence is None:
            return None
        inuse.mark_run(self._cache.root, outcome.evidence)
        return outcome.evidence if outcome.evidence.is_dir() else None

    def _kept(self, fresh: SideResult, scenarios: Iterable[Scenario]) -> tuple[str, ...]:
        """Keep what was measured; what is to be said if that fails, which costs this run nothing."""
        try:
            with self._cache.lock(f"results-{self._key}"):
                self._keep(fresh, scenarios)
        except (OSError, InfraError) as error:
            return (f"the results are not kept for later runs: {error}",)
        return ()

    def _keep(self, fresh: SideResult, scenarios: Iterable[Scenario]) -> None:
        """Add what was measured, unless the kernel did not boot."""
        if fresh.failure:
            return
        before = self._load()
        outcomes = dict(before.outcomes) if before else {}
        files = {scenario.id: scenario for scenario in scenarios}
        for outcome in fresh.outcomes:
            outcomes.pop(outcome.scenario, None)
            if outcome.status in _STEADY and not outcome.splats:
                of = self._digest(files[outcome.scenario])
                outcomes[outcome.scenario] = (of, dataclasses.replace(outcome, earlier=self._run))
        seconds = {outcome.scenario: round(outcome.seconds, 3) for outcome in fresh.outcomes}
        write_whole(self._times, json.dumps(self._seconds() | seconds).encode())
        kept = Kept(fresh.boot_seconds, fresh.boot_splats, outcomes)
        write_whole(self._file, _form().dump_json(kept))


def _notes(known: Collection[Outcome], count: int) -> tuple[str, ...]:
    if not known:
        return ()
    runs = sorted({outcome.earlier.name for outcome in known if outcome.earlier})
    last = f"{runs[-1]}{' and others' if len(runs) > 1 else ''}"
    return (f"{len(known)} of {count} results are those of an earlier run ({last}); --force measures them again",)


def key(plan: Plan, suite: Suite, behaviours: Mapping[str, Plain], parts: Iterable[str]) -> str:
    """Key over all that decides a result but the scenario itself.

    ``parts`` are the identities of what the guest boots. The harness itself counts: it carries the steps out.
    """
    words = [
        suite.name,
        plan.channel,
        plan.flavour,
        plan.target.model_dump_json(),
        plan.choice.accelerator.name,
        *parts,
    ]
    words += [plan.qemu.key, *(f"{name}={behaviours[name]}" for name in sorted(behaviours))]
    if plan.qemu.key == "user":  # the folder may hold another one by now
        binary = plan.qemu.folder / "bin" / plan.target.binary
        words += [str(binary), str(binary.stat().st_mtime_ns)]
    folders = (suite.folder, suite.folder.parent / suite.spec.agent)
    # Which splats are known says nothing of what a kernel does.
    read = (file for folder in folders for file in sorted(folder.glob("*.yaml")) if file.name != known.NAME)
    files: list[str | bytes] = [file.read_bytes() for file in read]
    return digest(*words, *files, digest_folder(Path(harness.__file__).parent))
