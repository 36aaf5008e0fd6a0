// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A character device that makes the mistake whose name is written to it. A
 * device, since a write to a file system's file would hold locks of that.
 */
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "splats.h"

#define NAME_BYTES	32

static const struct mistake *const tables[] = {
	memory_mistakes, lock_mistakes, object_mistakes, arithmetic_mistakes,
};

static atomic_t together;

struct half {
	void (*make)(void);
	struct completion done;
};

static int one_of_two(void *data)
{
	struct half *half = data;

	atomic_dec(&together);
	while (atomic_read(&together) > 0)
		cpu_relax();
	half->make();
	complete(&half->done);
	return 0;
}

void splats_at_once(void (*one)(void), void (*other)(void))
{
	struct half halves[] = { { one }, { other } };

	atomic_set(&together, ARRAY_SIZE(halves));
	for (unsigned int i = 0; i < ARRAY_SIZE(halves); i++) {
		struct task_struct *task;

		init_completion(&halves[i].done);
		task = kthread_create(one_of_two, &halves[i], "splat_%u", i);
		if (IS_ERR(task))
			return;
		kthread_bind(task, i);
		wake_up_process(task);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(halves); i++)
		wait_for_completion(&halves[i].done);
}

static ssize_t splats_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char name[NAME_BYTES] = "";

	if (count >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, from, count))
		return -EFAULT;
	for (unsigned int i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct mistake *each = tables[i]; each->name; each++) {
			if (!strcmp(each->name, name)) {
				each->make();
				return count;
			}
		}
	}
	return -ENOENT;
}

static const struct file_operations splats_fops = {
	.owner = THIS_MODULE,
	.write = splats_write,
};

static struct miscdevice splats_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "splats",
	.fops = &splats_fops,
};

module_misc_device(splats_device);
MODULE_DESCRIPTION("mistakes on demand");
MODULE_LICENSE("GPL");
