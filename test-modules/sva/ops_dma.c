// SPDX-License-Identifier: GPL-2.0-or-later
/* Transfers by the device, its counters, and the lock that keeps a transfer under way. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ops_sva.h"

#define TIMEOUT_MS	5000

static uint8_t data[KPH_DMA_BUF_SIZE];		/* what the device stores, or has fetched */

/* In the order of ops.yaml. */
static const char *outcome(const struct kph_sva_dma *dma)
{
	static const char *const errors[] = {
		"none", "denied", "invalid", "response", "disabled", "range", "aborted", "bus",
	};

	if (dma->flags & KPH_SVA_DMA_IDLE)
		return "idle";
	if (dma->status == KPH_DMA_STATUS_BUSY)
		return "busy";
	if (dma->status == KPH_DMA_STATUS_DONE)
		return "done";
	if (dma->flags & KPH_SVA_DMA_TIMED_OUT)
		return "timeout";
	if (dma->status == KPH_DMA_STATUS_FAILED && dma->error && dma->error < sizeof(errors) / sizeof(*errors))
		return errors[dma->error];
	return "unknown";
}

static void report(struct reply *reply, const struct kph_sva_dma *dma, const struct pending *what)
{
	const char *how = outcome(dma);
	size_t same;

	reply_text(reply, "dma", how);
	if (!strcmp(how, "idle") || !strcmp(how, "busy"))
		return;
	reply_u64(reply, "bytes", dma->bytes);
	if (dma->status == KPH_DMA_STATUS_FAILED)
		reply_u64(reply, "fault_address", dma->fault_address);
	if (what->has_pasid)
		reply_u64(reply, "pasid", what->pasid);
	reply_u64(reply, "us", dma->ns / 1000);
	reply_bool(reply, "irq", !(dma->flags & KPH_SVA_DMA_NO_IRQ));
	if (dma->cmd != KPH_DMA_CMD_READ || strcmp(how, "done"))
		return;
	same = pattern_compare(&what->pattern, what->offset, data, dma->length);
	reply_bool(reply, "match", same == dma->length);
	if (same < dma->length)
		reply_u64(reply, "mismatch", what->offset + same);
	reply_u64(reply, "checksum", checksum(data, dma->length));
}

/* Which memory. 0, or -errno with a text. */
static int64_t parse_memory(const struct request *req, struct reply *reply, struct kph_sva_dma *dma)
{
	const struct buffer *buffer;
	uint64_t offset = arg_u64(req, "offset", 0), left;

	if (arg_given(req, "buffer") == arg_given(req, "address"))
		return reply_fail(reply, EINVAL, "give either buffer or address");
	if (arg_given(req, "address")) {
		if (!arg_given(req, "length"))
			return reply_fail(reply, EINVAL, "an address needs a length");
		dma->address = arg_u64(req, "address", 0) + offset;
		dma->length = arg_u64(req, "length", 0);
		return 0;
	}
	buffer = buffer_find(arg_text(req, "buffer", ""));
	if (!buffer)
		return reply_fail(reply, ENOENT, "no buffer of this name");
	if (offset > buffer->bytes)
		return reply_fail(reply, EINVAL, "offset leaves the buffer");
	left = buffer->bytes - offset;
	dma->address = (uintptr_t)buffer->start + offset;
	dma->length = arg_u64(req, "length", left < KPH_DMA_BUF_SIZE ? left : KPH_DMA_BUF_SIZE);
	return 0;
}

/* Which device and PASID. NULL: *error is -errno. */
static struct device *parse_target(const struct request *req, struct reply *reply, struct kph_sva_dma *dma,
				   int64_t *error)
{
	bool explicit_pasid = arg_given(req, "pasid"), none = arg_bool(req, "no_pasid", false);
	struct device *device = NULL;
	struct bond *bond;

	if (explicit_pasid + none + arg_given(req, "bond") > 1) {
		*error = reply_fail(reply, EINVAL, "give one of bond, pasid, no_pasid");
		return NULL;
	}
	if (arg_given(req, "device")) {
		device = device_get(req, reply, error);
		if (!device)
			return NULL;
	}
	if (!explicit_pasid && !none) {
		bond = bond_get(req, reply, error);
		if (!bond)
			return NULL;
		if (device && bond->device != device) {
			*error = reply_fail(reply, EINVAL, "the bond is on another device");
			return NULL;
		}
		device = bond->device;
		dma->pasid = bond->pasid;
	}
	if (!device) {
		*error = reply_fail(reply, EINVAL, "give device or bond");
		return NULL;
	}
	if (explicit_pasid)
		dma->pasid = arg_u64(req, "pasid", 0);
	if (!none)
		dma->flags |= KPH_SVA_DMA_PASID;
	return device;
}

