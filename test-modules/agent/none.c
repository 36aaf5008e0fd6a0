// SPDX-License-Identifier: GPL-2.0-or-later
/* A suite without operations of its own; the one in its ops.c, if there is one, takes the place of this. */
#define _GNU_SOURCE
#include <string.h>

#include "agent.h"

static const struct op *const no_tables[] = { NULL };

static void no_facts(struct reply *reply)
{
	(void)reply;
}

static void nothing(void)
{
}

static char *save_nothing(void)
{
	return strdup("");
}

static void restore_nothing(const char *saved)
{
	(void)saved;
}

const struct suite suite __attribute__((weak)) = {
	.name = KPH_SUITE,
	.ops = no_tables,
	.facts = no_facts,
	.settle = nothing,
	.close_files = nothing,
	.save = save_nothing,
	.restore = restore_nothing,
};
