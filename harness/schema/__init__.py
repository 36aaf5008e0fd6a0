"""The published JSON schemas (draft 2020-12), one file each, found by being here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from harness.errors import UserError

_FOLDER = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """Names of the schemas."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.json")))


def load(name: str) -> dict[str, Any]:
    """The schema ``name`` (``run``: the report of one run). Raises UserError when there is none."""
    if name not in names():
        raise UserError(f"there is no schema {name!r}", f"known: {', '.join(names())}")
    return cast(dict[str, Any], json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))
