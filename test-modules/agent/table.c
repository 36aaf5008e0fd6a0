// SPDX-License-Identifier: GPL-2.0-or-later
/* The tables of operations, and the check of a request against them. */
#include <stdio.h>
#include <string.h>

#include "agent.h"

static const struct op *const own_tables[] = { supervisor_ops, system_ops, memory_ops, process_ops, program_ops, NULL };

const struct op *ops_each(unsigned int *state)
{
	const struct op *const *const groups[] = { own_tables, suite.ops };
	unsigned int left = (*state)++;

	for (int i = 0; i < 2; i++)
		for (const struct op *const *table = groups[i]; *table; table++)
			for (const struct op *op = *table; op->name; op++)
				if (!left--)
					return op;
	return NULL;
}

const struct op *ops_find(const char *name)
{
	unsigned int state = 0;
	const struct op *op;

	while ((op = ops_each(&state)) && strcmp(op->name, name))
		;
	return op;
}

static const struct arg *find_arg(const struct op *op, const char *name)
{
	for (int i = 0; i < ARGS_MAX && op->args[i].name; i++)
		if (!strcmp(op->args[i].name, name) || !strcmp(op->args[i].name, "*"))
			return &op->args[i];
	return NULL;
}

static bool type_ok(enum arg_type type, const struct field *field)
{
	switch (type) {
	case ARG_INTEGER:
		return field->kind == INTEGER;
	case ARG_STRING:
		return field->kind == STRING;
	case ARG_BOOLEAN:
		return field->kind == BOOLEAN;
	case ARG_TEXT:
		return field->kind != BOOLEAN;
	}
	return false;
}

static const char *complain(const char *what, const char *name)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s: %.64s", what, name);
	return text;
}

static const char *check_field(const struct op *op, const struct field *field, bool internal)
{
	const struct arg *arg = find_arg(op, field->name);

	if (!strcmp(field->name, "id") || !strcmp(field->name, "op") || !strcmp(field->name, "actor"))
		return NULL;
	if (!strcmp(field->name, "times") && op->where != SUPERVISOR && !op->once)
		return field->kind == INTEGER ? NULL : "\"times\" is not an integer";
	/* Names with a dot are between the supervisor and its actors. */
	if (!arg || (*field->name == '.' && !internal))
		return complain("the operation has no such argument", field->name);
	return type_ok(arg->type, field) ? NULL : complain("argument of the wrong type", field->name);
}

const char *ops_check(const struct op *op, const struct request *req, bool internal)
{
	const char *error;

	if (op->where == ACTOR && !req->actor)
		return "the operation needs an \"actor\"";
	if (op->where == SUPERVISOR && req->actor && !find_arg(op, "actor"))
		return "the operation has no \"actor\"";
	for (int i = 0; i < req->count; i++) {
		error = check_field(op, &req->fields[i], internal);
		if (error)
			return error;
	}
	for (int i = 0; i < ARGS_MAX && op->args[i].name; i++)
		if (op->args[i].required && !arg_given(req, op->args[i].name))
			return complain("a required argument is missing", op->args[i].name);
	return NULL;
}