static int64_t transfer(const struct request *req, struct reply *reply, uint32_t cmd)
{
	struct kph_sva_dma dma = { .cmd = cmd, .data = (uintptr_t)data };
	struct pending what = { .pattern = arg_pattern(req), .offset = arg_u64(req, "offset", 0) };
	int64_t ret = parse_memory(req, reply, &dma);
	struct device *device;

	if (ret)
		return ret;
	if (arg_u64(req, "pasid", 0) > KPH_DMA_PASID_MASK || arg_u64(req, "length", 0) > UINT32_MAX)
		return reply_fail(reply, EINVAL, "a PASID has 20 bits, a length 32");
	device = parse_target(req, reply, &dma, &ret);
	if (!device)
		return ret;
	if (arg_bool(req, "no_recover", false))
		dma.flags |= KPH_SVA_DMA_NO_RECOVER;
	if (arg_bool(req, "keep_stale", false))
		dma.flags |= KPH_SVA_DMA_KEEP_STALE;
	if (!arg_bool(req, "wait", true))
		dma.flags |= KPH_SVA_DMA_NO_WAIT;
	dma.timeout_ms = arg_u64(req, "timeout_ms", TIMEOUT_MS);
	if (arg_u64(req, "timeout_ms", 1) - 1 >= KPH_SVA_TIMEOUT_MAX)
		return reply_fail(reply, EINVAL, "timeout_ms is 1 to 600000");
	dma.pattern = arg_u64(req, "value", 0);
	what.has_pasid = dma.flags & KPH_SVA_DMA_PASID;
	what.pasid = dma.pasid;
	if (cmd == KPH_DMA_CMD_WRITE)
		pattern_store(&what.pattern, what.offset, data,
			      dma.length < sizeof(data) ? dma.length : sizeof(data));
	ret = sva_ioctl(device->fd, KPH_SVA_DMA, &dma);
	if (ret)
		return ret;
	if (dma.flags & KPH_SVA_DMA_NO_WAIT) {
		device->pending = what;
		device->pending.set = true;
	}
	report(reply, &dma, &what);
	return 0;
}

static int64_t op_dma_write(const struct request *req, struct reply *reply)
{
	return transfer(req, reply, KPH_DMA_CMD_WRITE);
}

static int64_t op_dma_read(const struct request *req, struct reply *reply)
{
	return transfer(req, reply, KPH_DMA_CMD_READ);
}

static int64_t op_dma_fill(const struct request *req, struct reply *reply)
{
	return transfer(req, reply, KPH_DMA_CMD_FILL);
}

static int64_t op_dma_wait(const struct request *req, struct reply *reply)
{
	struct kph_sva_dma dma = {
		.data = (uintptr_t)data, .length = sizeof(data),
		.timeout_ms = arg_u64(req, "timeout_ms", TIMEOUT_MS),
	};
	int64_t ret = 0;
	struct device *device = device_get(req, reply, &ret);

	if (!device)
		return ret;
	if (arg_u64(req, "timeout_ms", 0) > KPH_SVA_TIMEOUT_MAX)
		return reply_fail(reply, EINVAL, "timeout_ms is at most 600000");
	ret = sva_ioctl(device->fd, KPH_SVA_DMA_WAIT, &dma);
	if (ret)
		return ret;
	report(reply, &dma, &device->pending);
	return 0;
}

/* An ioctl without argument on the actor's own file. */
static int64_t own(const struct request *req, struct reply *reply, unsigned long command, void *arg)
{
	int64_t error = 0;
	struct device *device = device_get(req, reply, &error);

	return device ? sva_ioctl(device->fd, command, arg) : error;
}

