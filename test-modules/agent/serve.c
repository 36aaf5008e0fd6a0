// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The service: requests on standard input, replies on standard output. It
 * never waits for one actor alone, so that a blocked one blocks nobody else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "serve.h"

#define LEAVE_MS	5000	/* how long to wait for killed actors at the end */

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void leave(int status) __attribute__((noreturn));

/* Nobody listens any more: no actor outlives us. */
static void leave(int status)
{
	int64_t end = now_ms() + LEAVE_MS;
	unsigned int state = 0;
	struct actor *actor;

	while ((actor = cast_each(&state)))
		if (actor->life == ALIVE)
			kill(actor->pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0 && now_ms() < end)
		poll(NULL, 0, 5);
	exit(status);
}

void send_line(const char *line, size_t length)
{
	if (write_all(STDOUT_FILENO, line, length))
		leave(1);
}

void send_reply(const struct reply *reply, const char *id, int64_t ret)
{
	static char line[LINE_MAX_BYTES];

	send_line(line, reply_line(reply, id, ret, line));
}

/* How a process ended, as a reply. */
void send_ended(const char *id, int64_t ret, pid_t pid, int status, bool died)
{
	static struct reply reply;
	char name[32];

	reply_reset(&reply);
	if (died)
		reply_bool(&reply, "died", true);
	reply_u64(&reply, "pid", pid);
	if (WIFSIGNALED(status)) {
		const char *abbreviation = sigabbrev_np(WTERMSIG(status));

		if (abbreviation)
			snprintf(name, sizeof(name), "SIG%s", abbreviation);
		else
			snprintf(name, sizeof(name), "SIG%d", WTERMSIG(status));
		reply_text(&reply, "signal", name);
	} else {
		reply_u64(&reply, "exit", WEXITSTATUS(status));
	}
	send_reply(&reply, id, ret);
}

static void refuse(const char *id, int error, const char *text)
{
	static struct reply reply;

	reply_reset(&reply);
	send_reply(&reply, id, reply_fail(&reply, error, text));
}

static void dispatch(const struct request *req, const struct op *op, const char *line, size_t length)
{
	struct actor *actor;
	int error;

	if (command_resetting()) {
		refuse(req->id, EBUSY, "a reset is under way");
		return;
	}
	actor = cast_get(req->actor ? req->actor : WORKER, &error);
	if (!actor) {
		refuse(req->id, error, "no place for another actor");
		return;
	}
	if (actor->life == DEAD) {
		send_ended(req->id, -ESRCH, actor->pid, actor->status, true);
		if (!strcmp(actor->name, WORKER))
			cast_forget(actor);
		return;
	}
	error = cast_request(actor, req, op, line, length);
	if (error)
		refuse(req->id, -error, error == -EEXIST ? "there is an actor of this name" : NULL);
}

/* One line without its newline, NUL-terminated at [length]. */
static void take_line(const char *line, size_t length)
{
	static char text[LINE_MAX_BYTES + 1];
	static struct request req;
	const struct op *op;
	const char *error;

	memcpy(text, line, length);
	text[length] = '\0';
	if (text[strspn(text, " \t\r")] == '\0' && strlen(text) == length)
		return;
	error = request_parse(&req, text);
	if (!error && memchr(line, '\0', length))
		error = "a NUL byte";
	if (error) {
		refuse(req.id, EPROTO, error);
		return;
	}
	op = ops_find(req.op);
	if (!op) {
		refuse(req.id, EOPNOTSUPP, "unknown operation");
		return;
	}
	error = ops_check(op, &req, false);
	if (error)
		refuse(req.id, EPROTO, error);
	else if (op->where == SUPERVISOR)
		command(&req, op);
	else
		dispatch(&req, op, line, length);
}

/* Cut what has come into lines; a line that is too long is dropped whole. */
static void take_input(void)
{
	static char text[LINE_MAX_BYTES];
	static size_t used;
	static bool dropping;
	ssize_t n = read(STDIN_FILENO, text + used, sizeof(text) - used);
	char *line = text, *newline;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		leave(0);
	used += n;
	while ((newline = memchr(line, '\n', used))) {
		size_t length = newline - line;

		if (!dropping)
			take_line(line, length);
		dropping = false;
		line = newline + 1;
		used -= length + 1;
	}
	memmove(text, line, used);
	if (used == sizeof(text)) {
		if (!dropping)
			refuse("null", EPROTO, "the line is longer than 65536 bytes");
		dropping = true;
		used = 0;
	}
}

static nfds_t watch(struct pollfd *fds, struct actor **whose, int signals)
{
	unsigned int state = 0;
	struct actor *actor;
	nfds_t count = 2;

	fds[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
	while ((actor = cast_each(&state))) {
		if (actor->life != ALIVE)
			continue;
		if (actor->from >= 0) {
			whose[count] = actor;
			fds[count++] = (struct pollfd){ .fd = actor->from, .events = POLLIN };
		}
		if (actor->busy && actor->sent < actor->busy->length) {
			whose[count] = actor;
			fds[count++] = (struct pollfd){ .fd = actor->to, .events = POLLOUT };
		}
	}
	return count;
}

static void serve(int signals)
{
	static struct pollfd fds[2 + 2 * ACTORS_MAX];
	static struct actor *whose[2 + 2 * ACTORS_MAX];
	struct signalfd_siginfo info;

	for (;;) {
		nfds_t count = watch(fds, whose, signals);

		if (poll(fds, count, command_timeouts()) < 0)
			continue;
		for (nfds_t i = 2; i < count; i++) {
			/* An earlier one's answer may have ended a later one. */
			if (!fds[i].revents || whose[i]->life != ALIVE)
				continue;
			if (fds[i].fd == whose[i]->to)
				cast_write(whose[i]);
			else if (fds[i].fd == whose[i]->from)
				cast_read(whose[i]);
		}
		if (fds[1].revents && read(signals, &info, sizeof(info)) > 0)
			cast_reap();
		if (fds[0].revents)
			take_input();
	}
}

int serve_main(void)
{
	sigset_t child;
	int signals;
	char *roles;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = signalfd(-1, &child, SFD_CLOEXEC);
	if (signals < 0) {
		perror("agent: signalfd");
		return 1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	roles = cmdline_value("kph.roles");
	if (roles)
		setenv(ROLES_ENV, roles, 1);
	free(roles);
	say_hello(NULL);
	serve(signals);
	return 0;
}
