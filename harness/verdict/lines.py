"""Console bytes to lines: ends of line, printk's prefix, and a bound on what one line may cost.

The prefix is that of ``info_print_prefix()`` in kernel/printk/printk.c: ``[    1.234567]``
with CONFIG_PRINTK_TIME, then ``[   T12]`` (a task) or ``[    C0]`` (a CPU outside task
context) with CONFIG_PRINTK_CALLER, then one space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE_BYTES = 4096  # a line that is longer is cut here; printk's own limit is 1024
_STAMP = re.compile(r"\[ *(?P<time>\d{1,9}\.\d{6})\](?:\[ *(?P<caller>[TC]\d{1,10})\])? ?")
_CALLER_ONLY = re.compile(r"\[ *(?P<caller>[TC]\d{1,10})\] ")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-_])")  # what firmware and shells colour the console with
# kernel/printk/printk.c and nbcon.c: console_prepend_dropped(), console_prepend_replay(); without printk's prefix
_DROPPED = re.compile(r"\*\* \d{1,20} printk messages dropped \*\*$")
_REPLAY = "** replaying previous printk message **"
_LEVEL = re.compile(r"<\d{1,3}>(?=\[ *\d+\.\d{6}\])")  # record of /dev/kmsg or syslog(2)


@dataclass(frozen=True)
class Line:
    """One line of the console."""

    number: int  # 1-based
    caller: str  # T<thread id> or C<cpu number>; empty when printk does not say
    stamped: bool  # it carries printk's prefix, so the kernel's log has it
    text: str  # without prefix and without escape sequences
    torn: bool = False  # another line of the kernel begins in the middle of this one
    time: float = 0.0  # seconds since boot; 0 without a time


class Splitter:
    """Cuts chunks of console output into lines. Keeps at most one unfinished line of LINE_BYTES."""

    def __init__(self) -> None:
        self._rest = b""  # the unfinished last line, bounded
        self._count = 0  # lines handed out

    @property
    def count(self) -> int:
        """Lines handed out so far."""
        return self._count

    @property
    def rest(self) -> str:
        """The unfinished last line as it stands."""
        return _decode(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` finishes, decoded, without their ends."""
        *whole, rest = data.split(b"\n")
        done = []
        for piece in whole:
            done.append(_decode((self._rest + piece[:LINE_BYTES])[:LINE_BYTES]))
            self._rest = b""
        self._rest = (self._rest + rest[:LINE_BYTES])[:LINE_BYTES]
        self._count += len(done)
        return done

    def flush(self) -> list[str]:
        """The last line, if the console ended without ending it."""
        rest, self._rest = self._rest, b""
        if not rest.strip(b"\r"):
            return []
        self._count += 1
        return [_decode(rest)]


def _decode(raw: bytes) -> str:
    return raw.rstrip(b"\r").decode(errors="replace")


def read(text: str, number: int, now: float = 0.0) -> Line:
    """One decoded line as a Line; ``now`` is the newest time that the kernel has printed so far.

    User space may not have ended its line when the kernel prints, so printk's prefix can stand in
    the middle; what is before it is dropped. A prefix with an older time is a quotation.
    """
    text = text[:LINE_BYTES].replace("\x00", "")
    text = _ESCAPE.sub("", text) if "\x1b" in text else text
    text = _LEVEL.sub("", text, count=1) if text.startswith("<") else text
    found = _STAMP.match(text) or _CALLER_ONLY.match(text) or _later(text, now)
    if found is None:
        return Line(number, "", False, text.rstrip())
    time = float(found["time"]) if found.re is _STAMP else 0.0
    said = text[found.end() :].rstrip()
    torn = "[" in said and _later(said, time) is not None
    return Line(number, found["caller"] or "", True, said, torn, time)


def _later(text: str, now: float) -> re.Match[str] | None:
    return next((stamp for stamp in _STAMP.finditer(text) if float(stamp["time"]) > now), None)


def is_dropped(text: str) -> bool:
    """printk could not keep up: lines are missing here."""
    return text.startswith("**") and _DROPPED.match(text) is not None


def is_replay(text: str) -> bool:
    """printk prints its last line once more, from the start."""
    return text == _REPLAY
