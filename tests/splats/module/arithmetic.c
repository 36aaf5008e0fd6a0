// SPDX-License-Identifier: GPL-2.0-or-later
/* Mistakes of arithmetic: what UBSAN tells of. */
#include <linux/compiler.h>
#include <linux/types.h>

#include "splats.h"

static volatile unsigned int far = 40;	/* no compiler may know it */
static volatile int sink;
static int table[8];

static noinline void splat_shift(void)
{
	sink = 1 << far;
}

static noinline void splat_index(void)
{
	sink = table[far - 30];
}

static noinline void splat_bool(void)
{
	u8 byte = far;

	sink = *(volatile bool *)&byte;
}

static noinline void splat_two_cpus(void)
{
	splats_at_once(splat_shift, splat_index);
}

const struct mistake arithmetic_mistakes[] = {
	{ "shift", splat_shift },
	{ "index", splat_index },
	{ "bool", splat_bool },
	{ "two_cpus_ubsan", splat_two_cpus },
	{ }
};
