"""QEMU's sources: found, checked by their hashes, unpacked and patched."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.build.qemu_recipe import Recipe, Release, SourcePackage, device_files, patches
from harness.errors import InfraError
from harness.proc import Door

_UNPACK = 900.0  # seconds for tar on a slow disk
_APPLY = 120.0  # seconds for one patch
_BLOCK = 1 << 20  # bytes read at once

Fetch = Callable[[], Path]  # downloads the source package, returns the folder with its files; raises InfraError


def sha256(file: Path) -> str:
    """The file's SHA-256 in hex."""
    total = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def parse_dsc(text: str) -> Mapping[str, str]:
    """File name -> SHA-256 from the Checksums-Sha256 field of a .dsc (deb-src-control: dsc(5))."""
    found: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line.strip().lower() == "checksums-sha256:"
        elif inside and re.fullmatch(r" [0-9a-f]{64} \d+ \S+", line):
            value, _, name = line.split()
            found[name] = value
    return found


def package_files(folder: Path, wanted: SourcePackage) -> tuple[Path, ...] | None:
    """The files that the pinned .dsc in ``folder`` names, checked; None when the .dsc is not there.

    Raises InfraError when a file is missing or has another hash.
    """
    dsc = folder / wanted.dsc
    if not dsc.is_file():
        return None
    _check(dsc, wanted.dsc_sha256, "qemu/build.yaml")
    named = parse_dsc(dsc.read_text(errors="replace"))
    if not named:
        raise InfraError(f"{dsc} names no files", "remove it and run again")
    for name, value in named.items():
        if "/" in name:
            raise InfraError(f"{dsc} names a file outside of its folder: {name}", "remove it and run again")
        _check(folder / name, value, wanted.dsc)
    return tuple(folder / name for name in named)


def find_files(recipe: Recipe, mirror: Path | None, fetch: Fetch, downloads: Path) -> tuple[Path, ...]:
    """The checked archives with QEMU's sources: from ``mirror``, Debian's by ``fetch``, or the upstream release.

    Raises InfraError when they cannot be had, or are not what the recipe pins.
    """
    wanted = recipe.source
    found = package_files(mirror, wanted) if mirror else None
    if found:
        return found
    try:
        folder = fetch()
        found = package_files(folder, wanted)
        if found is None:
            raise InfraError(f"{folder} has no {wanted.dsc}", "remove the folder and run again")
        return found
    except InfraError as error:
        hint = f"put {wanted.dsc} and the files that it names in a folder and set KPH_MIRROR to it, or use --qemu"
        if recipe.release is None:
            raise InfraError(f"QEMU's sources cannot be had: {error.message}", hint) from error
        try:
            return (release_file(recipe.release, mirror, downloads),)
        except InfraError as second:
            both = f"Debian: {error.message}; upstream: {second.message}"
            raise InfraError(f"QEMU's sources cannot be had. {both}", hint) from second


def release_file(release: Release, mirror: Path | None, downloads: Path) -> Path:
    """The upstream tarball: in ``mirror``, from an earlier download, or downloaded now. Raises InfraError."""
    name = release.url.rpartition("/")[2]
    for folder in (mirror, downloads):
        if folder and (folder / name).is_file():
            _check(folder / name, release.sha256, "qemu/build.yaml")
            return folder / name
    downloads.mkdir(parents=True, exist_ok=True)
    partial = downloads / f".{name}.{os.getpid()}"
    # Seldom needed, and slow to load.
    import http.client
    import urllib.request

    try:
        with urllib.request.urlopen(release.url, timeout=60) as source, partial.open("wb") as sink:
            shutil.copyfileobj(source, sink, _BLOCK)
        _check(partial, release.sha256, "qemu/build.yaml")
        partial.replace(downloads / name)
    except (OSError, http.client.HTTPException) as error:
        raise InfraError(f"{release.url}: {error}", "check the network") from error
    finally:
        partial.unlink(missing_ok=True)
    return downloads / name


def unpack(files: tuple[Path, ...], into: Path, recipe: Recipe, door: Door) -> None:
    """Unpack the archives to ``into``, Debian's patches applied if the recipe says so."""
    into.mkdir(parents=True)
    leave = [f"--exclude=*/{name}/*" for name in recipe.source.leave_out]
    extra = [file for file in files if ".debian.tar." in file.name]
    for file in files:
        if file not in extra and ".tar." in file.name and not file.name.endswith(".asc"):
            door.run(["tar", "-xf", file, "-C", into, "--strip-components=1", *leave], timeout=_UNPACK)
    for file in extra:
        door.run(["tar", "-xf", file, "-C", into], timeout=_UNPACK)
    if not (into / "configure").is_file():
        names = ", ".join(file.name for file in files)
        raise InfraError(f"there is no QEMU in {names}", "qemu/build.yaml names the source package")
    if recipe.source.series:
        folder = into / "debian" / "patches"
        for name in series(folder / "series"):
            apply(folder / name, into, door, recipe.source.leave_out)


def series(file: Path) -> tuple[str, ...]:
    """Patch names of a quilt series file, in order (quilt(1): options after the name, # begins a comment)."""
    if not file.is_file():
        return ()
    words = (line.split() for line in file.read_text().splitlines())
    return tuple(first[0] for first in words if first and not first[0].startswith("#"))


def add_ours(into: Path, recipe: Recipe, qemu: Path, door: Door) -> None:
    """Apply qemu/patches and put qemu/device where the hook patch expects it."""
    for patch in patches(qemu):
        apply(patch, into, door)
    target = into / recipe.device_folder
    target.mkdir(parents=True, exist_ok=True)
    for file in device_files(qemu):
        shutil.copy2(file, target / file.name)


def apply(patch: Path, tree: Path, door: Door, leave_out: tuple[str, ...] = ()) -> None:
    """Apply one patch to ``tree``, without fuzz. Raises InfraError with git's own words when it does not fit."""
    # Without a ceiling git would take an enclosing repository for the tree and skip every file.
    ceiling = {"GIT_CEILING_DIRECTORIES": str(tree.parent), "LC_ALL": "C.UTF-8"}
    skip = [f"--exclude={name}/*" for name in leave_out]
    argv: list[str | Path] = ["git", "apply", "-p1", "--whitespace=nowarn", *skip, patch]
    done = door.run(argv, timeout=_APPLY, cwd=tree, env=ceiling, check=False)
    if done.status != 0:
        raise InfraError(
            f"the QEMU patch {patch.name} does not apply:\n{_indent(done.output)}",
            f"it must apply to the sources that qemu/build.yaml pins: {patch}",
        )


def _check(file: Path, wanted: str, by: str) -> None:
    if not file.is_file():
        raise InfraError(f"{file} is missing, but {by} names it", "put it there, or remove the folder's .dsc")
    found = sha256(file)
    if found != wanted:
        raise InfraError(
            f"{file} is not the file that {by} names: sha256 {found}, expected {wanted}",
            "the copy is damaged or of another version: fetch it again",
        )


def _indent(text: str) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines()[:20])
