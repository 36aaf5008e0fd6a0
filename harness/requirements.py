"""What the host must have: ``harness/requirements.yaml`` as values, and whether each is there."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness import fastyaml
from harness.errors import InfraError
from harness.proc import Door

_FILE = Path(__file__).with_suffix(".yaml")
_TIMEOUT = 30.0  # seconds for a compiler or pkg-config to answer


class Requirement(BaseModel):
    """One thing that the host must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    package: str  # Debian package that brings it (Python package for `python`)
    parts: tuple[str, ...] = Field(alias="for")  # parts of the harness that cannot do without it
    why: str  # what it is for
    need: Literal["required", "recommended", "extra"] = "required"  # requirements.yaml says what they mean
    program: str = ""  # on PATH
    pkgconfig: str = ""  # module of pkg-config
    header: str = ""  # file that the compiler finds
    compiler: str = "gcc"  # the compiler that must find `header`
    python: str = ""  # module that Python finds

    @model_validator(mode="after")
    def _one_kind(self) -> Requirement:
        if sum(map(bool, (self.program, self.pkgconfig, self.header, self.python))) != 1:
            raise ValueError("exactly one of program, pkgconfig, header, python")
        return self

    @property
    def name(self) -> str:
        """What is looked for, for people."""
        if self.header:
            return f"header {self.header}" if self.compiler == "gcc" else f"header {self.header} of {self.compiler}"
        for kind, value in (("library ", self.pkgconfig), ("Python module ", self.python)):
            if value:
                return kind + value
        return self.program


@dataclass(frozen=True)
class Missing:
    """Requirements that are not met."""

    requirements: tuple[Requirement, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        """Debian packages that bring them, each once."""
        return tuple(dict.fromkeys(each.package for each in self.requirements if not each.python))

    @property
    def python_packages(self) -> tuple[str, ...]:
        """Python packages that bring them, each once."""
        return tuple(dict.fromkeys(each.package for each in self.requirements if each.python))

    @property
    def command(self) -> str:
        """The one command line that installs them; empty when nothing is missing."""
        steps = []
        if self.packages:
            steps.append(f"{as_root()}apt-get install -y {' '.join(self.packages)}")
        if self.python_packages:
            steps.append(f"pip install {' '.join(self.python_packages)}")
        return " && ".join(steps)


def load(file: Path = _FILE) -> tuple[Requirement, ...]:
    """Every requirement there is."""
    return tuple(Requirement.model_validate(each) for each in fastyaml.load(file.read_text()))


def needed(parts: Iterable[str], known: Sequence[Requirement] | None = None) -> tuple[Requirement, ...]:
    """Those that any of ``parts`` (kernel, agent, qemu, source, guest, a compiler's prefix) cannot do without."""
    wanted = set(parts)
    return tuple(each for each in (load() if known is None else known) if wanted & set(each.parts))


def of_use(parts: Iterable[str], known: Sequence[Requirement] | None = None) -> tuple[Requirement, ...]:
    """Those that are for any of ``parts``, and those that are for no part but help everywhere."""
    wanted = set(parts)
    return tuple(each for each in (load() if known is None else known) if not each.parts or wanted & set(each.parts))


def missing(requirements: Iterable[Requirement], door: Door) -> Missing:
    """Those of ``requirements`` that this host lacks."""
    return Missing(tuple(each for each in requirements if not present(each, door)))


def present(requirement: Requirement, door: Door) -> bool:
    """Whether the host has it."""
    if requirement.program:
        return shutil.which(requirement.program) is not None
    if requirement.python:
        return importlib.util.find_spec(requirement.python) is not None
    if requirement.pkgconfig:
        return _succeeds(("pkg-config", "--exists", requirement.pkgconfig), door)
    include = f"#include <{requirement.header}>\n".encode()
    return _succeeds((requirement.compiler, "-fsyntax-only", "-xc", "-"), door, include)


def require(requirements: Iterable[Requirement], what: str, door: Door) -> None:
    """Raise InfraError, before work begins, when ``what`` lacks any of ``requirements``; its hint is the command."""
    lacking = missing(requirements, door)
    if lacking.requirements:
        names = ", ".join(each.name for each in lacking.requirements)
        raise InfraError(f"{what} needs what this machine does not have: {names}", lacking.command)


def as_root() -> str:
    """``sudo`` and a space for people who are not root."""
    return "" if os.geteuid() == 0 else "sudo "


def _succeeds(argv: Sequence[str], door: Door, stdin: bytes | None = None) -> bool:
    if shutil.which(argv[0]) is None:
        return False
    return door.run(argv, timeout=_TIMEOUT, stdin=stdin, check=False).status == 0
