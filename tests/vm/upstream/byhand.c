// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Process 1 of a guest without the harness: carries out the programs of
 * /programs that the kernel command line names (byhand=iommufd,...), with the
 * console as their output, and switches the machine off.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void carry_out(const char *name)
{
	char path[256];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/programs/%s", name);
	printf("byhand: %s begins\n", name);
	pid = fork();
	if (!pid) {
		execl(path, path, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	printf("byhand: %s ended %#x\n", name, status);
}

int main(void)
{
	static const char *const mounts[][2] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" }, { "debugfs", "/sys/kernel/debug" },
	};
	char line[4096] = "", *names;
	int fd;

	for (int i = 0; i < 4; i++) {
		mkdir(mounts[i][1], 0755);
		mount(mounts[i][0], mounts[i][1], mounts[i][0], 0, NULL);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY);
	if (fd >= 0 && write(fd, "80", 2) != 2)
		printf("byhand: no huge pages\n");
	close(fd);
	fd = open("/proc/cmdline", O_RDONLY);
	if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
		printf("byhand: no command line\n");
	names = strstr(line, "byhand=");
	if (names) {
		names[strcspn(names, " \n")] = '\0';
		for (char *name = strtok(names + strlen("byhand="), ","); name; name = strtok(NULL, ","))
			carry_out(name);
	}
	printf("byhand: done\n");
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
