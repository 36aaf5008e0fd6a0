"""What ELF images say of themselves, compared with what the tools print."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.build.elf import build_id, imports

_SOURCE = "extern int zero, bind(void); static int hidden; int start(void) { return bind() + zero + hidden; }\n"
pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


def run(*words: str | Path) -> str:
    return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True).stdout


def made(folder: Path, *words: str) -> Path:
    (folder / "x.c").write_text(_SOURCE)
    run("gcc", "-o", folder / "x", folder / "x.c", *words)
    return folder / "x"


@pytest.mark.parametrize("style", ["sha1", "md5"])
def test_the_build_id_is_the_linkers(tmp_path: Path, style: str) -> None:
    file = made(tmp_path, "-nostdlib", "-shared", "-fPIC", f"-Wl,--build-id={style}")
    said = re.search(r"Build ID: (\w+)", run("readelf", "-n", file))
    assert said and build_id(file.read_bytes()) == said[1]


def test_an_image_may_have_no_build_id(tmp_path: Path) -> None:
    assert build_id(made(tmp_path, "-nostdlib", "-shared", "-fPIC", "-Wl,--build-id=none").read_bytes()) == ""


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc", "x86_64-linux-gnu-gcc -m32"])
def test_imports_are_the_undefined_symbols(tmp_path: Path, compiler: str) -> None:
    words = compiler.split()
    if not shutil.which(words[0]):
        pytest.skip(f"needs {words[0]}")
    (tmp_path / "x.c").write_text(_SOURCE)
    run(*words, "-c", "-fno-pie", "-o", tmp_path / "x.o", tmp_path / "x.c")
    assert imports((tmp_path / "x.o").read_bytes()) == ("bind", "zero")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"MZ" + bytes(100)])
def test_what_is_no_image_is_told(content: bytes) -> None:
    for ask in (build_id, imports):
        with pytest.raises(ValueError, match="not an ELF file"):
            ask(content)
