// SPDX-License-Identifier: GPL-2.0-or-later
/* One side of a race: what it has before the moment, what it does, and what it finds afterwards. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ops_race.h"

#define AFTER_EVERY	8	/* rounds: each look at what must be refused costs an IOMMU fault */
/* Also when the time is up, for a race that did not happen shows nothing; those of a deadly race are long. */
#define LEAST_ROUNDS	10
#define LEAST_DEATHS	4
#define MISSED_NS	10000000000	/* to wait longer for a first moment at which both sides ran */
#define LOOKS		400000	/* at the other side, some milliseconds, before sleeping */
#define QUICK		300	/* looks: the other side has a CPU */
#define QUICK_MEETINGS	3
#define TRIES		12
#define DELAY_BITS	12	/* one side is up to so many steps later, in powers of two */
#define DELAY_PAGE	1048576	/* steps: a page request takes as long as many binds */
#define HOLD_MS		10	/* for which a page request has to wait for the mm's lock */

void race_wrong(struct race *race, const struct side *side, const char *what, const char *how)
{
	if (atomic_exchange(&race->broken, true))
		return;
	snprintf(race->wrong, sizeof(race->wrong), "round %llu, %s side: %s: %s",
		 (unsigned long long)race->tally.rounds + 1, side == race->sides ? "first" : "second", what, how);
}

const char *error_name(int64_t ret)
{
	return ret ? strerrorname_np(-ret) : "0";
}

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	static const struct timespec second = { .tv_sec = 1 };

	syscall(SYS_futex, word, op, value, &second, NULL, 0);
}

/*
 * Wait until both sides are here: looking, since the host puts a CPU that it has
 * to wake beside the one that wakes it, and then one runs after the other; and
 * without a clock, which may be a device, whose emulation lets only one go on.
 * False: something is wrong, stop.
 */
static bool meet(struct side *side)
{
	struct race *race = side->race;
	uint32_t before = atomic_fetch_add(&race->arrived, 1), number = before / 2, looks = 0, now;
	int64_t late = 0;

	if (before & 1 && atomic_load(&race->asleep))
		futex(&race->arrived, FUTEX_WAKE, INT32_MAX);
	while ((now = atomic_load(&race->arrived)) / 2 == number && !atomic_load(&race->broken)) {
		if (looks++ < LOOKS)
			continue;
		if (!late)
			late = clock_ns() + LATE_MS * 1000000LL;
		else if (clock_ns() > late)
			race_wrong(race, side, "waits for the other side", "which does not come");
		atomic_fetch_add(&race->asleep, 1);
		futex(&race->arrived, FUTEX_WAIT, now);
		atomic_fetch_sub(&race->asleep, 1);
	}
	if (!(before & 1))
		race->quick[number & 1] = looks < QUICK ? race->quick[~number & 1] + 1 : 0;
	return !atomic_load(&race->broken);
}

/*
 * The moment: when they have met quickly some times, each has a CPU. Both come to
 * the same end, for they look at a meeting that is over; if the host has no CPU
 * for one of them, it is some other moment.
 */
static bool meet_running(struct side *side)
{
	const struct race *race = side->race;

	for (int i = 0; i < TRIES; i++) {
		uint32_t over = atomic_load(&race->arrived) / 2 - 1;

		if (!meet(side))
			return false;
		if (i && race->quick[over & 1] >= QUICK_MEETINGS)
			break;
	}
	return true;
}

static void end_process(enum act act)
{
	if (act == EXEC)
		become_nothing();
	if (act == KILL)
		kill(getpid(), SIGKILL);
	_exit(0);
}

static void wait_a_little(const struct race *race, struct draw *draw)
{
	bool page = race->sides[0].act == TRANSFER || race->sides[1].act == TRANSFER;
	uint32_t steps = draw_below(draw, page ? DELAY_PAGE : 1u << draw_below(draw, DELAY_BITS + 1));

	for (volatile uint32_t i = 0; i < steps; i++)
		;
}

/*
 * By the PASID of what the other side holds: nothing of ours keeps that bond. The
 * mm is locked, or the page would be there before the other side comes. 0, -EIO
 * if the transfer is refused.
 */
static int64_t ask_for_page(struct side *side)
{
	struct race *race = side->race;
	struct move move = race->sides[side == race->sides].held[0];
	enum reach reach;

	move.fd = side->move.fd;
	sva_ioctl(move.fd, KPH_SVA_HOLD_MM, (void *)HOLD_MS);
	reach = move_write(&move, side->page, race->tally.rounds, true);
	if (reach == MANGLED || reach == STUCK)
		race_wrong(race, side, "a transfer", reach_name(reach));
	return reach == REACHED ? 0 : -EIO;
}

