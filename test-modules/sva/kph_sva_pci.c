// SPDX-License-Identifier: GPL-2.0-or-later
/* The PCIe front end: the kph-dma-pci function. */
#include <linux/pci.h>
#include <linux/pci-ats.h>

#include "kph_dma_regs.h"
#include "kph_sva_core.h"

#define KPH_PCI_BAR	0

/* The IOMMU core enables PASID, ATS and PRI at probe: we only look. */
static u32 kph_pci_has(const struct kph_engine *engine)
{
	struct pci_dev *pdev = to_pci_dev(engine->dev);
	u32 has = 0;

	if (pdev->pasid_enabled)
		has |= KPH_SVA_HAS_PASID;
	if (pdev->ats_enabled)
		has |= KPH_SVA_HAS_ATS;
	if (pdev->pri_enabled)
		has |= KPH_SVA_HAS_PRI;
	return has;
}

static u32 kph_pci_pasid_width(const struct kph_engine *engine)
{
	int max = pci_max_pasids(to_pci_dev(engine->dev));

	return max > 0 ? ilog2(max) : 0;
}

static const struct kph_bus kph_pci_bus = {
	.id = KPH_SVA_BUS_PCI,
	.has = kph_pci_has,
	.pasid_width = kph_pci_pasid_width,
};

static void kph_pci_put(void *data)
{
	kph_engine_put(data);
}

/* Registers, then interrupt, then the character device: undone the other way round. */
static int kph_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct kph_engine *engine;
	void __iomem *regs;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	regs = pcim_iomap_region(pdev, KPH_PCI_BAR, "kph_sva");
	if (IS_ERR(regs))
		return PTR_ERR(regs);
	if (pci_resource_len(pdev, KPH_PCI_BAR) < KPH_DMA_WINDOW || !kph_dma_known(regs))
		return dev_err_probe(dev, -ENODEV, "not a kph-dma of version %u\n",
				     KPH_DMA_VERSION_VALUE);
	pci_set_master(pdev);

	engine = kph_engine_alloc(dev, &kph_pci_bus, regs, pci_name(pdev));
	if (!engine)
		return -ENOMEM;
	ret = devm_add_action_or_reset(dev, kph_pci_put, engine);
	if (ret)
		return ret;
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX | PCI_IRQ_MSI);
	if (ret < 0)
		return dev_err_probe(dev, ret, "no message interrupt\n");
	ret = devm_request_irq(dev, pci_irq_vector(pdev, 0), kph_dma_irq, 0, "kph_sva", engine);
	if (ret)
		return ret;
	pci_set_drvdata(pdev, engine);
	return kph_engine_register(engine);
}

/* Not a managed action: the bus gives the default domain back before those run, and wants no PASID attached then. */
static void kph_pci_remove(struct pci_dev *pdev)
{
	kph_engine_unregister(pci_get_drvdata(pdev));
}

static const struct pci_device_id kph_pci_ids[] = {
	{ PCI_DEVICE(KPH_DMA_PCI_VENDOR, KPH_DMA_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, kph_pci_ids);

static struct pci_driver kph_pci_driver = {
	.name = "kph_sva",
	.id_table = kph_pci_ids,
	.probe = kph_pci_probe,
	.remove = kph_pci_remove,
};

int __init kph_pci_init(void)
{
	return pci_register_driver(&kph_pci_driver);
}

void kph_pci_exit(void)
{
	pci_unregister_driver(&kph_pci_driver);
}
