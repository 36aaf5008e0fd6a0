// SPDX-License-Identifier: GPL-2.0-or-later
/* The operation storm: makes the processes and their threads, ends them, and tells what they did. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops_storm.h"

#define LIVES_MAX	100000
#define LEAST_LIVES	4	/* also when the time is up */
#define KILL_AFTER_US	20000	/* at most */

void storm_wrong(struct storm *storm, const struct worker *worker, const char *what, const char *how)
{
	if (atomic_exchange(&storm->broken, true))
		return;
	snprintf(storm->wrong, sizeof(storm->wrong), "process %u, thread %u, action %u: %s: %s", storm->life + 1,
		 worker ? worker->number + 1 : 0, worker ? worker->at + 1 : 0, what, how);
}

/* The first thread ends the process under the others, if that is how it is to end. */
static void *run_worker(void *of)
{
	struct worker *worker = of;
	struct storm *storm = worker->storm;

	worker_run(worker);
	if (worker->number || atomic_load(&storm->broken))
		return NULL;
	if (storm->ending == EXIT_BOUND)
		_exit(0);
	if (storm->ending == EXEC_BOUND)
		become_nothing();
	return NULL;
}

/* The process of one life. */
static void live(struct storm *storm, struct worker *workers)
{
	pthread_t threads[THREADS_MAX];

	for (unsigned int i = 0; i < storm->threads; i++)
		if (!worker_open(&workers[i]) || (i && pthread_create(&threads[i], NULL, run_worker, &workers[i])))
			_exit(1);
	run_worker(&workers[0]);
	for (unsigned int i = 1; i < storm->threads; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < storm->threads; i++)
		worker_unbind_all(&workers[i]);
	for (unsigned int i = 0; i < storm->threads && !atomic_load(&storm->broken); i++)
		worker_look_after(&workers[i]);
	_exit(0);
}

static void judge(struct storm *storm, int status)
{
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && storm->ending == KILLED;

	if (WIFSIGNALED(status) && !killed)
		storm_wrong(storm, NULL, "the process died of", sigabbrev_np(WTERMSIG(status)));
	if (WIFEXITED(status) && WEXITSTATUS(status))
		storm_wrong(storm, NULL, "the process", "could not start");
	/* An mm that was refused so is bound in the other way; a thread that ends with the process may not have told. */
	if (storm->ending == UNBIND_ALL && atomic_load(&storm->busy) && !atomic_load(&storm->own_bound) &&
	    !atomic_load(&storm->global_bound))
		storm_wrong(storm, NULL, "binds were refused with EBUSY", "and none of the mm's worked");
}

