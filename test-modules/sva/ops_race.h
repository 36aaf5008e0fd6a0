/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two sides do one thing each at the same moment, round after round: two threads
 * of one process, or two processes. What came of it is counted; whether that is
 * right is for the scenario to say. What no rule allows, whichever side was
 * first, is told as "wrong".
 */
#ifndef KPH_OPS_RACE_H
#define KPH_OPS_RACE_H

#include <errno.h>
#include <stdatomic.h>

#include "ops_moves.h"

#define HELD_MAX	8

enum act { BIND, UNBIND, TRANSFER, EXIT, EXEC, KILL, NOTHING };

struct race;

struct side {			/* written by its own thread, read by the first one's */
	struct race *race;
	enum act act;
	bool own;
	uint32_t pasid;		/* own */
	char device[KPH_SVA_NAME_MAX];
	void *page;
	int64_t ret;		/* of this round's act */
	uint32_t begun, ended;	/* the act, in ticks of the race */
	struct move move;	/* of this round's bind */
	struct move held[HELD_MAX];
};

struct tally {
	uint64_t rounds, both, first_only, second_only, neither;
	uint64_t same_handle, two_handles, same_pasid, two_pasids, overlapped;
	uint64_t errors[2][EHWPOISON + 1];
};

struct race {			/* shared by all processes */
	struct side sides[2];
	struct tally tally;
	bool processes, deadly;	/* deadly: a round ends the process */
	unsigned int held;
	uint64_t seed, life;	/* a life: the processes of one or more rounds */
	uint64_t rounds;	/* of this life */
	int64_t end_ns;
	bool last;		/* no further round */
	_Atomic uint32_t arrived;	/* at meetings, since this life began; a futex */
	uint32_t quick[2];	/* meetings in a row that were, up to the last one of even and odd number */
	_Atomic uint32_t asleep;	/* sides that wait for a change of arrived */
	_Atomic uint32_t tick;	/* beginnings and ends, in their order */
	_Atomic bool broken;
	char wrong[160];
};

void race_wrong(struct race *race, const struct side *side, const char *what, const char *how);
void *race_side(void *side);	/* its rounds of one life */
bool race_over(const struct race *race);	/* no further round */
const char *error_name(int64_t ret);

#endif
