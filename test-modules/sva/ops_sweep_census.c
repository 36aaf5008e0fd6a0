// SPDX-License-Identifier: GPL-2.0-or-later
/* What a sweep leaks: objects in the kernel's slab caches, pages of the IOMMU. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ops_sweep.h"

#define SETTLE_MS	2
#define QUIET		3	/* looks without a lower number */
#define LOOK_MS		20	/* between looks at what may yet come back */
#define SHEAVES_MS	100	/* what sheaves keep is given back when they are shrunk */
#define DRAIN_MS	7000	/* and without them it waits for five seconds: KFREE_DRAIN_JIFFIES, mm/slab_common.c */

static const char *const caches[] = {
	"kmalloc-8", "kmalloc-16", "kmalloc-32", "kmalloc-64", "kmalloc-96", "kmalloc-128", "kmalloc-192", "kmalloc-256",
	"kmalloc-512", "kmalloc-1k", "kmalloc-2k", "kmalloc-4k", "kmalloc-8k", "radix_tree_node", "mm_struct",
};
#define CACHES	(sizeof(caches) / sizeof(*caches))
#define PAGES	"nr_iommu_pages "	/* page tables and tables of PASIDs */

_Static_assert(CACHES < CENSUS_MAX, "one place more, for the pages");

/* Open all the time: each open of a file in sysfs makes an object of its own, freed late. -1: no such cache. */
static int shrink_fds[CACHES], count_fds[CACHES], pages_fd;

static void open_all(void)
{
	static bool opened;
	char path[128];

	for (size_t i = 0; !opened && i < CACHES; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", caches[i]);
		shrink_fds[i] = open(path, O_WRONLY | O_CLOEXEC);
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", caches[i]);
		count_fds[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (!opened)
		pages_fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	opened = true;
}

static uint64_t number_in(int fd, const char *after)
{
	static char text[32768];
	ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);
	char *at;

	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, after);
	return at ? strtoull(at + strlen(after), NULL, 10) : 0;
}

/* Older kernels have no sheaves, nor has a cache with slab_debug: what kfree_rcu() was given then waits. */
static bool has_sheaves(void)
{
	static int fd = -2;

	if (fd == -2)
		fd = open("/sys/kernel/slab/kmalloc-64/sheaf_capacity", O_RDONLY | O_CLOEXEC);
	return number_in(fd, "") > 0;
}

int64_t census_late_ms(void)
{
	return has_sheaves() ? SHEAVES_MS : DRAIN_MS;
}

/* What CPUs keep for themselves counts as in use until it is given back. */
static void shrink(size_t cache)
{
	if (shrink_fds[cache] >= 0 && pwrite(shrink_fds[cache], "1", 1, 0) != 1)
		shrink_fds[cache] = -1;
}

/* Comes before the first take(): gives back what waits for a grace period. */
static void give_back(void)
{
	open_all();
	for (size_t i = 0; i < CACHES; i++)
		shrink(i);
}

/* Shrinks once more, since the first allocation after it takes many in stock, and so gives back for the next one. */
static void take(struct census *census)
{
	uint64_t cpus;

	if (!has_sheaves())
		bare_ioctl(KPH_SVA_FREE_LATE);
	settle(SETTLE_MS, &cpus);
	for (size_t i = 0; i < CACHES; i++) {
		shrink(i);
		census->count[i] = number_in(count_fds[i], "");
	}
	census->count[CACHES] = number_in(pages_fd, PAGES);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The least of each: what is only freed late must not hide a leak. */
void census_take(struct census *census)
{
	struct census now;
	int quiet = 0;

	give_back();
	take(census);
	for (int64_t end = now_ms() + SOON_MS; quiet < QUIET && now_ms() < end; quiet++) {
		take(&now);
		for (size_t i = 0; i <= CACHES; i++) {
			if (now.count[i] >= census->count[i])
				continue;
			census->count[i] = now.count[i];
			quiet = -1;
		}
	}
}

const char *census_grown(const struct census *before, uint64_t least, int64_t wait_ms)
{
	int64_t end = now_ms() + wait_ms;
	uint64_t by, more;
	const char *name;
	struct census now;

	give_back();
	for (;;) {
		take(&now);
		name = NULL;
		by = 0;
		for (size_t i = 0; i <= CACHES; i++) {
			more = now.count[i] > before->count[i] ? now.count[i] - before->count[i] : 0;
			if (more < least || more <= by)
				continue;
			by = more;
			name = i < CACHES ? caches[i] : "nr_iommu_pages";
		}
		if (!name || now_ms() >= end)
			return name;
		usleep(LOOK_MS * 1000);
	}
}
