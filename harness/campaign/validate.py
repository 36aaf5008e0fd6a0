"""``kph run``: base against patched, from a tree and a series to a verdict."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import data
from harness.build.agent import ensure_agent
from harness.build.kernel import Suite as ModuleSources
from harness.build.kernel import Workshop
from harness.build.make import BuildFailure
from harness.build.qemu import ensure_qemu
from harness.build.rootfs import ensure_ssh_root, guest_initrd, make_keys
from harness.cache import Cache
from harness.campaign.session import Plan
from harness.campaign.side import SideResult, SideRunner
from harness.machine import accel
from harness.machine.target import Target
from harness.model import Guest, Kernel, Module, Outcome, Qemu, Row, RunResult, Series, Splat, SshKeys, Status, Tree
from harness.proc import Door
from harness.scenario.schema import Plain, Scenario, Suite
from harness.source.apply import apply_series
from harness.source.series import load_series
from harness.source.trees import resolve_tree
from harness.ui import Ui
from harness.verdict import compare, splatset
from harness.verdict.compare import judge

_SSH_COMMAND = "/init serve"


@dataclass(frozen=True)
class Request:
    """What the user asked for, names already checked."""

    tree: str  # --tree
    base: str | None  # --base
    series: tuple[str, ...]  # --series, in order
    target: Target
    suite: Suite
    scenarios: tuple[Scenario, ...]
    behaviours: Mapping[str, Plain]  # what the suite expects of this series
    flavour: str
    channel: str
    accelerator: str | None  # --accel
    qemu: Path | None  # --qemu


class Validation:
    """One run. ``run()`` goes through the phases; everything it leaves is in ``folder``."""

    def __init__(self, request: Request, folder: Path, cache: Cache, ui: Ui) -> None:
        self._request, self._folder, self._cache, self._ui = request, folder, cache, ui
        self._door = Door(folder / "commands.log")

    def run(self) -> RunResult:
        """Raises UserError and InfraError; what a kernel does wrong is in the result."""
        request = self._request
        self._write_request()
        base, series, patched = self._sources()
        with self._ui.phase("qemu"):
            qemu = ensure_qemu(self._cache, self._door, self._ui, request.qemu, request.target)
        choice = accel.choose(request.target, qemu, self._cache, self._door, request.accelerator)
        self._ui.once(f"accelerator: {choice.reason}")
        workshop = Workshop(
            request.target.kernel,
            request.target.arch,
            request.flavour,
            self._cache,
            self._door,
            self._ui,
            self._folder,
        )
        trees = {"base": base} if patched is None else {"base": base, "patched": patched}
        return self._result(base, series, choice, qemu, self._sides(trees, workshop, qemu, choice))

    def _sides(
        self, trees: Mapping[str, Tree], workshop: Workshop, qemu: Qemu, choice: accel.Choice
    ) -> Mapping[str, SideResult]:
        """Build one side after the other, in the same work tree; the suite of one runs while the next is built."""
        with ThreadPoolExecutor(len(trees)) as pool:
            try:
                running = {side: self._side(side, tree, workshop, qemu, choice, pool) for side, tree in trees.items()}
                return {side: future.result() for side, future in running.items()}
            except BaseException:
                self._door.close()  # the pool waits for its threads, and they for their machines
                raise

    # --- phases -----------------------------------------------------------------
    def _sources(self) -> tuple[Tree, Series | None, Tree | None]:
        request = self._request
        with self._ui.phase("fetch"):
            base = resolve_tree(request.tree, request.base, self._cache, self._door, self._ui)
        self._ui.say(f"tree: {base.spec}, Linux {base.version}")
        with self._ui.phase("apply"):
            series = load_series(request.series, base, self._cache, self._door, self._ui)
            if series is None:
                return base, None, None
            patched = apply_series(base, series, self._cache, self._door)
        self._ui.say(f"series: {series.title} ({len(series.patches)} patches)")
        return base, series, patched

    def _side(
        self, side: str, tree: Tree, workshop: Workshop, qemu: Qemu, choice: accel.Choice, pool: ThreadPoolExecutor
    ) -> Future[SideResult]:
        """Build ``side``, and begin its suite in a thread of ``pool``."""
        request = self._request
        built = workshop.build(tree, _module_sources(request.suite), side)
        if isinstance(built, BuildFailure):
            return pool.submit(_not_built, built, request.scenarios)
        kernel, module = built
        plan = Plan(qemu, request.target, choice, self._guest(side, kernel, module), request.channel, _SSH_COMMAND)
        runner = SideRunner(
            plan, request.suite, dict(request.behaviours), side, self._folder / side, self._door, self._ui
        )
        return pool.submit(self._scenarios, side, runner)

    def _scenarios(self, side: str, runner: SideRunner) -> SideResult:
        with self._ui.phase("scenarios", side):
            return runner.run(self._request.scenarios)

    def _guest(self, side: str, kernel: Kernel, module: Module) -> Guest:
        request = self._request
        cross = request.target.kernel.cross_compile
        with self._ui.phase("rootfs", side):
            agent = ensure_agent(request.suite.name, cross, self._cache, self._door, self._ui, self._folder)
            keys: SshKeys | None = None
            root: Path | None = None
            if request.channel == "ssh":
                root = ensure_ssh_root(request.target.arch, self._cache, self._door, self._ui)
                keys = make_keys(self._folder / side)
            out = self._folder / side / "initramfs.cpio"
            out.parent.mkdir(parents=True, exist_ok=True)
            initrd = guest_initrd(agent, module.files, keys, root, out)
        return Guest(kernel, initrd, keys)

    # --- the end ------------------------------------------------------------------
    def _result(
        self, base: Tree, series: Series | None, choice: accel.Choice, qemu: Qemu, results: Mapping[str, SideResult]
    ) -> RunResult:
        request = self._request
        rows = _rows(request, results)
        boot_splats = results["base"].boot_splats
        if "patched" in results:
            boot_splats = splatset.new_splats(_all_splats(results["base"]), results["patched"].boot_splats)
        failures = tuple(f"{side}: {result.failure}" for side, result in results.items() if result.failure)
        verdict, reasons = judge(rows, boot_splats)
        return RunResult(
            run=self._folder,
            verdict=verdict,
            reasons=(*failures, *reasons),
            tree=base,
            series=series,
            target=request.target.name,
            flavour=request.flavour,
            suite=request.suite.name,
            channel=request.channel,
            accelerator=choice.reason,
            rows=rows,
            phases=tuple(self._ui.phases),
            boot_splats=boot_splats,
            facts={
                "qemu": qemu.version,
                "boots": {side: result.boots for side, result in results.items()},
                "boot_seconds": {side: round(result.boot_seconds, 3) for side, result in results.items()},
            },
        )

    def _write_request(self) -> None:
        request = self._request
        facts = {
            "argv": sys.argv,
            "tree": request.tree,
            "base": request.base,
            "series": request.series,
            "target": request.target.name,
            "suite": request.suite.name,
            "scenarios": [scenario.id for scenario in request.scenarios],
            "behaviours": dict(request.behaviours),
            "flavour": request.flavour,
            "channel": request.channel,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        (self._folder / "request.json").write_text(json.dumps(facts, indent=1) + "\n")


def run_folder(root: Path, target: str) -> Path:
    """A new, empty run directory below ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{time.strftime('%Y%m%d-%H%M%S')}-{target}-", dir=root))


def _module_sources(suite: Suite) -> ModuleSources:
    return ModuleSources(suite.name, suite.folder, (data.folder("qemu") / "device",), suite.spec.modules)


def _not_built(failure: BuildFailure, scenarios: Sequence[Scenario]) -> SideResult:
    outcomes = tuple(Outcome(each.id, Status.FAIL, failure.reason, 0.0, evidence=failure.log) for each in scenarios)
    return SideResult(outcomes, (), 0, 0.0, "\n    ".join((failure.reason, *failure.lines)))


def _all_splats(side: SideResult) -> tuple[Splat, ...]:
    return (*side.boot_splats, *(splat for outcome in side.outcomes for splat in outcome.splats))


def _rows(request: Request, results: Mapping[str, SideResult]) -> tuple[Row, ...]:
    base, patched = results["base"], results.get("patched")
    known = _all_splats(base)
    return tuple(
        compare.row(
            scenario.summary,
            request.target.name,
            request.flavour,
            base.outcomes[number],
            patched.outcomes[number] if patched else None,
            patched is not None,
            known,
        )
        for number, scenario in enumerate(request.scenarios)
    )
