"""Registers, structures and commands of the SMMUv3, by the names of Arm IHI 0070; those of kph-dma by its header's.

The section of the specification stands with each group.
"""

from __future__ import annotations

from enum import IntEnum

# --- the machine: hw/arm/virt.c ----------------------------------------------
SMMU = 0x0905_0000  # VIRT_SMMU
PLATFORM_BUS = 0x0C00_0000  # VIRT_PLATFORM_BUS
ECAM = 0x40_1000_0000  # VIRT_HIGH_PCIE_ECAM, for 256 MiB of memory
PCIE_MMIO = 0x1000_0000  # VIRT_PCIE_MMIO

# --- registers: 6.2 ----------------------------------------------------------
IDR0, IDR1, IDR5 = 0x00, 0x04, 0x14
CR0 = 0x20
GERROR, GERRORN = 0x60, 0x64
STRTAB_BASE, STRTAB_BASE_CFG = 0x80, 0x88
CMDQ_BASE, CMDQ_PROD, CMDQ_CONS = 0x90, 0x98, 0x9C
EVENTQ_BASE, EVENTQ_PROD, EVENTQ_CONS = 0xA0, 0xA8, 0xAC

IDR0_NS1ATS, IDR0_ATS, IDR0_CD2L = 1 << 11, 1 << 10, 1 << 19
IDR0_STALL_MODEL_SHIFT, IDR0_STALL_MODEL_MASK = 24, 0b11
STALL_MODEL_BOTH, STALL_MODEL_TERMINATE = 0b00, 0b01
IDR1_SSIDSIZE_SHIFT, IDR1_SSIDSIZE_MASK = 6, 0x1F
IDR5_STALL_MAX_SHIFT = 16
CR0_SMMUEN, CR0_EVENTQEN, CR0_CMDQEN = 1 << 0, 1 << 2, 1 << 3
GERROR_CMDQ_ERR = 1 << 0
CMDQ_CONS_ERR_SHIFT, CMDQ_CONS_ERR_MASK = 24, 0x7F
QUEUE_OVERFLOW = 1 << 31  # EVENTQ_PROD.OVFLG, EVENTQ_CONS.OVACKFLG

# --- stream table entry: 5.2 ---------------------------------------------------
STE_V = 1 << 0
STE_CONFIG_SHIFT = 1
CONFIG_ABORT, CONFIG_BYPASS, CONFIG_S1 = 0b000, 0b100, 0b101
STE_S1FMT_SHIFT = 4
S1FMT_LINEAR, S1FMT_4K, S1FMT_64K = 0, 1, 2
STE_S1CDMAX_SHIFT = 59 - 32  # in the second word
S1DSS_TERMINATE, S1DSS_BYPASS, S1DSS_SSID0, S1DSS_RESERVED = range(4)  # STE.S1DSS, third word
STE_S1STALLD = 1 << (91 - 64)
STE_EATS_SHIFT = 92 - 64
EATS_ABORT, EATS_TRANS, EATS_SPLIT, EATS_RESERVED = range(4)

# --- context descriptor: 5.4; its first level: 5.3 ----------------------------
CD_T0SZ_48_BITS = 16
CD_EPD1, CD_V = 1 << 30, 1 << 31
CD_IPS_44_BITS = 4  # from here on: second word
CD_AA64, CD_S, CD_R, CD_A = 1 << 9, 1 << 12, 1 << 13, 1 << 14
CD_ASID_SHIFT = 16
L1CD_V = 1 << 0

# --- VMSAv8-64 descriptors: Arm DDI 0487 D8.3 -------------------------------
PTE_TABLE, PTE_PAGE, PTE_RDONLY, PTE_AF = 0b11, 0b11, 1 << 7, 1 << 10


class Cmd(IntEnum):
    """Command numbers: 4.1.2."""

    CFGI_STE = 0x03
    CFGI_STE_RANGE = 0x04
    CFGI_CD = 0x05
    CFGI_CD_ALL = 0x06
    TLBI_NH_ALL = 0x10
    TLBI_NH_ASID = 0x11
    TLBI_NH_VA = 0x12
    ATC_INV = 0x40
    RESUME = 0x44
    STALL_TERM = 0x45


CERROR_NONE, CERROR_ILL = 0, 1  # 7.1
CMD_SSID_SHIFT, CMD_ID_SHIFT = 12, 16  # of the first word; VMID and ASID share the second
CFGI_LEAF = 1 << 0
CFGI_ALL_RANGE = 31
ATC_INV_GLOBAL, ATC_INV_SSV = 1 << 9, 1 << 11
ATC_INV_ALL = 52  # Size: all addresses
RESUME_RETRY, RESUME_ABORT = 1 << 12, 1 << 13  # Ac, Ab: 4.6.1


class Ev(IntEnum):
    """Event numbers: 7.3."""

    C_BAD_STE = 0x04
    F_BAD_ATS_TREQ = 0x05
    F_STREAM_DISABLED = 0x06
    C_BAD_SUBSTREAMID = 0x08
    C_BAD_CD = 0x0A
    F_TRANSLATION = 0x10
    F_PERMISSION = 0x13


CLASS_IN = 0b10  # CLASS: the input address

# --- kph-dma: qemu/device/kph_dma_regs.h --------------------------------------
KPH_DMA_WINDOW, KPH_DMA_BUF = 0x20000, 0x10000
KPH_DMA_PASID, KPH_DMA_PASID_VALID = 0x10, 1 << 31
KPH_DMA_FLAGS, KPH_DMA_FLAG_NO_RECOVER = 0x14, 1 << 0
KPH_DMA_ADDR_LO, KPH_DMA_ADDR_HI, KPH_DMA_LEN, KPH_DMA_BUF_OFFSET = 0x18, 0x1C, 0x20, 0x24
KPH_DMA_CMD, KPH_DMA_CMD_READ, KPH_DMA_CMD_WRITE = 0x30, 1, 2
KPH_DMA_STATUS = 0x34
KPH_DMA_N_INVALIDATIONS, KPH_DMA_N_ATC = 0x90, 0x94


class Status(IntEnum):
    """What STATUS of kph-dma says."""

    IDLE = 0
    BUSY = 1
    DONE = 2
    FAILED = 3


# --- PCI: the function's configuration space ----------------------------------
PCI_COMMAND, PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER = 0x04, 1 << 1, 1 << 2
PCI_BASE_ADDRESS_0 = 0x10
