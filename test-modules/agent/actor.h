/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef KPH_ACTOR_H
#define KPH_ACTOR_H

/* Where every actor finds its pipes. */
#define ACTOR_IN	3
#define ACTOR_OUT	4

/* Sets the actor's name, or with NULL only returns it. */
const char *actor_name(const char *name);

#endif
