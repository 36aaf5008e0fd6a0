// SPDX-License-Identifier: GPL-2.0-or-later
/* Transfers: a file takes the engine, starts one, waits for its end, gives the engine back. */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kph_dma_regs.h"
#include "kph_sva_core.h"

#define KPH_ABORT_POLL_US	50
#define KPH_ABORT_POLLS		20000	/* one second */

static u32 kph_get(const struct kph_engine *engine, unsigned int reg)
{
	return ioread32(engine->regs + reg);
}

static u64 kph_get64(const struct kph_engine *engine, unsigned int lo, unsigned int hi)
{
	return kph_get(engine, lo) | (u64)kph_get(engine, hi) << 32;
}

static void kph_put(struct kph_engine *engine, unsigned int reg, u32 value)
{
	iowrite32(value, engine->regs + reg);
}

/* Whether @regs are registers of the device and version that this module is for. */
bool kph_dma_known(const void __iomem *regs)
{
	return ioread32(regs + KPH_DMA_ID) == KPH_DMA_ID_VALUE &&
	       ioread32(regs + KPH_DMA_VERSION) == KPH_DMA_VERSION_VALUE;
}

/* KPH_DMA_CAPS, 0 without registers. */
u32 kph_dma_caps(const struct kph_engine *engine)
{
	return engine->regs ? kph_get(engine, KPH_DMA_CAPS) : 0;
}

irqreturn_t kph_dma_irq(int irq, void *data)
{
	struct kph_engine *engine = data;

	if (!(kph_get(engine, KPH_DMA_IRQ) & KPH_DMA_IRQ_END))
		return IRQ_NONE;
	kph_put(engine, KPH_DMA_IRQ, KPH_DMA_IRQ_END);
	WRITE_ONCE(engine->end_ns, ktime_get_ns());
	complete(&engine->end);
	return IRQ_HANDLED;
}

/**
 * kph_dma_stop() - end the transfer under way, if there is one
 * @engine: the engine; the caller holds engine->live
 *
 * Return: false if the device does not obey within a second.
 */
bool kph_dma_stop(struct kph_engine *engine)
{
	int i;

	if (!engine->regs)
		return true;
	for (i = 0; i < KPH_ABORT_POLLS; i++) {
		if (kph_get(engine, KPH_DMA_STATUS) != KPH_DMA_STATUS_BUSY)
			return true;
		if (!i)
			kph_put(engine, KPH_DMA_CMD, KPH_DMA_CMD_ABORT);
		usleep_range(KPH_ABORT_POLL_US, 2 * KPH_ABORT_POLL_US);
	}
	dev_err(engine->dev, "transfer does not end on abort\n");
	return false;
}

static bool kph_take(struct kph_file *file)
{
	return !cmpxchg(&file->engine->owner, NULL, file);
}

static void kph_give_back(struct kph_file *file)
{
	WRITE_ONCE(file->engine->owner, NULL);
	wake_up_all(&file->engine->idle);
}

/* Become the owner. Return: 0, -EBUSY if that takes too long, -EINTR, -ENODEV. */
static long kph_own(struct kph_file *file, unsigned long timeout)
{
	struct kph_engine *engine = file->engine;
	bool mine = false;
	long left;

	/* Waiting for a transfer that only we could collect would never end. */
	if (test_bit(KPH_UNATTENDED, &file->flags))
		return -EBUSY;
	left = wait_event_killable_timeout(engine->idle,
					   (mine = kph_take(file)) || READ_ONCE(engine->gone),
					   timeout);
	if (mine)
		return 0;
	if (left < 0)
		return -EINTR;
	return READ_ONCE(engine->gone) ? -ENODEV : -EBUSY;
}

/* The caller owns the engine and is inside kph_engine_enter(). */
static void kph_program(struct kph_file *file, const struct kph_sva_dma *dma, const void *data)
{
	struct kph_engine *engine = file->engine;
	u32 pasid = 0, flags = 0;

	if (dma->flags & KPH_SVA_DMA_PASID)
		pasid = KPH_DMA_PASID_VALID | (dma->pasid & KPH_DMA_PASID_MASK);
	if (dma->flags & KPH_SVA_DMA_NO_RECOVER)
		flags |= KPH_DMA_FLAG_NO_RECOVER;
	if (dma->flags & KPH_SVA_DMA_KEEP_STALE)
		flags |= KPH_DMA_FLAG_KEEP_STALE;

	kph_put(engine, KPH_DMA_IRQ, KPH_DMA_IRQ_END);
	reinit_completion(&engine->end);
	if (data)
		memcpy_toio(engine->regs + KPH_DMA_BUF, data,
			    min_t(u32, dma->length, KPH_DMA_BUF_SIZE));
	kph_put(engine, KPH_DMA_PASID, pasid);
	kph_put(engine, KPH_DMA_FLAGS, flags);
	kph_put(engine, KPH_DMA_ADDR_LO, lower_32_bits(dma->address));
	kph_put(engine, KPH_DMA_ADDR_HI, upper_32_bits(dma->address));
	kph_put(engine, KPH_DMA_LEN, dma->length);
	kph_put(engine, KPH_DMA_BUF_OFFSET, 0);
	kph_put(engine, KPH_DMA_PATTERN_LO, lower_32_bits(dma->pattern));
	kph_put(engine, KPH_DMA_PATTERN_HI, upper_32_bits(dma->pattern));

	file->transfer.cmd = dma->cmd;
	file->transfer.length = dma->length;
	file->transfer.start_ns = ktime_get_ns();
	kph_put(engine, KPH_DMA_CMD, dma->cmd);
}

