/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes, one after the other, whose threads do what their numbers say:
 * threads of one mm bind, unbind, have the device read and write, map their
 * memory anew and fork; the process ends in one of several ways. Each thread's
 * actions are drawn before it begins, so that they depend on the seed alone;
 * only how they mix is the kernel's doing.
 */
#ifndef KPH_OPS_STORM_H
#define KPH_OPS_STORM_H

#include <stdatomic.h>

#include "ops_moves.h"

#define DEVICES_MAX	4
#define THREADS_MAX	8
#define ACTIONS_MAX	1000
#define BONDS_MAX	16	/* of one thread */

enum binds { GLOBAL, OWN, MIXED };
enum ending { UNBIND_ALL, EXIT_BOUND, EXEC_BOUND, KILLED, ENDINGS };

struct counts {
	_Atomic uint64_t actions, binds, refused, unbinds, transfers, children;
};

struct storm {			/* shared by all processes */
	char devices[DEVICES_MAX][KPH_SVA_NAME_MAX];
	unsigned int device_count, threads, actions, pasids;
	enum binds kind;
	uint32_t pasid;		/* first of the own ones; the one after the last is the children's */
	bool recover;
	uint64_t seed, key;	/* the key is the actor's */
	uint64_t choices;	/* a sum over everything that was drawn */
	struct counts counts;
	unsigned int life;
	enum ending wanted;	/* ENDINGS: drawn */
	enum ending ending;
	/* Of this life's mm. */
	_Atomic uint32_t global_pasid;	/* 0: none was seen yet */
	_Atomic bool global_bound, own_bound, busy, two_pasids;
	_Atomic bool broken;
	char wrong[200];
};

struct action {
	unsigned int what;	/* an index of the table of actions */
	uint64_t number;	/* which device, which PASID, which bond */
};

struct worker {
	struct storm *storm;
	unsigned int number;
	struct action plan[ACTIONS_MAX];
	unsigned int at;	/* in the plan */
	int files[DEVICES_MAX];
	struct move bonds[BONDS_MAX];
	unsigned int bond_count;
	void *page;
};

/* Draws the thread's actions; returns a digest of them. */
uint64_t worker_plan(struct worker *worker);
bool worker_open(struct worker *worker);
void worker_run(struct worker *worker);
void worker_unbind_all(struct worker *worker);
/* What the worker's last bond reached must be out of reach. */
void worker_look_after(struct worker *worker);
void storm_wrong(struct storm *storm, const struct worker *worker, const char *what, const char *how);

#endif
