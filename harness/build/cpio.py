"""Writing an initramfs: the "newc" cpio format, entries in, bytes out.

The format and the permission to put archives one after the other are from the
kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Equal
entries give equal bytes: no times, no owners, inodes numbered in order.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MAGIC = "070701"  # newc without checksums
_TRAILER = "TRAILER!!!"
_BLOCK = 512  # bytes; what cpio(1) pads an archive to


@dataclass(frozen=True)
class Entry:
    """One file of the archive."""

    path: str  # without a leading slash
    mode: int  # type and permissions, as in stat(2)
    content: bytes = b""  # of a file; of a symbolic link, its target
    device: tuple[int, int] = (0, 0)  # major and minor of a device node


def folder(path: str, permissions: int = 0o755) -> Entry:
    """A directory."""
    return Entry(path, stat.S_IFDIR | permissions)


def file(path: str, content: bytes | str, permissions: int = 0o644) -> Entry:
    """A regular file."""
    raw = content.encode() if isinstance(content, str) else content
    return Entry(path, stat.S_IFREG | permissions, raw)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int, permissions: int = 0o600) -> Entry:
    """A character device node; the archive can hold one without anybody being root."""
    return Entry(path, stat.S_IFCHR | permissions, device=(major, minor))


def archive(entries: Sequence[Entry]) -> bytes:
    """The entries as one archive, padded so that another may follow it.

    The kernel makes files in the order of the archive, so the folders that
    ``entries`` leaves out are added before what they hold. Raises ValueError
    when a path is not plain and relative, or is there twice.
    """
    parts = [_record(number, entry) for number, entry in enumerate(with_parents(entries), 1)]
    parts.append(_record(0, Entry(_TRAILER, 0)))
    return _padded(b"".join(parts), _BLOCK)


def with_parents(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """``entries`` with a 0755 folder before the first file of each folder that is not itself an entry before it."""
    found: dict[str, Entry] = {}
    for entry in entries:
        words = entry.path.split("/")
        if any(word in ("", ".", "..") for word in words):
            raise ValueError(f"not a plain relative path: {entry.path!r}")
        if entry.path in found:
            raise ValueError(f"twice in the archive: {entry.path!r}")
        for depth in range(1, len(words)):
            parent = "/".join(words[:depth])
            found.setdefault(parent, folder(parent))
        found[entry.path] = entry
    return tuple(found.values())


def _record(inode: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        inode,
        entry.mode,
        0,  # uid
        0,  # gid
        links,
        0,  # mtime
        len(entry.content),
        0,  # major and minor of the file system
        0,
        *entry.device,
        len(name),
        0,  # checksum, unused by this magic
    )
    header = (_MAGIC + "".join(f"{value:08x}" for value in fields)).encode()
    return _padded(header + name, 4) + _padded(entry.content, 4)


def _padded(raw: bytes, unit: int) -> bytes:
    return raw + bytes(-len(raw) % unit)
