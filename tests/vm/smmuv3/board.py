"""What a driver would do: tables in memory, commands, events, and transfers of the masters."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.vm.smmuv3 import regs
from tests.vm.smmuv3.bench import SETTLE, Bench
from tests.vm.smmuv3.events import SIZE, Event, decode
from tests.vm.smmuv3.regs import Cmd, Status

STRTAB, CDTAB, TABLES, CMDQ, EVENTQ, DATA = (0x4100_0000 + (number << 24) for number in range(6))
_STREAMS_LOG2 = 9
_COMMANDS_LOG2 = 8
_PAGE = 0x1000


@dataclass(frozen=True)
class Ste:
    """A stream table entry."""

    valid: bool = True
    config: int = regs.CONFIG_S1
    fmt: int = regs.S1FMT_LINEAR
    cdmax: int = 4  # S1CDMax: bits of a SubstreamID
    dss: int = regs.S1DSS_SSID0
    stalld: bool = False
    eats: int = regs.EATS_ABORT

    def words(self) -> tuple[int, int, int]:
        """Its first three words; the others are zero."""
        first = regs.STE_V * self.valid | self.config << regs.STE_CONFIG_SHIFT | self.fmt << regs.STE_S1FMT_SHIFT
        third = self.dss | regs.STE_S1STALLD * self.stalld | self.eats << regs.STE_EATS_SHIFT
        return first | CDTAB, self.cdmax << regs.STE_S1CDMAX_SHIFT, third


@dataclass(frozen=True)
class Space:
    """Page tables, of which the test fills the last level of the first 2 MiB."""

    bench: Bench
    root: int  # for CD.TTB0
    last: int

    def map(self, address: int, page: int, readonly: bool = False) -> None:
        """Map the page at ``address`` to the physical one."""
        flags = regs.PTE_PAGE | regs.PTE_AF | (regs.PTE_RDONLY if readonly else 0)
        self.bench.write64(self.last + 8 * (address // _PAGE), page | flags)

    def unmap(self, address: int) -> None:
        """Unmap the page at ``address``; no invalidation."""
        self.bench.write64(self.last + 8 * (address // _PAGE), 0)


class Board:
    """The SMMU of a bench with its tables and queues."""

    def __init__(self, bench: Bench, events_log2: int = 4) -> None:
        self.bench = bench
        self._events_log2 = events_log2  # EVENTQ_BASE.LOG2SIZE
        self._spaces = 0
        self.start()

    def start(self) -> None:
        """Give the SMMU its tables and queues and enable it, as after a reset."""
        self._produced = self._consumed = 0
        at, write32, write64 = regs.SMMU, self.bench.write32, self.bench.write64
        write64(at + regs.STRTAB_BASE, STRTAB)
        write32(at + regs.STRTAB_BASE_CFG, _STREAMS_LOG2)
        write64(at + regs.CMDQ_BASE, CMDQ | _COMMANDS_LOG2)
        write64(at + regs.EVENTQ_BASE, EVENTQ | self._events_log2)
        for register in (regs.CMDQ_PROD, regs.CMDQ_CONS, regs.EVENTQ_PROD, regs.EVENTQ_CONS):
            write32(at + register, 0)
        write32(at + regs.CR0, regs.CR0_SMMUEN | regs.CR0_EVENTQEN | regs.CR0_CMDQEN)

    def register(self, offset: int) -> int:
        """A register of the SMMU."""
        return self.bench.read32(regs.SMMU + offset)

    def disable(self) -> None:
        """Clear CR0.SMMUEN."""
        self.bench.write32(regs.SMMU + regs.CR0, regs.CR0_EVENTQEN | regs.CR0_CMDQEN)

    # --- tables ---------------------------------------------------------------
    def ste(self, sid: int, entry: Ste) -> None:
        """Store a stream table entry; no invalidation."""
        for number, word in enumerate(entry.words()):
            self.bench.write32(STRTAB + 64 * sid + 4 * number, word)

    def cd(self, at: int, asid: int, root: int, stall: bool = False, record: bool = True, valid: bool = True) -> None:
        """Store a context descriptor at address ``at``; no invalidation."""
        second = regs.CD_IPS_44_BITS | regs.CD_AA64 | regs.CD_A | asid << regs.CD_ASID_SHIFT
        second |= regs.CD_S * stall | regs.CD_R * record
        self.bench.write32(at, regs.CD_T0SZ_48_BITS | regs.CD_EPD1 | regs.CD_V * valid)
        self.bench.write32(at + 4, second)
        self.bench.write64(at + 8, root)

    def space(self) -> Space:
        """New page tables that map nothing."""
        base = TABLES + 4 * _PAGE * self._spaces
        self._spaces += 1
        for level in range(3):
            self.bench.write64(base + _PAGE * level, base + _PAGE * (level + 1) | regs.PTE_TABLE)
        return Space(self.bench, base, base + 3 * _PAGE)

    # --- queues ---------------------------------------------------------------
    def command(self, number: Cmd, first: int = 0, second: int = 0, third: int = 0) -> int:
        """Queue a command, ``first`` or-ed to its number; its error, after which the queue goes on without it."""
        slot = CMDQ + 16 * (self._produced & ((1 << _COMMANDS_LOG2) - 1))
        for offset, word in enumerate((number | first, second, third, 0)):
            self.bench.write32(slot + 4 * offset, word)
        before = self._produced
        self._produced = (before + 1) & ((2 << _COMMANDS_LOG2) - 1)
        self.bench.write32(regs.SMMU + regs.CMDQ_PROD, self._produced)
        found = self.register(regs.CMDQ_CONS)
        gerror = self.register(regs.GERROR)
        if not (gerror ^ self.register(regs.GERRORN)) & regs.GERROR_CMDQ_ERR:
            assert found == self._produced, "the command was not consumed"
            return regs.CERROR_NONE
        self._produced = before
        self.bench.write32(regs.SMMU + regs.CMDQ_PROD, before)
        self.bench.write32(regs.SMMU + regs.GERRORN, gerror)
        return found >> regs.CMDQ_CONS_ERR_SHIFT & regs.CMDQ_CONS_ERR_MASK

    def cfgi_cd(self, sid: int, ssid: int) -> None:
        """Forget one context descriptor."""
        assert self.command(Cmd.CFGI_CD, ssid << regs.CMD_SSID_SHIFT, sid, regs.CFGI_LEAF) == regs.CERROR_NONE

    def cfgi_cd_all(self, sid: int) -> None:
        """Forget the context descriptors of a stream."""
        assert self.command(Cmd.CFGI_CD_ALL, 0, sid) == regs.CERROR_NONE

    def cfgi_ste(self, sid: int) -> None:
        """Forget a stream table entry, and the context descriptors found by it."""
        assert self.command(Cmd.CFGI_STE, 0, sid, regs.CFGI_LEAF) == regs.CERROR_NONE

    def cfgi_range(self, sid: int, log2: int) -> None:
        """Forget the streams whose ids equal ``sid`` but for the low ``log2`` + 1 bits."""
        assert self.command(Cmd.CFGI_STE_RANGE, 0, sid, log2) == regs.CERROR_NONE

    def cfgi_all(self) -> None:
        """Forget all configuration."""
        self.cfgi_range(0, regs.CFGI_ALL_RANGE)

    def tlbi_all(self) -> None:
        """Forget all translations."""
        assert self.command(Cmd.TLBI_NH_ALL) == regs.CERROR_NONE

    def tlbi_asid(self, asid: int) -> None:
        """Forget the translations of an address space."""
        assert self.command(Cmd.TLBI_NH_ASID, 0, asid << regs.CMD_ID_SHIFT) == regs.CERROR_NONE

    def tlbi_va(self, asid: int, address: int) -> None:
        """Forget one page of an address space."""
        assert self.command(Cmd.TLBI_NH_VA, 0, asid << regs.CMD_ID_SHIFT, address) == regs.CERROR_NONE

    def resume(self, sid: int, stag: int, action: int = regs.RESUME_RETRY) -> int:
        """Answer a stalled transaction; the command's error."""
        return self.command(Cmd.RESUME, action, sid, stag)

    def replace(self, sid: int, entry: Ste) -> None:
        """Store a stream table entry, and forget the one before."""
        self.ste(sid, entry)
        self.cfgi_ste(sid)

    def events(self) -> tuple[Event, ...]:
        """The records in the queue, which is empty then; an overflow is acknowledged."""
        size = 1 << self._events_log2
        produced = self.register(regs.EVENTQ_PROD)
        found = []
        while (self._consumed ^ produced) & (2 * size - 1):
            at = EVENTQ + SIZE * (self._consumed & (size - 1))
            found.append(decode([self.bench.read32(at + offset) for offset in range(0, SIZE, 4)]))
            self._consumed = (self._consumed + 1) & (2 * size - 1)
        self.bench.write32(regs.SMMU + regs.EVENTQ_CONS, self._consumed | produced & regs.QUEUE_OVERFLOW)
        return tuple(found)

    def wait_events(self, count: int) -> tuple[Event, ...]:
        """The next ``count`` records; more, or fewer before the deadline, fail the test."""
        deadline = time.monotonic() + SETTLE
        found = self.events()
        while len(found) < count and time.monotonic() < deadline:
            found += self.events()
        assert len(found) == count, found
        return found

    def event(self) -> Event:
        """The one record that is in the queue or comes to it."""
        return self.wait_events(1)[0]


