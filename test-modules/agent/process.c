// SPDX-License-Identifier: GPL-2.0-or-later
/* What an actor does with its process: fork, exec, exit, a privileged instruction. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actor.h"
#include "agent.h"

/* Open an end of a pipe that the supervisor holds. */
static int open_of(uint64_t pid, uint64_t fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%llu/fd/%llu", (unsigned long long)pid, (unsigned long long)fd);
	return open(path, flags | O_CLOEXEC);
}

/* The child of op_fork: its own pipes, then say so, then serve. */
static void forked(const struct request *req, int ready)
{
	int in = open_of(arg_u64(req, ".pid", 0), arg_u64(req, ".in", 0), O_RDONLY);
	int out = open_of(arg_u64(req, ".pid", 0), arg_u64(req, ".out", 0), O_WRONLY);

	if (in < 0 || out < 0)
		_exit(125);
	dup3(in, ACTOR_IN, O_CLOEXEC);
	dup3(out, ACTOR_OUT, O_CLOEXEC);
	close(in);
	close(out);
	if (arg_bool(req, "close_files", false))
		suite.close_files();
	actor_name(arg_text(req, "as", "?"));
	if (write_all(ready, "", 1))
		_exit(125);
	close(ready);
	actor_loop(ACTOR_IN, ACTOR_OUT);
}

/*
 * CLONE_PARENT makes the child the supervisor's, which alone waits for actors.
 * A raw clone is enough: nothing of ours runs at fork.
 */
static int64_t op_fork(const struct request *req, struct reply *reply)
{
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		close(ready[0]);
		forked(req, ready[1]);
	}
	close(ready[1]);
	if (pid < 0) {
		int error = errno;

		close(ready[0]);
		return -error;
	}
	if (read(ready[0], &byte, 1) != 1) {
		close(ready[0]);
		return reply_fail(reply, EIO, "the child did not start");
	}
	close(ready[0]);
	reply_u64(reply, "pid", pid);
	return 0;
}

/* The new image answers the request. */
static int64_t op_exec(const struct request *req, struct reply *reply)
{
	char *args[] = { "agent", "actor", (char *)actor_name(NULL), (char *)req->id, NULL };
	char *saved;

	unsetenv(KEEP_ENV);
	if (arg_bool(req, "keep_files", false)) {
		saved = suite.save();
		if (!saved || setenv(KEEP_ENV, saved, 1)) {
			free(saved);
			return -ENOMEM;
		}
		free(saved);
	}
	fcntl(ACTOR_IN, F_SETFD, 0);
	fcntl(ACTOR_OUT, F_SETFD, 0);
	execv("/proc/self/exe", args);
	return reply_fail(reply, errno, "exec failed; the actor is not usable any more");
}

static int64_t op_exit(const struct request *req, struct reply *reply)
{
	uint64_t code = arg_u64(req, "code", 0);

	if (code > 255)
		return reply_fail(reply, EINVAL, "an exit status is 0 to 255");
	_exit(code);
}

#if defined(__x86_64__)
static void *raise_gp(void *unused)
{
	/* Privileged, so #GP at user level. The kernel may fix it up once (ENQCMD): then it runs again. */
	__asm__ volatile("hlt");
	return unused;
}
#endif

static int64_t op_gp(const struct request *req, struct reply *reply)
{
#if defined(__x86_64__)
	pthread_t thread;
	int error;

	if (!arg_bool(req, "thread", false)) {
		raise_gp(NULL);
	} else {
		error = pthread_create(&thread, NULL, raise_gp, NULL);
		if (error)
			return -error;
		pthread_join(thread, NULL);
	}
	return reply_fail(reply, EIO, "the privileged instruction did not fault");
#else
	(void)req;
	return reply_fail(reply, EOPNOTSUPP, "no such instruction on this architecture");
#endif
}

const struct op process_ops[] = {
	{ "fork", ACTOR, true, op_fork, {
		{ "as", ARG_STRING, true }, { "close_files", ARG_BOOLEAN, false },
		{ ".pid", ARG_INTEGER, false }, { ".in", ARG_INTEGER, false }, { ".out", ARG_INTEGER, false } } },
	{ "exec", ACTOR, true, op_exec, { { "keep_files", ARG_BOOLEAN, false } } },
	{ "exit", ACTOR, true, op_exit, { { "code", ARG_INTEGER, false } } },
	{ "gp", ACTOR, true, op_gp, { { "thread", ARG_BOOLEAN, false } } },
	{ .name = NULL },
};
