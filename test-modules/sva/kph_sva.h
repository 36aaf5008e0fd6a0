/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kph_sva: what the test module and the agent say to each other.
 *
 * Every ioctl returns 0 or a positive number on success, else -1 and errno.
 * An error of the SVA core comes through unchanged, so that a scenario can
 * expect it. Each open file keeps its own bonds, global PASIDs and transfer.
 */
#ifndef KPH_SVA_H
#define KPH_SVA_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KPH_SVA_ABI		2
#define KPH_SVA_NAME_MAX	64
#define KPH_SVA_DEV_PREFIX	"kph_dma-"

#define KPH_SVA_BUS_PCI		1
#define KPH_SVA_BUS_PLATFORM	2
#define KPH_SVA_BUS_BARE	3		/* no registers, no IOMMU group */

#define KPH_SVA_HAS_OWN_BIND	(1u << 0)	/* the tree declares iommu_sva_bind_device_pasid() */
#define KPH_SVA_HAS_IOMMU_SVA	(1u << 1)	/* CONFIG_IOMMU_SVA */
#define KPH_SVA_HAS_GROUP	(1u << 2)	/* dev->iommu_group */
#define KPH_SVA_HAS_IOMMU	(1u << 3)	/* dev->iommu */
#define KPH_SVA_HAS_PASID	(1u << 4)	/* enabled on the device, as the three below */
#define KPH_SVA_HAS_ATS		(1u << 5)
#define KPH_SVA_HAS_PRI		(1u << 6)
#define KPH_SVA_HAS_STALL	(1u << 7)

struct kph_sva_facts {
	__u32 abi;			/* KPH_SVA_ABI */
	__u32 bus;			/* KPH_SVA_BUS_* */
	__u32 has;			/* KPH_SVA_HAS_* */
	__u32 max_pasids;		/* dev->iommu->max_pasids, 0 without an IOMMU */
	__u32 pasid_width;		/* of the device's capability, bits; 0: none */
	__u32 bond_bytes;		/* slab object that holds a struct iommu_sva */
	__u32 mm_data_bytes;		/* slab object that holds a struct iommu_mm_data */
	__u32 reserved;
	char device[KPH_SVA_NAME_MAX];	/* dev_name() */
};

struct kph_sva_bind {
	__u32 pasid;			/* in: own PASID (BIND_PASID); out: the bond's PASID */
	__u32 bond;			/* out: number of the bond in this file */
	__u32 handle;			/* out: same number, same struct iommu_sva */
	__u32 fail_nth;			/* in and out, see below */
};

struct kph_sva_bond {
	__u32 bond;			/* in */
	__u32 pasid;			/* out (GET_PASID) */
	__u32 fail_nth;			/* in and out (UNBIND), see below */
	__u32 reserved;
};

/*
 * fail_nth, n: the nth memory allocation of the call into the SVA core fails,
 * and none of the module's own; 0: none fails. Comes back as what is left of n,
 * also with an error: 0 if the nth allocation came and failed.
 */

/* What a live bond must have made of the IOMMU's tables. */
struct kph_sva_live {
	__u64 root;			/* physical address of the mm's page table when it was bound */
	__u32 pasid;			/* the own PASID that was asked for, else the one that was given */
	__u32 dead;			/* no task has the mm any more: the device must reach nothing */
};

struct kph_sva_lives {
	__u64 bonds;			/* array of struct kph_sva_live, one per bind */
	__u32 count;			/* in: room in it, 1 .. KPH_SVA_LIVE_MAX; out: bonds of the device, may be more */
	__u32 reserved;
};
#define KPH_SVA_LIVE_MAX	4096

struct kph_sva_global {
	__u32 pasid;			/* ALLOC: out; FREE: in */
	__u32 limit;			/* COUNT: in, 1 .. KPH_SVA_COUNT_MAX */
	__u32 count;			/* COUNT: out */
	__u32 lowest;			/* COUNT: out, 0 if none */
	__u32 highest;			/* COUNT: out, 0 if none */
	__u32 complete;			/* COUNT: out, 0 if limit stopped it */
};
#define KPH_SVA_COUNT_MAX	(1u << 20)

