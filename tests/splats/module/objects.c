// SPDX-License-Identifier: GPL-2.0-or-later
/* Mistakes with the life of objects: what DEBUG_OBJECTS tells of. */
#include <linux/completion.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "splats.h"

struct thing {
	struct timer_list timer;
	struct work_struct work;
	struct rcu_head rcu;
	struct completion go;
};

static noinline struct thing *thing(void)
{
	return kzalloc(sizeof(struct thing), GFP_KERNEL);
}

static void tick(struct timer_list *timer)
{
}

static noinline void splat_active_timer(void)
{
	struct thing *own = thing();

	timer_setup(&own->timer, tick, 0);
	mod_timer(&own->timer, jiffies + 100 * HZ);
	kfree(own);
}

static noinline void splat_timer_again(void)
{
	struct thing *own = thing();

	timer_setup(&own->timer, tick, 0);
	mod_timer(&own->timer, jiffies + 100 * HZ);
	timer_setup(&own->timer, tick, 0);
	timer_delete_sync(&own->timer);
	kfree(own);
}

static void wait_to_go(struct work_struct *work)
{
	wait_for_completion(&container_of(work, struct thing, work)->go);
}

static void never(struct work_struct *work)
{
}

/* The second work of a queue that does one after the other stays pending. */
static noinline void splat_active_work(void)
{
	struct workqueue_struct *queue = alloc_ordered_workqueue("splats", 0);
	struct thing *first = thing(), *second = thing();

	init_completion(&first->go);
	INIT_WORK(&first->work, wait_to_go);
	INIT_WORK(&second->work, never);
	queue_work(queue, &first->work);
	queue_work(queue, &second->work);
	kfree(second);
	complete(&first->go);
	destroy_workqueue(queue);
	kfree(first);
}

static void forget(struct rcu_head *head)
{
}

static noinline void splat_double_rcu(void)
{
	struct thing *own = thing();

	/* The first is not carried out before the second is refused. */
	rcu_read_lock();
	call_rcu(&own->rcu, forget);
	call_rcu(&own->rcu, forget);
	rcu_read_unlock();
}

static noinline void splat_two_cpus(void)
{
	splats_at_once(splat_active_timer, splat_timer_again);
}

const struct mistake object_mistakes[] = {
	{ "active_timer", splat_active_timer },
	{ "timer_again", splat_timer_again },
	{ "active_work", splat_active_work },
	{ "double_rcu", splat_double_rcu },
	{ "two_cpus_objects", splat_two_cpus },
	{ }
};
