"""Our QEMU: built once from pinned sources with our patches and devices, or the user's own, checked.

A build is found again by its content key. Its folder is self-contained: the
emulators in bin/, the firmware in share/qemu/.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import data, requirements
from harness.apt import PrivateApt
from harness.build import qemu_header, qemu_recipe
from harness.build.ninja import logged
from harness.build.qemu_recipe import Recipe
from harness.build.qemu_source import add_ours, find_files, unpack
from harness.build.toolchain import compiler, compiler_env, compiler_id, jobs
from harness.cache import Cache, digest
from harness.errors import InfraError, UserError
from harness.machine.target import Target
from harness.model import Qemu
from harness.proc import Door
from harness.ui import Ui

_FIRMWARE_SUITES = ("trixie",)  # Debian suite that the firmware packages come from
_CONFIGURE = 900.0  # seconds
_BUILD = 3 * 3600.0  # seconds
_ASK = 30.0  # seconds for an emulator to print its version or a list
_NAME = re.compile(r'^name "([^"]+)"', re.MULTILINE)  # `-device help`
_PROPERTY = re.compile(r"^  ([A-Za-z0-9][\w.-]*)=<", re.MULTILINE)  # `-device X,help`
_VERSION = re.compile(r"QEMU emulator version (\S+)")


def ensure_qemu(cache: Cache, door: Door, ui: Ui, user_dir: Path | None = None, target: Target | None = None) -> Qemu:
    """A QEMU that has our devices: the one in ``user_dir``, or our own, built when the cache lacks it.

    With ``target`` its emulator, devices and properties are checked. Raises
    UserError when the user's build lacks something, InfraError when ours cannot
    be built (no sources, no compiler, no space, a patch that does not apply).
    """
    if user_dir is not None:
        qemu = _adopt(user_dir, cache, door, target.binary if target else qemu_recipe.load().targets[0])
        if target:
            check(qemu, target.binary, target.needs, door, f"the QEMU in {user_dir}")
        return qemu
    qemu = _own(cache, door, ui)
    if target:
        checked = cache.room("checked") / digest(qemu.key, target.binary, json.dumps(target.needs, sort_keys=True))
        if not checked.exists():
            check(qemu, target.binary, target.needs, door, "our QEMU")
            checked.touch()
    return qemu


def check(qemu: Qemu, binary: str, needs: Mapping[str, tuple[str, ...]], door: Door, what: str) -> None:
    """Raise UserError unless ``binary`` of ``qemu`` has the devices ``needs`` with their properties.

    The error names what is missing and the patch or folder that brings it.
    """
    program = qemu.folder / "bin" / binary
    have = devices(door.run([program, "-machine", "none", "-device", "help"], timeout=_ASK).output)
    lacking = []
    for device, wanted in needs.items():
        if device not in have:
            lacking.append(f"the device {device} ({_origin(device)})")
            continue
        listing = door.run([program, "-machine", "none", "-device", f"{device},help"], timeout=_ASK).output
        lacking += [f"{device}.{each} ({_origin(each)})" for each in wanted if each not in properties(listing)]
    if lacking:
        raise UserError(
            f"{what} lacks {'; '.join(lacking)}",
            "apply qemu/patches, put qemu/device in its tree and build again; or leave --qemu out",
        )


def devices(listing: str) -> frozenset[str]:
    """Device names in the output of ``-device help``."""
    return frozenset(_NAME.findall(listing))


def properties(listing: str) -> frozenset[str]:
    """Property names in the output of ``-device X,help``."""
    return frozenset(_PROPERTY.findall(listing))


# --- the user's own -----------------------------------------------------------
def _adopt(folder: Path, cache: Cache, door: Door, binary: str) -> Qemu:
    """The user's installation (bin/ below ``folder``) or build directory (emulators in ``folder`` itself)."""
    folder = folder.expanduser().resolve()
    if os.access(folder / "bin" / binary, os.X_OK):
        return Qemu(folder, _version(folder / "bin" / binary, door), "user")
    if not os.access(folder / binary, os.X_OK):
        raise UserError(
            f"--qemu {folder}: there is no bin/{binary} and no {binary} in it",
            "name the prefix of an installation, or a build directory",
        )
    # A build directory has no prefix layout: give it one, made of links.
    facade = cache.room("qemu-user") / digest(str(folder), binary)
    roms = folder / "qemu-bundle" / "usr" / "local" / "share" / "qemu"
    if not facade.is_dir():
        with cache.build(facade) as scratch:
            (scratch / "bin").mkdir()
            (scratch / "share").mkdir()
            (scratch / "bin" / binary).symlink_to(folder / binary)
            (scratch / "share" / "qemu").symlink_to(roms if roms.is_dir() else folder / "pc-bios")
    return Qemu(facade, _version(folder / binary, door), "user")


