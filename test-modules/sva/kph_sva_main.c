// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kph_sva: lets a test program bind its address space to a device and see what
 * the device can then reach. One character device per engine.
 *
 * Everything that a program obtains belongs to its open file: the last close,
 * also that of a killed process, ends it.
 */
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kph_dma_regs.h"
#include "kph_sva_core.h"

/**
 * kph_engine_enter() - start to use an engine's device
 * @engine: the engine
 *
 * Return: 0, and the device stays until kph_engine_leave(); -ENODEV if it has
 * gone; -EINTR if the caller is being killed.
 */
int kph_engine_enter(struct kph_engine *engine)
{
	if (down_read_killable(&engine->live))
		return -EINTR;
	if (engine->gone) {
		up_read(&engine->live);
		return -ENODEV;
	}
	return 0;
}

void kph_engine_leave(struct kph_engine *engine)
{
	up_read(&engine->live);
}

/* The caller is inside kph_engine_enter(). */
u32 kph_engine_max_pasids(const struct kph_engine *engine)
{
#ifdef CONFIG_IOMMU_API
	if (engine->dev->iommu)
		return engine->dev->iommu->max_pasids;
#endif
	return 0;
}

static void kph_engine_free(struct kref *ref)
{
	kfree(container_of(ref, struct kph_engine, ref));
}

void kph_engine_put(struct kph_engine *engine)
{
	kref_put(&engine->ref, kph_engine_free);
}

static long kph_facts(struct kph_engine *engine, struct kph_sva_facts *facts)
{
	struct device *dev = engine->dev;
	int ret = kph_engine_enter(engine);

	if (ret)
		return ret;

	facts->abi = KPH_SVA_ABI;
	facts->bus = engine->bus->id;
	if (IS_ENABLED(CONFIG_IOMMU_SVA))
		facts->has |= KPH_SVA_HAS_IOMMU_SVA;
#ifdef KPH_SVA_OWN_BIND
	facts->has |= KPH_SVA_HAS_OWN_BIND;
#endif
#ifdef CONFIG_IOMMU_API
	if (dev->iommu_group)
		facts->has |= KPH_SVA_HAS_GROUP;
	if (dev->iommu)
		facts->has |= KPH_SVA_HAS_IOMMU;
#endif
#ifdef CONFIG_IOMMU_API
	facts->bond_bytes = kmalloc_size_roundup(sizeof(struct iommu_sva));
	facts->mm_data_bytes = kmalloc_size_roundup(sizeof(struct iommu_mm_data));
#endif
	if (engine->bus->has)
		facts->has |= engine->bus->has(engine);
	if (engine->bus->pasid_width)
		facts->pasid_width = engine->bus->pasid_width(engine);
	facts->max_pasids = kph_engine_max_pasids(engine);
	strscpy(facts->device, dev_name(dev));

	kph_engine_leave(engine);
	return 0;
}

/* Large enough for the argument of every ioctl. */
union kph_arg {
	struct kph_sva_facts facts;
	struct kph_sva_bind bind;
	struct kph_sva_bond bond;
	struct kph_sva_lives lives;
	struct kph_sva_global global;
	struct kph_sva_dma dma;
	struct kph_sva_counters counters;
};

/*
 * Waits until all that kfree_rcu() was given is free. kvfree_rcu_barrier() does this and is not for modules; the end of a
 * cache calls it (kmem_cache_destroy(), mm/slab_common.c).
 */
static long kph_free_late(void)
{
	struct kmem_cache *cache = kmem_cache_create("kph_sva_late", sizeof(long), 0, 0, NULL);

	if (!cache)
		return -ENOMEM;
	kmem_cache_destroy(cache);
	return 0;
}

static long kph_do_ioctl(struct kph_file *file, unsigned int cmd, union kph_arg *arg,
			 unsigned long plain)
{
	switch (cmd) {
	case KPH_SVA_FACTS:
		return kph_facts(file->engine, &arg->facts);
	case KPH_SVA_BIND:
		return kph_bind(file, &arg->bind, false);
	case KPH_SVA_BIND_PASID:
		return kph_bind(file, &arg->bind, true);
	case KPH_SVA_UNBIND:
		return kph_unbind(file, &arg->bond);
	case KPH_SVA_GET_PASID:
		return kph_get_pasid(file, &arg->bond);
	case KPH_SVA_LIVE:
		return kph_live(file, &arg->lives);
	case KPH_SVA_ALLOC_GLOBAL:
		return kph_alloc_global(file, &arg->global);
	case KPH_SVA_FREE_GLOBAL:
		return kph_free_global(file, arg->global.pasid);
	case KPH_SVA_COUNT_GLOBAL:
		return kph_count_global(file, &arg->global);
	case KPH_SVA_DMA:
		return kph_dma(file, &arg->dma);
	case KPH_SVA_DMA_WAIT:
		return kph_dma_wait(file, &arg->dma);
	case KPH_SVA_DMA_ABORT:
		return kph_dma_abort(file->engine);
	case KPH_SVA_COUNTERS:
		return kph_dma_counters(file->engine, &arg->counters);
	case KPH_SVA_CLEAR:
		return kph_dma_command(file->engine, KPH_DMA_CMD_CLEAR);
	case KPH_SVA_FLUSH_ATC:
		return kph_dma_command(file->engine, KPH_DMA_CMD_FLUSH_ATC);
	case KPH_SVA_HOLD_MM:
		return kph_hold_mm(file, plain);
	case KPH_SVA_RELEASE_MM:
		return kph_release_mm(file);
	case KPH_SVA_SETTLE:
		mmu_notifier_synchronize();
		return 0;
	case KPH_SVA_FREE_LATE:
		return kph_free_late();
	}
	return -ENOTTY;
}

