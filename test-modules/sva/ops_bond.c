// SPDX-License-Identifier: GPL-2.0-or-later
/* Bind, unbind and what is asked of a bond. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops_sva.h"

#define NTH_MAX		INT32_MAX
#define LIVE_USUAL	16	/* bonds of a device; more cost the kernel a larger allocation */

/* Own bind if the request has a PASID, with bind->fail_nth as it is. -ENOSYS: the module was built without it. */
int64_t sva_bind(int fd, const struct request *req, struct kph_sva_bind *bind)
{
	int64_t ret;

	bind->pasid = arg_u64(req, "pasid", 0);
	ret = sva_ioctl(fd, arg_given(req, "pasid") ? KPH_SVA_BIND_PASID : KPH_SVA_BIND, bind);
	return ret == -ENOTTY ? -ENOSYS : ret;
}

/* 0 or -errno. fail_nth may be NULL: no allocation fails. */
int64_t sva_unbind(int fd, uint32_t bond, uint32_t *fail_nth)
{
	struct kph_sva_bond arg = { .bond = bond, .fail_nth = fail_nth ? *fail_nth : 0 };
	int64_t ret = sva_ioctl(fd, KPH_SVA_UNBIND, &arg);

	if (fail_nth)
		*fail_nth = arg.fail_nth;
	return ret;
}

static int64_t op_open(const struct request *req, struct reply *reply)
{
	int64_t error = 0;

	return device_get(req, reply, &error) ? 0 : error;
}

static bool digits_only(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0';
}

static int64_t bind_as_asked(int fd, const struct request *req, struct reply *reply, struct kph_sva_bind *bind)
{
	uint64_t nth = arg_u64(req, "fail_nth", 0);
	int64_t ret;

	*bind = (struct kph_sva_bind){ .fail_nth = nth };
	if (!arg_given(req, "fail_nth"))
		return sva_bind(fd, req, bind);
	if (!nth || nth > NTH_MAX)
		return reply_fail(reply, EPROTO, "fail_nth is 1 to 2147483647");
	if (!failslab_ready())
		return reply_fail(reply, EOPNOTSUPP, "no failslab in debugfs");
	fail_pages_ready();
	ret = sva_bind(fd, req, bind);
	reply_bool(reply, "injected", !bind->fail_nth);
	return ret;
}

static int64_t op_bind(const struct request *req, struct reply *reply)
{
	const char *as = arg_text(req, "as", "");
	struct kph_sva_bind bind;
	struct device *device;
	struct bond *bond;
	int64_t ret = 0;

	if (arg_u64(req, "pasid", 0) > UINT32_MAX)
		return reply_fail(reply, EPROTO, "a PASID is 0 to 4294967295");
	if (*as && (!name_ok(as) || digits_only(as)))
		return reply_fail(reply, EPROTO, "\"as\" is not a name, or only digits");
	if (*as && bond_named(as))
		return reply_fail(reply, EEXIST, "the actor has a bond of this name");
	device = device_get(req, reply, &ret);
	if (!device)
		return ret;
	bond = bond_new(device);
	if (!bond)
		return -ENOMEM;
	ret = bind_as_asked(device->fd, req, reply, &bind);
	if (ret) {
		bond_forget(bond);
		return ret;
	}
	bond_number(bond);
	bond->kernel = bind.bond;
	bond->pasid = bind.pasid;
	strcpy(bond->as, as);
	reply_u64(reply, "bond", bond->number);
	reply_u64(reply, "pasid", bind.pasid);
	reply_u64(reply, "handle", bind.handle);
	return 0;
}

static int64_t op_unbind(const struct request *req, struct reply *reply)
{
	int64_t ret = 0;
	struct bond *bond = bond_get(req, reply, &ret);

	if (!bond)
		return ret;
	if (arg_bool(req, "abort", false)) {
		ret = sva_ioctl(bond->device->fd, KPH_SVA_DMA_ABORT, NULL);
		if (ret)
			return ret;
	}
	ret = sva_unbind(bond->device->fd, bond->kernel, NULL);
	/* Another process with the same file may have ended it. */
	if (!ret || ret == -ENOENT)
		bond_forget(bond);
	reply_u64(reply, "bond", bond->number);
	return ret;
}

