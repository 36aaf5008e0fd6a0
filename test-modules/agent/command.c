// SPDX-License-Identifier: GPL-2.0-or-later
/* What the supervisor itself does: say hello, manage actors, end the machine. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "serve.h"

#define PROTOCOL	1
#define WAIT_MS		10000
#define SYSRQ		"/proc/sysrq-trigger"
#define PART_US		200000	/* until the last reply has left through SSH or the port */

static struct waiter resetter;
static uint64_t reset_count;
static struct reply reply;

void say_hello(const char *id)
{
	char text[1024];
	struct utsname name;
	static char line[LINE_MAX_BYTES];
	const char *object = line;
	size_t length;

	uname(&name);
	reply_reset(&reply);
	reply_text(&reply, "hello", "kph-agent");
	reply_u64(&reply, "protocol", PROTOCOL);
	reply_text(&reply, "suite", suite.name);
	reply_text(&reply, "release", name.release);
	kernel_build_id(text, sizeof(text));
	reply_text(&reply, "build_id", text);
	if (read_small("/proc/sys/kernel/random/boot_id", text, sizeof(text)) < 0)
		strcpy(text, "unknown");
	text[strcspn(text, "\n")] = '\0';
	reply_text(&reply, "boot_id", text);
	if (read_small(STATE_FILE, text, sizeof(text)) < 0)
		strcpy(text, "none");
	text[strcspn(text, "\n")] = '\0';
	reply_text(&reply, "init", text);
	length = reply_line(&reply, id ? id : "null", 0, line);
	if (!id) {
		/* Unasked: the object alone, which begins where the comma after "ret" is. */
		line[strlen("{\"id\":null,\"ret\":0")] = '{';
		object = line + strlen("{\"id\":null,\"ret\":0");
		length -= object - line;
	}
	send_line(object, length);
}

/* "SIGKILL", "KILL" or "9"; 0: none of these. */
static int parse_signal(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (*text && !*end)
		return number > 0 && number < NSIG ? number : 0;
	if (!strncmp(text, "SIG", 3))
		text += 3;
	for (int i = 1; i < NSIG; i++)
		if (sigabbrev_np(i) && !strcmp(text, sigabbrev_np(i)))
			return i;
	return 0;
}

static int64_t cmd_hello(const struct request *req, bool *later)
{
	say_hello(req->id);
	*later = true;
	return 0;
}

static int64_t cmd_ping(const struct request *req, bool *later)
{
	(void)later;
	if (arg_given(req, "nonce"))
		reply_text(&reply, "nonce", arg_text(req, "nonce", ""));
	return 0;
}

static int64_t cmd_spawn(const struct request *req, bool *later)
{
	struct actor *actor = cast_find(req->actor);
	int error;

	(void)later;
	if (actor && actor->life != DEAD)
		return reply_fail(&reply, EEXIST, "the actor lives");
	if (actor)
		cast_forget(actor);
	actor = cast_get(req->actor, &error);
	if (!actor)
		return reply_fail(&reply, error, "no place for another actor");
	reply_u64(&reply, "pid", actor->pid);
	return 0;
}

static int64_t set_waiter(struct waiter *waiter, const struct request *req)
{
	uint64_t timeout = arg_u64(req, "timeout_ms", WAIT_MS);

	if (waiter->set)
		return reply_fail(&reply, EBUSY, "somebody waits for it already");
	waiter->set = true;
	strcpy(waiter->id, req->id);
	waiter->deadline = now_ms() + (timeout < INT32_MAX ? timeout : INT32_MAX);
	return 0;
}

/* *later: the reply comes when the actor has ended. */
static int64_t cmd_wait(const struct request *req, bool *later)
{
	struct actor *actor = cast_find(req->actor);
	int64_t ret;

	if (!actor)
		return reply_fail(&reply, ESRCH, "no actor of this name");
	ret = set_waiter(&actor->waiter, req);
	if (ret)
		return ret;
	*later = true;
	if (actor->life == DEAD)
		command_ended(actor);
	return 0;
}

