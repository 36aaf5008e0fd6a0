/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest side of the harness: one static program that is init, the service
 * behind the protocol, and the actors. It knows nothing of any suite; a suite
 * gives it a struct suite.
 */
#ifndef KPH_AGENT_H
#define KPH_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"	/* there if the kernel looks for leaks */
#define LINE_MAX_BYTES	65536	/* of one protocol line with its newline */
#define FIELDS_MAX	32	/* of one request */
#define ARGS_MAX	20	/* that one operation may declare */
#define NAME_BYTES	32	/* of an actor or buffer with its NUL */
#define STATE_DIR	"/run/kph"
#define STATE_FILE	STATE_DIR "/init"	/* written by init: "ok" or what failed */
#define ROLES_ENV	"KPH_ROLES"		/* name=device,... */
#define KEEP_ENV	"KPH_KEEP"		/* what a suite saved for exec */

/* --- request.c, reply.c: flat JSON objects --- */
enum kind { INTEGER, STRING, BOOLEAN };

struct field {
	const char *name;
	enum kind kind;
	bool negative;		/* INTEGER below 0: number holds its two's complement */
	uint64_t number;	/* INTEGER, BOOLEAN */
	const char *text;	/* STRING, UTF-8 */
};

struct request {
	struct field fields[FIELDS_MAX];
	int count;
	char id[24];		/* as in the reply; "null" if unknown */
	const char *op;
	const char *actor;	/* NULL: none */
};

/* Cuts line up in place. Returns NULL, or what is wrong with it; req->id is set as far as known. */
const char *request_parse(struct request *req, char *line);
const struct field *request_field(const struct request *req, const char *name);
uint64_t arg_u64(const struct request *req, const char *name, uint64_t missing);
bool arg_bool(const struct request *req, const char *name, bool missing);
const char *arg_text(const struct request *req, const char *name, const char *missing);
bool arg_given(const struct request *req, const char *name);

struct reply {
	char body[LINE_MAX_BYTES];	/* ,"name":value,... */
	size_t used;
	bool full;
	const char *error;		/* text for people, up to 128 bytes */
};

void reply_reset(struct reply *reply);
void reply_u64(struct reply *reply, const char *name, uint64_t value);
void reply_bool(struct reply *reply, const char *name, bool value);
void reply_text(struct reply *reply, const char *name, const char *text);
void reply_bytes(struct reply *reply, const char *name, const void *bytes, size_t length);
int64_t reply_fail(struct reply *reply, int error, const char *text);
/* One line with its newline into line[LINE_MAX_BYTES]; returns its length. */
size_t reply_line(const struct reply *reply, const char *id, int64_t ret, char *line);

/* --- operations --- */
enum where { SUPERVISOR, ANY, ACTOR };
enum arg_type { ARG_INTEGER, ARG_STRING, ARG_BOOLEAN, ARG_TEXT };

struct arg {
	const char *name;
	enum arg_type type;
	bool required;
};

struct op {
	const char *name;
	enum where where;
	bool once;		/* cannot be repeated by "times" */
	/* 0 or positive, else -errno. NULL: a command of the supervisor's. What it runs itself must not wait. */
	int64_t (*run)(const struct request *req, struct reply *reply);
	struct arg args[ARGS_MAX];
};

struct suite {
	const char *name;
	const struct op *const *ops;		/* its tables; NULL at the end */
	void (*facts)(struct reply *reply);	/* adds to the op of this name */
	void (*settle)(void);			/* lets the kernel finish what it defers */
	void (*close_files)(void);		/* those that the actor has open */
	char *(*save)(void);			/* keeps files over exec; malloc()ed text, NULL: no memory */
	void (*restore)(const char *saved);
};

extern const struct suite suite;		/* the suite's ops.c */
extern const struct op supervisor_ops[];	/* these end with a NULL name */
extern const struct op system_ops[];
extern const struct op memory_ops[];
extern const struct op process_ops[];
extern const struct op program_ops[];

/* Every table, one op after the other; *state starts at 0; NULL at the end. */
const struct op *ops_each(unsigned int *state);
const struct op *ops_find(const char *name);
/* Returns NULL, or what is wrong with the arguments; "times" is for everybody but once-only ops. */
const char *ops_check(const struct op *op, const struct request *req, bool internal);

/* --- pattern.c --- */
uint64_t pattern_word(uint64_t seed, uint64_t position);
struct pattern {
	bool constant;
	uint64_t value;		/* seed, or the constant word */
};

struct pattern arg_pattern(const struct request *req);
void pattern_store(const struct pattern *pattern, uint64_t position, void *to, size_t length);
/* Returns length, or the index of the first byte that differs. */
size_t pattern_compare(const struct pattern *pattern, uint64_t position, const void *at, size_t length);
uint64_t checksum(const void *at, size_t length);

/* --- memory.c --- */
struct buffer {
	char name[NAME_BYTES];
	uint8_t *start;
	size_t bytes;
};

struct buffer *buffer_find(const char *name);
/* Says where [offset, offset+length) of the request's buffer is. 0, or -errno with an error text. */
int64_t buffer_range(const struct request *req, struct reply *reply, uint8_t **start, size_t *offset, size_t *length);

/* --- the rest --- */
int init_main(void);
int serve_main(void);
int actor_main(int argc, char **argv);
void actor_loop(int in, int out) __attribute__((noreturn));
int net_start(char *error, size_t size);
void kernel_build_id(char *to, size_t size);	/* hexadecimal digits; "" if unknown */
void settle(unsigned int ms, uint64_t *cpus);
char *cmdline_value(const char *name);		/* malloc()ed; NULL if absent; "" without value */
ssize_t read_small(const char *path, char *to, size_t size);	/* NUL-terminated; -errno */
int write_small(const char *path, const char *text);		/* 0, -errno */
int write_all(int fd, const void *data, size_t length);		/* 0, -errno */
bool name_ok(const char *name);			/* fit for an actor, a buffer, a role */
const char *role_device(const char *role);	/* the role's device, or the word itself */
bool role_each(unsigned int *state, char *name, char *device, size_t size);
void system_facts(struct reply *reply);
bool machine_is_ours(void);			/* our init runs it: it may be switched off */

#endif
