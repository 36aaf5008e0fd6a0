// SPDX-License-Identifier: GPL-2.0-or-later
/* Small things that several parts need: files, names, roles, the kernel command line. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

int write_all(int fd, const void *data, size_t length)
{
	const char *p = data;

	while (length) {
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		length -= n;
	}
	return 0;
}

ssize_t read_small(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, to + used, size - 1 - used);
		if (n > 0)
			used += n;
	} while (n > 0 && used < size - 1);
	n = n < 0 ? -errno : (ssize_t)used;
	close(fd);
	to[used] = '\0';
	return n;
}

int write_small(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int ret = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		ret = -errno;
	close(fd);
	return ret;
}

bool name_ok(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t length = strlen(name);

	return length && length < NAME_BYTES && strspn(name, allowed) == length;
}

char *cmdline_value(const char *name)
{
	char text[4096], *word, *rest = text;
	size_t length = strlen(name);

	if (read_small("/proc/cmdline", text, sizeof(text)) < 0)
		return NULL;
	while ((word = strsep(&rest, " \n"))) {
		if (!strcmp(word, name))
			return strdup("");
		if (!strncmp(word, name, length) && word[length] == '=')
			return strdup(word + length + 1);
	}
	return NULL;
}

/* Roles travel to the actors in the environment: name=device,name=device */
bool role_each(unsigned int *state, char *name, char *device, size_t size)
{
	const char *p = getenv(ROLES_ENV), *end, *equals;

	for (unsigned int i = 0; p && *p; i++, p = *end ? end + 1 : end) {
		end = strchrnul(p, ',');
		if (i < *state)
			continue;
		equals = memchr(p, '=', end - p);
		if (!equals || (size_t)(equals - p) >= size || (size_t)(end - equals) > size)
			return false;
		memcpy(name, p, equals - p);
		name[equals - p] = '\0';
		memcpy(device, equals + 1, end - equals - 1);
		device[end - equals - 1] = '\0';
		*state = i + 1;
		return true;
	}
	return false;
}

const char *role_device(const char *role)
{
	static char device[64];
	unsigned int state = 0;
	char name[64];

	while (role_each(&state, name, device, sizeof(device)))
		if (!strcmp(name, role))
			return device;
	return role;
}

bool machine_is_ours(void)
{
	return !access(STATE_FILE, F_OK);
}
