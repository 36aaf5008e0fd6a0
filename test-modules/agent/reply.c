// SPDX-License-Identifier: GPL-2.0-or-later
/* Replies: flat JSON objects, built up field by field, always one well-formed line. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"

void reply_reset(struct reply *reply)
{
	reply->used = 0;
	reply->full = false;
	reply->error = NULL;
}

/* Leaves room for what reply_line() puts in front and behind; an error's text is at most 128 bytes, all escaped. */
static void put(struct reply *reply, const char *text, size_t length)
{
	if (reply->used + length > sizeof(reply->body) - 1024) {
		reply->full = true;
		return;
	}
	memcpy(reply->body + reply->used, text, length);
	reply->used += length;
}

static void put_name(struct reply *reply, const char *name)
{
	put(reply, ",\"", 2);
	put(reply, name, strlen(name));
	put(reply, "\":", 2);
}

void reply_u64(struct reply *reply, const char *name, uint64_t value)
{
	char digits[24];

	put_name(reply, name);
	put(reply, digits, snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value));
}

void reply_bool(struct reply *reply, const char *name, bool value)
{
	put_name(reply, name);
	put(reply, value ? "true" : "false", value ? 4 : 5);
}

static void put_escaped(struct reply *reply, unsigned char c)
{
	char escape[8];

	put(reply, escape, snprintf(escape, sizeof(escape), "\\u%04x", c));
}

/* How many bytes of well-formed UTF-8 start here; 0: none. */
static size_t utf8_length(const unsigned char *p)
{
	size_t length = *p < 0x80 ? 1 : (*p & 0xe0) == 0xc0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 :
			(*p & 0xf8) == 0xf0 ? 4 : 0;

	if (*p == 0xc0 || *p == 0xc1 || *p > 0xf4 ||
	    (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

void reply_text(struct reply *reply, const char *name, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	put_name(reply, name);
	put(reply, "\"", 1);
	while (*p) {
		size_t length = utf8_length(p);

		if (*p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f || !length) {
			put_escaped(reply, *p++);
			continue;
		}
		put(reply, (const char *)p, length);
		p += length;
	}
	put(reply, "\"", 1);
}

/* Any bytes, each as the character of its number. */
void reply_bytes(struct reply *reply, const char *name, const void *bytes, size_t length)
{
	const unsigned char *p = bytes;

	put_name(reply, name);
	put(reply, "\"", 1);
	for (; length--; p++) {
		if (*p < 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
			put_escaped(reply, *p);
		else
			put(reply, (const char *)p, 1);
	}
	put(reply, "\"", 1);
}

int64_t reply_fail(struct reply *reply, int error, const char *text)
{
	reply->error = text;
	return -error;
}

size_t reply_line(const struct reply *reply, const char *id, int64_t ret, char *line)
{
	const char *error = reply->error, *name;
	size_t used;

	if (reply->full) {
		ret = -E2BIG;
		error = "the reply is longer than a line";
	}
	used = snprintf(line, LINE_MAX_BYTES, "{\"id\":%s,\"ret\":%lld", id, (long long)ret);
	name = ret < 0 && ret > -4096 ? strerrorname_np(-ret) : NULL;
	if (name)
		used += snprintf(line + used, LINE_MAX_BYTES - used, ",\"errno\":\"%s\"", name);
	if (!reply->full) {
		memcpy(line + used, reply->body, reply->used);
		used += reply->used;
	}
	if (error) {
		static struct reply quoted;

		reply_reset(&quoted);
		reply_text(&quoted, "error", error);
		memcpy(line + used, quoted.body, quoted.used);
		used += quoted.used;
	}
	line[used++] = '}';
	line[used++] = '\n';
	return used;
}
