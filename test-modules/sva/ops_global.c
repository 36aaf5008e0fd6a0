// SPDX-License-Identifier: GPL-2.0-or-later
/* Global PASIDs: take, give back, count. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ops_sva.h"

#define HELD_MAX	65536
#define SETTLE_MS	20

/* What this actor has taken, so that it can give all back. */
static struct held {
	struct device *device;
	uint32_t pasid;
} *held;
static size_t held_count;

static int64_t free_one(struct device *device, uint32_t pasid)
{
	struct kph_sva_global arg = { .pasid = pasid };

	return sva_ioctl(device->fd, KPH_SVA_FREE_GLOBAL, &arg);
}

/* The device's file is closed: the module gives them back, unless another process has it open. */
void global_forget(const struct device *device)
{
	for (size_t i = 0; i < held_count;)
		if (held[i].device == device)
			held[i] = held[--held_count];
		else
			i++;
}

static int64_t take(struct device *device, uint64_t count, uint32_t *first, uint32_t *last)
{
	size_t before = held_count;
	struct kph_sva_global arg;
	int64_t ret;

	for (uint64_t i = 0; i < count; i++) {
		arg = (struct kph_sva_global){ 0 };
		ret = sva_ioctl(device->fd, KPH_SVA_ALLOC_GLOBAL, &arg);
		if (ret) {
			while (held_count > before)
				free_one(device, held[--held_count].pasid);
			return ret;
		}
		held[held_count++] = (struct held){ device, arg.pasid };
		*last = arg.pasid;
		if (!i)
			*first = arg.pasid;
	}
	return 0;
}

static int64_t op_alloc_global(const struct request *req, struct reply *reply)
{
	uint64_t count = arg_u64(req, "count", 1);
	uint32_t first = 0, last = 0;
	struct device *device;
	struct held *larger;
	int64_t ret = 0;

	if (!count || count > HELD_MAX)
		return reply_fail(reply, EINVAL, "count is 1 to 65536");
	device = device_get(req, reply, &ret);
	if (!device)
		return ret;
	larger = realloc(held, (held_count + count) * sizeof(*held));
	if (!larger)
		return -ENOMEM;
	held = larger;
	ret = take(device, count, &first, &last);
	if (ret)
		return ret;
	reply_u64(reply, "pasid", last);
	reply_u64(reply, "first", first);
	return 0;
}

static int64_t op_free_global(const struct request *req, struct reply *reply)
{
	bool one = arg_given(req, "pasid");
	uint64_t pasid = arg_u64(req, "pasid", 0), count = 0;
	int64_t ret = 0;
	struct device *device = device_get(req, reply, &ret);

	if (!device)
		return ret;
	for (size_t i = 0; i < held_count && !ret;) {
		if (held[i].device != device || (one && held[i].pasid != pasid)) {
			i++;
			continue;
		}
		ret = free_one(device, held[i].pasid);
		count += !ret;
		held[i] = held[--held_count];
	}
	if (!ret && !count && one)
		ret = pasid > UINT32_MAX ? -ENOENT : free_one(device, pasid);
	reply_u64(reply, "count", count);
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* A dead process keeps its PASID for a while: one look is not enough to call it leaked. */
static int64_t op_global_pasids(const struct request *req, struct reply *reply)
{
	uint64_t at_least = arg_u64(req, "at_least", 0), limit = arg_u64(req, "limit", 4096), cpus, tries = 0;
	int64_t deadline = now_ms() + (int64_t)arg_u64(req, "deadline_ms", 3000), ret;
	struct kph_sva_global arg;
	bool temporary;
	int fd;

	if (!limit || limit > KPH_SVA_COUNT_MAX)
		return reply_fail(reply, EINVAL, "limit is 1 to 1048576");
	fd = device_borrow(req, reply, &temporary);
	if (fd < 0)
		return fd;
	for (;;) {
		arg = (struct kph_sva_global){ .limit = limit };
		ret = sva_ioctl(fd, KPH_SVA_COUNT_GLOBAL, &arg);
		tries++;
		if (ret || arg.count >= at_least || now_ms() >= deadline)
			break;
		settle(SETTLE_MS, &cpus);
	}
	if (temporary)
		close(fd);
	if (ret)
		return ret;
	reply_u64(reply, "count", arg.count);
	reply_bool(reply, "complete", arg.complete);
	reply_u64(reply, "lowest", arg.lowest);
	reply_u64(reply, "highest", arg.highest);
	reply_u64(reply, "tries", tries);
	return 0;
}

#define DEVICE { "device", ARG_STRING, true }

const struct op global_ops[] = {
	{ "alloc_global", ACTOR, false, op_alloc_global, { DEVICE, { "count", ARG_INTEGER, false } } },
	{ "free_global", ACTOR, false, op_free_global, { DEVICE, { "pasid", ARG_INTEGER, false } } },
	{ "global_pasids", ANY, false, op_global_pasids, {
		DEVICE, { "at_least", ARG_INTEGER, false }, { "deadline_ms", ARG_INTEGER, false },
		{ "limit", ARG_INTEGER, false } } },
	{ .name = NULL },
};
