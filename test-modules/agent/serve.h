/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the supervisor: the service (serve.c), its actors (cast.c), its own operations (command.c). */
#ifndef KPH_SERVE_H
#define KPH_SERVE_H

#include "agent.h"

#define ACTORS_MAX	128
#define WORKER		""	/* name of the process that does what needs no actor */

struct queued {
	struct queued *next;
	const struct op *op;
	char id[24];
	struct actor *child;	/* fork: the actor that it makes */
	uint64_t code;		/* exit: the status asked for */
	size_t length;		/* of line, with its newline */
	char line[];
};

/* Who asked to be told of an end. */
struct waiter {
	bool set;
	char id[24];
	int64_t deadline;	/* ms, CLOCK_MONOTONIC */
};

enum life { FREE, UNBORN, ALIVE, DEAD };

struct actor {
	enum life life;		/* UNBORN: a fork that makes it is queued or under way */
	char name[NAME_BYTES];
	pid_t pid;
	int status;		/* DEAD: as from waitpid() */
	int to, from;		/* our ends of its pipes; not blocking */
	int far_in, far_out;	/* UNBORN: its ends */
	struct queued *busy;	/* the request that it works on */
	size_t sent;		/* bytes of it already in the pipe */
	struct queued *first, **last;
	struct waiter waiter;
	char *text;		/* LINE_MAX_BYTES of reply, used of them filled */
	size_t used;
};

/* serve.c */
int64_t now_ms(void);
void send_line(const char *line, size_t length);	/* with one write */
void send_reply(const struct reply *reply, const char *id, int64_t ret);
void send_ended(const char *id, int64_t ret, pid_t pid, int status, bool died);

/* cast.c */
struct actor *cast_find(const char *name);
struct actor *cast_each(unsigned int *state);
/* Finds or makes it. NULL: *error is an errno. */
struct actor *cast_get(const char *name, int *error);
/* Hands a request over, to be done after those before it. 0, -errno. */
int cast_request(struct actor *actor, const struct request *req, const struct op *op, const char *line, size_t length);
void cast_write(struct actor *actor);		/* its pipe takes more */
void cast_read(struct actor *actor);		/* it has answered, or ended */
void cast_reap(void);				/* collect every process that has ended */
void cast_forget(struct actor *actor);		/* a dead one */
void cast_end_worker(void);			/* one without work; it comes back when needed */
size_t cast_alive(void);

/* command.c */
void say_hello(const char *id);			/* NULL: unasked */
void command(const struct request *req, const struct op *op);
void command_ended(struct actor *actor);	/* tell who waits; may forget the actor, or it is forgotten */
int command_timeouts(void);			/* answer what is late; ms until the next, -1: none */
bool command_resetting(void);

#endif
