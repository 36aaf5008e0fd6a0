"""DMA faults from the console and from QEMU's trace."""

from __future__ import annotations

import pytest

from harness.model import IommuFault
from harness.verdict import faults


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            "[   12.004][   C0] DMAR: [DMA Read NO_PASID] Request device [0000:00:04.0] fault addr 0x7f12345000 "
            "[fault reason 0x59] SM: Present bit in PASID Table entry is clear",
            IommuFault("00:04.0", 0x7F12345000, "0x59", None, False),
        ),
        (
            "DMAR: [DMA Write PASID 0x1f] Request device [03:1f.7] fault addr 0x0 [fault reason 0x71] SM: x",
            IommuFault("03:1f.7", 0, "0x71", 0x1F, True),
        ),
        ("DMAR: DRHD: handling fault status reg 2", None),
        ("DMAR: [INTR-REMAP] Request device [0000:00:04.0] fault index 0x0 [fault reason 0x22] x", None),
        (
            "kph-agent: DMAR: [DMA Read NO_PASID] Request device [0000:00:04.0] fault addr 0x1 [fault reason 0x59] x",
            None,
        ),
    ],
)
def test_console(line: str, fault: IommuFault | None) -> None:
    assert faults.from_console([line]) == ((fault,) if fault else ())


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("vtd_dmar_fault sid 0x20 fault 89 addr 0x7f00 write 0\n", IommuFault("00:04.0", 0x7F00, "0x59", None, False)),
        (
            "vtd_dmar_fault sid 0x1ff fault 0x59 addr 0xffffffffffffffff write 1 has_pasid 1 pasid 0xfffff",
            IommuFault("01:1f.7", 2**64 - 1, "0x59", 0xFFFFF, True),
        ),
        (
            "vtd_dmar_fault sid 0x20 fault 0x5 addr 0x1000 write 1 has_pasid 0 pasid 0x0",
            IommuFault("00:04.0", 0x1000, "0x05", None, True),
        ),
        (
            "4711@1700000000.123456:vtd_dmar_fault sid 0x20 fault 2 addr 0x0 write 0",
            IommuFault("00:04.0", 0, "0x02", None, False),
        ),
        ("vtd_dmar_fault sid 0x20 fault", None),
        ("vtd_inv_desc_wait_irq", None),
    ],
)
def test_trace(line: str, fault: IommuFault | None) -> None:
    assert faults.from_qemu([line]) == ((fault,) if fault else ())


def test_order_is_kept() -> None:
    lines = [f"vtd_dmar_fault sid 0x20 fault 89 addr {address:#x} write 0" for address in (3, 1, 2)]
    assert [fault.address for fault in faults.from_qemu(lines)] == [3, 1, 2]
