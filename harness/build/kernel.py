"""Kernels and suite modules: one work tree per lineage, one output directory per configuration.

Base and patched are checked out in turn in the same work tree with the same
output directory, so the second build is incremental. What was built goes to the
artifact store under a content key and is found again without asking make.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.build import artifact, cmdfiles, hosttools, kconfig, module, reads
from harness.build import flavour as flavours
from harness.build.configure import Configuration
from harness.build.make import BuildFailure, Built, make
from harness.build.module import Modules, Suite
from harness.build.slot import Slot, unfinished
from harness.build.toolchain import compiler_env, compiler_id, tools_id
from harness.cache import Cache, digest, write_whole
from harness.machine.target import KernelRecipe
from harness.model import Kernel, Module, Tree
from harness.proc import Door
from harness.source.changes import changes
from harness.source.checkout import checkout, settle
from harness.ui import Ui

_SPACE = 4.0  # GiB for a work tree, an output directory and the compiler cache
_BUILT = ".kph-built"  # in an output directory: names the kernel that it holds, when it is whole
_NO_MODULE = Module("", ())


class Workshop:
    """Builds kernels for one configuration (target and flavour)."""

    def __init__(
        self,
        recipe: KernelRecipe,
        arch: str,
        flavour: str,
        cache: Cache,
        door: Door,
        ui: Ui,
        logs: Path,
        options: str = "",
        sandbox: bool = False,
    ) -> None:
        """``options``: a fragment of options that are asked for besides, and need not survive.

        ``sandbox``: make runs in bubblewrap.
        """
        self._sandbox = sandbox
        self._recipe, self._arch, self._flavour = recipe, arch, flavours.built(flavour)
        self._cache, self._door, self._ui, self._logs = cache, door, ui, logs
        # Read once, so that both sides get the same even if somebody edits a fragment meanwhile.
        files = flavours.fragments(recipe.fragments, flavour)
        self._wanted = kconfig.beside(kconfig.merge({file.name: file.read_text() for file in files}), options)
        self._compiler = compiler_id(door, f"{recipe.cross_compile}gcc")
        self._tools = f"{self._compiler}\n{tools_id(recipe.cross_compile)}"
        self._configuration = Configuration(self._wanted, self._tools, door, logs)

    def build(self, tree: Tree, suite: Suite, side: str) -> tuple[Kernel, Module] | BuildFailure:
        """Kernel and module of ``tree``, from the store or built. ``side`` (base, patched) is for people.

        Raises UserError when an option does not survive, InfraError when the host fails.
        """
        found = self.stored(tree, suite)
        if found:
            self._ui.say(f"{side}: kernel {found[0].release} from the cache")
            return found
        self._cache.need_space(_SPACE, "building a kernel")
        with self._cache.lock(f"slot-{tree.lineage}", self._ui.say):
            return self.stored(tree, suite) or self._build(tree, suite, side)

    def stored(self, tree: Tree, suite: Suite) -> tuple[Kernel, Module] | None:
        """Kernel and module of ``tree`` if both are in the store."""
        kernel = artifact.load(self._entry(tree))
        if kernel is None or not self._cache.used(kernel.folder):
            return None
        known = self._modules(suite).known(kernel.key) if suite.modules else _NO_MODULE
        return (kernel, known) if known and all(map(self._cache.used, known.folders)) else None

    def settle(self, tree: Tree) -> None:
        """Look after the work tree in which ``tree`` was built, while no make runs there; see checkout.settle."""
        settle(tree, self._cache.room("slots", tree.lineage) / "work", self._door)

    def unread(self, base: Tree, patched: Tree, suite: Suite) -> bool:
        """Whether ``patched`` would give the kernel and the module of ``base``, since no build reads what differs.

        False as well when it cannot be told, as when ``base`` is not in the store.
        """
        since = changes(base.content, patched, self._door)
        key = self.key(base)
        if since is None or not self.stored(base, suite):
            return False
        if reads.kernel_differs(since, artifact.read_files(self._entry(base))):
            return False
        return not suite.modules or not reads.module_differs(since, self._modules(suite).reads(key))

    def reads(self, tree: Tree, suite: Suite) -> tuple[frozenset[str], frozenset[str]]:
        """What the builds of the kernel and the module of ``tree``, which are in the store, read of it."""
        own = self._modules(suite).reads(self.key(tree)) if suite.modules else frozenset()
        return artifact.read_files(self._entry(tree)), own

    def key(self, tree: Tree) -> str:
        """Content key of the kernel."""
        return artifact.content_key(tree.content, self._recipe, self._compiler, self._wanted)

    def _entry(self, tree: Tree) -> Path:
        return self._cache.room("kernels") / self.key(tree)

    def _modules(self, suite: Suite) -> Modules:
        options = (kconfig.render(self._wanted), *kconfig.cflags(self._wanted))
        made_by = (self._recipe.make_arch, self._recipe.cross_compile, self._tools, *options)
        return Modules.of(suite, made_by, self._cache)

    def _build(self, tree: Tree, suite: Suite, side: str) -> tuple[Kernel, Module] | BuildFailure:
        folder = self._cache.room("slots", tree.lineage)
        out = folder / f"out-{self._arch}-{self._flavour}"
        cflags = kconfig.cflags(self._wanted)
        slot = Slot(folder / "work", out, self._recipe, compiler_env(self._cache), cflags, self._sandbox)
        out.mkdir(exist_ok=True)
        built = out / _BUILT
        entry = self._entry(tree)
        with self._ui.phase("checkout", side):
            checkout(tree, slot.work, self._door)
        kernel = artifact.load(entry)
        if kernel is None or not built.exists() or built.read_text() != kernel.key:
            built.unlink(missing_ok=True)
            with self._ui.phase("kernel", side):
                with unfinished(out):
                    made = self._make_kernel(tree, slot, side)
                if isinstance(made, BuildFailure):
                    return made
                output = artifact.Output(out, self._recipe.image, cmdfiles.collect(out, slot.work), made)
                kernel = artifact.store(entry, output, tree, self._compiler, self._cache)
                built.write_text(kernel.key)
        if not suite.modules:
            return kernel, _NO_MODULE
        with self._ui.phase("module", side):
            made_module = self._make_module(kernel, tree, suite, slot, side)
            return made_module if isinstance(made_module, BuildFailure) else (kernel, made_module)

    def _make_kernel(self, tree: Tree, slot: Slot, side: str) -> Built | BuildFailure:
        hosttools.adopt(slot.out, self._beside(slot.out))
        failure = self._configuration.ensure(slot, tree, side)
        if failure:
            return failure
        steps = self._cache.room("slots") / f"steps-{digest(self._arch, kconfig.render(self._wanted))}"
        cold = not (slot.out / "vmlinux").exists()
        expected = int(steps.read_text()) if cold and steps.exists() else 0
        what = f"{side} kernel {tree.version}"
        self._ui.say(f"{what}: building{'' if cold else ' on what the last build left'}")
        made = self._make(slot, what, f"build-{side}", slot.confined(slot.make(self._recipe.goal)), expected)
        if isinstance(made, Built):
            self._ui.say(f"{what}: {made.steps} files in {made.seconds:.0f} s")
            if cold:
                write_whole(steps, str(made.steps).encode())
        return made

    def _beside(self, out: Path) -> list[Path]:
        """The other output directories of its work tree that are whole, first those for the same architecture."""
        whole = (file.parent for file in out.parent.glob(f"out-*/{_BUILT}") if file.parent != out)
        return sorted(whole, key=lambda other: (not other.name.startswith(f"out-{self._arch}-"), other.name))

    def _make(
        self, slot: Slot, what: str, log: str, argv: Sequence[str | Path], expected: int = 0
    ) -> Built | BuildFailure:
        return make(
            argv,
            what=what,
            cwd=slot.work,
            env=slot.env,
            log=self._logs / f"{log}.log",
            door=self._door,
            ui=self._ui,
            expected=expected,
        )

    def _make_module(self, kernel: Kernel, tree: Tree, suite: Suite, slot: Slot, side: str) -> Module | BuildFailure:
        modules = self._modules(suite)
        fitting = modules.fitting(kernel.key, tree, slot, self._door)
        if fitting and all(map(self._cache.used, fitting.folders)):
            return fitting
        what = f"{side} module {suite.name}"
        with unfinished(slot.out):
            made = self._make(slot, what, f"modules-{side}", slot.confined(slot.make(module.goal(slot.out))))
        with tempfile.TemporaryDirectory(prefix=f".{suite.name}.", dir=modules.folder) as scratch:
            source = Path(scratch) / "source"
            source.mkdir()
            for file in filter(lambda each: module.is_source(each.name), suite.folder.iterdir()):
                shutil.copy2(file, source)
            words = (f"M={source}", f"KPH_INCLUDE={' '.join(map(str, suite.includes))}", "modules")
            if isinstance(made, Built):
                module.export(slot.out)
                argv = slot.confined(slot.make(*words), [source], suite.includes)
                made = self._make(slot, what, f"module-{side}", argv)
            if isinstance(made, BuildFailure):
                return made
            return modules.keep(kernel.key, tree, slot, source, self._cache)
