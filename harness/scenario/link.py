"""What a scenario needs of a guest, as a protocol; the rooms around implement it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class GuestTimeout(Exception):
    """The agent did not answer in time: the kernel hangs in what the step asked for."""


class GuestLost(Exception):
    """The guest can no longer answer: it panicked, or its machine is gone."""


@dataclass(frozen=True)
class TraceEvent:
    """One thing that the emulated hardware saw."""

    name: str  # of the event, as the emulator calls it
    fields: Mapping[str, int | str]  # its values by name


class GuestLink(Protocol):
    """A guest whose agent answers.

    A reply is the agent's JSON object: ``ret`` is 0 or positive on success, else a negative errno with its name
    in ``errno``; ``died`` is true when the actor ended.
    """

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the agent says of the machine, flat."""

    def call(
        self, op: str, args: Mapping[str, object] | None = None, actor: str | None = None, deadline: float = ...
    ) -> Mapping[str, Any]:
        """One request and its reply. Raises GuestTimeout after ``deadline`` seconds, and GuestLost."""

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        """Send a request and return at once; the token goes to ``finish``. Raises GuestLost."""

    def finish(self, token: int, deadline: float) -> Mapping[str, Any]:
        """The reply to ``token``. Raises GuestTimeout after ``deadline`` seconds, and GuestLost."""

    def mark(self) -> Any:
        """This moment in the guest's logs, for ``trace`` and ``console_since``."""

    def trace(self, since: Any) -> Sequence[TraceEvent]:
        """What the emulated hardware saw after ``since``, in order."""

    def console_since(self, since: Any) -> str:
        """What the kernel printed after ``since``."""

    def hardware(self) -> Sequence[Mapping[str, Any]]:
        """What the machine's hardware would use now, a flat row for each thing. Raises GuestLost."""


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds since any fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
