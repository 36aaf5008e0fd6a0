"""One saved guest for each target and channel."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from harness.machine import target as targets
from harness.proc import Door
from tests.vm.snapshots.frozen import BOOT, Made, built, linked, uptime

CASES = [(name, channel) for name in targets.known() for channel in ("serial", "ssh")]


@pytest.fixture(scope="package", params=CASES, ids="-".join)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    name, channel = request.param
    folder = tmp_path_factory.mktemp(name)
    door = Door(folder / "commands.log")
    shot, guest = built(name, channel, folder, door)
    roles = {role: each.device for role, each in targets.load(name).roles.items()}
    with shot:
        started = time.monotonic()
        with shot.boot(folder / "boot") as vm:
            link = linked(vm, guest)
            assert link.wait_hello(BOOT), vm.console.since(0)[-2000:]
            boot = time.monotonic() - started
            assert link.call("roles", roles)["ret"] == 0
            before = uptime(link)
            if guest.ssh is not None:
                link.close()
            print(shot.save(vm))
        yield Made(shot, guest, roles, before, boot, folder)
