"""Flavours: what their files add to a kernel's command line."""

from __future__ import annotations

import pytest

from harness import data
from harness.build.flavour import built, flavours, require, with_cmdline
from harness.errors import UserError
from harness.machine import target as targets


@pytest.mark.parametrize("name", targets.known())
def test_a_flavour_may_have_words_for_the_command_line(name: str) -> None:
    target = targets.load(name)
    assert with_cmdline(target, "base") == target
    leak = with_cmdline(target, "leak")
    words = ("slab_debug=F;-,kmemleak_object,kmemleak_scan_area", "slab_nomerge")
    assert leak.kernel.cmdline == (*target.kernel.cmdline, *words)
    both = with_cmdline(target, "kasan+leak")
    assert both.kernel.cmdline == (*target.kernel.cmdline, "kasan_multi_shot", *words)
    assert leak.kernel.model_copy(update={"cmdline": target.kernel.cmdline}) == target.kernel


@pytest.mark.parametrize("name", targets.known())
def test_a_flavour_that_takes_what_a_channel_needs_is_refused(name: str) -> None:
    target = targets.load(name)
    for flavour in ("base", *(each for each in flavours() if each != "small"), "kasan+leak"):
        require(target, flavour, "ssh")
    require(target, "lockdep+small", "serial")
    with pytest.raises(UserError, match=r"ssh needs CONFIG_NET=y, and flavour-small\.config has CONFIG_NET=n"):
        require(target, "lockdep+small", "ssh")


def test_every_such_file_is_a_flavours() -> None:
    files = data.folder("kernel-configs").glob("*.cmdline")
    assert {file.stem.removeprefix("flavour-") for file in files} <= set(flavours())


def test_a_flavour_of_the_command_line_alone_has_the_kernel_of_the_base() -> None:
    assert built("base") == built("passthrough") == "base"
    assert built("kasan+passthrough+leak") == "kasan+leak"
    assert all(built(name) == name for name in flavours() if name != "passthrough")
