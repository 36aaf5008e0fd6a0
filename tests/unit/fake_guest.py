"""A guest that is played by a few lines of Python, and scenarios for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.model import Outcome
from harness.scenario import yamlfile
from harness.scenario.check import World, check_scenario
from harness.scenario.language import Plain
from harness.scenario.link import TraceEvent
from harness.scenario.load import load_suite, roles_of
from harness.scenario.run import run_scenario
from harness.scenario.schema import Scenario, ScenarioFile, Suite
from harness.scenario.tuning import Tuning

DATA = Path(__file__).parents[1] / "data" / "scenario"
Reply = dict[str, Any]


@dataclass
class FakeClock:
    """Time that passes only when somebody waits."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakeGuest:
    """A guest with tickets. ``script`` overrides what an operation does."""

    clock: FakeClock
    script: dict[str, Callable[[Mapping[str, object], str | None], Reply]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=lambda: {"left.size": 4, "right.size": 2, "demo.fast": True})
    free: int = 4
    events: list[TraceEvent] = field(default_factory=list)
    console: str = ""
    rows: list[list[dict[str, Any]]] = field(default_factory=lambda: [[]])  # of the hardware, at each look
    looks: int = 0  # at the hardware
    log: list[str] = field(default_factory=list)  # what was asked, in words
    deadlines: list[float] = field(default_factory=list)
    begun: list[tuple[str, Mapping[str, object], str | None]] = field(default_factory=list)

    def call(
        self, op: str, args: Mapping[str, object] | None = None, actor: str | None = None, deadline: float = 10.0
    ) -> Reply:
        self.log.append(" ".join([f"{actor}:{op}" if actor else op, *(f"{k}={v}" for k, v in (args or {}).items())]))
        self.deadlines.append(deadline)
        if op in self.script:
            return self.script[op](args or {}, actor)
        if op == "take":
            self.free -= 1
            return {"ret": 0, "ticket": 4 - self.free, "place": 3}
        if op in ("give", "reset"):
            self.free = min(4, self.free + 1) if op == "give" else 4
        return {"ret": 0, "free": self.free} if op == "count" else {"ret": 0}

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        self.begun.append((op, args, actor))
        return len(self.begun) - 1

    def finish(self, token: int, deadline: float) -> Reply:
        return self.call(*self.begun[token], deadline)

    def mark(self) -> tuple[int, int]:
        return len(self.events), len(self.console)

    def trace(self, since: tuple[int, int]) -> Sequence[TraceEvent]:
        return self.events[since[0] :]

    def console_since(self, since: tuple[int, int]) -> str:
        return self.console[since[1] :]

    def hardware(self) -> Sequence[Mapping[str, Any]]:
        self.looks += 1
        return self.rows[min(self.looks, len(self.rows)) - 1]


SUITE = load_suite("demo", DATA)


def scenario(text: str, suite: Suite = SUITE) -> Scenario:
    """A scenario from its steps (a list), or from a whole file (a mapping); checked as a file is."""
    raw = yaml.safe_load(text)
    whole = {"summary": "x", "rules": ["R1"], **(raw if isinstance(raw, dict) else {"steps": raw})}
    whole.setdefault("actors", [name for name in ("alice", "bob") if f"actor: {name}" in text])
    read = yamlfile.parse(yaml.safe_dump(whole), "x")
    assert isinstance(read, yamlfile.Document)
    spec = ScenarioFile.model_validate(whole)
    assert not check_scenario(read, spec, World(suite.spec, suite.operations, suite.common, ("kasan", "leak")))
    return Scenario("x", Path("x.yaml"), spec, roles_of(spec.steps, suite.operations))


def run(guest: FakeGuest, text: str, scale: float = 1.0, **behaviours: Plain) -> Outcome:
    return run_scenario(scenario(text), SUITE, guest, clock=guest.clock, scale=scale, behaviours=behaviours)


def tuned(guest: FakeGuest, text: str, tuning: Tuning) -> Outcome:
    return run_scenario(scenario(text), SUITE, guest, clock=guest.clock, tuning=tuning)


def raising(error: Exception) -> Callable[[Mapping[str, object], str | None], Reply]:
    def act(args: Mapping[str, object], actor: str | None) -> Reply:
        raise error

    return act


TAKE = "{do: take, actor: alice, device: left"
