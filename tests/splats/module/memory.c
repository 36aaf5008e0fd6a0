// SPDX-License-Identifier: GPL-2.0-or-later
/* Mistakes with memory: what KASAN, kmemleak and fault injection tell of. */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "splats.h"

#define BYTES	100

static char splat_table[10];
static volatile int beyond = 12;	/* no compiler may know it */
static void *volatile kept;

static noinline char *splat_buffer(void)
{
	return kzalloc(BYTES, GFP_KERNEL);
}

static noinline void splat_uaf(void)
{
	volatile char *buffer = splat_buffer();

	kfree((void *)buffer);
	buffer[3] = 1;
}

static noinline void splat_oob(void)
{
	volatile char *buffer = splat_buffer();

	buffer[BYTES - 10 + beyond] = 1;
	kfree((void *)buffer);
}

static noinline void splat_double_free(void)
{
	char *buffer = splat_buffer();

	kept = buffer;
	kfree(buffer);
	kfree(kept);
}

static noinline void splat_invalid_free(void)
{
	kept = splat_buffer();
	kfree(kept + 8);
}

static noinline void splat_stack_oob(void)
{
	volatile char local[10] = "";

	local[beyond] = 1;
}

static noinline void splat_global_oob(void)
{
	kept = (void *)(long)((volatile char *)splat_table)[beyond];
}

static noinline void splat_vmalloc_oob(void)
{
	volatile char *buffer = vmalloc(PAGE_SIZE - BYTES);

	buffer[PAGE_SIZE - BYTES + beyond] = 1;
	vfree((void *)buffer);
}

static noinline void splat_wild(void)
{
	memset((void *)(0x1000000000000000UL + beyond), 0, beyond);
	barrier();	/* or the call is a jump, and this function is in no trace */
}

static noinline void splat_null(void)
{
	refcount_inc((refcount_t *)(unsigned long)(beyond & 8));
}

/* Inlined twice, so that file and line of each can be told from those of the function it ends up in. */
static __always_inline void splat_innermost(char *buffer)
{
	WARN(buffer[0], "the buffer has %d\n", buffer[0]);
}

static __always_inline void splat_inner(char *buffer)
{
	buffer[0] = beyond;
	splat_innermost(buffer);
}

static noinline void splat_inlined(void)
{
	char *buffer = splat_buffer();

	splat_inner(buffer);
	kfree(buffer);
}

static noinline void splat_leak(void)
{
	kept = splat_buffer();
	kept = NULL;
}

static noinline void splat_leak_twice(void)
{
	splat_leak();
	kept = kmalloc(3 * BYTES, GFP_KERNEL);
	kept = NULL;
}

static noinline void splat_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static noinline void splat_list(void)
{
	LIST_HEAD(head);
	LIST_HEAD(other);

	list_add(&other, &head);
	head.next = &head;
	list_del(&other);
}

static noinline void splat_refused(void)
{
#ifdef CONFIG_FAULT_INJECTION
	current->fail_nth = 1;
	kfree(kmalloc(BYTES, GFP_NOWAIT & ~__GFP_NOWARN));	/* failslab spares those that may wait */
	current->fail_nth = 0;
#endif
}

static noinline void splat_refused_pages(void)
{
#ifdef CONFIG_FAULT_INJECTION
	struct page *pages;

	current->fail_nth = 1;
	pages = alloc_pages(GFP_NOWAIT & ~__GFP_NOWARN, 1);
	current->fail_nth = 0;
	if (pages)
		__free_pages(pages, 1);
#endif
}

/* More than the machine has: a warning of the allocator's, and no bug. */
static noinline void splat_no_memory(void)
{
	kept = vmalloc(64UL << 30);
	kept = (void *)__get_free_pages(GFP_KERNEL | __GFP_NORETRY, MAX_PAGE_ORDER);
	if (kept)
		free_pages((unsigned long)kept, MAX_PAGE_ORDER);
}

static noinline void splat_two_cpus(void)
{
	splats_at_once(splat_uaf, splat_oob);
}

const struct mistake memory_mistakes[] = {
	{ "uaf", splat_uaf },
	{ "oob", splat_oob },
	{ "double_free", splat_double_free },
	{ "invalid_free", splat_invalid_free },
	{ "stack_oob", splat_stack_oob },
	{ "global_oob", splat_global_oob },
	{ "vmalloc_oob", splat_vmalloc_oob },
	{ "wild", splat_wild },
	{ "null", splat_null },
	{ "inlined", splat_inlined },
	{ "leak", splat_leak },
	{ "leak_twice", splat_leak_twice },
	{ "refcount", splat_refcount },
	{ "list", splat_list },
	{ "refused", splat_refused },
	{ "refused_pages", splat_refused_pages },
	{ "no_memory", splat_no_memory },
	{ "two_cpus_kasan", splat_two_cpus },
	{ }
};