/* Return: 0, -EBUSY if the device still works on a transfer that was given up, -ENODEV, -EINTR. */
static long kph_start(struct kph_file *file, const struct kph_sva_dma *dma, const void *data)
{
	long ret = kph_engine_enter(file->engine);

	if (ret)
		return ret;
	if (kph_get(file->engine, KPH_DMA_STATUS) == KPH_DMA_STATUS_BUSY)
		ret = -EBUSY;
	else
		kph_program(file, dma, data);
	kph_engine_leave(file->engine);
	return ret;
}

/* The transfer has ended; the caller owns the engine and holds engine->live. */
static void kph_read_result(struct kph_file *file, struct kph_sva_dma *dma, void *data)
{
	struct kph_engine *engine = file->engine;

	dma->cmd = file->transfer.cmd;
	dma->status = kph_get(engine, KPH_DMA_STATUS);
	dma->error = kph_get(engine, KPH_DMA_ERROR);
	dma->bytes = kph_get(engine, KPH_DMA_BYTES);
	dma->fault_address = kph_get64(engine, KPH_DMA_FAULT_ADDR_LO, KPH_DMA_FAULT_ADDR_HI);
	dma->ns = (dma->flags & KPH_SVA_DMA_NO_IRQ ? ktime_get_ns() : READ_ONCE(engine->end_ns)) -
		  file->transfer.start_ns;
	if (data && dma->cmd == KPH_DMA_CMD_READ && dma->status == KPH_DMA_STATUS_DONE) {
		dma->length = min3(dma->length, file->transfer.length, (u32)KPH_DMA_BUF_SIZE);
		memcpy_fromio(data, engine->regs + KPH_DMA_BUF, dma->length);
	}
}

/*
 * Wait until the device has ended, or make it. Comes back with engine->live
 * held for reading. Return: 0, -EAGAIN if it still runs and @look, -EINTR if
 * the caller is being killed, -EIO if the device does not obey, -ENODEV.
 */
static long kph_await(struct kph_file *file, struct kph_sva_dma *dma, bool look)
{
	struct kph_engine *engine = file->engine;
	long left = msecs_to_jiffies(dma->timeout_ms);

	for (;;) {
		left = wait_for_completion_killable_timeout(&engine->end, left);
		down_read(&engine->live);
		if (engine->gone)
			return -ENODEV;
		if (kph_get(engine, KPH_DMA_STATUS) != KPH_DMA_STATUS_BUSY)
			break;
		if (look)
			return -EAGAIN;
		if (left <= 0) {
			dma->flags |= KPH_SVA_DMA_TIMED_OUT;
			if (!kph_dma_stop(engine))
				return -EIO;
			break;
		}
		/* The interrupt was that of an earlier transfer, aborted. */
		up_read(&engine->live);
	}
	if (left == 0)
		dma->flags |= KPH_SVA_DMA_NO_IRQ;
	return left < 0 ? -EINTR : 0;
}

/* The caller owns the engine and attends to the transfer. */
static long kph_collect(struct kph_file *file, struct kph_sva_dma *dma, void *data, bool look)
{
	long ret = kph_await(file, dma, look);

	if (!ret)
		kph_read_result(file, dma, data);
	up_read(&file->engine->live);
	if (ret == -EAGAIN) {
		dma->status = KPH_DMA_STATUS_BUSY;
		set_bit(KPH_UNATTENDED, &file->flags);
		return 0;
	}
	kph_give_back(file);
	return ret;
}

static long kph_start_and_collect(struct kph_file *file, struct kph_sva_dma *dma, void *data)
{
	long ret = kph_own(file, msecs_to_jiffies(dma->timeout_ms));

	if (ret)
		return ret;
	ret = kph_start(file, dma, dma->cmd == KPH_DMA_CMD_WRITE ? data : NULL);
	if (ret) {
		kph_give_back(file);
		return ret;
	}
	if (dma->flags & KPH_SVA_DMA_NO_WAIT) {
		dma->status = KPH_DMA_STATUS_BUSY;
		set_bit(KPH_UNATTENDED, &file->flags);
		return 0;
	}
	return kph_collect(file, dma, data, false);
}

static long kph_copy_out(const struct kph_sva_dma *dma, const void *data)
{
	if (dma->cmd != KPH_DMA_CMD_READ || dma->status != KPH_DMA_STATUS_DONE || !dma->data)
		return 0;
	return copy_to_user(u64_to_user_ptr(dma->data), data, dma->length) ? -EFAULT : 0;
}

