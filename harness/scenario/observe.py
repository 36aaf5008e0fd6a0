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
        " ".join(f"{name}={_shown(value)}" for name, value in event.fields.items()) or event.name
        for event in events[:5]
    )
    return f"{len(events)}: {listed}{' ...' if len(events) > 5 else ''}"


def _shown(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else str(value)


def iommu_faults(kinds: Mapping[str, FaultFields], events: Iterable[TraceEvent]) -> tuple[IommuFault, ...]:
    """The faults among ``events``."""
    return tuple(_fault(kinds[event.name], event.fields) for event in events if event.name in kinds)


def fault_events(kinds: Mapping[str, FaultFields], events: Iterable[TraceEvent]) -> tuple[TraceEvent, ...]:
    """The same faults as events whose fields have one meaning, whichever IOMMU reports them."""
    found = []
    for event in events:
        if event.name in kinds:
            fault = _fault(kinds[event.name], event.fields)
            why = _why(kinds[event.name], event.fields)
            fields: dict[str, int | str] = {"why": why, "device": fault.device, "address": fault.address}
            fields["write"] = int(fault.write)
            if fault.pasid is not None:
                fields["pasid"] = fault.pasid
            found.append(TraceEvent("fault", fields))
    return tuple(found)


FAULT_FIELDS = ("why", "device", "address", "write", "pasid")  # of fault_events


def _fault(names: FaultFields, fields: Mapping[str, int | str]) -> IommuFault:
    def number(name: str | None) -> int | None:
        return int(fields[name]) if name is not None and name in fields else None

    stream, requester = number(names.stream), number(names.device)
    with_pasid = names.has_pasid is None or bool(number(names.has_pasid))
    return IommuFault(
        device=f"sid {stream:#x}" if stream is not None else _address_of(requester),
        address=number(names.address) or 0,
        reason=" ".join(filter(None, (f"{number(names.reason) or 0:#x}", _why(names, fields)))),
        pasid=number(names.pasid) if with_pasid else None,
        write=bool(number(names.write)),
    )


def _why(names: FaultFields, fields: Mapping[str, int | str]) -> str:
    return names.why.get(int(fields.get(names.reason, 0)), "")


def _address_of(requester: int | None) -> str:
    """A PCI requester ID (PCIe r6.0, 2.2.6.2) as bus:device.function."""
    if requester is None:
        return "?"
    return f"{requester >> 8 & 0xFF:02x}:{requester >> 3 & 0x1F:02x}.{requester & 7:x}"


def lines_with(pattern: str, console: str) -> tuple[str, ...]:
    """Console lines in which the regular expression is found."""
    return tuple(line.strip() for line in console.splitlines() if re.search(pattern, line))
