"""What every channel is: lines to the agent, lines back."""

from __future__ import annotations

from typing import Protocol

LINE_LIMIT = 65536  # bytes of one protocol line with its newline


class ChannelClosed(Exception):
    """The other end is gone, or no longer speaks lines."""


class Channel(Protocol):
    """A byte stream to the agent, cut into lines. A channel that broke stays broken."""

    def send(self, line: bytes) -> None:
        """Send ``line`` and a newline. Raises ChannelClosed."""

    def receive(self, seconds: float) -> bytes | None:
        """The next line without its newline, or None when none came in time. Raises ChannelClosed."""

    def close(self) -> None:
        """Let go of it; the guest notices."""
