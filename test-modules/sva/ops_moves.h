/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What racing threads and processes do to a device, without the actor's own tables: those know one thread only. */
#ifndef KPH_OPS_MOVES_H
#define KPH_OPS_MOVES_H

#include "ops_sva.h"

#define CHUNK		64	/* bytes of one transfer: it is there to find out, not to move data */
#define LATE_MS		20000	/* a thread or process that takes longer than that is lost */

/* A stream of numbers that depends on nothing but what it was begun with. */
struct draw {
	uint64_t state;
};

/* Streams with another key are another stream. */
struct draw draw_begin(uint64_t seed, uint64_t key, uint64_t part);
uint64_t draw_next(struct draw *draw);
uint32_t draw_below(struct draw *draw, uint32_t limit);

struct move {			/* a bind, and what it gave */
	int fd;
	bool own;
	uint32_t pasid;		/* own: in; else out */
	uint32_t bond, handle;	/* out */
};

int64_t move_bind(struct move *move);		/* 0, -errno */
int64_t move_unbind(const struct move *move);	/* 0, -errno */

enum reach {
	REACHED,		/* done, and the bytes are right */
	REFUSED,		/* the device got an error */
	MANGLED,		/* done, and the bytes are wrong */
	STUCK,			/* not ended in time, or not begun */
};

/* The device writes to, or reads from, CHUNK bytes at @at. @recover: it may ask for the page. */
enum reach move_write(const struct move *move, void *at, uint64_t tag, bool recover);
enum reach move_read(const struct move *move, void *at, uint64_t tag, bool recover);
const char *reach_name(enum reach reach);

int64_t clock_ns(void);
/* Shared with children, zeroed; NULL without memory. */
void *shared_new(size_t size);
void *page_new(void);
void page_free(void *page);
void page_leave(void *page);	/* the process has to ask for it again */
/* So that the sides of a race do not wait for one CPU. */
void pin(unsigned int number);
void become_nothing(void) __attribute__((noreturn));	/* exec of a program that ends at once */

#endif
