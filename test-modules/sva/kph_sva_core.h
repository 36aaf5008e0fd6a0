/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the kph_sva test module.
 *
 * An engine is one device; a file is one open of its character device. Locks,
 * outermost first:
 *   engine->live   read: the device and its IOMMU may be used; write: taking
 *                  the device away. Never held while waiting for a transfer.
 *   engine->lock   the lists of files and bonds; a leaf.
 * A transfer is owned by a file through engine->owner; nobody holds a lock
 * while it runs, so that an unbind or a release can happen under it.
 */
#ifndef KPH_SVA_CORE_H
#define KPH_SVA_CORE_H

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "kph_sva.h"

struct device;
struct iommu_sva;
struct kph_engine;
struct kph_file;
struct mm_struct;

/* What differs between buses. */
struct kph_bus {
	u32 id;						/* KPH_SVA_BUS_* */
	u32 (*has)(const struct kph_engine *engine);	/* bits that only the bus knows; may be NULL */
	u32 (*pasid_width)(const struct kph_engine *engine);	/* bits; may be NULL */
};

struct kph_engine {
	struct device *dev;
	const struct kph_bus *bus;
	void __iomem *regs;		/* NULL: cannot do DMA */
	struct miscdevice misc;
	char name[sizeof(KPH_SVA_DEV_PREFIX) + KPH_SVA_NAME_MAX];
	struct kref ref;

	struct rw_semaphore live;
	bool gone;			/* set under live (write), never cleared */

	struct mutex lock;		/* of files, bonds, last_handle */
	struct list_head files;
	struct list_head bonds;
	u32 last_handle;

	struct kph_file *owner;		/* of the transfer; NULL: free */
	wait_queue_head_t idle;		/* owner became NULL, or gone */
	struct completion end;		/* a transfer ended, or gone */
	u64 end_ns;			/* when the last interrupt came */
};

/* The transfer that a file has started, as long as the file owns the engine. */
struct kph_transfer {
	u32 cmd;
	u32 length;
	u64 start_ns;
};

#define KPH_UNATTENDED	0

struct kph_file {
	struct kph_engine *engine;
	struct list_head entry;		/* in engine->files */
	struct xarray bonds;		/* number -> struct kph_bond */
	struct mutex bond_lock;		/* a bond cannot be ended while it is looked at */
	struct xarray globals;		/* PASID -> value, taken by this file */
	struct kph_transfer transfer;
	unsigned long flags;		/* bit KPH_UNATTENDED: a transfer started, and nobody waits for it */
	struct mutex hold_lock;
	struct kph_hold *hold;		/* under hold_lock */
};

struct kph_engine *kph_engine_alloc(struct device *dev, const struct kph_bus *bus,
				    void __iomem *regs, const char *name);
void kph_engine_put(struct kph_engine *engine);
int kph_engine_register(struct kph_engine *engine);
void kph_engine_unregister(struct kph_engine *engine);
int kph_engine_enter(struct kph_engine *engine);
void kph_engine_leave(struct kph_engine *engine);
u32 kph_engine_max_pasids(const struct kph_engine *engine);

long kph_bind(struct kph_file *file, struct kph_sva_bind *bind, bool own);
long kph_unbind(struct kph_file *file, struct kph_sva_bond *arg);
long kph_get_pasid(struct kph_file *file, struct kph_sva_bond *bond);
long kph_live(struct kph_file *file, struct kph_sva_lives *arg);
long kph_alloc_global(struct kph_file *file, struct kph_sva_global *global);
long kph_free_global(struct kph_file *file, u32 pasid);
long kph_count_global(struct kph_file *file, struct kph_sva_global *global);
void kph_bonds_end(struct kph_file *file);

bool kph_dma_known(const void __iomem *regs);
irqreturn_t kph_dma_irq(int irq, void *data);
long kph_dma(struct kph_file *file, struct kph_sva_dma *dma);
long kph_dma_wait(struct kph_file *file, struct kph_sva_dma *dma);
long kph_dma_abort(struct kph_engine *engine);
long kph_dma_command(struct kph_engine *engine, u32 cmd);
long kph_dma_counters(struct kph_engine *engine, struct kph_sva_counters *counters);
bool kph_dma_stop(struct kph_engine *engine);
u32 kph_dma_caps(const struct kph_engine *engine);
void kph_dma_end(struct kph_file *file);

long kph_hold_mm(struct kph_file *file, unsigned long ms);
long kph_release_mm(struct kph_file *file);

int kph_bare_init(void);
void kph_bare_exit(void);

#ifdef CONFIG_PCI
int kph_pci_init(void);
void kph_pci_exit(void);
#else
static inline int kph_pci_init(void) { return 0; }
static inline void kph_pci_exit(void) { }
#endif

#ifdef CONFIG_OF
int kph_platform_init(void);
void kph_platform_exit(void);
#else
static inline int kph_platform_init(void) { return 0; }
static inline void kph_platform_exit(void) { }
#endif

#endif
