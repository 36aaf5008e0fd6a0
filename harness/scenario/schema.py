"""What suites and scenarios are made of. docs/scenarios.md tells it to their authors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min)?")
_UNIT = {"ms": 0.001, "s": 1.0, "min": 60.0}


def seconds(value: object) -> float:
    """``5s``, ``200ms``, ``2min`` or a number, in seconds. Raises ValueError."""
    found = _DURATION.fullmatch(str(value).strip()) if isinstance(value, str | int | float) else None
    if found is None or isinstance(value, bool):
        raise ValueError("a time is written as 5s, 200ms or 2min")
    return float(found[1]) * _UNIT[found[2] or "s"]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _pattern(value: object) -> str:
    try:
        re.compile(str(value))
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return str(value)


Seconds = Annotated[float, BeforeValidator(seconds)]
Words = Annotated[tuple[str, ...], BeforeValidator(_several)]
Pattern = Annotated[str, BeforeValidator(_pattern)]
Plain = bool | int | str


class Strict(BaseModel):
    """Unknown keys are errors; nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- operations ---------------------------------------------------------------
class Argument(Strict):
    """An argument or a result of an operation."""

    type: Literal["integer", "string", "boolean", "text", "role"]  # text: string or integer; role: a device by role
    required: bool = False
    about: str = ""


class Operation(Strict):
    """What the agent can do."""

    runs: Literal["supervisor", "any", "actor"] = "any"  # supervisor: the agent itself, actor: needs a process
    about: str = ""
    args: Mapping[str, Argument] = {}
    results: Mapping[str, Argument] = {}


class OpsFile(Strict):
    """An ``ops.yaml``."""

    common: Operation | None = None  # what every request and reply may have
    ops: Mapping[str, Operation]


# --- steps ----------------------------------------------------------------------
class _Common(Strict):
    when: Mapping[str, Plain] = {}  # behaviours that the step is for; otherwise it is left out
    our_choice: str | None = None  # our choice, not a rule: a mismatch is reported and no failure
    note: str = ""  # for the reader


class _Expecting(_Common):
    expect: Mapping[str, Any] = {}  # field of the reply -> matcher
    fails: Words = ()  # errno names, one of which must come; "any"
    may_fail: Words = ()  # errno names that are as good as success; "any"
    died: str | None = None  # how the actor must end meanwhile: a signal's name, exit:0, any
    save: str | None = None  # name under which later steps find the reply
    deadline: Seconds | None = None  # answer within; default the suite's


