// SPDX-License-Identifier: GPL-2.0-or-later
/* A thread of a storm: its plan, and its actions with what the rules allow of each. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops_storm.h"

static const char *error_text(int64_t ret)
{
	return ret ? strerrorname_np(-ret) : "success";
}

/* Own PASID number @number of the storm, or a global one. */
static struct move asked(const struct worker *worker, uint64_t number)
{
	const struct storm *storm = worker->storm;
	bool own = storm->kind == OWN || (storm->kind == MIXED && number >> 32 & 1);

	return (struct move){
		.fd = worker->files[number % storm->device_count],
		.own = own,
		.pasid = own ? storm->pasid + (number >> 16) % storm->pasids : 0,
	};
}

/* One mm is bound in one of the two ways in its whole life, and globally with one PASID. */
static void bound(struct worker *worker, const struct move *move)
{
	struct storm *storm = worker->storm;
	uint32_t seen = 0;

	atomic_store(move->own ? &storm->own_bound : &storm->global_bound, true);
	if (atomic_load(&storm->own_bound) && atomic_load(&storm->global_bound))
		storm_wrong(storm, worker, "binds of both kinds", "worked for one mm");
	if (!move->own && !atomic_compare_exchange_strong(&storm->global_pasid, &seen, move->pasid) &&
	    seen != move->pasid)
		storm_wrong(storm, worker, "the global PASID of the mm", "changed");
	for (unsigned int i = 0; i < worker->bond_count; i++)
		if (worker->bonds[i].pasid != move->pasid)
			atomic_store(&storm->two_pasids, true);
	worker->bonds[worker->bond_count++] = *move;
}

/* Whether a bind may say so: which other binds of the mm were first is not known here. */
static bool may_refuse(struct storm *storm, const struct move *move, int64_t ret)
{
	if (ret == -EBUSY && storm->kind == MIXED) {
		atomic_store(&storm->busy, true);
		return true;
	}
	return ret == -ENOSPC && move->own && storm->pasids > 1;
}

static void do_bind(struct worker *worker, uint64_t number)
{
	struct storm *storm = worker->storm;
	struct move move = asked(worker, number);
	int64_t ret;

	if (worker->bond_count == BONDS_MAX)
		return;
	ret = move_bind(&move);
	if (!ret) {
		atomic_fetch_add(&storm->counts.binds, 1);
		bound(worker, &move);
	} else if (may_refuse(storm, &move, ret)) {
		atomic_fetch_add(&storm->counts.refused, 1);
	} else {
		storm_wrong(storm, worker, move.own ? "own bind" : "global bind", error_text(ret));
	}
}

static void end_bond(struct worker *worker, unsigned int which)
{
	int64_t ret = move_unbind(&worker->bonds[which]);

	if (ret)
		storm_wrong(worker->storm, worker, "unbind", error_text(ret));
	worker->bonds[which] = worker->bonds[--worker->bond_count];
	atomic_fetch_add(&worker->storm->counts.unbinds, 1);
}

static void do_unbind(struct worker *worker, uint64_t number)
{
	if (worker->bond_count)
		end_bond(worker, number % worker->bond_count);
}

/* A bond of this thread is alive until this thread ends it: the device must reach its page. */
static void do_transfer(struct worker *worker, uint64_t number)
{
	bool recover = worker->storm->recover, write = number >> 32 & 1;
	const struct move *move;
	enum reach reach;

	if (!worker->bond_count)
		return;
	move = &worker->bonds[number % worker->bond_count];
	reach = write ? move_write(move, worker->page, number, recover) : move_read(move, worker->page, number, recover);
	if (reach != REACHED)
		storm_wrong(worker->storm, worker, write ? "write through its bond" : "read through its bond",
			    reach_name(reach));
	atomic_fetch_add(&worker->storm->counts.transfers, 1);
}

static void do_map_anew(struct worker *worker, uint64_t number)
{
	(void)number;
	page_free(worker->page);
	worker->page = page_new();
	if (!worker->page)
		storm_wrong(worker->storm, worker, "mmap", "fails");
	else if (!worker->storm->recover)
		*(volatile uint8_t *)worker->page = 0;
}

