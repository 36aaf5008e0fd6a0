// SPDX-License-Identifier: GPL-2.0-or-later
/* Bonds and global PASIDs of a file. */
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kph_sva_core.h"

struct kph_bond {
	struct iommu_sva *sva;
	u32 handle;			/* the same for bonds of the same sva */
	u32 pasid;			/* asked for, or else given */
	/* Whose mm it is; not to be followed: we hold no reference, which could hide that the kernel holds none. */
	const struct mm_struct *mm;
	phys_addr_t root;		/* of the mm's page table */
	struct list_head entry;		/* in engine->bonds */
};

/* A broken kernel must not take the module with it: trust no pointer unseen. */
static long kph_check_handle(struct iommu_sva *sva)
{
	if (IS_ERR(sva))
		return PTR_ERR(sva);
	if (!sva || !virt_addr_valid(sva)) {
		pr_warn("kph_sva: bind returned neither a handle nor an error\n");
		return -EBADE;
	}
	return 0;
}

/* Number the handle: as its other live bonds, or anew. */
static void kph_bond_list(struct kph_engine *engine, struct kph_bond *bond)
{
	struct kph_bond *other;

	mutex_lock(&engine->lock);
	list_for_each_entry(other, &engine->bonds, entry)
		if (other->sva == bond->sva) {
			bond->handle = other->handle;
			break;
		}
	if (!bond->handle)
		bond->handle = ++engine->last_handle;
	list_add_tail(&bond->entry, &engine->bonds);
	mutex_unlock(&engine->lock);
}

/* From here on the nth allocation of this task fails, until kph_fail_end(). 0: none, and the task's own n stays. */
static void kph_fail_begin(u32 nth)
{
#ifdef CONFIG_FAULT_INJECTION
	if (nth)
		current->fail_nth = nth;
#endif
}

/* Return: what is left of @nth; 0: the nth allocation has failed. */
static u32 kph_fail_end(u32 nth)
{
#ifdef CONFIG_FAULT_INJECTION
	if (nth) {
		nth = current->fail_nth;
		current->fail_nth = 0;
	}
#endif
	return nth;
}

/* Off the list first: once unbound, the address may be another handle's. Return: what is left of @fail_nth. */
static u32 kph_bond_end(struct kph_engine *engine, struct kph_bond *bond, u32 fail_nth)
{
	mutex_lock(&engine->lock);
	list_del(&bond->entry);
	mutex_unlock(&engine->lock);
	kph_fail_begin(fail_nth);
	iommu_sva_unbind_device(bond->sva);
	fail_nth = kph_fail_end(fail_nth);
	kfree(bond);
	return fail_nth;
}

static bool kph_has_iommu(struct device *dev)
{
#ifdef CONFIG_IOMMU_API
	return dev->iommu;
#else
	return false;
#endif
}

static struct iommu_sva *kph_sva_bind(struct device *dev, bool own, u32 pasid)
{
	if (!own)
		return iommu_sva_bind_device(dev, current->mm);
#ifdef KPH_SVA_OWN_BIND
	return iommu_sva_bind_device_pasid(dev, current->mm, pasid);
#else
	return ERR_PTR(-ENOTTY);
#endif
}

/**
 * kph_bind() - bind the caller's mm to the file's device
 * @file: the file that will own the bond
 * @bind: in: the own PASID, fail_nth; out: bond, handle, PASID, fail_nth
 * @own: use the own PASID
 *
 * Return: 0; the bind's own error; -ENOTTY for an own PASID if the tree has no
 * such call; -EBADE if the kernel returned something that is neither a handle
 * nor an error.
 */