#define KPH_SVA_DMA_PASID	(1u << 0)	/* tag the requests with .pasid */
#define KPH_SVA_DMA_NO_RECOVER	(1u << 1)
#define KPH_SVA_DMA_KEEP_STALE	(1u << 2)
#define KPH_SVA_DMA_NO_WAIT	(1u << 3)	/* only start it */
#define KPH_SVA_DMA_TIMED_OUT	(1u << 8)	/* out: not ended in time, aborted */
#define KPH_SVA_DMA_NO_IRQ	(1u << 9)	/* out: the end came without interrupt */
#define KPH_SVA_DMA_IDLE	(1u << 10)	/* out (DMA_WAIT): nothing was started */

struct kph_sva_dma {
	__u32 cmd;			/* KPH_DMA_CMD_READ, WRITE or FILL */
	__u32 flags;			/* KPH_SVA_DMA_* */
	__u32 pasid;
	__u32 length;			/* bytes */
	__u32 timeout_ms;		/* at most KPH_SVA_TIMEOUT_MAX */
	__u32 status;			/* out: KPH_DMA_STATUS_* */
	__u32 error;			/* out: KPH_DMA_ERROR_* */
	__u32 bytes;			/* out: moved */
	__u64 address;			/* what the device is told */
	__u64 data;			/* caller's buffer: bytes to WRITE, or that READ fetched */
	__u64 pattern;			/* FILL */
	__u64 fault_address;		/* out */
	__u64 ns;			/* out: from start to end */
};
#define KPH_SVA_TIMEOUT_MAX	600000u

struct kph_sva_counters {
	__u32 requests;
	__u32 hits;
	__u32 page_requests;
	__u32 responses;
	__u32 invalidations;
	__u32 cached;
	__u32 last_invalid_pasid;	/* with KPH_DMA_PASID_VALID */
	__u32 last_response;
	__u64 last_invalid_address;
	__u64 last_invalid_mask;	/* length in bytes - 1 */
};

#define KPH_SVA_MAGIC		0xb5
#define KPH_SVA_FACTS		_IOR(KPH_SVA_MAGIC, 1, struct kph_sva_facts)
#define KPH_SVA_BIND		_IOWR(KPH_SVA_MAGIC, 2, struct kph_sva_bind)
#define KPH_SVA_BIND_PASID	_IOWR(KPH_SVA_MAGIC, 3, struct kph_sva_bind)
#define KPH_SVA_UNBIND		_IOWR(KPH_SVA_MAGIC, 4, struct kph_sva_bond)
#define KPH_SVA_GET_PASID	_IOWR(KPH_SVA_MAGIC, 5, struct kph_sva_bond)
#define KPH_SVA_ALLOC_GLOBAL	_IOWR(KPH_SVA_MAGIC, 6, struct kph_sva_global)
#define KPH_SVA_FREE_GLOBAL	_IOWR(KPH_SVA_MAGIC, 7, struct kph_sva_global)
#define KPH_SVA_COUNT_GLOBAL	_IOWR(KPH_SVA_MAGIC, 8, struct kph_sva_global)
#define KPH_SVA_DMA		_IOWR(KPH_SVA_MAGIC, 9, struct kph_sva_dma)
#define KPH_SVA_DMA_WAIT	_IOWR(KPH_SVA_MAGIC, 10, struct kph_sva_dma)
#define KPH_SVA_DMA_ABORT	_IO(KPH_SVA_MAGIC, 11)
#define KPH_SVA_COUNTERS	_IOR(KPH_SVA_MAGIC, 12, struct kph_sva_counters)
#define KPH_SVA_CLEAR		_IO(KPH_SVA_MAGIC, 13)
#define KPH_SVA_FLUSH_ATC	_IO(KPH_SVA_MAGIC, 14)
#define KPH_SVA_HOLD_MM		_IO(KPH_SVA_MAGIC, 15)	/* arg: ms, at most KPH_SVA_HOLD_MAX */
#define KPH_SVA_RELEASE_MM	_IO(KPH_SVA_MAGIC, 16)
#define KPH_SVA_SETTLE		_IO(KPH_SVA_MAGIC, 17)	/* mmu_notifier_synchronize() */
#define KPH_SVA_LIVE		_IOWR(KPH_SVA_MAGIC, 18, struct kph_sva_lives)
#define KPH_SVA_FREE_LATE	_IO(KPH_SVA_MAGIC, 19)	/* what kfree_rcu() was given is free then */
#define KPH_SVA_HOLD_MAX	60000u

#endif
