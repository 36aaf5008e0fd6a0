// SPDX-License-Identifier: GPL-2.0-or-later
/* The device files that an actor has open, and the bonds that it knows. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ops_sva.h"

#define DEVICES_MAX	16

static struct device devices[DEVICES_MAX];
static struct bond **bonds;		/* grows; each stays where it is */
static unsigned int bonds_size;
static uint32_t last_number;

int64_t sva_ioctl(int fd, unsigned long command, void *arg)
{
	int ret = ioctl(fd, command, arg);

	return ret < 0 ? -errno : ret;
}

int device_open(const char *name)
{
	char path[128];
	int fd;

	if (strchr(name, '/') || strlen(name) >= KPH_SVA_NAME_MAX)
		return -ENODEV;
	snprintf(path, sizeof(path), "/dev/" KPH_SVA_DEV_PREFIX "%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
	return fd;
}

static struct device *find(const char *name)
{
	for (int i = 0; i < DEVICES_MAX; i++)
		if (!strcmp(devices[i].name, name))
			return &devices[i];
	return NULL;
}

struct device *device_get(const struct request *req, struct reply *reply, int64_t *error)
{
	const char *name = role_device(arg_text(req, "device", ""));
	struct device *device = *name ? find(name) : NULL;

	if (device)
		return device;
	device = find("");
	if (!device) {
		*error = reply_fail(reply, EMFILE, "the actor has too many devices open");
		return NULL;
	}
	memset(device, 0, sizeof(*device));
	device->fd = *name ? device_open(name) : -ENODEV;
	if (device->fd < 0) {
		*error = reply_fail(reply, -device->fd, "cannot open the device's file /dev/" KPH_SVA_DEV_PREFIX "*");
		return NULL;
	}
	strcpy(device->name, name);
	return device;
}

int device_borrow(const struct request *req, struct reply *reply, bool *temporary)
{
	const char *name = role_device(arg_text(req, "device", ""));
	struct device *device = *name ? find(name) : NULL;
	int fd;

	*temporary = !device;
	if (device)
		return device->fd;
	fd = *name ? device_open(name) : -ENODEV;
	if (fd < 0)
		reply_fail(reply, -fd, "cannot open the device's file /dev/" KPH_SVA_DEV_PREFIX "*");
	return fd;
}

size_t device_close(struct device *device)
{
	unsigned int state = 0;
	struct bond *bond;
	size_t count = 0;

	while ((bond = bond_each(&state)))
		if (bond->device == device) {
			bond_forget(bond);
			count++;
		}
	global_forget(device);
	close(device->fd);
	device->name[0] = '\0';
	return count;
}

void devices_close(void)
{
	for (int i = 0; i < DEVICES_MAX; i++)
		if (devices[i].name[0])
			device_close(&devices[i]);
}

struct bond *bond_each(unsigned int *state)
{
	while (*state < bonds_size) {
		struct bond *bond = bonds[(*state)++];

		if (bond->device)
			return bond;
	}
	return NULL;
}

struct bond *bond_new(struct device *device)
{
	struct bond *bond = NULL, **larger;

	for (unsigned int i = 0; i < bonds_size && !bond; i++)
		if (!bonds[i]->device)
			bond = bonds[i];
	if (!bond) {
		larger = realloc(bonds, (bonds_size + 1) * sizeof(*bonds));
		if (!larger)
			return NULL;
		bonds = larger;
		bond = malloc(sizeof(*bond));
		if (!bond)
			return NULL;
		bonds[bonds_size++] = bond;
	}
	memset(bond, 0, sizeof(*bond));
	bond->device = device;
	return bond;
}

void bond_number(struct bond *bond)
{
	bond->number = ++last_number;
}

void bond_forget(struct bond *bond)
{
	bond->device = NULL;
}

struct bond *bond_named(const char *name)
{
	unsigned int state = 0;
	struct bond *bond;
	char number[16];

	while ((bond = bond_each(&state))) {
		snprintf(number, sizeof(number), "%u", bond->number);
		if (!strcmp(name, bond->as) || !strcmp(name, number))
			break;
	}
	return bond;
}

struct bond *bond_newest(const struct device *device)
{
	struct bond *bond, *newest = NULL;
	unsigned int state = 0;

	while ((bond = bond_each(&state)))
		if (bond->device == device && (!newest || bond->number > newest->number))
			newest = bond;
	return newest;
}

struct bond *bond_get(const struct request *req, struct reply *reply, int64_t *error)
{
	const char *name = arg_text(req, "bond", NULL);
	struct device *device;
	struct bond *bond;

	if (!name && !arg_given(req, "device")) {
		*error = reply_fail(reply, EINVAL, "give bond or device");
		return NULL;
	}
	device = name ? NULL : find(role_device(arg_text(req, "device", "")));
	bond = name ? bond_named(name) : device ? bond_newest(device) : NULL;
	if (!bond)
		*error = reply_fail(reply, ENOENT, "the actor has no such bond");
	return bond;
}

/* One line per file and per bond: exec closes neither, and the new image reads them back. */
char *devices_save(void)
{
	unsigned int state = 0;
	struct bond *bond;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (int i = 0; i < DEVICES_MAX; i++) {
		if (!devices[i].name[0])
			continue;
		fcntl(devices[i].fd, F_SETFD, 0);
		fprintf(out, "file %d %s\n", devices[i].fd, devices[i].name);
	}
	while ((bond = bond_each(&state)))
		fprintf(out, "bond %d %u %u %u %s\n", bond->device->fd, bond->number, bond->kernel, bond->pasid,
			*bond->as ? bond->as : "-");
	fprintf(out, "last %u\n", last_number);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static void restore_bond(int fd, uint32_t number, uint32_t kernel, uint32_t pasid, const char *as)
{
	struct bond *bond = NULL;

	for (int i = 0; i < DEVICES_MAX; i++)
		if (devices[i].name[0] && devices[i].fd == fd)
			bond = bond_new(&devices[i]);
	if (!bond)
		return;
	bond->number = number;
	bond->kernel = kernel;
	bond->pasid = pasid;
	if (strcmp(as, "-"))
		strcpy(bond->as, as);
}

void devices_restore(const char *saved)
{
	uint32_t number, kernel, pasid;
	char name[64], as[NAME_BYTES];
	int fd;

	for (; *saved; saved = strchrnul(saved, '\n'), saved += *saved == '\n') {
		if (sscanf(saved, "file %d %63s", &fd, name) == 2) {
			struct device *device = find("");

			if (!device)
				continue;
			fcntl(fd, F_SETFD, FD_CLOEXEC);
			strcpy(device->name, name);
			device->fd = fd;
		} else if (sscanf(saved, "bond %d %u %u %u %31s", &fd, &number, &kernel, &pasid, as) == 5) {
			restore_bond(fd, number, kernel, pasid, as);
		} else {
			sscanf(saved, "last %u", &last_number);
		}
	}
}
