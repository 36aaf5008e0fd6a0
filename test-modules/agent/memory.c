// SPDX-License-Identifier: GPL-2.0-or-later
/* An actor's memory, by name. A wrong access is not caught: the actor dies of it, and that is the result. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

#define BUFFERS_MAX	64
#define PAGES_MAX	65536

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static struct buffer buffers[BUFFERS_MAX];

struct buffer *buffer_find(const char *name)
{
	for (int i = 0; i < BUFFERS_MAX; i++)
		if (buffers[i].start && !strcmp(buffers[i].name, name))
			return &buffers[i];
	return NULL;
}

static struct buffer *buffer_slot(void)
{
	for (int i = 0; i < BUFFERS_MAX; i++)
		if (!buffers[i].start)
			return &buffers[i];
	return NULL;
}

int64_t buffer_range(const struct request *req, struct reply *reply, uint8_t **start, size_t *offset, size_t *length)
{
	struct buffer *buffer = buffer_find(arg_text(req, "buffer", ""));
	uint64_t from = arg_u64(req, "offset", 0);

	if (!buffer)
		return reply_fail(reply, ENOENT, "no buffer of this name");
	if (from > buffer->bytes || arg_u64(req, "length", buffer->bytes - from) > buffer->bytes - from)
		return reply_fail(reply, EINVAL, "offset and length leave the buffer");
	*offset = from;
	*length = arg_u64(req, "length", buffer->bytes - from);
	*start = buffer->start + from;
	return 0;
}

/* -1: not a protection. */
static int parse_prot(const char *letters)
{
	int prot = PROT_NONE;

	if (!strcmp(letters, "none"))
		return prot;
	for (; *letters; letters++) {
		if (*letters == 'r')
			prot |= PROT_READ;
		else if (*letters == 'w')
			prot |= PROT_WRITE;
		else if (*letters == 'x')
			prot |= PROT_EXEC;
		else
			return -1;
	}
	return prot ? prot : -1;
}

static int64_t op_map(const struct request *req, struct reply *reply)
{
	const char *name = arg_text(req, "buffer", "");
	uint64_t pages = arg_u64(req, "pages", 0), address = arg_u64(req, "address", 0);
	int prot = parse_prot(arg_text(req, "prot", "rw"));
	int flags = MAP_ANONYMOUS | (arg_bool(req, "shared", false) ? MAP_SHARED : MAP_PRIVATE);
	struct buffer *buffer = buffer_slot();
	void *start;

	if (!name_ok(name) || prot < 0 || !pages || pages > PAGES_MAX)
		return reply_fail(reply, EINVAL, "bad buffer name, prot, or number of pages");
	if (buffer_find(name))
		return reply_fail(reply, EEXIST, "the actor has a buffer of this name");
	if (!buffer)
		return reply_fail(reply, ENOSPC, "too many buffers");
	if (arg_bool(req, "populate", false))
		flags |= MAP_POPULATE;
	if (address)
		flags |= MAP_FIXED_NOREPLACE;
	start = mmap((void *)address, pages * getpagesize(), prot, flags, -1, 0);
	if (start == MAP_FAILED)
		return -errno;
	strcpy(buffer->name, name);
	buffer->start = start;
	buffer->bytes = pages * getpagesize();
	reply_u64(reply, "address", (uintptr_t)start);
	reply_u64(reply, "bytes", buffer->bytes);
	return 0;
}

static int64_t op_unmap(const struct request *req, struct reply *reply)
{
	struct buffer *buffer = buffer_find(arg_text(req, "buffer", ""));
	size_t offset, length;
	uint8_t *start;
	int64_t ret = buffer_range(req, reply, &start, &offset, &length);

	if (ret)
		return ret;
	if (munmap(start, length))
		return -errno;
	if (length == buffer->bytes)
		buffer->start = NULL;
	return 0;
}

static int64_t op_protect(const struct request *req, struct reply *reply)
{
	int prot = parse_prot(arg_text(req, "prot", ""));
	size_t offset, length;
	uint8_t *start;
	int64_t ret = buffer_range(req, reply, &start, &offset, &length);

	if (ret)
		return ret;
	if (prot < 0)
		return reply_fail(reply, EINVAL, "prot is letters of r, w, x, or none");
	return mprotect(start, length, prot) ? -errno : 0;
}

