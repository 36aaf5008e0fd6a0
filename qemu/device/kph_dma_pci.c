/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kph-dma-pci: the kph-dma engine as a PCIe function.
 *
 * BAR 0 is the window of kph_dma_regs.h, message 0 of MSI the end of a
 * transfer. Extended capabilities as the properties ask: ATS (page aligned
 * requests only), PASID, PRI (responses carry the PASID).
 *
 * The device translates by ATS and uses translated addresses; it never sends
 * untranslated requests.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/pci/msi.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "qom/object.h"
#include "kph_dma.h"
#include "trace.h"

#define TYPE_KPH_DMA_PCI        "kph-dma-pci"
OBJECT_DECLARE_SIMPLE_TYPE(KphDmaPci, KPH_DMA_PCI)

#define KPH_DMA_PCI_PASID_WIDTH_MAX     20
#define KPH_DMA_PCI_PAGE_SIZE           4096

struct KphDmaPci {
    PCIDevice parent_obj;

    KphDma dma;

    uint8_t pasid_width;
    bool ats;
    OnOffAuto pri_wanted;
    uint32_t pri_capacity;
    bool pri;                   /* has the capability */

    GPtrArray *watches;         /* of KphDmaPciWatch */

    /* The tags in @watches, as they are saved and loaded */
    uint32_t *tags;
    uint32_t n_tags;
};

/*
 * An address space whose invalidations and responses we follow. The IOMMU
 * model keeps pointers to the notifiers, so a watch stays where it is.
 */
typedef struct KphDmaPciWatch {
    KphDmaPci *owner;
    uint32_t tag;
    IOMMUNotifier iotlb;
    IOMMUPRINotifier pri;
} KphDmaPciWatch;

static uint32_t kph_dma_pci_pasid(uint32_t tag)
{
    return tag & KPH_DMA_PASID_VALID ? tag & KPH_DMA_PASID_MASK : PCI_NO_PASID;
}

/* Notifiers */

static void kph_dma_pci_invalidated(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    KphDmaPciWatch *watch = container_of(n, KphDmaPciWatch, iotlb);

    kph_dma_invalidate(&watch->owner->dma, watch->tag, entry->iova,
                       entry->addr_mask);
}

static void kph_dma_pci_responded(IOMMUPRINotifier *n,
                                  IOMMUPRIResponse *response)
{
    KphDmaPciWatch *watch = container_of(n, KphDmaPciWatch, pri);
    KphDmaResponse code = KPH_DMA_RESPONSE_FAILURE;

    if (response->response_code == IOMMU_PRI_RESP_SUCCESS) {
        code = KPH_DMA_RESPONSE_SUCCESS;
    } else if (response->response_code == IOMMU_PRI_RESP_INVALID_REQUEST) {
        code = KPH_DMA_RESPONSE_INVALID;
    }
    kph_dma_respond(&watch->owner->dma, response->prgi, code);
}

/*
 * Follow @tag. Only to be called while ATS is enabled: the IOMMU model takes a
 * notifier for an IOMMU without device-TLBs as a fatal error, and the guest
 * enables ATS only if it has them.
 */
static KphDmaPciWatch *kph_dma_pci_watch(KphDmaPci *s, uint32_t tag)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    KphDmaPciWatch *watch;
    int ret;

    for (guint i = 0; i < s->watches->len; i++) {
        watch = g_ptr_array_index(s->watches, i);
        if (watch->tag == tag) {
            return watch;
        }
    }

    watch = g_new0(KphDmaPciWatch, 1);
    watch->owner = s;
    watch->tag = tag;
    watch->pri.notify = kph_dma_pci_responded;
    ret = pci_iommu_init_iotlb_notifier(pdev, &watch->iotlb,
                                        kph_dma_pci_invalidated, watch);
    if (!ret) {
        ret = pci_iommu_register_iotlb_notifier(pdev, kph_dma_pci_pasid(tag),
                                                &watch->iotlb);
    }
    trace_kph_dma_pci_watch(s->dma.name, tag, ret);
    if (ret) {
        g_free(watch);
        return NULL;
    }
    g_ptr_array_add(s->watches, watch);
    return watch;
}

/* Only to be called while PASID is enabled, if it was when watches began. */
static void kph_dma_pci_unwatch(KphDmaPci *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    trace_kph_dma_pci_unwatch(s->dma.name, s->watches->len);
    for (guint i = 0; i < s->watches->len; i++) {
        KphDmaPciWatch *watch = g_ptr_array_index(s->watches, i);
        uint32_t pasid = kph_dma_pci_pasid(watch->tag);
        int ret;

        ret = pci_iommu_unregister_iotlb_notifier(pdev, pasid, &watch->iotlb);
        /* The IOMMU model would go on to use what is freed here */
        assert(!ret);
        if (s->pri) {
            pci_pri_unregister_notifier(pdev, pasid);
        }
    }
    g_ptr_array_set_size(s->watches, 0);
}

