/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kph-dma: the engine. See kph_dma.h and kph_dma_regs.h.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "migration/vmstate.h"
#include "kph_dma.h"
#include "trace.h"

#define KPH_DMA_PAGE_SIZE       4096u
#define KPH_DMA_PAGE_MASK       (KPH_DMA_PAGE_SIZE - 1)

/* Far above what a test needs; then the oldest translation goes. */
#define KPH_DMA_ATC_MAX         65536

/*
 * Page requests or stalls for one page that may be answered by "success"
 * without a translation to show for it. More means that the answer is wrong.
 */
#define KPH_DMA_TRIES_MAX       16

#define KPH_DMA_GROUP_MASK      0x1ffu  /* PRG index: 9 bits */

/* The address translation cache */

static void kph_dma_atc_drop(KphDma *s, int32_t i)
{
    memmove(&s->atc[i], &s->atc[i + 1],
            (s->n_atc - i - 1) * sizeof(*s->atc));
    s->n_atc--;
}

static bool kph_dma_page_overlaps(const KphDmaPage *page, uint32_t tag,
                                  uint64_t first, uint64_t mask)
{
    return page->tag == tag && page->first <= first + mask &&
           first <= page->first + page->mask;
}

/* Drop what overlaps the range; returns how many entries that were. */
static int32_t kph_dma_atc_invalidate(KphDma *s, uint32_t tag,
                                      uint64_t first, uint64_t mask)
{
    int32_t before = s->n_atc;

    for (int32_t i = s->n_atc - 1; i >= 0; i--) {
        if (kph_dma_page_overlaps(&s->atc[i], tag, first, mask)) {
            kph_dma_atc_drop(s, i);
        }
    }
    return before - s->n_atc;
}

static void kph_dma_atc_flush(KphDma *s, const char *why)
{
    trace_kph_dma_flush(s->name, why, s->n_atc);
    s->n_atc = 0;
}

static void kph_dma_atc_insert(KphDma *s, const KphDmaPage *page)
{
    /* One translation per address: the new one replaces what it overlaps */
    kph_dma_atc_invalidate(s, page->tag, page->first, page->mask);

    if (s->n_atc == KPH_DMA_ATC_MAX) {
        trace_kph_dma_evict(s->name, s->atc[0].tag, s->atc[0].first);
        kph_dma_atc_drop(s, 0);
    }
    if (s->n_atc == s->atc_size) {
        s->atc_size = MIN(MAX(16, s->atc_size * 2), KPH_DMA_ATC_MAX);
        s->atc = g_renew(KphDmaPage, s->atc, s->atc_size);
    }
    s->atc[s->n_atc++] = *page;
}

static bool kph_dma_atc_find(KphDma *s, uint64_t addr, IOMMUAccessFlags want,
                             KphDmaPage *page)
{
    for (int32_t i = 0; i < s->n_atc; i++) {
        if (kph_dma_page_overlaps(&s->atc[i], s->tag, addr, 0) &&
            (s->atc[i].perm & want) == want) {
            *page = s->atc[i];
            return true;
        }
    }
    return false;
}

void kph_dma_survey(KphDma *s, IommuSurvey *survey, uint32_t requester)
{
    for (int32_t i = 0; i < s->n_atc; i++) {
        const KphDmaPage *page = &s->atc[i];
        IommuSurveyRow *added =
            iommu_survey_add(survey, IOMMU_SURVEYED(s->dev),
                             IOMMU_TABLE_ROW_KIND_DEVICE_TRANSLATION);
        IommuTableRow *row;

        if (!added) {
            return;
        }
        row = added->row;
        row->has_requester = true;
        row->requester = requester;
        row->has_pasid = page->tag & KPH_DMA_PASID_VALID;
        row->pasid = page->tag & KPH_DMA_PASID_MASK;
        row->has_first = row->has_last = row->has_target = true;
        row->first = page->first;
        row->last = page->first + page->mask;
        row->target = page->target;
        row->has_writable = true;
        row->writable = page->perm & IOMMU_WO;
    }
}

/* One transfer */

static void kph_dma_end(KphDma *s, uint32_t error)
{
    s->waiting = false;
    s->error = error;
    s->status = KPH_DMA_STATUS_DONE;
    if (error != KPH_DMA_ERROR_NONE) {
        s->status = KPH_DMA_STATUS_FAILED;
        s->fault_addr = s->addr + s->bytes;
    }
    trace_kph_dma_end(s->name, s->status, error, s->fault_addr, s->bytes);

    s->irq |= KPH_DMA_IRQ_END;
    s->ops->set_irq(s->dev, true);
}