static int64_t op_advise(const struct request *req, struct reply *reply)
{
	static const struct {
		const char *name;
		int advice;
	} known[] = {
		{ "dontneed", MADV_DONTNEED }, { "free", MADV_FREE },
		{ "pageout", MADV_PAGEOUT }, { "cold", MADV_COLD },
		{ "willneed", MADV_WILLNEED }, { "hugepage", MADV_HUGEPAGE },
		{ "nohugepage", MADV_NOHUGEPAGE }, { "collapse", MADV_COLLAPSE },
		{ "dontfork", MADV_DONTFORK }, { "dofork", MADV_DOFORK },
		{ "wipeonfork", MADV_WIPEONFORK },
		{ "populate_read", MADV_POPULATE_READ }, { "populate_write", MADV_POPULATE_WRITE },
	};
	const char *advice = arg_text(req, "advice", "");
	size_t offset, length;
	uint8_t *start;
	int64_t ret = buffer_range(req, reply, &start, &offset, &length);

	if (ret)
		return ret;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(advice, known[i].name))
			return madvise(start, length, known[i].advice) ? -errno : 0;
	return reply_fail(reply, EINVAL, "unknown advice");
}

static int64_t op_touch(const struct request *req, struct reply *reply)
{
	bool write = arg_bool(req, "write", false);
	size_t offset, length, page = getpagesize(), pages = 0;
	uint8_t *start;
	int64_t ret = buffer_range(req, reply, &start, &offset, &length);

	if (ret)
		return ret;
	for (size_t i = 0; i < length; i += page, pages++) {
		volatile uint8_t *byte = start + i;
		uint8_t value = *byte;

		if (write)
			*byte = value;
	}
	reply_u64(reply, "pages", pages);
	return 0;
}

static int64_t op_resident(const struct request *req, struct reply *reply)
{
	size_t offset, length, page = getpagesize(), pages, resident = 0;
	unsigned char *map;
	uint8_t *start;
	int64_t ret = buffer_range(req, reply, &start, &offset, &length);

	if (ret)
		return ret;
	pages = (length + page - 1) / page;
	map = malloc(pages + 1);
	if (!map)
		return -ENOMEM;
	if (mincore(start, length, map)) {
		ret = -errno;
	} else {
		for (size_t i = 0; i < pages; i++)
			resident += map[i] & 1;
		reply_u64(reply, "pages", resident);
		reply_u64(reply, "of", pages);
	}
	free(map);
	return ret;
}

static int64_t pattern_range(const struct request *req, struct reply *reply, uint8_t **start, size_t *offset,
			     size_t *length)
{
	if (arg_given(req, "seed") == arg_given(req, "value"))
		return reply_fail(reply, EINVAL, "give either seed or value");
	return buffer_range(req, reply, start, offset, length);
}

static int64_t op_write(const struct request *req, struct reply *reply)
{
	struct pattern pattern = arg_pattern(req);
	size_t offset, length;
	uint8_t *start;
	int64_t ret = pattern_range(req, reply, &start, &offset, &length);

	if (ret)
		return ret;
	pattern_store(&pattern, offset, start, length);
	reply_u64(reply, "checksum", checksum(start, length));
	return 0;
}

static int64_t op_check(const struct request *req, struct reply *reply)
{
	struct pattern pattern = arg_pattern(req);
	size_t offset, length, same;
	uint8_t *start;
	int64_t ret = pattern_range(req, reply, &start, &offset, &length);

	if (ret)
		return ret;
	same = pattern_compare(&pattern, offset, start, length);
	reply_bool(reply, "match", same == length);
	if (same < length)
		reply_u64(reply, "mismatch", offset + same);
	reply_u64(reply, "checksum", checksum(start, length));
	return 0;
}

static int64_t op_checksum(const struct request *req, struct reply *reply)
{
	size_t offset, length;
	uint8_t *start;
	int64_t ret = buffer_range(req, reply, &start, &offset, &length);

	if (!ret)
		reply_u64(reply, "checksum", checksum(start, length));
	return ret;
}

#define RANGE { "buffer", ARG_STRING, true }, { "offset", ARG_INTEGER, false }, { "length", ARG_INTEGER, false }
#define PATTERN RANGE, { "seed", ARG_INTEGER, false }, { "value", ARG_INTEGER, false }

const struct op memory_ops[] = {
	{ "map", ACTOR, false, op_map, {
		{ "buffer", ARG_STRING, true }, { "pages", ARG_INTEGER, true }, { "prot", ARG_STRING, false },
		{ "populate", ARG_BOOLEAN, false }, { "shared", ARG_BOOLEAN, false },
		{ "address", ARG_INTEGER, false } } },
	{ "unmap", ACTOR, false, op_unmap, { RANGE } },
	{ "protect", ACTOR, false, op_protect, { RANGE, { "prot", ARG_STRING, true } } },
	{ "advise", ACTOR, false, op_advise, { RANGE, { "advice", ARG_STRING, true } } },
	{ "touch", ACTOR, false, op_touch, { RANGE, { "write", ARG_BOOLEAN, false } } },
	{ "resident", ACTOR, false, op_resident, { RANGE } },
	{ "write", ACTOR, false, op_write, { PATTERN } },
	{ "check", ACTOR, false, op_check, { PATTERN } },
	{ "checksum", ACTOR, false, op_checksum, { RANGE } },
	{ .name = NULL },
};
