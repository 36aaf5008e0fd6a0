/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kph-dma: a DMA engine that works in process address spaces.
 *
 * This header is the register table. The device model and the guest's test
 * module both include it; nothing else defines an offset or a bit.
 *
 * One register window of KPH_DMA_WINDOW bytes: registers first, then the
 * device's own buffer of KPH_DMA_BUF_SIZE bytes. Registers are little-endian
 * and 32 bits wide; a 64-bit value is a _LO/_HI pair. Accesses of any other
 * width to the registers are refused; the buffer takes 1, 2, 4 and 8 bytes.
 */
#ifndef KPH_DMA_REGS_H
#define KPH_DMA_REGS_H

/*
 * As a PCIe function: the window is BAR 0, the end of a transfer is MSI 0.
 * The device id is from 1af4:10f0-10ff, which QEMU's docs/specs/pci-ids.rst
 * leaves to experiments. Class: other system peripheral.
 */
#define KPH_DMA_PCI_VENDOR      0x1af4
#define KPH_DMA_PCI_DEVICE      0x10f4
#define KPH_DMA_PCI_CLASS       0x0880

/*
 * As a platform device: a node of the device tree with one window and one
 * interrupt line, high while KPH_DMA_IRQ_END is set.
 */
#define KPH_DMA_COMPATIBLE      "kph,dma"

#define KPH_DMA_WINDOW          0x20000
#define KPH_DMA_BUF             0x10000
#define KPH_DMA_BUF_SIZE        0x10000

/* Identity, read-only. */
#define KPH_DMA_ID              0x00
#define KPH_DMA_ID_VALUE        0x4b504844  /* "KPHD" */
#define KPH_DMA_VERSION         0x04
#define KPH_DMA_VERSION_VALUE   1
#define KPH_DMA_CAPS            0x08
#define KPH_DMA_CAPS_PASID      (1u << 0)   /* tags requests with a PASID */
#define KPH_DMA_CAPS_ATS        (1u << 1)   /* translates by ATS, has an ATC */
#define KPH_DMA_CAPS_PRI        (1u << 2)   /* recovers by page requests */
#define KPH_DMA_CAPS_STALL      (1u << 3)   /* recovers by SMMU stalls */
#define KPH_DMA_CAPS_WIDTH_SHIFT 8          /* PASID width in bits */
#define KPH_DMA_CAPS_WIDTH_MASK (0x1fu << 8)

/* One transfer: write these, then CMD. Ignored while BUSY. */
#define KPH_DMA_PASID           0x10
#define KPH_DMA_PASID_MASK      0x000fffffu
#define KPH_DMA_PASID_VALID     (1u << 31)  /* clear: a request without PASID */
#define KPH_DMA_FLAGS           0x14
#define KPH_DMA_FLAG_NO_RECOVER (1u << 0)   /* a miss fails; no page request */
#define KPH_DMA_FLAG_KEEP_STALE (1u << 1)   /* invalidations drop nothing */
#define KPH_DMA_ADDR_LO         0x18        /* address under the PASID */
#define KPH_DMA_ADDR_HI         0x1c
#define KPH_DMA_LEN             0x20        /* bytes, 1 .. KPH_DMA_BUF_SIZE */
#define KPH_DMA_BUF_OFFSET      0x24        /* bytes into the device's buffer */
#define KPH_DMA_PATTERN_LO      0x28        /* what FILL stores */
#define KPH_DMA_PATTERN_HI      0x2c

#define KPH_DMA_CMD             0x30        /* write-only */
#define KPH_DMA_CMD_READ        1           /* memory -> device buffer */
#define KPH_DMA_CMD_WRITE       2           /* device buffer -> memory */
/*
 * Pattern -> memory; ADDR and LEN multiples of 8. Asks for read and write at
 * once, as an atomic operation does.
 */
#define KPH_DMA_CMD_FILL        3
#define KPH_DMA_CMD_ABORT       4           /* end with ERROR_ABORTED */
#define KPH_DMA_CMD_CLEAR       5           /* zero the counters */
#define KPH_DMA_CMD_FLUSH_ATC   6           /* forget all translations */

#define KPH_DMA_STATUS          0x34        /* read-only */
#define KPH_DMA_STATUS_IDLE     0           /* nothing done since reset */
#define KPH_DMA_STATUS_BUSY     1
#define KPH_DMA_STATUS_DONE     2
#define KPH_DMA_STATUS_FAILED   3           /* ERROR and FAULT_ADDR say what */
#define KPH_DMA_ERROR           0x38        /* read-only, valid when FAILED */
#define KPH_DMA_ERROR_NONE      0
#define KPH_DMA_ERROR_DENIED    1           /* no translation, none sought */
#define KPH_DMA_ERROR_INVALID   2           /* Invalid Request; stall ended */
#define KPH_DMA_ERROR_RESPONSE  3           /* response: Response Failure */
#define KPH_DMA_ERROR_DISABLED  4           /* bus master, PASID or ATS off */
#define KPH_DMA_ERROR_RANGE     5           /* LEN, BUF_OFFSET or alignment */
#define KPH_DMA_ERROR_ABORTED   6
#define KPH_DMA_ERROR_BUS       7           /* memory access failed */
#define KPH_DMA_FAULT_ADDR_LO   0x3c        /* first address that failed */
#define KPH_DMA_FAULT_ADDR_HI   0x40
#define KPH_DMA_BYTES           0x44        /* moved before the end */

#define KPH_DMA_IRQ             0x48        /* write 1 to clear */
#define KPH_DMA_IRQ_END         (1u << 0)   /* an end: message 0, the line */

/* Counters since reset or CLEAR, read-only. */
#define KPH_DMA_N_REQUESTS      0x80        /* for translations, sent */
#define KPH_DMA_N_HITS          0x84        /* pages found in the ATC */
#define KPH_DMA_N_PAGE_REQUESTS 0x88        /* page requests, stalls */
#define KPH_DMA_N_RESPONSES     0x8c        /* to those */
#define KPH_DMA_N_INVALIDATIONS 0x90        /* of the device TLB */
#define KPH_DMA_N_ATC           0x94        /* translations cached now */
#define KPH_DMA_LAST_INV_PASID  0x98        /* of the last; VALID as above */
#define KPH_DMA_LAST_INV_LO     0x9c        /* its first address */
#define KPH_DMA_LAST_INV_HI     0xa0
#define KPH_DMA_LAST_MASK_LO    0xa4        /* its length in bytes - 1 */
#define KPH_DMA_LAST_MASK_HI    0xa8
#define KPH_DMA_LAST_RESPONSE   0xac        /* PRG response code; a stall: */
                                            /* 0 tried again, 1 ended */

#endif