static int64_t cmd_kill(const struct request *req, bool *later)
{
	struct actor *actor = cast_find(req->actor);
	int number = parse_signal(arg_text(req, "signal", "SIGKILL"));

	if (!number)
		return reply_fail(&reply, EINVAL, "unknown signal");
	if (!actor || actor->life == UNBORN)
		return reply_fail(&reply, ESRCH, "no actor of this name");
	if (actor->life == ALIVE && kill(actor->pid, number))
		return -errno;
	if (arg_bool(req, "wait", false))
		return cmd_wait(req, later);
	reply_u64(&reply, "pid", actor->pid);
	return 0;
}

void command_ended(struct actor *actor)
{
	unsigned int state = 0;

	if (actor->waiter.set) {
		send_ended(actor->waiter.id, 0, actor->pid, actor->status, false);
		cast_forget(actor);
	}
	if (!resetter.set || cast_alive())
		return;
	while ((actor = cast_each(&state)))
		cast_forget(actor);
	resetter.set = false;
	reply_reset(&reply);
	reply_u64(&reply, "count", reset_count);
	send_reply(&reply, resetter.id, 0);
}

static int64_t cmd_reset(const struct request *req, bool *later)
{
	unsigned int state = 0;
	struct actor *actor;
	int64_t ret;

	cast_end_worker();
	ret = set_waiter(&resetter, req);
	if (ret)
		return ret;
	reset_count = cast_alive();
	while ((actor = cast_each(&state)))
		if (actor->life == ALIVE)
			kill(actor->pid, SIGKILL);
	*later = true;
	if (!reset_count) {
		state = 0;
		while ((actor = cast_each(&state)))
			cast_forget(actor);
		resetter.set = false;
		*later = false;
		reply_u64(&reply, "count", 0);
	}
	return 0;
}

bool command_resetting(void)
{
	return resetter.set;
}

static int64_t cmd_actors(const struct request *req, bool *later)
{
	static char alive[8192], dead[8192];
	unsigned int state = 0;
	struct actor *actor;
	size_t count = 0;

	(void)req;
	(void)later;
	*alive = *dead = '\0';
	while ((actor = cast_each(&state))) {
		char *list = actor->life == DEAD ? dead : alive, *end = list + strlen(list);

		if (!strcmp(actor->name, WORKER))
			continue;
		if (actor->life == DEAD) {
			sprintf(end, "%s%s", *list ? "," : "", actor->name);
			continue;
		}
		sprintf(end, "%s%s=%d", *list ? "," : "", actor->name, actor->pid);
		count++;
	}
	reply_u64(&reply, "count", count);
	reply_text(&reply, "actors", alive);
	reply_text(&reply, "dead", dead);
	return 0;
}

static bool role_field_ok(const struct field *field)
{
	return field->kind == STRING && name_ok(field->name) && *field->text && strlen(field->text) < 64 &&
	       !strpbrk(field->text, ",=/ \n");
}

static int64_t cmd_roles(const struct request *req, bool *later)
{
	struct actor *worker = cast_find(WORKER);
	char text[FIELDS_MAX * 128] = "";
	uint64_t count = 0;

	(void)later;
	if (cast_alive() > (worker && worker->life == ALIVE) || (worker && worker->busy))
		return reply_fail(&reply, EBUSY, "roles are given before there are actors");
	for (int i = 0; i < req->count; i++) {
		const struct field *field = &req->fields[i];

		if (!strcmp(field->name, "id") || !strcmp(field->name, "op"))
			continue;
		if (!role_field_ok(field))
			return reply_fail(&reply, EINVAL, "a role is a name, its device up to 63 characters without , = /");
		sprintf(text + strlen(text), "%s%s=%s", *text ? "," : "", field->name, field->text);
		count++;
	}
	cast_end_worker();
	setenv(ROLES_ENV, text, 1);
	reply_u64(&reply, "count", count);
	return 0;
}

