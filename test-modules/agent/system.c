// SPDX-License-Identifier: GPL-2.0-or-later
/* What the worker, or any actor, can say and do about the machine. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define READ_MAX	8192
#define KMEMLEAK_MS	5500	/* MSECS_MIN_AGE of mm/kmemleak.c, and what a tick is late */
#define SLEEP_MAX_MS	600000
#define MARK_US		5000	/* long for a system call to begin, short for a scan of the memory */

static void sleep_ms(uint64_t ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* First line of a file, without its newline; "" if there is none. */
static void first_line(const char *path, char *to, size_t size)
{
	if (read_small(path, to, size) < 0)
		*to = '\0';
	to[strcspn(to, "\n")] = '\0';
}

static void add_modules(struct reply *reply)
{
	char text[16384], names[4096] = "", *line, *rest = text;

	if (read_small("/proc/modules", text, sizeof(text)) < 0)
		*text = '\0';
	while ((line = strsep(&rest, "\n"))) {
		line[strcspn(line, " ")] = '\0';
		if (!*line || strlen(names) + strlen(line) + 2 > sizeof(names))
			continue;
		if (*names)
			strcat(names, ",");
		strcat(names, line);
	}
	reply_text(reply, "modules", names);
}

static uint64_t memory_kb(void)
{
	char text[4096], *total;

	if (read_small("/proc/meminfo", text, sizeof(text)) < 0)
		return 0;
	total = strstr(text, "MemTotal:");
	return total ? strtoull(total + 9, NULL, 10) : 0;
}

void system_facts(struct reply *reply)
{
	struct utsname name;
	char text[4096];

	uname(&name);
	reply_text(reply, "release", name.release);
	reply_text(reply, "machine", name.machine);
	reply_u64(reply, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	reply_u64(reply, "page_size", getpagesize());
	reply_u64(reply, "memory_kb", memory_kb());
	first_line("/proc/cmdline", text, sizeof(text));
	reply_text(reply, "cmdline", text);
	add_modules(reply);
	first_line(STATE_FILE, text, sizeof(text));
	reply_text(reply, "init", *text ? text : "none");
	first_line("/proc/sys/kernel/tainted", text, sizeof(text));
	reply_u64(reply, "tainted", strtoull(text, NULL, 10));
	reply_u64(reply, "uid", getuid());
	reply_u64(reply, "leak_ms", access(KMEMLEAK, W_OK) ? 0 : KMEMLEAK_MS);
}

static int64_t op_facts(const struct request *req, struct reply *reply)
{
	(void)req;
	system_facts(reply);
	suite.facts(reply);
	return 0;
}

static int64_t op_read_file(const struct request *req, struct reply *reply)
{
	uint64_t limit = arg_u64(req, "limit", 4096);
	char data[READ_MAX + 1];
	size_t used = 0;
	ssize_t n = 1;
	int fd;

	if (!limit || limit > READ_MAX)
		return reply_fail(reply, EINVAL, "limit is 1 to 8192");
	fd = open(arg_text(req, "path", ""), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (arg_u64(req, "offset", 0) && lseek(fd, arg_u64(req, "offset", 0), SEEK_SET) < 0)
		n = -1;
	while (n > 0 && used <= limit) {
		n = read(fd, data + used, limit + 1 - used);
		if (n > 0)
			used += n;
	}
	n = n < 0 ? -errno : 0;
	close(fd);
	if (n)
		return n;
	reply_bytes(reply, "text", data, used < limit ? used : limit);
	reply_u64(reply, "bytes", used < limit ? used : limit);
	reply_bool(reply, "more", used > limit);
	return 0;
}

/* Names separated by "/", which no name has; as many as fit. */
static int64_t op_list_folder(const struct request *req, struct reply *reply)
{
	uint64_t offset = arg_u64(req, "offset", 0), seen = 0, taken = 0;
	char names[READ_MAX] = "";
	struct dirent **entries;
	size_t used = 0;
	bool more = false;
	int count = scandir(arg_text(req, "path", ""), &entries, NULL, alphasort);

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		size_t length = strlen(name);

		if (strcmp(name, ".") && strcmp(name, "..") && seen++ >= offset && !more) {
			more = used + length + 2 > sizeof(names);
			if (!more) {
				used += sprintf(names + used, "%s%s", used ? "/" : "", name);
				taken++;
			}
		}
		free(entries[i]);
	}
	free(entries);
	reply_text(reply, "names", names);
	reply_u64(reply, "count", taken);
	reply_bool(reply, "more", more);
	return 0;
}

static int64_t op_write_file(const struct request *req, struct reply *reply)
{
	const char *text = arg_text(req, "text", "");
	int fd = open(arg_text(req, "path", ""), O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	n = n < 0 ? -errno : n;
	close(fd);
	if (n < 0)
		return n;
	reply_u64(reply, "bytes", n);
	return 0;
}

static void wake(int number)
{
	(void)number;
}

static int64_t scan(int fd)
{
	ssize_t n = write(fd, "scan", 4);

	return n < 0 ? -errno : n;
}

/*
 * A scan that a signal ends before it has read the memory. It still notes the contents of all objects that it has not
 * found a reference to (mm/kmemleak.c, __kmemleak_scan()), and that is what the first scan of two is for. Should the
 * signal come before the scan, it is a whole one, which notes as much.
 */
static int64_t mark(int fd)
{
	const struct sigaction quiet = { .sa_handler = wake, .sa_flags = SA_RESTART };
	const struct itimerval soon = { .it_value.tv_usec = MARK_US }, never = { 0 };
	struct sigaction before;
	int64_t ret;

	if (sigaction(SIGALRM, &quiet, &before) || setitimer(ITIMER_REAL, &soon, NULL))
		return -errno;
	ret = scan(fd);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	return ret;
}

static int64_t op_scan_leaks(const struct request *req, struct reply *reply)
{
	int fd = open(KMEMLEAK, O_WRONLY | O_CLOEXEC);
	int64_t ret;

	(void)req;
	if (fd < 0)
		return -errno;
	ret = mark(fd);
	if (ret >= 0)
		ret = scan(fd);
	close(fd);
	if (ret < 0)
		return ret;
	reply_u64(reply, "bytes", ret);
	return 0;
}

/* Objects in use and their size, from sysfs, which also knows merged caches. -ENOENT: no such cache. */
static int slab_count(const char *cache, uint64_t *objects, uint64_t *size)
{
	char path[128], text[64];

	/* What CPUs keep for themselves counts as in use until it is given back. */
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", cache);
	write_small(path, "1");
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", cache);
	if (read_small(path, text, sizeof(text)) < 0)
		return -ENOENT;
	*objects = strtoull(text, NULL, 10);
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/object_size", cache);
	if (read_small(path, text, sizeof(text)) < 0)
		return -ENOENT;
	*size = strtoull(text, NULL, 10);
	return 0;
}

static int64_t op_slab(const struct request *req, struct reply *reply)
{
	uint64_t objects, size, active = 0, bytes = 0;
	char names[512], found[512] = "", *name, *rest = names;

	if (strlen(arg_text(req, "caches", "")) >= sizeof(names))
		return reply_fail(reply, EINVAL, "too many caches");
	strcpy(names, arg_text(req, "caches", ""));
	while ((name = strsep(&rest, ","))) {
		if (!name_ok(name))
			return reply_fail(reply, EINVAL, "not the name of a cache");
		if (slab_count(name, &objects, &size))
			continue;
		active += objects;
		bytes += objects * size;
		if (*found)
			strcat(found, ",");
		strcat(found, name);
	}
	if (!*found)
		return reply_fail(reply, ENOENT, "no such cache in /sys/kernel/slab");
	reply_u64(reply, "active", active);
	reply_u64(reply, "bytes", bytes);
	reply_text(reply, "caches", found);
	return 0;
}

static int64_t op_module_refs(const struct request *req, struct reply *reply)
{
	char path[128], text[32];
	ssize_t n;

	if (!name_ok(arg_text(req, "name", "")))
		return reply_fail(reply, EINVAL, "not the name of a module");
	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", arg_text(req, "name", ""));
	n = read_small(path, text, sizeof(text));
	if (n < 0)
		return n;
	reply_u64(reply, "refs", strtoull(text, NULL, 10));
	return 0;
}

static int64_t op_module_load(const struct request *req, struct reply *reply)
{
	int fd, ret = 0;

	if (!machine_is_ours())
		return reply_fail(reply, EPERM, "not in a guest of the harness");
	fd = open(arg_text(req, "path", ""), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, arg_text(req, "params", ""), 0))
		ret = -errno;
	close(fd);
	return ret;
}

static int64_t op_module_unload(const struct request *req, struct reply *reply)
{
	if (!machine_is_ours())
		return reply_fail(reply, EPERM, "not in a guest of the harness");
	return syscall(SYS_delete_module, arg_text(req, "name", ""), O_NONBLOCK) ? -errno : 0;
}

static int64_t op_sleep_ms(const struct request *req, struct reply *reply)
{
	uint64_t ms = arg_u64(req, "ms", 0);

	if (ms > SLEEP_MAX_MS)
		return reply_fail(reply, EINVAL, "ms is at most 600000");
	sleep_ms(ms);
	return 0;
}

/* An idle CPU keeps the mm of the last process that ran there: run on each once. */
static uint64_t visit_cpus(void)
{
	cpu_set_t before, one;
	uint64_t visited = 0;

	if (sched_getaffinity(0, sizeof(before), &before))
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			visited++;
	}
	sched_setaffinity(0, sizeof(before), &before);
	return visited;
}

void settle(unsigned int ms, uint64_t *cpus)
{
	visit_cpus();
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);	/* an RCU grace period */
	suite.settle();
	*cpus = visit_cpus();
	sleep_ms(ms);
}

