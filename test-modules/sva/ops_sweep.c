// SPDX-License-Identifier: GPL-2.0-or-later
/* A sweep: each memory allocation of one call fails once, and each time the outcome is judged. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "ops_sweep.h"

#define POINTS_MAX	2000
#define ROUNDS_MAX	1000
#define ROUNDS		8	/* calls for each point */
#define LEAK_ROUNDS	4	/* fewer cannot be told from what the kernel does for itself */

static const char *const call_names[CALLS] = { "bind", "unbind", "exit", "exec" };

/* What a walk found. */
struct found {
	uint64_t points, calls, failed, survived, killed;
	char wrong[96];		/* "": nothing */
};

/* Whether the list, separated by commas, has the error's name. */
static bool listed(const char *list, int64_t error)
{
	const char *name = strerrorname_np(-error);
	size_t length = name ? strlen(name) : 0;

	for (const char *at = list; length && *at; at += strcspn(at, ","), at += *at == ',')
		if (!strncmp(at, name, length) && (at[length] == ',' || !at[length]))
			return true;
	return false;
}

static const char *errname(int64_t error)
{
	const char *name = strerrorname_np(-error);

	return name ? name : "an unknown error";
}

/* Returns false, with the reason in found->wrong, if a round went otherwise than it may. */
static bool judge(const struct request *req, const struct sweep *sweep, uint32_t nth, const struct round *round,
		  struct found *found)
{
	const char *name = call_names[sweep->call];
	bool failed = nth && !round->left, expected = !round->ret;

	if (sweep->refused)
		expected = listed(arg_text(req, "refused", ""), round->ret);
	if (failed && listed(arg_text(req, "errors", "ENOMEM"), round->ret))
		expected = true;
	if (sweep->call == CALL_EXEC && failed)
		expected = true;	/* any error is as good, and so is the process's end */
	else if (round->signal)
		expected = false;
	if (round->trouble)
		snprintf(found->wrong, sizeof(found->wrong), "point %u, %s: %s", nth, round->what, errname(round->trouble));
	else if (!round->made)
		snprintf(found->wrong, sizeof(found->wrong), "point %u: the %s was not reached", nth, name);
	else if (!expected && round->signal)
		snprintf(found->wrong, sizeof(found->wrong), "point %u: signal %d", nth, round->signal);
	else if (!expected)
		snprintf(found->wrong, sizeof(found->wrong), "point %u: the %s gave %s", nth, name,
			 round->ret ? errname(round->ret) : "success");
	return !*found->wrong;
}

/* Points from `first` to `last`, each so many rounds; ends behind the last allocation. */
static void walk(const struct request *req, const struct sweep *sweep, uint32_t first, uint32_t last,
		 struct round *round, struct found *found)
{
	uint64_t rounds = arg_u64(req, "rounds", ROUNDS);

	for (uint32_t nth = first; nth <= last; nth++) {
		bool hit = false, killed = false, failed = false;

		for (uint64_t i = 0; i < rounds; i++) {
			sweep_round(sweep, nth, round);
			found->calls++;
			if (!judge(req, sweep, nth, round, found))
				return;
			hit |= nth && !round->left;
			killed |= round->signal;
			failed |= round->ret && (!sweep->refused || !listed(arg_text(req, "refused", ""), round->ret));
		}
		if (nth && !hit)
			return;
		found->points += !!nth;
		found->killed += nth && killed;
		found->failed += nth && failed && !killed;
		found->survived += nth && !failed && !killed;
	}
	if (last == POINTS_MAX)
		snprintf(found->wrong, sizeof(found->wrong), "more than %u allocations in one call", POINTS_MAX);
}

/*
 * Whether something grows with the rounds of these points: its name, or NULL. By one for most rounds, since the first
 * call of a kind may make an allocation more than the others, so that its nth is another one.
 */
static const char *walk_and_count(const struct request *req, const struct sweep *sweep, uint32_t first, uint32_t last,
				  int64_t wait_ms, struct round *round, struct found *found)
{
	uint64_t rounds = arg_u64(req, "rounds", ROUNDS);
	struct census before;

	if (rounds >= LEAK_ROUNDS)
		census_take(&before);
	walk(req, sweep, first, last, round, found);
	return rounds >= LEAK_ROUNDS && !*found->wrong ? census_grown(&before, rounds - rounds / 4, wait_ms) : NULL;
}

/*
 * A leak is there again in a second walk; what the kernel takes once is not. Then each point alone: whose is it? Over so
 * many calls a cache may grow by what the rest of the kernel does; that is at no point by itself, and no leak of the call.
 */
