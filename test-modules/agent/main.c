// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * agent             as process 1: init
 * agent serve       speak the protocol on standard input and output
 * agent ops         list the operations: name, where, once, arguments (name:type, ! required)
 * agent actor ...   (internal) be an actor
 * agent nothing     (internal) what a process becomes that execs for the sake of it
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

static int list_ops(void)
{
	static const char *const places[] = { "supervisor", "any", "actor" };
	static const char *const types[] = { "integer", "string", "boolean", "text" };
	unsigned int state = 0;
	const struct op *op;

	while ((op = ops_each(&state))) {
		printf("%s %s %s", op->name, places[op->where], op->once ? "once" : "times");
		for (int i = 0; i < ARGS_MAX && op->args[i].name; i++)
			if (*op->args[i].name != '.')
				printf(" %s:%s%s", op->args[i].name, types[op->args[i].type],
				       op->args[i].required ? "!" : "");
		printf("\n");
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (getpid() == 1)
		return init_main();
	if (argc == 2 && !strcmp(argv[1], "serve"))
		return serve_main();
	if (argc == 2 && !strcmp(argv[1], "ops"))
		return list_ops();
	if (argc == 2 && !strcmp(argv[1], "nothing"))
		return 0;
	if (argc > 2 && !strcmp(argv[1], "actor"))
		return actor_main(argc, argv);
	fprintf(stderr, "usage: agent serve | ops\n");
	return 2;
}