static int64_t op_settle(const struct request *req, struct reply *reply)
{
	uint64_t cpus, ms = arg_u64(req, "ms", 20);

	if (ms > SLEEP_MAX_MS)
		return reply_fail(reply, EINVAL, "ms is at most 600000");
	settle(ms, &cpus);
	reply_u64(reply, "cpus", cpus);
	return 0;
}

const struct op system_ops[] = {
	{ "facts", ANY, false, op_facts, { } },
	{ "read_file", ANY, false, op_read_file, {
		{ "path", ARG_STRING, true }, { "offset", ARG_INTEGER, false }, { "limit", ARG_INTEGER, false } } },
	{ "list_folder", ANY, false, op_list_folder, {
		{ "path", ARG_STRING, true }, { "offset", ARG_INTEGER, false } } },
	{ "scan_leaks", ANY, false, op_scan_leaks, { } },
	{ "write_file", ANY, false, op_write_file, { { "path", ARG_STRING, true }, { "text", ARG_STRING, true } } },
	{ "slab", ANY, false, op_slab, { { "caches", ARG_STRING, true } } },
	{ "module_refs", ANY, false, op_module_refs, { { "name", ARG_STRING, true } } },
	{ "module_load", ANY, false, op_module_load, {
		{ "path", ARG_STRING, true }, { "params", ARG_STRING, false } } },
	{ "module_unload", ANY, false, op_module_unload, { { "name", ARG_STRING, true } } },
	{ "sleep_ms", ANY, false, op_sleep_ms, { { "ms", ARG_INTEGER, true } } },
	{ "settle", ANY, false, op_settle, { { "ms", ARG_INTEGER, false } } },
	{ .name = NULL },
};
