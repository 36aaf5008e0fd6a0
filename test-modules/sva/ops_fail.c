// SPDX-License-Identifier: GPL-2.0-or-later
/* Which allocations of the kernel can be made to fail. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops_sva.h"

#define FAILSLAB	"/sys/kernel/debug/failslab/"
#define FAIL_PAGES	"/sys/kernel/debug/fail_page_alloc/"
#define SLAB_FREE	"kmem_cache_free"
#define CACHES		"/sys/kernel/slab/"
#define OF_KMEMLEAK	"kmemleak_"	/* how the names of its caches begin, mm/kmemleak.c */

/* From the first byte of a function of the kernel to the next function; start 0: there is none of this name. */
static void find_function(const char *name, uint64_t *start, uint64_t *end)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	char line[512], found[256];
	uint64_t address;

	*start = *end = 0;
	while (symbols && *end <= *start && fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%" SCNx64 " %*c %255s", &address, found) != 2)
			continue;
		if (*start)
			*end = address;
		else if (!strcmp(found, name))
			*start = *end = address;
	}
	if (symbols)
		fclose(symbols);
	if (*end <= *start)
		*start = *end = 0;
}

static void write_address(const char *path, uint64_t address)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	write_small(path, text);
}

/*
 * With KASAN, each free of an object of a cache with SLAB_TYPESAFE_BY_RCU allocates (CONFIG_SLUB_RCU_DEBUG, mm/slub.c), some
 * twenty in the exit of a process. These do not fail, where the kernel can tell them by their stack
 * (CONFIG_FAULT_INJECTION_STACKTRACE_FILTER): nobody is told that they did.
 */
static void spare_frees(void)
{
	uint64_t start, end;
	char text[32];

	if (read_small(FAILSLAB "reject-start", text, sizeof(text)) <= 0 || strtoull(text, NULL, 0))
		return;
	find_function(SLAB_FREE, &start, &end);
	write_address(FAILSLAB "reject-end", end);
	write_address(FAILSLAB "reject-start", start);
}

/* Lets allocations from all caches fail but those of kmemleak; false if a cache cannot be chosen, as merged ones cannot. */
static bool choose_caches(DIR *caches)
{
	struct dirent *entry;
	char path[512];

	while ((entry = readdir(caches))) {
		if (entry->d_name[0] == '.' || !strncmp(entry->d_name, OF_KMEMLEAK, strlen(OF_KMEMLEAK)))
			continue;
		snprintf(path, sizeof(path), CACHES "%s/failslab", entry->d_name);
		if (write_small(path, "1"))
			return false;
	}
	return true;
}

/*
 * kmemleak allocates something of its own for each allocation of the kernel, and takes it from a pool where that fails
 * (mem_pool_alloc(), mm/kmemleak.c): points that test nothing, and as many as the others. They do not fail, where none of
 * the caches are merged. Since that takes a while it is done anew only when there are other caches than before.
 */
static void spare_kmemleak(void)
{
	static unsigned int known;
	unsigned int there = 0;
	DIR *caches = NULL;

	if (!access(KMEMLEAK, F_OK))
		caches = opendir(CACHES);
	if (!caches)
		return;
	while (readdir(caches))
		there++;
	rewinddir(caches);
	if (there != known)
		write_small(FAILSLAB "cache-filter", choose_caches(caches) ? "Y" : "N");
	known = there;
	closedir(caches);
}

/* Without these settings only atomic allocations fail, and each with a call trace on the console. */
bool failslab_ready(void)
{
	spare_frees();
	spare_kmemleak();
	return !write_small(FAILSLAB "ignore-gfp-wait", "N") && !write_small(FAILSLAB "verbose", "0");
}

/* The same for whole pages; by default only two or more at once fail. */
bool fail_pages_ready(void)
{
	return !write_small(FAIL_PAGES "ignore-gfp-wait", "N") && !write_small(FAIL_PAGES "verbose", "0") &&
	       !write_small(FAIL_PAGES "min-order", "0");
}
