"""The guest's console: evidence, never a channel for results."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import io
import select
import socket
import struct
import termios
import threading
import time
from pathlib import Path

from harness.verdict.console import ConsoleWatch

# A guest may print without end. What it said first and last is kept: the cause of a flood, and how it ended.
HEAD = 24 << 20  # bytes, on disk as they come
TAIL = 8 << 20  # bytes, in memory until the console ends

# QEMU sends each byte of the console by itself, which is a wake-up of ours for each on CPUs that the guest needs to
# boot. Longer, and the socket is full of single bytes (278 of them), and the guest waits.
_PAUSE = 0.001  # seconds


class Console:
    """Reads the console socket in a thread of its own, keeps a bounded log, watches for splats."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.bytes = 0  # received so far
        self.closed = threading.Event()  # set when QEMU closed its end
        self.prompt = threading.Event()  # set when each byte must be seen at once: verdicts depend on it
        self._watch = ConsoleWatch()
        self._tail = _Tail()  # what came after HEAD
        self._sought: _Sought | None = None
        self._lock = threading.Lock()
        self._peer: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self, peer: socket.socket) -> None:
        """Begin to read from ``peer``."""
        self._peer = peer
        self._thread = threading.Thread(target=self._read, args=(peer,), daemon=True, name="console")
        self._thread.start()

    def coming(self, word: str) -> threading.Event:
        """Set as soon as ``word`` comes, from here on, or the console ends; until then no other can be waited for."""
        with self._lock:
            self._sought = _Sought(word.encode())
            if self.closed.is_set():
                self._sought.over.set()
            return self._sought.over

    def join(self, seconds: float) -> None:
        """Wait until everything that was sent has been read."""
        if self._thread is not None:
            self._thread.join(seconds)

    def catch_up(self, seconds: float) -> None:
        """Wait until everything that was sent so far has been read, or ``seconds`` are over."""
        deadline = time.monotonic() + seconds
        while not self._caught_up() and time.monotonic() < deadline:
            time.sleep(0.001)

    def _caught_up(self) -> bool:
        with self._lock:  # what the reader has received, it has fed to the watch
            if self._peer is None or self.closed.is_set():
                return True
            (waiting,) = struct.unpack("i", fcntl.ioctl(self._peer, termios.FIONREAD, bytes(4)))
            return not waiting

    def begin_anew(self) -> None:
        """What comes from here on is another guest's: the next lines and splats are its first."""
        with self._lock:
            self._watch = ConsoleWatch()

    def watch(self) -> ConsoleWatch:
        """The parser's state; take what you need and do not keep it."""
        with self._lock:
            return self._watch

    def panic(self) -> str | None:
        """Title of the panic, if there was one."""
        with self._lock:
            return self._watch.panic

    def since(self, mark: int) -> str:
        """What was printed after byte ``mark``, with a line in place of what is not kept."""
        return self.raw(mark).decode(errors="replace")

    def raw(self, mark: int) -> bytes:
        """The same as bytes: HEAD and TAIL of them at most, and that line."""
        head = b""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as source:
            source.seek(mark)
            head = source.read(max(HEAD - mark, 0))
        with self._lock:
            return head + self._tail.since(mark)

    def _read(self, peer: socket.socket) -> None:
        with self.log.open("ab", buffering=0) as sink:
            while self._take(peer, sink):
                self.prompt.wait(_PAUSE)
            with contextlib.suppress(OSError):  # a full disk: what is on it is the evidence
                sink.write(self._tail.since(0))
        with self._lock:
            self.closed.set()
            if self._sought:
                self._sought.over.set()

    def _take(self, peer: socket.socket, sink: io.FileIO) -> bool:
        """Wait for what comes next; False at the end."""
        try:
            poll = select.poll()
            poll.register(peer, select.POLLIN)
            poll.poll()
            with self._lock:  # whoever holds it knows that nothing is on its way from the socket to the watch
                chunk = peer.recv(65536)
                self._keep(sink, chunk)
                self._watch.feed(chunk)
                if self._sought:
                    self._sought.feed(chunk)
        except (OSError, ValueError):  # closed by us
            return False
        return bool(chunk)

    def _keep(self, sink: io.FileIO, chunk: bytes) -> None:
        room = max(HEAD - self.bytes, 0)
        self.bytes += len(chunk)
        if room:
            with contextlib.suppress(
                OSError
            ):  # a full disk costs evidence; a console that nobody reads stops the guest
                sink.write(chunk[:room])
        if len(chunk) > room:
            self._tail.add(chunk[room:])


class _Sought:
    """What somebody waits for on the console; it may come in pieces."""

    def __init__(self, word: bytes) -> None:
        self.over = threading.Event()
        self._word = word
        self._before = b""

    def feed(self, chunk: bytes) -> None:
        text = self._before + chunk
        if self._word in text:
            self.over.set()
        self._before = text[-len(self._word) :]


class _Tail:
    """The newest bytes after HEAD."""

    def __init__(self) -> None:
        self._chunks: collections.deque[bytes] = collections.deque()
        self._size = 0  # bytes in them
        self._lost = 0  # bytes between HEAD and them

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= TAIL:
            gone = len(self._chunks.popleft())
            self._size -= gone
            self._lost += gone

    def since(self, mark: int) -> bytes:
        """What is kept of what came after byte ``mark`` of the console."""
        if not self._size:
            return b""
        first = HEAD + self._lost
        cut = first - max(mark, HEAD)
        note = f"\n[kph: {cut} bytes of the console are not kept]\n".encode() if cut > 0 else b""
        return note + b"".join(self._chunks)[max(mark - first, 0) :]
