// SPDX-License-Identifier: GPL-2.0-or-later
/* The operation storm: processes, one after the other, whose threads do whatever their numbers say. */
#define _GNU_SOURCE
#include "ops_moves.h"
const struct op storm_ops[] = {
	{ .name = NULL },
};
