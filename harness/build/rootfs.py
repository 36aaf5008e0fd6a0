"""What the guest starts from: the agent and the modules; for SSH also a server, its libraries and per-run keys.

The kernel takes several cpio archives one after the other. The large part, the
server, is made once and kept; what belongs to one run follows it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness import fastyaml
from harness.apt import PrivateApt
from harness.build import cpio
from harness.build.elf import Linkage, closure, parse_linkage
from harness.cache import Cache, digest
from harness.errors import InfraError, UserError
from harness.model import SshKeys
from harness.proc import Door
from harness.ui import Ui

_RECIPE = Path(__file__).with_suffix(".yaml")
_METHOD = "1"  # raise when the way of making the archive changes
_READELF = 60.0  # seconds


class Recipe(BaseModel):
    """``rootfs.yaml``, which describes each key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    packages: tuple[str, ...]
    programs: dict[str, str]
    architectures: dict[str, str]
    links: dict[str, str]
    files: dict[str, str]


def load_recipe() -> Recipe:
    """The recipe of the SSH root."""
    return Recipe.model_validate(fastyaml.load(_RECIPE.read_text()))


# --- the part that is kept ------------------------------------------------------
def ensure_ssh_root(arch: str, cache: Cache, door: Door, ui: Ui) -> Path:
    """The archive with the SSH server for ``arch`` (as compilers name it), made when the cache lacks it.

    Raises UserError for an architecture that Debian's names are not known of, InfraError when packages cannot be had.
    """
    recipe = load_recipe()
    if arch not in recipe.architectures:
        raise UserError(f"there is no SSH root for {arch}", f"known: {', '.join(recipe.architectures)}; see {_RECIPE}")
    entry = cache.room("ssh-roots") / digest(_METHOD, arch, recipe.model_dump_json())
    image = entry / "root.cpio"
    if image.is_file() and cache.used(entry):
        return image
    with cache.lock("ssh-root", ui.say):
        if not (image.is_file() and cache.used(entry)):
            apt = PrivateApt(cache, door, ui.say)
            debs = apt.download_closure(recipe.packages, (recipe.suite,), recipe.architectures[arch])
            with cache.build(entry) as scratch, tempfile.TemporaryDirectory(dir=scratch) as unpacked:
                for deb in debs:
                    apt.extract(deb, Path(unpacked))
                (scratch / image.name).write_bytes(cpio.archive(server_entries(Path(unpacked), recipe, door)))
                (scratch / "packages.json").write_text(json.dumps([deb.name for deb in debs], indent=1) + "\n")
    return image


def server_entries(unpacked: Path, recipe: Recipe, door: Door) -> tuple[cpio.Entry, ...]:
    """The recipe's programs from the folder ``unpacked``, with their libraries and the files around them."""
    # Read with readelf: it is part of binutils, and reads every architecture.
    known: dict[str, Linkage] = {}

    def linkage(path: str) -> Linkage:
        if path not in known:
            file = unpacked / path
            if not file.is_file():
                raise InfraError(f"Debian's packages have no {path}", f"{_RECIPE} names it")
            argv: list[str | Path] = ["readelf", "--wide", "--dynamic", "--program-headers", file]
            known[path] = parse_linkage(door.run(argv, timeout=_READELF, env={"LC_ALL": "C"}).output)
        return known[path]

    libraries = {found.name: str(found.relative_to(unpacked)) for found in sorted(unpacked.rglob("*.so*"))}
    try:
        needed = closure(recipe.programs.values(), linkage, libraries)
    except KeyError as error:
        raise InfraError(f"Debian's packages have no library {error.args[0]}", f"{_RECIPE} names packages") from error
    loaders = {linkage(path).interpreter for path in recipe.programs.values()} - {""}
    entries = [cpio.link(path, target) for path, target in recipe.links.items()]
    entries += [cpio.file(path, _read(unpacked, source), 0o755) for path, source in recipe.programs.items()]
    entries += [cpio.file(_merged(path, recipe), _read(unpacked, path), 0o755) for path in sorted(needed)]
    for loader in sorted(loaders):
        place = _merged(loader.lstrip("/"), recipe)
        if place not in {entry.path for entry in entries}:
            entries.append(cpio.file(place, _read(unpacked, place), 0o755))
    entries += [cpio.file(path, text) for path, text in recipe.files.items()]
    return tuple(entries)


def _merged(path: str, recipe: Recipe) -> str:
    """``path`` below usr/, where merged /usr has it."""
    first, _, rest = path.partition("/")
    return f"{recipe.links[first]}/{rest}" if first in recipe.links else path


def _read(unpacked: Path, path: str) -> bytes:
    """The bytes of ``path``; its links are followed inside ``unpacked`` only, absolute ones included."""
    place = Path(path)
    for _ in range(10):
        file = unpacked / place
        if not file.is_symlink():
            break
        # An absolute target starts at the guest's root, not at ours.
        target = file.readlink()
        place = Path(os.path.normpath(target.relative_to("/") if target.is_absolute() else place.parent / target))
    if ".." in place.parts or not (unpacked / place).is_file():
        raise InfraError(f"Debian's packages have no {path}", f"{_RECIPE} names it")
    return (unpacked / place).read_bytes()


# --- the part of one run --------------------------------------------------------
def guest_initrd(
    agent: Path,
    modules: Sequence[Path],
    ssh: SshKeys | None,
    ssh_root: Path | None,
    out: Path,
    programs: Sequence[Path] = (),
) -> Path:
    """Write the guest's initramfs to ``out``: the agent as /init, ``modules`` below /modules in load order, /programs.

    With ``ssh`` also the server of ``ssh_root`` and the keys. The agent loads modules by the order of their names,
    so names get a number.
    """
    entries = [
        # The kernel opens /dev/console before /init has mounted anything.
        cpio.character_device("dev/console", 5, 1),
        cpio.character_device("dev/null", 1, 3, 0o666),
        cpio.file("init", agent.read_bytes(), 0o755),
        cpio.folder("modules"),
        *(
            cpio.file(f"modules/{number:02}-{module.name}", module.read_bytes())
            for number, module in enumerate(modules)
        ),
        *([cpio.folder("programs")] if programs else []),
        *(cpio.file(f"programs/{program.name}", program.read_bytes(), 0o755) for program in programs),
    ]
    if ssh is not None:
        if ssh_root is None or ssh.host_private is None:
            raise ValueError("SSH needs a root and a host key")
        from harness.build import sshkeys  # its libraries take a while to load, and the other channel needs none

        entries += [
            cpio.folder("etc/dropbear", 0o700),
            cpio.file("etc/dropbear/dropbear_ed25519_host_key", ssh.host_private.read_bytes(), 0o600),
            cpio.folder("root", 0o700),  # dropbear refuses keys in a folder that others may write to
            cpio.folder("root/.ssh", 0o700),
            cpio.file("root/.ssh/authorized_keys", f"{sshkeys.public_of(ssh.client)}\n", 0o600),
        ]
    with out.open("wb") as sink:
        if ssh is not None and ssh_root is not None:
            sink.write(ssh_root.read_bytes())
        sink.write(cpio.archive(entries))
    return out
