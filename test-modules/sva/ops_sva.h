/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the suite's user side: the device files that an actor has open, and its bonds. */
#ifndef KPH_OPS_SVA_H
#define KPH_OPS_SVA_H

#include "agent.h"
#include "kph_dma_regs.h"
#include "kph_sva.h"

/* What was started with wait: false, to be compared when it has ended. */
struct pending {
	bool set;
	bool has_pasid;
	uint32_t pasid;
	struct pattern pattern;
	uint64_t offset;
};

struct device {
	char name[KPH_SVA_NAME_MAX];	/* "": free slot */
	int fd;
	struct pending pending;
};

struct bond {
	struct device *device;		/* NULL: free slot */
	uint32_t number;		/* in this actor */
	uint32_t kernel;		/* in the device's file */
	uint32_t pasid;			/* when bound */
	char as[NAME_BYTES];		/* "": only the number */
};

/* Opens /dev/kph_dma-NAME. Returns the descriptor or -errno; -ENODEV if there is no such device. */
int device_open(const char *name);
/* The actor's open file of the request's device, opened if need be. NULL: *error is -errno. */
struct device *device_get(const struct request *req, struct reply *reply, int64_t *error);
/* A descriptor only for this request: *temporary says that it must be closed. -errno. */
int device_borrow(const struct request *req, struct reply *reply, bool *temporary);
size_t device_close(struct device *device);	/* returns how many bonds the actor had on it */
void devices_close(void);
char *devices_save(void);
void devices_restore(const char *saved);

/* A place for a bond; NULL without memory. It has a number once the bind has worked. */
struct bond *bond_new(struct device *device);
void bond_number(struct bond *bond);
struct bond *bond_named(const char *name);
struct bond *bond_newest(const struct device *device);
struct bond *bond_each(unsigned int *state);
void bond_forget(struct bond *bond);
/* By "bond", else the newest on "device". NULL: *error is -errno with a text. */
struct bond *bond_get(const struct request *req, struct reply *reply, int64_t *error);

/* 0 or -errno. */
int64_t sva_ioctl(int fd, unsigned long command, void *arg);
void bare_ioctl(unsigned long command);	/* through the device that no IOMMU knows; nothing without the module */
int64_t sva_bind(int fd, const struct request *req, struct kph_sva_bind *bind);
int64_t sva_unbind(int fd, uint32_t bond, uint32_t *fail_nth);
bool failslab_ready(void);	/* whether allocations can be made to fail; sets it up */
bool fail_pages_ready(void);	/* and whole pages */
void global_forget(const struct device *device);

extern const struct op bond_ops[], global_ops[], dma_ops[], load_ops[], sweep_ops[], race_ops[], storm_ops[];

#endif
