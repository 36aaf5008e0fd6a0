// SPDX-License-Identifier: GPL-2.0-or-later
/* The platform front end: a kph-dma that the device tree describes. */
#include <linux/io.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/property.h>

#include "kph_dma_regs.h"
#include "kph_sva_core.h"

/*
 * No bus enables anything here. The device tags its requests once the IOMMU has
 * more than PASID 0 for it, and may stall when firmware and registers say so.
 */
static u32 kph_platform_has(const struct kph_engine *engine)
{
	u32 has = 0;

	if (kph_engine_max_pasids(engine) > 1)
		has |= KPH_SVA_HAS_PASID;
	if (device_property_read_bool(engine->dev, "dma-can-stall") &&
	    (kph_dma_caps(engine) & KPH_DMA_CAPS_STALL))
		has |= KPH_SVA_HAS_STALL;
	return has;
}

static u32 kph_platform_pasid_width(const struct kph_engine *engine)
{
	u32 bits = 0;

	device_property_read_u32(engine->dev, "pasid-num-bits", &bits);
	return bits;
}

static const struct kph_bus kph_platform_bus = {
	.id = KPH_SVA_BUS_PLATFORM,
	.has = kph_platform_has,
	.pasid_width = kph_platform_pasid_width,
};

static void kph_platform_put(void *data)
{
	kph_engine_put(data);
}

/* Registers, then interrupt, then the character device: undone the other way round. */
static int kph_platform_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct kph_engine *engine;
	struct resource *window;
	void __iomem *regs;
	int irq, ret;

	regs = devm_platform_get_and_ioremap_resource(pdev, 0, &window);
	if (IS_ERR(regs))
		return PTR_ERR(regs);
	if (resource_size(window) < KPH_DMA_WINDOW || !kph_dma_known(regs))
		return dev_err_probe(dev, -ENODEV, "not a kph-dma of version %u\n",
				     KPH_DMA_VERSION_VALUE);
	irq = platform_get_irq(pdev, 0);
	if (irq < 0)
		return irq;

	engine = kph_engine_alloc(dev, &kph_platform_bus, regs, dev_name(dev));
	if (!engine)
		return -ENOMEM;
	ret = devm_add_action_or_reset(dev, kph_platform_put, engine);
	if (ret)
		return ret;
	ret = devm_request_irq(dev, irq, kph_dma_irq, 0, "kph_sva", engine);
	if (ret)
		return ret;
	platform_set_drvdata(pdev, engine);
	return kph_engine_register(engine);
}

/* Not a managed action: the bus gives the default domain back before those run, and wants no PASID attached then. */
static void kph_platform_remove(struct platform_device *pdev)
{
	kph_engine_unregister(platform_get_drvdata(pdev));
}

static const struct of_device_id kph_platform_ids[] = {
	{ .compatible = KPH_DMA_COMPATIBLE },
	{ }
};
MODULE_DEVICE_TABLE(of, kph_platform_ids);

static struct platform_driver kph_platform_driver = {
	.driver = {
		.name = "kph_sva",
		.of_match_table = kph_platform_ids,
	},
	.probe = kph_platform_probe,
	.remove = kph_platform_remove,
};

int __init kph_platform_init(void)
{
	return platform_driver_register(&kph_platform_driver);
}

void kph_platform_exit(void)
{
	platform_driver_unregister(&kph_platform_driver);
}
