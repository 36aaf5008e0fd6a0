"""The recipe of our QEMU: ``qemu/build.yaml`` as values, and the content key of what it makes."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from harness import data, fastyaml
from harness.cache import digest
from harness.errors import UserError

_METHOD = "1"  # raise when the way of building changes, so that old builds are not found


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourcePackage(_Strict):
    """A Debian source package, pinned."""

    package: str
    version: str  # exact Debian version, with its epoch
    suite: str  # suite that has it
    dsc_sha256: str  # of the .dsc, which names the hashes of the other files
    series: bool = True  # apply Debian's own patches
    leave_out: tuple[str, ...] = ()  # top folders that are not needed

    @property
    def dsc(self) -> str:
        """File name of the .dsc; Debian leaves the epoch out of file names (deb-version(7))."""
        return f"{self.package}_{self.version.partition(':')[2] or self.version}.dsc"


class Release(_Strict):
    """An upstream release tarball, pinned."""

    url: str
    sha256: str


class Roms(_Strict):
    """Firmware that the emulators load."""

    build: tuple[str, ...] = ()  # made from pc-bios/optionrom
    packages: dict[str, dict[str, str]] = {}  # Debian package -> ROM -> path in the package


class Recipe(_Strict):
    """Everything that decides what the build makes, but the patches and devices themselves."""

    version: str  # as the binary says it
    source: SourcePackage
    release: Release | None = None  # where else the sources are to be had
    device_folder: str  # place of qemu/device in QEMU's tree
    configure: tuple[str, ...]  # arguments of QEMU's configure
    targets: tuple[str, ...]  # what ninja makes, installed to bin/
    roms: Roms
    space_gib: float  # disk that the build needs


def load(file: Path | None = None) -> Recipe:
    """Read ``file`` (default: qemu/build.yaml). Raises UserError that names file and key."""
    file = file or data.folder("qemu") / "build.yaml"
    try:
        return Recipe.model_validate(fastyaml.load(file.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{file}: {error}") from error
    except ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UserError(f"{file}: {what}", "harness/build/qemu_recipe.py describes each key") from error


def patches(qemu: Path) -> tuple[Path, ...]:
    """Our patches to QEMU below the data folder ``qemu``, in the order of application."""
    return tuple(sorted((qemu / "patches").glob("*.patch")))


def device_files(qemu: Path) -> tuple[Path, ...]:
    """Our devices below the data folder ``qemu``: everything in it but texts for people."""
    return tuple(sorted(file for file in (qemu / "device").iterdir() if file.is_file() and file.suffix != ".md"))


def key(recipe: Recipe, qemu: Path, compiler: str) -> str:
    """Content key of the build: recipe, patches, devices, compiler. What is only for people is not in it."""
    parts: list[str | bytes] = [_METHOD, recipe.model_dump_json(), compiler]
    for patch in patches(qemu):
        message, found, diff = patch.read_text().partition("\ndiff --git ")
        parts += [patch.name, diff if found else message]
    for file in device_files(qemu):
        parts += [file.name, file.read_bytes()]
    return digest(*parts)


def patch_that_adds(word: str, qemu: Path) -> str:
    """File name of the first of our patches that adds the quoted string ``word``, or empty.

    QEMU names devices and properties by string literals, so this finds the patch that brings one in.
    """
    for file in patches(qemu):
        if any(line.startswith("+") and f'"{word}"' in line for line in file.read_text().splitlines()):
            return file.name
    return ""