/* The same on any file of the device. */
static int64_t borrowed(const struct request *req, struct reply *reply, unsigned long command, void *arg)
{
	bool temporary;
	int fd = device_borrow(req, reply, &temporary);
	int64_t ret;

	if (fd < 0)
		return fd;
	ret = sva_ioctl(fd, command, arg);
	if (temporary)
		close(fd);
	return ret;
}

static int64_t op_dma_abort(const struct request *req, struct reply *reply)
{
	return own(req, reply, KPH_SVA_DMA_ABORT, NULL);
}

static int64_t op_counters(const struct request *req, struct reply *reply)
{
	struct kph_sva_counters counters;
	int64_t ret = borrowed(req, reply, KPH_SVA_COUNTERS, &counters);

	if (ret)
		return ret;
	reply_u64(reply, "requests", counters.requests);
	reply_u64(reply, "hits", counters.hits);
	reply_u64(reply, "page_requests", counters.page_requests);
	reply_u64(reply, "responses", counters.responses);
	reply_u64(reply, "invalidations", counters.invalidations);
	reply_u64(reply, "cached", counters.cached);
	reply_u64(reply, "last_response", counters.last_response);
	if (!counters.invalidations)
		return 0;
	if (counters.last_invalid_pasid & KPH_DMA_PASID_VALID)
		reply_u64(reply, "last_invalid_pasid", counters.last_invalid_pasid & KPH_DMA_PASID_MASK);
	reply_u64(reply, "last_invalid_address", counters.last_invalid_address);
	reply_u64(reply, "last_invalid_length",
		  counters.last_invalid_mask + (counters.last_invalid_mask != UINT64_MAX));
	return 0;
}

static int64_t op_clear_counters(const struct request *req, struct reply *reply)
{
	return borrowed(req, reply, KPH_SVA_CLEAR, NULL);
}

static int64_t op_flush_atc(const struct request *req, struct reply *reply)
{
	return borrowed(req, reply, KPH_SVA_FLUSH_ATC, NULL);
}

static int64_t op_hold_mm(const struct request *req, struct reply *reply)
{
	memset(data, 0, sizeof(data));	/* or a transfer would fault it in */
	return own(req, reply, KPH_SVA_HOLD_MM, (void *)(uintptr_t)arg_u64(req, "ms", 1000));
}

static int64_t op_release_mm(const struct request *req, struct reply *reply)
{
	return own(req, reply, KPH_SVA_RELEASE_MM, NULL);
}

#define DEVICE { "device", ARG_STRING, true }
#define TRANSFER(value_needed) \
	{ "device", ARG_STRING, false }, { "bond", ARG_TEXT, false }, { "pasid", ARG_INTEGER, false }, \
	{ "no_pasid", ARG_BOOLEAN, false }, { "buffer", ARG_STRING, false }, { "address", ARG_INTEGER, false }, \
	{ "offset", ARG_INTEGER, false }, { "length", ARG_INTEGER, false }, \
	{ "value", ARG_INTEGER, value_needed }, { "no_recover", ARG_BOOLEAN, false }, \
	{ "keep_stale", ARG_BOOLEAN, false }, { "wait", ARG_BOOLEAN, false }, { "timeout_ms", ARG_INTEGER, false }

const struct op dma_ops[] = {
	{ "dma_write", ACTOR, false, op_dma_write, { TRANSFER(false), { "seed", ARG_INTEGER, false } } },
	{ "dma_read", ACTOR, false, op_dma_read, { TRANSFER(false), { "seed", ARG_INTEGER, false } } },
	{ "dma_fill", ACTOR, false, op_dma_fill, { TRANSFER(true) } },
	{ "dma_wait", ACTOR, false, op_dma_wait, { DEVICE, { "timeout_ms", ARG_INTEGER, false } } },
	{ "dma_abort", ACTOR, false, op_dma_abort, { DEVICE } },
	{ "counters", ANY, false, op_counters, { DEVICE } },
	{ "clear_counters", ANY, false, op_clear_counters, { DEVICE } },
	{ "flush_atc", ANY, false, op_flush_atc, { DEVICE } },
	{ "hold_mm", ACTOR, false, op_hold_mm, { DEVICE, { "ms", ARG_INTEGER, false } } },
	{ "release_mm", ACTOR, false, op_release_mm, { DEVICE } },
	{ .name = NULL },
};
