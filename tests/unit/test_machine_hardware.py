"""What QEMU tells of the hardware, in the guest's words."""

from __future__ import annotations

from typing import Any

from harness.machine import hardware, target

ROLES = target.load("x86_64-vtd").roles


def _parse(*rows: dict[str, Any], truncated: bool = False) -> tuple[Any, ...]:
    return hardware.parse({"rows": list(rows), "kept": 0, "truncated": truncated}, ROLES.values())


def test_requesters_are_called_as_the_guest_calls_the_devices() -> None:
    assert _parse({"kind": "entry", "requester": 0x28, "pasid": 1}) == (
        {"kind": "entry", "device": "0000:00:05.0", "pasid": 1},
    )


def test_a_requester_without_role_keeps_its_number() -> None:
    assert _parse({"kind": "entry", "requester": 0x10}) == ({"kind": "entry", "device": "0x10"},)


def test_a_row_without_requester_stays_as_it_is() -> None:
    assert _parse({"kind": "translation", "domain": 5}) == ({"kind": "translation", "domain": 5},)


def test_what_was_left_out_is_a_row() -> None:
    assert _parse(truncated=True) == ({"kind": "truncated"},)


def test_every_role_with_a_device_of_its_own_has_a_requester() -> None:
    for name in target.known():
        roles = target.load(name).roles.values()
        wanted = [role for role in roles if role.argv]
        assert all(role.requester is not None for role in wanted)
        assert len({role.requester for role in wanted}) == len(wanted)
