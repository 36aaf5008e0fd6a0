"""QEMU's common header, compiled ahead: by a real gcc, for a build of a few files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.build.qemu_header import precompile
from harness.proc import Door


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``source`` with the header, an empty ``build``, and a ninja that makes what the header includes."""
    header = tmp_path / "source/include/qemu/osdep.h"
    header.parent.mkdir(parents=True)
    header.write_text('#include "config-poison.h"\n#ifdef BAD\n#error bad\n#endif\nint common;\n')
    (tmp_path / "build").mkdir()
    ninja = tmp_path / "bin/ninja"
    ninja.parent.mkdir()
    ninja.write_text('#!/bin/sh\ntest "$1" = -C && touch "$2/$3"\n')
    ninja.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ninja.parent}:{os.environ['PATH']}")
    return tmp_path


def configured(tree: Path, *sets: tuple[int, Sequence[str]], folder: str = "libx.a.p") -> int:
    """Compile the header for a build with so many files for each of ``sets``."""
    commands: list[dict[str, str]] = []
    for options in (words for number, words in sets for _ in range(number)):
        name = f"{len(commands)}.c"
        command = f"ccache gcc -I{folder} -I../source/include -I. {' '.join(options)} -MD -MQ {name}.o -MF {name}.d"
        output = f"{folder}/{name}.o"
        commands.append({"command": f"{command} -o {output} -c {name}", "file": name, "output": output})
    (tree / "build/compile_commands.json").write_text(json.dumps(commands))
    return precompile(tree / "source", tree / "build", {}, Door(), tree / "log")


def taken(tree: Path, *options: str) -> bool:
    """Whether a file compiled with ``options`` takes a compiled header."""
    (tree / "build/main.c").write_text('#include "qemu/osdep.h"\nint main(void) { return common; }\n')
    argv = ["gcc", "-H", *options, "-I.", "-Iother", "-I../source/include", "-c", "main.c", "-o", "main.o"]
    said = subprocess.run(argv, cwd=tree / "build", capture_output=True, text=True, check=True).stderr
    return any(line.startswith("! ") for line in said.splitlines())


def test_files_take_the_header_that_was_made_with_their_options(tree: Path) -> None:
    assert configured(tree, (9, ["-O2", "-DSYSTEM"]), (8, ["-O2", "-DTARGET"]), (7, ["-O2", "-DRARE"])) == 2
    assert taken(tree, "-O2", "-DSYSTEM") and taken(tree, "-O2", "-DTARGET")
    assert not taken(tree, "-O0", "-DSYSTEM"), "other options, another header"


def test_paths_make_no_difference(tree: Path) -> None:
    assert configured(tree, (4, ["-O2", "-iquote .", "-isystem a"]), (4, ["-O2", "-iquote ..", "-Ib"])) == 1
    assert taken(tree, "-O2")


def test_what_no_emulator_needs_is_left_out(tree: Path) -> None:
    assert configured(tree, (20, ["-O2"]), folder="tests/unit/test-x.p") == 0
    assert not taken(tree, "-O2")


def test_a_header_that_does_not_compile_is_left_to_the_build(tree: Path) -> None:
    assert configured(tree, (8, ["-O2", "-DBAD"]), (8, ["-O2"])) == 1
    assert "error bad" in (tree / "log").read_text() and taken(tree, "-O2")


def test_those_of_an_interrupted_build_are_made_anew(tree: Path) -> None:
    configured(tree, (8, ["-O2"]))
    assert configured(tree, (8, ["-O0"])) == 1
    assert taken(tree, "-O0") and not taken(tree, "-O2")
