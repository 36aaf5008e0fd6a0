"""What a dynamically linked program needs, from readelf's output."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

_NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]")
_INTERPRETER = re.compile(r"\[Requesting program interpreter: ([^\]]+)\]")


@dataclass(frozen=True)
class Linkage:
    """How one ELF file is linked."""

    needed: tuple[str, ...]  # sonames of the libraries
    interpreter: str  # absolute path of the dynamic loader; empty for a library or a static program


def parse_linkage(listing: str) -> Linkage:
    """The output of ``readelf --wide --dynamic --program-headers``."""
    loader = _INTERPRETER.search(listing)
    return Linkage(tuple(_NEEDED.findall(listing)), loader[1] if loader else "")


def closure(programs: Iterable[str], linkage: Callable[[str], Linkage], libraries: Mapping[str, str]) -> frozenset[str]:
    """Every library that ``programs`` need, directly or not, as paths.

    ``linkage`` reads one path, ``libraries`` gives the path of a soname.
    Raises KeyError with the soname that is nowhere.
    """
    found: set[str] = set()
    todo = list(programs)
    while todo:
        for soname in linkage(todo.pop()).needed:
            path = libraries[soname]
            if path not in found:
                found.add(path)
                todo.append(path)
    return frozenset(found)
