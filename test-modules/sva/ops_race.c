// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two sides do one thing each at the same moment, round after round: two threads
 * of one process, or two processes. What came of it is counted; whether that is
 * right is for the scenario to say. What no rule allows, whichever side was
 * first, is told as "wrong".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops_moves.h"

#define ROUNDS_MAX	1000000
#define HELD_MAX	8
#define LEAST_ROUNDS	10	/* also when the time is up: a race that did not happen shows nothing */
#define AFTER_EVERY	8	/* rounds: each look at what must be refused costs an IOMMU fault */
#define SPIN		2000	/* looks before the CPU is given to somebody else */
#define DELAY_BITS	12	/* the later side is up to so many steps later, in powers of two */

enum act { BIND, UNBIND, EXIT, EXEC, KILL, NOTHING };

static const char *const act_names[] = { "bind", "unbind", "exit", "exec", "kill", "nothing" };

struct race;

struct side {			/* shared; written by its own thread, read by the first one's */
	struct race *race;
	enum act act;
	bool own;
	uint32_t pasid;		/* own */
	char device[KPH_SVA_NAME_MAX];
	void *page;
	int64_t ret;		/* of this round's act */
	int64_t begun, ended;	/* ns */
	struct move move;	/* of this round's bind */
	struct move held[HELD_MAX];
};

struct tally {
	uint64_t rounds, both, first_only, second_only, neither;
	uint64_t same_handle, same_pasid, overlapped;
	uint64_t errors[2][EHWPOISON + 1];
};

struct race {			/* shared */
	struct side sides[2];
	struct tally tally;
	bool processes;
	unsigned int held;
	uint64_t seed, life;	/* a life: the processes of one or more rounds */
	uint64_t rounds;	/* of this life */
	int64_t end_ns;
	bool last;		/* the first side says: no further round */
	_Atomic unsigned int arrived;
	_Atomic bool broken;
	char wrong[160];
};

static void wrong(struct race *race, const struct side *side, const char *what, const char *how)
{
	if (atomic_exchange(&race->broken, true))
		return;
	snprintf(race->wrong, sizeof(race->wrong), "round %llu, %s side: %s: %s",
		 (unsigned long long)race->tally.rounds + 1, side == race->sides ? "first" : "second", what, how);
}

static const char *named(int64_t ret)
{
	return ret ? strerrorname_np(-ret) : "0";
}

/* Both sides go on at the same moment. False: something is wrong, stop. */
static bool meet(struct race *race, struct side *side)
{
	unsigned int mine = atomic_fetch_add(&race->arrived, 1) / 2;
	int64_t late = clock_ns() + LATE_MS * 1000000LL;

	for (unsigned int spins = 1; atomic_load(&race->arrived) / 2 == mine; spins++) {
		if (atomic_load(&race->broken))
			return false;
		if (spins % SPIN)
			continue;
		sched_yield();
		if (clock_ns() > late)
			wrong(race, side, "waits for the other side", "which does not come");
	}
	return !atomic_load(&race->broken);
}

static bool ends(enum act act)
{
	return act == EXIT || act == EXEC || act == KILL;
}

static void end_process(enum act act)
{
	if (act == EXEC)
		become_nothing();
	if (act == KILL)
		kill(getpid(), SIGKILL);
	_exit(0);
}

static void wait_a_little(struct draw *draw)
{
	uint32_t steps = draw_below(draw, 1u << draw_below(draw, DELAY_BITS + 1));

	for (volatile uint32_t i = 0; i < steps; i++)
		;
}

static void act(struct side *side, struct draw *draw)
{
	wait_a_little(draw);
	side->begun = clock_ns();
	switch (side->act) {
	case BIND:
		side->ret = move_bind(&side->move);
		break;
	case UNBIND:
		side->ret = move_unbind(&side->held[0]);
		break;
	case NOTHING:
		break;
	default:
		end_process(side->act);
	}
	side->ended = clock_ns();
}

/* What a side has before the moment: those that do not bind in it. */
static bool hold(struct race *race, struct side *side)
{
	int64_t ret;

	if (side->act == BIND)
		return true;
	for (unsigned int i = 0; i < race->held; i++) {
		side->held[i] = side->move;
		ret = move_bind(&side->held[i]);
		if (ret) {
			wrong(race, side, "the bind before the moment", named(ret));
			return false;
		}
	}
	return true;
}

static unsigned int first_held(const struct side *side)
{
	return side->act == UNBIND && !side->ret;
}

/* A bond of which this side knows that it lives; NULL: none. */
static const struct move *live(const struct race *race, const struct side *side)
{
	if (side->act == BIND)
		return side->ret ? NULL : &side->move;
	return first_held(side) < race->held ? &side->held[race->held - 1] : NULL;
}

static void look_at_live(struct race *race, struct side *side)
{
	const struct move *move = live(race, side);
	enum reach reach = move ? move_write(move, side->page, race->tally.rounds, false) : REACHED;

	if (reach != REACHED)
		wrong(race, side, "a transfer through its live bond", reach_name(reach));
}

