"""A small fake source package of QEMU, a recipe for it, and tools that pretend to build it."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from harness import data, requirements
from harness.build import qemu
from harness.cache import Cache
from harness.errors import InfraError
from harness.model import Qemu
from harness.proc import Door
from harness.ui import Ui

EMULATOR = r"""#!/bin/sh
case "$*" in
*--version*) echo "QEMU emulator version 9.9.9 (kph)";;
*intel-iommu,help*) printf 'intel-iommu options:\n  x-pri=<bool>\n  device-iotlb=<bool>            - (default: off)\n';;
*kph-dma-pci,help*) printf 'kph-dma-pci options:\n  pasid-bits=<uint8>\n';;
*-device\ help*) printf 'Misc devices:\nname "kph-dma-pci", bus PCI\nname "intel-iommu", desc "IOMMU"\n';;
esac
"""

CONFIGURE = """#!/bin/sh
echo configured with "$@"
here=$(cd "$(dirname "$0")" && pwd)
test "$(cat $here/greeting)" = "hello from us" || { echo "meson.build:1:0: ERROR: patches are missing"; exit 1; }
test -f $here/hw/misc/kph/kph.c || { echo "ERROR: no device"; exit 1; }
mkdir -p pc-bios/optionrom "$here/include/qemu"
echo '[]' > compile_commands.json
"""

NINJA = """#!/bin/sh
test "$3" = config-poison.h && exit 0
test -n "$NINJA_RUNS" && echo run >> "$NINJA_RUNS"
if test -n "$NINJA_FAILS"; then
  printf '[1/2] Compiling C object a.o\\nFAILED: b.o\\n../hw/misc/kph/kph.c:7:1: error: unknown type name frob\\n'
  exit 1
fi
printf '[1/2] Compiling C object a.o\\n[2/2] Linking target qemu-system-x86_64\\n'
cp "$EMULATOR" "$2/qemu-system-x86_64"
"""

OURS = """\
From: someone
Subject: greet

diff --git a/greeting b/greeting
--- a/greeting
+++ b/greeting
@@ -1 +1 @@
-hello from debian
+hello from us
"""

EXTRA = """\
diff --git a/more b/more
new file mode 100644
--- /dev/null
+++ b/more
@@ -0,0 +1 @@
+more
"""

DEBIANS = """\
--- a/greeting
+++ b/greeting
@@ -1 +1 @@
-hello
+hello from debian
"""


def tarball(file: Path, members: Mapping[str, str]) -> None:
    with tarfile.open(file, "w:xz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass
class House:
    """A data folder, a mirror and a PATH for one test."""

    root: Path
    cache: Cache
    door: Door

    @property
    def mirror(self) -> Path:
        return self.root / "mirror"

    def ensure(self, user_dir: Path | None = None) -> Qemu:
        return qemu.ensure_qemu(self.cache, self.door, Ui(quiet=True), user_dir)

    def recipe(self, **changes: object) -> None:
        file = self.root / "qemu" / "build.yaml"
        raw = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump({**raw, **changes}))


def program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def furnished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A source package in a mirror, a recipe for it, and a ninja that copies a shell script."""
    here = House(tmp_path, Cache(tmp_path / "cache"), Door(tmp_path / "commands.log"))
    here.mirror.mkdir()
    makefile = "%.bin:\n\techo rom > $@\n"
    top = "qemu-9.9.9+ds"
    tarball(
        here.mirror / "qemu_9.9.9+ds.orig.tar.xz",
        {
            f"{top}/configure": CONFIGURE,
            f"{top}/greeting": "hello\n",
            f"{top}/pc-bios/optionrom/Makefile": makefile,
            f"{top}/roms/large": "not needed",
        },
    )
    tarball(
        here.mirror / "qemu_9.9.9+ds-1.debian.tar.xz",
        {"debian/patches/series": "# ours\ngreet.patch -p1\n", "debian/patches/greet.patch": DEBIANS},
    )
    dsc = here.mirror / "qemu_9.9.9+ds-1.dsc"
    lines = [f" {sha256(each)} {each.stat().st_size} {each.name}" for each in sorted(here.mirror.glob("*.tar.xz"))]
    dsc.write_text("\n".join(["Format: 3.0 (quilt)", "Checksums-Sha256:", *lines, "Files:", " 0 0 x", ""]))
    (tmp_path / "qemu" / "patches").mkdir(parents=True)
    (tmp_path / "qemu" / "device").mkdir()
    (tmp_path / "qemu" / "patches" / "0001-greet.patch").write_text(OURS)
    (tmp_path / "qemu" / "device" / "kph.c").write_text("int kph;\n")
    here.recipe(
        version="9.9.9",
        source={
            "package": "qemu",
            "version": "1:9.9.9+ds-1",
            "suite": "sid",
            "dsc_sha256": sha256(dsc),
            "leave_out": ["roms"],
        },
        device_folder="hw/misc/kph",
        configure=["--enable-kph"],
        targets=["qemu-system-x86_64"],
        roms={"build": ["linuxboot_dma.bin"]},
        space_gib=0.001,
    )
    program(tmp_path / "bin" / "ninja", NINJA)
    program(tmp_path / "emulator", EMULATOR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("EMULATOR", str(tmp_path / "emulator"))
    monkeypatch.setenv("NINJA_RUNS", str(tmp_path / "ninja-runs"))
    monkeypatch.setenv("KPH_MIRROR", str(here.mirror))
    monkeypatch.setattr(data, "folder", lambda name: tmp_path / name)
    monkeypatch.setattr(requirements, "missing", lambda each, door: requirements.Missing(()))
    monkeypatch.setattr(qemu, "PrivateApt", NoApt)
    return here


class NoApt:
    """Fails the test that downloads what the mirror has."""

    def __init__(self, *_: object) -> None:
        pass

    def source(self, *_: object) -> Path:
        raise InfraError("apt was asked", "do not")

    def download(self, *_: object) -> Path:
        raise InfraError("apt was asked", "do not")


def ninja_runs(house: House) -> int:
    file = house.root / "ninja-runs"
    return len(file.read_text().split()) if file.exists() else 0
