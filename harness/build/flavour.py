"""Flavours: kernel configurations on top of a target's own, found by being in ``kernel-configs``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness import data
from harness.build import kconfig
from harness.errors import UserError
from harness.machine.target import Target


def flavours() -> tuple[str, ...]:
    """Names of the flavours there are, "base" first. Two or more joined by "+" are a flavour, too."""
    found = (file.stem.removeprefix("flavour-") for file in data.folder("kernel-configs").glob("flavour-*.config"))
    return ("base", *sorted(name for name in found if "." not in name))


def fragments(names: Sequence[str], flavour: str) -> tuple[Path, ...]:
    """The fragments ``names`` and those of ``flavour``, in the order in which they are merged.

    ``flavour-X.config`` is for every kernel of the flavour; ``flavour-X.NAME.config``, where there is one, for those
    kernels that have the fragment NAME, so that options of one IOMMU's driver need not survive beside another.

    Raises UserError when there is no fragment of a name.
    """
    found = [_fragment(name) for name in names]
    for part in parts(flavour):
        found.append(_fragment(f"flavour-{part}"))
        found += [file for name in names if (file := _file(f"flavour-{part}.{name}")).is_file()]
    return tuple(found)


def parts(flavour: str) -> tuple[str, ...]:
    """The flavours that ``flavour`` is made of: those of "kasan+leak" are kasan and leak; "base" has none."""
    return () if flavour == "base" else tuple(flavour.split("+"))


def built(flavour: str) -> str:
    """The flavours of ``flavour`` that ask for a kernel of their own, "base" when none does.

    Those that have words for its command line alone do not.
    """
    return "+".join(part for part in parts(flavour) if any(map(_asks, fragments((), part)))) or "base"


def choose(words: Iterable[str]) -> tuple[str, ...]:
    """The flavours that ``words`` name, each with commas for several, in order, each once.

    Raises UserError for a flavour that there is not.
    """
    chosen: dict[str, None] = {}
    for name in (name.strip() for word in words for name in word.split(",")):
        for part in name.split("+"):
            if part not in flavours() or (part == "base" and name != "base"):
                raise UserError(f"there is no flavour {part!r}", _hint(part))
        chosen[name] = None
    return tuple(chosen)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, flavours(), 1)
    return f"{f'did you mean {near[0]}? ' if near else ''}known: {', '.join(flavours())}, and these joined by +"


def require(target: Target, flavour: str, channel: str) -> None:
    """Raises UserError when ``flavour`` takes from the kernel of ``target`` what ``channel`` needs."""
    needed = target.channels[channel].fragment
    if not needed:
        return
    asked = kconfig.merge({file.name: file.read_text() for file in fragments(target.kernel.fragments, flavour)})
    for option, value in kconfig.options(_fragment(needed).read_text()).items():
        got, whose = asked.get(option, ("n", target.name))
        if value not in (got, "n"):  # what a fragment turns off it can do without
            raise UserError(
                f"--channel {channel} needs {option}={value}, and {whose} has {option}={got}",
                f"take another flavour than {flavour}, or another channel",
            )


def with_cmdline(target: Target, flavour: str) -> Target:
    """``target`` with the words of ``flavour-X.cmdline`` of each flavour that has one, on the command line."""
    files = [data.folder("kernel-configs") / f"flavour-{name}.cmdline" for name in flavour.split("+")]
    lines = [line for file in files if file.is_file() for line in file.read_text().splitlines()]
    words = [word for line in lines if not line.startswith("#") for word in line.split()]
    kernel = target.kernel.model_copy(update={"cmdline": (*target.kernel.cmdline, *words)})
    return target.model_copy(update={"kernel": kernel})


def _asks(file: Path) -> bool:
    return any(line.startswith(("CONFIG_", "# CONFIG_")) for line in file.read_text().splitlines())


def _file(name: str) -> Path:
    return data.folder("kernel-configs") / f"{name}.config"


def _fragment(name: str) -> Path:
    file = _file(name)
    if not file.is_file():
        known = ", ".join(sorted(each.stem for each in file.parent.glob("*.config")))
        raise UserError(f"there is no kernel-config fragment {name!r}", f"known: {known}")
    return file
