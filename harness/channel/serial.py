"""The serial channel: pexpect on a port of its own, apart from the console."""

from __future__ import annotations

import contextlib
import socket

import pexpect
from pexpect.socket_pexpect import SocketSpawn

from harness.channel.base import LINE_LIMIT, ChannelClosed


class SerialChannel:
    """Lines over the socket behind the guest's second serial port."""

    def __init__(self, peer: socket.socket) -> None:
        self._spawn = SocketSpawn(peer, maxread=LINE_LIMIT, encoding=None)

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
        if len(self._before()) > LINE_LIMIT:
            raise ChannelClosed(f"the agent sent over {LINE_LIMIT} bytes without a newline")
        return None

    def _before(self) -> bytes:
        """What came before the match, or so far when there was none."""
        got = self._spawn.before
        return got if isinstance(got, bytes) else b""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._spawn.close()