/* In the child: an mm of its own, bound through a file of its own; it may end with the bond. */
static void be_bound_child(struct worker *worker, uint64_t number)
{
	const struct storm *storm = worker->storm;
	struct move move = asked(worker, number);
	int64_t ret;

	move.fd = device_open(storm->devices[number % storm->device_count]);
	if (move.own)
		move.pasid = storm->pasid + storm->pasids;	/* other children may have it */
	ret = move.fd < 0 ? move.fd : move_bind(&move);
	if (ret && !(move.own ? ret == -EBUSY : ret == -ENOSPC))
		_exit(-ret);
	if (!ret && number >> 33 & 1)
		ret = move_unbind(&move);
	else if (!ret && number >> 34 & 1)
		kill(getpid(), SIGKILL);
	_exit(0);
}

static void do_fork(struct worker *worker, uint64_t number)
{
	struct storm *storm = worker->storm;
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (number >> 35 & 1)
			be_bound_child(worker, number);
		if (number >> 36 & 1)
			become_nothing();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		storm_wrong(storm, worker, "fork", error_text(-errno));
	else if (WIFEXITED(status) && WEXITSTATUS(status))
		storm_wrong(storm, worker, "bind in a child", error_text(-WEXITSTATUS(status)));
	else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		storm_wrong(storm, worker, "a child", sigabbrev_np(WTERMSIG(status)));
	atomic_fetch_add(&storm->counts.children, 1);
}

static const struct {
	void (*run)(struct worker *worker, uint64_t number);
	unsigned int weight;
} actions[] = {
	{ do_bind, 8 }, { do_unbind, 7 }, { do_transfer, 6 }, { do_map_anew, 2 }, { do_fork, 1 },
};

#define KINDS (sizeof(actions) / sizeof(*actions))

uint64_t worker_plan(struct worker *worker)
{
	const struct storm *storm = worker->storm;
	struct draw draw = draw_begin(storm->seed, storm->key, storm->life * THREADS_MAX + worker->number);
	unsigned int all = 0;
	uint64_t digest = 0;

	for (unsigned int i = 0; i < KINDS; i++)
		all += actions[i].weight;
	for (unsigned int i = 0; i < storm->actions; i++) {
		unsigned int what = 0;

		for (unsigned int left = draw_below(&draw, all); left >= actions[what].weight; what++)
			left -= actions[what].weight;
		worker->plan[i] = (struct action){ what, draw_next(&draw) };
		digest = pattern_word(digest + what, worker->plan[i].number);
	}
	return digest;
}

bool worker_open(struct worker *worker)
{
	const struct storm *storm = worker->storm;

	worker->page = page_new();
	if (!worker->page)
		return false;
	*(volatile uint8_t *)worker->page = 0;
	for (unsigned int i = 0; i < storm->device_count; i++) {
		worker->files[i] = device_open(storm->devices[i]);
		if (worker->files[i] < 0)
			return false;
	}
	return true;
}

void worker_run(struct worker *worker)
{
	struct storm *storm = worker->storm;

	pin(worker->number);
	for (worker->at = 0; worker->at < storm->actions && !atomic_load(&storm->broken); worker->at++) {
		const struct action *action = &worker->plan[worker->at];

		actions[action->what].run(worker, action->number);
		atomic_fetch_add(&storm->counts.actions, 1);
	}
}

void worker_unbind_all(struct worker *worker)
{
	while (worker->bond_count && !atomic_load(&worker->storm->broken))
		end_bond(worker, worker->bond_count - 1);
}

/* Ended bonds stay behind the live ones: the first was there, if any was. */
void worker_look_after(struct worker *worker)
{
	enum reach reach;

	if (!worker->bonds[0].bond || !worker->page)
		return;
	*(volatile uint8_t *)worker->page = 0;
	reach = move_write(&worker->bonds[0], worker->page, worker->number, false);
	if (reach != REFUSED)
		storm_wrong(worker->storm, worker, "write after the last unbind", reach_name(reach));
}
