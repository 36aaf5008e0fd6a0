// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keep an mm locked for writing for a bounded time. Page requests for it wait
 * for the lock, so a transfer that needs one is under way for as long.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "kph_sva_core.h"

/* A work item locks and unlocks: a lock has one owner, and the caller must go on. */
struct kph_hold {
	struct work_struct work;
	struct mm_struct *mm;
	unsigned long timeout;		/* jiffies */
	struct completion held;
	struct completion end;
	struct completion over;		/* unlocked, whether ended or timed out */
};

static void kph_hold_work(struct work_struct *work)
{
	struct kph_hold *hold = container_of(work, struct kph_hold, work);

	mmap_write_lock(hold->mm);
	complete(&hold->held);
	wait_for_completion_timeout(&hold->end, hold->timeout);
	mmap_write_unlock(hold->mm);
	mmput(hold->mm);
	complete(&hold->over);
}

static void kph_hold_finish(struct kph_hold *hold)
{
	complete(&hold->end);
	flush_work(&hold->work);
	kfree(hold);
}

/* Return: 0, -EINVAL, -ENOMEM, -EBUSY while this file holds one. */
long kph_hold_mm(struct kph_file *file, unsigned long ms)
{
	struct kph_hold *hold;

	if (!ms || ms > KPH_SVA_HOLD_MAX)
		return -EINVAL;
	hold = kzalloc_obj(*hold);
	if (!hold)
		return -ENOMEM;
	mutex_lock(&file->hold_lock);
	if (file->hold && completion_done(&file->hold->over)) {
		kph_hold_finish(file->hold);
		file->hold = NULL;
	}
	if (file->hold) {
		mutex_unlock(&file->hold_lock);
		kfree(hold);
		return -EBUSY;
	}
	hold->mm = current->mm;
	mmget(hold->mm);
	hold->timeout = msecs_to_jiffies(ms);
	init_completion(&hold->held);
	init_completion(&hold->end);
	init_completion(&hold->over);
	INIT_WORK(&hold->work, kph_hold_work);
	file->hold = hold;
	queue_work(system_dfl_wq, &hold->work);
	wait_for_completion(&hold->held);
	mutex_unlock(&file->hold_lock);
	return 0;
}

/* Return: 0, also if the time was up; -ENOENT if nothing was held since the last release. */
long kph_release_mm(struct kph_file *file)
{
	struct kph_hold *hold;

	mutex_lock(&file->hold_lock);
	hold = file->hold;
	file->hold = NULL;
	mutex_unlock(&file->hold_lock);
	if (!hold)
		return -ENOENT;
	kph_hold_finish(hold);
	return 0;
}
