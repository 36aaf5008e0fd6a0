"""Tests with kernels run beside each other, but for one that wants to be alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.vm import room

_SOON = 10.0  # seconds, on a busy machine
_NEVER = 0.3  # seconds without which it would have happened


class Guest:
    """Somebody who enters when it is let in, and stays until it is asked to leave."""

    def __init__(self, folder: Path, alone: bool) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._stay, args=(folder, alone))
        self._thread.start()

    def _stay(self, folder: Path, alone: bool) -> None:
        with room.entered(alone, folder):
            self.inside.set()
            self.leave.wait()

    def left(self) -> None:
        self.leave.set()
        self._thread.join(_SOON)


class House:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack

    def guest(self, alone: bool = False) -> Guest:
        guest = Guest(self._folder, alone)
        self._stack.callback(guest.left)
        return guest


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path / "room", stack)


def test_others_come_in_beside_each_other(house: House) -> None:
    assert all(house.guest().inside.wait(_SOON) for _ in range(3))


def test_one_that_is_alone_waits_for_others_and_they_for_it(house: House) -> None:
    first = house.guest()
    assert first.inside.wait(_SOON)
    alone = house.guest(alone=True)
    assert not alone.inside.wait(_NEVER)
    # It is not passed, or it would wait until nobody is left.
    third = house.guest()
    assert not third.inside.wait(_NEVER)
    first.left()
    assert alone.inside.wait(_SOON) and not third.inside.wait(_NEVER)
    alone.left()
    assert third.inside.wait(_SOON)