def _version(program: Path, door: Door) -> str:
    done = door.run([program, "--version"], timeout=_ASK, check=False)
    found = _VERSION.search(done.output)
    if done.status != 0 or not found:
        last = (done.output.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{program} does not run: {last}", "it must be an emulator that this machine can run")
    return found[1]


def _origin(word: str) -> str:
    return qemu_recipe.patch_that_adds(word, data.folder("qemu")) or "qemu/device"


# --- ours ---------------------------------------------------------------------
@dataclass(frozen=True)
class _Yard:
    """Where and from what we build."""

    recipe: Recipe
    qemu: Path  # data folder: patches, device, build.yaml
    cache: Cache
    door: Door
    ui: Ui

    @property
    def work(self) -> Path:
        """Source and build directory; always the same place, so that ccache finds its objects again."""
        return self.cache.room("qemu-build")

    @property
    def log(self) -> Path:
        """Everything that configure, ninja and make say."""
        return self.cache.room("logs") / "qemu-build.log"

    @property
    def mirror(self) -> Path | None:
        """The folder that KPH_MIRROR names. Raises UserError when it names no folder."""
        named = os.environ.get("KPH_MIRROR")
        folder = Path(named).expanduser().resolve() if named else None
        if folder and not folder.is_dir():
            raise UserError(f"KPH_MIRROR names {named}, which is no folder", "unset it, or name a folder with sources")
        return folder


def _own(cache: Cache, door: Door, ui: Ui) -> Qemu:
    recipe, folder = qemu_recipe.load(), data.folder("qemu")
    requirements.require([each for each in requirements.needed(["qemu"]) if each.program == "gcc"], "QEMU", door)
    yard = _Yard(recipe, folder, cache, door, ui)
    entry = cache.room("qemu") / qemu_recipe.key(recipe, folder, compiler_id(door))
    found = _stored(entry)
    if found and cache.used(entry):
        return found
    requirements.require(requirements.needed(["qemu"]), "building QEMU", door)
    cache.need_space(recipe.space_gib, "building QEMU")
    with cache.lock("qemu", ui.say):
        found = _stored(entry)
        if found and cache.used(entry):
            return found
        ui.say(f"QEMU {recipe.version}: building it, once for all runs (about 5 minutes on two cores)")
        started = time.monotonic()
        with cache.build(entry) as scratch:
            _roms_of_packages(yard, scratch / "share" / "qemu")
            _prepare(yard, entry.name)
            _build(yard)
            _install(yard, scratch, time.monotonic() - started)
        shutil.rmtree(yard.work)
        ui.say(f"QEMU {recipe.version}: built in {time.monotonic() - started:.0f} s")
    found = _stored(entry)
    assert found is not None
    return found


def _stored(entry: Path) -> Qemu | None:
    try:
        facts = json.loads((entry / "qemu.json").read_text())
    except FileNotFoundError:
        return None
    return Qemu(entry, facts["version"], entry.name)


def _prepare(yard: _Yard, key: str) -> None:
    """Unpack, patch and configure; what an interrupted build of the same key left is used again."""
    source, build, stamp = yard.work / "source", yard.work / "build", yard.work / "configured"
    if stamp.is_file() and stamp.read_text() == key:
        return
    for old in (source, build):
        shutil.rmtree(old, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    yard.log.write_bytes(b"")
    apt = PrivateApt(yard.cache, yard.door, yard.ui.say)
    wanted = yard.recipe.source
    files = find_files(
        yard.recipe,
        yard.mirror,
        lambda: apt.source(wanted.package, wanted.version, (wanted.suite,)),
        yard.cache.room("downloads"),
    )
    yard.ui.live("QEMU: unpacking")
    unpack(files, source, yard.recipe, yard.door)
    add_ours(source, yard.recipe, yard.qemu, yard.door)
    build.mkdir()
    logged(
        [source / "configure", f"--python={sys.executable}", f"--cc={compiler()}", *yard.recipe.configure],
        what="QEMU: configuring",
        cwd=build,
        env=compiler_env(yard.cache),
        log=yard.log,
        door=yard.door,
        ui=yard.ui,
        limit=_CONFIGURE,
    )
    stamp.write_text(key)


def _build(yard: _Yard) -> None:
    build = yard.work / "build"
    env = {**compiler_env(yard.cache), **qemu_header.CCACHE}
    qemu_header.precompile(yard.work / "source", build, env, yard.door, yard.log)
    logged(
        ["ninja", "-C", build, f"-j{jobs()}", *yard.recipe.targets],
        what=f"QEMU {yard.recipe.version}",
        cwd=build,
        env=env,
        log=yard.log,
        door=yard.door,
        ui=yard.ui,
        limit=_BUILD,
    )
    if not yard.recipe.roms.build:
        return
    # configure leaves the option ROMs out where it finds no 32-bit libc; they are freestanding and need none.
    roms = build / "pc-bios" / "optionrom"
    source = yard.work / "source"
    (roms / "config.mak").write_text(f"TOPSRC_DIR={source}\n")
    tools = (f"TOPSRC_DIR={source}", f"CC={compiler()}", "OBJCOPY=objcopy", f"PYTHON={sys.executable}")
    logged(
        ["make", "-C", roms, "-f", source / "pc-bios/optionrom/Makefile", *tools, *yard.recipe.roms.build],
        what="QEMU: option ROMs",
        cwd=roms,
        env=env,
        log=yard.log,
        door=yard.door,
        ui=yard.ui,
        limit=_CONFIGURE,
    )


def _install(yard: _Yard, prefix: Path, seconds: float) -> None:
    """Copy what runs need to ``prefix``, and check that the emulators are what the recipe asked for."""
    build = yard.work / "build"
    (prefix / "bin").mkdir()
    for name in yard.recipe.targets:
        shutil.copy2(build / name, prefix / "bin" / name)
        version = _version(prefix / "bin" / name, yard.door)
        if version != yard.recipe.version:
            raise InfraError(f"{name} says version {version}, qemu/build.yaml says {yard.recipe.version}")
    for name in yard.recipe.roms.build:
        shutil.copy2(build / "pc-bios" / "optionrom" / name, prefix / "share" / "qemu" / name)
    facts = {
        "version": yard.recipe.version,
        "compiler": compiler_id(yard.door),
        "patches": [each.name for each in qemu_recipe.patches(yard.qemu)],
        "seconds": round(seconds, 1),
    }
    (prefix / "qemu.json").write_text(json.dumps(facts, indent=1) + "\n")


def _roms_of_packages(yard: _Yard, into: Path) -> None:
    """Firmware from Debian packages: from KPH_MIRROR, the machine's own, or downloaded."""
    into.mkdir(parents=True)
    for package, roms in yard.recipe.roms.packages.items():
        debs = sorted(yard.mirror.glob(f"{package}_*.deb")) if yard.mirror else []
        apt = PrivateApt(yard.cache, yard.door, yard.ui.say)
        if not debs and all(Path("/", path).is_file() for path in roms.values()):
            root = Path("/")
        else:
            deb = debs[-1] if debs else apt.download(package, _FIRMWARE_SUITES)
            root = into / f".{package}"
            apt.extract(deb, root)
        for name, path in roms.items():
            if not (root / path).is_file():
                raise InfraError(f"Debian's package {package} has no {path}", "qemu/build.yaml names its files")
            shutil.copy2(root / path, into / name)
        if root != Path("/"):
            shutil.rmtree(root)
