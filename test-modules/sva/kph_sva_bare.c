// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A device that no IOMMU knows: no group, no registers. To bind to it must be
 * an error. One exists as long as the module is loaded.
 */
#include <linux/device/faux.h>
#include <linux/err.h>

#include "kph_sva_core.h"

static const struct kph_bus kph_bare_bus = {
	.id = KPH_SVA_BUS_BARE,
};

static struct faux_device *kph_bare_device;
static struct kph_engine *kph_bare_engine;

int __init kph_bare_init(void)
{
	int ret = -ENOMEM;

	kph_bare_device = faux_device_create("kph_sva_bare", NULL, NULL);
	if (!kph_bare_device)
		return -ENODEV;
	kph_bare_engine = kph_engine_alloc(&kph_bare_device->dev, &kph_bare_bus, NULL, "bare");
	if (!kph_bare_engine)
		goto out_destroy;
	ret = kph_engine_register(kph_bare_engine);
	if (!ret)
		return 0;
	kph_engine_put(kph_bare_engine);
out_destroy:
	faux_device_destroy(kph_bare_device);
	return ret;
}

void kph_bare_exit(void)
{
	kph_engine_unregister(kph_bare_engine);
	kph_engine_put(kph_bare_engine);
	faux_device_destroy(kph_bare_device);
}
