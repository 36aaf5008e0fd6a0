// SPDX-License-Identifier: GPL-2.0-or-later
/* One call of a sweep in a process of its own: what comes before it, the call, and that the next one works. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops_sweep.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"	/* n: the nth fallible call fails; then reads 0 */

/* Keeps the first one. Returns whether all is well. */
static bool well(struct round *round, int64_t ret, const char *what)
{
	if (ret < 0 && !round->trouble) {
		round->trouble = ret;
		round->what = what;
	}
	return ret >= 0;
}

static int64_t bind_once(const struct sweep *sweep, int fd, uint32_t *left, struct kph_sva_bind *bind)
{
	int64_t ret;

	*bind = (struct kph_sva_bind){ .pasid = sweep->pasid, .fail_nth = *left };
	ret = sva_ioctl(fd, sweep->own ? KPH_SVA_BIND_PASID : KPH_SVA_BIND, bind);
	*left = bind->fail_nth;
	if (!ret && sweep->own && bind->pasid != sweep->pasid)
		return -EBADE;
	return ret;
}

static bool hold(const struct sweep *sweep, int fd, struct round *round, const char *what)
{
	struct kph_sva_bind bind;
	uint32_t none = 0;

	if (!well(round, bind_once(sweep, fd, &none, &bind), what))
		return false;
	round->bonds[round->count++] = bind.bond;
	return true;
}

static void let_go(int fd, struct round *round, const char *what)
{
	while (round->count)
		well(round, sva_unbind(fd, round->bonds[--round->count], NULL), what);
}

/* Everything that the process is to have before the call. Returns its file; *beside is that of the other device. */
static int prepare(const struct sweep *sweep, struct round *round, int *beside)
{
	int fd = sweep->shared < 0 ? device_open(sweep->device) : sweep->shared;

	if (!well(round, fd, "open"))
		return -1;
	if (*sweep->beside) {
		*beside = device_open(sweep->beside);
		if (!well(round, *beside, "open beside") || !hold(sweep, *beside, round, "bind beside"))
			return -1;
		round->count = 0;	/* ends with its file */
	}
	if (sweep->rebound) {
		if (!hold(sweep, fd, round, "first bind"))
			return -1;
		let_go(fd, round, "first unbind");
	}
	while (round->count < sweep->held)
		if (!hold(sweep, fd, round, "bind"))
			return -1;
	return round->trouble ? -1 : fd;
}

static void call_bind(const struct sweep *sweep, int fd, struct round *round)
{
	struct kph_sva_bind bind, again;
	uint32_t none = 0;
	int64_t ret;

	round->ret = bind_once(sweep, fd, &round->left, &bind);
	round->made = true;
	if (!round->ret)
		round->bonds[round->count++] = bind.bond;
	ret = bind_once(sweep, fd, &none, &again);
	if (!ret)
		round->bonds[round->count++] = again.bond;
	if (sweep->refused)
		well(round, ret ? 0 : -EUCLEAN, "the next bind, which must be refused");
	else
		well(round, ret, "the next bind");
	if (!ret && !round->ret && again.handle != bind.handle)
		well(round, -EUCLEAN, "the next bind, which must give the same handle");
	let_go(fd, round, "an unbind afterwards");
}

static void call_unbind(const struct sweep *sweep, int fd, struct round *round)
{
	if (!round->count)
		return;
	round->ret = sva_unbind(fd, round->bonds[--round->count], &round->left);
	round->made = true;
	if (sweep->shared < 0)
		hold(sweep, fd, round, "the next bind");
	let_go(fd, round, "the next unbind");
}

/* From here on the thread's own nth allocation fails, whatever it is for. Returns the file that says what is left. */
static int arm(struct round *round, uint32_t nth)
{
	char text[16];
	int file = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	int length = snprintf(text, sizeof(text), "%u", nth);

	if (file < 0 || pwrite(file, text, length, 0) != length) {
		well(round, -errno, "fail-nth");
		_exit(0);
	}
	return file;
}

static void call_exec(const struct sweep *sweep, int fd, uint32_t nth, struct round *round)
{
	char *args[] = { "agent", "ops", NULL };
	char text[16] = "";
	int file;

	/* The parent then stops us in the new image, before it runs. */
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP)) {
		well(round, -errno, "ptrace");
		return;
	}
	round->made = true;
	file = arm(round, nth);
	execv("/proc/self/exe", args);
	round->ret = -errno;
	if (pread(file, text, sizeof(text) - 1, 0) > 0)
		round->left = strtoul(text, NULL, 10);
	if (pwrite(file, "0", 1, 0) != 1)
		well(round, -errno, "fail-nth");
	hold(sweep, fd, round, "a bind after exec failed");
	let_go(fd, round, "an unbind after exec failed");
}

static void __attribute__((noreturn)) child(const struct sweep *sweep, uint32_t nth, struct round *round)
{
	int beside = -1, fd = prepare(sweep, round, &beside);

	round->left = nth;
	if (fd < 0)
		_exit(0);
	if (sweep->call == CALL_BIND)
		call_bind(sweep, fd, round);
	else if (sweep->call == CALL_EXEC)
		call_exec(sweep, fd, nth, round);
	else if (sweep->call == CALL_UNBIND && sweep->shared < 0)
		call_unbind(sweep, fd, round);
	else if (sweep->call == CALL_EXIT) {
		round->made = true;
		arm(round, nth);
		_exit(0);
	}
	/* An mm that is released with a bond waits for an SRCU grace period, ten times as long as all else. */
	close(beside);
	_exit(0);
}

static uint32_t left_of(pid_t pid)
{
	char path[64], text[16] = "0";

	snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
	read_small(path, text, sizeof(text));
	return strtoul(text, NULL, 10);
}

static void disarm(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
	write_small(path, "0");
}

/* Until the process has ended, or is in the image that it executed, which it is not to run. */
static void follow(pid_t pid, struct round *round)
{
	int status, signal;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		signal = WSTOPSIG(status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			round->left = left_of(pid);
			disarm(pid);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return;
		}
		if (signal == SIGSTOP) {
			ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
			signal = 0;
		}
		ptrace(PTRACE_CONT, pid, NULL, signal);
	}
	if (WIFSIGNALED(status)) {
		round->signal = WTERMSIG(status);
		round->left = 0;	/* nothing else kills it */
	}
}

static void reap(const struct sweep *sweep, pid_t pid, struct round *round)
{
	siginfo_t info = { 0 };

	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	if (sweep->call == CALL_EXIT)
		round->left = left_of(pid);
	waitid(P_PID, pid, &info, WEXITED);
	if (info.si_code != CLD_EXITED)
		round->signal = info.si_status;
}

void sweep_round(const struct sweep *sweep, uint32_t nth, struct round *round)
{
	pid_t pid;

	memset(round, 0, sizeof(*round));
	pid = fork();
	if (pid == 0)
		child(sweep, nth, round);
	if (!well(round, pid < 0 ? -errno : 0, "fork"))
		return;
	if (sweep->call == CALL_EXEC)
		follow(pid, round);
	else
		reap(sweep, pid, round);
	if (sweep->shared < 0)
		return;
	/* The process is dead, its bonds are not. */
	if (sweep->call == CALL_UNBIND)
		call_unbind(sweep, sweep->shared, round);
	let_go(sweep->shared, round, "an unbind after the end of the process");
}
