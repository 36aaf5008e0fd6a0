"""YAML with the line of every value, so that an error can say where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness import fastyaml

PathIn = tuple[str | int, ...]  # keys and indices from the top of a document to a value


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a file."""

    file: str  # as the user would name it
    line: int  # 1-based
    where: str  # the field, e.g. steps[2].expect.pasid; empty for the whole file
    what: str  # the complaint and, if there is one, the way out

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}: {place}{self.what}"


@dataclass(frozen=True)
class Document:
    """One file, read."""

    file: str  # for messages
    data: Any  # mappings, lists, scalars
    lines: Mapping[PathIn, int] = field(default_factory=dict)  # where each value stands, 1-based

    def problem(self, path: PathIn, what: str) -> Problem:
        """A complaint about the value at ``path``, or the nearest one around it that the file has."""
        known: PathIn = ()
        for part in path:  # parts that the file lacks (a missing key, a name the checker made up) are left out
            if (*known, part) in self.lines:
                known = (*known, part)
        missing = path[len(known) :] if path[: len(known)] == known else ()
        return Problem(self.file, self.lines.get(known, 1), _dotted((*known, *missing)), what)


def _dotted(path: PathIn) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(file: Path, shown: str | None = None) -> Document | Problem:
    """Read ``file``; a Problem when it is not readable YAML, or has a key twice. ``shown`` is its name in messages."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Problem(shown or str(file), 1, "", f"cannot be read: {error}")
    return parse(text, shown or str(file))


def parse(text: str, shown: str) -> Document | Problem:
    """``read`` of a text."""
    loader = fastyaml.Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Problem(shown, 1, "", "is empty")
        lines: dict[PathIn, int] = {}
        return Document(shown, _build(loader, node, (), lines), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = ", ".join(filter(None, (error.context, error.problem)))
        return Problem(shown, mark.line + 1 if mark else 1, "", f"is not YAML: {why}")
    except (yaml.YAMLError, ValueError) as error:
        return Problem(shown, 1, "", f"is not YAML: {error}")
    except RecursionError:
        return Problem(shown, 1, "", "is nested too deeply, or refers to itself")
    finally:
        loader.dispose()


def _build(loader: yaml.SafeLoader, node: yaml.Node, path: PathIn, lines: dict[PathIn, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, each, (*path, number), lines) for number, each in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    _refuse_twice(node)
    loader.flatten_mapping(node)  # "<<", as ops files use it; the mapping's own keys come last and win
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, str | int):
            raise yaml.MarkedYAMLError(problem="a key must be a word or a number", problem_mark=key_node.start_mark)
        lines[(*path, key)] = key_node.start_mark.line + 1
        found[key] = _build(loader, value_node, (*path, key), lines)
    return found


def _refuse_twice(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be a word or a number", problem_mark=key.start_mark)
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark)
        seen.add(key.value)
