"""Kernels and suite modules: one work tree per lineage, one output directory per configuration.

Base and patched are checked out in turn in the same work tree with the same
output directory, so the second build is incremental. What was built goes to the
artifact store under a content key and is found again without asking make.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.build import flavour as flavours
from harness.build import kconfig
from harness.build.make import BuildFailure, Built, make
from harness.build.toolchain import compiler, compiler_env, compiler_id, jobs
from harness.cache import Cache, digest, write_whole
from harness.machine.target import KernelRecipe
from harness.model import Kernel, Module, Tree
from harness.proc import Door
from harness.source.checkout import checkout
from harness.ui import Ui

_RECIPE = "2"  # raise when the way of building changes, so that old artifacts are not found
_PRODUCTS = frozenset({".o", ".a", ".s", ".S", ".ko", ".elf", ".bin", ".gz", ".so", ".dbg", ".lds", ""})
_SHORT = 180.0  # seconds for configuration targets
_SPACE = 4.0  # GiB for a work tree, an output directory and the compiler cache


@dataclass(frozen=True)
class Suite:
    """What of a suite is built against a kernel."""

    name: str
    folder: Path  # its Kbuild and sources
    includes: tuple[Path, ...]  # more folders for #include
    modules: tuple[str, ...]  # .ko names in load order


class Workshop:
    """Builds kernels for one configuration (target and flavour)."""

    def __init__(
        self, recipe: KernelRecipe, arch: str, flavour: str, cache: Cache, door: Door, ui: Ui, logs: Path
    ) -> None:
        self._recipe, self._arch, self._flavour = recipe, arch, flavour
        self._cache, self._door, self._ui, self._logs = cache, door, ui, logs
        # Read once, so that both sides get the same even if somebody edits a fragment meanwhile.
        files = flavours.fragments(recipe.fragments, flavour)
        self._wanted = kconfig.merge({file.name: file.read_text() for file in files})
        self._compiler = compiler_id(door, f"{recipe.cross_compile}gcc")

    def build(self, tree: Tree, suite: Suite, side: str) -> tuple[Kernel, Module] | BuildFailure:
        """Kernel and module of ``tree``, from the store or built. ``side`` (base, patched) is for people.

        Raises UserError when an option does not survive, InfraError when the host fails.
        """
        found = self._stored(tree, suite)
        if found:
            self._ui.say(f"{side}: kernel {found[0].release} from the cache")
            return found
        self._cache.need_space(_SPACE, "building a kernel")
        with self._cache.lock(f"slot-{tree.lineage}", self._ui.say):
            return self._stored(tree, suite) or self._build(tree, suite, side)

    def key(self, tree: Tree) -> str:
        """Content key of the kernel."""
        return content_key(tree.content, self._recipe, self._compiler, self._wanted)

    def _module_key(self, tree: Tree, suite: Suite) -> str:
        return digest(self.key(tree), suite.name, *_sources(suite))

    def _stored(self, tree: Tree, suite: Suite) -> tuple[Kernel, Module] | None:
        kernel = load(self._cache.room("kernels") / self.key(tree))
        folder = self._cache.room("modules") / self._module_key(tree, suite)
        if kernel is not None and not suite.modules:
            return kernel, Module("", ())
        if kernel is None or not folder.is_dir():
            return None
        return kernel, Module(folder.name, tuple(folder / name for name in suite.modules))

    def _build(self, tree: Tree, suite: Suite, side: str) -> tuple[Kernel, Module] | BuildFailure:
        slot = self._cache.room("slots", tree.lineage)
        work, out = slot / "work", slot / f"out-{self._arch}-{self._flavour}"
        out.mkdir(exist_ok=True)
        built = out / ".kph-built"  # names the kernel that the output directory holds, when it is whole
        key = self.key(tree)
        with self._ui.phase("checkout", side):
            checkout(tree, work, self._door)
        kernel = load(self._cache.room("kernels") / key)
        if kernel is None or not built.exists() or built.read_text() != key:
            built.unlink(missing_ok=True)
            with self._ui.phase("kernel", side), _unfinished(out):
                made = self._make_kernel(tree, work, out, side)
            if isinstance(made, BuildFailure):
                return made
            kernel = self._store(key, tree, out, made)
            built.write_text(key)
        if not suite.modules:
            return kernel, Module("", ())
        with self._ui.phase("module", side):
            return self._make_module(kernel, tree, suite, work, out, side)

    def _make(self, work: Path, out: Path, tree: Tree, *words: str) -> list[str | Path]:
        cross = self._recipe.cross_compile
        return [
            *("make", "-C", work, f"O={out}", f"-j{jobs()}", f"ARCH={self._recipe.make_arch}"),
            *([f"CROSS_COMPILE={cross}"] if cross else []),
            f"CC={compiler(f'{cross}gcc')}",
            f"LOCALVERSION={local_version(tree)}",
            *words,
        ]

    def _env(self) -> Mapping[str, str]:
        stamp = {
            "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
            "KBUILD_BUILD_USER": "kph",
            "KBUILD_BUILD_HOST": "kph",
            "KBUILD_BUILD_VERSION": "1",
        }
        return {**compiler_env(self._cache), **stamp}

    def _make_kernel(self, tree: Tree, work: Path, out: Path, side: str) -> Built | BuildFailure:
        log = self._logs / f"build-{side}.log"
        failure = self._configure(tree, work, out, side)
        if failure:
            return failure
        steps = self._cache.room("slots") / f"steps-{digest(self._arch, kconfig.render(self._wanted))}"
        cold = not (out / "vmlinux").exists()
        expected = int(steps.read_text()) if cold and steps.exists() else 0
        what = f"{side} kernel {tree.version}"
        self._ui.say(f"{what}: building{'' if cold else ' on what the last build left'}")
        argv = self._make(work, out, tree, self._recipe.goal, "modules")
        made = make(
            argv,
            what=what,
            cwd=work,
            env=self._env(),
            log=log,
            door=self._door,
            ui=self._ui,
            expected=expected,
        )
        if isinstance(made, Built):
            self._ui.say(f"{what}: {made.steps} files in {made.seconds:.0f} s")
            if cold:
                write_whole(steps, str(made.steps).encode())
        return made

    def _configure(self, tree: Tree, work: Path, out: Path, side: str) -> BuildFailure | None:
        asked = self._logs / "asked.config"
        asked.write_text(kconfig.render(self._wanted))
        log = self._logs / f"config-{side}.log"
        merge: list[str | Path] = [work / "scripts/kconfig/merge_config.sh", "-m", "-O", out, out / ".config", asked]
        for argv in (self._make(work, out, tree, "tinyconfig"), merge, self._make(work, out, tree, "olddefconfig")):
            done = self._door.run(argv, timeout=_SHORT, cwd=work, env=self._env(), check=False)
            with log.open("a") as sink:
                sink.write(done.output)
            if done.status != 0:
                return BuildFailure(f"{side} configuration", tuple(done.output.splitlines()[-10:]), log)
        kconfig.require(self._wanted, (out / ".config").read_text(), f"{side} kernel {tree.version}")
        return None

    def _store(self, key: str, tree: Tree, out: Path, made: Built) -> Kernel:
        release = (out / "include/config/kernel.release").read_text().strip()
        entry = self._cache.room("kernels") / key
        with self._cache.build(entry) as scratch:
            image = Path(self._recipe.image).name
            shutil.copy2(out / self._recipe.image, scratch / image)
            for name, kept in (("System.map", "System.map"), (".config", "config"), ("vmlinux", "vmlinux")):
                shutil.copy2(out / name, scratch / kept)
            facts = {
                "image": image,
                "release": release,
                "seconds": made.seconds,
                "tree": tree.spec,
                "commit": tree.commit,
                "content": tree.content,
                "compiler": self._compiler,
            }
            (scratch / "kernel.json").write_text(json.dumps(facts, indent=1))
        kernel = load(entry)
        assert kernel is not None
        return kernel

    def _make_module(
        self, kernel: Kernel, tree: Tree, suite: Suite, work: Path, out: Path, side: str
    ) -> tuple[Kernel, Module] | BuildFailure:
        folder = self._cache.room("modules") / self._module_key(tree, suite)
        with self._cache.build(folder) as scratch:
            source = scratch / "source"
            shutil.copytree(suite.folder, source, ignore=shutil.ignore_patterns("scenarios"))
            argv = self._make(work, out, tree, f"M={source}", f"KPH_INCLUDE={' '.join(map(str, suite.includes))}")
            log = self._logs / f"module-{side}.log"
            made = make(
                [*argv, "modules"],
                what=f"{side} module {suite.name}",
                cwd=work,
                env=self._env(),
                log=log,
                door=self._door,
                ui=self._ui,
            )
            if isinstance(made, BuildFailure):
                return made
            for name in suite.modules:
                shutil.copy2(source / name, scratch / name)
            shutil.rmtree(source)
        return kernel, Module(folder.name, tuple(folder / name for name in suite.modules))


@contextlib.contextmanager
def _unfinished(out: Path) -> Iterator[None]:
    """Mark ``out`` while make runs there, and first undo what a make that was killed left.

    make removes a file that it was writing when it is asked to end, not when it is killed; the half of an object
    file, newer than its sources, would then be taken for the whole.
    """
    mark = out / ".kph-unfinished"
    if mark.exists():
        since = mark.stat().st_mtime
        for folder, folders, names in os.walk(out):
            if Path(folder) == out:
                folders[:] = [name for name in folders if name != "include"]  # written whole, by conf and filechk
            for file in (Path(folder, name) for name in names if not name.startswith(".")):
                if file.suffix in _PRODUCTS and file.lstat().st_mtime >= since:
                    file.unlink()
    mark.touch()
    yield
    mark.unlink()


def content_key(sources: str, recipe: KernelRecipe, compiler_: str, wanted: kconfig.Wanted) -> str:
    """Key over what makes a kernel: sources, architecture, compiler and options.

    The options are those that the fragments ask for together, not the fragments' text: a comment costs no build, and
    neither does the kernel command line, which is the machine's.
    """
    made = (recipe.make_arch, recipe.cross_compile, recipe.goal, recipe.image)
    return digest(_RECIPE, sources, *made, compiler_, kconfig.render(wanted))


def local_version(tree: Tree) -> str:
    """Suffix of the kernel release that ties a running kernel to the sources it was built from."""
    return f"-kph-{tree.content[:12]}"


def load(entry: Path) -> Kernel | None:
    """The kernel stored in ``entry``, or None."""
    try:
        facts = json.loads((entry / "kernel.json").read_text())
    except FileNotFoundError:
        return None
    return Kernel(
        key=entry.name,
        folder=entry,
        image=entry / facts["image"],
        symbols=entry / "System.map",
        config=entry / "config",
        release=facts["release"],
        seconds=facts["seconds"],
    )


def _sources(suite: Suite) -> list[str | bytes]:
    parts: list[str | bytes] = []
    for folder in (suite.folder, *suite.includes):
        for file in sorted(folder.glob("*")):
            if file.is_file() and (file.suffix in (".c", ".h") or file.name in ("Kbuild", "Makefile")):
                parts += [file.name, file.read_bytes()]
    return parts
