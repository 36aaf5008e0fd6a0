"""How often a symptom shows on a kernel that has its cause, and what a run without it is worth (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MANY = 10_000  # runs on one kernel; a rate that would ask for more cannot be bisected


@dataclass(frozen=True)
class Rate:
    """What runs on a kernel known to have the cause gave: the symptom ``shown`` times, and not ``hidden`` times.

    The rate itself is not known but as a Beta distribution (uniform before the first run), so few runs on that kernel
    make every other run worth less. ``always``: it is taken for 1 whatever the numbers.
    """

    shown: int
    hidden: int = 0
    always: bool = False

    @property
    def mean(self) -> float:
        """The expected rate."""
        return 1.0 if self.always else (self.shown + 1) / (self.shown + self.hidden + 2)

    def miss(self, runs: int) -> float:
        """The probability that ``runs`` runs on one kernel that has the cause show nothing."""
        if runs == 0:
            return 1.0
        if self.always:
            return 0.0
        a, b = self.shown + 1, self.hidden + 1
        # The mean of (1 - rate) ** runs over Beta(a, b).
        return math.exp(math.lgamma(b + runs) - math.lgamma(b) + math.lgamma(a + b) - math.lgamma(a + b + runs))

    def runs_for(self, doubt: float) -> int:
        """The fewest runs without the symptom after which a kernel with its cause would be that unlikely to give them.

        Raises ValueError when that takes more than anybody would wait for.
        """
        low, high = 1, 1
        while self.miss(high) > doubt:
            low, high = high, high * 2
            if low > _MANY:
                raise ValueError(f"the symptom is too rare: {self.shown} of {self.shown + self.hidden} runs")
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.miss(middle) <= doubt else (middle + 1, high)
        return low
