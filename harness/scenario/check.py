"""Names and types in suites and scenarios, checked before any boot. Pure.

The schema (``schema.py``) says what a file may look like; this says whether what it
names exists: operations and their arguments, devices, actors, capabilities, what was saved.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.scenario import match, refs
from harness.scenario.language import (
    STEP_KINDS,
    Argument,
    CompareStep,
    Console,
    ConsoleStep,
    DoStep,
    Fault,
    FaultStep,
    FinishStep,
    Hardware,
    HardwareStep,
    MarkStep,
    Operation,
    ParallelStep,
    RepeatStep,
    StartStep,
    Step,
    Trace,
    TraceStep,
)
from harness.scenario.needs import FLAVOUR
from harness.scenario.observe import FAULT_FIELDS
from harness.scenario.schema import Comparison, Condition, ScenarioFile, SuiteFile
from harness.scenario.tuning import NAMES
from harness.scenario.yamlfile import Document, PathIn, Problem

_TYPES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "boolean": (bool,),
    "string": (str,),
    "role": (str,),
    "text": (int, str),
}
_LISTED = 20  # names in a complaint
_ERRORS = frozenset(errno.errorcode.values()) | {"EWOULDBLOCK", "EOPNOTSUPP", "ENOTSUPP"}
_ANY_FIELD = Operation()  # stands for a reply whose fields are not known


@dataclass(frozen=True)
class World:
    """What names may be used."""

    suite: SuiteFile
    operations: Mapping[str, Operation]
    common: Operation
    flavours: tuple[str, ...] = ()  # kernel configurations

    def facts(self) -> frozenset[str]:
        """Names of the facts that there are, ``<role>.`` written out for every role."""
        declared = self.operations["facts"].results if "facts" in self.operations else {}
        reported = (
            name.replace("<role>", role)
            for name in declared
            for role in (self.suite.roles if "<role>" in name else [""])
        )
        return frozenset((FLAVOUR, *reported))


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The complaint about a name that nobody knows, with the nearest one that is known."""
    listed = sorted(known)
    near = difflib.get_close_matches(str(name), listed, 1)
    if near:
        return f"there is no {kind} {name!r}; did you mean {near[0]}?"
    shown = ", ".join(listed[:_LISTED]) + (" ..." if len(listed) > _LISTED else "")
    return f"there is no {kind} {name!r}; known: {shown or 'none'}"


def check_scenario(document: Document, spec: ScenarioFile, world: World) -> tuple[Problem, ...]:
    """Everything that is wrong with a scenario's names."""
    suite = world.suite
    checker = _Checker(document, world, actors=frozenset(spec.actors))
    for number, rule in enumerate(spec.rules):
        checker.known(("rules", number), "rule", rule, suite.rules)
    for number, name in enumerate(spec.requires):
        checker.known(("requires", number), "capability", name, suite.capabilities)
    for number, name in enumerate(spec.flavours):
        checker.known(("flavours", number), "flavour", name, world.flavours)
    for name in spec.without:
        checker.known(("without", name), "oracle", name, suite.oracles)
    if spec.motivates is not None:
        checker.known(("motivates",), "capability", spec.motivates, suite.capabilities)
    checker.behaviours(("when",), spec.when)
    if "\n" in spec.summary.strip():
        checker.say(("summary",), "must be one line")
    checker.steps(spec.steps, ("steps",))
    for token, path in checker.open_tokens.items():
        checker.say(path, f"nothing finishes {token!r}")
    for actor in sorted(checker.actors - checker.used_actors):
        checker.say(("actors",), f"no step uses the actor {actor!r}")
    return tuple(checker.problems)


def check_suite(document: Document, world: World) -> tuple[Problem, ...]:
    """Everything that is wrong with the names in a suite's own file."""
    suite = world.suite
    checker = _Checker(document, world)
    for section, named in (("capabilities", suite.capabilities), ("roles", suite.roles)):
        for name, capability in named.items():
            checker.conditions((section, name, "needs"), capability.needs)
    for name, behaviour in suite.behaviours.items():
        checker.conditions(("behaviours", name, "opposite_where"), behaviour.opposite_where)
    for name, comparison in suite.comparisons.items():
        checker.comparison(("comparisons", name), comparison)
    for name, oracle in suite.oracles.items():
        inner = _Checker(document, world, problems=checker.problems)
        for number, capability_name in enumerate(oracle.requires):
            inner.known(("oracles", name, "requires", number), "capability", capability_name, suite.capabilities)
        inner.steps(oracle.steps, ("oracles", name, "steps"))
        inner.references(("oracles", name, "value"), oracle.value)
        inner.steps(oracle.retry, ("oracles", name, "retry"))
        inner.saved["before"] = None
        inner.matcher(("oracles", name, "must"), oracle.must)
    for section, steps in (("setup", suite.setup), ("cleanup", suite.cleanup)):
        _Checker(document, world, problems=checker.problems).steps(steps, (section,))
    for number, carried in enumerate(suite.ktap.run if suite.ktap else ()):
        names = suite.programs.names if suite.programs else ()
        checker.known(("ktap", "run", number, "program"), "program", carried.program, names)
    return tuple(checker.problems)


