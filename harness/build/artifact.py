"""Kernels in the store: what is kept of one, and what tells it from others."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.build import elf, kconfig
from harness.build.make import Built
from harness.cache import Cache, digest
from harness.errors import InfraError
from harness.machine.target import KernelRecipe
from harness.model import Kernel, Tree

_RECIPE = "3"  # raise when the way of building, or what is kept, changes, so that old artifacts are not found
_READS = "reads"  # file: paths of the tree that the build read, one a line, sorted


@dataclass(frozen=True)
class Output:
    """A whole build in an output directory."""

    folder: Path
    image: str  # what is booted, below it
    reads: frozenset[str]  # files of the tree that the build read
    made: Built


def content_key(sources: str, recipe: KernelRecipe, compiler: str, wanted: kconfig.Wanted) -> str:
    """Key over what makes a kernel: sources, architecture, compiler and options.

    The options are those that the fragments ask for together, not the fragments' text: a comment costs no build, and
    neither does the kernel command line, which is the machine's.
    """
    made = (recipe.make_arch, recipe.cross_compile, recipe.goal, recipe.image)
    return digest(_RECIPE, sources, *made, compiler, kconfig.render(wanted), *kconfig.cflags(wanted))


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
        build_id=facts["build_id"],
        identity=facts["identity"],
    )


def store(entry: Path, output: Output, tree: Tree, compiler: str, cache: Cache) -> Kernel:
    """Keep the kernel of ``output`` as ``entry``. Raises InfraError when nothing tells it from another."""
    out = output.folder
    build_id = elf.build_id((out / "vmlinux").read_bytes())
    if not build_id:
        raise InfraError(
            f"{out / 'vmlinux'} has no build id, so a guest cannot show that it runs this kernel",
            "the linker must know --build-id=sha1, which the kernel's Makefile passes",
        )
    with cache.build(entry) as scratch:
        image = scratch / Path(output.image).name
        for name, kept in ((output.image, image.name), ("System.map",) * 2, (".config", "config"), ("vmlinux",) * 2):
            if not (scratch / kept).exists():
                shutil.copy2(out / name, scratch / kept)
        (scratch / _READS).write_text("".join(f"{path}\n" for path in sorted(output.reads)), errors="surrogateescape")
        facts = {
            "image": image.name,
            "build_id": build_id,
            "identity": identity((image,)),
            "release": (out / "include/config/kernel.release").read_text().strip(),
            "seconds": output.made.seconds,
            "tree": tree.spec,
            "commit": tree.commit,
            "content": tree.content,
            "compiler": compiler,
        }
        (scratch / "kernel.json").write_text(json.dumps(facts, indent=1))
    kernel = load(entry)
    assert kernel is not None
    return kernel


def identity(files: Iterable[Path]) -> str:
    """A digest of the contents of ``files``, in order."""
    parts: list[str | bytes] = []
    for file in files:
        with file.open("rb") as source:
            parts.append(hashlib.file_digest(source, "sha256").digest())
    return digest(*parts)


def read_files(entry: Path) -> frozenset[str]:
    """The files of the tree that the build of what is stored in ``entry`` read. Raises FileNotFoundError."""
    return frozenset((entry / _READS).read_text(errors="surrogateescape").splitlines())


def built_from(entry: Path) -> str:
    """The content of the tree that the kernel in ``entry`` was built from, as a git tree id."""
    content = json.loads((entry / "kernel.json").read_text())["content"]
    assert isinstance(content, str)
    return content
