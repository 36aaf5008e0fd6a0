"""How hard, and by which choices, scenarios race."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SEED_LIMIT = 2**32  # seeds are below
STRESS_LIMIT = 1000


@dataclass(frozen=True)
class Tuning:
    """What ``$seed`` and ``$stress`` stand for."""

    seed: int = 1  # of every choice; fixed, so that runs can be compared
    stress: int = 1  # multiplies rounds, time boxes and, where a scenario uses it, deadlines

    @property
    def scope(self) -> Mapping[str, int]:
        """The plain values that steps may refer to."""
        return {"seed": self.seed, "stress": self.stress}


NAMES = tuple(Tuning().scope)
