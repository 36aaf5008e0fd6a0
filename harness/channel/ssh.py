"""The SSH channel: paramiko to a server in the guest, on loopback, with both keys pinned."""

from __future__ import annotations

import base64
import logging
import socket
import time
from typing import TYPE_CHECKING

from harness.channel.base import LINE_LIMIT, ChannelClosed
from harness.model import SshKeys

if TYPE_CHECKING:
    import paramiko

_ATTEMPT = 5.0  # seconds for one connection attempt
_GREETING = 0.5  # seconds in which a server that is there begins its banner

# Attempts that fail are how the wait for a booting guest works; paramiko would print a traceback for each.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


class SshChannel:
    """Lines over the standard streams of ``agent serve``, run through SSH."""

    def __init__(self, port: int, keys: SshKeys, command: str) -> None:
        """Connect to 127.0.0.1:``port``. Raises ChannelClosed when the server is not there or not ours (yet)."""
        import paramiko  # takes longer to load than all of ours, and the other channel needs none of it

        self._buffer = b""
        try:
            raw = socket.create_connection(("127.0.0.1", port), timeout=_ATTEMPT)
            _await_greeting(raw)
            self._transport = paramiko.Transport(raw)
        except (OSError, paramiko.SSHException) as error:
            raise ChannelClosed(f"no SSH server on port {port}: {error}") from error
        try:
            self._transport.banner_timeout = self._transport.auth_timeout = 4 * _ATTEMPT
            self._transport.connect(
                hostkey=_public(keys.host_public),
                username="root",
                pkey=paramiko.Ed25519Key.from_private_key_file(str(keys.client)),
            )
            self._session = self._transport.open_session(timeout=4 * _ATTEMPT)
            self._session.exec_command(command)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._transport.close()
            raise ChannelClosed(f"SSH to port {port}: {error}") from error

    def send(self, line: bytes) -> None:
        try:
            self._session.sendall(line + b"\n")
        except OSError as error:
            raise ChannelClosed(f"the SSH session is closed: {error}") from error

    def receive(self, seconds: float) -> bytes | None:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            if len(self._buffer) > LINE_LIMIT:
                raise ChannelClosed(f"the agent sent over {LINE_LIMIT} bytes without a newline")
            self._session.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                chunk = self._session.recv(65536)
            except TimeoutError:
                return None
            if not chunk:
                raise ChannelClosed("the SSH session was closed by the guest")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def close(self) -> None:
        self._transport.close()


def _await_greeting(raw: socket.socket) -> None:
    """Raise OSError unless the server begins to speak.

    QEMU accepts the connection even before the guest has a network; paramiko would then wait for many seconds, in
    which nobody looks after the guest.
    """
    raw.settimeout(_GREETING)
    try:
        if not raw.recv(1, socket.MSG_PEEK):
            raise ConnectionError("closed before a banner")
    except OSError:
        raw.close()
        raise
    raw.settimeout(None)


def _public(known: str) -> paramiko.PKey:
    """The key of a known_hosts value such as ``ssh-ed25519 AAAA...``."""
    import paramiko  # see SshChannel

    kind, _, encoded = known.partition(" ")
    if kind != "ssh-ed25519":
        raise ValueError(f"host key of kind {kind}")
    return paramiko.Ed25519Key(data=base64.b64decode(encoded.split()[0]))
