// SPDX-License-Identifier: GPL-2.0-or-later
/* The operation race: makes the processes of each round, and tells what was counted. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops_race.h"

#define ROUNDS_MAX	1000000

static const char *const act_names[] = { "bind", "unbind", "transfer", "exit", "exec", "kill", "nothing" };

/* One process: both sides, or @number's. */
static void live_once(struct race *race, unsigned int number)
{
	pthread_t thread;

	if (!race->processes && pthread_create(&thread, NULL, race_side, &race->sides[1]))
		_exit(1);
	race_side(&race->sides[race->processes ? number : 0]);
	if (!race->processes)
		pthread_join(thread, NULL);
	_exit(0);
}

static bool ends(enum act act)
{
	return act == EXIT || act == EXEC || act == KILL;
}

/* 0, or -errno. */
static int64_t one_life(struct race *race)
{
	unsigned int processes = race->processes ? 2 : 1;
	pid_t pids[2];
	int status;

	atomic_store(&race->arrived, 0);
	for (unsigned int i = 0; i < processes; i++) {
		pids[i] = fork();
		if (!pids[i])
			live_once(race, i);
		if (pids[i] < 0)
			race_wrong(race, &race->sides[i], "fork", error_name(-errno));
	}
	for (unsigned int i = 0; i < processes; i++) {
		if (pids[i] < 0)
			continue;
		if (waitpid(pids[i], &status, 0) != pids[i])
			return -errno;
		if (WIFSIGNALED(status) && !(race->deadly && WTERMSIG(status) == SIGKILL))
			race_wrong(race, &race->sides[i], "its process died of", sigabbrev_np(WTERMSIG(status)));
		else if (WIFEXITED(status) && WEXITSTATUS(status))
			race_wrong(race, &race->sides[i], "its process", "could not start");
	}
	race->tally.rounds += race->deadly;
	return 0;
}

static void reply_errors(struct reply *reply, const char *name, const uint64_t *errors)
{
	char text[256] = "";
	size_t used = 0;

	for (int error = 1; error <= EHWPOISON; error++)
		if (errors[error] && used < sizeof(text) - 24)
			used += sprintf(text + used, "%s%s", used ? "," : "", strerrorname_np(error));
	reply_text(reply, name, text);
}

static void report(struct reply *reply, const struct race *race, bool boxed)
{
	const struct tally *tally = &race->tally;

	reply_u64(reply, "rounds", tally->rounds);
	reply_u64(reply, "both", tally->both);
	reply_u64(reply, "first_only", tally->first_only);
	reply_u64(reply, "second_only", tally->second_only);
	reply_u64(reply, "neither", tally->neither);
	reply_u64(reply, "same_handle", tally->same_handle);
	reply_u64(reply, "two_handles", tally->two_handles);
	reply_u64(reply, "same_pasid", tally->same_pasid);
	reply_u64(reply, "two_pasids", tally->two_pasids);
	reply_errors(reply, "first_errors", tally->errors[0]);
	reply_errors(reply, "second_errors", tally->errors[1]);
	reply_u64(reply, "overlapped", tally->overlapped);
	reply_bool(reply, "boxed", boxed);
	reply_text(reply, "wrong", race->wrong);
}

static bool side_set(struct race *race, const struct request *req, unsigned int number)
{
	static const char *const acts[] = { "first", "second" }, *const pasids[] = { "pasid", "other_pasid" };
	const char *name = arg_text(req, acts[number], ""), *device = arg_text(req, "device", "");
	struct side *side = &race->sides[number];

	if (number)
		device = arg_text(req, "other_device", device);
	side->race = race;
	side->page = page_new();
	side->own = arg_given(req, pasids[number]);
	side->pasid = arg_u64(req, pasids[number], 0);
	snprintf(side->device, sizeof(side->device), "%s", role_device(device));
	for (side->act = BIND; side->act <= NOTHING; side->act++)
		if (!strcmp(name, act_names[side->act]))
			return side->page;
	return false;
}

/* NULL: *error is -errno. */
static struct race *race_new(const struct request *req, struct reply *reply, int64_t *error)
{
	uint64_t rounds = arg_u64(req, "rounds", 0), held = arg_u64(req, "held", 1);
	struct race *race;

	*error = -EINVAL;
	if (!rounds || rounds > ROUNDS_MAX || held > HELD_MAX) {
		reply_fail(reply, EINVAL, "rounds is 1 to 1000000, held at most 8");
		return NULL;
	}
	race = shared_new(sizeof(*race));
	if (!race) {
		*error = -ENOMEM;
		return NULL;
	}
	race->held = held;
	race->seed = arg_u64(req, "seed", 1);
	race->processes = arg_bool(req, "processes", false);
	race->end_ns = clock_ns() + (int64_t)arg_u64(req, "ms", 1000) * 1000000;
	if (side_set(race, req, 0) && side_set(race, req, 1) &&
	    (held || (race->sides[0].act != UNBIND && race->sides[1].act != UNBIND)))
		return race;
	reply_fail(reply, EINVAL, "a side does bind, unbind (of what is held), transfer, exit, exec, kill or nothing");
	munmap(race, sizeof(*race));
	return NULL;
}

static void race_free(struct race *race)
{
	for (int i = 0; i < 2; i++)
		page_free(race->sides[i].page);
	munmap(race, sizeof(*race));
}

static int64_t op_race(const struct request *req, struct reply *reply)
{
	uint64_t rounds = arg_u64(req, "rounds", 0);
	int64_t ret;
	struct race *race = race_new(req, reply, &ret);
	bool fresh;

	if (!race)
		return ret;
	ret = 0;
	race->deadly = ends(race->sides[0].act) || ends(race->sides[1].act);
	fresh = arg_bool(req, "fresh", false) || race->deadly;
	while (!ret && !race->broken && !race->last && race->tally.rounds < rounds) {
		race->rounds = fresh ? 1 : rounds;
		ret = one_life(race);
		race->life++;
		race->last |= race_over(race);
	}
	report(reply, race, race->last && race->tally.rounds < rounds);
	race_free(race);
	return ret;
}

const struct op race_ops[] = {
	{ "race", ACTOR, false, op_race, {
		{ "device", ARG_STRING, true }, { "other_device", ARG_STRING, false },
		{ "first", ARG_STRING, true }, { "second", ARG_STRING, true },
		{ "pasid", ARG_INTEGER, false }, { "other_pasid", ARG_INTEGER, false },
		{ "held", ARG_INTEGER, false }, { "processes", ARG_BOOLEAN, false }, { "fresh", ARG_BOOLEAN, false },
		{ "rounds", ARG_INTEGER, true }, { "ms", ARG_INTEGER, false }, { "seed", ARG_INTEGER, false } } },
	{ .name = NULL },
};
