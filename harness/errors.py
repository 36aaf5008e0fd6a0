"""The two families of raised errors.

::

    KphError
     ├── UserError      the request cannot be carried out as given   exit status 2
     └── InfraError     the harness or its host failed               exit status 3

A failing kernel is a result, not an error. ``harness/cli/main.py`` is the one
place that turns these into exit codes.
"""

from __future__ import annotations


class KphError(Exception):
    """An error with a cause (``message``) and the next step (``hint``)."""

    exit_status = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UserError(KphError):
    """What was asked for is wrong: bad usage, input that cannot be read, a series that does not apply."""

    exit_status = 2


class InfraError(KphError):
    """The harness or the host failed: no disk space, no network, a tool missing, a VM that never started."""

    exit_status = 3
