"""DMA faults, as Linux tells them on the console.

What a run is judged by is the trace of the emulated IOMMU: the suite's ``faults:`` says which of its events are
faults, and ``harness.scenario.observe`` reads them. Linux limits the rate of its lines and an IOMMU may lose a record,
so a line missing on the console proves nothing. But the console is all there is of a machine that is not emulated,
and only its lines name a device that is no PCI function.

One IOMMU is one teller: a class with ``take()`` and ``end()``, and an entry in ``_TELLERS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from harness.model import IommuFault

_PCI = re.compile(r"(?:[0-9a-f]{4,8}:)?(?P<function>[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")


class Teller(Protocol):
    """Follows the lines of one driver. A fault may take several lines."""

    def take(self, line: str) -> IommuFault | None:
        """The fault that this line completes, or shows to have been complete."""

    def end(self) -> tuple[IommuFault, ...]:
        """What the last lines told, as far as they went."""


def from_console(lines: Iterable[str]) -> tuple[IommuFault, ...]:
    """The faults that Linux reports on these lines of the console, in its order."""
    tellers = tuple(make() for make in _TELLERS)
    found: list[IommuFault] = []
    for line in lines:
        if not line.startswith("kph-agent"):  # quoted by user space
            found += filter(None, (teller.take(line.rstrip()) for teller in tellers))
    return (*found, *(fault for teller in tellers for fault in teller.end()))


def _device(name: str) -> str:
    """A device as Linux names it; a PCI function without its domain."""
    found = _PCI.fullmatch(name)
    return found["function"] if found else name


class Dmar:
    """Intel VT-d: one line each."""

    # drivers/iommu/intel/dmar.c: dmar_fault_do_one(). The PCI segment ("0000:") is printed since 6.1.
    _LINE = re.compile(
        r"DMAR: \[DMA (?P<way>Read|Write) (?:NO_PASID|PASID 0x(?P<pasid>[0-9a-f]{1,8}))\] Request device "
        r"\[(?P<device>[0-9a-f:]{5,14}\.[0-7])\] fault addr 0x(?P<address>[0-9a-f]{1,16}) "
        r"\[fault reason 0x(?P<reason>[0-9a-f]{2})\]"
    )

    def take(self, line: str) -> IommuFault | None:
        found = self._LINE.search(line)
        if found is None:
            return None
        return IommuFault(
            device=_device(found["device"]),
            address=int(found["address"], 16),
            reason=f"0x{found['reason']}",
            pasid=None if found["pasid"] is None else int(found["pasid"], 16),
            write=found["way"] == "Write",
        )

    def end(self) -> tuple[IommuFault, ...]:
        return ()


@dataclass
class _Event:
    """An event of an SMMUv3 while its lines come in."""

    type: int  # number of the event
    words: list[int]  # the record, 64 bits each; complete with four
    name: str = ""  # the event as the driver names it
    client: str = ""  # the master as the driver names it
    sid: int = 0
    ssid: int | None = None
    address: int = 0
    write: bool = False
    stalled: bool = False

    def fault(self) -> IommuFault:
        return IommuFault(
            device=_device(self.client) if self.client else f"sid {self.sid:#x}",
            address=self.address,
            reason=self.name or f"{self.type:#04x}",
            pasid=self.ssid,
            write=self.write,
        )


class Smmu:
    """Arm SMMUv3: the record in five lines; one or two that spell it out since 6.14.

    drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c: arm_smmu_dump_event(). An event with STALL is
    no fault, although Linux prints it when nobody takes it as a page fault (say, in an unbind):
    the transaction waits, and is not refused by the SMMU. QEMU's trace says the same.
    """

    _LINE = re.compile(r"arm-smmu-v3 (?P<smmu>\S{1,64}): (?P<said>.*)")
    _FIRST = re.compile(r"event 0x(?P<type>[0-9a-f]{2}) received:$")
    _WORD = re.compile(r"\t0x(?P<word>[0-9a-f]{16})$")
    _SPELT = re.compile(
        r"event: (?P<name>\w+) client: (?P<client>\(unassigned sid\)|\S+) "
        r"sid: (?P<sid>0x[0-9a-f]{1,8}) ssid: (?P<ssid>0x[0-9a-f]{1,8})(?: iova: (?P<iova>0x[0-9a-f]{1,16}) .*)?"
    )
    _WAY = re.compile(r"(?:un)?priv (?:data|inst) (?P<way>read|write) s[12] .*?(?P<stall> stall)? stag: ")
    # Arm IHI 0070, 7.3: the record. A record of another type has neither address nor direction.
    _TRANSLATION = frozenset({0x10, 0x11, 0x12, 0x13})
    _E_PAGE_REQUEST = 0x24  # a hint that a page will be wanted: no transaction was refused

    def __init__(self) -> None:
        self._open: dict[str, _Event] = {}  # by the SMMU's name

    def take(self, line: str) -> IommuFault | None:
        found = self._LINE.search(line)
        if found is None:
            return None
        smmu, said = found["smmu"], found["said"]
        first, spelt = self._FIRST.match(said), self._SPELT.match(said)
        if first is not None:
            done = self._close(smmu)
            self._open[smmu] = _Event(int(first["type"], 16), [])
            return done
        if spelt is not None:
            return self._spelt(smmu, spelt)
        if smmu in self._open:
            self._more(self._open[smmu], said)
        return None

    def end(self) -> tuple[IommuFault, ...]:
        return tuple(filter(None, [self._close(smmu) for smmu in tuple(self._open)]))

    def _close(self, smmu: str) -> IommuFault | None:
        event = self._open.pop(smmu, None)
        if event is None or event.stalled or event.type == self._E_PAGE_REQUEST:
            return None
        return event.fault() if len(event.words) == 4 or event.name else None

    def _spelt(self, smmu: str, spelt: re.Match[str]) -> IommuFault | None:
        event, done = self._open.get(smmu), None
        if event is None or event.name:  # the lines before it were lost
            done = self._close(smmu)
            event = self._open[smmu] = _Event(0, [])
        event.name = "" if spelt["name"] == "UNKNOWN" else spelt["name"]
        event.client = "" if spelt["client"].startswith("(") else spelt["client"]
        if len(event.words) < 4:
            event.sid, event.ssid = int(spelt["sid"], 16), int(spelt["ssid"], 16) or None
            event.address = int(spelt["iova"] or "0", 16)
        return done

    def _more(self, event: _Event, said: str) -> None:
        word, way = self._WORD.match(said), self._WAY.match(said)
        if word is not None and len(event.words) < 4:
            event.words.append(int(word["word"], 16))
            if len(event.words) == 4:
                self._decode(event)
        elif way is not None:
            event.write, event.stalled = way["way"] == "write", way["stall"] is not None

    def _decode(self, event: _Event) -> None:
        low, high, address, _ = event.words
        event.sid = low >> 32
        event.ssid = low >> 12 & 0xFFFFF if low >> 11 & 1 else None
        if event.type in self._TRANSLATION:
            event.address, event.write = address, not high >> 35 & 1
            event.stalled = bool(high >> 31 & 1)


_TELLERS: tuple[Callable[[], Teller], ...] = (Dmar, Smmu)
