"""Where the data folders are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InfraError

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The data folder ``name`` (``kernel-configs``, ``test-modules``, ``qemu`` or ``examples``).

    Raises InfraError when the installation lacks it.
    """
    for root in (_PACKAGE.parent, _PACKAGE / "_data"):
        found = root / name
        if found.is_dir():
            return found
    raise InfraError(f"the data folder {name!r} is missing from this installation", "reinstall kph")
