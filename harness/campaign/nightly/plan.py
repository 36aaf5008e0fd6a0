"""What a night would run: the matrix, without what is known already, the longest first, within the budget."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import harness
from harness import data
from harness.build import flavour as flavours
from harness.build.qemu_recipe import load as qemu_recipe
from harness.cache import digest, digest_folder
from harness.campaign.nightly.file import NightlyFile
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Cell, Place
from harness.errors import KphError
from harness.machine import target as targets
from harness.model import Tree

_UNKNOWN = 1800.0  # seconds of a cell that was never measured
_WATCHED = 14  # cells back, whose changes make a place worth looking at


Patches = Callable[[Tree, tuple[str, ...]], str]


@dataclass(frozen=True)
class Planned:
    """One cell of the matrix, and what is to be done with it."""

    place: Place
    spec: str  # the tree as in the file
    tree: Tree | None  # None: it could not be had, ``problem`` says why
    series: tuple[str, ...]  # as of --series
    key: str = ""  # digest of all inputs
    seconds: float = _UNKNOWN  # what it will take, by the last times
    known: bool = False  # that was measured
    value: float = 0.0  # what its result is worth; of those that do not fit, the least are dropped
    same: Cell | None = None  # an earlier cell with the same inputs, whose results stand
    dropped: str = ""  # why it is not run
    problem: str = ""


def plan(
    file: NightlyFile,
    trees: Mapping[str, Tree | KphError],
    patches: Patches,
    history: History,
    ask: Callable[[Planned], object],
) -> tuple[Planned, ...]:
    """The cells of a night, in the order in which they are carried out; those that are not run come last.

    ``patches``: tells a series on a tree from others; raises KphError when it cannot be read. ``ask``: makes the run
    of a cell; raises KphError when what the file asks for does not go together there.
    """
    found = [_cell(file, place, series, trees[place.tree], patches, history) for place, series in matrix(file)]
    cells = [_possible(cell, ask) if _runs(cell) else cell for cell in found]
    runs = sorted((each for each in cells if _runs(each)), key=lambda each: -each.seconds)
    return (*budgeted(runs, file.budget), *(each for each in cells if not _runs(each)))


def matrix(file: NightlyFile) -> list[tuple[Place, tuple[str, ...]]]:
    """Every place with the series that is applied there; a tree to which none applies is tested alone."""
    found = []
    for tree in file.trees:
        named = {name: entry.series for name, entry in file.series.items() if not entry.trees or tree in entry.trees}
        for name, series in (named or {"": ()}).items():
            for target, flavour, suite in itertools.product(file.targets, file.flavours, file.suites):
                found.append((Place(tree, name, target, flavour, suite), series))
    return found


def budgeted(runs: Sequence[Planned], budget: float) -> tuple[Planned, ...]:
    """``runs`` with the least valuable of them dropped until the others take no longer than ``budget`` seconds.

    One is left in any case: else a cell that takes longer than a night would never be tried.
    """
    left = sorted(runs, key=lambda each: (each.value / max(each.seconds, 1.0), each.seconds))
    total = sum(each.seconds for each in runs)
    dropped: set[Place] = set()
    while total > budget and len(left) > 1:
        least = left.pop(0)
        total -= least.seconds
        dropped.add(least.place)
    why = f"the night has {budget / 3600:.1f} h, and others are worth more"
    kept = tuple(each for each in runs if each.place not in dropped)
    return (*kept, *(replace(each, dropped=why) for each in runs if each.place in dropped))


def _runs(cell: Planned) -> bool:
    return cell.same is None and not cell.problem


def _possible(cell: Planned, ask: Callable[[Planned], object]) -> Planned:
    try:
        ask(cell)
    except KphError as error:
        return replace(cell, problem=error.message.splitlines()[0])
    return cell


def _cell(
    file: NightlyFile,
    place: Place,
    series: tuple[str, ...],
    tree: Tree | KphError,
    patches: Patches,
    history: History,
) -> Planned:
    spec = file.trees[place.tree].tree
    try:
        if isinstance(tree, KphError):
            raise tree
        key = inputs(file, place, tree, patches(tree, series))
    except KphError as error:
        return Planned(place, spec, None, series, problem=error.message.splitlines()[0])
    same = history.measured(place, key)
    last = history.last(place, count=_WATCHED)
    measured = [cell for cell in last if not cell.same]
    seconds = measured[0].seconds if measured else _UNKNOWN
    return Planned(place, spec, tree, series, key, seconds, bool(measured), _value(last, history), same)


def _value(last: Sequence[Cell], history: History) -> float:
    """What another result is worth: most where there is none, much where the last ones changed or failed."""
    if not last:
        return 100.0
    rows = [{result.scenario: result.status for result in history.results(cell)} for cell in last[:3]]
    changed = sum(
        status != before.get(name, status) for now, before in itertools.pairwise(rows) for name, status in now.items()
    )
    failing = sum(status in BAD for status in rows[0].values())
    return 10.0 + min(changed, 20) * 2 + min(failing, 20)


def inputs(file: NightlyFile, place: Place, tree: Tree, patches: str) -> str:
    """A digest of everything that decides what a cell finds; the host's tools apart, which builds look at."""
    suite = data.folder("test-modules") / place.suite
    target = flavours.with_cmdline(targets.choose([place.target])[0], place.flavour)
    fragments = flavours.fragments(target.kernel.fragments, place.flavour)
    parts: list[str | bytes] = [tree.content, place.target, place.flavour, place.suite, file.channel]
    parts += [f"{name}={value}" for name, value in sorted(file.expect.items())]
    parts += [*file.scenarios, target.model_dump_json(), repr(qemu_recipe())]
    parts += [fragment.read_bytes() for fragment in fragments]
    parts += [digest_folder(folder) for folder in (suite, suite.parent / "agent", data.folder("qemu"))]
    return digest(*parts, patches, digest_folder(Path(harness.__file__).parent))