static void confirm_leak(const struct request *req, const struct sweep *sweep, struct round *round,
			 struct found *found)
{
	struct found again = { 0 };
	const char *leak = walk_and_count(req, sweep, 1, found->points, SOON_MS, round, &again);

	if (!leak)
		return;
	for (uint32_t nth = 1; nth <= found->points; nth++)
		if (walk_and_count(req, sweep, nth, nth, SOON_MS, round, &again)) {
			snprintf(found->wrong, sizeof(found->wrong), "point %u leaks: %s grows", nth, leak);
			return;
		}
}

static void sweep_all(const struct request *req, const struct sweep *sweep, struct round *round, struct found *found)
{
	struct found warm = { 0 };

	/* Tables that the kernel makes once and keeps. */
	walk(req, sweep, 0, 0, round, &warm);
	if (*warm.wrong)
		*found = warm;
	else if (walk_and_count(req, sweep, 1, POINTS_MAX, census_late_ms(), round, found))
		confirm_leak(req, sweep, round, found);
}

/* NULL, or what is wrong with the request. */
static const char *parse(const struct request *req, struct sweep *sweep)
{
	const char *call = arg_text(req, "call", "");
	uint64_t rounds = arg_u64(req, "rounds", ROUNDS), held;

	while (sweep->call < CALLS && strcmp(call, call_names[sweep->call]))
		sweep->call++;
	if (sweep->call == CALLS)
		return "call is bind, unbind, exit or exec";
	held = arg_u64(req, "held", sweep->call != CALL_BIND);
	if (held > HELD_MAX - 2 || (sweep->call == CALL_UNBIND && !held))
		return "held is 0 to 6, for an unbind 1 to 6";
	if (!rounds || rounds > ROUNDS_MAX || arg_u64(req, "pasid", 0) > UINT32_MAX)
		return "rounds is 1 to 1000, a PASID 0 to 4294967295";
	if (arg_bool(req, "orphan", false) && sweep->call != CALL_UNBIND && sweep->call != CALL_EXIT)
		return "orphan is for unbind and exit";
	snprintf(sweep->device, sizeof(sweep->device), "%s", role_device(arg_text(req, "device", "")));
	snprintf(sweep->beside, sizeof(sweep->beside), "%s", role_device(arg_text(req, "beside", "")));
	sweep->own = arg_given(req, "pasid");
	sweep->pasid = arg_u64(req, "pasid", 0);
	sweep->held = held;
	sweep->rebound = arg_bool(req, "rebound", false);
	sweep->refused = arg_given(req, "refused");
	return NULL;
}

static int64_t op_sweep(const struct request *req, struct reply *reply)
{
	static struct found found;
	struct sweep sweep = { .shared = -1 };
	const char *error = parse(req, &sweep);
	struct device *device = NULL;
	struct round *round;
	int64_t ret = 0;

	if (error)
		return reply_fail(reply, EPROTO, error);
	if (!failslab_ready())
		return reply_fail(reply, EOPNOTSUPP, "no failslab in debugfs");
	if (arg_bool(req, "orphan", false)) {
		device = device_get(req, reply, &ret);
		if (!device)
			return ret;
		sweep.shared = device->fd;
	}
	round = mmap(NULL, sizeof(*round), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (round == MAP_FAILED)
		return -errno;
	found = (struct found){ 0 };
	sweep_all(req, &sweep, round, &found);
	munmap(round, sizeof(*round));
	reply_u64(reply, "points", found.points);
	reply_u64(reply, "failed", found.failed);
	reply_u64(reply, "survived", found.survived);
	reply_u64(reply, "killed", found.killed);
	reply_u64(reply, "calls", found.calls);
	reply_text(reply, "kinds", fail_pages_ready() ? "slab and pages" : "slab");
	return *found.wrong ? reply_fail(reply, EUCLEAN, found.wrong) : 0;
}

const struct op sweep_ops[] = {
	{ "sweep", ACTOR, false, op_sweep, {
		{ "call", ARG_STRING, true }, { "device", ARG_STRING, true }, { "pasid", ARG_INTEGER, false },
		{ "beside", ARG_STRING, false }, { "held", ARG_INTEGER, false }, { "rebound", ARG_BOOLEAN, false },
		{ "orphan", ARG_BOOLEAN, false }, { "refused", ARG_STRING, false }, { "errors", ARG_STRING, false },
		{ "rounds", ARG_INTEGER, false } } },
	{ .name = NULL },
};