long kph_bind(struct kph_file *file, struct kph_sva_bind *bind, bool own)
{
	struct kph_engine *engine = file->engine;
	struct kph_bond *bond;
	long ret;

	bond = kzalloc_obj(*bond);
	if (!bond)
		return -ENOMEM;
	ret = kph_engine_enter(engine);
	if (ret)
		goto out_free;

	kph_fail_begin(bind->fail_nth);
	bond->sva = kph_sva_bind(engine->dev, own, bind->pasid);
	bind->fail_nth = kph_fail_end(bind->fail_nth);
	ret = kph_check_handle(bond->sva);
	if (ret)
		goto out_leave;
	bond->pasid = own ? bind->pasid : iommu_sva_get_pasid(bond->sva);
	bond->mm = current->mm;
	bond->root = virt_to_phys(current->mm->pgd);
	kph_bond_list(engine, bond);
	bind->handle = bond->handle;
	bind->pasid = iommu_sva_get_pasid(bond->sva);
	ret = xa_alloc(&file->bonds, &bind->bond, bond, xa_limit_31b, GFP_KERNEL);
	if (ret) {
		kph_bond_end(engine, bond, 0);
		bond = NULL;
	}
out_leave:
	kph_engine_leave(engine);
out_free:
	if (ret)
		kfree(bond);
	return ret;
}

/* Return: 0, -ENOENT if the file has no such bond. */
long kph_unbind(struct kph_file *file, struct kph_sva_bond *arg)
{
	struct kph_bond *bond;
	long ret = kph_engine_enter(file->engine);

	if (ret)
		return ret;
	mutex_lock(&file->bond_lock);
	bond = xa_erase(&file->bonds, arg->bond);
	mutex_unlock(&file->bond_lock);
	if (bond)
		arg->fail_nth = kph_bond_end(file->engine, bond, arg->fail_nth);
	kph_engine_leave(file->engine);
	return bond ? 0 : -ENOENT;
}

/* Return: 0, -ENOENT if the file has no such bond. */
long kph_get_pasid(struct kph_file *file, struct kph_sva_bond *arg)
{
	struct kph_bond *bond;
	long ret = kph_engine_enter(file->engine);

	if (ret)
		return ret;
	mutex_lock(&file->bond_lock);
	bond = xa_load(&file->bonds, arg->bond);
	if (bond)
		arg->pasid = iommu_sva_get_pasid(bond->sva);
	mutex_unlock(&file->bond_lock);
	kph_engine_leave(file->engine);
	return bond ? 0 : -ENOENT;
}

static bool kph_mm_has_task(const struct mm_struct *mm)
{
	struct task_struct *process, *thread;
	bool found = false;

	rcu_read_lock();
	for_each_process_thread(process, thread)
		if (READ_ONCE(thread->mm) == mm) {
			found = true;
			goto out;
		}
out:
	rcu_read_unlock();
	return found;
}

/* Return: how many bonds the engine has; the first @room of them are in @live. */
static u32 kph_live_fill(struct kph_engine *engine, struct kph_sva_live *live, u32 room)
{
	struct kph_bond *bond;
	u32 n = 0;

	mutex_lock(&engine->lock);
	list_for_each_entry(bond, &engine->bonds, entry) {
		if (n < room)
			live[n] = (struct kph_sva_live){
				.root = bond->root,
				.pasid = bond->pasid,
				.dead = !kph_mm_has_task(bond->mm),
			};
		n++;
	}
	mutex_unlock(&engine->lock);
	return n;
}

/**
 * kph_live() - list the live bonds of the file's device, whoever made them
 * @file: of the device
 * @arg: in: where to, and the room there; out: how many there are
 *
 * Return: 0, -EINVAL for a bad count, -ENOMEM, -EFAULT.
 */
long kph_live(struct kph_file *file, struct kph_sva_lives *arg)
{
	u32 room = arg->count;
	struct kph_sva_live *live;
	long ret = 0;

	if (!room || room > KPH_SVA_LIVE_MAX)
		return -EINVAL;
	live = kvcalloc(room, sizeof(*live), GFP_KERNEL);
	if (!live)
		return -ENOMEM;
	arg->count = kph_live_fill(file->engine, live, room);
	if (copy_to_user(u64_to_user_ptr(arg->bonds), live, min(room, arg->count) * sizeof(*live)))
		ret = -EFAULT;
	kvfree(live);
	return ret;
}

