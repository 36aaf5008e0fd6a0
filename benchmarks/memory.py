"""Memory of a process and all that it started, sampled while it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_PERIOD = 0.05  # seconds between two samples


@dataclass(frozen=True)
class Use:
    """Bytes at one moment; a page that several processes share counts once in the sum over them."""

    private: int  # anonymous pages and pages of files
    shared: int  # mapped pages of shared memory


def use(rollup: str) -> Use:
    """What /proc/PID/smaps_rollup says (proc(5)); nothing for the empty one of a process that is gone."""
    kib = {}
    for line in rollup.splitlines():
        name, _, rest = line.partition(":")
        if name.startswith("Pss"):
            kib[name] = int(rest.split()[0])
    return Use((kib.get("Pss_Anon", 0) + kib.get("Pss_File", 0)) << 10, kib.get("Pss_Shmem", 0) << 10)


def total(uses: Iterable[Use], files: int) -> int:
    """Bytes of them all, with ``files`` bytes in shared memory, of which some may be mapped."""
    found = tuple(uses)
    return sum(each.private for each in found) + max(sum(each.shared for each in found), files)


def family(parents: Mapping[int, int], root: int) -> frozenset[int]:
    """``root`` and its descendants; ``parents``: process -> its parent."""
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return frozenset(found)


class Sampler:
    """``with Sampler(pid) as sampler``: afterwards ``peak`` is the most that was seen, in bytes."""

    def __init__(self, root: int, shared: Path = Path("/dev/shm"), prefix: str = "kph-memory-") -> None:
        self._root, self._shared, self._prefix = root, shared, prefix
        self._before = frozenset(shared.glob(f"{prefix}*"))  # of others
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = 0
        self.samples = 0

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD):
            uses = [use(_read(Path(f"/proc/{pid}/smaps_rollup"))) for pid in family(_parents(), self._root)]
            self.peak = max(self.peak, total(uses, self._files()))
            self.samples += 1

    def _files(self) -> int:
        folders = set(self._shared.glob(f"{self._prefix}*")) - self._before
        found = 0
        for folder in folders:
            with contextlib.suppress(OSError):  # it may go while we look
                found += sum(file.stat().st_blocks * 512 for file in folder.iterdir())
        return found


def _parents() -> dict[int, int]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # pid (command, which may hold anything) state ppid ...
        fields = _read(folder / "stat").rpartition(")")[2].split()
        if len(fields) > 1:
            found[int(folder.name)] = int(fields[1])
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
