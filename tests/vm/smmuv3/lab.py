"""A machine with three address spaces behind SSIDs 0, 1 and 2 of its first two streams: where most tests begin."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.model import Qemu
from tests.vm.smmuv3.bench import Bench, Wiring, open_bench
from tests.vm.smmuv3.board import CDTAB, DATA, Board, Master, Space, Ste, platform

SIDS = (0x100, 0x101, 0x102)  # StreamIDs of the masters; the third cannot stall
SSIDS = (0, 1, 2)
PAGE = 0x1000  # mapped in each space, to a page of its own
HOLE = 0x5000  # mapped in none
CD_SIZE = 64  # bytes


@dataclass(frozen=True)
class Lab:
    """The machine and its parts."""

    bench: Bench
    board: Board
    masters: tuple[Master, ...]
    spaces: tuple[Space, ...]  # by SSID


def content(ssid: int) -> int:
    """What PAGE has in the space of ``ssid``."""
    return 0x1111 * (ssid + 1)


def page(ssid: int) -> int:
    """Physical address of PAGE in the space of ``ssid``."""
    return DATA + 0x1000 * ssid


def asid(ssid: int) -> int:
    """The ASID of the space of ``ssid``."""
    return 10 + ssid


def furnish(board: Board, stall: bool = False, entry: Ste | None = None) -> tuple[Space, ...]:
    """Fill the tables; the spaces by SSID."""
    spaces = tuple(board.space() for _ in SSIDS)
    for ssid, space in enumerate(spaces):
        space.map(PAGE, page(ssid))
        board.bench.write64(page(ssid), content(ssid))
        board.cd(CDTAB + CD_SIZE * ssid, asid(ssid), space.root, stall)
    for sid in SIDS[:2]:
        board.ste(sid, entry or Ste())
    board.cfgi_all()
    return spaces


@contextlib.contextmanager
def open_lab(
    qemu: Qemu,
    folder: Path,
    wiring: Wiring | None = None,
    *,
    stall: bool = False,
    entry: Ste | None = None,
    events_log2: int = 4,
) -> Iterator[Lab]:
    """``stall``: CD.S of all. ``entry``: of the first two streams. ``events_log2``: size of the event queue."""
    with open_bench(qemu, folder, wiring or Wiring()) as bench:
        board = Board(bench, events_log2)
        spaces = furnish(board, stall, entry)
        yield Lab(bench, board, tuple(platform(bench, number) for number in range(len(SIDS))), spaces)


OpenLab = Callable[..., AbstractContextManager[Lab]]
