// SPDX-License-Identifier: GPL-2.0-or-later
/* The one network that the harness attaches: QEMU's user network, the guest at its usual address. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"

#define INTERFACE	"eth0"
#define ADDRESS		"10.0.2.15"
#define NETMASK		"255.255.255.0"

static int set_address(int fd, const char *interface, unsigned long what, const char *address)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;

	strcpy(request.ifr_name, interface);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
	return ioctl(fd, what, &request);
}

static int set_up(int fd, const char *interface)
{
	struct ifreq request = { 0 };

	strcpy(request.ifr_name, interface);
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		return -1;
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

/* 0, or -1 with a text. */
int net_start(char *error, size_t size)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *step = "socket";

	if (fd < 0)
		goto out;
	step = "lo";
	if (set_up(fd, "lo"))
		goto out;
	step = INTERFACE " address";
	if (set_address(fd, INTERFACE, SIOCSIFADDR, ADDRESS) || set_address(fd, INTERFACE, SIOCSIFNETMASK, NETMASK))
		goto out;
	step = INTERFACE " up";
	if (set_up(fd, INTERFACE))
		goto out;
	close(fd);
	return 0;
out:
	snprintf(error, size, "%s: %s", step, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}
