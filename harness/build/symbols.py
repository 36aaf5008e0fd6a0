"""File and line of the frames of splats, those of inlined functions too, from the build's own images.

A frame says function+offset, so it is looked up in the image that has the function: vmlinux, or the module that
the frame names. One process for each image (and section of a module) gets all addresses at once.
"""

from __future__ import annotations

import dataclasses
import posixpath
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build import elf
from harness.model import Kernel, Module, Place, Splat
from harness.proc import Door
from harness.verdict import traces
from harness.verdict.traces import Spot

WITHOUT_LINES = "the kernel has no line numbers, so its splats say functions only; flavours with DEBUG_INFO have them"
_ANCHOR = ("start_kernel", "init/main.c")  # a function of every kernel, and where the tree has it
_TIMEOUT = 120.0  # seconds for one image
_FRAMES = 2000  # frames of one side that are looked up
_DEBUG = ".debug_line"


@dataclass(frozen=True)
class _Address:
    section: str  # of a module; empty in vmlinux, whose addresses are those of the running kernel
    value: int


@dataclass(frozen=True)
class _Function:
    address: _Address
    size: int  # up to the next symbol, or as the linker wrote it


class Symbols:
    """The images of one kernel; nothing is read before there is a splat."""

    def __init__(self, kernel: Kernel, module: Module, cross_compile: str, door: Door) -> None:
        self._kernel, self._door = kernel, door
        self._modules = {file.stem.replace("-", "_"): file for file in module.files}
        self._program = f"{cross_compile}addr2line"

    def known(self) -> bool:
        """Whether the images have line numbers."""
        return _DEBUG in elf.section_names(self._kernel.folder / "vmlinux")

    def placed(self, splats: Sequence[Splat]) -> tuple[Splat, ...]:
        """``splats`` with the places of their frames, as far as the images tell them."""
        spots = [spot for splat in splats for spot in traces.spots(splat.text)][:_FRAMES]
        found = self._places(dict.fromkeys(spots))
        return tuple(
            dataclasses.replace(
                splat,
                places=tuple(
                    place for spot in dict.fromkeys(traces.spots(splat.text)) for place in found.get(spot, ())
                ),
            )
            for splat in splats
        )

    def _places(self, spots: Iterable[Spot]) -> Mapping[Spot, tuple[Place, ...]]:
        images: dict[str, list[Spot]] = defaultdict(list)
        for spot in spots:
            images[spot.module].append(spot)
        found: dict[Spot, tuple[Place, ...]] = {}
        for name, group in images.items():
            file = self._modules.get(name) if name else self._kernel.folder / "vmlinux"
            if file is not None and file.is_file():
                functions = _in_module(file) if name else _in_kernel(self._kernel.symbols)
                found |= self._look_up(file, group, functions)
        return found

    def _look_up(
        self, file: Path, spots: Sequence[Spot], functions: Mapping[str, Sequence[_Function]]
    ) -> dict[Spot, tuple[Place, ...]]:
        sections: dict[str, list[tuple[Spot, int]]] = defaultdict(list)
        for spot in spots:
            address = _address(spot, functions)
            if address is not None:
                sections[address.section].append((spot, address.value))
        found: dict[Spot, tuple[Place, ...]] = {}
        for section, group in sections.items():
            anchor = _address(Spot("", _ANCHOR[0], 0, 0, "", True), functions) if not section else None
            values = [value for _, value in group] + ([anchor.value] if anchor else [])
            told = self._addr2line(file, section, values)
            root = _root(told[-1]) if anchor else ""
            for (spot, _), lines in zip(group, told, strict=False):
                found[spot] = tuple(place for each in lines if (place := _place(spot, *each, root)) is not None)
        return found

    def _addr2line(self, file: Path, section: str, values: Sequence[int]) -> list[list[tuple[str, str]]]:
        """For each address the functions there, innermost first, each with its file:line."""
        argv: list[str | Path] = [self._program, "-e", file, "-a", "-f", "-i", *(("-j", section) if section else ())]
        text = "".join(f"{value:#x}\n" for value in values).encode()
        return parse(self._door.run(argv, stdin=text, timeout=_TIMEOUT).output)


def parse(output: str) -> list[list[tuple[str, str]]]:
    """What ``addr2line -a -f -i`` prints: an address, then pairs of lines."""
    found: list[list[tuple[str, str]]] = []
    lines = iter(output.splitlines())
    for line in lines:
        if line.startswith("0x"):
            found.append([])
        elif found:
            found[-1].append((line, next(lines, "??:0").split(" (discriminator")[0]))
    return found


def _root(start: Sequence[tuple[str, str]]) -> str:
    """Where the tree was when the kernel was built, with a slash; empty when it cannot be told."""
    for _, source in start:
        file = posixpath.normpath(source.rpartition(":")[0])
        if file.endswith(_ANCHOR[1]):
            return file.removesuffix(_ANCHOR[1])
    return ""


def _place(spot: Spot, function: str, source: str, root: str) -> Place | None:
    file, _, line = source.rpartition(":")
    if not line.isdigit() or not int(line):
        return None
    file = posixpath.normpath(file)
    if root and file.startswith(root):
        file = file.removeprefix(root)
    elif "/include/" in file:
        file = file[file.index("/include/") + 1 :]  # of the tree, inlined into a module
    elif posixpath.isabs(file):
        file = posixpath.basename(file)  # modules are built in a folder that is gone
    return Place(spot.text, traces.plain(function), file, int(line))


def _address(spot: Spot, functions: Mapping[str, Sequence[_Function]]) -> _Address | None:
    """Where to look; None when no function, or several, of this name can be meant."""
    named = functions.get(spot.function, ())
    fitting = [each for each in named if each.size == spot.size] or [each for each in named if spot.offset <= each.size]
    if len(named) == 1:
        fitting = list(named)
    if len(fitting) != 1:
        return None
    at = fitting[0].address
    # A return address is behind the call: the line of the call is that of the byte before.
    return _Address(at.section, at.value + spot.offset - (0 if spot.exact else 1))


def _in_kernel(system_map: Path) -> Mapping[str, Sequence[_Function]]:
    symbols = [line.split() for line in system_map.read_text().splitlines()]
    texts = [(int(value, 16), name) for value, kind, name in symbols if kind in "tTwW"]
    starts = sorted({value for value, _ in texts})
    found: dict[str, list[_Function]] = defaultdict(list)
    for value, name in texts:
        after = bisect_right(starts, value)
        size = starts[after] - value if after < len(starts) else 0
        found[name].append(_Function(_Address("", value), size))
    return found


def _in_module(file: Path) -> Mapping[str, Sequence[_Function]]:
    found: dict[str, list[_Function]] = defaultdict(list)
    for each in elf.functions(file.read_bytes()):
        found[each.name].append(_Function(_Address(each.section, each.value), each.size))
    return found
