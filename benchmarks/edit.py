"""A one-line change of drivers/iommu/iommu-sva.c whose content was never there before. Pure.

It is code: a comment or a message that the configuration drops would not change the kernel, and a harness may see
that and run nothing. It cannot matter: no page request has a group of more than 16 bits.
"""

from __future__ import annotations

import difflib
import re

FILE = "drivers/iommu/iommu-sva.c"

# iommu_sva_handle_mm(), which the reference series leaves alone.
_LINE = re.compile(r"^\tif \((?:prm->grpid == 0x[0-9a-f]{8} \|\| )?!mmget_not_zero\(mm\)\)$", re.MULTILINE)


class NoAnchor(ValueError):
    """The file has no longer the line that is changed."""


def edited(text: str, number: int) -> str:
    """``text`` with the line's constant made ``number``, whichever it was. Raises NoAnchor."""
    constant = 0x10000000 | number & 0x7FFFFFFF  # above every group that hardware can name
    changed, count = _LINE.subn(f"\tif (prm->grpid == {constant:#010x} || !mmget_not_zero(mm))", text)
    if count != 1:
        raise NoAnchor(f"{FILE} has {count} lines that the benchmark could change, not one")
    return changed


def patch(text: str, number: int) -> str:
    """The change as a mail that applies to every tree in which the lines around it are those of ``text``."""
    lines = difflib.unified_diff(
        text.splitlines(keepends=True), edited(text, number).splitlines(keepends=True), f"a/{FILE}", f"b/{FILE}"
    )
    return (
        "From: kph benchmark <kph@localhost>\n"
        f"Subject: [PATCH] iommu/sva: refuse the page request group {number:#x}\n\n"
        "One line, as a developer changes it.\n---\n"
        f"diff --git a/{FILE} b/{FILE}\n" + "".join(lines)
    )
