"""One cell of a run: a target's machine, its kernels of one flavour, the suite on each of them."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from harness import data
from harness.build.agent import ensure_agent
from harness.build.flavour import with_cmdline
from harness.build.kernel import Workshop
from harness.build.make import BuildFailure
from harness.build.module import Suite as ModuleSources
from harness.build.programs import NONE, ProgramShop
from harness.build.programs import Wanted as WantedPrograms
from harness.build.qemu import ensure_qemu
from harness.build.rootfs import ensure_ssh_root, guest_initrd
from harness.build.symbols import Symbols
from harness.cache import Cache
from harness.campaign import results, rows, splats
from harness.campaign.guest import Plan
from harness.campaign.request import Request
from harness.campaign.result import SideResult
from harness.campaign.results import Results
from harness.campaign.slots import Slots
from harness.errors import KphError
from harness.machine import accel
from harness.machine.target import Target
from harness.model import Cell, Guest, Kernel, Module, Outcome, Programs, SshKeys, Status, Tree, place
from harness.proc import Door
from harness.scenario.schema import Scenario, Suite
from harness.ui import Ui
from harness.verdict import known

if TYPE_CHECKING:
    from harness.campaign.side import SideRunner

_SSH_COMMAND = "/init serve"
_UNREAD = (
    "the series touches no file that the kernel's build reads, so this is the {other}'s kernel, and it was not built"
)
_SAME_IMAGE = "kernel and module are the {other}'s, byte for byte"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A side that can be carried out, or cannot."""

    carry_out: Callable[[], SideResult]  # runs the suite, or says why it cannot
    kernel: Kernel | None = None  # None: it does not build
    module: Module | None = None
    programs: Programs = NONE

    @property
    def identity(self) -> str:
        """Tells what is booted from everything else; empty when nothing was built."""
        if not (self.kernel and self.module):
            return ""
        return "-".join((self.kernel.identity, self.module.identity, self.programs.identity)).rstrip("-")