static long kph_ioctl(struct file *filp, unsigned int cmd, unsigned long plain)
{
	void __user *user = (void __user *)plain;
	size_t size = _IOC_SIZE(cmd);
	union kph_arg arg = {};
	long ret;

	if (_IOC_TYPE(cmd) != KPH_SVA_MAGIC || size > sizeof(arg))
		return -ENOTTY;
	if ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(&arg, user, size))
		return -EFAULT;
	ret = kph_do_ioctl(filp->private_data, cmd, &arg, plain);
	if (ret != -ENOTTY && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(user, &arg, size))
		return -EFAULT;
	return ret;
}

static int kph_open(struct inode *inode, struct file *filp)
{
	/* misc_open() runs this under the lock that misc_deregister() takes. */
	struct kph_engine *engine = container_of(filp->private_data, struct kph_engine, misc);
	struct kph_file *file = kzalloc_obj(*file);

	if (!file)
		return -ENOMEM;
	file->engine = engine;
	xa_init_flags(&file->bonds, XA_FLAGS_ALLOC1);
	xa_init(&file->globals);
	mutex_init(&file->bond_lock);
	mutex_init(&file->hold_lock);
	kref_get(&engine->ref);
	mutex_lock(&engine->lock);
	list_add_tail(&file->entry, &engine->files);
	mutex_unlock(&engine->lock);
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int kph_release(struct inode *inode, struct file *filp)
{
	struct kph_file *file = filp->private_data;
	struct kph_engine *engine = file->engine;

	kph_release_mm(file);
	down_read(&engine->live);
	kph_dma_end(file);
	kph_bonds_end(file);
	mutex_lock(&engine->lock);
	list_del(&file->entry);
	mutex_unlock(&engine->lock);
	up_read(&engine->live);

	xa_destroy(&file->bonds);
	xa_destroy(&file->globals);
	kfree(file);
	kph_engine_put(engine);
	return 0;
}

static const struct file_operations kph_fops = {
	.owner = THIS_MODULE,
	.open = kph_open,
	.release = kph_release,
	.unlocked_ioctl = kph_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/**
 * kph_engine_alloc() - make an engine that is not yet visible
 * @dev: its device
 * @bus: the bus' part
 * @regs: register window, NULL if the device has none
 * @name: what its character device is called, after the prefix
 *
 * Return: the engine, to be given back by kph_engine_put(); NULL without memory.
 */
struct kph_engine *kph_engine_alloc(struct device *dev, const struct kph_bus *bus,
				    void __iomem *regs, const char *name)
{
	struct kph_engine *engine = kzalloc_obj(*engine);

	if (!engine)
		return NULL;
	engine->dev = dev;
	engine->bus = bus;
	engine->regs = regs;
	kref_init(&engine->ref);
	init_rwsem(&engine->live);
	mutex_init(&engine->lock);
	INIT_LIST_HEAD(&engine->files);
	INIT_LIST_HEAD(&engine->bonds);
	init_waitqueue_head(&engine->idle);
	init_completion(&engine->end);
	snprintf(engine->name, sizeof(engine->name), KPH_SVA_DEV_PREFIX "%s", name);
	engine->misc.minor = MISC_DYNAMIC_MINOR;
	engine->misc.name = engine->name;
	engine->misc.fops = &kph_fops;
	return engine;
}

int kph_engine_register(struct kph_engine *engine)
{
	return misc_register(&engine->misc);
}

/* A driver must end every bond before its device goes; open files stay, and find it gone. */
void kph_engine_unregister(struct kph_engine *engine)
{
	struct kph_file *file;

	misc_deregister(&engine->misc);

	/* No file enters the list any more, and none leaves it while live is held for writing. */
	down_write(&engine->live);
	engine->gone = true;
	kph_dma_stop(engine);
	list_for_each_entry(file, &engine->files, entry)
		kph_bonds_end(file);
	complete_all(&engine->end);
	wake_up_all(&engine->idle);
	up_write(&engine->live);
}

static int __init kph_init(void)
{
	int ret = kph_bare_init();

	if (ret)
		return ret;
	ret = kph_pci_init();
	if (ret)
		goto out_bare;
	ret = kph_platform_init();
	if (!ret)
		return 0;
	kph_pci_exit();
out_bare:
	kph_bare_exit();
	return ret;
}
module_init(kph_init);

static void __exit kph_exit(void)
{
	kph_platform_exit();
	kph_pci_exit();
	kph_bare_exit();
}
module_exit(kph_exit);

MODULE_DESCRIPTION("Test module for shared virtual addressing: binds, global PASIDs, DMA");
MODULE_LICENSE("GPL");
