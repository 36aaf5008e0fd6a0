"""Files of known splats: ``known.yaml`` in a suite's folder, and what the user names. docs/splats.md tells of them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from harness.errors import UserError
from harness.model import Pattern, SplatKind
from harness.scenario import yamlfile
from harness.scenario.language import Strict
from harness.scenario.load import validated
from harness.scenario.yamlfile import Problem

NAME = "known.yaml"
_VERSION = re.compile(r"\d+(\.\d+)+")
_Text = Annotated[str, Field(min_length=1)]


class KnownSplat(Strict):
    """One entry of a file."""

    title: _Text  # of the splat, as reports tell it; * ? [..] are wildcards
    reason: _Text  # why it does not count
    kind: SplatKind | None = None  # of the splat
    target: _Text = "*"  # name of the target, with wildcards
    link: str = ""  # where it is told
    until: str = ""  # last day, or first kernel version that is right

    @field_validator("until", mode="before")
    @classmethod
    def _until(cls, value: object) -> object:
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value.isoformat()
        if isinstance(value, str) and (not value or _VERSION.fullmatch(value) or _is_date(value)):
            return value
        raise ValueError('is a date (2027-01-31) or a kernel version in quotes ("7.4")')


class KnownFile(Strict):
    """The file."""

    known: tuple[KnownSplat, ...]


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def load(files: Iterable[Path]) -> tuple[Pattern, ...]:
    """The patterns of every file, in order. Raises UserError with everything that is wrong in all of them."""
    problems: list[Problem] = []
    found = [pattern for file in files for pattern in _read(file, problems)]
    if problems:
        raise UserError("\n".join(map(str, sorted(set(problems)))), "docs/splats.md describes files of known splats")
    return tuple(found)


def _read(file: Path, problems: list[Problem]) -> tuple[Pattern, ...]:
    document = yamlfile.read(file)
    if isinstance(document, Problem):
        problems.append(document)
        return ()
    read = validated(document, KnownFile, problems)
    return tuple(
        Pattern(
            title=each.title,
            reason=each.reason,
            kind=each.kind.value if each.kind else "",
            target=each.target,
            link=each.link,
            until=each.until,
            origin=f"{file}:{document.lines[('known', number)]}",
        )
        for number, each in enumerate(read.known if read else ())
    )
