"""The agent's wire protocol: one flat JSON object per line, replies matched by id.

Results travel here and nowhere else; the console is evidence. What the agent
sends is not trusted: a line that is not JSON or has an id that nobody waits for is
kept in the protocol log and otherwise ignored, until there are too many.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.channel.base import Channel, ChannelClosed
from harness.scenario.link import GuestLost, GuestTimeout

PROTOCOL = 1
_SLICE = 0.2  # seconds between two looks at whether the guest still lives
_NOISE_LIMIT = 1000  # lines that nobody asked for


class AgentLink:
    """Requests to the agent over any channel.

    ``gone`` tells why the guest can no longer answer (a panic, QEMU's end), or None.
    """

    def __init__(
        self,
        channel: Channel,
        gone: Callable[[], str | None],
        log: Path,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``now``: the time by which deadlines go."""
        self._now = now
        self._channel = channel
        self._gone = gone
        self._log = log
        self._next = 1
        self._replies: dict[int, Mapping[str, Any]] = {}
        self._waiting: dict[int, str] = {}  # id -> the request, for messages
        self._noise = 0
        self.hello: Mapping[str, Any] | None = None  # what the agent said when it started

    def wait_hello(self, seconds: float) -> bool:
        """Whether the agent says hello within ``seconds``. Raises GuestLost."""
        end = time.monotonic() + seconds
        while self.hello is None and time.monotonic() < end:
            self._pump(max(0.0, min(_SLICE, end - time.monotonic())))
        return self.hello is not None

    def call(
        self, op: str, args: Mapping[str, object] | None = None, actor: str | None = None, deadline: float = 10.0
    ) -> Mapping[str, Any]:
        """One request and its reply. Raises GuestTimeout after ``deadline`` seconds and GuestLost."""
        return self.finish(self.begin(op, args or {}, actor), deadline)

    def begin(self, op: str, args: Mapping[str, object], actor: str | None = None) -> int:
        """Send a request; its token goes to ``finish``. Raises GuestLost."""
        token = self._next
        self._next += 1
        request = {"id": token, **({"actor": actor} if actor else {}), "op": op, **args}
        line = json.dumps(request, separators=(",", ":"))
        self._write("> ", line)
        self._waiting[token] = line
        try:
            self._channel.send(line.encode())
        except ChannelClosed as error:
            raise GuestLost(self._gone() or str(error)) from error
        return token

    def finish(self, token: int, deadline: float) -> Mapping[str, Any]:
        """The reply to ``token``. Raises GuestTimeout when it does not come in ``deadline`` seconds, and GuestLost."""
        waited = 0.0
        while token not in self._replies:
            if waited >= deadline:
                raise GuestTimeout(f"no answer within {deadline:.1f} s to {self._waiting.get(token, token)}")
            started = self._now()
            self._pump(min(_SLICE, deadline - waited))
            # A host that was paused paused the guest, too: such a gap is not the guest's.
            waited += min(self._now() - started, 2 * _SLICE)
        self._waiting.pop(token, None)
        return self._replies.pop(token)

    @property
    def waiting(self) -> bool:
        """Whether there are requests whose replies nobody has taken."""
        return bool(self._waiting)

    def _pump(self, seconds: float) -> None:
        try:
            line = self._channel.receive(seconds)
        except ChannelClosed as error:
            raise GuestLost(self._gone() or str(error)) from error
        if line is None:
            why = self._gone()
            if why:
                raise GuestLost(why)
            return
        self._write("< ", line.decode(errors="replace"))
        reply = _object(line)
        number = reply.get("id")
        if type(number) is int and number in self._waiting:  # true is 1, too
            self._replies[number] = reply
            return
        if reply.get("hello") == "kph-agent" and self.hello is None:
            self.hello = reply
            return
        self._noise += 1
        if self._noise > _NOISE_LIMIT:
            raise GuestLost(f"the agent sent over {_NOISE_LIMIT} lines that nobody asked for")

    def _write(self, mark: str, line: str) -> None:
        with self._log.open("a") as sink:
            sink.write(f"{mark}{line}\n")

    def close(self) -> None:
        """Let go of the channel."""
        self._channel.close()


def _object(line: bytes) -> Mapping[str, Any]:
    """What the line says; nothing when it is no flat object of strings, integers and booleans, ``ret`` an integer."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # deeper than the parser goes
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str | int) for each in value.values()):
        return {}
    return value if isinstance(value.get("ret", 0), int) else {}
