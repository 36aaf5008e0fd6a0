// SPDX-License-Identifier: GPL-2.0-or-later
/* Mistakes with locks: what lockdep and the checks for sleeping tell of. */
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "splats.h"

static DEFINE_MUTEX(splat_a);
static DEFINE_MUTEX(splat_b);
static DEFINE_SPINLOCK(spin);
/* Raw: another kind may not be taken in an interrupt, which would be told of first. */
static DEFINE_RAW_SPINLOCK(raw_a);
static DEFINE_RAW_SPINLOCK(raw_b);
static int __rcu *splat_pointer;

static noinline void splat_circular(void)
{
	mutex_lock(&splat_a);
	mutex_lock(&splat_b);
	mutex_unlock(&splat_b);
	mutex_unlock(&splat_a);
	mutex_lock(&splat_b);
	mutex_lock(&splat_a);
	mutex_unlock(&splat_a);
	mutex_unlock(&splat_b);
}

static noinline void splat_recursive(void)
{
	static struct mutex both[2];

	for (unsigned int i = 0; i < 2; i++)
		mutex_init(&both[i]);
	mutex_lock(&both[0]);
	mutex_lock(&both[1]);
	mutex_unlock(&both[1]);
	mutex_unlock(&both[0]);
}

static void interrupted(struct irq_work *work)
{
	raw_spin_lock(&raw_a);
	raw_spin_unlock(&raw_a);
}

static struct irq_work interrupt = IRQ_WORK_INIT_HARD(interrupted);

static noinline void take_in_interrupt(void)
{
	irq_work_queue(&interrupt);
	irq_work_sync(&interrupt);
}

static noinline void splat_irq_state(void)
{
	take_in_interrupt();
	raw_spin_lock(&raw_a);
	raw_spin_unlock(&raw_a);
}

static noinline void take_both(void)
{
	raw_spin_lock_irq(&raw_a);
	raw_spin_lock(&raw_b);
	raw_spin_unlock(&raw_b);
	raw_spin_unlock_irq(&raw_a);
}

static noinline void splat_irq_order(void)
{
	take_in_interrupt();
	raw_spin_lock(&raw_b);
	raw_spin_unlock(&raw_b);
	take_both();
}

static noinline void splat_irq_inversion(void)
{
	raw_spin_lock(&raw_b);
	raw_spin_unlock(&raw_b);
	take_both();
	take_in_interrupt();
}

static noinline void splat_to_user_space(void)
{
	mutex_lock(&splat_a);
}

static noinline void splat_held_freed(void)
{
	struct mutex *lock = kmalloc(sizeof(*lock), GFP_KERNEL);

	mutex_init(lock);
	mutex_lock(lock);
	kfree(lock);
}

static noinline void splat_unbalance(void)
{
	mutex_unlock(&splat_a);
}

static noinline void splat_might_sleep(void)
{
	spin_lock(&spin);
	might_sleep();
	spin_unlock(&spin);
}

static noinline void splat_scheduling(void)
{
	spin_lock(&spin);
	schedule_timeout_uninterruptible(1);
	spin_unlock(&spin);
}

static noinline void splat_rcu_usage(void)
{
	(void)rcu_dereference(splat_pointer);
}

static noinline void splat_rcu_sleep(void)
{
	rcu_read_lock();
	might_sleep();
	rcu_read_unlock();
}

static noinline void splat_two_cpus(void)
{
	splats_at_once(splat_might_sleep, splat_rcu_usage);
}

const struct mistake lock_mistakes[] = {
	{ "circular", splat_circular },
	{ "recursive", splat_recursive },
	{ "irq_state", splat_irq_state },
	{ "irq_order", splat_irq_order },
	{ "irq_inversion", splat_irq_inversion },
	{ "to_user_space", splat_to_user_space },
	{ "held_freed", splat_held_freed },
	{ "unbalance", splat_unbalance },
	{ "might_sleep", splat_might_sleep },
	{ "scheduling", splat_scheduling },
	{ "rcu_usage", splat_rcu_usage },
	{ "rcu_sleep", splat_rcu_sleep },
	{ "two_cpus_lockdep", splat_two_cpus },
	{ }
};