/* What the engine asks for */

static bool kph_dma_pci_may_request(DeviceState *dev, uint32_t tag)
{
    PCIDevice *pdev = PCI_DEVICE(dev);

    return pdev->is_master && pcie_ats_enabled(pdev) &&
           (!(tag & KPH_DMA_PASID_VALID) || pcie_pasid_enabled(pdev));
}

static KphDmaTranslation kph_dma_pci_translate(DeviceState *dev, uint32_t tag,
                                               uint64_t addr,
                                               IOMMUAccessFlags want,
                                               KphDmaPage *page,
                                               uint16_t *stall)
{
    KphDmaPci *s = KPH_DMA_PCI(dev);
    bool no_write = !(want & IOMMU_WO);
    IOMMUTLBEntry entry;
    uint32_t errors;
    ssize_t n;

    if (!kph_dma_pci_watch(s, tag)) {
        return KPH_DMA_NO_TRANSLATION;
    }
    n = pci_ats_request_translation(PCI_DEVICE(s), kph_dma_pci_pasid(tag),
                                    false, false, addr, KPH_DMA_PCI_PAGE_SIZE,
                                    no_write, &entry, 1, &errors);
    if (n != 1 || (entry.perm & want) != want) {
        return KPH_DMA_NO_TRANSLATION;
    }

    page->first = entry.iova & ~entry.addr_mask;
    page->mask = entry.addr_mask;
    page->target = entry.translated_addr & ~entry.addr_mask;
    page->perm = entry.perm & IOMMU_RW;
    return KPH_DMA_TRANSLATED;
}

static bool kph_dma_pci_request_page(DeviceState *dev, uint32_t tag,
                                     uint64_t addr, IOMMUAccessFlags want,
                                     uint16_t group)
{
    KphDmaPci *s = KPH_DMA_PCI(dev);
    PCIDevice *pdev = PCI_DEVICE(s);
    KphDmaPciWatch *watch = kph_dma_pci_watch(s, tag);
    uint32_t pasid = kph_dma_pci_pasid(tag);

    /* No credit is no page request, whatever the enable bit says */
    if (!watch || !pcie_pri_get_req_alloc(pdev) ||
        pci_pri_register_notifier(pdev, pasid, &watch->pri)) {
        return false;
    }
    return !pci_pri_request_page(pdev, pasid, false, false, addr, true, group,
                                 want & IOMMU_RO, want & IOMMU_WO);
}

static MemTxResult kph_dma_pci_access(DeviceState *dev, uint64_t target,
                                      void *data, uint32_t len, bool is_write)
{
    /* A translated address is one of the system, and must be RAM */
    MemTxAttrs attrs = {
        .requester_id = pci_requester_id(PCI_DEVICE(dev)),
        .memory = true,
    };

    return address_space_rw(&address_space_memory, target, attrs, data, len,
                            is_write);
}

static void kph_dma_pci_set_irq(DeviceState *dev, bool pending)
{
    PCIDevice *pdev = PCI_DEVICE(dev);

    if (pending && msi_enabled(pdev)) {
        msi_notify(pdev, 0);
    }
}

static const KphDmaOps kph_dma_pci_ops = {
    .may_request = kph_dma_pci_may_request,
    .translate = kph_dma_pci_translate,
    .request_page = kph_dma_pci_request_page,
    .access = kph_dma_pci_access,
    .set_irq = kph_dma_pci_set_irq,
};

static void kph_dma_pci_survey(IommuSurveyed *obj, IommuSurvey *survey)
{
    kph_dma_survey(&KPH_DMA_PCI(obj)->dma, survey,
                   pci_requester_id(PCI_DEVICE(obj)));
}

/* Configuration space */

/* Does this write clear @bit of the 16-bit register at @reg? */
static bool kph_dma_pci_clears(uint16_t reg, uint16_t bit, uint32_t addr,
                               uint32_t val, int len)
{
    for (int i = 0; i < len; i++) {
        uint32_t at = addr + i - reg;
        uint8_t byte = val >> (8 * i);

        if (at < sizeof(uint16_t) && (bit >> (8 * at)) & 0xff &&
            !((bit >> (8 * at)) & byte)) {
            return true;
        }
    }
    return false;
}

