"""The agent, started on the host and spoken to over two pipes: what the tests of its protocol drive."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

LINE_LIMIT = 65536  # bytes of one line with its newline
DEADLINE = 10.0  # seconds for one reply


class Agent:
    """``agent serve`` on two pipes; replies are matched by id."""

    def __init__(self, binary: Path) -> None:
        self.process = subprocess.Popen([binary, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._buffer = b""
        self._replies: dict[int, dict[str, Any]] = {}
        self._next = 1
        self.hello = self.line()

    def raw(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)

    def line(self, deadline: float = DEADLINE) -> dict[str, Any]:
        """The next line. Raises AssertionError when none comes in time."""
        assert self.process.stdout is not None
        end = time.monotonic() + deadline
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            assert ready, "no line in time"
            chunk = os.read(self.process.stdout.fileno(), LINE_LIMIT)
            assert chunk, "the agent has closed its output"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        assert len(line) < LINE_LIMIT
        found: dict[str, Any] = json.loads(line)
        return found

    def begin(self, op: str, actor: str | None = None, **args: object) -> int:
        number = self._next
        self._next += 1
        request = {"id": number, "op": op, **({"actor": actor} if actor else {}), **args}
        self.raw(json.dumps(request).encode() + b"\n")
        return number

    def finish(self, number: int, deadline: float = DEADLINE) -> dict[str, Any]:
        end = time.monotonic() + deadline
        while number not in self._replies:
            reply = self.line(max(0.0, end - time.monotonic()))
            self._replies[reply["id"]] = reply
        return self._replies.pop(number)

    def call(self, op: str, actor: str | None = None, **args: object) -> dict[str, Any]:
        return self.finish(self.begin(op, actor, **args))

    def ok(self, op: str, actor: str | None = None, **args: object) -> dict[str, Any]:
        reply = self.call(op, actor, **args)
        assert reply["ret"] == 0, reply
        return reply

    def close(self) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        status = self.process.wait(DEADLINE)
        self.process.stdout.close()
        return status