@dataclass
class _Checker:
    document: Document
    world: World
    actors: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)
    used_actors: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    open_tokens: dict[str, PathIn] = field(default_factory=dict)
    token_operations: dict[str, Operation] = field(default_factory=dict)
    saved: dict[str, Operation | None] = field(default_factory=lambda: dict.fromkeys(NAMES))  # None: a plain value

    # --- small checks -------------------------------------------------------
    def say(self, path: PathIn, what: str) -> None:
        self.problems.append(self.document.problem(path, what))

    def known(self, path: PathIn, kind: str, name: object, names: Iterable[str]) -> bool:
        names = tuple(names)
        if name not in names:
            self.say(path, unknown(kind, name, names))
        return name in names

    def behaviours(self, path: PathIn, when: Mapping[str, object]) -> None:
        for name, value in when.items():
            if self.known((*path, name), "behaviour", name, self.world.suite.behaviours):
                default = self.world.suite.behaviours[name].default
                if type(default) is not type(value):
                    self.say((*path, name), f"{value!r} is not of the kind of the default, {default!r}")

    def conditions(self, path: PathIn, conditions: Iterable[Condition]) -> None:
        for number, condition in enumerate(conditions):
            self.known((*path, number, "fact"), "fact", condition.fact, self.world.facts())
            self.matcher((*path, number), condition.matcher)

    def matcher(self, path: PathIn, value: Any) -> None:
        fault = match.fault_in(value)
        if fault:
            self.say(path, fault)
        else:
            self.references(path, value)

    def references(self, path: PathIn, value: Any) -> None:
        try:
            found = tuple(refs.names(value))
        except refs.BadReference as error:
            self.say(path, str(error))
            return
        for name in found:
            self._reference(path, name)

    def _reference(self, path: PathIn, name: refs.Name) -> None:
        if name.variable == "facts":
            self.known(path, "fact", name.field, self.world.facts())
        elif name.variable not in self.saved:
            self.say(path, unknown("saved reply", name.variable, (self.saved.keys() - {*NAMES}) | {"facts"}))
        else:
            operation = self.saved[name.variable]
            if operation is None and name.field:
                self.say(path, f"${name.variable} is a plain value; it has no {name.field!r}")
            elif operation is not None and not name.field:
                self.say(path, f"${name.variable} is a whole reply; say which field")
            elif operation is not None and operation is not _ANY_FIELD:
                self.known(path, "result", name.field, self._results(operation))

    def _results(self, operation: Operation) -> tuple[str, ...]:
        return (*operation.results, *self.world.common.results)

    def comparison(self, path: PathIn, comparison: Comparison) -> None:
        operation = self.world.operations.get(comparison.software, _ANY_FIELD)
        if self.known((*path, "software"), "operation", comparison.software, self.world.operations):
            self.known((*path, "rows"), "result", comparison.rows, operation.results)
        for number, where in enumerate(comparison.hardware):
            for name, matcher in where.items():
                self.matcher((*path, "hardware", number, name), matcher)
        for section in ("differs", "missing", "unexpected"):
            for number, naming in enumerate(getattr(comparison, section)):
                self.behaviours((*path, section, number, "when"), naming.when)
                for name, matcher in naming.where.items():
                    self.matcher((*path, section, number, "where", name), matcher)

    # --- steps --------------------------------------------------------------
    def steps(self, steps: Iterable[Step], path: PathIn) -> None:
        for number, step in enumerate(steps):
            self.behaviours((*path, number, "when"), step.when)
            for key, names in (("if", step.if_), ("unless", step.unless)):
                for name in names:
                    self.known((*path, number, key), "capability", name, self.world.suite.capabilities)
            self._step(step, (*path, number))

    def _step(self, step: Step, path: PathIn) -> None:
        if isinstance(step, DoStep):
            operation = self._operation(step, step.do, (*path, "do"), path)
            self._expectations(step, operation, path)
        elif isinstance(step, StartStep):
            self.token_operations[step.token] = self._operation(step, step.start, (*path, "start"), path)
            self.open_tokens[step.token] = path
        elif isinstance(step, FinishStep):
            if self.known((*path, "finish"), "started operation", step.finish, self.open_tokens):
                self.open_tokens.pop(step.finish)
            self._expectations(step, self.token_operations.get(step.finish, _ANY_FIELD), path)
        elif isinstance(step, ParallelStep):
            for number, each in enumerate(step.parallel):
                if each.poll is not None:
                    self.say((*path, "parallel", number, "poll"), "steps that run together are not polled")
                self._step(each, (*path, "parallel", number))
        elif isinstance(step, RepeatStep):
            self._repeat(step, path)
        else:
            self._observation(step, path)

    def _repeat(self, step: RepeatStep, path: PathIn) -> None:
        self.references((*path, "repeat", "times"), step.repeat.times)
        outer = self.saved.get("i", _ANY_FIELD)
        self.saved["i"] = None
        self.steps(step.repeat.steps, (*path, "repeat", "steps"))
        if outer is _ANY_FIELD:
            del self.saved["i"]

    def _observation(
        self, step: MarkStep | TraceStep | FaultStep | ConsoleStep | HardwareStep | CompareStep, path: PathIn
    ) -> None:
        if isinstance(step, MarkStep):
            self.marks.add(step.mark)
            return
        if isinstance(step, CompareStep):
            self._compare(step, path)
            return
        kind = next(kind for kind, model in STEP_KINDS.items() if type(step) is model)
        body: Trace | Fault | Console | Hardware = getattr(step, kind)
        if not isinstance(body, Hardware) and body.since is not None:
            self.known((*path, kind, "since"), "mark", body.since, self.marks)
        if isinstance(body, Console):
            if (body.present is None) == (body.absent is None):
                self.say((*path, kind), "needs either 'present' or 'absent'")
            return
        for name, matcher in body.where.items():
            if isinstance(step, FaultStep):
                self.known((*path, kind, "where", name), "field of a fault", name, FAULT_FIELDS)
                self._why((*path, kind, "where", name), name, matcher)
            self.matcher((*path, kind, "where", name), matcher)
        self.matcher((*path, kind, "count"), body.count)
        if isinstance(step, TraceStep | HardwareStep) and step.save is not None:
            self.saved[step.save] = _ANY_FIELD

    def _compare(self, step: CompareStep, path: PathIn) -> None:
        self.known((*path, "compare", "what"), "comparison", step.compare.what, self.world.suite.comparisons)
        self.matcher((*path, "compare", "differences"), step.compare.differences)
        if step.save is not None:
            self.saved[step.save] = _ANY_FIELD

    def _why(self, path: PathIn, name: str, matcher: object) -> None:
        if name == "why" and isinstance(matcher, str):
            words = {word for kind in self.world.suite.faults.values() for word in kind.why.values()}
            self.known(path, "reason of a fault", matcher, words)

    def _operation(self, step: DoStep | StartStep, name: str, at: PathIn, path: PathIn) -> Operation:
        if not self.known(at, "operation", name, self.world.operations):
            return _ANY_FIELD
        operation = self.world.operations[name]
        self._actor(step, name, operation, path)
        allowed = {key: each for key, each in operation.args.items() if key != "actor"}
        if operation.runs != "supervisor" and "times" in self.world.common.args:
            allowed["times"] = self.world.common.args["times"]
        for key, value in step.args.items():
            if self.known((*path, key), f"argument of {name}, nor key of a step,", key, allowed):
                self._argument((*path, key), allowed[key], value)
        for key, argument in allowed.items():
            if argument.required and key not in step.args:
                self.say(path, f"{name} needs the argument {key!r}: {argument.about}")
        return operation

    def _actor(self, step: DoStep | StartStep, name: str, operation: Operation, path: PathIn) -> None:
        takes = operation.runs != "supervisor" or "actor" in operation.args
        needs = operation.runs == "actor" or ("actor" in operation.args and operation.args["actor"].required)
        if step.actor is None:
            if needs:
                self.say(path, f"{name} needs an actor")
        elif not takes:
            self.say((*path, "actor"), f"{name} is done by the agent itself; it takes no actor")
        elif self.known((*path, "actor"), "actor", step.actor, self.actors):
            self.used_actors.add(step.actor)

    def _argument(self, path: PathIn, argument: Argument, value: Any) -> None:
        if refs.is_reference(value):
            self.references(path, value)
            return
        kinds = _TYPES[argument.type]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            self.say(path, f"{value!r} is not of type {argument.type}")
        elif argument.type == "role":
            self.known(path, "role", value, self.world.suite.roles)

    def _expectations(self, step: DoStep | FinishStep, operation: Operation, path: PathIn) -> None:
        for name, matcher in step.expect.items():
            if operation is not _ANY_FIELD:
                self.known((*path, "expect", name), "result", name, self._results(operation))
            self.matcher((*path, "expect", name), matcher)
        if sum(map(bool, (step.fails, step.may_fail, step.died))) > 1:
            self.say(path, "only one of 'fails', 'may_fail' and 'died' can be expected")
        for key, names in (("fails", step.fails), ("may_fail", step.may_fail)):
            for each in names:
                if each != "any" and each not in _ERRORS:
                    self.say((*path, key), unknown("error", each, _ERRORS))
        if step.save is not None:
            if step.save in ("facts", *NAMES):
                self.say((*path, "save"), f"{step.save!r} is taken")
            self.saved[step.save] = operation