static void kph_dma_ack(KphDma *s, uint32_t bits)
{
    uint32_t before = s->irq;

    s->irq &= ~bits;
    if (before & ~s->irq & KPH_DMA_IRQ_END) {
        s->ops->set_irq(s->dev, false);
    }
}

static IOMMUAccessFlags kph_dma_wants(const KphDma *s)
{
    switch (s->cmd) {
    case KPH_DMA_CMD_READ:
        return IOMMU_RO;
    case KPH_DMA_CMD_WRITE:
        return IOMMU_WO;
    default:
        return IOMMU_RW;
    }
}

/* May software be asked for the present page? */
static bool kph_dma_may_recover(const KphDma *s, uint32_t cap)
{
    return (s->caps & cap) && !(s->flags & KPH_DMA_FLAG_NO_RECOVER) &&
           s->tries < KPH_DMA_TRIES_MAX;
}

/* Find @addr in the ATC, or ask for it. */
static KphDmaTranslation kph_dma_translate(KphDma *s, uint64_t addr,
                                           IOMMUAccessFlags want,
                                           KphDmaPage *page)
{
    bool caches = s->caps & KPH_DMA_CAPS_ATS;
    bool may_stall = kph_dma_may_recover(s, KPH_DMA_CAPS_STALL);
    KphDmaTranslation result;
    bool ok;

    if (caches && kph_dma_atc_find(s, addr, want, page)) {
        s->n_hits++;
        trace_kph_dma_hit(s->name, s->tag, addr, want, page->target);
        return KPH_DMA_TRANSLATED;
    }

    s->n_requests++;
    result = s->ops->translate(s->dev, s->tag,
                               addr & ~(uint64_t)KPH_DMA_PAGE_MASK, want, page,
                               may_stall ? &s->group : NULL);
    ok = result == KPH_DMA_TRANSLATED;
    trace_kph_dma_translate(s->name, s->tag, addr, want, ok,
                            ok ? page->target : 0, ok ? page->mask : 0,
                            ok ? page->perm : 0);
    if (ok) {
        page->tag = s->tag;
        if (caches) {
            kph_dma_atc_insert(s, page);
        }
    }
    return result;
}

/* The IOMMU holds the request, and has asked for the page by itself. */
static void kph_dma_stalled(KphDma *s, uint64_t addr, IOMMUAccessFlags want)
{
    s->tries++;
    s->waiting = true;
    s->n_page_requests++;
    trace_kph_dma_page_request(s->name, s->tag, addr, want, s->group, true);
}

/* There is no translation: ask for the page, or give up. */
static void kph_dma_miss(KphDma *s, uint64_t addr, IOMMUAccessFlags want)
{
    bool sent;

    if (!kph_dma_may_recover(s, KPH_DMA_CAPS_PRI)) {
        kph_dma_end(s, KPH_DMA_ERROR_DENIED);
        return;
    }

    s->tries++;
    s->group = (s->group + 1) & KPH_DMA_GROUP_MASK;
    s->waiting = true;
    sent = s->ops->request_page(s->dev, s->tag,
                                addr & ~(uint64_t)KPH_DMA_PAGE_MASK, want,
                                s->group);
    trace_kph_dma_page_request(s->name, s->tag, addr, want, s->group, sent);
    if (!sent) {
        kph_dma_end(s, KPH_DMA_ERROR_DENIED);
        return;
    }
    s->n_page_requests++;
}

static MemTxResult kph_dma_move(KphDma *s, uint64_t target, uint32_t len)
{
    uint32_t offset = s->buf_offset + s->bytes;
    uint8_t *data = memory_region_get_ram_ptr(&s->buf);
    uint64_t words[KPH_DMA_PAGE_SIZE / sizeof(uint64_t)];
    MemTxResult result;

    switch (s->cmd) {
    case KPH_DMA_CMD_READ:
        result = s->ops->access(s->dev, target, data + offset, len, false);
        memory_region_set_dirty(&s->buf, offset, len);
        return result;
    case KPH_DMA_CMD_WRITE:
        return s->ops->access(s->dev, target, data + offset, len, true);
    case KPH_DMA_CMD_FILL:
        for (uint32_t i = 0; i < len / sizeof(*words); i++) {
            words[i] = cpu_to_le64(s->pattern);
        }
        return s->ops->access(s->dev, target, words, len, true);
    default:
        g_assert_not_reached();
    }
}

