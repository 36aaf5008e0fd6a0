// SPDX-License-Identifier: GPL-2.0-or-later
/* What test memory holds: a byte follows from the seed and its position alone. */
#include <string.h>

#include "agent.h"

/* The mix function of SplitMix64: every bit of seed and position reaches every bit of the word. */
uint64_t pattern_word(uint64_t seed, uint64_t position)
{
	uint64_t z = (seed + 1) * 0x9e3779b97f4a7c15ULL + position;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* The word that holds position, shifted so that position's byte is the lowest. */
static uint64_t pattern_from(const struct pattern *pattern, uint64_t position)
{
	uint64_t word = pattern->value;

	if (!pattern->constant)
		word = pattern_word(pattern->value, position / 8);
	return word >> position % 8 * 8;
}

struct pattern arg_pattern(const struct request *req)
{
	bool constant = arg_given(req, "value");

	return (struct pattern){
		.constant = constant,
		.value = arg_u64(req, constant ? "value" : "seed", 1),
	};
}

void pattern_store(const struct pattern *pattern, uint64_t position, void *to, size_t length)
{
	uint64_t word = 0;
	uint8_t *p = to;

	for (size_t i = 0; i < length; i++, word >>= 8) {
		if (!i || !((position + i) % 8))
			word = pattern_from(pattern, position + i);
		p[i] = word;
	}
}

size_t pattern_compare(const struct pattern *pattern, uint64_t position, const void *at, size_t length)
{
	const uint8_t *p = at;
	uint64_t word = 0;
	size_t i;

	for (i = 0; i < length; i++, word >>= 8) {
		if (!i || !((position + i) % 8))
			word = pattern_from(pattern, position + i);
		if (p[i] != (uint8_t)word)
			break;
	}
	return i;
}

/* 64-bit FNV-1a. */
uint64_t checksum(const void *at, size_t length)
{
	const uint8_t *p = at;
	uint64_t sum = 0xcbf29ce484222325ULL;

	while (length--)
		sum = (sum ^ *p++) * 0x100000001b3ULL;
	return sum;
}
