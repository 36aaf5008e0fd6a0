"""Operations and steps: what scenarios are written in. docs/scenarios.md tells it to their authors."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    if_: Words = Field((), alias="if")  # capabilities without which it is left out
    unless: Words = ()  # capabilities with any of which it is left out
    our_choice: str | None = None  # our choice, not a rule: a mismatch is reported and no failure
    note: str = ""  # for the reader


class _Expecting(_Common):
    expect: Mapping[str, Any] = {}  # field of the reply -> matcher
    fails: Words = ()  # errno names, one of which must come; "any"
    may_fail: Words = ()  # errno names that are as good as success; "any"
    died: str | None = None  # how the actor must end meanwhile: a signal's name, exit:0, any
    save: str | None = None  # name under which later steps find the reply
    report: str | None = None  # name under which reports tell the reply's fields
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


class Fault(Strict):
    """The body of a fault step: IOMMU faults, whichever IOMMU reports them."""

    where: Mapping[str, Any] = {}  # why, device, address, write, pasid -> matcher; other faults do not count
    count: Any = Field(default_factory=lambda: {"ge": 1})  # matcher
    since: str | None = None  # a mark; default the scenario's begin


class FaultStep(_Common):
    """What the IOMMU refused and reported; polled, as traces are."""

    fault: Fault
    poll: Seconds = 2.0


class Hardware(Strict):
    """The body of a hardware step: what the machine's hardware would use now."""

    where: Mapping[str, Any] = {}  # field -> matcher; other rows do not count
    count: Any = Field(default_factory=lambda: {"ge": 1})  # matcher


class HardwareStep(_Common):
    """Rows that the machine shows of its hardware; polled, as the kernel may still be at work."""

    hardware: Hardware
    poll: Seconds = 2.0
    save: str | None = None  # the last such row's fields, and count


class Compare(Strict):
    """The body of a compare step: the hardware against what the guest's software says."""

    what: str  # a comparison of the suite's
    differences: Any = ""  # matcher of what is wrong: a line each, nothing when all is right


class CompareStep(_Common):
    """Whether the hardware would use what it should; polled."""

    compare: Compare
    poll: Seconds = 2.0
    save: str | None = None  # differences, and their count


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
    "fault": FaultStep,
    "console": ConsoleStep,
    "hardware": HardwareStep,
    "compare": CompareStep,
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
    | Annotated[FaultStep, Tag("fault")]
    | Annotated[ConsoleStep, Tag("console")]
    | Annotated[HardwareStep, Tag("hardware")]
    | Annotated[CompareStep, Tag("compare")],
    Discriminator(
        _kind, custom_error_type="step", custom_error_message=f"a step needs one of the keys {', '.join(STEP_KINDS)}"
    ),
]
Steps = Annotated[tuple[Step, ...], Field(min_length=1)]
