"""DMA faults that Linux tells on the console."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model import IommuFault
from harness.verdict import faults

SAMPLES = Path(__file__).parents[1] / "data" / "console"


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
def test_vtd(line: str, fault: IommuFault | None) -> None:
    assert faults.from_console([line]) == ((fault,) if fault else ())


def smmu(*said: str, unit: str = "9050000.smmuv3") -> list[str]:
    """Lines as the SMMU's driver prints them."""
    return [f"[    1.234567][  T34] arm-smmu-v3 {unit}: {each}\r" for each in said]


def record(type: int, *words: int, unit: str = "9050000.smmuv3") -> list[str]:
    """arm_smmu_dump_raw_event() of Linux 7.3, after its format strings."""
    return smmu(f"event 0x{type:02x} received:", *(f"\t0x{word:016x}" for word in words), unit=unit)


def test_smmu_of_a_real_kernel() -> None:
    lines = (SAMPLES / "arm64-smmu-faults.log").read_text().splitlines()
    found = faults.from_console(lines)
    assert [(fault.device, fault.reason, fault.pasid, fault.write) for fault in found] == [
        *[("c000000.dma", "F_TRANSLATION", 1, True)] * 2,
        ("c000000.dma", "F_TRANSLATION", 1, False),
        *[("c000000.dma", "F_TRANSLATION", 1, True)] * 3,
        ("c000000.dma", "F_TRANSLATION", 1, False),
        ("c000000.dma", "C_BAD_CD", 0x12, False),
        ("c020000.dma", "C_BAD_CD", 1, False),
    ]
    assert [fault.address for fault in found[:2]] == [0xFFFF_873D_8000, 0xFFFF_8CD7_6000]
    assert sum(" received:" in line for line in lines) == len(found) + 1, "one more was stalled"


# Not of a real kernel: after the format strings of arm_smmu_dump_event(), Linux 7.3.
_UNMAPPED = record(0x10, 0x0000_0100_0000_1810, 0x0000_0200_0000_0000, 0xFFFF_9E40_0000, 0)
_UNMAPPED_SPELT = smmu(
    "event: F_TRANSLATION client: c000000.dma sid: 0x100 ssid: 0x1 iova: 0xffff9e400000 ipa: 0x0",
    'unpriv data write s1 "Input address caused fault" stag: 0x0',
)
_NO_CD = record(0x0A, 0x0000_0100_0000_180A, 0, 0, 0)
_NO_CD_SPELT = smmu("event: C_BAD_CD client: c000000.dma sid: 0x100 ssid: 0x1")
_READ_BY_FUNCTION = record(0x13, 0x0000_0020_0000_0013, 0x0000_0208_0000_0000, 0x1000, 0)
_READ_BY_FUNCTION_SPELT = smmu(
    "event: F_PERMISSION client: 0000:00:04.0 sid: 0x20 ssid: 0x0 iova: 0x1000 ipa: 0x0",
    'unpriv data read s1 "Input address caused fault" stag: 0x0',
)
_NOBODY = record(0x02, 0x0000_0777_0000_0002, 0, 0, 0)
_NOBODY_SPELT = smmu("event: C_BAD_STREAMID client: (unassigned sid) sid: 0x777 ssid: 0x0")
_STALLED = record(0x10, 0x0000_0100_0000_1810, 0x0000_0200_8000_0003, 0xFFFF_9E40_0000, 0)
_STALLED_SPELT = smmu(_UNMAPPED_SPELT[0].split(": ", 1)[1].rstrip(), 'unpriv data write s1 "Reserved" stall stag: 0x3')
_HINT = record(0x24, 0x0000_0100_0000_1824, 0, 0x2000, 0)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (_UNMAPPED + _UNMAPPED_SPELT, IommuFault("c000000.dma", 0xFFFF_9E40_0000, "F_TRANSLATION", 1, True)),
        (_UNMAPPED_SPELT, IommuFault("c000000.dma", 0xFFFF_9E40_0000, "F_TRANSLATION", 1, True)),
        (_UNMAPPED, IommuFault("sid 0x100", 0xFFFF_9E40_0000, "0x10", 1, True)),  # all there was before 6.14
        (_NO_CD + _NO_CD_SPELT, IommuFault("c000000.dma", 0, "C_BAD_CD", 1, False)),
        (_READ_BY_FUNCTION + _READ_BY_FUNCTION_SPELT, IommuFault("00:04.0", 0x1000, "F_PERMISSION", None, False)),
        (_READ_BY_FUNCTION_SPELT, IommuFault("00:04.0", 0x1000, "F_PERMISSION", None, False)),
        (_NOBODY + _NOBODY_SPELT, IommuFault("sid 0x777", 0, "C_BAD_STREAMID", None, False)),
        (_UNMAPPED[:4], None),  # the record is cut, and nothing spells it out
        (_HINT, None),
        (_STALLED, None),
        (_STALLED_SPELT, None),
        (_STALLED + _STALLED_SPELT, None),
        (smmu("EVTQ overflow detected -- events lost"), None),
        (smmu("\t0x0000010000001810", "unpriv data read s1 "), None),
        ([f"kph-agent: {line}" for line in _UNMAPPED], None),
    ],
)
def test_smmu(lines: list[str], fault: IommuFault | None) -> None:
    assert faults.from_console(lines) == ((fault,) if fault else ())


def test_order_is_kept() -> None:
    lines = _UNMAPPED + _UNMAPPED_SPELT + _NO_CD + _NO_CD_SPELT + _READ_BY_FUNCTION
    assert [fault.reason for fault in faults.from_console(lines)] == ["F_TRANSLATION", "C_BAD_CD", "0x13"]


def test_lines_of_two_units_may_alternate() -> None:
    here = record(0x10, 0x0000_0100_0000_0010, 0, 0x1000, 0, unit="9050000.smmuv3")
    there = record(0x10, 0x0000_0200_0000_0010, 0, 0x2000, 0, unit="arm-smmu-v3.1.auto")
    mixed = [line for pair in zip(here, there, strict=True) for line in pair]
    assert [fault.device for fault in faults.from_console(mixed)] == ["sid 0x100", "sid 0x200"]


def test_a_spelt_event_without_its_record_does_not_take_that_of_another() -> None:
    lines = _NO_CD + _NO_CD_SPELT + _UNMAPPED_SPELT
    assert [fault.address for fault in faults.from_console(lines)] == [0, 0xFFFF_9E40_0000]
