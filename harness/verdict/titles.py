"""Titles of splats: equal bug, equal title."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.verdict import generic, traces

_LENGTH = 120  # characters; a title is one line of a report
_CHAIN = 3  # functions of a title that has several
_OFFSET = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[[^\]]*\])?")
_ADDRESS = re.compile(r"\b(?:0x[0-9a-fA-F]{3,}|[0-9a-fA-F]{8,16})\b")
_TASK = re.compile(r"\b[\w.:#+-]{1,40}(?:/[\w.:#+-]{1,40})?(?:/\d+\b|\[\d+\])(?![:.(\w])")  # comm/pid, comm[pid]
_PROCESS = re.compile(r"\b(?:in process \S+|by task \S+|(?:comm|pid|name|Comm|Pid|PID)[:=] ?\S+)")
_CPU = re.compile(r"\b(?:CPU|cpu)[#: ]?\d+")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_FILE = re.compile(r"\b(?:[\w.-]+/)*[\w-]+\.[chS]:\d+(?::\d+)?")
_SPACE = re.compile(r"\s+")


def make(words: str, frames: Sequence[str], named: str = "") -> str:
    """``words`` in <function>. ``named``: the function that the report's first line names.

    A function that only reports, locks or waits (say, refcount_warn_saturate) is passed over
    for the first frame of the trace that says more.
    """
    function = generic.blamed(frames, traces.plain(named))
    text = normalise(words) or "report"
    return f"{text} in {function}" if function else text


def chain(words: str, frames: Sequence[str]) -> str:
    """``words`` in the first own functions: where they were called from says more than the innermost alone."""
    functions = generic.own(frames)[:_CHAIN] or tuple(frames[:1])
    return f"{normalise(words)} in {' < '.join(functions)}"


def normalise(text: str) -> str:
    """``text`` without what differs from run to run: addresses, pids, CPU numbers, task names, sizes, line numbers."""
    text = _OFFSET.sub("", text[: 8 * _LENGTH])
    text = _FILE.sub("FILE", text)
    text = _ADDRESS.sub("ADDR", text)
    text = _CPU.sub("CPU", text)
    text = _PROCESS.sub("TASK", text)
    text = _TASK.sub("TASK", text)
    text = _NUMBER.sub("N", text)
    text = _SPACE.sub(" ", text)
    return "".join(letter if letter.isprintable() else "?" for letter in text).strip(" .!")[:_LENGTH]
