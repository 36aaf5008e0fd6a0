"""ELF files: what a dynamically linked program needs, from readelf's output; what an image says of itself."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


# --- images ---------------------------------------------------------------------
_SYMTAB, _STRTAB, _NOTE = 2, 3, 7  # types of sections
_KEPT = (_SYMTAB, _STRTAB, _NOTE)
_FUNCTION = 2  # type of a symbol
_BUILD_ID = 3  # type of a note whose owner is GNU
_UNDEFINED = 0  # section index of a symbol that is defined elsewhere


@dataclass(frozen=True)
class _Section:
    name: int  # where it begins in the section of sections' names
    kind: int  # SHT_...
    link: int  # index of the section that goes with it: the names of a symbol table
    content: bytes


def build_id(image: bytes) -> str:
    """The GNU build id in an ELF file, in hexadecimal; empty when the linker wrote none.

    Raises ValueError for what is no ELF file.
    """
    order = _order(image)
    for section in _sections(image):
        at = 0
        while section.kind == _NOTE and at + 12 <= len(section.content):
            name, size, kind = struct.unpack_from(f"{order}III", section.content, at)
            value = at + 12 + (name + 3) // 4 * 4
            if kind == _BUILD_ID and section.content[at + 12 :][:name] == b"GNU\0":
                return section.content[value : value + size].hex()
            at = value + (size + 3) // 4 * 4
    return ""


def imports(image: bytes) -> tuple[str, ...]:
    """The symbols that a relocatable file (a kernel module) uses and does not have, sorted.

    Raises ValueError for what is no ELF file.
    """
    order, wide = _order(image), image[4] == 2
    sections = _sections(image)
    found: set[str] = set()
    for section in sections:
        if section.kind != _SYMTAB:
            continue
        names = sections[section.link].content
        # Elf64_Sym has the section's index before value and size, Elf32_Sym behind them.
        for entry in struct.iter_unpack(f"{order}IBBHQQ" if wide else f"{order}IIIBBH", section.content):
            if entry[0] and entry[3 if wide else 5] == _UNDEFINED:
                found.add(names[entry[0] : names.index(b"\0", entry[0])].decode())
    return tuple(sorted(found))


@dataclass(frozen=True)
class Function:
    """A function in a relocatable file."""

    name: str
    section: str
    value: int  # where it begins in the section
    size: int  # bytes


def functions(image: bytes) -> tuple[Function, ...]:
    """The functions of a relocatable file (a kernel module). Raises ValueError for what is no ELF file."""
    order, wide = _order(image), image[4] == 2
    sections = _sections(image)
    named = _names(image, sections)
    found = []
    for section in sections:
        if section.kind != _SYMTAB:
            continue
        for entry in struct.iter_unpack(f"{order}IBBHQQ" if wide else f"{order}IIIBBH", section.content):
            start, info, index, value, size = (entry[i] for i in ((0, 1, 3, 4, 5) if wide else (0, 3, 5, 1, 2)))
            if start and info & 15 == _FUNCTION and 0 < index < len(named):
                found.append(Function(_text(sections[section.link].content, start), named[index], value, size))
    return tuple(found)


def section_names(file: Path) -> tuple[str, ...]:
    """Names of the sections of an ELF file. Raises ValueError for what is none."""
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as image:
        return _names(image, _sections(image))


def _names(image: bytes | mmap.mmap, sections: Sequence[_Section]) -> tuple[str, ...]:
    """The sections' names, in order."""
    (index,) = struct.unpack_from(f"{_order(image)}H", image, 62 if image[4] == 2 else 50)
    return tuple(_text(sections[index].content, section.name) for section in sections)


def _text(names: bytes, at: int) -> str:
    return names[at : names.index(b"\0", at)].decode(errors="replace")


def _order(image: bytes | mmap.mmap) -> str:
    if image[:4] != b"\x7fELF" or len(image) < 64:
        raise ValueError("not an ELF file")
    return "<" if image[5] == 1 else ">"


def _sections(image: bytes | mmap.mmap) -> tuple[_Section, ...]:
    order, wide = _order(image), image[4] == 2
    (table,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", image, 40 if wide else 32)
    size, count = struct.unpack_from(f"{order}HH", image, 58 if wide else 46)
    found = []
    for at in range(table, table + size * count, size):
        if wide:
            name, kind, _, _, start, length, link = struct.unpack_from(f"{order}IIQQQQI", image, at)
        else:
            name, kind, _, _, start, length, link = struct.unpack_from(f"{order}IIIIIII", image, at)
        found.append(_Section(name, kind, link, image[start : start + length] if kind in _KEPT else b""))
    return tuple(found)