@dataclass(frozen=True)
class Master:
    """A kph-dma device."""

    bench: Bench
    window: int  # address of its registers

    def start(self, address: int, ssid: int | None = None, write: bool = False, recover: bool = True) -> None:
        """Start a transfer of eight bytes."""
        tag = 0 if ssid is None else ssid | regs.KPH_DMA_PASID_VALID
        for register, value in (
            (regs.KPH_DMA_PASID, tag),
            (regs.KPH_DMA_FLAGS, 0 if recover else regs.KPH_DMA_FLAG_NO_RECOVER),
            (regs.KPH_DMA_ADDR_LO, address & 0xFFFF_FFFF),
            (regs.KPH_DMA_ADDR_HI, address >> 32),
            (regs.KPH_DMA_LEN, 8),
            (regs.KPH_DMA_BUF_OFFSET, 0),
            (regs.KPH_DMA_CMD, regs.KPH_DMA_CMD_WRITE if write else regs.KPH_DMA_CMD_READ),
        ):
            self.bench.write32(self.window + register, value)

    def end(self) -> Status:
        """How the transfer ended. Waits for that."""
        return Status(self.bench.leaves(self.window + regs.KPH_DMA_STATUS, Status.BUSY))

    def is_held(self) -> bool:
        """Whether the transfer does not go on."""
        return self.bench.stays(self.window + regs.KPH_DMA_STATUS, Status.BUSY)

    def goes(self, address: int, ssid: int | None = None, write: bool = False, recover: bool = False) -> bool:
        """Whether a transfer is done, not failed."""
        self.start(address, ssid, write, recover)
        return self.end() is Status.DONE

    def read(self, address: int, ssid: int | None = None) -> int | None:
        """The eight bytes at ``address``; None if the transfer fails."""
        return self.bench.read64(self.window + regs.KPH_DMA_BUF) if self.goes(address, ssid) else None

    def register(self, offset: int) -> int:
        """A register of the device."""
        return self.bench.read32(self.window + offset)


def platform(bench: Bench, number: int) -> Master:
    """The ``number``-th platform device of the command line."""
    return Master(bench, regs.PLATFORM_BUS + number * regs.KPH_DMA_WINDOW)