/**
 * kph_dma() - one transfer by the device
 * @file: who asks
 * @dma: what; comes back with how it ended
 *
 * Return: 0 if the device has ended or started, as asked (how, is in @dma);
 * -EOPNOTSUPP without registers; -EINVAL for an unknown command or too long a
 * time; -EBUSY if the engine is not free in time, or this file's last transfer
 * was not waited for; -EFAULT; -EINTR; -EIO; -ENODEV.
 */
long kph_dma(struct kph_file *file, struct kph_sva_dma *dma)
{
	void *data;
	long ret;

	if (!file->engine->regs)
		return -EOPNOTSUPP;
	if (dma->cmd < KPH_DMA_CMD_READ || dma->cmd > KPH_DMA_CMD_FILL ||
	    dma->timeout_ms > KPH_SVA_TIMEOUT_MAX)
		return -EINVAL;
	data = kvzalloc(KPH_DMA_BUF_SIZE, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	ret = -EFAULT;
	if (dma->cmd == KPH_DMA_CMD_WRITE &&
	    copy_from_user(data, u64_to_user_ptr(dma->data),
			   min_t(u32, dma->length, KPH_DMA_BUF_SIZE)))
		goto out;
	ret = kph_start_and_collect(file, dma, data);
	if (!ret)
		ret = kph_copy_out(dma, data);
out:
	kvfree(data);
	return ret;
}

/**
 * kph_dma_wait() - wait for the transfer that this file only started
 * @file: who started it
 * @dma: in: timeout_ms (0: only look), data and length for a read; out: how it ended
 *
 * Return: as kph_dma(); -EBUSY if somebody else waits for it.
 */
long kph_dma_wait(struct kph_file *file, struct kph_sva_dma *dma)
{
	void *data;
	long ret;

	if (!file->engine->regs)
		return -EOPNOTSUPP;
	if (dma->timeout_ms > KPH_SVA_TIMEOUT_MAX)
		return -EINVAL;
	data = kvzalloc(KPH_DMA_BUF_SIZE, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	dma->flags = 0;
	if (!test_and_clear_bit(KPH_UNATTENDED, &file->flags)) {
		dma->flags = KPH_SVA_DMA_IDLE;
		ret = READ_ONCE(file->engine->owner) == file ? -EBUSY : 0;
	} else {
		ret = kph_collect(file, dma, data, !dma->timeout_ms);
		if (!ret)
			ret = kph_copy_out(dma, data);
	}
	kvfree(data);
	return ret;
}

/* Return: 0 if nothing runs any more, -EOPNOTSUPP, -EIO if the device does not obey. */
long kph_dma_abort(struct kph_engine *engine)
{
	long ret;

	if (!engine->regs)
		return -EOPNOTSUPP;
	ret = kph_engine_enter(engine);
	if (ret)
		return ret;
	ret = kph_dma_stop(engine) ? 0 : -EIO;
	kph_engine_leave(engine);
	return ret;
}

/* A command that ends at once: KPH_DMA_CMD_CLEAR or FLUSH_ATC. */
long kph_dma_command(struct kph_engine *engine, u32 cmd)
{
	long ret;

	if (!engine->regs)
		return -EOPNOTSUPP;
	ret = kph_engine_enter(engine);
	if (ret)
		return ret;
	kph_put(engine, KPH_DMA_CMD, cmd);
	kph_engine_leave(engine);
	return 0;
}

long kph_dma_counters(struct kph_engine *engine, struct kph_sva_counters *counters)
{
	long ret;

	if (!engine->regs)
		return -EOPNOTSUPP;
	ret = kph_engine_enter(engine);
	if (ret)
		return ret;
	counters->requests = kph_get(engine, KPH_DMA_N_REQUESTS);
	counters->hits = kph_get(engine, KPH_DMA_N_HITS);
	counters->page_requests = kph_get(engine, KPH_DMA_N_PAGE_REQUESTS);
	counters->responses = kph_get(engine, KPH_DMA_N_RESPONSES);
	counters->invalidations = kph_get(engine, KPH_DMA_N_INVALIDATIONS);
	counters->cached = kph_get(engine, KPH_DMA_N_ATC);
	counters->last_invalid_pasid = kph_get(engine, KPH_DMA_LAST_INV_PASID);
	counters->last_invalid_address =
		kph_get64(engine, KPH_DMA_LAST_INV_LO, KPH_DMA_LAST_INV_HI);
	counters->last_invalid_mask =
		kph_get64(engine, KPH_DMA_LAST_MASK_LO, KPH_DMA_LAST_MASK_HI);
	counters->last_response = kph_get(engine, KPH_DMA_LAST_RESPONSE);
	kph_engine_leave(engine);
	return 0;
}

/* The file is being closed: end what it started. The caller holds engine->live. */
void kph_dma_end(struct kph_file *file)
{
	struct kph_engine *engine = file->engine;

	if (READ_ONCE(engine->owner) != file)
		return;
	if (!engine->gone)
		kph_dma_stop(engine);
	kph_give_back(file);
}
