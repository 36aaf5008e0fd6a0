"""Kconfig fragments: what was asked for, and whether it survived.

A fragment is a list of ``CONFIG_X=value`` and ``# CONFIG_X is not set`` lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import UserError

_SET = re.compile(r"^(CONFIG_\w+)=(.*)$")
_UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")

# option -> (value, file that had the last word; empty: it is asked for, but need not survive)
Wanted = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Lost:
    """An option that did not survive olddefconfig."""

    option: str
    wanted: str  # "n" when it was to be off
    got: str
    fragment: str  # file that asked for it


def options(text: str) -> dict[str, str]:
    """Options of a fragment or of a .config; "n" for those that are switched off."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := _SET.match(line.strip()):
            found[match[1]] = match[2]
        elif match := _UNSET.match(line.strip()):
            found[match[1]] = "n"
    return found


def merge(fragments: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What all ``fragments`` (file name -> text) together ask for: option -> (value, file that had the last word)."""
    wanted: dict[str, tuple[str, str]] = {}
    for name, text in fragments.items():
        for option, value in options(text).items():
            wanted[option] = (value, name)
    return wanted


def beside(wanted: Wanted, more: str) -> dict[str, tuple[str, str]]:
    """``wanted``, and the options of the fragment ``more`` that it says nothing of, which need not survive."""
    return {option: (value, "") for option, value in options(more).items()} | dict(wanted)


def render(wanted: Wanted) -> str:
    """The merged fragment as a file for KCONFIG_ALLCONFIG or merge_config.sh."""
    return "".join(
        f"# {option} is not set\n" if value == "n" else f"{option}={value}\n"
        for option, (value, _) in sorted(wanted.items())
    )


def cflags(wanted: Wanted) -> tuple[str, ...]:
    """Flags for the compiler that the options ask for without having them, for make's ``KCFLAGS``.

    DWARF that is to be small (``CONFIG_DEBUG_INFO_REDUCED``) tells lines and functions, inlined ones too, and nothing
    of variables, which no splat names: ``-g1``. scripts/Makefile.debug of the tree has no option for it.
    """
    value, fragment = wanted.get("CONFIG_DEBUG_INFO_REDUCED", ("n", ""))
    return ("-g1",) if value == "y" and fragment else ()


def lost(wanted: Wanted, config: str) -> tuple[Lost, ...]:
    """Options of ``wanted`` that ``config`` (a .config's text) does not have with the value asked for.

    An option that is absent from a .config is off: its dependencies are not met or it does not exist.
    """
    have = options(config)
    return tuple(
        Lost(option, value, have.get(option, "n"), fragment)
        for option, (value, fragment) in sorted(wanted.items())
        if fragment and have.get(option, "n") != value
    )


class OptionsLost(UserError):
    """Options that a kernel was to have did not survive."""


def require(wanted: Wanted, config: str, what: str) -> None:
    """Raise OptionsLost, naming each option and its fragment, when something of ``wanted`` got lost."""
    gone = lost(wanted, config)
    if gone:
        lines = "\n".join(f"  {each.fragment}: {each.option}={each.wanted} became {each.got}" for each in gone)
        raise OptionsLost(
            f"{what}: options did not survive olddefconfig:\n{lines}",
            "a dependency is missing in the fragments, or this tree does not have the option",
        )
