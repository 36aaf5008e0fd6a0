/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kph-dma: the engine behind the registers of kph_dma_regs.h.
 *
 * This part knows registers, buffer, transfers, the cache of translations and
 * the counters. How a request reaches the IOMMU is the business of a front end
 * (kph_dma_pci.c, kph_dma_platform.c), which it calls through KphDmaOps.
 *
 * A "tag" names an address space as the PASID register does: the PASID with
 * KPH_DMA_PASID_VALID, or 0 for requests without a PASID.
 *
 * Everything runs under the BQL; there is no thread.
 */
#ifndef HW_MISC_KPH_DMA_H
#define HW_MISC_KPH_DMA_H

#include "hw/iommu-survey.h"
#include "hw/qdev-core.h"
#include "system/memory.h"

#include "kph_dma_regs.h"

/* One translation, and an entry of the ATC. */
typedef struct KphDmaPage {
    uint32_t tag;
    uint32_t perm;              /* IOMMUAccessFlags: IOMMU_RO, IOMMU_WO */
    uint64_t first;             /* first address that it translates */
    uint64_t mask;              /* length in bytes - 1 */
    uint64_t target;            /* where @first is in memory */
} KphDmaPage;

typedef enum KphDmaResponse {
    KPH_DMA_RESPONSE_SUCCESS = 0x0,     /* the codes of a PRG response */
    KPH_DMA_RESPONSE_INVALID = 0x1,
    KPH_DMA_RESPONSE_FAILURE = 0xf,
} KphDmaResponse;

typedef enum KphDmaTranslation {
    KPH_DMA_TRANSLATED,
    KPH_DMA_NO_TRANSLATION,
    KPH_DMA_STALLED,            /* the IOMMU holds the request */
} KphDmaTranslation;

typedef struct KphDmaOps {
    /* May the device send requests with @tag now? */
    bool (*may_request)(DeviceState *dev, uint32_t tag);
    /*
     * Translate the 4 KiB page at @addr with at least the permissions @want,
     * and fill in @page but for its tag. If @stall is not NULL, the IOMMU may
     * hold the request and ask software: then kph_dma_respond() is called with
     * the group that is stored there, some time later.
     */
    KphDmaTranslation (*translate)(DeviceState *dev, uint32_t tag,
                                   uint64_t addr, IOMMUAccessFlags want,
                                   KphDmaPage *page, uint16_t *stall);
    /*
     * Ask software for the page at @addr. True if the request was sent: then
     * kph_dma_respond() is called with @group, some time later. Only called
     * with KPH_DMA_CAPS_PRI.
     */
    bool (*request_page)(DeviceState *dev, uint32_t tag, uint64_t addr,
                         IOMMUAccessFlags want, uint16_t group);
    /* Access memory at a translated address. */
    MemTxResult (*access)(DeviceState *dev, uint64_t target, void *data,
                          uint32_t len, bool is_write);
    /*
     * An end became pending (again), or no longer is: send message 0 at the
     * former, or set a line.
     */
    void (*set_irq)(DeviceState *dev, bool pending);
} KphDmaOps;

typedef struct KphDma {
    MemoryRegion window;        /* what the front end maps */
    MemoryRegion regs;
    MemoryRegion buf;

    DeviceState *dev;
    const KphDmaOps *ops;
    QEMUBH *bh;
    char *name;                 /* for traces and messages */
    uint32_t caps;

    /* Registers, see kph_dma_regs.h */
    uint32_t tag;
    uint32_t flags;
    uint64_t addr;
    uint32_t len;
    uint32_t buf_offset;
    uint64_t pattern;
    uint32_t status;
    uint32_t error;
    uint64_t fault_addr;
    uint32_t bytes;
    uint32_t irq;

    uint32_t n_requests;
    uint32_t n_hits;
    uint32_t n_page_requests;
    uint32_t n_responses;
    uint32_t n_invalidations;
    uint32_t last_inv_tag;
    uint64_t last_inv;
    uint64_t last_mask;
    uint32_t last_response;

    /* The transfer under way, meaningless unless BUSY */
    uint32_t cmd;
    uint32_t tries;             /* page requests, stalls at the present page */
    bool waiting;               /* for the response to @group */
    uint32_t pending;           /* error to end with when the engine runs */

    uint16_t group;             /* of the last page request, stall */

    KphDmaPage *atc;            /* oldest first */
    int32_t n_atc;
    int32_t atc_size;           /* entries allocated */
} KphDma;

extern const VMStateDescription vmstate_kph_dma;

/* Call once from realize; on failure @errp is set and false returned. */
bool kph_dma_init(KphDma *s, DeviceState *dev, const KphDmaOps *ops,
                  uint32_t caps, Error **errp);
void kph_dma_exit(KphDma *s);
void kph_dma_reset(KphDma *s);

/* The front end lost its right to translate: end the transfer, drop the ATC. */
void kph_dma_disable(KphDma *s);
/* An invalidation of @mask + 1 bytes at @first in the address space @tag. */
void kph_dma_invalidate(KphDma *s, uint32_t tag, uint64_t first, uint64_t mask);
/* The answer to page request group @group, or the end of that stall. */
void kph_dma_respond(KphDma *s, uint16_t group, KphDmaResponse code);
/* Tell the survey what the ATC holds; @requester is what the IOMMU calls us. */
void kph_dma_survey(KphDma *s, IommuSurvey *survey, uint32_t requester);
/* For the front end's pre_save: false, with @errp set, in a transfer. */
bool kph_dma_may_save(KphDma *s, Error **errp);

#endif
