// SPDX-License-Identifier: GPL-2.0-or-later
/* The sva suite's part of the agent: what the suite offers, facts of its devices, settling. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ops_sva.h"

/* Name of the kmalloc() cache of this object size. */
static void cache_name(uint32_t bytes, char *name, size_t size)
{
	if (bytes >= 1024)
		snprintf(name, size, "kmalloc-%uk", bytes / 1024);
	else
		snprintf(name, size, "kmalloc-%u", bytes);
}

static void add_flag(struct reply *reply, const char *role, const char *fact, bool value)
{
	char key[128];

	snprintf(key, sizeof(key), "%s.%s", role, fact);
	reply_bool(reply, key, value);
}

static void add_number(struct reply *reply, const char *role, const char *fact, uint64_t value)
{
	char key[128];

	snprintf(key, sizeof(key), "%s.%s", role, fact);
	reply_u64(reply, key, value);
}

static void add_text(struct reply *reply, const char *role, const char *fact, const char *value)
{
	char key[128];

	snprintf(key, sizeof(key), "%s.%s", role, fact);
	reply_text(reply, key, value);
}

/* 0 if the device is there. */
static int get_facts(const char *device, struct kph_sva_facts *facts)
{
	int fd = device_open(device), ret;

	if (fd < 0)
		return fd;
	ret = sva_ioctl(fd, KPH_SVA_FACTS, facts);
	close(fd);
	if (!ret && facts->abi != KPH_SVA_ABI)
		ret = -EPROTO;
	return ret;
}

static void add_device(struct reply *reply, const char *role, const char *device)
{
	static const char *const buses[] = { "unknown", "pci", "platform", "bare" };
	struct kph_sva_facts facts;
	bool present = !get_facts(device, &facts);

	add_flag(reply, role, "present", present);
	if (!present)
		return;
	add_text(reply, role, "device", facts.device);
	add_text(reply, role, "bus", buses[facts.bus <= KPH_SVA_BUS_BARE ? facts.bus : 0]);
	add_flag(reply, role, "group", facts.has & KPH_SVA_HAS_GROUP);
	add_flag(reply, role, "iommu", facts.has & KPH_SVA_HAS_IOMMU);
	add_number(reply, role, "max_pasids", facts.max_pasids);
	add_number(reply, role, "pasid_width", facts.pasid_width);
	add_flag(reply, role, "pasid", facts.has & KPH_SVA_HAS_PASID);
	add_flag(reply, role, "ats", facts.has & KPH_SVA_HAS_ATS);
	add_flag(reply, role, "pri", facts.has & KPH_SVA_HAS_PRI);
	add_flag(reply, role, "stall", facts.has & KPH_SVA_HAS_STALL);
	add_flag(reply, role, "recovers", facts.has & (KPH_SVA_HAS_PRI | KPH_SVA_HAS_STALL));
}

/* The bare device is there whenever the module is. */
static void add_module(struct reply *reply)
{
	struct kph_sva_facts facts;
	char name[32];
	bool loaded = !get_facts("bare", &facts);

	reply_bool(reply, "sva.module", loaded);
	if (!loaded)
		return;
	reply_bool(reply, "sva.own_bind", facts.has & KPH_SVA_HAS_OWN_BIND);
	reply_bool(reply, "sva.iommu_sva", facts.has & KPH_SVA_HAS_IOMMU_SVA);
	if (!facts.bond_bytes)
		return;
	cache_name(facts.bond_bytes, name, sizeof(name));
	reply_text(reply, "sva.bond_cache", name);
	cache_name(facts.mm_data_bytes, name, sizeof(name));
	reply_text(reply, "sva.mm_data_cache", name);
}

static void add_unnamed(struct reply *reply)
{
	DIR *dev = opendir("/dev");
	struct dirent *entry;
	const size_t prefix = strlen(KPH_SVA_DEV_PREFIX);

	while (dev && (entry = readdir(dev)))
		if (!strncmp(entry->d_name, KPH_SVA_DEV_PREFIX, prefix))
			add_device(reply, entry->d_name + prefix, entry->d_name + prefix);
	if (dev)
		closedir(dev);
}

static void facts(struct reply *reply)
{
	char role[64], device[64];
	unsigned int state = 0;

	add_module(reply);
	reply_bool(reply, "sva.fail_nth", failslab_ready());
	reply_bool(reply, "sva.fail_pages", fail_pages_ready());
	while (role_each(&state, role, device, sizeof(device)))
		add_device(reply, role, device);
	if (!state)
		add_unnamed(reply);
}

void bare_ioctl(unsigned long command)
{
	int fd = device_open("bare");

	if (fd < 0)
		return;
	sva_ioctl(fd, command, NULL);
	close(fd);
}

/* Notifiers, and with them the last references to a dead mm, are freed after an SRCU grace period. */
static void settle_notifiers(void)
{
	bare_ioctl(KPH_SVA_SETTLE);
}

static const struct op *const tables[] = {
	bond_ops, global_ops, dma_ops, load_ops, sweep_ops, race_ops, storm_ops, NULL
};

const struct suite suite = {
	.name = "sva",
	.ops = tables,
	.facts = facts,
	.settle = settle_notifiers,
	.close_files = devices_close,
	.save = devices_save,
	.restore = devices_restore,
};
