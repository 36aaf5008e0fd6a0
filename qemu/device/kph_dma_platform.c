/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kph-dma-platform: the kph-dma engine as a platform device behind an SMMUv3.
 *
 * One window as in kph_dma_regs.h, one interrupt line, high while an end is
 * pending. The board makes a node of the device tree from SMMUv3MasterInfo.
 *
 * The device has no ATC: the SMMU translates each page each time, so that the
 * SMMU's own caches show whether software invalidates them. With "stall" the
 * SMMU may hold a transaction, which is this device's page request.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/arm/smmuv3-master.h"
#include "hw/arm/smmuv3-stream.h"
#include "hw/irq.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qom/object.h"
#include "kph_dma.h"
#include "trace.h"

#define TYPE_KPH_DMA_PLATFORM   "kph-dma-platform"
OBJECT_DECLARE_SIMPLE_TYPE(KphDmaPlatform, KPH_DMA_PLATFORM)

#define KPH_DMA_PLATFORM_PASID_WIDTH_MAX    20

struct KphDmaPlatform {
    SysBusDevice parent_obj;

    KphDma dma;
    qemu_irq irq;
    SMMUv3Stream *stream;

    SMMUv3State *smmu;
    uint32_t stream_id;
    uint8_t pasid_width;
    bool stall;
};

/* What the engine asks for */

static bool kph_dma_platform_may_request(DeviceState *dev, uint32_t tag)
{
    return !(tag & KPH_DMA_PASID_VALID) || KPH_DMA_PLATFORM(dev)->pasid_width;
}

static KphDmaTranslation kph_dma_platform_translate(DeviceState *dev,
                                                    uint32_t tag, uint64_t addr,
                                                    IOMMUAccessFlags want,
                                                    KphDmaPage *page,
                                                    uint16_t *stall)
{
    KphDmaPlatform *s = KPH_DMA_PLATFORM(dev);
    IOMMUTLBEntry entry;
    uint16_t stag;

    switch (smmuv3_stream_translate(s->stream, tag & KPH_DMA_PASID_VALID,
                                    tag & KPH_DMA_PASID_MASK, addr, want,
                                    stall, &entry, &stag)) {
    case SMMUV3_STREAM_STALLED:
        *stall = stag;
        return KPH_DMA_STALLED;
    case SMMUV3_STREAM_OK:
        break;
    default:
        return KPH_DMA_NO_TRANSLATION;
    }

    page->first = addr & ~entry.addr_mask;
    page->mask = entry.addr_mask;
    page->target = entry.translated_addr & ~entry.addr_mask;
    page->perm = entry.perm & IOMMU_RW;
    return KPH_DMA_TRANSLATED;
}

static void kph_dma_platform_resume(void *opaque, uint16_t stag, bool retry)
{
    KphDmaPlatform *s = opaque;

    kph_dma_respond(&s->dma, stag, retry ? KPH_DMA_RESPONSE_SUCCESS
                                         : KPH_DMA_RESPONSE_INVALID);
}

static MemTxResult kph_dma_platform_access(DeviceState *dev, uint64_t target,
                                           void *data, uint32_t len,
                                           bool is_write)
{
    /* A translated address is one of the system, and must be RAM */
    MemTxAttrs attrs = { .memory = true };

    return address_space_rw(&address_space_memory, target, attrs, data, len,
                            is_write);
}

static void kph_dma_platform_set_irq(DeviceState *dev, bool pending)
{
    KphDmaPlatform *s = KPH_DMA_PLATFORM(dev);

    trace_kph_dma_platform_irq(s->dma.name, pending);
    qemu_set_irq(s->irq, pending);
}

static const KphDmaOps kph_dma_platform_ops = {
    .may_request = kph_dma_platform_may_request,
    .translate = kph_dma_platform_translate,
    .access = kph_dma_platform_access,
    .set_irq = kph_dma_platform_set_irq,
};

static const SMMUv3StreamOps kph_dma_platform_stream_ops = {
    .resume = kph_dma_platform_resume,
};

/* Life */

/* Check the properties, and find the SMMU if none is named. */
static bool kph_dma_platform_check(KphDmaPlatform *s, Error **errp)
{
    bool ambiguous = false;
    Object *smmu;

    if (s->pasid_width > KPH_DMA_PLATFORM_PASID_WIDTH_MAX) {
        error_setg(errp, "pasid-width is 0 (no PASIDs) to %d",
                   KPH_DMA_PLATFORM_PASID_WIDTH_MAX);
        return false;
    }
    if (s->smmu) {
        return true;
    }

    smmu = object_resolve_path_type("", TYPE_ARM_SMMUV3, &ambiguous);
    if (!smmu) {
        error_setg(errp, ambiguous
                   ? "the machine has several SMMUv3: the property 'smmu' "
                     "must name one"
                   : "the machine has no SMMUv3 that the property 'smmu' "
                     "could name");
        return false;
    }
    /* As if it had been given: the link owns a reference */
    return object_property_set_link(OBJECT(s), "smmu", smmu, errp);
}

