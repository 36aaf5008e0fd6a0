"""``kph bisect --config-bisect``: of the options in which two configurations differ, those that make a scenario fail.

The options lie in a row, in the order of the bad configuration, which in a
``.config`` is that of the menus, so that most come after what they depend on.
The first n of them as in the bad one, the others as in the good one, are a
configuration; one of these is the first to fail, and its last option has a part
in the failure. That option is put in front, and if it does not suffice alone,
the same is done with those that were before it, until what is in front fails by
itself. None of those can be left out, unless another takes its place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build import kconfig
from harness.cache import Cache
from harness.campaign.bisect.ends import Confirmed, NotReproduced, confirm
from harness.campaign.bisect.history import Graph
from harness.campaign.bisect.journal import Ends, Finding, Journal, Trial
from harness.campaign.bisect.order import Order
from harness.campaign.bisect.search import Contradiction, Search, Seen
from harness.campaign.bisect.signature import Mark, Signature
from harness.campaign.bisect.tester import Tester
from harness.campaign.slots import Slots, usual
from harness.errors import UserError
from harness.model import Tree
from harness.proc import Door
from harness.source.git import Git
from harness.source.linux import as_tree
from harness.source.trees import resolve_tree
from harness.ui import Ui

_NAME = "config:"  # and the places of the options that are as in the bad configuration
_ALL = "all"


@dataclass(frozen=True)
class Option:
    """An option in which the two configurations differ."""

    name: str
    good: str  # its value there; "n" when it is off or not there
    bad: str

    def __str__(self) -> str:
        return f"{self.name}: {self.good} is good, {self.bad} is bad"


@dataclass(frozen=True)
class Configs:
    """Two configurations, and those between them."""

    both: Mapping[str, str]  # options with the same value in both
    options: tuple[Option, ...]  # in order

    @staticmethod
    def of(good: str, bad: str) -> Configs:
        """From two fragments or ``.config`` files. Raises UserError when they ask for the same."""
        old, new = kconfig.options(good), kconfig.options(bad)
        names = dict.fromkeys((*new, *old))
        found = tuple(Option(name, old.get(name, "n"), new.get(name, "n")) for name in names)
        differ = tuple(option for option in found if option.good != option.bad)
        if not differ:
            raise UserError("the two configurations ask for the same", "name two that differ")
        return Configs({each.name: each.good for each in found if each.good == each.bad}, differ)

    def text(self, name: str) -> str:
        """The fragment that ``name`` stands for; see ``named``."""
        places = name.removeprefix(_NAME)
        bad = set(range(len(self.options))) if places == _ALL else {int(each) for each in places.split(",") if each}
        wanted = dict(self.both)
        wanted |= {each.name: each.bad if place in bad else each.good for place, each in enumerate(self.options)}
        return kconfig.render({option: (value, "") for option, value in wanted.items()})

    def named(self, places: Sequence[int]) -> str:
        """The name of the configuration with the options at ``places`` as in the bad one."""
        chosen = sorted(set(places))
        return _NAME + (_ALL if len(chosen) == len(self.options) else ",".join(map(str, chosen)))


@dataclass(frozen=True)
class ConfigFound:
    """What came of it."""

    folder: Path
    order: Order
    conclusion: str
    proved: bool
    culprits: tuple[Option, ...]  # all of them together make it fail
    differ: tuple[Option, ...]  # in which the two differ; the numbers in the names of tests are places here
    tests: tuple[Trial, ...]
    journal: Journal
    signature: Signature | None
    seconds: float
    builds: int


@dataclass(frozen=True)
class _OneTree:
    """In the place of commits: every name is a configuration of the same tree."""

    one: Tree

    def tree(self, name: str) -> Tree:
        return self.one


class ConfigBisection:
    """One bisection; what it leaves is in ``folder``, and so is what it goes on from."""

    def __init__(
        self,
        order: Order,
        configs: Configs,
        folder: Path,
        journal: Journal,
        cache: Cache,
        ui: Ui,
        began: float | None = None,
    ) -> None:
        """``began``: the monotonic time from which its seconds count; default now."""
        self._order, self._configs, self._folder, self._journal = order, configs, folder, journal
        self._cache, self._ui = cache, ui
        self._door = Door(folder / "commands.log", ui.timeline)
        self._started = began or time.monotonic()
        self._before = journal.seconds
        self._tester: Tester
        self._trees: _OneTree
        self._confirmed: Confirmed

    def run(self) -> ConfigFound:
        """Raises UserError and InfraError; either leaves the journal as it is, so that it can be resumed."""
        try:
            found = self._run()
        except BaseException:
            self._door.close()
            self._journal.spent(time.monotonic() - self._started, over=False)
            raise
        self._journal.spent(time.monotonic() - self._started, over=True)
        return found

    def _run(self) -> ConfigFound:
        request = self._order.request
        with self._ui.phase("fetch"):
            known = self._journal.ends
            tree = resolve_tree(request.tree, request.base, self._cache, self._door, self._ui)
            if known and tree.commit != known.new:  # the branch has moved since
                tree = as_tree(tree.spec, Git(self._door, tree.repo), known.new, tree.lineage)
            if not known:
                self._journal.set_ends(Ends(tree.commit, tree.commit, tree.commit))
        self._trees = _OneTree(tree)
        slots = Slots(request.jobs or usual(request.targets[0].memory_mib))
        more = (self._cache, self._door, self._ui, slots, self._configs.text)
        self._tester = Tester(request, self._order.scenario, self._folder, *more)
        for test in self._journal.order:
            self._tester.learn(test)
        good, bad = self._configs.named(()), _NAME + _ALL
        self._ui.say(f"the configurations differ in {len(self._configs.options)} options")
        try:
            ends = Ends(good, bad, good)
            self._confirmed = confirm(self._order, ends, self._trees, self._tester, self._journal, self._ui)
            needed = self._needed()
        except NotReproduced as why:
            return self._found((), str(why), proved=False)
        except Contradiction as why:
            return self._found((), f"the results contradict each other: {why}", proved=False)
        except _Undecided as why:
            return self._found((), str(why), proved=False)
        return self._proved(needed)

    def _needed(self) -> tuple[int, ...]:
        """The places of the options that make it fail together."""
        needed: list[int] = []
        rest = list(range(len(self._configs.options)))
        while not needed or self._test(self._configs.named(needed)).mark is not Mark.BAD:
            at = self._flips(needed, rest)
            self._ui.say(f"{self._configs.options[rest[at]]}, after {at} others")
            needed.append(rest[at])
            rest = rest[:at]
        return tuple(sorted(needed))

    def _flips(self, needed: Sequence[int], rest: Sequence[int]) -> int:
        """The place in ``rest`` of the option with which, beside ``needed`` and those before it, it fails first."""
        if not rest:
            raise _Undecided("the options that were found one after the other do not make it fail together")
        names = [self._configs.named((*needed, *rest[: count + 1])) for count in range(len(rest))]
        rate = self._confirmed.rate
        search = Search(Graph.line(names), rate, self._order.confidence).after(names[-1], Seen(1, 0))
        while not search.culprit and (looks := search.next()):
            look = looks[0]
            before = search.seen.get(look.commit, Seen())
            test = self._test(look.commit, before.hidden + look.runs)
            if test.mark in (Mark.SKIP, Mark.UNKNOWN):
                search = search.skip(look.commit)
            else:
                search = search.after(look.commit, Seen(test.shown - before.shown, test.hidden - before.hidden))
            search.check()
        if not search.culprit:
            left = [self._configs.options[rest[names.index(name)]].name for name, _ in search.suspects]
            raise _Undecided(f"it is one of {len(left)} options: {', '.join(sorted(left))}")
        return names.index(search.culprit[0])

    def _test(self, name: str, runs: int = 1) -> Trial:
        """What comes of a configuration; of more runs, when fewer were made before."""
        known = self._journal.tests.get(name)
        if known is None or (known.mark is Mark.GOOD and known.hidden < runs):
            had = known.hidden if known else 0
            more = (runs - had, had, self._journal.tests)
            test = self._tester.test(name, self._trees.one, self._confirmed.signature, *more)
            self._journal.test(test)
            self._ui.say(f"{name} is {test.mark}{f': {test.reason}' if test.reason else ''}")
        return self._journal.tests[name]

    def _proved(self, needed: Sequence[int]) -> ConfigFound:
        """The bad configuration passes without each of them."""
        culprits = tuple(self._configs.options[place] for place in needed)
        everything = range(len(self._configs.options))
        findings = [Finding(f"with {_listed(culprits)} the good configuration fails", True)]
        for place in needed:
            test = self._test(self._configs.named([each for each in everything if each != place]), self._confirmed.runs)
            what = f"without {self._configs.options[place].name} the bad configuration passes"
            held = None if test.mark in (Mark.SKIP, Mark.UNKNOWN) else test.mark is Mark.GOOD
            findings.append(Finding(what, held, test.reason))
        for finding in findings:
            if self._journal.findings.get(finding.what) != finding:
                self._journal.find(finding)
        wrong = [finding.what for finding in findings if finding.held is False]
        text = f"{_listed(culprits)} {'makes' if len(culprits) == 1 else 'make'} it fail"
        text += f"; but it did not hold that {'; '.join(wrong)}" if wrong else ""
        return self._found(culprits, text, proved=not wrong)

    def _found(self, culprits: tuple[Option, ...], conclusion: str, *, proved: bool) -> ConfigFound:
        return ConfigFound(
            self._folder,
            self._order,
            conclusion,
            proved,
            culprits,
            self._configs.options,
            tuple(self._journal.order),
            self._journal,
            self._journal.signature,
            self._before + time.monotonic() - self._started,
            sum(test.built for test in self._journal.tests.values()),
        )


class _Undecided(Exception):
    """No single set of options was found; the message says what is known."""


def _listed(options: Sequence[Option]) -> str:
    return " and ".join(f"{option.name}={option.bad}" for option in options)
