"""The form of a patch source. Each module in ``kinds/`` has one as ``KIND``; being there is all it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.cache import Cache
from harness.model import Tree
from harness.proc import Door
from harness.source.arrange import Batch
from harness.ui import Ui


@dataclass(frozen=True)
class Context:
    """What a kind may use to read a series."""

    tree: Tree  # the base
    cache: Cache
    door: Door
    ui: Ui


@dataclass(frozen=True)
class Kind:
    """One way to name a series."""

    name: str  # for messages
    example: str  # what a user writes
    accepts: Callable[[str], bool]  # whether this kind reads such a spec; at most one kind says so
    read: Callable[[str, Context], Batch]  # raises UserError when the series cannot be read
