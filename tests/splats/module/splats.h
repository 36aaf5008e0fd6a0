/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPLATS_H
#define SPLATS_H

/* One mistake of the kernel's: written by name to /dev/splats, made in the writer's context. */
struct mistake {
	const char *name;
	void (*make)(void);
};

/* Each ends with an entry without a name. */
extern const struct mistake memory_mistakes[];
extern const struct mistake lock_mistakes[];
extern const struct mistake object_mistakes[];
extern const struct mistake arithmetic_mistakes[];

/* Does both at the same time, on two CPUs. */
void splats_at_once(void (*one)(void), void (*other)(void));

#endif