/* Move what is left of one page. False: the transfer ended, or waits. */
static bool kph_dma_step(KphDma *s)
{
    uint64_t addr = s->addr + s->bytes;
    uint32_t left = KPH_DMA_PAGE_SIZE - (addr & KPH_DMA_PAGE_MASK);
    uint32_t len = MIN(s->len - s->bytes, left);
    IOMMUAccessFlags want = kph_dma_wants(s);
    KphDmaPage page;

    if (!s->ops->may_request(s->dev, s->tag)) {
        kph_dma_end(s, KPH_DMA_ERROR_DISABLED);
        return false;
    }
    switch (kph_dma_translate(s, addr, want, &page)) {
    case KPH_DMA_TRANSLATED:
        break;
    case KPH_DMA_STALLED:
        kph_dma_stalled(s, addr, want);
        return false;
    default:
        kph_dma_miss(s, addr, want);
        return false;
    }
    if (kph_dma_move(s, page.target + (addr - page.first), len) != MEMTX_OK) {
        kph_dma_end(s, KPH_DMA_ERROR_BUS);
        return false;
    }

    s->bytes += len;
    s->tries = 0;
    return true;
}

static void kph_dma_run(void *opaque)
{
    KphDma *s = opaque;

    if (s->status != KPH_DMA_STATUS_BUSY || s->waiting) {
        return;
    }
    if (s->pending != KPH_DMA_ERROR_NONE) {
        kph_dma_end(s, s->pending);
        return;
    }
    while (s->bytes < s->len) {
        if (!kph_dma_step(s)) {
            return;
        }
    }
    kph_dma_end(s, KPH_DMA_ERROR_NONE);
}

static bool kph_dma_in_range(const KphDma *s)
{
    uint32_t width = extract32(s->caps, KPH_DMA_CAPS_WIDTH_SHIFT, 5);

    if (!s->len || s->len > KPH_DMA_BUF_SIZE ||
        s->addr + (s->len - 1) < s->addr) {
        return false;
    }
    if ((s->caps & KPH_DMA_CAPS_PASID) && (s->tag & KPH_DMA_PASID_VALID) &&
        (s->tag & KPH_DMA_PASID_MASK) >> width) {
        return false;
    }
    if (s->cmd == KPH_DMA_CMD_FILL) {
        return !((s->addr | s->len) % sizeof(uint64_t));
    }
    return s->buf_offset <= KPH_DMA_BUF_SIZE - s->len;
}

static void kph_dma_start(KphDma *s, uint32_t cmd)
{
    if (s->status == KPH_DMA_STATUS_BUSY) {
        qemu_log_mask(LOG_GUEST_ERROR, "%s: command %u while busy\n",
                      s->name, cmd);
        return;
    }

    trace_kph_dma_start(s->name, cmd, s->tag, s->addr, s->len, s->flags);
    s->cmd = cmd;
    s->status = KPH_DMA_STATUS_BUSY;
    s->error = KPH_DMA_ERROR_NONE;
    s->pending = KPH_DMA_ERROR_NONE;
    s->fault_addr = 0;
    s->bytes = 0;
    s->tries = 0;
    if (!kph_dma_in_range(s)) {
        kph_dma_end(s, KPH_DMA_ERROR_RANGE);
        return;
    }
    qemu_bh_schedule(s->bh);
}

static void kph_dma_clear(KphDma *s)
{
    s->n_requests = 0;
    s->n_hits = 0;
    s->n_page_requests = 0;
    s->n_responses = 0;
    s->n_invalidations = 0;
    s->last_inv_tag = 0;
    s->last_inv = 0;
    s->last_mask = 0;
    s->last_response = 0;
}

