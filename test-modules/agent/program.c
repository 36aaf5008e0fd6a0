// SPDX-License-Identifier: GPL-2.0-or-later
/* Other programs of the guest: carried out by an actor, what they print in a file. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define WORDS_MAX	32	/* of a command line */

/* Cuts the arguments up in place, at spaces. false: too many. */
static bool split(char *args, char **words)
{
	int count = 1;
	char *word;

	while ((word = strsep(&args, " "))) {
		if (!*word)
			continue;
		if (count == WORDS_MAX - 1)
			return false;
		words[count++] = word;
	}
	words[count] = NULL;
	return true;
}

/* The child: says by its pipe which errno kept it from becoming the program. */
static void become(char **words, int out, int trouble)
{
	int null = open("/dev/null", O_RDONLY), error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* it ends with its actor */
	setsid();
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0)
		execv(words[0], words);
	error = errno;
	write_all(trouble, &error, sizeof(error));
	_exit(127);
}

/* Its pid, or -errno. */
static pid_t start_program(char **words, int out)
{
	int trouble[2], error = 0;
	pid_t pid;

	if (pipe2(trouble, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		become(words, out, trouble[1]);
	error = pid < 0 ? errno : 0;
	close(trouble[1]);
	if (!error && read(trouble[0], &error, sizeof(error)) == sizeof(error))
		waitpid(pid, NULL, 0);
	else if (pid > 0)
		error = 0;
	close(trouble[0]);
	return error ? -error : pid;
}

static int64_t op_run_program(const struct request *req, struct reply *reply)
{
	char *args = strdup(arg_text(req, "args", "")), *words[WORDS_MAX], name[32];
	int out, status = 0, error;
	pid_t pid;

	words[0] = (char *)arg_text(req, "path", "");
	if (!args)
		return -ENOMEM;
	if (!split(args, words)) {
		free(args);
		return reply_fail(reply, EINVAL, "too many words in args");
	}
	out = open(arg_text(req, "out", ""), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	error = errno;
	pid = out < 0 ? -error : start_program(words, out);
	free(args);
	if (out >= 0)
		close(out);
	if (pid < 0)
		return pid;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status)) {
		snprintf(name, sizeof(name), "SIG%s", sigabbrev_np(WTERMSIG(status)) ?: "?");
		reply_text(reply, "ended_by", name);
	} else {
		reply_u64(reply, "status", WEXITSTATUS(status));
	}
	return 0;
}

const struct op program_ops[] = {
	{ "run_program", ACTOR, true, op_run_program, {
		{ "path", ARG_STRING, true }, { "args", ARG_STRING, false }, { "out", ARG_STRING, true } } },
	{ .name = NULL },
};
