// SPDX-License-Identifier: GPL-2.0-or-later
/* Flat JSON objects: strings, 64-bit integers, booleans. Nothing is trusted. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"

static char *skip(char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
		p++;
	return p;
}

static int hex4(const char *p)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		value <<= 4;
		if (c >= '0' && c <= '9')
			value += c - '0';
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			value += (c | 32) - 'a' + 10;
		else
			return -1;
	}
	return value;
}

static char *put_utf8(char *to, unsigned int c)
{
	if (c < 0x80) {
		*to++ = c;
	} else if (c < 0x800) {
		*to++ = 0xc0 | c >> 6;
		*to++ = 0x80 | (c & 0x3f);
	} else if (c < 0x10000) {
		*to++ = 0xe0 | c >> 12;
		*to++ = 0x80 | (c >> 6 & 0x3f);
		*to++ = 0x80 | (c & 0x3f);
	} else {
		*to++ = 0xf0 | c >> 18;
		*to++ = 0x80 | (c >> 12 & 0x3f);
		*to++ = 0x80 | (c >> 6 & 0x3f);
		*to++ = 0x80 | (c & 0x3f);
	}
	return to;
}

/* \uXXXX, or a surrogate pair of them; *from is at the first digit. -1: bad. */
static int parse_unicode(char **from)
{
	int c = hex4(*from), low;

	if (c <= 0 || (c >= 0xdc00 && c < 0xe000))
		return -1;
	*from += 4;
	if (c < 0xd800 || c >= 0xe000)
		return c;
	if ((*from)[0] != '\\' || (*from)[1] != 'u')
		return -1;
	low = hex4(*from + 2);
	if (low < 0xdc00 || low >= 0xe000)
		return -1;
	*from += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* Unescapes in place, which never grows. p is behind the quote. Returns the end, NULL if bad. */
static char *parse_string(char *p, const char **text)
{
	static const char from_letters[] = "\"\\/bfnrt", to_letters[] = "\"\\/\b\f\n\r\t";
	char *to = p;

	*text = p;
	while (*p != '"') {
		const char *letter;
		int c;

		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p != '\\') {
			*to++ = *p++;
			continue;
		}
		p++;
		if (*p == 'u') {
			p++;
			c = parse_unicode(&p);
			if (c < 0)
				return NULL;
			to = put_utf8(to, c);
			continue;
		}
		letter = *p ? strchr(from_letters, *p) : NULL;
		if (!letter)
			return NULL;
		*to++ = to_letters[letter - from_letters];
		p++;
	}
	*to = '\0';
	return p + 1;
}

static char *parse_number(char *p, struct field *field)
{
	uint64_t value = 0;
	char *digits;

	field->kind = INTEGER;
	field->negative = *p == '-';
	digits = p += field->negative;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *p - '0', &value))
			return NULL;
	if (p == digits || (*digits == '0' && p > digits + 1))
		return NULL;
	if (*p == '.' || *p == 'e' || *p == 'E' || (field->negative && value > 1ULL << 63))
		return NULL;
	field->number = field->negative ? -value : value;
	if (!value)
		field->negative = false;
	return p;
}

static char *parse_value(char *p, struct field *field)
{
	if (*p == '"') {
		field->kind = STRING;
		return parse_string(p + 1, &field->text);
	}
	field->kind = BOOLEAN;
	if (!strncmp(p, "true", 4)) {
		field->number = 1;
		return p + 4;
	}
	if (!strncmp(p, "false", 5)) {
		field->number = 0;
		return p + 5;
	}
	return parse_number(p, field);
}

/* Integers and strings come without what follows them: a string ends where its quote was. */
static const char *parse_members(struct request *req, char *p)
{
	for (;;) {
		struct field *field = &req->fields[req->count];

		if (req->count == FIELDS_MAX)
			return "too many fields";
		p = skip(p);
		if (*p != '"' || !(p = parse_string(p + 1, &field->name)))
			return "a field's name is not a string";
		if (request_field(req, field->name))
			return "a field is given twice";
		p = skip(p);
		if (*p != ':')
			return "no colon after a field's name";
		p = parse_value(skip(p + 1), field);
		if (!p)
			return "a value is not a string, a 64-bit integer or a boolean";
		req->count++;
		p = skip(p);
		if (*p == '}')
			return *skip(p + 1) ? "something follows the object" : NULL;
		if (*p != ',')
			return "no comma between fields";
		p++;
	}
}

const char *request_parse(struct request *req, char *line)
{
	const struct field *id, *op, *actor;
	const char *error;
	char *p = skip(line);

	req->count = 0;
	strcpy(req->id, "null");
	if (*p != '{')
		return "not a JSON object";
	error = parse_members(req, p + 1);
	id = request_field(req, "id");
	op = request_field(req, "op");
	actor = request_field(req, "actor");
	if (id && id->kind == INTEGER)
		snprintf(req->id, sizeof(req->id), id->negative ? "%lld" : "%llu",
			 (unsigned long long)id->number);
	if (error)
		return error;
	if (!id || id->kind != INTEGER)
		return "no integer \"id\"";
	if (!op || op->kind != STRING)
		return "no string \"op\"";
	if (actor && (actor->kind != STRING || !name_ok(actor->text)))
		return "\"actor\" is not a name: 1 to 31 of A-Z a-z 0-9 _ . -";
	req->op = op->text;
	req->actor = actor ? actor->text : NULL;
	return NULL;
}

const struct field *request_field(const struct request *req, const char *name)
{
	for (int i = 0; i < req->count; i++)
		if (!strcmp(req->fields[i].name, name))
			return &req->fields[i];
	return NULL;
}

uint64_t arg_u64(const struct request *req, const char *name, uint64_t missing)
{
	const struct field *field = request_field(req, name);

	return field ? field->number : missing;
}

bool arg_bool(const struct request *req, const char *name, bool missing)
{
	return arg_u64(req, name, missing);
}

/* An integer where text is allowed too comes as its decimal digits. */
const char *arg_text(const struct request *req, const char *name, const char *missing)
{
	static char digits[4][24];
	static unsigned int turn;
	const struct field *field = request_field(req, name);

	if (!field)
		return missing;
	if (field->kind == STRING)
		return field->text;
	turn = (turn + 1) % 4;
	snprintf(digits[turn], sizeof(digits[turn]), field->negative ? "%lld" : "%llu",
		 (unsigned long long)field->number);
	return digits[turn];
}

bool arg_given(const struct request *req, const char *name)
{
	return request_field(req, name);
}

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