/* 0, or -errno. */
static int64_t one_life(struct storm *storm, struct worker *workers)
{
	struct draw draw = draw_begin(storm->seed, storm->key, UINT64_MAX - storm->life);
	uint64_t pause;
	pid_t pid;
	int status;

	storm->ending = draw_below(&draw, ENDINGS);
	if (storm->wanted != ENDINGS)
		storm->ending = storm->wanted;
	pause = draw_below(&draw, KILL_AFTER_US);
	storm->choices = pattern_word(storm->choices + storm->ending, pause);
	for (unsigned int i = 0; i < storm->threads; i++) {
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].storm = storm;
		workers[i].number = i;
		storm->choices = pattern_word(storm->choices, worker_plan(&workers[i]));
	}
	storm->global_pasid = 0;
	storm->global_bound = storm->own_bound = storm->busy = false;
	pid = fork();
	if (!pid)
		live(storm, workers);
	if (pid < 0)
		return -errno;
	if (storm->ending == KILLED) {
		usleep(pause);
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	judge(storm, status);
	/* Children of a process that was killed; they keep its files, and so its bonds. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	return 0;
}

static void report(struct reply *reply, const struct storm *storm, bool boxed)
{
	const struct counts *counts = &storm->counts;

	reply_u64(reply, "processes", storm->life);
	reply_u64(reply, "actions", counts->actions);
	reply_u64(reply, "binds", counts->binds);
	reply_u64(reply, "refused", counts->refused);
	reply_u64(reply, "unbinds", counts->unbinds);
	reply_u64(reply, "transfers", counts->transfers);
	reply_u64(reply, "children", counts->children);
	reply_bool(reply, "two_pasids", storm->two_pasids);
	reply_u64(reply, "choices", storm->choices);
	reply_bool(reply, "boxed", boxed);
	reply_text(reply, "wrong", storm->wrong);
}

static bool devices_set(struct storm *storm, const char *list)
{
	char text[256], *rest = text, *name;

	if (strlen(list) >= sizeof(text))
		return false;
	strcpy(text, list);
	while ((name = strsep(&rest, ","))) {
		if (storm->device_count == DEVICES_MAX || !name_ok(name))
			return false;
		snprintf(storm->devices[storm->device_count++], KPH_SVA_NAME_MAX, "%s", role_device(name));
	}
	return storm->device_count;
}

/* FNV-1a: two actors with one seed do not do the same. */
static uint64_t key_of(const char *actor)
{
	return checksum(actor, strlen(actor));
}

/* NULL, or what is wrong. */
static const char *storm_set(struct storm *storm, const struct request *req)
{
	static const char *const kinds[] = { "global", "own", "mixed" };
	static const char *const endings[] = { "unbind", "exit", "exec", "kill" };
	const char *kind = arg_text(req, "kind", "global");
	uint64_t threads = arg_u64(req, "threads", 2), actions = arg_u64(req, "actions", 100);
	uint64_t pasids = arg_u64(req, "pasids", 1);

	if (!devices_set(storm, arg_text(req, "devices", "")))
		return "devices are one to four roles, separated by commas";
	if (!threads || threads > THREADS_MAX || !actions || actions > ACTIONS_MAX || !pasids || pasids > UINT16_MAX)
		return "threads are 1 to 8, actions 1 to 1000, pasids 1 to 65535";
	for (storm->kind = GLOBAL; storm->kind <= MIXED && strcmp(kind, kinds[storm->kind]); storm->kind++)
		;
	if (storm->kind > MIXED)
		return "kind is global, own or mixed";
	for (storm->wanted = 0; storm->wanted < ENDINGS; storm->wanted++)
		if (!strcmp(arg_text(req, "ending", ""), endings[storm->wanted]))
			break;
	if (storm->wanted == ENDINGS && arg_given(req, "ending"))
		return "ending is unbind, exit, exec or kill";
	if (storm->kind != GLOBAL && !arg_given(req, "pasid"))
		return "own binds need a PASID";
	storm->threads = threads;
	storm->actions = actions;
	storm->pasids = pasids;
	storm->pasid = arg_u64(req, "pasid", 0);
	storm->recover = arg_bool(req, "recover", false);
	storm->seed = arg_u64(req, "seed", 1);
	storm->key = key_of(req->actor);
	return NULL;
}

static int64_t run_lives(struct storm *storm, const struct request *req, bool *boxed)
{
	int64_t end = clock_ns() + (int64_t)arg_u64(req, "ms", 1000) * 1000000, ret = 0;
	uint64_t lives = arg_u64(req, "processes", 10);
	struct worker *workers = shared_new(THREADS_MAX * sizeof(*workers));

	if (!workers)
		return -ENOMEM;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (storm->life = 0; storm->life < lives && !ret && !storm->broken; storm->life++) {
		*boxed = storm->life >= LEAST_LIVES && clock_ns() > end;
		if (*boxed)
			break;
		ret = one_life(storm, workers);
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	munmap(workers, THREADS_MAX * sizeof(*workers));
	return ret;
}

static int64_t op_storm(const struct request *req, struct reply *reply)
{
	uint64_t lives = arg_u64(req, "processes", 10);
	struct storm *storm;
	const char *error;
	bool boxed = false;
	int64_t ret;

	if (!lives || lives > LIVES_MAX)
		return reply_fail(reply, EINVAL, "processes are 1 to 100000");
	storm = shared_new(sizeof(*storm));
	if (!storm)
		return -ENOMEM;
	error = storm_set(storm, req);
	if (error) {
		munmap(storm, sizeof(*storm));
		return reply_fail(reply, EINVAL, error);
	}
	ret = run_lives(storm, req, &boxed);
	report(reply, storm, boxed);
	munmap(storm, sizeof(*storm));
	return ret;
}

const struct op storm_ops[] = {
	{ "storm", ACTOR, false, op_storm, {
		{ "devices", ARG_STRING, true }, { "kind", ARG_STRING, false }, { "pasid", ARG_INTEGER, false },
		{ "pasids", ARG_INTEGER, false }, { "threads", ARG_INTEGER, false }, { "actions", ARG_INTEGER, false },
		{ "processes", ARG_INTEGER, false }, { "recover", ARG_BOOLEAN, false }, { "ending", ARG_STRING, false }, { "ms", ARG_INTEGER, false },
		{ "seed", ARG_INTEGER, false } } },
	{ .name = NULL },
};
