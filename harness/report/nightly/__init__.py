"""What leaves a night: one module per form, found by being here. docs/nightly-outputs.md tells their fields.

A module of this package that has NAME and ``render()`` is a form; see ``Form``. What sends one (mail, webhook) is
beside its ``render()``; secrets are read there, and neither logged nor kept.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Protocol, cast

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.errors import InfraError, UserError


class Form(Protocol):
    """What a module of this package has when it is a form."""

    NAME: str  # as in --report NAME=FILE
    HELP: str  # one line

    def render(self, history: History, night: Night) -> str:
        """The whole of it, with its last line ended: the same whenever it is asked for, as long as evidence lasts."""


def forms() -> tuple[str, ...]:
    """Names of the known forms."""
    return tuple(sorted(_modules()))


def render(form: str, history: History, night: Night) -> str:
    """The night in a form, with that form's defaults. Raises UserError when there is no such form."""
    return _module(form).render(history, night)


def parse_request(text: str) -> tuple[str, Path | None]:
    """``kcidb=FILE`` as (form, file); without a file, standard output. Raises UserError."""
    name, separator, file = text.partition("=")
    _module(name)
    if separator and not file:
        raise UserError(f"--report {text}: the file is missing", f"say {name}=FILE, or {name} for standard output")
    return name, Path(file) if file and file != "-" else None


def write(text: str, file: Path | None) -> None:
    """Put a report into ``file``, or on standard output when it is None. Raises InfraError."""
    if file is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InfraError(f"the report {file} cannot be written: {error}", "name another file") from error


def _module(name: str) -> Form:
    modules = _modules()
    if name not in modules:
        raise UserError(f"a night has no report {name!r}", f"known: {', '.join(sorted(modules))}")
    return modules[name]


def _modules() -> dict[str, Form]:
    names = (each.name for each in pkgutil.iter_modules(__path__) if not each.ispkg)
    found = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return {module.NAME: cast(Form, module) for module in found if hasattr(module, "NAME")}
