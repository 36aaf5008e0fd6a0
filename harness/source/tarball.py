"""Import of a tar stream as one commit, without unpacking it to disk (git-fast-import(1))."""

from __future__ import annotations

import contextlib
import lzma
import posixpath
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.source.git import IDENTITY, WHEN, Git
from harness.source.guard import link_fault, path_fault

_DECOMPRESSORS = (  # magic bytes at the start, command
    (b"\x1f\x8b", ("gzip", "-dc")),
    (b"\xfd7zXZ\x00", ("xz", "-dc", "-T0")),
    (b"\x28\xb5\x2f\xfd", ("zstd", "-dc", "-q")),
    (b"BZh", ("bzip2", "-dc")),
)
_FINISH = 900.0  # seconds that git may take after the last file, on a slow disk
_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)


@dataclass(frozen=True)
class _Member:
    """A file of the tar stream that already went to git."""

    mode: str  # octal, as git has it
    mark: int  # its mark in the fast-import stream
    target: str  # where a symbolic link points; empty for a file


def import_tarball(file: Path, git: Git, door: Door, progress: Callable[[int], None]) -> str:
    """Commit the kernel tree in the tar archive ``file`` to ``git``; returns the commit id.

    The tree is the folder that has Makefile and Kconfig; what lies outside of
    it is left out. ``progress`` gets the number of files so far. Equal content
    gives an equal id. Raises UserError for an archive that is damaged, has no
    kernel tree, or has a member that would leave its folder.
    """
    log = git.folder / "import.log"
    argv, env = git.command("fast-import", "--quiet", "--done", "--depth=0", "--date-format=raw")
    with door.spawn(argv, env=env, output=log, pipe_in=True) as child:
        if child.stdin is None:
            raise InfraError("git fast-import has no input", "run again")
        try:
            with _unpacked(file, door) as stream:
                members = _send_blobs(stream, child.stdin, file, progress)
            _send_commit(child.stdin, _below_top(members, file))
            child.stdin.close()
        except BrokenPipeError:
            pass  # git ended early: its status and log say why
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_FINISH)
        status = child.poll()
    if status != 0:
        last = log.read_text(errors="replace").strip()[-800:]
        raise InfraError(f"git fast-import failed (status {status}): {last}", "is there space left in the cache?")
    log.unlink()
    return git.id("rev-parse", "refs/heads/import")


@contextlib.contextmanager
def _unpacked(file: Path, door: Door) -> Iterator[IO[bytes]]:
    """The tar stream in ``file``, decompressed by a process of its own where needed."""
    with file.open("rb") as source:
        start = source.read(8)
        source.seek(0)
        command = next((command for magic, command in _DECOMPRESSORS if start.startswith(magic)), None)
        if command is None:
            yield source
            return
        with door.spawn((*command, "--", file)) as child:
            if child.stdout is None:
                raise InfraError(f"{command[0]} has no output", "run again")
            yield child.stdout
            while child.stdout.read(1 << 20):  # tar's padding; a closed pipe would look like a failure
                pass
            if child.wait(60) != 0:
                raise UserError(f"{file} is damaged: {command[0]} cannot read it to its end", "fetch it again")


def _send_blobs(stream: IO[bytes], sink: IO[bytes], file: Path, progress: Callable[[int], None]) -> dict[str, _Member]:
    members: dict[str, _Member] = {}
    mark = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:
            for info in archive:
                path = _checked(info.name, file)
                if info.isdir():
                    continue
                if info.islnk():
                    members[path] = _linked(members, info, file)
                    continue
                content = _content(archive, info, file)
                mark += 1
                sink.write(b"blob\nmark :%d\ndata %d\n" % (mark, len(content)))
                sink.write(content)
                sink.write(b"\n")
                mode = "120000" if info.issym() else "100755" if info.mode & 0o100 else "100644"
                members[path] = _Member(mode, mark, info.linkname if info.issym() else "")
                if mark % 500 == 0:
                    progress(mark)
    except _DAMAGE as fault:
        raise UserError(f"{file} cannot be read as a tar archive: {fault}", "fetch it again") from fault
    return members


def _checked(name: str, file: Path) -> str:
    """The member's path without ``./``. Raises UserError when it leaves the folder."""
    path = name.removeprefix("./").rstrip("/")
    if path in ("", "."):
        return ""
    if fault := path_fault(path):
        raise UserError(f"{file} is refused: its member {name!r} {fault}", "make the archive again with plain paths")
    return path


def _linked(members: dict[str, _Member], info: tarfile.TarInfo, file: Path) -> _Member:
    target = members.get(_checked(info.linkname, file))
    if target is None:
        raise UserError(
            f"{file}: {info.name!r} is a hard link to {info.linkname!r}, which is not in it", "fetch it again"
        )
    return target


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo, file: Path) -> bytes:
    if info.issym():
        return info.linkname.encode(errors="surrogateescape")
    source = archive.extractfile(info) if info.isreg() else None
    if source is None:
        raise UserError(
            f"{file} is refused: {info.name!r} is a device or a pipe", "is it the archive of a kernel tree?"
        )
    return source.read()


def _below_top(members: dict[str, _Member], file: Path) -> dict[str, _Member]:
    """The members of the kernel tree, with paths relative to its top."""
    tops = [
        path.removesuffix("Makefile")
        for path in members
        if posixpath.basename(path) == "Makefile" and path.removesuffix("Makefile") + "Kconfig" in members
    ]
    if not tops:
        raise UserError(f"{file} holds no kernel tree", "its top folder has a Makefile and a Kconfig")
    top = min(tops, key=lambda path: (path.count("/"), path))
    below = {path.removeprefix(top): member for path, member in members.items() if path.startswith(top)}
    for path, member in below.items():
        fault = link_fault(path, member.target) if member.mode == "120000" else ""
        if fault:
            raise UserError(
                f"{file} is refused: the symbolic link {path!r} {fault} ({member.target})",
                "is it the archive of a kernel tree?",
            )
    return below


def _send_commit(sink: IO[bytes], members: dict[str, _Member]) -> None:
    message = b"import\n"
    sink.write(b"commit refs/heads/import\n")
    sink.write(f"committer {IDENTITY} {WHEN}\n".encode())
    sink.write(b"data %d\n%s" % (len(message), message))
    lines = [f"M {member.mode} :{member.mark} {path}\n" for path, member in members.items()]
    sink.write("".join(lines).encode(errors="surrogateescape"))
    sink.write(b"done\n")
