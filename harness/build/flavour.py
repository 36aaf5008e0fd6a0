"""Flavours: kernel configurations on top of a target's own, found by being in ``kernel-configs``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import data
from harness.errors import UserError


def flavours() -> tuple[str, ...]:
    """Names of the flavours there are, "base" first."""
    found = (file.stem.removeprefix("flavour-") for file in data.folder("kernel-configs").glob("flavour-*.config"))
    return ("base", *sorted(name for name in found if "." not in name))


def fragments(names: Sequence[str], flavour: str) -> tuple[Path, ...]:
    """The fragments ``names`` and those of ``flavour``, in the order in which they are merged.

    ``flavour-X.config`` is for every kernel of the flavour; ``flavour-X.NAME.config``, where there is one, for those
    kernels that have the fragment NAME, so that options of one IOMMU's driver need not survive beside another.

    Raises UserError when there is no fragment of a name.
    """
    found = [_fragment(name) for name in names]
    if flavour != "base":
        found.append(_fragment(f"flavour-{flavour}"))
        found += [file for name in names if (file := _file(f"flavour-{flavour}.{name}")).is_file()]
    return tuple(found)


def _file(name: str) -> Path:
    return data.folder("kernel-configs") / f"{name}.config"


def _fragment(name: str) -> Path:
    file = _file(name)
    if not file.is_file():
        known = ", ".join(sorted(each.stem for each in file.parent.glob("*.config")))
        raise UserError(f"there is no kernel-config fragment {name!r}", f"known: {known}")
    return file