static void give_back(struct race *race, struct side *side)
{
	int64_t ret = 0;

	if (side->act == BIND && !side->ret)
		ret = move_unbind(&side->move);
	for (unsigned int i = first_held(side); side->act != BIND && i < race->held && !ret; i++)
		ret = move_unbind(&side->held[i]);
	if (ret)
		wrong(race, side, "the unbind after the moment", named(ret));
}

/* Nobody is bound any more, and a process of another mm has not got the PASID meanwhile. */
static void look_at_ended(struct race *race, struct side *side)
{
	const struct move *move = side->act == BIND ? &side->move : &side->held[0];
	enum reach reach;

	if ((side->act == BIND && side->ret) || !move->bond)
		return;
	reach = move_write(move, side->page, race->tally.rounds, false);
	if (reach != REFUSED)
		wrong(race, side, "a transfer after the last unbind", reach_name(reach));
}

static void count(struct race *race)
{
	const struct side *first = &race->sides[0], *second = &race->sides[1];
	struct tally *tally = &race->tally;
	const struct move *one = live(race, first), *other = live(race, second);

	tally->both += !first->ret && !second->ret;
	tally->first_only += !first->ret && second->ret;
	tally->second_only += first->ret && !second->ret;
	tally->neither += first->ret && second->ret;
	for (int i = 0; i < 2; i++)
		if (-race->sides[i].ret > 0 && -race->sides[i].ret <= EHWPOISON)
			tally->errors[i][-race->sides[i].ret]++;
	tally->same_handle += one && other && one->handle == other->handle;
	tally->same_pasid += one && other && one->pasid == other->pasid;
	tally->overlapped += first->begun < second->ended && second->begun < first->ended;
	tally->rounds++;
	race->last = tally->rounds >= LEAST_ROUNDS && clock_ns() > race->end_ns;
}

static bool round_of(struct race *race, struct side *side, struct draw *draw)
{
	bool after = race->tally.rounds % AFTER_EVERY == 0;

	side->move.bond = 0;
	side->move.pasid = side->pasid;
	if (!hold(race, side) || !meet(race, side))
		return false;
	act(side, draw);
	if (!meet(race, side))
		return false;
	look_at_live(race, side);
	if (!meet(race, side))
		return false;
	give_back(race, side);
	if (!meet(race, side))
		return false;
	if (after)
		look_at_ended(race, side);
	if (side == &race->sides[0])
		count(race);
	return meet(race, side);
}

static void *run_side(void *of)
{
	struct side *side = of;
	struct race *race = side->race;
	unsigned int number = side - race->sides;
	struct draw draw = draw_begin(race->seed, race->life, number);

	pin(number);
	side->ret = 0;
	side->move = (struct move){ .fd = device_open(side->device), .own = side->own };
	if (side->move.fd < 0)
		wrong(race, side, "opening the device's file", named(side->move.fd));
	*(volatile uint8_t *)side->page = 0;	/* so that a device need not ask for it */
	for (uint64_t i = 0; i < race->rounds && !race->last; i++)
		if (!round_of(race, side, &draw))
			break;
	return NULL;
}

/* One process: both sides, or @number's. */
static void live_once(struct race *race, unsigned int number)
{
	pthread_t thread;

	if (!race->processes && pthread_create(&thread, NULL, run_side, &race->sides[1]))
		_exit(1);
	run_side(&race->sides[race->processes ? number : 0]);
	if (!race->processes)
		pthread_join(thread, NULL);
	_exit(0);
}

static bool deadly(const struct race *race)
{
	return ends(race->sides[0].act) || ends(race->sides[1].act);
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
			wrong(race, &race->sides[i], "fork", named(-errno));
	}
	for (unsigned int i = 0; i < processes; i++) {
		if (pids[i] < 0)
			continue;
		if (waitpid(pids[i], &status, 0) != pids[i])
			return -errno;
		if (WIFSIGNALED(status) && !(deadly(race) && WTERMSIG(status) == SIGKILL))
			wrong(race, &race->sides[i], "its process died of", sigabbrev_np(WTERMSIG(status)));
		else if (WIFEXITED(status) && WEXITSTATUS(status))
			wrong(race, &race->sides[i], "its process", "could not start");
	}
	race->tally.rounds += deadly(race);
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
	reply_u64(reply, "same_pasid", tally->same_pasid);
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
	reply_fail(reply, EINVAL, "a side does bind, unbind (of what is held), exit, exec, kill or nothing");
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
	fresh = arg_bool(req, "fresh", false) || deadly(race);
	while (!ret && !race->broken && !race->last && race->tally.rounds < rounds) {
		race->rounds = fresh ? 1 : rounds;
		ret = one_life(race);
		race->life++;
		race->last |= race->tally.rounds >= LEAST_ROUNDS && clock_ns() > race->end_ns;
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
