"""The serial channel: pexpect on a port of its own, apart from the console."""

from __future__ import annotations

import contextlib
import socket

import pexpect
from pexpect.socket_pexpect import SocketSpawn

from harness.channel.base import LINE_LIMIT, ChannelClosed


class _Port(SocketSpawn):  # type: ignore[type-arg]  # generic in its type stubs only
    """Takes no more of a line than a line may have, however fast the other end is."""

    _line = 0  # bytes since the last newline

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> bytes:
        data: bytes = super().read_nonblocking(size, timeout)
        last = data.rfind(b"\n")
        self._line = self._line + len(data) if last < 0 else len(data) - last - 1
        if self._line > LINE_LIMIT:
            raise ChannelClosed(f"the agent sent over {LINE_LIMIT} bytes without a newline")
        return data


class SerialChannel:
    """Lines over the socket behind the guest's second serial port."""

    def __init__(self, peer: socket.socket) -> None:
        self._spawn = _Port(peer, maxread=LINE_LIMIT, encoding=None)

    def send(self, line: bytes) -> None:
        try:
            self._spawn.send(line + b"\n")
        except (OSError, ValueError) as error:
            raise ChannelClosed(f"the serial port is closed: {error}") from error

    def receive(self, seconds: float) -> bytes | None:
        try:
            found = self._spawn.expect_exact([b"\n", pexpect.TIMEOUT, pexpect.EOF], timeout=seconds)
        except (OSError, ValueError) as error:
            raise ChannelClosed(f"the serial port is closed: {error}") from error
        if found == 0:
            return self._before().rstrip(b"\r")
        if found == 2:
            raise ChannelClosed("the serial port was closed by the machine")
        return None

    def _before(self) -> bytes:
        """What came before the match, or so far when there was none."""
        got = self._spawn.before
        return got if isinstance(got, bytes) else b""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._spawn.close()
