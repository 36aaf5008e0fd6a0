// SPDX-License-Identifier: GPL-2.0-or-later
/* The actors as the supervisor sees them: processes, pipes, queues of requests. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"
#include "serve.h"

#define FORK_EXTRA	96	/* bytes that a fork's line grows by */

static struct actor actors[ACTORS_MAX];

/* Ends of processes that are nobody's yet: a forked child can die before its parent's reply is read. */
static struct {
	pid_t pid;
	int status;
} strays[16];
static unsigned int stray_turn;

struct actor *cast_each(unsigned int *state)
{
	while (*state < ACTORS_MAX) {
		struct actor *actor = &actors[(*state)++];

		if (actor->life != FREE)
			return actor;
	}
	return NULL;
}

struct actor *cast_find(const char *name)
{
	unsigned int state = 0;
	struct actor *actor;

	while ((actor = cast_each(&state)) && strcmp(actor->name, name))
		;
	return actor;
}

size_t cast_alive(void)
{
	unsigned int state = 0;
	struct actor *actor;
	size_t count = 0;

	while ((actor = cast_each(&state)))
		count += actor->life == ALIVE || actor->life == UNBORN;
	return count;
}

static void close_pipes(struct actor *actor)
{
	int *ends[] = { &actor->to, &actor->from, &actor->far_in, &actor->far_out };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		if (*ends[i] >= 0)
			close(*ends[i]);
		*ends[i] = -1;
	}
}

void cast_forget(struct actor *actor)
{
	close_pipes(actor);
	free(actor->text);
	memset(actor, 0, sizeof(*actor));
}

/* A fork that made no child: nobody will do what was asked of it. */
static void abandon(struct actor *unborn)
{
	struct queued *request;
	struct reply reply;

	while ((request = unborn->first)) {
		unborn->first = request->next;
		if (request->child)
			abandon(request->child);
		reply_reset(&reply);
		send_reply(&reply, request->id, reply_fail(&reply, ESRCH, "the fork of this actor failed"));
		free(request);
	}
	cast_forget(unborn);
}

/* A slot with pipes and no process. NULL: errno. */
static struct actor *prepare(const char *name)
{
	struct actor *actor = NULL;
	int in[2], out[2];

	for (int i = 0; i < ACTORS_MAX && !actor; i++)
		if (actors[i].life == FREE)
			actor = &actors[i];
	if (!actor) {
		errno = EAGAIN;
		return NULL;
	}
	if (pipe2(in, O_CLOEXEC))
		return NULL;
	if (pipe2(out, O_CLOEXEC)) {
		close(in[0]);
		close(in[1]);
		return NULL;
	}
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	*actor = (struct actor){
		.life = UNBORN, .far_in = in[0], .to = in[1], .from = out[0], .far_out = out[1],
		.text = malloc(LINE_MAX_BYTES),
	};
	actor->last = &actor->first;
	strcpy(actor->name, name);
	if (!actor->text) {
		cast_forget(actor);
		errno = ENOMEM;
		return NULL;
	}
	return actor;
}

static void born(struct actor *actor, pid_t pid)
{
	actor->life = ALIVE;
	actor->pid = pid;
	close(actor->far_in);
	close(actor->far_out);
	actor->far_in = actor->far_out = -1;
}

/* In the new process. Nothing of the supervisor goes along but the roles in the environment. */
static void become(struct actor *actor)
{
	int in = fcntl(actor->far_in, F_DUPFD_CLOEXEC, 10), out = fcntl(actor->far_out, F_DUPFD_CLOEXEC, 10);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	if (in < 0 || out < 0 || null < 0)
		_exit(125);
	dup2(null, 0);
	dup2(null, 1);
	dup2(in, ACTOR_IN);
	dup2(out, ACTOR_OUT);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execl("/proc/self/exe", "agent", "actor", actor->name, NULL);
	_exit(127);
}

struct actor *cast_get(const char *name, int *error)
{
	struct actor *actor = cast_find(name);
	pid_t pid;