static void kph_dma_pci_config_write(PCIDevice *pdev, uint32_t addr,
                                     uint32_t val, int len)
{
    KphDmaPci *s = KPH_DMA_PCI(pdev);
    bool off = false;

    if (pcie_ats_enabled(pdev)) {
        off |= kph_dma_pci_clears(pdev->exp.ats_cap + PCI_ATS_CTRL,
                                  PCI_ATS_CTRL_ENABLE, addr, val, len);
    }
    if (pcie_pasid_enabled(pdev)) {
        off |= kph_dma_pci_clears(pdev->exp.pasid_cap + PCI_PASID_CTRL,
                                  PCI_PASID_CTRL_ENABLE, addr, val, len);
    }
    if (off) {
        /* Before the write: without PASID no notifier can be taken back */
        kph_dma_disable(&s->dma);
        kph_dma_pci_unwatch(s);
    }
    pci_default_write_config(pdev, addr, val, len);
}

/* Life */

/* Check the properties, and settle what is left open. */
static bool kph_dma_pci_check(KphDmaPci *s, Error **errp)
{
    if (!pci_bus_is_express(pci_get_bus(PCI_DEVICE(s)))) {
        error_setg(errp, TYPE_KPH_DMA_PCI " needs a PCI Express bus");
        return false;
    }
    if (s->pasid_width > KPH_DMA_PCI_PASID_WIDTH_MAX) {
        error_setg(errp, "pasid-width is 0 (no PASID capability) to %d",
                   KPH_DMA_PCI_PASID_WIDTH_MAX);
        return false;
    }
    s->pri = s->pri_wanted != ON_OFF_AUTO_OFF && s->ats && s->pasid_width;
    if (s->pri_wanted == ON_OFF_AUTO_ON && !s->pri) {
        error_setg(errp, "pri needs ats and a pasid-width");
        return false;
    }
    if (s->pri && !s->pri_capacity) {
        error_setg(errp, "pri-capacity is at least 1");
        return false;
    }
    return true;
}

static uint32_t kph_dma_pci_caps(const KphDmaPci *s)
{
    uint32_t caps = s->pasid_width << KPH_DMA_CAPS_WIDTH_SHIFT;

    caps |= s->pasid_width ? KPH_DMA_CAPS_PASID : 0;
    caps |= s->ats ? KPH_DMA_CAPS_ATS : 0;
    caps |= s->pri ? KPH_DMA_CAPS_PRI : 0;
    return caps;
}

static void kph_dma_pci_add_caps(KphDmaPci *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint16_t offset = PCI_CONFIG_SPACE_SIZE;

    if (s->ats) {
        pcie_ats_init(pdev, offset, true);
        offset += PCI_EXT_CAP_ATS_SIZEOF;
    }
    if (s->pasid_width) {
        pcie_pasid_init(pdev, offset, s->pasid_width, false, false);
        offset += PCI_EXT_CAP_PASID_SIZEOF;
    }
    if (s->pri) {
        pcie_pri_init(pdev, offset, s->pri_capacity, true);
    }
}

static void kph_dma_pci_realize(PCIDevice *pdev, Error **errp)
{
    KphDmaPci *s = KPH_DMA_PCI(pdev);

    if (!kph_dma_pci_check(s, errp)) {
        return;
    }
    if (pcie_endpoint_cap_init(pdev, 0) < 0) {
        error_setg(errp, "no room for the PCI Express capability");
        return;
    }
    if (msi_init(pdev, 0, 1, true, false, errp) < 0) {
        goto no_msi;
    }
    if (!kph_dma_init(&s->dma, DEVICE(s), &kph_dma_pci_ops,
                      kph_dma_pci_caps(s), errp)) {
        goto no_dma;
    }
    kph_dma_pci_add_caps(s);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->dma.window);
    s->watches = g_ptr_array_new_with_free_func(g_free);
    return;

no_dma:
    msi_uninit(pdev);
no_msi:
    pcie_cap_exit(pdev);
}

static void kph_dma_pci_exit(PCIDevice *pdev)
{
    KphDmaPci *s = KPH_DMA_PCI(pdev);

    kph_dma_pci_unwatch(s);
    g_clear_pointer(&s->watches, g_ptr_array_unref);
    g_clear_pointer(&s->tags, g_free);
    kph_dma_exit(&s->dma);
    msi_uninit(pdev);
    pcie_cap_exit(pdev);
}