/* These answer first, since nobody may be there to answer afterwards. */
static int64_t cmd_last(const struct request *req, bool *later)
{
	const char *key = !strcmp(req->op, "panic") ? "c" : arg_text(req, "key", "");
	bool off = !strcmp(req->op, "poweroff");

	if (!machine_is_ours() || geteuid())
		return reply_fail(&reply, EPERM, "not in a guest of the harness");
	if (!off && strlen(key) != 1)
		return reply_fail(&reply, EINVAL, "a key is one character");
	if (!off && access(SYSRQ, W_OK))
		return -errno;
	send_reply(&reply, req->id, 0);
	tcdrain(STDOUT_FILENO);
	usleep(PART_US);
	*later = true;
	if (!off)
		return write_small(SYSRQ, key);
	sync();
	return reboot(RB_POWER_OFF);
}

void command(const struct request *req, const struct op *op)
{
	static const struct {
		const char *name;
		/* *later: it has answered, or will. */
		int64_t (*run)(const struct request *req, bool *later);
	} all[] = {
		{ "hello", cmd_hello }, { "ping", cmd_ping }, { "roles", cmd_roles }, { "spawn", cmd_spawn },
		{ "kill", cmd_kill }, { "wait", cmd_wait }, { "reset", cmd_reset }, { "actors", cmd_actors },
		{ "poweroff", cmd_last }, { "panic", cmd_last }, { "sysrq", cmd_last },
	};
	bool later = false;
	int64_t ret = -EOPNOTSUPP;

	reply_reset(&reply);
	if (op->run)
		ret = op->run(req, &reply);
	for (size_t i = 0; !op->run && i < sizeof(all) / sizeof(*all); i++)
		if (!strcmp(op->name, all[i].name))
			ret = all[i].run(req, &later);
	if (!later)
		send_reply(&reply, req->id, ret);
}

static void late(struct waiter *waiter, int64_t now, int64_t *next)
{
	if (!waiter->set)
		return;
	if (waiter->deadline <= now) {
		waiter->set = false;
		reply_reset(&reply);
		send_reply(&reply, waiter->id, reply_fail(&reply, ETIMEDOUT, "it has not ended in time"));
	} else if (*next < 0 || waiter->deadline - now < *next) {
		*next = waiter->deadline - now;
	}
}

int command_timeouts(void)
{
	int64_t now = now_ms(), next = -1;
	unsigned int state = 0;
	struct actor *actor;

	while ((actor = cast_each(&state)))
		late(&actor->waiter, now, &next);
	late(&resetter, now, &next);
	return next;
}

#define TIMEOUT { "timeout_ms", ARG_INTEGER, false }

const struct op supervisor_ops[] = {
	{ "hello", SUPERVISOR, true, NULL, { } },
	{ "ping", SUPERVISOR, true, NULL, { { "nonce", ARG_TEXT, false } } },
	{ "roles", SUPERVISOR, true, NULL, { { "*", ARG_STRING, false } } },
	{ "spawn", SUPERVISOR, true, NULL, { { "actor", ARG_STRING, true } } },
	{ "kill", SUPERVISOR, true, NULL, {
		{ "actor", ARG_STRING, true }, { "signal", ARG_TEXT, false }, { "wait", ARG_BOOLEAN, false }, TIMEOUT } },
	{ "wait", SUPERVISOR, true, NULL, { { "actor", ARG_STRING, true }, TIMEOUT } },
	{ "reset", SUPERVISOR, true, NULL, { TIMEOUT } },
	{ "actors", SUPERVISOR, true, NULL, { } },
	{ "poweroff", SUPERVISOR, true, NULL, { } },
	{ "panic", SUPERVISOR, true, NULL, { } },
	{ "sysrq", SUPERVISOR, true, NULL, { { "key", ARG_STRING, true } } },
	{ .name = NULL },
};
