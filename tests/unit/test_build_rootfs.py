"""The guest's initramfs: its parts, its keys, the libraries of its server."""

from __future__ import annotations

import base64
import stat
import sys
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.build import cpio, rootfs
from harness.build.elf import Linkage, closure, parse_linkage
from harness.build.sshkeys import make_keys
from harness.cache import Cache
from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.ui import Ui
from tests.unit.test_build_rootfs_cpio import read


def contents(image: Path) -> dict[str, bytes]:
    return {name: content for name, _, content in read(image.read_bytes())}


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, tuple[Path, ...]]:
    """An agent and two modules whose names do not sort in load order."""
    agent = tmp_path / "agent"
    agent.write_bytes(b"agent")
    modules = (tmp_path / "zeta.ko", tmp_path / "alpha.ko")
    for module in modules:
        module.write_bytes(module.name.encode())
    return agent, modules


def test_serial_needs_agent_modules_and_a_console(tmp_path: Path, parts: tuple[Path, tuple[Path, ...]]) -> None:
    image = rootfs.guest_initrd(*parts, None, None, tmp_path / "initrd")
    found = contents(image)
    assert found["init"] == b"agent"
    assert "dev/console" in found
    assert not any(name.startswith(("etc", "root")) for name in found)


def test_modules_keep_their_load_order(tmp_path: Path, parts: tuple[Path, tuple[Path, ...]]) -> None:
    found = contents(rootfs.guest_initrd(*parts, None, None, tmp_path / "initrd"))
    names = sorted(name for name in found if name.startswith("modules/"))
    assert [found[name] for name in names] == [b"zeta.ko", b"alpha.ko"]


def test_programs_have_a_folder_of_their_own(tmp_path: Path, parts: tuple[Path, tuple[Path, ...]]) -> None:
    program = tmp_path / "iommufd"
    program.write_bytes(b"program")
    image = rootfs.guest_initrd(*parts, None, None, tmp_path / "initrd", (program,))
    modes = {name: fields["mode"] for name, fields, _ in read(image.read_bytes())}
    assert contents(image)["programs/iommufd"] == b"program"
    assert stat.S_ISDIR(modes["programs"]) and stat.S_IMODE(modes["programs/iommufd"]) == 0o755


def test_ssh_adds_the_root_and_the_keys_of_the_run(tmp_path: Path, parts: tuple[Path, tuple[Path, ...]]) -> None:
    root = tmp_path / "root.cpio"
    root.write_bytes(cpio.archive([cpio.file("usr/sbin/dropbear", b"server")]))
    keys = make_keys(tmp_path / "run")
    image = rootfs.guest_initrd(*parts, keys, root, tmp_path / "initrd")
    found = contents(image)
    assert found["usr/sbin/dropbear"] == b"server" and found["init"] == b"agent"
    client = paramiko.Ed25519Key.from_private_key_file(str(keys.client))
    assert found["root/.ssh/authorized_keys"].decode().split()[1] == client.get_base64()
    modes = {name: stat.S_IMODE(fields["mode"]) for name, fields, _ in read(image.read_bytes())}
    assert (modes["root"], modes["root/.ssh"], modes["root/.ssh/authorized_keys"]) == (0o700, 0o700, 0o600)
    assert modes["etc/dropbear/dropbear_ed25519_host_key"] == 0o600


def test_ssh_without_a_root_is_a_mistake(tmp_path: Path, parts: tuple[Path, tuple[Path, ...]]) -> None:
    with pytest.raises(ValueError, match="root"):
        rootfs.guest_initrd(*parts, make_keys(tmp_path), None, tmp_path / "initrd")


def test_keys_are_for_their_owner_and_differ_between_runs(tmp_path: Path) -> None:
    first, second = make_keys(tmp_path / "a"), make_keys(tmp_path / "b")
    assert first.host_private is not None
    for file in (first.client, first.host_private):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.client.parent.stat().st_mode) == 0o700
    assert first.host_public != second.host_public
    assert first.client.read_bytes() != second.client.read_bytes()


