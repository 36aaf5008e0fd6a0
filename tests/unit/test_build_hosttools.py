"""The host's programs of an output directory, taken over by another one, with a real make that judges them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.build.hosttools import adopt

# What kbuild does for a program of the host and for what is made for the kernel, with its two ways to name files.
_MAKEFILE = r"""
differs = $(if $(filter $(subst $(space),_,$(strip $1)),$(subst $(space),_,$(strip $(cmd_$@)))),,FORCE)
space := $(subst ,, )
all: scripts/fixdep $(CURDIR)/tools/objtool scripts/module.lds
-include scripts/.fixdep.cmd scripts/.module.lds.cmd tools/.objtool.cmd
.SECONDEXPANSION:
scripts/fixdep: $(SRC)/fixdep.c $$(call differs,cp $(SRC)/fixdep.c $$@)
	cp $< $@ && echo 'cmd_$@ := cp $< $@' > $(@D)/.$(@F).cmd && echo $(@F) >> made
$(CURDIR)/tools/objtool: $(SRC)/objtool.c $$(call differs,cp $(WORDS) $(SRC)/objtool.c $$@)
	cp $(WORDS) $< $@ && echo 'cmd_$@ := cp $(WORDS) $< $@' > $(@D)/.$(@F).cmd && echo $(@F) >> made
scripts/module.lds: $(SRC)/module.lds
	cp $< $@ && echo 'cmd_$@ := cpp -D__KERNEL__ $< $@' > $(@D)/.$(@F).cmd && echo $(@F) >> made
FORCE:
"""
ALL = ["fixdep", "objtool", "module.lds"]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def folder(tmp_path: Path, name: str) -> Path:
    work, out = tmp_path / "work", tmp_path / name
    work.mkdir(exist_ok=True)
    for source in ("fixdep.c", "objtool.c", "module.lds"):
        if not (work / source).exists():
            (work / source).write_text(source)
    out.mkdir()
    (out / "Makefile").write_text(_MAKEFILE)
    return out


def make(out: Path, words: str = "") -> list[str]:
    """What make made, in order."""
    for name in ("scripts", "tools"):
        (out / name).mkdir(exist_ok=True)
    (out / "made").write_text("")
    subprocess.run(["make", "-s", "-C", out, f"SRC={out.parent / 'work'}", f"WORDS={words}"], check=True)
    return (out / "made").read_text().split()


def test_make_finds_nothing_to_do_but_what_is_the_kernels(tmp_path: Path) -> None:
    first, second = folder(tmp_path, "out-x86_64-base"), folder(tmp_path, "out-x86_64-base+leak")
    assert make(first) == ALL and make(first) == []
    adopt(second, [first])
    assert make(second) == ["module.lds"]
    assert make(first) == [], "what was taken from is as it was"
    assert sorted(path.name for path in second.iterdir()) == ["Makefile", "made", "scripts", "tools"]


def test_make_sees_what_it_would_make_with_other_words(tmp_path: Path) -> None:
    first, second = folder(tmp_path, "one"), folder(tmp_path, "two")
    make(first)
    adopt(second, [first])
    assert make(second, words="-f") == ["objtool", "module.lds"]


def test_make_sees_a_source_that_has_changed_since(tmp_path: Path) -> None:
    first, second = folder(tmp_path, "one"), folder(tmp_path, "two")
    make(first)
    adopt(second, [first])
    later = (second / "scripts/fixdep").stat().st_mtime_ns + 1
    os.utime(tmp_path / "work/fixdep.c", ns=(later, later))
    assert make(second) == ["fixdep", "module.lds"]


def test_a_folder_in_which_something_was_made_is_left_alone(tmp_path: Path) -> None:
    first, second = folder(tmp_path, "one"), folder(tmp_path, "two")
    make(first)
    make(second)
    (second / "scripts/fixdep").write_text("own")
    adopt(second, [first])
    assert (second / "scripts/fixdep").read_text() == "own"


def test_the_first_that_has_any_is_taken(tmp_path: Path) -> None:
    empty, first, second = (folder(tmp_path, name) for name in ("empty", "one", "two"))
    make(first)
    adopt(second, [empty, first])
    assert (second / "tools/objtool").exists()
    third = folder(tmp_path, "three")
    adopt(third, [empty])
    assert not (third / "scripts").exists()


def test_what_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    first, second = folder(tmp_path, "one"), folder(tmp_path, "two")
    make(first)
    (second / ".kph-host-tools/scripts").mkdir(parents=True)
    (second / ".kph-host-tools/scripts/fixdep").write_text("half")
    adopt(second, [first])
    assert make(second) == ["module.lds"] and not (second / ".kph-host-tools").exists()
