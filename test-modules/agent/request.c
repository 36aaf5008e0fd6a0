// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests: flat JSON objects of strings, 64-bit integers, booleans. Nothing is trusted. */
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