static void kph_dma_command(KphDma *s, uint32_t cmd)
{
    switch (cmd) {
    case KPH_DMA_CMD_READ:
    case KPH_DMA_CMD_WRITE:
    case KPH_DMA_CMD_FILL:
        kph_dma_start(s, cmd);
        break;
    case KPH_DMA_CMD_ABORT:
        if (s->status == KPH_DMA_STATUS_BUSY) {
            kph_dma_end(s, KPH_DMA_ERROR_ABORTED);
        }
        break;
    case KPH_DMA_CMD_CLEAR:
        kph_dma_clear(s);
        break;
    case KPH_DMA_CMD_FLUSH_ATC:
        kph_dma_atc_flush(s, "command");
        break;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "%s: unknown command %u\n",
                      s->name, cmd);
        break;
    }
}

/* What the front end reports */

void kph_dma_invalidate(KphDma *s, uint32_t tag, uint64_t first, uint64_t mask)
{
    int32_t dropped = 0;

    s->n_invalidations++;
    s->last_inv_tag = tag;
    s->last_inv = first;
    s->last_mask = mask;
    if (!(s->flags & KPH_DMA_FLAG_KEEP_STALE)) {
        dropped = kph_dma_atc_invalidate(s, tag, first, mask);
    }
    trace_kph_dma_invalidate(s->name, tag, first, mask, dropped);
}

void kph_dma_respond(KphDma *s, uint16_t group, KphDmaResponse code)
{
    bool ours = s->waiting && group == s->group;

    trace_kph_dma_page_response(s->name, group, code, ours);
    s->n_responses++;
    s->last_response = code;
    if (!ours) {
        /* The transfer that asked was aborted */
        return;
    }

    s->waiting = false;
    if (code == KPH_DMA_RESPONSE_INVALID) {
        s->pending = KPH_DMA_ERROR_INVALID;
    } else if (code != KPH_DMA_RESPONSE_SUCCESS) {
        s->pending = KPH_DMA_ERROR_RESPONSE;
    }
    qemu_bh_schedule(s->bh);
}

void kph_dma_disable(KphDma *s)
{
    kph_dma_atc_flush(s, "disable");
    if (s->status == KPH_DMA_STATUS_BUSY) {
        kph_dma_end(s, KPH_DMA_ERROR_DISABLED);
    }
}

/* Registers */

static uint64_t kph_dma_read(void *opaque, hwaddr addr, unsigned size)
{
    KphDma *s = opaque;

    switch (addr) {
    case KPH_DMA_ID:
        return KPH_DMA_ID_VALUE;
    case KPH_DMA_VERSION:
        return KPH_DMA_VERSION_VALUE;
    case KPH_DMA_CAPS:
        return s->caps;
    case KPH_DMA_PASID:
        return s->tag;
    case KPH_DMA_FLAGS:
        return s->flags;
    case KPH_DMA_ADDR_LO:
        return extract64(s->addr, 0, 32);
    case KPH_DMA_ADDR_HI:
        return extract64(s->addr, 32, 32);
    case KPH_DMA_LEN:
        return s->len;
    case KPH_DMA_BUF_OFFSET:
        return s->buf_offset;
    case KPH_DMA_PATTERN_LO:
        return extract64(s->pattern, 0, 32);
    case KPH_DMA_PATTERN_HI:
        return extract64(s->pattern, 32, 32);
    case KPH_DMA_STATUS:
        return s->status;
    case KPH_DMA_ERROR:
        return s->error;
    case KPH_DMA_FAULT_ADDR_LO:
        return extract64(s->fault_addr, 0, 32);
    case KPH_DMA_FAULT_ADDR_HI:
        return extract64(s->fault_addr, 32, 32);
    case KPH_DMA_BYTES:
        return s->bytes;
    case KPH_DMA_IRQ:
        return s->irq;
    case KPH_DMA_N_REQUESTS:
        return s->n_requests;
    case KPH_DMA_N_HITS:
        return s->n_hits;
    case KPH_DMA_N_PAGE_REQUESTS:
        return s->n_page_requests;
    case KPH_DMA_N_RESPONSES:
        return s->n_responses;
    case KPH_DMA_N_INVALIDATIONS:
        return s->n_invalidations;
    case KPH_DMA_N_ATC:
        return s->n_atc;
    case KPH_DMA_LAST_INV_PASID:
        return s->last_inv_tag;
    case KPH_DMA_LAST_INV_LO:
        return extract64(s->last_inv, 0, 32);
    case KPH_DMA_LAST_INV_HI:
        return extract64(s->last_inv, 32, 32);
    case KPH_DMA_LAST_MASK_LO:
        return extract64(s->last_mask, 0, 32);
    case KPH_DMA_LAST_MASK_HI:
        return extract64(s->last_mask, 32, 32);
    case KPH_DMA_LAST_RESPONSE:
        return s->last_response;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "%s: read of no register 0x%"
                      HWADDR_PRIx "\n", s->name, addr);
        return 0;
    }
}

