"""Suites and scenarios as files, and as they are once loaded. docs/scenarios.md tells it to their authors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from harness.scenario.language import Operation, Seconds, Step, Steps, Strict
from harness.scenario.language import Plain as Plain  # part of what callers see


# --- files ------------------------------------------------------------------------
class ScenarioFile(Strict):
    """A file in ``scenarios/``."""

    summary: str  # one line, for reports
    about: str = ""  # why, for the reader
    rules: Annotated[tuple[str, ...], Field(min_length=1)]  # of the contract that the suite judges by
    requires: tuple[str, ...] = ()  # capabilities; SKIP with the reason when one is missing
    flavours: tuple[str, ...] = ()  # that the kernel must have, all of them; SKIP otherwise
    when: Mapping[str, Plain] = {}  # behaviours that it is for; SKIP otherwise
    motivates: str | None = None  # capability that it shows the need for: a tree alone may fail without it
    actors: tuple[str, ...] = ()  # processes
    faults: Literal["none", "expected"] = "none"  # whether the IOMMU may report faults
    races: bool = False  # things happen at once in it: each CPU of the guest gets CPUs of the host for itself
    without: Mapping[str, str] = {}  # oracle -> why it does not apply
    our_choice: str | None = None  # the whole scenario is our choice: failing is advice
    limit: Seconds | None = None  # for all steps together; default the suite's
    steps: Steps


class Condition(Strict):
    """A fact that must be as told. Extra keys are the matcher; none: the fact must be true."""

    model_config = ConfigDict(extra="allow", frozen=True)
    fact: str
    reason: str = ""  # what is missing when this one does not hold; default the capability's

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
    opposite_where: tuple[Condition, ...] = ()  # where all of these hold, the default is the other of true and false

    @model_validator(mode="after")
    def _has_an_opposite(self) -> Self:
        if self.opposite_where and not isinstance(self.default, bool):
            raise ValueError("opposite_where is for defaults that are true or false")
        return self


class Oracle(Strict):
    """A value that a scenario must leave as it found it."""

    about: str  # what it counts
    leak: str  # what it means when the value changed
    requires: tuple[str, ...] = ()  # capabilities; without them the oracle is left out
    steps: Steps
    value: str  # reference to the value in what the steps saved
    must: Any = "$before"  # matcher of the value after; $before is the one before
    early: bool = False  # it must also be right before the clean-up
    poll: Seconds = 5.0  # how long the value may take to come back
    retry: tuple[Step, ...] = ()  # before it is looked at again


class Naming(Strict):
    """What one thing that is wrong is called."""

    name: str
    where: Mapping[str, Any] = {}  # field -> matcher of the row that should be, or else of the one that is
    fields: tuple[str, ...] = ()  # for rows that belong together: one of these fields is another
    when: Mapping[str, Plain] = {}  # behaviours without which it is not wrong


class Near(Strict):
    """Rows that belong together by less than the key: the right thing in the wrong place."""

    name: str
    key: Annotated[tuple[str, ...], Field(min_length=1)]


class Comparison(Strict):
    """Rows that the machine's hardware shows against rows that the guest's software tells."""

    about: str
    software: str  # operation that tells the rows that should be
    rows: str  # its result with them, a line of field=value words each
    hardware: Annotated[tuple[Mapping[str, Any], ...], Field(min_length=1)]  # rows that count: any of these holds
    key: Annotated[tuple[str, ...], Field(min_length=1)]  # fields by which rows belong together
    near: tuple[Near, ...] = ()  # tried in order with what the key leaves
    differs: tuple[Naming, ...] = ()  # of rows that belong together; the first that fits
    missing: tuple[Naming, ...] = ()  # of rows that should be
    unexpected: tuple[Naming, ...] = ()  # of rows that should not be


class FaultFields(Strict):
    """Which fields of a trace event make an IOMMU fault."""

    device: str | None = None  # bus, device and function in one number (PCI requester ID)
    stream: str | None = None  # instead of device: a number that only the IOMMU gives a meaning (SMMU StreamID)
    address: str
    reason: str
    write: str | None = None
    pasid: str | None = None
    has_pasid: str | None = None  # 0: the field pasid means nothing
    why: Mapping[int, str] = {}  # reason -> what it means, in words that scenarios use for every IOMMU


class Defaults(Strict):
    """What steps do not say themselves."""

    deadline: Seconds = 10.0  # for one answer
    limit: Seconds = 60.0  # for one scenario


class Programs(Strict):
    """Programs of the tree under test; the guest has them in /programs."""

    folder: str  # of the tree, with a Makefile of the kernel's selftests
    names: Annotated[tuple[str, ...], Field(min_length=1)]  # of what is made there
    packages: tuple[str, ...] = ()  # Debian packages with headers and static libraries that they need


class Carried(Strict):
    """A program that tests, and prints (K)TAP."""

    program: str  # name of one of the suite's programs
    args: str = ""  # separated by spaces
    silence: Seconds = 60.0  # without a word it hangs


class OwnTests(Strict):
    """Tests that the kernel or programs of the guest carry out themselves, in place of scenarios."""

    files: tuple[str, ...] = ()  # absolute paths of KTAP texts in the guest; * in a name
    run: tuple[Carried, ...] = ()  # programs, each in a guest of its own
    limit: Annotated[int, Field(ge=1)] = 4 << 20  # bytes that one text may have
    missing: str  # what it means when there is no such text

    @model_validator(mode="after")
    def _something(self) -> OwnTests:
        if bool(self.files) == bool(self.run):
            raise ValueError("either files or run")
        return self


Paths = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]  # or beginnings of them


class SuiteFile(Strict):
    """A ``suite.yaml``."""

    summary: str
    flavour: str = "base"  # kernel configuration that it needs; --flavour takes another
    sources: tuple[Paths, ...] = ()  # of the kernel, that it tests; the likeliest culprits first
    modules: tuple[str, ...] = ()  # .ko names in load order
    programs: Programs | None = None  # of the tree, built for the guest
    ktap: OwnTests | None = None  # instead of scenarios
    memory_mib: Annotated[int, Field(ge=0)] = 0  # that a guest needs; the target's if that is more
    agent: str = "agent"  # folder beside the suite that has the agent and its general operations
    roles: Mapping[str, Role] = {}
    rules: Mapping[str, str] = {}  # id -> the rule in one line
    capabilities: Mapping[str, Capability] = {}
    behaviours: Mapping[str, Behaviour] = {}
    oracles: Mapping[str, Oracle] = {}
    comparisons: Mapping[str, Comparison] = {}
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

    def uses(self, name: str) -> bool:
        """Whether a step refers to the plain value ``name``."""
        return re.search(rf"\${{?{name}\b", repr(self.spec.steps)) is not None


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