	if (actor)
		return actor;
	actor = prepare(name);
	if (!actor) {
		*error = errno;
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		become(actor);
	if (pid < 0) {
		*error = errno;
		cast_forget(actor);
		return NULL;
	}
	born(actor, pid);
	return actor;
}

/* A process id may come again: what ended before any fork was under way was no child of it. */
static void forget_strays(void)
{
	for (int i = 0; i < ACTORS_MAX; i++)
		if (actors[i].life == UNBORN)
			return;
	memset(strays, 0, sizeof(strays));
}

/*
 * From now on the name is taken, and what is asked of the child waits for it.
 * Tells the parent which of our descriptors are the child's. 0, -errno.
 */
static int prepare_fork(struct queued *request, const char *as)
{
	if (cast_find(as))
		return -EEXIST;
	if (!name_ok(as))
		return -EINVAL;
	forget_strays();
	request->child = prepare(as);
	if (!request->child)
		return -errno;
	/* The object's last brace is the line's last. */
	*strrchr(request->line, '}') = '\0';
	request->length = strlen(request->line);
	request->length += sprintf(request->line + request->length, ",\".pid\":%d,\".in\":%d,\".out\":%d}\n",
				   getpid(), request->child->far_in, request->child->far_out);
	return 0;
}

/* Give an idle actor its next request. */
static void next(struct actor *actor)
{
	while (actor->life == ALIVE && !actor->busy && actor->first) {
		struct queued *request = actor->first;

		actor->first = request->next;
		if (!actor->first)
			actor->last = &actor->first;
		actor->busy = request;
		actor->sent = 0;
		cast_write(actor);
	}
}

void cast_write(struct actor *actor)
{
	while (actor->busy && actor->sent < actor->busy->length) {
		ssize_t n = write(actor->to, actor->busy->line + actor->sent, actor->busy->length - actor->sent);

		/* EPIPE: it is ending; SIGCHLD will say so. */
		if (n < 0 && errno != EINTR) {
			if (errno != EAGAIN)
				actor->sent = actor->busy->length;
			return;
		}
		if (n > 0)
			actor->sent += n;
	}
}

int cast_request(struct actor *actor, const struct request *req, const struct op *op, const char *line, size_t length)
{
	struct queued *request = calloc(1, sizeof(*request) + length + FORK_EXTRA);
	int ret = 0;

	if (!request)
		return -ENOMEM;
	request->op = op;
	strcpy(request->id, req->id);
	request->code = arg_u64(req, "code", 0);
	memcpy(request->line, line, length);
	request->line[length] = '\n';
	request->length = length + 1;
	if (!strcmp(op->name, "fork"))
		ret = prepare_fork(request, arg_text(req, "as", ""));
	if (ret) {
		free(request);
		return ret;
	}
	*actor->last = request;
	actor->last = &request->next;
	next(actor);
	return 0;
}

static void end(struct actor *actor, int status);

/* A fork has been answered: the child is there, or is not. */
static void fork_answered(struct actor *child, const char *line, size_t length)
{
	const char *ret = memmem(line, length, "\"ret\":0", 7), *pid = memmem(line, length, "\"pid\":", 6);

	if (!ret || !pid) {
		abandon(child);
		return;
	}
	born(child, atoi(pid + 6));
	for (size_t i = 0; i < sizeof(strays) / sizeof(*strays); i++)
		if (strays[i].pid == child->pid) {
			strays[i].pid = 0;
			end(child, strays[i].status);
			return;
		}
	next(child);
}

void cast_read(struct actor *actor)
{
	while (actor->from >= 0) {
		ssize_t n = read(actor->from, actor->text + actor->used, LINE_MAX_BYTES - actor->used);
		char *newline;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			/* Closed, but not yet ended: do not look again before SIGCHLD. */
			if (n == 0) {
				close(actor->from);
				actor->from = -1;
			}
			return;
		}
		actor->used += n;
		while ((newline = memchr(actor->text, '\n', actor->used))) {
			size_t length = newline + 1 - actor->text;

			if (actor->busy) {
				send_line(actor->text, length);
				if (actor->busy->child)
					fork_answered(actor->busy->child, actor->text, length);
				free(actor->busy);
				actor->busy = NULL;
			}
			actor->used -= length;
			memmove(actor->text, newline + 1, actor->used);
		}
		if (actor->used == LINE_MAX_BYTES)
			actor->used = 0;
		next(actor);
	}
}

static void refuse_queued(struct actor *actor, struct queued *request, bool asked)
{
	if (request->child)
		abandon(request->child);
	send_ended(request->id, asked ? 0 : -ESRCH, actor->pid, actor->status, !asked);
	free(request);
}

/* It has ended: answer everything that it was asked. */
static void end(struct actor *actor, int status)
{
	struct queued *request = actor->busy;
	bool asked = request && !strcmp(request->op->name, "exit") && WIFEXITED(status) &&
		     (uint64_t)WEXITSTATUS(status) == request->code;

	actor->life = DEAD;
	actor->status = status;
	actor->busy = NULL;
	close_pipes(actor);
	if (request)
		refuse_queued(actor, request, asked);
	while ((request = actor->first)) {
		actor->first = request->next;
		refuse_queued(actor, request, false);
	}
	actor->last = &actor->first;
	if (asked && !actor->waiter.set)
		cast_forget(actor);
	command_ended(actor);
}

static struct actor *find_pid(pid_t pid)
{
	for (int i = 0; i < ACTORS_MAX; i++)
		if (actors[i].life == ALIVE && actors[i].pid == pid)
			return &actors[i];
	return NULL;
}

void cast_reap(void)
{
	struct actor *actor;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		actor = find_pid(pid);
		if (actor) {
			/* What it said before it ended comes first. */
			cast_read(actor);
			end(actor, status);
			continue;
		}
		strays[stray_turn].pid = pid;
		strays[stray_turn].status = status;
		stray_turn = (stray_turn + 1) % (sizeof(strays) / sizeof(*strays));
	}
}

void cast_end_worker(void)
{
	struct actor *worker = cast_find(WORKER);

	if (!worker || worker->busy)
		return;
	if (worker->life == ALIVE) {
		kill(worker->pid, SIGKILL);
		while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	cast_forget(worker);
}
