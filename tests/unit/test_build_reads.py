"""What a build read: collected from .cmd files, and what a change to it means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.build.cmdfiles import collect, scan
from harness.build.reads import kernel_differs, module_differs, named
from harness.source.changes import Change, parse

_CMD = b"""\
savedcmd_init/main.o := gcc -I/t/include -include /t/include/linux/kconfig.h -fmacro-prefix-map=/t/= -c /t/init/main.c

source_init/main.o := /t/init/main.c

deps_init/main.o := \\
    $(wildcard include/config/SMP) \\
  /t/kernel/sched/../locking/lock.h \\
  /t/include/dt-bindings/clock/acme,clk.h \\
  /usr/include/stdio.h \\
  include/generated/autoconf.h \\

init/main.o: $(deps_init/main.o)
"""
_READS = frozenset(("init/main.c", "kernel/rt.c", "include/linux/mm.h", "arch/x86/kernel/traps.c", "lib/made.c"))


def test_a_cmd_file_names_what_the_compiler_opened() -> None:
    found = named(_CMD, b"/t")
    assert found >= {
        b"init/main.c",
        b"include/linux/kconfig.h",
        b"kernel/locking/lock.h",
        b"include/generated/autoconf.h",
    }
    assert not any(b"stdio" in name or b"SMP" in name or name.startswith(b"/") for name in found)


def test_a_shell_command_names_what_it_reads() -> None:
    text = b"""savedcmd_x.h := sh /t/scripts/a.sh "$$(sed '$$d' /t/include/a.h)" /t/arch/x86/calls.tbl; true"""
    assert named(text, b"/t") >= {b"scripts/a.sh", b"include/a.h", b"arch/x86/calls.tbl"}


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, Path]:
    """An output directory and a tree, of which one object was made."""
    out, work = tmp_path / "out", tmp_path / "work"
    (work / "include/uapi").mkdir(parents=True)
    (work / "include/uapi/codes.h").touch()
    (work / "include/input").symlink_to("uapi")
    (out / "init").mkdir(parents=True)
    say(out / "init/.main.o.cmd", work / "init/main.c", work / "include/input/codes.h")
    return out, work


def say(cmd: Path, source: Path, *more: Path) -> None:
    cmd.write_text(f"source_x := {source}\n\ndeps_x := \\\n" + "".join(f"  {each} \\\n" for each in more))


def test_a_file_behind_a_link_counts_under_both_names(built: tuple[Path, Path]) -> None:
    assert collect(*built) == scan(*built) == {"init/main.c", "include/input/codes.h", "include/uapi/codes.h"}


def test_the_second_collection_reads_what_is_new(built: tuple[Path, Path]) -> None:
    out, work = built
    old, new = out / "init/.main.o.cmd", out / "init/.new.o.cmd"
    first, time = collect(out, work), old.stat().st_mtime_ns
    old.write_text("not read again")
    os.utime(old, ns=(time, time))
    say(new, work / "init/new.c")
    assert collect(out, work) == first | {"init/new.c"}
    new.unlink()
    assert collect(out, work) == first
    say(old, work / "init/other.c")
    assert collect(out, work) == {"init/other.c"}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"method": 0}'])
def test_what_was_kept_may_be_damaged(built: tuple[Path, Path], damage: bytes) -> None:
    first = collect(*built)
    (built[0] / ".kph-reads").write_bytes(damage)
    assert collect(*built) == first


def test_changes_as_git_writes_them() -> None:
    text = (
        ":100644 100755 1 2 M\0a.c\0:000000 100644 0 2 A\0b.c\0:100644 000000 1 0 D\0c c.c\0:100644 120000 1 2 T\0d\0"
    )
    assert parse(text) == (
        Change("a.c", True, True),
        Change("b.c", False, True),
        Change("c c.c", False, True),
        Change("d", True, False),
    )
    assert parse("") == ()


@pytest.mark.parametrize(
    ("path", "kernel", "module"),
    [  # of a file that stays: whether it matters
        ("init/main.c", True, True),
        ("include/linux/mm.h", True, True),
        ("lib/made.c", True, True),
        ("kernel/fair.c", False, False),
        ("include/linux/other.h", False, False),
        ("arch/x86/kernel/smp.S", False, False),
        ("arch/x86/kernel/vmlinux.lds.S", False, False),
        ("arch/alpha/kernel/head.S", False, False),
        ("arch/alpha/calls.tbl", False, False),
        ("arch/x86/calls.tbl", True, False),
        ("arch/alpha/Makefile", True, True),
        ("arch/x86/Makefile.postlink", True, True),
        ("Makefile", True, True),
        ("Kbuild", True, True),
        ("kernel/Makefile", True, False),
        ("kernel/Kconfig.hz", True, False),
        ("arch/Kconfig", True, False),
        ("Documentation/Kconfig", True, False),
        ("Documentation/sva.rst", False, False),
        ("Documentation/check.py", True, False),
        ("drivers/net/README.md", False, False),
        ("lib/polynomials.txt", True, False),
        ("scripts/mod/modpost.c", True, True),
        ("tools/objtool/check.c", True, True),
        ("tools/testing/selftests/iommu/Makefile", False, False),
        ("MAINTAINERS", False, False),
        ("drivers/iommu/.gitignore", False, False),
        ("certs/key.pem", True, False),
        ("rust/kernel/lib.rs", True, False),
        ("kernel/caf\ufffd.c", True, True),
    ],
)
def test_what_a_modified_file_means(path: str, kernel: bool, module: bool) -> None:
    change = Change(path, stays=True, plain=True)
    assert (kernel_differs((change,), _READS), module_differs((change,), _READS)) == (
        path if kernel else "",
        path if module else "",
    )


@pytest.mark.parametrize(
    ("path", "matters"), [("a/new.c", False), ("a/new.h", True), ("a/new.S", True), ("a/new.inc", True)]
)
def test_what_a_file_that_comes_or_goes_means(path: str, matters: bool) -> None:
    change = Change(path, stays=False, plain=True)
    assert bool(kernel_differs((change,), _READS)) == bool(module_differs((change,), _READS)) == matters


def test_a_link_always_matters() -> None:
    change = Change("Documentation/a.rst", stays=True, plain=False)
    assert kernel_differs((change,), _READS) == module_differs((change,), _READS) == change.path


def test_a_kernel_with_all_headers_in_it_reads_all_headers() -> None:
    change = Change("include/linux/other.h", stays=True, plain=True)
    assert kernel_differs((change,), _READS | {"kernel/kheaders.c"})


def test_the_first_that_matters_is_named() -> None:
    paths = ("Documentation/a.rst", "kernel/rt.c", "init/main.c")
    assert kernel_differs((Change(path, True, True) for path in paths), _READS) == "kernel/rt.c"
    assert kernel_differs((), _READS) == ""
