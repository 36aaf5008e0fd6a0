/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sweep: each memory allocation of one call fails once. ops_sweep.c walks, ops_sweep_call.c makes the calls,
 * ops_sweep_census.c finds what they leak.
 */
#ifndef KPH_OPS_SWEEP_H
#define KPH_OPS_SWEEP_H

#include "ops_sva.h"

#define HELD_MAX	8

enum call { CALL_BIND, CALL_UNBIND, CALL_EXIT, CALL_EXEC, CALLS };

struct sweep {
	enum call call;
	char device[KPH_SVA_NAME_MAX];
	char beside[KPH_SVA_NAME_MAX];	/* another device that the process is bound to; "": none */
	bool own;
	uint32_t pasid;		/* own */
	uint32_t held;		/* bonds with the device that the process has before the call */
	bool rebound;		/* it was bound and unbound before that */
	bool refused;		/* the call fails also when no allocation does */
	int shared;		/* the actor's own file, which outlives the process; -1: the process opens one */
};

/* One call, each in a process of its own. In memory that the process shares with the actor. */
struct round {
	uint32_t left;		/* of n; 0: the nth allocation failed */
	bool made;		/* the call was reached */
	int64_t ret;		/* of the call, 0 or -errno */
	int signal;		/* that ended the process in the call */
	int64_t trouble;	/* -errno: what went wrong before or after the call; 0: nothing */
	const char *what;	/* and what that was */
	uint32_t bonds[HELD_MAX];
	uint32_t count;		/* of bonds */
};

/* Makes the call; nth 0: no allocation fails. */
void sweep_round(const struct sweep *sweep, uint32_t nth, struct round *round);

#define CENSUS_MAX	20

/* How much there is of everything that the code under test can leak. */
struct census {
	uint64_t count[CENSUS_MAX];
};

#define SOON_MS		2000	/* nearly all that is freed late is free then */

/* For how many milliseconds this kernel may keep what kfree_rcu() was given. */
int64_t census_late_ms(void);
void census_take(struct census *census);	/* waits for what is freed soon */
/* What has grown since by `least` or more, and does not come back while it waits: its name, or NULL. */
const char *census_grown(const struct census *before, uint64_t least, int64_t wait_ms);

#endif
