// SPDX-License-Identifier: GPL-2.0-or-later
/* An actor: a process that reads requests from one pipe and writes replies to another. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "actor.h"
#include "agent.h"

#define TIMES_MAX	10000000

const char *actor_name(const char *name)
{
	static char mine[NAME_BYTES];

	if (name) {
		strncpy(mine, name, sizeof(mine) - 1);
		prctl(PR_SET_NAME, *mine ? mine : "worker");
	}
	return mine;
}

/* As often as asked, until the outcome differs from the first one. */
static int64_t run(const struct op *op, const struct request *req, struct reply *reply)
{
	uint64_t times = arg_u64(req, "times", 1), done;
	int64_t first = 0, ret = 0;

	reply_reset(reply);
	if (!times || times > TIMES_MAX)
		return reply_fail(reply, EPROTO, "\"times\" is 1 to 10000000");
	for (done = 0; done < times; done++) {
		reply_reset(reply);
		ret = op->run(req, reply);
		if (!done)
			first = ret;
		else if (ret != first)
			break;
	}
	if (arg_given(req, "times"))
		reply_u64(reply, "done", done);
	return ret;
}

static void answer(char *text)
{
	static struct request req;
	static struct reply reply;
	static char line[LINE_MAX_BYTES];
	const char *error = request_parse(&req, text);
	const struct op *op = error ? NULL : ops_find(req.op);
	int64_t ret;

	reply_reset(&reply);
	if (!op)
		ret = reply_fail(&reply, EPROTO, error ? error : "unknown operation");
	else
		ret = run(op, &req, &reply);
	if (write_all(ACTOR_OUT, line, reply_line(&reply, req.id, ret, line)))
		_exit(126);
}

void actor_loop(int in, int out)
{
	static char text[LINE_MAX_BYTES + 1];
	size_t used = 0;
	char *end;
	ssize_t n;

	(void)out;
	for (;;) {
		n = read(in, text + used, LINE_MAX_BYTES - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);	/* the supervisor is gone, or done with us */
		used += n;
		/* One request at a time: the supervisor sends the next after the reply. */
		end = memchr(text, '\n', used);
		if (!end) {
			if (used == LINE_MAX_BYTES)
				_exit(126);
			continue;
		}
		*end = '\0';
		used = 0;
		answer(text);
	}
}

/* agent actor NAME [ID of the request that executed us] */
int actor_main(int argc, char **argv)
{
	static const struct rlimit no_core;
	const char *saved = getenv(KEEP_ENV);
	static struct reply reply;
	static char line[LINE_MAX_BYTES];

	if (argc < 3)
		return 2;
	fcntl(ACTOR_IN, F_SETFD, FD_CLOEXEC);
	fcntl(ACTOR_OUT, F_SETFD, FD_CLOEXEC);
	setrlimit(RLIMIT_CORE, &no_core);
	actor_name(argv[2]);
	if (saved)
		suite.restore(saved);
	unsetenv(KEEP_ENV);
	reply_reset(&reply);
	if (argc > 3 && write_all(ACTOR_OUT, line, reply_line(&reply, argv[3], 0, line)))
		return 126;
	actor_loop(ACTOR_IN, ACTOR_OUT);
}