static int64_t op_get_pasid(const struct request *req, struct reply *reply)
{
	struct kph_sva_bond arg = { 0 };
	int64_t ret = 0;
	struct bond *bond = bond_get(req, reply, &ret);

	if (!bond)
		return ret;
	arg.bond = bond->kernel;
	ret = sva_ioctl(bond->device->fd, KPH_SVA_GET_PASID, &arg);
	if (ret)
		return ret;
	reply_u64(reply, "bond", bond->number);
	reply_u64(reply, "pasid", arg.pasid);
	return 0;
}

static int64_t op_bonds(const struct request *req, struct reply *reply)
{
	unsigned int state = 0;
	char *text = NULL;
	struct bond *bond;
	size_t size, count = 0;
	FILE *out = open_memstream(&text, &size);

	(void)req;
	if (!out)
		return -ENOMEM;
	while ((bond = bond_each(&state)))
		fprintf(out, "%s%u=%s:%u", count++ ? "," : "", bond->number, bond->device->name, bond->pasid);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	reply_u64(reply, "count", count);
	reply_text(reply, "bonds", text);
	free(text);
	return 0;
}

/* Each thing that the IOMMU must have in its tables, a line each, in the words of x-query-iommu-tables. */
static int64_t list_live(const char *device, FILE *out, uint64_t *count)
{
	static struct kph_sva_live live[KPH_SVA_LIVE_MAX];
	struct kph_sva_lives arg = { .bonds = (uintptr_t)live, .count = LIVE_USUAL };
	int fd = device_open(device);
	int64_t ret;

	if (fd < 0)
		return fd == -ENODEV ? 0 : fd;
	ret = sva_ioctl(fd, KPH_SVA_LIVE, &arg);
	if (!ret && arg.count > LIVE_USUAL) {
		arg.count = KPH_SVA_LIVE_MAX;
		ret = sva_ioctl(fd, KPH_SVA_LIVE, &arg);
	}
	close(fd);
	if (ret)
		return ret;
	if (arg.count > KPH_SVA_LIVE_MAX)
		return -EOVERFLOW;
	for (uint32_t i = 0; i < arg.count; i++) {
		fprintf(out, "kind=entry device=%s pasid=%u", device, live[i].pasid);
		if (live[i].dead)
			fputs(" dead=true silent=true\n", out);
		else
			fprintf(out, " dead=false root=0x%llx\n", (unsigned long long)live[i].root);
	}
	*count += arg.count;
	return 0;
}

/* Two roles may be one device. */
static bool role_is_first(const char *role, const char *device)
{
	char other[64], its_device[64];
	unsigned int state = 0;

	while (role_each(&state, other, its_device, sizeof(its_device)) && strcmp(other, role))
		if (!strcmp(its_device, device))
			return false;
	return true;
}

static int64_t op_live_bonds(const struct request *req, struct reply *reply)
{
	char role[64], device[64], *text = NULL;
	unsigned int state = 0;
	uint64_t count = 0;
	int64_t ret = 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)req;
	if (!out)
		return -ENOMEM;
	while (!ret && role_each(&state, role, device, sizeof(device)))
		if (role_is_first(role, device))
			ret = list_live(device, out, &count);
	if (fclose(out) && !ret)
		ret = -ENOMEM;
	if (!ret) {
		reply_u64(reply, "count", count);
		reply_text(reply, "live", text);
	}
	free(text);
	return ret;
}

static int64_t op_release(const struct request *req, struct reply *reply)
{
	int64_t error = 0;
	struct device *device = device_get(req, reply, &error);

	if (!device)
		return error;
	reply_u64(reply, "bonds", device_close(device));
	return 0;
}

#define DEVICE { "device", ARG_STRING, true }
#define BIND { "as", ARG_STRING, false }, { "fail_nth", ARG_INTEGER, false }
#define WHICH { "bond", ARG_TEXT, false }, { "device", ARG_STRING, false }

const struct op bond_ops[] = {
	{ "open", ACTOR, false, op_open, { DEVICE } },
	{ "bind", ACTOR, false, op_bind, { DEVICE, BIND } },
	{ "bind_own", ACTOR, false, op_bind, { DEVICE, { "pasid", ARG_INTEGER, true }, BIND } },
	{ "unbind", ACTOR, false, op_unbind, { WHICH, { "abort", ARG_BOOLEAN, false } } },
	{ "get_pasid", ACTOR, false, op_get_pasid, { WHICH } },
	{ "bonds", ACTOR, false, op_bonds, { } },
	{ "live_bonds", SUPERVISOR, true, op_live_bonds, { } },
	{ "release", ACTOR, false, op_release, { DEVICE } },
	{ .name = NULL },
};
