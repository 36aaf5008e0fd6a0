"""Kconfig fragments: what was asked for must be what came out."""

from __future__ import annotations

import pytest

from harness import data
from harness.build import kconfig
from harness.errors import UserError


def test_the_last_fragment_has_the_last_word() -> None:
    first, second = "CONFIG_X=y\nCONFIG_Y=y\n# a comment\n", "# CONFIG_X is not set\n"
    wanted = kconfig.merge({"a.config": first, "b.config": second})
    assert wanted == {"CONFIG_X": ("n", "b.config"), "CONFIG_Y": ("y", "a.config")}
    assert kconfig.render(wanted) == "# CONFIG_X is not set\nCONFIG_Y=y\n"


@pytest.mark.parametrize(
    ("config", "gone"),
    [
        ('CONFIG_A=y\nCONFIG_S="x"\n', ()),
        ('CONFIG_A=m\nCONFIG_S="x"\n', (("CONFIG_A", "y", "m"),)),
        ('CONFIG_S="x"\n', (("CONFIG_A", "y", "n"),)),
        ('CONFIG_A=y\nCONFIG_S="x"\nCONFIG_B=y\n', (("CONFIG_B", "n", "y"),)),
    ],
)
def test_lost_options_are_found(config: str, gone: tuple[tuple[str, str, str], ...]) -> None:
    fragment = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S="x"\n'
    found = kconfig.lost(kconfig.merge({"f.config": fragment}), config)
    assert tuple((each.option, each.wanted, each.got) for each in found) == gone


def test_a_lost_option_names_its_fragment() -> None:
    wanted = kconfig.merge({"vtd.config": "CONFIG_INTEL_IOMMU_SVM=y\n"})
    with pytest.raises(UserError, match=r"vtd\.config: CONFIG_INTEL_IOMMU_SVM=y became n"):
        kconfig.require(wanted, "", "base kernel 7.3")


def test_small_dwarf_is_without_variables() -> None:
    asked = "CONFIG_DEBUG_INFO_DWARF5=y\nCONFIG_DEBUG_INFO_REDUCED=y\n"
    assert kconfig.cflags(kconfig.merge({"f.config": asked})) == ("-g1",)
    assert kconfig.cflags(kconfig.merge({"f.config": "CONFIG_DEBUG_INFO_DWARF5=y\n"})) == ()
    assert kconfig.cflags(kconfig.beside({}, asked)) == (), "it may be lost, and -g1 alone would make DWARF"


def test_every_fragment_begins_with_what_it_is_for() -> None:
    files = sorted(data.folder("kernel-configs").glob("*.config"))
    assert files
    for file in files:
        assert file.read_text().startswith(f"# {file.stem}: "), file
        # A flavour may be words for the command line alone.
        assert kconfig.options(file.read_text()) or file.with_suffix(".cmdline").is_file(), file