/* Return: 0, -ENODEV without an IOMMU, -ENOSPC if no PASID is left. */
long kph_alloc_global(struct kph_file *file, struct kph_sva_global *global)
{
	struct device *dev = file->engine->dev;
	long ret = kph_engine_enter(file->engine);
	ioasid_t pasid;

	if (ret)
		return ret;
	/* iommu_alloc_global_pasid() follows dev->iommu without looking. */
	ret = -ENODEV;
	if (!kph_has_iommu(dev))
		goto out;
	ret = -ENOSPC;
	pasid = iommu_alloc_global_pasid(dev);
	if (pasid == IOMMU_PASID_INVALID)
		goto out;
	ret = xa_insert(&file->globals, pasid, xa_mk_value(0), GFP_KERNEL);
	if (ret) {
		/* -EBUSY: the kernel handed out a PASID twice. */
		if (ret != -EBUSY)
			iommu_free_global_pasid(pasid);
		goto out;
	}
	global->pasid = pasid;
out:
	kph_engine_leave(file->engine);
	return ret;
}

/* Return: 0, -ENOENT if the file does not hold this PASID. */
long kph_free_global(struct kph_file *file, u32 pasid)
{
	if (!xa_erase(&file->globals, pasid))
		return -ENOENT;
	iommu_free_global_pasid(pasid);
	return 0;
}

/* Take PASIDs until there is none or enough. Return: how many. */
static u32 kph_take_globals(struct device *dev, u32 *taken, u32 limit)
{
	u32 n;

	for (n = 0; n < limit; n++) {
		taken[n] = iommu_alloc_global_pasid(dev);
		if (taken[n] == IOMMU_PASID_INVALID)
			break;
		cond_resched();
	}
	return n;
}

/**
 * kph_count_global() - count the global PASIDs that the device could still get
 * @file: of the device
 * @global: in: limit; out: count, lowest, highest, complete
 *
 * Takes them and gives them back. What live mms and files hold is not counted,
 * and what a bind needs meanwhile is missing for it.
 *
 * Return: 0, -EINVAL for a bad limit, -ENODEV without an IOMMU, -ENOMEM.
 */
long kph_count_global(struct kph_file *file, struct kph_sva_global *global)
{
	u32 *taken, n, i, limit = global->limit;
	long ret;

	if (!limit || limit > KPH_SVA_COUNT_MAX)
		return -EINVAL;
	taken = kvmalloc_array(limit, sizeof(*taken), GFP_KERNEL);
	if (!taken)
		return -ENOMEM;
	ret = kph_engine_enter(file->engine);
	if (ret)
		goto out_free;
	if (!kph_has_iommu(file->engine->dev)) {
		ret = -ENODEV;
		goto out_leave;
	}
	n = kph_take_globals(file->engine->dev, taken, limit);
	global->count = n;
	global->complete = n < limit;
	global->lowest = 0;
	global->highest = 0;
	for (i = 0; i < n; i++) {
		global->lowest = i ? min(global->lowest, taken[i]) : taken[i];
		global->highest = i ? max(global->highest, taken[i]) : taken[i];
		iommu_free_global_pasid(taken[i]);
	}
out_leave:
	kph_engine_leave(file->engine);
out_free:
	kvfree(taken);
	return ret;
}

/* End every bond of a file and give back its PASIDs. The caller holds engine->live. */
void kph_bonds_end(struct kph_file *file)
{
	struct kph_bond *bond;
	unsigned long i;
	void *value;

	xa_for_each(&file->bonds, i, bond) {
		xa_erase(&file->bonds, i);
		kph_bond_end(file->engine, bond, 0);
	}
	xa_for_each(&file->globals, i, value) {
		xa_erase(&file->globals, i);
		iommu_free_global_pasid(i);
	}
}
