"""Suites and their scenarios, found by being there: ``test-modules/*/suite.yaml``, ``scenarios/*.yaml`` beside it."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness import data
from harness.build.flavour import flavours
from harness.errors import UserError
from harness.scenario import yamlfile
from harness.scenario.check import World, check_scenario, check_suite, unknown
from harness.scenario.language import (
    STEP_KINDS,
    Compare,
    DoStep,
    Fault,
    Hardware,
    Operation,
    OpsFile,
    ParallelStep,
    Plain,
    Repeat,
    RepeatStep,
    StartStep,
    Step,
    Trace,
)
from harness.scenario.schema import Scenario, ScenarioFile, Suite, SuiteFile
from harness.scenario.yamlfile import Document, PathIn, Problem

_Model = TypeVar("_Model", bound=BaseModel)
_STEP_WORDS = {*DoStep.model_fields, *StartStep.model_fields} - {"actor"}
_HINT = "docs/scenarios.md describes suites and scenarios"


def known_suites(root: Path | None = None) -> tuple[str, ...]:
    """Names of the suites there are. ``root``: where to look, default the data folder ``test-modules``."""
    return tuple(sorted(file.parent.name for file in (root or data.folder("test-modules")).glob("*/suite.yaml")))


def load_suite(name: str, root: Path | None = None) -> Suite:
    """The suite ``name`` with every scenario.

    Raises UserError when there is none of that name, or with everything that is wrong in all of its files.
    """
    root = root or data.folder("test-modules")
    if name not in known_suites(root):
        raise UserError(unknown("suite", name, known_suites(root)), f"known suites: {', '.join(known_suites(root))}")
    return _loaded(root, name, _state(root, name), flavours())


def select(suite: Suite, patterns: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios whose id matches one of ``patterns`` (``own-*``), all of them if there is none; but none of those
    that match one with ``!`` before it.

    Tests that the guest carries out itself are not known before: there is none of them. Raises UserError when a pattern
    matches nothing.
    """
    if suite.spec.ktap:
        return ()
    ids = [scenario.id for scenario in suite.scenarios]
    for pattern in patterns:
        if not fnmatch.filter(ids, pattern.removeprefix("!")):
            near = difflib.get_close_matches(pattern.removeprefix("!"), ids, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"suite {suite.name} has no scenario {pattern!r}", f"{hint}known scenarios: {', '.join(ids)}"
            )
    wanted = tuple(scenario for scenario in suite.scenarios if is_chosen(scenario.id, patterns))
    if not wanted:
        raise UserError(f"no scenario of suite {suite.name} is left", "fewer patterns with ! leave out less")
    return wanted


def is_chosen(name: str, patterns: Sequence[str]) -> bool:
    """Whether the test called ``name`` is one of those that ``patterns`` choose; see ``select``."""
    chosen = [pattern for pattern in patterns if not pattern.startswith("!")] or ["*"]
    left_out = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    return any(fnmatch.fnmatchcase(name, word) for word in chosen) and not any(
        fnmatch.fnmatchcase(name, word) for word in left_out
    )


def choose_behaviours(suite: Suite, chosen: Iterable[str]) -> dict[str, Plain]:
    """What is expected of the series, from ``name=value`` words; of the rest, the suite's defaults are.

    Raises UserError for an unknown name or a value of another kind.
    """
    defaults: dict[str, Plain] = {name: each.default for name, each in suite.spec.behaviours.items()}
    values: dict[str, Plain] = {}
    for word in chosen:
        name, equals, text = word.partition("=")
        if name not in defaults or not equals:
            listed = "; ".join(f"{key}={_shown(value)}" for key, value in defaults.items()) or "none"
            raise UserError(
                f"--expect {word}: suite {suite.name} has no such behaviour", f"behaviours and their defaults: {listed}"
            )
        values[name] = _of_kind(word, text, defaults[name])
    return values


def _of_kind(word: str, text: str, default: Plain) -> Plain:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise UserError(f"--expect {word}: the value is true or false", "")
        return text.lower() == "true"
    if isinstance(default, int):
        try:
            return int(text, 0)
        except ValueError as error:
            raise UserError(f"--expect {word}: the value is a number", "") from error
    return text


def _shown(value: Plain) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def roles_of(steps: Iterable[Step], operations: Mapping[str, Operation]) -> tuple[str, ...]:
    """Devices that ``steps`` name, in order of first use."""
    found: dict[str, None] = {}
    for step in steps:
        if isinstance(step, RepeatStep):
            found.update(dict.fromkeys(roles_of(step.repeat.steps, operations)))
        elif isinstance(step, ParallelStep):
            found.update(dict.fromkeys(roles_of(step.parallel, operations)))
        elif isinstance(step, DoStep | StartStep):
            arguments = operations[step.do if isinstance(step, DoStep) else step.start].args
            found.update({str(v): None for k, v in step.args.items() if k in arguments and arguments[k].type == "role"})
    return tuple(found)


def coverage(suite: Suite) -> dict[str, tuple[str, ...]]:
    """Each rule of the suite with the scenarios that show it."""
    return {
        rule: tuple(scenario.id for scenario in suite.scenarios if rule in scenario.spec.rules)
        for rule in suite.spec.rules
    }


