"""What the machine's hardware would use now: rows that QEMU tells, with devices called as the guest calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qemu.qmp.error import QMPError

from harness.errors import InfraError, UserError
from harness.machine.target import Role, Target
from harness.machine.vm import Vm


def rows(vm: Vm, target: Target) -> tuple[Mapping[str, Any], ...]:
    """Ask ``vm``. Raises UserError when the target does not say how, InfraError when QEMU does not know the command."""
    if target.hardware is None:
        raise UserError(
            f"the target {target.name} does not say how its hardware is asked, but the suite wants to know",
            "add 'hardware' to its file, as in qemu/machines",
        )
    try:
        reply = vm.qmp(target.hardware)
    except QMPError as error:
        raise InfraError(
            f"QEMU does not tell what its hardware would use: {error}",
            "apply qemu/patches and build again; or leave --qemu out",
        ) from error
    return parse(reply, target.roles.values())


def parse(reply: Mapping[str, Any], roles: Iterable[Role]) -> tuple[Mapping[str, Any], ...]:
    """The rows of QEMU's ``reply``; a row of kind ``truncated`` when it left some out."""
    names = {role.requester: role.device for role in roles if role.requester is not None}
    cut = [{"kind": "truncated"}] if reply["truncated"] else []
    return tuple(_named(row, names) for row in (*reply["rows"], *cut))


def _named(row: Mapping[str, Any], names: Mapping[int, str]) -> Mapping[str, Any]:
    if "requester" not in row:
        return row
    return {("device" if key == "requester" else key): _device(key, value, names) for key, value in row.items()}


def _device(key: str, value: Any, names: Mapping[int, str]) -> Any:
    return names.get(value, f"{value:#x}") if key == "requester" else value
