"""The one door through which processes start.

Every command goes to the log in a form that can be pasted into a shell, every
wait has a deadline, and every process dies with us: children lead their own
process group, which is killed on the way out, and ``setpriv --pdeathsig`` covers
the case in which the harness itself is killed. The kernel ties that signal to
the *thread* that started the child (prctl(2), PR_SET_PDEATHSIG), so start
processes from threads that outlive them.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness.errors import InfraError
from harness.timing import Timeline

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Finished:
    """A process that ended."""

    argv: tuple[str, ...]
    status: int  # exit status; negative: the signal that ended it
    output: str  # standard output and error together; empty when they went to a file
    seconds: float  # wall time


@dataclass
class Door:
    """Starts processes and writes down what it started."""

    log: Path | None = None  # file that receives one paste-able line per command
    timeline: Timeline | None = None  # where each process is a span
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _children: set[subprocess.Popen[bytes]] = field(default_factory=set, repr=False)
    _closed: bool = False

    def close(self) -> None:
        """End every running process and start no more: other threads then fail instead of going on."""
        with self._lock:
            self._closed = True
            children = tuple(self._children)
        for child in children:
            _end(child, grace=1.0)  # its pipes belong to the thread that reads them

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        timeout: float,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        output: Path | None = None,
        check: bool = True,
    ) -> Finished:
        """Run to the end. ``env`` is added to ours; ``output`` appends to a file instead of returning text.

        Raises InfraError when the program is missing, does not end within
        ``timeout`` seconds or (with ``check``) ends with a status other than 0.
        """
        started = time.monotonic()
        with self.spawn(argv, cwd=cwd, env=env, output=output, pipe_in=stdin is not None) as child:
            try:
                text, _ = child.communicate(stdin, timeout=timeout)
            except subprocess.TimeoutExpired as late:
                raise InfraError(
                    f"{argv[0]} did not end within {timeout:.0f} s: {paste(argv, cwd, env)}",
                    "run the command by hand to see where it stands",
                ) from late
        done = Finished(
            tuple(map(str, argv)),
            child.returncode,
            (text or b"").decode(errors="replace"),
            time.monotonic() - started,
        )
        if check and done.status != 0:
            raise InfraError(
                f"{argv[0]} failed (status {done.status}): {paste(argv, cwd, env)}\n{_tail(done.output, output)}",
                "the lines above are the command's own last words",
            )
        return done

    @contextlib.contextmanager
    def spawn(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        output: Path | None = None,
        pipe_in: bool = False,
        pass_fds: Sequence[int] = (),
        tree: bool = False,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running process; its whole group is gone when the block is left. Raises InfraError if it is missing.

        ``tree``: it starts processes of its own (make, ninja), which must not outlive a harness that is killed.
        """
        self._write(argv, cwd, env)
        if shutil.which(str(argv[0])) is None:
            raise InfraError(f"the program {argv[0]} is not installed", "kph doctor names the package")
        with contextlib.ExitStack() as stack:
            if self.timeline is not None:
                span = self.timeline.span(Path(argv[0]).name, "process", command=paste(argv, cwd, env))
                stack.enter_context(span)
            sink: IO[bytes] | int = subprocess.PIPE
            if output is not None:
                sink = stack.enter_context(output.open("ab"))
            with self._lock:  # a child is either refused or known to close()
                if self._closed:
                    raise InfraError(f"{argv[0]} is not started: the run is being ended")
                child = subprocess.Popen(
                    [*_tied_to_us(tree), *map(str, argv)],
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.PIPE if pipe_in else subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=tuple(pass_fds),
                )
                self._children.add(child)
            stack.callback(self._children.discard, child)
            stack.callback(stop, child)
            yield child

    def _write(self, argv: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str] | None) -> None:
        if self.log is None:
            return
        with self._lock, self.log.open("a") as sink:
            sink.write(paste(argv, cwd, env) + "\n")


def stop(child: subprocess.Popen[bytes], grace: float = _GRACE) -> None:
    """End the process group of ``child`` and close its pipes: SIGTERM, then SIGKILL after ``grace`` seconds."""
    _end(child, grace)
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        if child.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(wait)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)  # grandchildren that outlived their parent


def paste(argv: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """The command as a line for a POSIX shell."""
    words = [f"{name}={shlex.quote(value)}" for name, value in sorted((env or {}).items())]
    line = " ".join([*words, *(shlex.quote(str(word)) for word in argv)])
    return f"cd {shlex.quote(str(cwd))} && {line}" if cwd else line


# A harness that was killed before setpriv asked for the signal will never cause it: by then the child has another
# parent, which is what tells.
_ONLY_IF_OURS = '[ "$PPID" = "$1" ] || exit 1; shift\n'

# The kernel's signal reaches one process, not those that it started: a shell stands before them and passes it on to
# its whole group. SIGTERM, with which stop() begins, goes to the group as well; the shell then waits, so that make can
# remove what it was writing.
_GUARD = """
trap 'kill -KILL 0' USR1
trap : TERM
"$@" &
child=$!
while :; do
    wait "$child"
    status=$?
    kill -0 "$child" 2>/dev/null || break
done
exit "$status"
"""


def _tied_to_us(tree: bool) -> tuple[str, ...]:
    if not shutil.which("setpriv"):
        return ()
    signal_name, script = ("USR1", _GUARD) if tree else ("KILL", 'exec "$@"')
    guard = ("sh", "-c", _ONLY_IF_OURS + script, "kph-guard", str(os.getpid()))
    return ("setpriv", "--pdeathsig", signal_name, "--", *guard)


def _tail(text: str, file: Path | None, lines: int = 20) -> str:
    if file is not None:
        with contextlib.suppress(OSError):
            text = file.read_text(errors="replace")
    return "\n".join("    " + line for line in text.splitlines()[-lines:])