# --- reading --------------------------------------------------------------------
def _state(root: Path, name: str) -> frozenset[tuple[Path, int, int]]:
    """The files that the suite is read from; one that was edited gives another state."""
    files = [*root.glob("*/ops.yaml"), root / name / "suite.yaml", *(root / name / "scenarios").glob("*.yaml")]
    stats = ((file, file.stat()) for file in files if file.exists())
    return frozenset((file, stat.st_mtime_ns, stat.st_size) for file, stat in stats)


@functools.lru_cache(maxsize=16)  # a night asks once for each of its cells
def _loaded(root: Path, name: str, _state: frozenset[tuple[Path, int, int]], names: tuple[str, ...]) -> Suite:
    """``load_suite`` as long as the files are in that state, and the flavours have these ``names``."""
    problems: list[Problem] = []
    suite = _read_suite(root, name, names, problems)
    if suite is None or problems:
        raise _complaint(problems)
    return suite


def _read_suite(root: Path, name: str, names: tuple[str, ...], problems: list[Problem]) -> Suite | None:
    folder = root / name
    document, spec = _read(folder / "suite.yaml", root, SuiteFile, problems)
    if document is None or spec is None:
        return None
    files = [root / spec.agent / "ops.yaml", folder / "ops.yaml"]
    if spec.ktap and not files[1].exists():
        files.pop()  # it needs no operations of its own
    operations, common = _read_operations(files, root, problems)
    if problems:  # without them every step would look wrong
        return None
    world = World(spec, operations, common, names)
    problems += check_suite(document, world)
    suite = Suite(name, folder, spec, operations, common)
    files = sorted((folder / "scenarios").glob("*.yaml"))
    if bool(files) == bool(spec.ktap):
        what = "either scenarios or ktap, not both" if files else "no scenarios/*.yaml and no ktap"
        problems.append(document.problem((), f"the suite has {what}"))
    found = (_read_scenario(file, root, world, problems) for file in files)
    return dataclasses.replace(suite, scenarios=tuple(each for each in found if each is not None))


def _read_scenario(file: Path, root: Path, world: World, problems: list[Problem]) -> Scenario | None:
    document, spec = _read(file, root, ScenarioFile, problems)
    if document is None or spec is None:
        return None
    wrong = check_scenario(document, spec, world)
    problems += wrong
    return None if wrong else Scenario(file.stem, file, spec, roles_of(spec.steps, world.operations))


def _read_operations(
    files: Iterable[Path], root: Path, problems: list[Problem]
) -> tuple[dict[str, Operation], Operation]:
    operations: dict[str, Operation] = {}
    common = Operation()
    for file in files:
        document, spec = _read(file, root, OpsFile, problems)
        if document is None or spec is None:
            continue
        problems += [
            document.problem(
                ("ops", name, "args", taken), f"{taken!r} is a key of steps; the argument needs another name"
            )
            for name, operation in spec.ops.items()
            for taken in sorted(_STEP_WORDS & set(operation.args))
        ]
        common = spec.common or common
        for name, added in spec.ops.items():
            operations[name] = _united(operations.get(name), added)
    return operations, common


def _united(known: Operation | None, added: Operation) -> Operation:
    """A suite may only add results to an operation of the agent."""
    if known is None:
        return added
    return known.model_copy(update={"results": {**known.results, **added.results}})


def _read(
    file: Path, root: Path, model: type[_Model], problems: list[Problem]
) -> tuple[Document, _Model] | tuple[None, None]:
    read = yamlfile.read(file, f"{root.name}/{file.relative_to(root)}")
    if isinstance(read, Problem):
        problems.append(read)
        return None, None
    spec = validated(read, model, problems)
    return (read, spec) if spec is not None else (None, None)


def validated(document: Document, model: type[_Model], problems: list[Problem]) -> _Model | None:
    """``document`` as ``model``; None, with everything that is wrong added to ``problems``."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        found = error.errors()
        for each in found:
            # A tuple with a bad item counts as too short, too; the item's own error says it.
            inner = any(
                other["loc"] != each["loc"] and other["loc"][: len(each["loc"])] == each["loc"] for other in found
            )
            if not (each["type"] == "too_short" and inner):
                problems.append(document.problem(_path(each["loc"]), _message(each, model)))
        return None


def _path(location: tuple[Any, ...]) -> PathIn:
    """Without the step's kind, which the schema puts after its number."""
    return tuple(
        part
        for number, part in enumerate(location)
        if not (number and isinstance(location[number - 1], int) and part in STEP_KINDS)
    )


def _message(error: Any, model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        *around, name = map(str, error["loc"])
        near = difflib.get_close_matches(name, _step_keys() if around else model.model_fields, 1)
        return f"there is no such key{f'; did you mean {near[0]}?' if near else ''}"
    if error["type"] == "missing":
        return "is missing"
    message: str = error["msg"]
    return message.removeprefix("Value error, ")


def _step_keys() -> tuple[str, ...]:
    models: tuple[type[BaseModel], ...] = (*STEP_KINDS.values(), Repeat, Trace, Fault, Hardware, Compare)
    return tuple({field.alias or key: None for model in models for key, field in model.model_fields.items()})


def _complaint(problems: Sequence[Problem]) -> UserError:
    lines = [str(problem) for problem in sorted(set(problems))]
    return UserError("\n".join(lines), _HINT)
