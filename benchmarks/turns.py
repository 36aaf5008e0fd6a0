"""Runs that take turns: A B A B, so that what slows the machine down for a while slows all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import KphError

Numbers = Mapping[str, float]  # name -> what one run measured


class NotMeasured(Exception):
    """A number that cannot be had here, with the reason for the table."""


# What may go wrong in a measurement and must not stop the others; the last two: a file is not as it is read here.
TROUBLE = (NotMeasured, KphError, OSError, ValueError, LookupError)


@dataclass
class Taken:
    """What one of those who take turns brought."""

    numbers: dict[str, list[float]] = field(default_factory=dict)  # name -> one value per run
    failure: str = ""  # why it stopped taking turns

    def of(self, name: str) -> tuple[float, ...]:
        """The values of ``name``; none when no run had it."""
        return tuple(self.numbers.get(name, ()))


def alternate(runs: int, players: Mapping[str, Callable[[], Numbers]]) -> Mapping[str, Taken]:
    """Every player once per round. One that fails keeps what it has, and the others go on."""
    taken = {name: Taken() for name in players}
    for _ in range(runs):
        for name, play in players.items():
            if not taken[name].failure:
                _turn(taken[name], play)
    return taken


def attempt(play: Callable[[], Sequence[float]]) -> Taken:
    """All values of one who has no turns to take, as ``seconds``."""
    taken = Taken()
    with _told(taken):
        taken.numbers["seconds"] = list(play())
    return taken


def _turn(taken: Taken, play: Callable[[], Numbers]) -> None:
    with _told(taken):
        for name, value in play().items():
            taken.numbers.setdefault(name, []).append(value)


@contextlib.contextmanager
def _told(taken: Taken) -> Iterator[None]:
    try:
        yield
    except TROUBLE as error:
        taken.failure = reason(error)


def reason(error: BaseException) -> str:
    """What the table says of an error."""
    return str(error) if isinstance(error, NotMeasured) else f"{type(error).__name__}: {error}"
