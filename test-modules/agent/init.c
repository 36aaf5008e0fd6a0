// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Process 1: mount, load modules, start the service, reap. What fails is told
 * on the console and in STATE_FILE, and the service starts all the same, so
 * that the harness learns of it.
 *
 * Kernel command line:
 *   kph.port=ttyS1          serve this terminal (default, without kph.ssh)
 *   kph.ssh                 set up eth0 and start dropbear
 *   kph.modules=A.ko,B.ko   load these, in order; without it /modules/ *.ko by name
 *   kph.roles=dma0=NAME,... roles, as in the operation "roles"
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"

#define RESPAWN_US	500000

static char state[512];		/* failures, separated by "; " */

static void failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void failed(const char *format, ...)
{
	size_t used = strlen(state);
	va_list args;

	if (used && used < sizeof(state) - 3)
		used += sprintf(state + used, "; ");
	va_start(args, format);
	vsnprintf(state + used, sizeof(state) - used, format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "kph-agent: %s\n", state + used);
}

static void mount_all(void)
{
	static const struct {
		const char *type, *where;
		bool needed;
	} all[] = {
		{ "proc", "/proc", true }, { "sysfs", "/sys", true }, { "devtmpfs", "/dev", true },
		{ "tmpfs", "/tmp", true }, { "tmpfs", "/run", true },
		{ "devpts", "/dev/pts", false }, { "debugfs", "/sys/kernel/debug", false },
		{ "tracefs", "/sys/kernel/tracing", false },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		mkdir(all[i].where, 0755);
		if (mount(all[i].type, all[i].where, all[i].type, 0, NULL) && all[i].needed && errno != EBUSY)
			failed("mount %s: %s", all[i].where, strerror(errno));
	}
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		failed("module %s: %s", path, strerrorname_np(errno));
	if (fd >= 0)
		close(fd);
}

static int is_module(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 3 && !strcmp(entry->d_name + length - 3, ".ko");
}

static void load_modules(void)
{
	char *list = cmdline_value("kph.modules"), *rest = list, *name;
	struct dirent **entries;
	char path[512];
	int count;

	if (list) {
		while ((name = strsep(&rest, ",")))
			if (*name)
				load_module(name);
		free(list);
		return;
	}
	count = scandir("/modules", &entries, is_module, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "/modules/%s", entries[i]->d_name);
		load_module(path);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static void write_state(void)
{
	int fd;

	mkdir(STATE_DIR, 0755);
	fd = open(STATE_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write_all(fd, *state ? state : "ok", strlen(*state ? state : "ok")))
		failed("%s: %s", STATE_FILE, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The terminal as a plain pipe: eight bits, no echo, no signals, no translation. */
static int open_port(const char *name)
{
	struct termios raw;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!tcgetattr(fd, &raw)) {
		cfmakeraw(&raw);
		cfsetspeed(&raw, B115200);
		raw.c_cflag |= CLOCAL | CREAD;
		raw.c_cflag &= ~CRTSCTS;
		tcsetattr(fd, TCSANOW, &raw);
	}
	return fd;
}

static void become_service(const char *port)
{
	int fd = open_port(port);

	if (fd < 0) {
		dprintf(STDERR_FILENO, "kph-agent: /dev/%s: %s\n", port, strerror(errno));
		_exit(1);
	}
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	execl("/proc/self/exe", "agent", "serve", NULL);
	_exit(127);
}

static void become_dropbear(void)
{
	static const char *const paths[] = { "/usr/sbin/dropbear", "/sbin/dropbear", "/bin/dropbear" };

	/* In the foreground, log to stderr, keys only. */
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		execl(paths[i], "dropbear", "-F", "-E", "-s", "-j", "-k", "-p", "22",
		      "-r", "/etc/dropbear/dropbear_ed25519_host_key", NULL);
	dprintf(STDERR_FILENO, "kph-agent: no dropbear: %s\n", strerror(errno));
	_exit(127);
}

static pid_t start(const char *port)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	if (port)
		become_service(port);
	become_dropbear();
	return -1;
}

/* Never returns. A service that ends starts again, and says hello again. */
static void keep_running(const char *port, bool ssh)
{
	pid_t port_pid = port ? start(port) : -1, ssh_pid = ssh ? start(NULL) : -1, pid;

	for (;;) {
		pid = waitpid(-1, NULL, 0);
		if (pid < 0 && errno == ECHILD)
			pause();
		if (pid > 0 && (pid == port_pid || pid == ssh_pid)) {
			usleep(RESPAWN_US);
			if (pid == port_pid)
				port_pid = start(port);
			else
				ssh_pid = start(NULL);
		}
	}
}

int init_main(void)
{
	char *port, *ssh, error[128];

	mount_all();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	load_modules();
	port = cmdline_value("kph.port");
	ssh = cmdline_value("kph.ssh");
	if (!port && !ssh)
		port = strdup("ttyS1");
	if (ssh && net_start(error, sizeof(error)))
		failed("network: %s", error);
	write_state();
	dprintf(STDERR_FILENO, "kph-agent: %s\n", *state ? state : "ok");
	keep_running(port, ssh);
	return 0;
}