class DoStep(_Expecting):
    """One operation. Keys that are not of the step itself are the operation's arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)
    do: str
    actor: str | None = None
    poll: Seconds | None = None  # again and again until it is as expected, at most so long

    @property
    def args(self) -> Mapping[str, Any]:
        return dict(self.model_extra or {})


class StartStep(_Common):
    """Begin an operation and go on; ``finish`` collects its reply."""

    model_config = ConfigDict(extra="allow", frozen=True)
    start: str
    actor: str | None = None
    token: str  # name for finish

    @property
    def args(self) -> Mapping[str, Any]:
        return dict(self.model_extra or {})


class FinishStep(_Expecting):
    """The reply to what ``start`` began."""

    finish: str  # token


class ParallelStep(_Common):
    """Operations begun together; done when each has answered."""

    parallel: Annotated[tuple[DoStep, ...], Field(min_length=2)]


class Repeat(Strict):
    """The body of a repeat step."""

    times: int | str  # number or reference
    steps: tuple[Step, ...]


class RepeatStep(_Common):
    """Steps done several times; $i counts from 0."""

    repeat: Repeat


class MarkStep(_Common):
    """Name this moment, for ``since``."""

    mark: str


class Trace(Strict):
    """The body of a trace step: events of the emulated hardware."""

    event: str
    where: Mapping[str, Any] = {}  # field -> matcher; other events of that name do not count
    count: Any = Field(default_factory=lambda: {"ge": 1})  # matcher
    since: str | None = None  # a mark; default the scenario's begin


class TraceStep(_Common):
    """What the emulated hardware saw; polled, since the trace may lag behind the reply."""

    trace: Trace
    poll: Seconds = 2.0
    save: str | None = None  # the last such event's fields, and count


class Console(Strict):
    """The body of a console step: lines of the kernel."""

    present: Pattern | None = None
    absent: Pattern | None = None
    since: str | None = None


class ConsoleStep(_Common):
    """What the kernel printed."""

    console: Console
    poll: Seconds = 2.0  # for present


STEP_KINDS: Mapping[str, type[Strict]] = {
    "do": DoStep,
    "start": StartStep,
    "finish": FinishStep,
    "parallel": ParallelStep,
    "repeat": RepeatStep,
    "mark": MarkStep,
    "trace": TraceStep,
    "console": ConsoleStep,
}


def _kind(raw: object) -> str | None:
    if isinstance(raw, Mapping):
        return next((kind for kind in STEP_KINDS if kind in raw), None)
    return next((kind for kind, model in STEP_KINDS.items() if type(raw) is model), None)


Step = Annotated[
    Annotated[DoStep, Tag("do")]
    | Annotated[StartStep, Tag("start")]
    | Annotated[FinishStep, Tag("finish")]
    | Annotated[ParallelStep, Tag("parallel")]
    | Annotated[RepeatStep, Tag("repeat")]
    | Annotated[MarkStep, Tag("mark")]
    | Annotated[TraceStep, Tag("trace")]
    | Annotated[ConsoleStep, Tag("console")],
    Discriminator(
        _kind, custom_error_type="step", custom_error_message=f"a step needs one of the keys {', '.join(STEP_KINDS)}"
    ),
]
Steps = Annotated[tuple[Step, ...], Field(min_length=1)]


# --- files ------------------------------------------------------------------------
class ScenarioFile(Strict):
    """A file in ``scenarios/``."""

    summary: str  # one line, for reports
    about: str = ""  # why, for the reader
    rules: Annotated[tuple[str, ...], Field(min_length=1)]  # of the contract that the suite judges by
    requires: tuple[str, ...] = ()  # capabilities; SKIP with the reason when one is missing
    when: Mapping[str, Plain] = {}  # behaviours that it is for; SKIP otherwise
    actors: tuple[str, ...] = ()  # processes
    faults: Literal["none", "expected"] = "none"  # whether the IOMMU may report faults
    without: Mapping[str, str] = {}  # oracle -> why it does not apply
    our_choice: str | None = None  # the whole scenario is our choice: failing is advice
    limit: Seconds | None = None  # for all steps together; default the suite's
    steps: Steps


class Condition(Strict):
    """A fact that must be as told. Extra keys are the matcher; none: the fact must be true."""

    model_config = ConfigDict(extra="allow", frozen=True)
    fact: str

    @property
    def matcher(self) -> Any:
        return dict(self.model_extra or {}) or True


class Capability(Strict):
    """What a guest can do, or a tree can."""

    needs: Annotated[tuple[Condition, ...], Field(min_length=1)]  # all of them
    reason: str  # what is missing when one does not hold


class Role(Capability):
    """A device by its part in the scenarios; a scenario that uses the role requires it."""

    about: str


class Behaviour(Strict):
    """Something that one series does and another does not, chosen by ``--expect name=value``."""

    about: str
    default: Plain


class Oracle(Strict):
    """A value that a scenario must leave as it found it."""

    about: str  # what it counts
    leak: str  # what it means when the value changed
    requires: tuple[str, ...] = ()  # capabilities; without them the oracle is left out
    steps: Steps
    value: str  # reference to the value in what the steps saved
    must: Any = "$before"  # matcher of the value after; $before is the one before
    poll: Seconds = 5.0  # how long the value may take to come back
    retry: tuple[Step, ...] = ()  # before it is looked at again


class FaultFields(Strict):
    """Which fields of a trace event make an IOMMU fault."""

    device: str | None = None  # bus, device and function in one number (PCI requester ID)
    address: str
    reason: str
    write: str | None = None
    pasid: str | None = None


class Defaults(Strict):
    """What steps do not say themselves."""

    deadline: Seconds = 10.0  # for one answer
    limit: Seconds = 60.0  # for one scenario


class SuiteFile(Strict):
    """A ``suite.yaml``."""

    summary: str
    modules: tuple[str, ...]  # .ko names in load order
    agent: str = "agent"  # folder beside the suite that has the agent and its general operations
    roles: Mapping[str, Role] = {}
    rules: Mapping[str, str]  # id -> the rule in one line
    capabilities: Mapping[str, Capability] = {}
    behaviours: Mapping[str, Behaviour] = {}
    oracles: Mapping[str, Oracle] = {}
    faults: Mapping[str, FaultFields] = {}  # trace event that is an IOMMU fault -> its fields
    setup: tuple[Step, ...] = ()  # before each scenario
    cleanup: tuple[Step, ...] = ()  # after each scenario, however it went
    defaults: Defaults = Defaults()


# --- loaded -------------------------------------------------------------------------
@dataclass(frozen=True)
class Scenario:
    """One scenario, checked."""

    id: str  # file name without suffix
    file: Path
    spec: ScenarioFile
    roles: tuple[str, ...]  # devices that it uses, in order of first use

    @property
    def summary(self) -> str:
        return self.spec.summary


@dataclass(frozen=True)
class Suite:
    """One suite with its scenarios, checked."""

    name: str  # of its folder
    folder: Path
    spec: SuiteFile
    operations: Mapping[str, Operation]  # the agent's and the suite's own
    common: Operation  # what every request and reply may have
    scenarios: tuple[Scenario, ...] = field(default=())  # in order of id

    @property
    def summary(self) -> str:
        return self.spec.summary

    @property
    def modules(self) -> tuple[str, ...]:
        return self.spec.modules
