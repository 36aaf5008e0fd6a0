"""Programs of the tree: built with its headers, kept by what they can be built from."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from harness.build import reads
from harness.build.make import BuildFailure
from harness.build.programs import ProgramShop, Wanted
from harness.cache import Cache
from harness.machine import target as targets
from harness.machine.target import Target
from harness.model import Programs, Tree
from harness.proc import Door
from harness.source.changes import Change
from harness.ui import Ui

_TOP = """\
headers:
\tmkdir -p $(O)/usr/include/linux
\tcp include/uapi/linux/answer.h $(O)/usr/include/linux/
"""
_TESTS = """\
all: $(OUTPUT)/one $(OUTPUT)/two
$(OUTPUT)/%: %.c
\t$(CC) $(KHDR_INCLUDES) $(USERCFLAGS) $(USERLDFLAGS) $< -o $@
"""
_PROGRAM = '#include <stdio.h>\n#include <linux/answer.h>\nint main(void) { return !printf("%d\\n", ANSWER); }\n'
FOLDER = "tools/testing/selftests/tiny"

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


class Repo:
    """A tree that is little but one folder of tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._git("init", "-q", "-b", "main")
        self.tree = self.change(
            {
                "Makefile": _TOP,
                "include/uapi/linux/answer.h": "#define ANSWER 42\n",
                f"{FOLDER}/Makefile": _TESTS,
                f"{FOLDER}/one.c": _PROGRAM,
                f"{FOLDER}/two.c": _PROGRAM,
                "kernel/fork.c": "int fork;\n",
            }
        )

    def change(self, files: dict[str, str]) -> Tree:
        for name, text in files.items():
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / name).write_text(text)
        self._git("add", "-A")
        self._git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "more")
        content = self._git("rev-parse", "HEAD^{tree}")
        return Tree("tiny", self._folder / ".git", self._git("rev-parse", "HEAD"), content, "1.0", "tiny")

    def _git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self._folder, check=True, capture_output=True, text=True
        ).stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def _host() -> Target:
    target = targets.load("x86_64-vtd")
    return target.model_copy(update={"kernel": target.kernel.model_copy(update={"cross_compile": ""})})


def _build(tmp_path: Path, tree: Tree, folder: str = FOLDER) -> Programs | BuildFailure:
    wanted = Wanted(folder, ("one", "two"), ())
    logs = tmp_path / "logs"
    logs.mkdir(exist_ok=True)
    shop = ProgramShop(wanted, _host(), Cache(tmp_path / "cache"), Door(), Ui(Console(file=io.StringIO())), logs)
    return shop.build(tree, "base")


def _made(tmp_path: Path, tree: Tree) -> Programs:
    made = _build(tmp_path, tree)
    assert isinstance(made, Programs), made.lines
    return made


def test_programs_are_static_and_of_the_trees_headers(tmp_path: Path, repo: Repo) -> None:
    made = _made(tmp_path, repo.tree)
    assert [file.name for file in made.files] == ["one", "two"]
    for file in made.files:
        assert subprocess.run([file], capture_output=True, check=True).stdout == b"42\n"
        headers = subprocess.run(["readelf", "--program-headers", file], capture_output=True, text=True, check=True)
        assert "LOAD" in headers.stdout and "INTERP" not in headers.stdout


def test_what_cannot_matter_costs_no_build(tmp_path: Path, repo: Repo) -> None:
    first = _made(tmp_path, repo.tree)
    assert _made(tmp_path, repo.change({"kernel/fork.c": "int fork = 1;\n"})).files == first.files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (f"{FOLDER}/two.c", _PROGRAM.replace("ANSWER", "ANSWER + 1")),
        ("include/uapi/linux/answer.h", "#define ANSWER 43\n"),
    ],
)
def test_a_series_that_touches_their_sources_alone_gets_others(
    tmp_path: Path, repo: Repo, name: str, text: str
) -> None:
    first = _made(tmp_path, repo.tree)
    second = _made(tmp_path, repo.change({name: text}))
    assert second.identity != first.identity
    assert subprocess.run([second.files[1]], capture_output=True, check=True).stdout == b"43\n"
    assert _made(tmp_path, repo.tree) == first


def test_sources_that_do_not_compile_are_a_result(tmp_path: Path, repo: Repo) -> None:
    failed = _build(tmp_path, repo.change({f"{FOLDER}/one.c": "int main(void) { return missing; }\n"}))
    assert isinstance(failed, BuildFailure)
    assert "base programs of tools/testing/selftests/tiny does not build" in failed.reason
    assert "missing" in failed.reason


def test_a_tree_without_the_folder_is_a_result(tmp_path: Path, repo: Repo) -> None:
    failed = _build(tmp_path, repo.tree, "tools/testing/selftests/other")
    assert isinstance(failed, BuildFailure)
    assert failed.reason == "base programs does not build: Linux 1.0 has no tools/testing/selftests/other"


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        (f"{FOLDER}/one.c", True),
        ("tools/testing/selftests/kselftest_harness.h", True),
        ("tools/include/linux/types.h", True),
        ("include/uapi/linux/iommufd.h", True),
        ("include/linux/iommu.h", True),
        ("arch/x86/include/uapi/asm/mman.h", True),
        ("arch/x86/entry/syscalls/syscall_64.tbl", True),
        ("arch/x86/kernel/traps.c", False),
        ("arch/x86/kernel/head_64.S", False),
        ("scripts/headers_install.sh", True),
        ("usr/include/Makefile", True),
        ("Makefile", True),
        ("MAINTAINERS", False),
        ("drivers/iommu/iommu.c", False),
        ("drivers/iommu/iommu-priv.h", False),
        ("drivers/iommu/Kconfig", False),
        ("Documentation/userspace-api/iommufd.rst", False),
    ],
)
def test_what_programs_can_be_built_from(path: str, matters: bool) -> None:
    change = Change(path, stays=True, plain=True)
    assert reads.programs_differ((change,)) == (path if matters else "")
    assert reads.programs_differ((Change(path, stays=True, plain=False),)) == path