static void act(struct side *side, struct draw *draw)
{
	struct race *race = side->race;

	wait_a_little(race, draw);
	side->begun = atomic_fetch_add(&race->tick, 1);
	switch (side->act) {
	case BIND:
		side->ret = move_bind(&side->move);
		break;
	case UNBIND:
		side->ret = move_unbind(&side->held[0]);
		break;
	case TRANSFER:
		side->ret = ask_for_page(side);
		break;
	case NOTHING:
		break;
	default:
		end_process(side->act);
	}
	side->ended = atomic_fetch_add(&race->tick, 1);
}

static bool holds(const struct side *side)
{
	return side->act != BIND && side->act != TRANSFER;
}

/* What a side has before the moment: those that do not bind in it. */
static bool hold(struct race *race, struct side *side)
{
	int64_t ret;

	if (side->act == TRANSFER)
		page_leave(side->page);
	if (!holds(side))
		return true;
	for (unsigned int i = 0; i < race->held; i++) {
		side->held[i] = side->move;
		ret = move_bind(&side->held[i]);
		if (ret) {
			race_wrong(race, side, "the bind before the moment", error_name(ret));
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
	if (!holds(side))
		return NULL;
	return first_held(side) < race->held ? &side->held[race->held - 1] : NULL;
}

static void look_at_live(struct race *race, struct side *side)
{
	const struct move *move = live(race, side);
	enum reach reach = move ? move_write(move, side->page, race->tally.rounds, false) : REACHED;

	if (reach != REACHED)
		race_wrong(race, side, "a transfer through its live bond", reach_name(reach));
}

static void give_back(struct race *race, struct side *side)
{
	int64_t ret = 0;

	if (side->act == BIND && !side->ret)
		ret = move_unbind(&side->move);
	for (unsigned int i = first_held(side); holds(side) && i < race->held && !ret; i++)
		ret = move_unbind(&side->held[i]);
	if (ret)
		race_wrong(race, side, "the unbind after the moment", error_name(ret));
}

/* Nobody is bound any more, and a process of another mm has not got the PASID meanwhile. */
static void look_at_ended(struct race *race, struct side *side)
{
	const struct move *move = side->act == BIND ? &side->move : &side->held[0];
	enum reach reach;

	if ((side->act == BIND && side->ret) || side->act == TRANSFER || !move->bond)
		return;
	reach = move_write(move, side->page, race->tally.rounds, false);
	if (reach != REFUSED)
		race_wrong(race, side, "a transfer after the last unbind", reach_name(reach));
}

bool race_over(const struct race *race)
{
	int64_t late = clock_ns() - race->end_ns;

	if (race->tally.rounds < (race->deadly ? LEAST_DEATHS : LEAST_ROUNDS))
		return false;
	return late > (race->deadly || race->tally.overlapped ? 0 : MISSED_NS);
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
	if (one && other) {
		tally->same_handle += one->handle == other->handle;
		tally->two_handles += one->handle != other->handle;
		tally->same_pasid += one->pasid == other->pasid;
		tally->two_pasids += one->pasid != other->pasid;
	}
	tally->overlapped += first->begun < second->ended && second->begun < first->ended;
	tally->rounds++;
	race->last = race_over(race);
}

static bool round_of(struct race *race, struct side *side, struct draw *draw)
{
	bool after = race->tally.rounds % AFTER_EVERY == 0;

	side->move.bond = 0;
	side->move.pasid = side->pasid;
	if (!hold(race, side) || !meet_running(side))
		return false;
	act(side, draw);
	if (!meet(side))
		return false;
	look_at_live(race, side);
	if (!meet(side))
		return false;
	give_back(race, side);
	if (!meet(side))
		return false;
	if (after)
		look_at_ended(race, side);
	if (side == &race->sides[0])
		count(race);
	return meet(side);
}

void *race_side(void *of)
{
	struct side *side = of;
	struct race *race = side->race;
	unsigned int number = side - race->sides;
	struct draw draw = draw_begin(race->seed, race->life, number);

	pin(number);
	side->ret = 0;
	side->move = (struct move){ .fd = device_open(side->device), .own = side->own };
	if (side->move.fd < 0)
		race_wrong(race, side, "opening the device's file", error_name(side->move.fd));
	*(volatile uint8_t *)side->page = 0;	/* so that a device need not ask for it */
	for (uint64_t i = 0; i < race->rounds && !race->last; i++)
		if (!round_of(race, side, &draw))
			break;
	return NULL;
}