def test_the_host_key_is_what_dropbear_reads(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    assert keys.host_private is not None
    raw = keys.host_private.read_bytes()
    # string "ssh-ed25519", length 64, seed, public key
    assert raw[:15] == b"\x00\x00\x00\x0bssh-ed25519"
    assert raw[15:19] == b"\x00\x00\x00\x40" and len(raw) == 19 + 64
    private = Ed25519PrivateKey.from_private_bytes(raw[19:51])
    public = private.public_key().public_bytes_raw()
    assert raw[51:] == public
    kind, encoded = keys.host_public.split()
    assert kind == "ssh-ed25519"
    assert paramiko.Ed25519Key(data=base64.b64decode(encoded)).asbytes()[-32:] == public


# --- the server's root ----------------------------------------------------------
LISTING = """
Elf file type is DYN (Position-Independent Executable file)
Program Headers:
  INTERP         0x000394 0x0000000000000394 0x0000000000000394 0x00001c 0x00001c R   0x1
      [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]
Dynamic section at offset 0x38d30 contains 30 entries:
  Tag        Type                         Name/Value
 0x0000000000000001 (NEEDED)             Shared library: [libtomcrypt.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000e (SONAME)             Library soname: [not this]
"""


def test_readelf_is_understood() -> None:
    assert parse_linkage(LISTING) == Linkage(("libtomcrypt.so.1", "libc.so.6"), "/lib64/ld-linux-x86-64.so.2")
    assert parse_linkage("There is no dynamic section in this file.\n") == Linkage((), "")


def test_libraries_of_libraries_are_found_once() -> None:
    table = {
        "server": Linkage(("liba.so",), "/lib/ld.so"),
        "lib/liba.so": Linkage(("libb.so", "libc.so"), ""),
        "lib/libb.so": Linkage(("liba.so", "libc.so"), ""),
        "lib/libc.so": Linkage((), ""),
    }
    libraries = {name.rpartition("/")[2]: name for name in table if name.startswith("lib/")}
    assert closure(["server"], table.__getitem__, libraries) == set(libraries.values())


def small_recipe(**changes: object) -> rootfs.Recipe:
    plain = {
        "suite": "trixie",
        "packages": ("server",),
        "programs": {"usr/sbin/server": "usr/sbin/server"},
        "architectures": {"x86_64": "amd64"},
        "links": {"lib": "usr/lib", "lib64": "usr/lib64"},
        "files": {"etc/passwd": "root\n"},
    }
    return rootfs.Recipe.model_validate({**plain, **changes})


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Extracted packages of a server with one library and a loader that is a link, and a readelf that knows them."""
    for name in ("usr/sbin/server", "usr/lib/x86/libc.so.6.1", "usr/lib/x86/ld.so", "usr/share/doc/large"):
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "root/usr/lib/x86/libc.so.6").symlink_to("libc.so.6.1")
    (tmp_path / "root/usr/lib64").mkdir()
    (tmp_path / "root/usr/lib64/ld.so").symlink_to("../lib/x86/ld.so")
    readelf = tmp_path / "bin" / "readelf"
    readelf.parent.mkdir()
    readelf.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "if sys.argv[-1].endswith('server'):\n"
        "    print('[Requesting program interpreter: /lib64/ld.so]')\n"
        "    print(' (NEEDED)  Shared library: [libc.so.6]')\n"
    )
    readelf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{readelf.parent}:/usr/bin:/bin")
    return tmp_path / "root"


def test_only_programs_and_their_libraries_are_taken(unpacked: Path) -> None:
    entries = {entry.path: entry for entry in rootfs.server_entries(unpacked, small_recipe(), Door())}
    assert set(entries) == {
        *("lib", "lib64", "usr/sbin/server", "usr/lib/x86/libc.so.6", "usr/lib64/ld.so", "etc/passwd"),
    }
    assert entries["usr/lib/x86/libc.so.6"].content == b"usr/lib/x86/libc.so.6.1"
    assert entries["usr/lib64/ld.so"].content == b"usr/lib/x86/ld.so"


def test_a_missing_library_is_named(unpacked: Path) -> None:
    (unpacked / "usr/lib/x86/libc.so.6").unlink()
    with pytest.raises(InfraError, match=r"no library libc\.so\.6"):
        rootfs.server_entries(unpacked, small_recipe(), Door())


def test_a_missing_program_is_named(unpacked: Path) -> None:
    with pytest.raises(InfraError, match="no usr/bin/nothing"):
        rootfs.server_entries(unpacked, small_recipe(programs={"usr/bin/nothing": "usr/bin/nothing"}), Door())


def test_a_link_out_of_the_packages_is_not_followed(unpacked: Path) -> None:
    (unpacked / "usr/sbin/server").unlink()
    (unpacked / "usr/sbin/server").symlink_to("/../../../etc/passwd")
    with pytest.raises(InfraError):
        rootfs.server_entries(unpacked, small_recipe(), Door())


def test_the_root_is_made_once(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Apt:
        def __init__(self, *_: object) -> None:
            pass

        def download_closure(self, *words: object) -> tuple[Path, ...]:
            asked.append(words)
            return (tmp_path / "server_1_amd64.deb",)

        def extract(self, deb: Path, into: Path) -> None:
            (unpacked / "usr").rename(into / "usr")

    monkeypatch.setattr(rootfs, "PrivateApt", Apt)
    monkeypatch.setattr(rootfs, "load_recipe", small_recipe)
    cache = Cache(tmp_path / "cache")
    first = rootfs.ensure_ssh_root("x86_64", cache, Door(), Ui(quiet=True))
    assert rootfs.ensure_ssh_root("x86_64", cache, Door(), Ui(quiet=True)) == first
    assert asked == [(("server",), ("trixie",), "amd64")]
    assert contents(first)["usr/sbin/server"] == b"usr/sbin/server"
    assert sorted(file.name for file in first.parent.iterdir()) == ["packages.json", "root.cpio"]


def test_an_unknown_architecture_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vax") as caught:
        rootfs.ensure_ssh_root("vax", Cache(tmp_path), Door(), Ui(quiet=True))
    assert "x86_64" in caught.value.hint


def test_the_real_recipe_gives_root_a_shell_that_is_in_the_root() -> None:
    recipe = rootfs.load_recipe()
    shell = recipe.files["etc/passwd"].strip().rpartition(":")[2]
    assert shell in recipe.files["etc/shells"].split()
    first, _, rest = shell.lstrip("/").partition("/")
    assert f"{recipe.links[first]}/{rest}" in recipe.programs
