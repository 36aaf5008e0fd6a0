"""DMA faults, as Linux tells them on the console and as the emulated IOMMU tells them in QEMU's trace.

QEMU's trace is the better witness: Linux limits the rate of its lines, and the emulated
IOMMU has one fault record, so a line missing on the console proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.model import IommuFault

# drivers/iommu/intel/dmar.c: dmar_fault_do_one(). The PCI segment ("0000:") is printed since 6.1.
_DMAR = re.compile(
    r"DMAR: \[DMA (?P<way>Read|Write) (?:NO_PASID|PASID 0x(?P<pasid>[0-9a-f]{1,8}))\] Request device "
    r"\[(?:[0-9a-f]{4,8}:)?(?P<device>[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\] fault addr 0x(?P<address>[0-9a-f]{1,16}) "
    r"\[fault reason 0x(?P<reason>[0-9a-f]{2})\]"
)
# hw/i386/trace-events: vtd_dmar_fault. The release prints the reason in decimal and no PASID; our patch adds both.
_TRACE = re.compile(
    r"\bvtd_dmar_fault sid 0x(?P<sid>[0-9a-f]{1,4}) fault (?P<reason>0x[0-9a-f]{1,2}|\d{1,3}) "
    r"addr 0x(?P<address>[0-9a-f]{1,16}) write (?P<write>[01])"
    r"(?: has_pasid (?P<has>[01]) pasid 0x(?P<pasid>[0-9a-f]{1,8}))?$"
)


def from_console(lines: Iterable[str]) -> tuple[IommuFault, ...]:
    """The faults that Linux reports on these lines of the console."""
    return tuple(fault for fault in map(_dmar, lines) if fault is not None)


def from_qemu(lines: Iterable[str]) -> tuple[IommuFault, ...]:
    """The faults that QEMU's trace log (``-trace vtd_dmar_fault``) reports, in the order of the DMA."""
    return tuple(fault for fault in map(_vtd, lines) if fault is not None)


def _dmar(line: str) -> IommuFault | None:
    found = _DMAR.search(line)
    if found is None or line.startswith("kph-agent"):
        return None
    return IommuFault(
        device=found["device"],
        address=int(found["address"], 16),
        reason=f"0x{found['reason']}",
        pasid=None if found["pasid"] is None else int(found["pasid"], 16),
        write=found["way"] == "Write",
    )


def _vtd(line: str) -> IommuFault | None:
    found = _TRACE.search(line.rstrip())
    if found is None:
        return None
    source = int(found["sid"], 16)  # bus << 8 | device << 3 | function
    return IommuFault(
        device=f"{source >> 8:02x}:{source >> 3 & 0x1F:02x}.{source & 7}",
        address=int(found["address"], 16),
        reason=f"0x{int(found['reason'], 0):02x}",
        pasid=int(found["pasid"], 16) if found["has"] == "1" else None,
        write=found["write"] == "1",
    )
