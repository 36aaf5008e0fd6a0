"""What was seen beside the replies: events of the emulated hardware, lines of the kernel. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.model import IommuFault
from harness.scenario import match
from harness.scenario.link import TraceEvent
from harness.scenario.schema import FaultFields


def chosen(events: Iterable[TraceEvent], name: str, where: Mapping[str, Any]) -> tuple[TraceEvent, ...]:
    """The events called ``name`` whose fields match ``where``."""
    return tuple(
        event
        for event in events
        if event.name == name
        and all(match.holds(matcher, event.fields.get(field, match.ABSENT)) for field, matcher in where.items())
    )


def show_events(events: Sequence[TraceEvent]) -> str:
    """How many, and the first of them."""
    if not events:
        return "none"
    listed = "; ".join(
        " ".join(f"{name}={value:#x}" for name, value in event.fields.items()) or event.name for event in events[:5]
    )
    return f"{len(events)}: {listed}{' ...' if len(events) > 5 else ''}"


def iommu_faults(kinds: Mapping[str, FaultFields], events: Iterable[TraceEvent]) -> tuple[IommuFault, ...]:
    """The faults among ``events``."""
    found = []
    for event in events:
        if event.name not in kinds:
            continue
        names, fields = kinds[event.name], event.fields
        found.append(
            IommuFault(
                device=_address_of(fields.get(names.device)) if names.device else "?",
                address=int(fields.get(names.address, 0)),
                reason=f"{fields.get(names.reason, 0):#x}",
                pasid=fields.get(names.pasid) if names.pasid else None,
                write=bool(fields.get(names.write)) if names.write else False,
            )
        )
    return tuple(found)


def _address_of(requester: int | None) -> str:
    """A PCI requester ID (PCIe r6.0, 2.2.6.2) as bus:device.function."""
    if requester is None:
        return "?"
    return f"{requester >> 8 & 0xFF:02x}:{requester >> 3 & 0x1F:02x}.{requester & 7:x}"


def lines_with(pattern: str, console: str) -> tuple[str, ...]:
    """Console lines in which the regular expression is found."""
    return tuple(line.strip() for line in console.splitlines() if re.search(pattern, line))
