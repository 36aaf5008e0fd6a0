// SPDX-License-Identifier: GPL-2.0-or-later
/* The moves of racing threads: binds, transfers, and the numbers that choose among them. */
#define _GNU_SOURCE
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ops_moves.h"

#define PAGE_BYTES	4096

/* SplitMix64: every state gives a good number, so that seeds 1, 2, 3 are as good as any. */
uint64_t draw_next(struct draw *draw)
{
	uint64_t z = draw->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

struct draw draw_begin(uint64_t seed, uint64_t key, uint64_t part)
{
	struct draw draw = { seed };

	draw.state = draw_next(&draw) ^ key;
	draw.state = draw_next(&draw) ^ part;
	return draw;
}

uint32_t draw_below(struct draw *draw, uint32_t limit)
{
	return (draw_next(draw) >> 32) * limit >> 32;
}

int64_t move_bind(struct move *move)
{
	struct kph_sva_bind bind = { .pasid = move->own ? move->pasid : 0 };
	int64_t ret = sva_ioctl(move->fd, move->own ? KPH_SVA_BIND_PASID : KPH_SVA_BIND, &bind);

	if (ret)
		return ret;
	move->bond = bind.bond;
	move->handle = bind.handle;
	move->pasid = bind.pasid;
	return 0;
}

int64_t move_unbind(const struct move *move)
{
	struct kph_sva_bond bond = { .bond = move->bond };

	return sva_ioctl(move->fd, KPH_SVA_UNBIND, &bond);
}

static enum reach transfer(const struct move *move, uint32_t cmd, void *at, void *data, bool recover)
{
	struct kph_sva_dma dma = {
		.cmd = cmd, .flags = KPH_SVA_DMA_PASID | (recover ? 0 : KPH_SVA_DMA_NO_RECOVER),
		.pasid = move->pasid, .length = CHUNK, .timeout_ms = LATE_MS,
		.address = (uintptr_t)at, .data = (uintptr_t)data,
	};

	if (sva_ioctl(move->fd, KPH_SVA_DMA, &dma) || dma.flags & KPH_SVA_DMA_TIMED_OUT)
		return STUCK;
	return dma.status == KPH_DMA_STATUS_DONE ? REACHED : REFUSED;
}

static void fill(uint64_t *words, uint64_t tag)
{
	for (unsigned int i = 0; i < CHUNK / sizeof(*words); i++)
		words[i] = pattern_word(tag, i);
}

enum reach move_write(const struct move *move, void *at, uint64_t tag, bool recover)
{
	uint64_t words[CHUNK / sizeof(uint64_t)];
	enum reach reach;

	fill(words, tag);
	reach = transfer(move, KPH_DMA_CMD_WRITE, at, words, recover);
	return reach == REACHED && memcmp(at, words, CHUNK) ? MANGLED : reach;
}

enum reach move_read(const struct move *move, void *at, uint64_t tag, bool recover)
{
	uint64_t words[CHUNK / sizeof(uint64_t)], got[CHUNK / sizeof(uint64_t)] = { 0 };
	enum reach reach;

	fill(words, tag);
	memcpy(at, words, CHUNK);
	reach = transfer(move, KPH_DMA_CMD_READ, at, got, recover);
	return reach == REACHED && memcmp(got, words, CHUNK) ? MANGLED : reach;
}

const char *reach_name(enum reach reach)
{
	static const char *const names[] = { "done", "refused", "done with wrong bytes", "stuck" };

	return names[reach];
}

int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void *shared_new(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* Shared, since a fork takes the right to write away from a private page, until a CPU asks for it. */
void *page_new(void)
{
	return shared_new(PAGE_BYTES);
}

void page_leave(void *page)
{
	madvise(page, PAGE_BYTES, MADV_DONTNEED);
}

void page_free(void *page)
{
	if (page)
		munmap(page, PAGE_BYTES);
}

void pin(unsigned int number)
{
	cpu_set_t all, one;
	unsigned int count;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	count = CPU_COUNT(&all);
	number %= count ? count : 1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && !number--) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
}

void become_nothing(void)
{
	execl("/proc/self/exe", "agent", "nothing", NULL);
	_exit(127);
}
