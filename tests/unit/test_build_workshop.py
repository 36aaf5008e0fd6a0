"""The workshop on a miniature tree: what make is asked for, what is made again, what is told apart."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from harness import data, inuse
from harness.build import elf
from harness.build.kernel import Workshop
from harness.build.make import BuildFailure
from harness.campaign import gc
from harness.errors import InfraError, UserError
from harness.model import Kernel, Module, Tree
from tests.unit.kernel_tree import FILES, Yard

pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setattr(data, "folder", lambda _: tmp_path)
    return Yard.at(tmp_path)


def built(yard: Yard, tree: Tree, shop: Workshop | None = None) -> tuple[Kernel, Module]:
    made = (shop or yard.shop).build(tree, yard.suite, "base")
    assert not isinstance(made, BuildFailure), made.log.read_text()
    return made


def test_an_edit_asks_make_for_the_kernel_alone(yard: Yard) -> None:
    base, module = built(yard, yard.tree())
    assert yard.asked() == ["configure", "vmlinux", "prepare", "module"]
    patched, again = built(yard, yard.tree(init__main_dot_c="int version = 2;\nvoid start(void) { for (;;) ; }\n"))
    assert yard.asked() == ["vmlinux"]
    assert again == module and base.identity != patched.identity and base.build_id != patched.build_id
    assert base.release == patched.release == "7.3.4-kph"
    built(yard, yard.tree())
    assert yard.asked() == [], "both are in the store"


def test_a_comment_makes_the_same_kernel(yard: Yard) -> None:
    base, _ = built(yard, yard.tree())
    patched, _ = built(yard, yard.tree(init__main_dot_c=FILES["init/main.c"] + "/* why */\n"))
    assert base.key != patched.key and base.identity == patched.identity
    assert base.build_id == patched.build_id == elf.build_id(patched.image.read_bytes()) != ""


def test_a_kernel_that_nothing_tells_from_others_is_refused(yard: Yard) -> None:
    with pytest.raises(InfraError, match="no build id"):
        built(yard, yard.tree(**{"build-id": "none\n"}))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"Kconfig": "CONFIG_TINY=y\nCONFIG_MORE=y\n"}, ["configure", "vmlinux", "prepare", "module"]),
        ({"drivers__Kconfig_dot_new": "CONFIG_X=y\n"}, ["configure", "vmlinux"]),
        ({"init__Makefile": "obj-y := main.o\n"}, ["configure", "vmlinux"]),
        ({"scripts__unused_dot_c": "int other;\n"}, ["configure", "vmlinux", "prepare", "module"]),
        ({"Kbuild": "# something\n"}, ["configure", "vmlinux", "prepare", "module"]),
        ({"include__linux__bind_dot_h": "int bind(void);\n\n"}, ["vmlinux", "prepare", "module"]),
        ({"include__linux__all_dot_h": "#define ALL 2\n"}, ["vmlinux"]),
        ({"include__linux__unused_dot_h": None}, ["vmlinux", "prepare", "module"]),
        ({"include__linux__more_dot_h": "int more;\n"}, ["vmlinux", "prepare", "module"]),
        ({"include__linux__asked_dot_h": "y\n"}, ["vmlinux", "prepare", "module"]),
        ({"generated": "#define CONFIG_TINY 2\n"}, ["configure", "vmlinux", "prepare", "module"]),
        ({"exports": "0x0 bind vmlinux EXPORT_SYMBOL \n"}, ["configure", "vmlinux", "prepare", "module"]),
        ({"exports": "0x0 bind vmlinux EXPORT_SYMBOL_GPL \n"}, ["configure", "vmlinux"]),
        ({"exports": "0x0 other vmlinux EXPORT_SYMBOL \n"}, ["configure", "vmlinux", "prepare", "module"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_made_again(yard: Yard, change: dict[str, str | None], again: list[str]) -> None:
    built(yard, yard.tree())
    yard.asked()
    built(yard, yard.tree(**change))
    assert yard.asked() == again


def test_a_module_is_found_again_after_one_that_did_not_fit(yard: Yard) -> None:
    _, first = built(yard, yard.tree())
    _, other = built(yard, yard.tree(include__linux__bind_dot_h="int bind(void);\n\n"))
    assert first.key != other.key
    yard.asked()
    _, third = built(yard, yard.tree(init__main_dot_c=FILES["init/main.c"] + "int more;\n"))
    assert yard.asked() == ["vmlinux"] and third == first


def test_a_kernel_with_modules_of_its_own_makes_them(yard: Yard) -> None:
    built(yard, yard.tree(Kconfig="CONFIG_TINY=m\n"))
    assert yard.asked() == ["configure", "vmlinux", "modules", "module"]


def test_other_sources_of_the_suite_are_another_module(yard: Yard) -> None:
    tree = yard.tree()
    _, first = built(yard, tree)
    yard.asked()
    (yard.suite.folder / "one.c").write_text("int one(void) { return 2; }\n")
    _, other = built(yard, tree)
    assert yard.asked() == ["prepare", "module"] and other.identity != first.identity


def test_what_the_agent_is_made_of_is_not_the_modules(yard: Yard) -> None:
    tree = yard.tree()
    _, first = built(yard, tree)
    yard.asked()
    for name in ("ops.c", "ops_more.c", "ops.h", "ops.yaml", "suite.yaml"):
        (yard.suite.folder / name).write_text("#error not for the module\n")
    assert built(yard, tree)[1] == first and yard.asked() == []


def test_a_reused_module_is_what_a_build_would_give(yard: Yard) -> None:
    _, module = built(yard, yard.tree())
    tree = yard.tree(init__main_dot_c=FILES["init/main.c"] + "int more;\n")
    _, reused = built(yard, tree)
    content = reused.files[0].read_bytes()
    assert reused == module
    shutil.rmtree(module.files[0].parents[1])
    _, made = built(yard, tree)
    assert yard.asked()[-1] == "module" and made.files[0].read_bytes() == content


def test_a_configuration_that_somebody_edited_is_made_again(yard: Yard) -> None:
    built(yard, yard.tree())
    config = next(yard.desk.cache.room("slots").glob("*/out-*/.config"))
    config.write_text("CONFIG_TINY=n\n")
    yard.asked()
    built(yard, yard.tree(init__main_dot_c=FILES["init/main.c"] + "int more;\n"))
    assert yard.asked() == ["configure", "vmlinux"]


def test_a_configuration_that_came_out_the_same_keeps_its_time(yard: Yard) -> None:
    built(yard, yard.tree())
    config = next(yard.desk.cache.room("slots").glob("*/out-*/.config"))
    before = config.stat().st_mtime_ns
    built(yard, yard.tree(init__Makefile="obj-y := main.o\n"))
    assert "configure" in yard.asked() and config.stat().st_mtime_ns == before


def test_the_hosts_programs_come_from_a_finished_build_of_the_same_architecture(yard: Yard) -> None:
    tree = yard.tree()
    slots = yard.desk.cache.room("slots", tree.lineage)
    for arch, program in (("aarch64", "theirs"), ("x86_64", "ours")):
        built(yard, tree, yard.other_shop(arch))
        (slots / f"out-{arch}-base/scripts/fixdep").write_text(program)
    unfinished = slots / "out-x86_64-a/scripts"
    unfinished.mkdir(parents=True)
    (unfinished / "fixdep").write_text("half")
    shop = yard.other_shop("x86_64", flavour="leak")
    built(yard, tree, shop)
    assert (slots / "out-x86_64-leak/scripts/fixdep").read_text() == "ours"


def test_flags_that_go_with_options_reach_kernel_and_module(yard: Yard) -> None:
    (yard.repo.parent / "flavour-lines.config").write_text("CONFIG_DEBUG_INFO_REDUCED=y\n")
    for flavour, lines in (("lines", True), ("leak", False)):
        kernel, module = built(yard, yard.tree(), yard.other_shop("x86_64", flavour))
        for file in (kernel.folder / "vmlinux", *module.files):
            assert (".debug_line" in elf.section_names(file)) is lines, file


def test_an_option_that_is_lost_is_asked_for_each_time(yard: Yard) -> None:
    lossy = FILES["scripts/kconfig/merge_config.sh"].splitlines()[0] + "\ntrue\n"
    tree = yard.tree(**{"scripts__kconfig__merge_config_dot_sh": lossy})
    for _ in range(2):
        with pytest.raises(UserError, match="CONFIG_WANTED=y became n"):
            yard.shop.build(tree, yard.suite, "base")
        assert yard.asked() == ["configure"]


@pytest.mark.parametrize(
    ("change", "unread"),
    [
        ({}, True),
        ({"Documentation__sva_dot_rst": "Other words\n"}, True),
        ({"init__unused_dot_c": "int other;\n"}, True),
        ({"init__new_dot_c": "int other;\n"}, True),
        ({"init__unused_dot_c": None}, True),
        ({"arch__other__kernel__head_dot_c": "int other;\n"}, True),
        ({"include__linux__unused_dot_h": "int other;\n"}, True),
        ({"init__main_dot_c": FILES["init/main.c"] + "/* why */\n"}, False),
        ({"include__linux__all_dot_h": "#define ALL 1 \n"}, False),
        ({"include__linux__bind_dot_h": "int bind(void); \n"}, False),
        ({"include__linux__asked_dot_h": "y\n"}, False),
        ({"include__linux__new_dot_h": "\n"}, False),
        ({"include__linux__unused_dot_h": None}, False),
        ({"init__Kconfig": "\n"}, False),
        ({"init__Makefile": "\n"}, False),
    ],
)
def test_a_change_that_no_build_reads(yard: Yard, change: dict[str, str | None], unread: bool) -> None:
    base = yard.tree()
    patched = yard.tree(**change)
    assert not yard.shop.unread(base, patched, yard.suite), "nothing is known before the base is built"
    built(yard, base)
    assert yard.shop.unread(base, patched, yard.suite) is unread
    assert yard.asked()[-1:] == ["module"]


def test_kph_gc_leaves_what_a_run_has_found_in_the_store(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "_FRESH", 0.0)
    cache, tree = yard.desk.cache.root, yard.tree()
    built(yard, tree)
    other, _ = built(yard, yard.tree(include__linux__bind_dot_h="int bind(void);\n\n"))
    with inuse.run(cache):
        old = time.time() - 7200
        for path in cache.rglob("*"):
            if "in-use" not in path.parts:
                os.utime(path, (old, old), follow_symlinks=False)
        kernel, module = built(yard, tree)
        yard.asked()
        gc.collect(cache, [], gc.Policy(days=0))
        assert kernel.image.exists() and all(file.exists() for file in module.files)
        assert built(yard, tree) == (kernel, module) and yard.asked() == []
        assert not other.folder.exists() and len(list(module.files[0].parents[1].glob("*"))) == 2  # it, and its link
