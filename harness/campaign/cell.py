"""One target of a run: its machine, its kernels, its suite on each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from harness import data
from harness.build.agent import ensure_agent
from harness.build.kernel import Suite as ModuleSources
from harness.build.kernel import Workshop
from harness.build.make import BuildFailure
from harness.build.qemu import ensure_qemu
from harness.build.rootfs import ensure_ssh_root, guest_initrd
from harness.cache import Cache
from harness.campaign import rows
from harness.campaign.request import Request
from harness.campaign.session import Plan
from harness.campaign.side import SideResult, SideRunner, usual_jobs
from harness.errors import KphError
from harness.machine import accel
from harness.machine.target import Target
from harness.model import Cell, Guest, Kernel, Module, Outcome, SshKeys, Status, Tree
from harness.proc import Door
from harness.scenario.schema import Suite
from harness.ui import Ui

_SSH_COMMAND = "/init serve"


class TargetRun:
    """``build()`` each side in turn, ``cell()`` at the end; suites run in a pool meanwhile.

    Beside other targets, an error of the user or the host that concerns this target alone is its result, so that the
    others go on; the only target of a run raises it.
    """

    def __init__(
        self, request: Request, target: Target, kernels: int, folder: Path, cache: Cache, door: Door, ui: Ui
    ) -> None:
        """``kernels``: how many, of all targets, have their suites run at a time."""
        self._request, self._target, self._kernels, self._folder = request, target, kernels, folder
        self._cache, self._door = cache, door
        self._ui = ui.view(target.name, request.several)
        self._running: dict[str, Future[SideResult]] = {}
        self._plan_for: Callable[[Guest], Plan] | None = None  # once there is a machine
        self._unusable: KphError | None = None  # why there is none
        self._workshop: Workshop | None = None
        self._accelerator = ""
        self._facts: dict[str, object] = {}

    def build(self, side: str, tree: Tree, pool: ThreadPoolExecutor) -> None:
        """Build ``side``, and begin its suite in a thread of ``pool``."""
        try:
            work = self._prepared(side, tree)
        except KphError as error:
            hopeless = self._hopeless(error)
            self._running[side] = pool.submit(lambda: hopeless)
        else:
            self._running[side] = pool.submit(self._guarded, side, work)

    def cell(self) -> Cell:
        """What came of it; waits for the suites."""
        results = {side: future.result() for side, future in self._running.items()}
        summaries = {scenario.id: scenario.summary for scenario in self._request.scenarios}
        request = self._request
        name = self._target.name
        return rows.cell(name, request.flavour, summaries, results, self._accelerator, self._facts, request.suite.name)

    # --- in the order in which it happens ------------------------------------------
    def _prepared(self, side: str, tree: Tree) -> Callable[[], SideResult]:
        request = self._request
        if self._unusable is not None:
            raise self._unusable  # of the side before; a QEMU that does not build takes its time to say so
        try:
            self._plan_for = self._plan_for or self._machine()
        except KphError as error:
            self._unusable = error
            raise
        assert self._workshop is not None
        built = self._workshop.build(tree, _module_sources(request.suite), side)
        if isinstance(built, BuildFailure):
            failure = built
            return lambda: _not_built(failure)
        plan = self._plan_for(self._guest(side, *built))
        folder = self._folder / side
        jobs = (request.jobs or usual_jobs(self._target.cpus, self._kernels)) if request.snapshot else 0
        runner = SideRunner(plan, request.suite, dict(request.behaviours), side, folder, self._door, self._ui, jobs)
        own = request.suite.spec.ktap
        if own is not None:
            return lambda: runner.run_own_tests(own, request.patterns)
        return lambda: runner.run(request.scenarios)

    def _machine(self) -> Callable[[Guest], Plan]:
        """QEMU, accelerator and workshop of the target."""
        request, target = self._request, self._target
        self._folder.mkdir(parents=True, exist_ok=True)  # first: what fails here names it as its evidence
        with self._ui.phase("qemu"):
            qemu = ensure_qemu(self._cache, self._door, self._ui, request.qemu, target)
        with self._ui.phase("accelerator"):
            choice = accel.choose(target, qemu, self._cache, self._door, request.accelerator)
        self._ui.say(f"accelerator: {choice.reason}")
        self._accelerator, self._facts["qemu"] = choice.reason, qemu.version
        self._workshop = Workshop(
            target.kernel, target.arch, request.flavour, self._cache, self._door, self._ui, self._folder
        )
        return lambda guest: Plan(qemu, target, choice, guest, request.channel, _SSH_COMMAND)

    def _guest(self, side: str, kernel: Kernel, module: Module) -> Guest:
        request, target = self._request, self._target
        with self._ui.phase("rootfs", side):
            cross = target.kernel.cross_compile
            agent = ensure_agent(request.suite.name, cross, self._cache, self._door, self._ui, self._folder)
            keys: SshKeys | None = None
            root: Path | None = None
            if request.channel == "ssh":
                from harness.build.sshkeys import make_keys  # its libraries take a while to load

                root = ensure_ssh_root(target.arch, self._cache, self._door, self._ui)
                keys = make_keys(self._folder / side)
            out = self._folder / side / "initramfs.cpio"
            out.parent.mkdir(parents=True, exist_ok=True)
            initrd = guest_initrd(agent, module.files, keys, root, out)
        return Guest(kernel, initrd, keys)

    def _guarded(self, side: str, work: Callable[[], SideResult]) -> SideResult:
        try:
            with self._ui.timeline.lane(f"{self._target.name} {side}"), self._ui.phase("scenarios", side):
                return work()
        except KphError as error:
            return self._hopeless(error)

    def _hopeless(self, error: KphError) -> SideResult:
        """No evidence of this side, by no fault of its kernel."""
        if not self._request.several:
            raise error
        told = "\n    ".join(filter(None, (error.message, error.hint)))
        return _without(Status.ERROR, error.message.splitlines()[0], told, self._folder)


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