static uint32_t kph_dma_platform_caps(const KphDmaPlatform *s)
{
    uint32_t caps = s->pasid_width << KPH_DMA_CAPS_WIDTH_SHIFT;

    caps |= s->pasid_width ? KPH_DMA_CAPS_PASID : 0;
    caps |= s->stall ? KPH_DMA_CAPS_STALL : 0;
    return caps;
}

static void kph_dma_platform_realize(DeviceState *dev, Error **errp)
{
    KphDmaPlatform *s = KPH_DMA_PLATFORM(dev);

    if (!kph_dma_platform_check(s, errp) ||
        !kph_dma_init(&s->dma, dev, &kph_dma_platform_ops,
                      kph_dma_platform_caps(s), errp)) {
        return;
    }
    s->stream = smmuv3_stream_attach(s->smmu, s->stream_id, dev,
                                     &kph_dma_platform_stream_ops, s, errp);
    if (!s->stream) {
        kph_dma_exit(&s->dma);
        return;
    }
    sysbus_init_mmio(SYS_BUS_DEVICE(s), &s->dma.window);
    sysbus_init_irq(SYS_BUS_DEVICE(s), &s->irq);
}

static void kph_dma_platform_unrealize(DeviceState *dev)
{
    KphDmaPlatform *s = KPH_DMA_PLATFORM(dev);

    g_clear_pointer(&s->stream, smmuv3_stream_detach);
    kph_dma_exit(&s->dma);
}

static void kph_dma_platform_reset_hold(Object *obj, ResetType type)
{
    kph_dma_reset(&KPH_DMA_PLATFORM(obj)->dma);
}

static void kph_dma_platform_get_info(SMMUv3Master *master,
                                      SMMUv3MasterInfo *info)
{
    KphDmaPlatform *s = KPH_DMA_PLATFORM(master);

    info->smmu = s->smmu;
    info->sid = s->stream_id;
    info->ssid_bits = s->pasid_width;
    info->can_stall = s->stall;
}

static bool kph_dma_platform_pre_save(void *opaque, Error **errp)
{
    KphDmaPlatform *s = opaque;

    return kph_dma_may_save(&s->dma, errp);
}

/* The interrupt controller saves the level of the line. */
static const VMStateDescription vmstate_kph_dma_platform = {
    .name = TYPE_KPH_DMA_PLATFORM,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save_errp = kph_dma_platform_pre_save,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT(dma, KphDmaPlatform, 1, vmstate_kph_dma, KphDma),
        VMSTATE_END_OF_LIST()
    }
};

static const Property kph_dma_platform_properties[] = {
    DEFINE_PROP_LINK("smmu", KphDmaPlatform, smmu, TYPE_ARM_SMMUV3,
                     SMMUv3State *),
    DEFINE_PROP_UINT32("stream-id", KphDmaPlatform, stream_id, 0),
    DEFINE_PROP_UINT8("pasid-width", KphDmaPlatform, pasid_width,
                      KPH_DMA_PLATFORM_PASID_WIDTH_MAX),
    DEFINE_PROP_BOOL("stall", KphDmaPlatform, stall, false),
};

static void kph_dma_platform_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);
    SMMUv3MasterClass *smc = SMMUV3_MASTER_CLASS(klass);

    dc->realize = kph_dma_platform_realize;
    dc->unrealize = kph_dma_platform_unrealize;
    rc->phases.hold = kph_dma_platform_reset_hold;
    smc->fdt_name = "dma";
    smc->fdt_compatible = KPH_DMA_COMPATIBLE;
    smc->get_info = kph_dma_platform_get_info;
    dc->desc = "DMA engine that works in process address spaces";
    dc->vmsd = &vmstate_kph_dma_platform;
    device_class_set_props(dc, kph_dma_platform_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo kph_dma_platform_info = {
    .name = TYPE_KPH_DMA_PLATFORM,
    .parent = TYPE_DYNAMIC_SYS_BUS_DEVICE,
    .instance_size = sizeof(KphDmaPlatform),
    .class_init = kph_dma_platform_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { TYPE_SMMUV3_MASTER },
        { }
    }
};

static void kph_dma_platform_register_types(void)
{
    type_register_static(&kph_dma_platform_info);
}

type_init(kph_dma_platform_register_types)
