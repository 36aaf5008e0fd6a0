"""Runs that take turns: A B A B, so that what slows the machine down for a while slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.errors import KphError

Numbers = Mapping[str, float]  # name -> what one run measured


class NotMeasured(Exception):
    """A number that cannot be had here, with the reason for the table."""


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


def _turn(taken: Taken, play: Callable[[], Numbers]) -> None:
    try:
        numbers = play()
    except NotMeasured as reason:
        taken.failure = str(reason)
    except (KphError, OSError) as error:
        taken.failure = f"{type(error).__name__}: {error}"
    else:
        for name, value in numbers.items():
            taken.numbers.setdefault(name, []).append(value)