/* The registers that describe a transfer; false if @addr is none of them. */
static bool kph_dma_write_transfer(KphDma *s, hwaddr addr, uint32_t val)
{
    switch (addr) {
    case KPH_DMA_PASID:
        val &= KPH_DMA_PASID_VALID | KPH_DMA_PASID_MASK;
        s->tag = (val & KPH_DMA_PASID_VALID) ? val : 0;
        return true;
    case KPH_DMA_FLAGS:
        s->flags = val & (KPH_DMA_FLAG_NO_RECOVER | KPH_DMA_FLAG_KEEP_STALE);
        return true;
    case KPH_DMA_ADDR_LO:
        s->addr = deposit64(s->addr, 0, 32, val);
        return true;
    case KPH_DMA_ADDR_HI:
        s->addr = deposit64(s->addr, 32, 32, val);
        return true;
    case KPH_DMA_LEN:
        s->len = val;
        return true;
    case KPH_DMA_BUF_OFFSET:
        s->buf_offset = val;
        return true;
    case KPH_DMA_PATTERN_LO:
        s->pattern = deposit64(s->pattern, 0, 32, val);
        return true;
    case KPH_DMA_PATTERN_HI:
        s->pattern = deposit64(s->pattern, 32, 32, val);
        return true;
    default:
        return false;
    }
}

static void kph_dma_write(void *opaque, hwaddr addr, uint64_t val,
                          unsigned size)
{
    KphDma *s = opaque;

    switch (addr) {
    case KPH_DMA_PASID ... KPH_DMA_PATTERN_HI:
        if (s->status == KPH_DMA_STATUS_BUSY) {
            qemu_log_mask(LOG_GUEST_ERROR, "%s: write of 0x%" HWADDR_PRIx
                          " while busy\n", s->name, addr);
            return;
        }
        if (kph_dma_write_transfer(s, addr, val)) {
            return;
        }
        break;
    case KPH_DMA_CMD:
        kph_dma_command(s, val);
        return;
    case KPH_DMA_IRQ:
        kph_dma_ack(s, val);
        return;
    default:
        break;
    }
    qemu_log_mask(LOG_GUEST_ERROR, "%s: write of no writable register 0x%"
                  HWADDR_PRIx "\n", s->name, addr);
}

static const MemoryRegionOps kph_dma_regs_ops = {
    .read = kph_dma_read,
    .write = kph_dma_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 4,
        .max_access_size = 4,
    },
};

/* Life */

bool kph_dma_init(KphDma *s, DeviceState *dev, const KphDmaOps *ops,
                  uint32_t caps, Error **errp)
{
    Object *owner = OBJECT(dev);
    g_autofree char *where = qdev_get_dev_path(dev);
    g_autofree char *buf_name = NULL;

    s->dev = dev;
    s->ops = ops;
    s->caps = caps;
    if (!where) {
        /* RAM needs a name of its own, and the bus does not give it one */
        where = object_get_canonical_path(owner);
        buf_name = g_strconcat(where, "/kph-dma-buffer", NULL);
    }
    if (!memory_region_init_ram(&s->buf, owner,
                                buf_name ? buf_name : "kph-dma-buffer",
                                KPH_DMA_BUF_SIZE, errp)) {
        return false;
    }
    memory_region_init_io(&s->regs, owner, &kph_dma_regs_ops, s,
                          "kph-dma-regs", KPH_DMA_BUF);
    memory_region_init(&s->window, owner, "kph-dma", KPH_DMA_WINDOW);
    memory_region_add_subregion(&s->window, 0, &s->regs);
    memory_region_add_subregion(&s->window, KPH_DMA_BUF, &s->buf);

    s->name = dev->id ? g_strdup(dev->id) : g_steal_pointer(&where);
    s->bh = qemu_bh_new_guarded(kph_dma_run, s, &dev->mem_reentrancy_guard);
    return true;
}

void kph_dma_exit(KphDma *s)
{
    g_clear_pointer(&s->bh, qemu_bh_delete);
    g_clear_pointer(&s->name, g_free);
    g_clear_pointer(&s->atc, g_free);
    s->n_atc = 0;
    s->atc_size = 0;
}

