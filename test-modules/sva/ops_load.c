// SPDX-License-Identifier: GPL-2.0-or-later
/* Many binds in one request: what leaks, shows after a few thousand. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ops_sva.h"

#define COUNT_MAX	10000000
#define SETTLE_MS	5

/* What a child tells its parent, in shared memory. */
struct outcome {
	int64_t ret;
	uint64_t retries;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The PASIDs of the children before may not be free yet: that is not an error. */
static int64_t bind_patiently(int fd, const struct request *req, struct kph_sva_bind *bind, uint64_t *retries)
{
	int64_t deadline = now_ms() + (int64_t)arg_u64(req, "deadline_ms", 3000), ret;
	uint64_t cpus;

	for (;;) {
		*bind = (struct kph_sva_bind){ 0 };
		ret = sva_bind(fd, req, bind);
		if (ret != -ENOSPC || now_ms() >= deadline)
			return ret;
		++*retries;
		settle(SETTLE_MS, &cpus);
	}
}

static void child(const struct request *req, struct outcome *outcome)
{
	int fd = device_open(role_device(arg_text(req, "device", "")));
	struct kph_sva_bind bind;

	outcome->ret = fd;
	if (fd >= 0)
		outcome->ret = bind_patiently(fd, req, &bind, &outcome->retries);
	if (!outcome->ret && arg_bool(req, "unbind", true))
		outcome->ret = sva_unbind(fd, bind.bond, NULL);
	_exit(0);
}

static int64_t op_churn(const struct request *req, struct reply *reply)
{
	uint64_t count = arg_u64(req, "count", 0), done;
	struct outcome *outcome;
	int64_t ret = 0;
	int status;

	if (!count || count > COUNT_MAX)
		return reply_fail(reply, EINVAL, "count is 1 to 10000000");
	outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcome == MAP_FAILED)
		return -errno;
	for (done = 0; done < count && !ret; done += !ret) {
		pid_t pid = fork();

		if (pid == 0)
			child(req, outcome);
		if (pid < 0)
			ret = -errno;
		else if (waitpid(pid, &status, 0) != pid)
			ret = -errno;
		else if (!WIFEXITED(status) || WEXITSTATUS(status))
			ret = reply_fail(reply, ESRCH, "a child was killed");
		else
			ret = outcome->ret;
	}
	reply_u64(reply, "children", done);
	reply_u64(reply, "retries", outcome->retries);
	munmap(outcome, sizeof(*outcome));
	return ret;
}

static int64_t bind_and_unbind(int fd, const struct request *req)
{
	struct kph_sva_bind bind = { 0 };
	int64_t ret = sva_bind(fd, req, &bind);

	return ret ? ret : sva_unbind(fd, bind.bond, NULL);
}

static int64_t op_churn_bind(const struct request *req, struct reply *reply)
{
	uint64_t count = arg_u64(req, "count", 0), done;
	int64_t ret = 0;
	struct device *device;

	if (!count || count > COUNT_MAX)
		return reply_fail(reply, EINVAL, "count is 1 to 10000000");
	device = device_get(req, reply, &ret);
	if (!device)
		return ret;
	for (done = 0; done < count && !ret; done += !ret)
		ret = bind_and_unbind(device->fd, req);
	reply_u64(reply, "rounds", done);
	return ret;
}

#define DEVICE { "device", ARG_STRING, true }
#define COUNT { "count", ARG_INTEGER, true }
#define PASID { "pasid", ARG_INTEGER, false }

const struct op load_ops[] = {
	{ "churn", ACTOR, false, op_churn, {
		DEVICE, COUNT, PASID, { "unbind", ARG_BOOLEAN, false }, { "deadline_ms", ARG_INTEGER, false } } },
	{ "churn_bind", ACTOR, false, op_churn_bind, { DEVICE, COUNT, PASID } },
	{ .name = NULL },
};