class CellRun:
    """``build()`` each side in turn, ``cell()`` at the end; suites run in a pool meanwhile.

    Beside other cells, an error of the user or the host that concerns this cell alone is its result, so that the
    others go on; the only cell of a run raises it.
    """

    def __init__(
        self,
        request: Request,
        target: Target,
        flavour: str,
        slots: Slots,
        qemu: Future[None],
        folder: Path,
        cache: Cache,
        door: Door,
        ui: Ui,
    ) -> None:
        """``slots`` are shared with the other cells; ``qemu`` ends when our QEMU is built."""
        self._request, self._target, self._flavour = request, with_cmdline(target, flavour), flavour
        self._slots, self._folder, self._place = slots, folder, place(target.name, flavour)
        self._qemu = qemu
        self._cache, self._door = cache, door
        self._ui = ui.view(self._place, request.several)
        self._running: dict[str, Future[SideResult]] = {}
        self._plan_for: Callable[[Guest], Plan] | None = None  # once there is a machine
        self._unusable: KphError | None = None  # why there is none
        self._accelerator = ""
        self._agent_key = ""  # content key of the agent
        self._first: tuple[str, Tree, tuple[Kernel, Module]] | None = None  # the side that was built first
        self._facts: dict[str, object] = {}

    def build(self, side: str, tree: Tree, pool: ThreadPoolExecutor) -> None:
        """Build ``side``, and begin its suite in a thread of ``pool``."""
        try:
            work = self.prepare(side, tree)
        except KphError as error:
            hopeless = self._hopeless(error)
            self._running[side] = pool.submit(lambda: hopeless)
        else:
            self._running[side] = pool.submit(self._guarded, side, work.carry_out)

    def sound(self, side: str) -> bool:
        """Whether ``side`` by itself gives no reason to test the other one; waits for its suite."""
        sound = rows.sound(self._running[side].result())
        if not sound:
            self._ui.say(f"{side}: not everything passes, so the other side is tested, too")
        return sound

    def reads(self, tree: Tree) -> tuple[frozenset[str], frozenset[str]]:
        """The files of ``tree`` that the builds of its kernel and of its module read, once it was prepared."""
        return self._shop.reads(tree, _module_sources(self._request.suite))

    def stored(self, tree: Tree) -> bool:
        """Whether kernel and module of ``tree`` need not be built."""
        return self._shop.stored(tree, _module_sources(self._request.suite)) is not None

    def settle(self, tree: Tree) -> None:
        """See Workshop.settle."""
        self._shop.settle(tree)

    @functools.cached_property
    def _shop(self) -> Workshop:
        request = self._request
        self._folder.mkdir(parents=True, exist_ok=True)
        kind = (self._target.kernel, self._target.arch, self._flavour)
        return Workshop(*kind, self._cache, self._door, self._ui, self._folder, request.options, request.sandbox)

    def cell(self) -> Cell:
        """What came of it; waits for the suites."""
        results = {side: future.result() for side, future in self._running.items()}
        summaries = {scenario.id: scenario.summary for scenario in self._request.scenarios}
        names = (self._target.name, self._flavour)
        return rows.cell(*names, summaries, results, self._accelerator, self._facts, self._request.suite.name)

    # --- in the order in which it happens ------------------------------------------
    def prepare(self, side: str, tree: Tree) -> Prepared:
        """Build ``side`` and all that its guest needs. Raises UserError and InfraError."""
        if self._qemu.done():  # else the kernel is built meanwhile: neither build keeps all CPUs busy
            self._machine()
        built, note = self._built(self._shop, side, tree)
        if isinstance(built, BuildFailure):
            failure = built
            return Prepared(lambda: _not_built(failure))
        programs = self._programs(side, tree)
        if isinstance(programs, BuildFailure):
            return Prepared(lambda: _not_built(programs))
        plan = self._machine()(self._guest(side, *built, programs))
        suite = self._suite_of(side, plan, built)
        images = Symbols(*built, self._target.kernel.cross_compile, self._door)
        patterns = known.valid(self._request.known, tree.version, datetime.date.today())
        return Prepared(
            lambda: _noted(splats.told(suite(), images, patterns, plan.target.name), note), *built, programs
        )

    def _built(self, workshop: Workshop, side: str, tree: Tree) -> tuple[tuple[Kernel, Module] | BuildFailure, str]:
        """Kernel and module of ``side``, and what is to be said of them."""
        sources = _module_sources(self._request.suite)
        first = self._first
        if first and not self._request.force and not workshop.stored(tree, sources):
            with self._ui.phase("reads", side):
                unread = workshop.unread(first[1], tree, sources)
            if unread:
                note = _UNREAD.format(other=first[0])
                self._ui.say(f"{side}: {note}")
                return first[2], note
        with self._slots.busy():
            built = workshop.build(tree, sources, side)
        if isinstance(built, BuildFailure):
            return built, ""
        if first is None:
            self._first = (side, tree, built)
            return built, ""
        (kernel, module), (other, _, (first_kernel, first_module)) = built, first
        same = kernel.identity == first_kernel.identity and module.identity == first_module.identity
        return built, _SAME_IMAGE.format(other=other) if same else ""

    def _programs(self, side: str, tree: Tree) -> Programs | BuildFailure:
        """The tree's own programs that the suite carries out."""
        asked = self._request.suite.spec.programs
        if asked is None:
            return NONE
        wanted = WantedPrograms(asked.folder, asked.names, asked.packages)
        shop = ProgramShop(wanted, self._target, self._cache, self._door, self._ui, self._folder, self._request.sandbox)
        with self._slots.busy():
            return shop.build(tree, side)

    def _suite_of(self, side: str, plan: Plan, built: tuple[Kernel, Module]) -> Callable[[], SideResult]:
        request = self._request
        own = request.suite.spec.ktap
        if own is not None:
            return lambda: self._runner(side, plan).run_own_tests(own, request.patterns)
        identities = (built[0].identity, built[1].identity, self._agent_key, f"snapshot={request.snapshot}")
        key = results.key(plan, request.suite, request.behaviours, identities)
        kind = f"{request.suite.name}-{plan.target.name}-{plan.flavour}"
        kept = Results(self._cache, key, self._folder, kind, request.tuning)

        def measure(scenarios: Sequence[Scenario]) -> SideResult:
            return self._runner(side, plan).run(scenarios)

        def waiting(_: str) -> None:
            self._ui.say(f"{side}: another is measuring the same kernel; waiting for its results")

        return lambda: kept.complete(request.scenarios, measure, waiting, force=request.force)

    def _runner(self, side: str, plan: Plan) -> SideRunner:
        # QMP, channels and the console's patterns take 50 ms to load: not in a run that measures nothing.
        from harness.campaign.side import SideRunner

        request, folder = self._request, self._folder / side
        behaviours = dict(request.behaviours)
        more = (self._door, self._ui, self._slots, request.snapshot, request.tuning)
        return SideRunner(plan, request.suite, behaviours, side, folder, *more)

    def _machine(self) -> Callable[[Guest], Plan]:
        """QEMU and accelerator of the target. Raises what it raised for the side before."""
        if self._unusable is not None:
            raise self._unusable  # a QEMU that does not build takes its time to say so
        try:
            self._plan_for = self._plan_for or self._equipped()
        except KphError as error:
            self._unusable = error
            raise
        return self._plan_for

    def _equipped(self) -> Callable[[Guest], Plan]:
        request, target = self._request, self._target
        self._folder.mkdir(parents=True, exist_ok=True)  # first: what fails here names it as its evidence
        self._qemu.result()
        qemu = ensure_qemu(self._cache, self._door, self._ui, request.qemu, target)
        with self._ui.phase("accelerator"):
            choice = accel.choose(target, qemu, self._cache, self._door, request.accelerator)
        self._ui.once(f"accelerator: {choice.reason}")
        self._accelerator, self._facts["qemu"] = choice.reason, qemu.version
        return lambda guest: Plan(qemu, target, choice, guest, request.channel, _SSH_COMMAND, self._flavour)

    def _guest(self, side: str, kernel: Kernel, module: Module, programs: Programs) -> Guest:
        request, target = self._request, self._target
        with self._ui.phase("rootfs", side):
            cross = target.kernel.cross_compile
            agent = ensure_agent(request.suite.name, cross, self._cache, self._door, self._ui, self._folder)
            self._agent_key = agent.parent.name
            keys: SshKeys | None = None
            root: Path | None = None
            if request.channel == "ssh":
                from harness.build.sshkeys import make_keys  # its libraries take a while to load

                root = ensure_ssh_root(target.arch, self._cache, self._door, self._ui)
                keys = make_keys(self._folder / side)
            out = self._folder / side / "initramfs.cpio"
            out.parent.mkdir(parents=True, exist_ok=True)
            initrd = guest_initrd(agent, module.files, keys, root, out, programs.files)
        return Guest(kernel, initrd, keys)

    def _guarded(self, side: str, work: Callable[[], SideResult]) -> SideResult:
        try:
            with self._ui.timeline.lane(f"{self._place} {side}"), self._ui.phase("scenarios", side):
                return work()
        except KphError as error:
            return self._hopeless(error)

    def _hopeless(self, error: KphError) -> SideResult:
        """No evidence of this side, by no fault of its kernel."""
        if not self._request.several:
            raise error
        told = "\n    ".join(filter(None, (error.message, error.hint)))
        return _without(Status.ERROR, error.message.splitlines()[0], told, self._folder)


def _noted(result: SideResult, note: str) -> SideResult:
    return dataclasses.replace(result, notes=(note, *result.notes)) if note else result


def _not_built(failure: BuildFailure) -> SideResult:
    return _without(Status.FAIL, failure.reason, "\n    ".join((failure.reason, *failure.lines)), failure.log)


def _without(status: Status, reason: str, failure: str, evidence: Path) -> SideResult:
    """A side of which no scenario ran."""
    outcome = Outcome("", status, reason, 0.0, evidence=evidence)
    return SideResult((), (), 0, 0.0, failure, otherwise=outcome)


def _module_sources(suite: Suite) -> ModuleSources:
    return ModuleSources(suite.name, suite.folder, (data.folder("qemu") / "device",), suite.spec.modules)


def trees(base: Tree, patched: Tree | None) -> Mapping[str, Tree]:
    """Side -> tree, base first."""
    return {"base": base} if patched is None else {"base": base, "patched": patched}