void kph_dma_reset(KphDma *s)
{
    qemu_bh_cancel(s->bh);
    kph_dma_atc_flush(s, "reset");
    kph_dma_clear(s);

    s->tag = 0;
    s->flags = 0;
    s->addr = 0;
    s->len = 0;
    s->buf_offset = 0;
    s->pattern = 0;
    s->status = KPH_DMA_STATUS_IDLE;
    s->error = KPH_DMA_ERROR_NONE;
    s->fault_addr = 0;
    s->bytes = 0;
    s->waiting = false;
    kph_dma_ack(s, s->irq);

    memset(memory_region_get_ram_ptr(&s->buf), 0, KPH_DMA_BUF_SIZE);
    memory_region_set_dirty(&s->buf, 0, KPH_DMA_BUF_SIZE);
}

bool kph_dma_may_save(KphDma *s, Error **errp)
{
    if (s->status == KPH_DMA_STATUS_BUSY) {
        error_setg(errp, "%s: a transfer is under way, which cannot be saved; "
                   "wait for its end or abort it", s->name);
        return false;
    }
    return true;
}

static int kph_dma_pre_load(void *opaque)
{
    KphDma *s = opaque;

    g_clear_pointer(&s->atc, g_free);
    s->n_atc = 0;
    s->atc_size = 0;
    return 0;
}

static bool kph_dma_atc_size_valid(void *opaque, int version_id)
{
    KphDma *s = opaque;

    return s->n_atc >= 0 && s->n_atc <= KPH_DMA_ATC_MAX;
}

static bool kph_dma_post_load(void *opaque, int version_id, Error **errp)
{
    KphDma *s = opaque;

    if (s->status > KPH_DMA_STATUS_FAILED ||
        s->status == KPH_DMA_STATUS_BUSY) {
        error_setg(errp, "%s: saved state has status %u", s->name, s->status);
        return false;
    }
    s->atc_size = s->n_atc;
    s->waiting = false;
    return true;
}

static const VMStateDescription vmstate_kph_dma_page = {
    .name = "kph-dma-page",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(tag, KphDmaPage),
        VMSTATE_UINT32(perm, KphDmaPage),
        VMSTATE_UINT64(first, KphDmaPage),
        VMSTATE_UINT64(mask, KphDmaPage),
        VMSTATE_UINT64(target, KphDmaPage),
        VMSTATE_END_OF_LIST()
    }
};

/* The buffer is RAM and saved as such; a transfer is never saved. */
const VMStateDescription vmstate_kph_dma = {
    .name = "kph-dma",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = kph_dma_pre_load,
    .post_load_errp = kph_dma_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_EQUAL(caps, KphDma, "devices have other properties"),
        VMSTATE_UINT32(tag, KphDma),
        VMSTATE_UINT32(flags, KphDma),
        VMSTATE_UINT64(addr, KphDma),
        VMSTATE_UINT32(len, KphDma),
        VMSTATE_UINT32(buf_offset, KphDma),
        VMSTATE_UINT64(pattern, KphDma),
        VMSTATE_UINT32(status, KphDma),
        VMSTATE_UINT32(error, KphDma),
        VMSTATE_UINT64(fault_addr, KphDma),
        VMSTATE_UINT32(bytes, KphDma),
        VMSTATE_UINT32(irq, KphDma),
        VMSTATE_UINT32(n_requests, KphDma),
        VMSTATE_UINT32(n_hits, KphDma),
        VMSTATE_UINT32(n_page_requests, KphDma),
        VMSTATE_UINT32(n_responses, KphDma),
        VMSTATE_UINT32(n_invalidations, KphDma),
        VMSTATE_UINT32(last_inv_tag, KphDma),
        VMSTATE_UINT64(last_inv, KphDma),
        VMSTATE_UINT64(last_mask, KphDma),
        VMSTATE_UINT32(last_response, KphDma),
        VMSTATE_UINT16(group, KphDma),
        VMSTATE_INT32(n_atc, KphDma),
        VMSTATE_VALIDATE("size of the ATC", kph_dma_atc_size_valid),
        VMSTATE_STRUCT_VARRAY_ALLOC(atc, KphDma, n_atc, 1,
                                    vmstate_kph_dma_page, KphDmaPage),
        VMSTATE_END_OF_LIST()
    }
};