static void kph_dma_pci_reset_hold(Object *obj, ResetType type)
{
    KphDmaPci *s = KPH_DMA_PCI(obj);
    PCIDevice *pdev = PCI_DEVICE(s);

    /* First: without PASID no notifier can be taken back */
    kph_dma_pci_unwatch(s);
    kph_dma_reset(&s->dma);

    /* The PCI core resets no extended capability */
    if (s->ats) {
        pci_set_word(pdev->config + pdev->exp.ats_cap + PCI_ATS_CTRL, 0);
    }
    if (s->pasid_width) {
        pci_set_word(pdev->config + pdev->exp.pasid_cap + PCI_PASID_CTRL, 0);
    }
    if (s->pri) {
        pci_set_word(pdev->config + pdev->exp.pri_cap + PCI_PRI_CTRL, 0);
        pci_set_long(pdev->config + pdev->exp.pri_cap + PCI_PRI_ALLOC_REQ, 0);
    }
}

static bool kph_dma_pci_pre_save(void *opaque, Error **errp)
{
    KphDmaPci *s = opaque;

    if (!kph_dma_may_save(&s->dma, errp)) {
        return false;
    }
    s->n_tags = s->watches->len;
    s->tags = g_renew(uint32_t, s->tags, s->n_tags);
    for (uint32_t i = 0; i < s->n_tags; i++) {
        KphDmaPciWatch *watch = g_ptr_array_index(s->watches, i);

        s->tags[i] = watch->tag;
    }
    return true;
}

static int kph_dma_pci_pre_load(void *opaque)
{
    KphDmaPci *s = opaque;

    g_clear_pointer(&s->tags, g_free);
    s->n_tags = 0;
    return 0;
}

/* The notifiers are pointers in the IOMMU model: register them anew. */
static bool kph_dma_pci_post_load(void *opaque, int version_id, Error **errp)
{
    KphDmaPci *s = opaque;

    for (uint32_t i = 0; i < s->n_tags; i++) {
        if (!pcie_ats_enabled(PCI_DEVICE(s)) ||
            !kph_dma_pci_watch(s, s->tags[i])) {
            error_setg(errp, "%s: cannot follow the invalidations of 0x%x",
                       s->dma.name, s->tags[i]);
            return false;
        }
    }
    return true;
}

static const VMStateDescription vmstate_kph_dma_pci = {
    .name = TYPE_KPH_DMA_PCI,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save_errp = kph_dma_pci_pre_save,
    .pre_load = kph_dma_pci_pre_load,
    .post_load_errp = kph_dma_pci_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, KphDmaPci),
        VMSTATE_STRUCT(dma, KphDmaPci, 1, vmstate_kph_dma, KphDma),
        VMSTATE_UINT32(n_tags, KphDmaPci),
        VMSTATE_VARRAY_UINT32_ALLOC(tags, KphDmaPci, n_tags, 1,
                                    vmstate_info_uint32, uint32_t),
        VMSTATE_END_OF_LIST()
    }
};

static const Property kph_dma_pci_properties[] = {
    DEFINE_PROP_UINT8("pasid-width", KphDmaPci, pasid_width,
                      KPH_DMA_PCI_PASID_WIDTH_MAX),
    DEFINE_PROP_BOOL("ats", KphDmaPci, ats, true),
    DEFINE_PROP_ON_OFF_AUTO("pri", KphDmaPci, pri_wanted, ON_OFF_AUTO_AUTO),
    DEFINE_PROP_UINT32("pri-capacity", KphDmaPci, pri_capacity, 32),
};

static void kph_dma_pci_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);
    IommuSurveyedClass *isc = IOMMU_SURVEYED_CLASS(klass);

    isc->survey = kph_dma_pci_survey;
    pc->realize = kph_dma_pci_realize;
    pc->exit = kph_dma_pci_exit;
    pc->config_write = kph_dma_pci_config_write;
    pc->vendor_id = KPH_DMA_PCI_VENDOR;
    pc->device_id = KPH_DMA_PCI_DEVICE;
    pc->class_id = KPH_DMA_PCI_CLASS;
    pc->revision = KPH_DMA_VERSION_VALUE;

    rc->phases.hold = kph_dma_pci_reset_hold;
    dc->desc = "DMA engine that works in process address spaces";
    dc->vmsd = &vmstate_kph_dma_pci;
    device_class_set_props(dc, kph_dma_pci_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo kph_dma_pci_info = {
    .name = TYPE_KPH_DMA_PCI,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(KphDmaPci),
    .class_init = kph_dma_pci_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { TYPE_IOMMU_SURVEYED },
        { }
    }
};

static void kph_dma_pci_register_types(void)
{
    type_register_static(&kph_dma_pci_info);
}

type_init(kph_dma_pci_register_types)
