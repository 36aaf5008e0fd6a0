"""A script that repeats what a scenario sent to the agent, without the harness.

Wrap the guest in a ``Recorder`` while the scenario runs; ``script`` makes a Python
program of what it saw. The program needs nothing but a socket on which an agent
answers, prints every reply, and says where one differs from the recorded one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.scenario.link import GuestLink, GuestLost, GuestTimeout, TraceEvent


@dataclass(frozen=True)
class Exchange:
    """One line to the agent, or the wait for its reply."""

    number: int  # of the request
    request: Mapping[str, Any] | None  # what was sent; None: this is the wait
    reply: Mapping[str, Any] | None = None  # of a wait; None: there was none


@dataclass
class Recorder:
    """A guest whose conversation is kept. Passes everything on, errors too."""

    guest: GuestLink
    exchanges: list[Exchange] = field(default_factory=list)
    _count: int = 0  # requests so far
    _numbers: dict[int, int] = field(default_factory=dict)  # the link's token -> our number

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.guest.facts

    def call(
        self, op: str, args: Mapping[str, object] | None = None, actor: str | None = None, deadline: float = 10.0
    ) -> Mapping[str, Any]:
        number = self._sent(op, args or {}, actor)
        try:
            reply = self.guest.call(op, args, actor, deadline)
        except (GuestTimeout, GuestLost):
            self.exchanges.append(Exchange(number, None))
            raise
        self.exchanges.append(Exchange(number, None, reply))
        return reply

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        number = self._sent(op, args, actor)
        token = self.guest.begin(op, args, actor)
        self._numbers[token] = number
        return token

    def finish(self, token: int, deadline: float) -> Mapping[str, Any]:
        number = self._numbers.pop(token)
        try:
            reply = self.guest.finish(token, deadline)
        except (GuestTimeout, GuestLost):
            self.exchanges.append(Exchange(number, None))
            raise
        self.exchanges.append(Exchange(number, None, reply))
        return reply

    def mark(self) -> Any:
        return self.guest.mark()

    def trace(self, since: Any) -> Sequence[TraceEvent]:
        return self.guest.trace(since)

    def console_since(self, since: Any) -> str:
        return self.guest.console_since(since)

    def hardware(self) -> Sequence[Mapping[str, Any]]:
        return self.guest.hardware()

    def _sent(self, op: str, args: Mapping[str, object], actor: str | None) -> int:
        self._count += 1
        self.exchanges.append(Exchange(self._count, {**({"actor": actor} if actor else {}), "op": op, **args}))
        return self._count


def script(title: str, exchanges: Sequence[Exchange]) -> str:
    """The program. ``title`` is one line on what it repeats."""
    steps = [
        ["send", each.number, dict(each.request)]
        if each.request is not None
        else ["wait", each.number, None if each.reply is None else {k: v for k, v in each.reply.items() if k != "id"}]
        for each in exchanges
    ]
    # JSON inside JSON: a Python string literal that needs no care about true, false and null.
    listed = ",\n".join("    " + json.dumps(json.dumps(step)) for step in steps)
    return _PROGRAM.replace("@TITLE@", " ".join(title.replace('"', "'").replace("\\", "/").split())).replace(
        "@STEPS@", listed
    )


_PROGRAM = '''#!/usr/bin/env python3
"""@TITLE@

Usage: replay.py WHERE
WHERE is what leads to an agent that waits: a UNIX socket, HOST:PORT, or a terminal such as /dev/ttyS1.
Prints every request and reply; "was:" is the recorded reply where the new one differs. Exit status 1 if any does.
"""
import json
import os
import select
import socket
import stat
import sys

TIMEOUT = 60  # seconds to wait for one reply
VARYING = {"us", "pid", "boot_id", "retries", "tries", "live"}  # results that differ from run to run
STEPS = [
@STEPS@
]


def connect(where):
    if os.path.exists(where) and stat.S_ISSOCK(os.stat(where).st_mode):
        link = socket.socket(socket.AF_UNIX)
        link.connect(where)
        return link.fileno(), link
    if os.path.exists(where):
        return os.open(where, os.O_RDWR | os.O_NOCTTY), None
    host, _, port = where.rpartition(":")
    link = socket.create_connection((host, int(port)))
    return link.fileno(), link


def replies(fd):
    """Lines from the agent, as objects."""
    pending = b""
    while True:
        while b"\\n" in pending:
            line, _, pending = pending.partition(b"\\n")
            try:
                yield json.loads(line)
            except ValueError:
                print("  (not JSON)", line)
        if not select.select([fd], [], [], TIMEOUT)[0]:
            sys.exit("no reply within %d s" % TIMEOUT)
        chunk = os.read(fd, 65536)
        if not chunk:
            sys.exit("the agent is gone")
        pending += chunk


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    fd, _link = connect(sys.argv[1])
    lines, came, differs = replies(fd), {}, False
    base = 1000000  # ids of our own, apart from those of earlier requests
    for kind, number, what in map(json.loads, STEPS):
        if kind == "send":
            request = json.dumps(dict({"id": base + number}, **what))
            print(">", request)
            os.write(fd, request.encode() + b"\\n")
            continue
        while number not in came:
            reply = next(lines)
            if isinstance(reply, dict) and isinstance(reply.get("id"), int):
                came[reply["id"] - base] = reply
        reply = came.pop(number)
        del reply["id"]
        print("<", json.dumps(reply))
        keep = lambda each: {k: v for k, v in (each or {}).items() if k not in VARYING}
        if keep(reply) != keep(what):
            print("  was:", json.dumps(what) if what is not None else "no reply")
            differs = True
    sys.exit(1 if differs else 0)


main()
'''
