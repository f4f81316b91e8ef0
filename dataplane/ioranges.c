/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/ioranges.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/fs.h>

#include "dataplane/base.h"
#include "dataplane/io_task.h"

/* Longest step in bytes. A cancellation or a hold takes effect between two steps. */
#define STEP (128u << 20)

/* This buffer is never written to, so all of its pages are mapped to the kernel's page of zeros.
 * The alignment suffices for every O_DIRECT. */
static char zeros[1 << 20] __attribute__((aligned(4096)));

static bool ioranges_lacks(int err)
{
	return err == EOPNOTSUPP || err == ENOTTY;
}

/* Calls fallocate. Returns 0, -EOPNOTSUPP if the host does not support the mode, or another -errno.
 * *missing records that the mode is not supported. */
static int ioranges_allocate(const struct ioranges *r, int mode, uint64_t offset, uint64_t len,
			     bool *missing)
{
	int res;

	if (*missing)
		return -EOPNOTSUPP;
	do {
		res = fallocate(r->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
	} while (res && errno == EINTR);
	if (!res)
		return 0;
	*missing = ioranges_lacks(errno);
	return *missing ? -EOPNOTSUPP : -errno;
}

static int ioranges_discard_device(struct ioranges *r, uint64_t offset, uint64_t len)
{
	uint64_t range[2] = { offset, len };
	int res;

	if (r->no_discard)
		return -EOPNOTSUPP;
	do {
		res = ioctl(r->fd, BLKDISCARD, range);
	} while (res && errno == EINTR);
	if (!res)
		return 0;
	r->no_discard = ioranges_lacks(errno);
	return r->no_discard ? -EOPNOTSUPP : -errno;
}

/* Discards the front of [offset, offset + len). Returns how many bytes are finished, or -errno. */
static int64_t ioranges_discard(struct ioranges *r, uint64_t offset, uint64_t len)
{
	int err = r->device_block
			  ? ioranges_discard_device(r, offset, len)
			  : ioranges_allocate(r, FALLOC_FL_PUNCH_HOLE, offset, len, &r->no_punch);

	return err && err != -EOPNOTSUPP ? err : (int64_t)len;
}

/* Writes zeros to the front of [offset, offset + len), up to the end of the image. Returns how many
 * bytes are finished (0 after a signal), or -errno. */
static int64_t ioranges_write_zeros(const struct ioranges *r, uint64_t offset, uint64_t len)
{
	off_t end = lseek(r->fd, 0, SEEK_END);
	size_t count = len < sizeof(zeros) ? len : sizeof(zeros);
	ssize_t n;

	if (end < 0)
		return -errno;
	if (offset >= (uint64_t)end)
		return (int64_t)len;
	if (count > (uint64_t)end - offset)
		count = (uint64_t)end - offset;
	n = pwrite(r->fd, zeros, count, (off_t)offset);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	/* O_DIRECT can continue only at an aligned position. */
	if ((size_t)n < count)
		n -= n % (ssize_t)r->direct_align;
	return n ? n : -EIO;
}

/* Zeroes the front of [offset, offset + len) in the fastest way that the host supports. Returns how
 * many bytes are finished, or -errno. */
static int64_t ioranges_zero(struct ioranges *r, uint64_t offset, uint64_t len, bool unmap)
{
	int err = -EOPNOTSUPP;

	/* On a block device fallocate accepts whole logical blocks only. */
	if (r->device_block && (offset | len) & (r->device_block - 1))
		return ioranges_write_zeros(r, offset, len);
	if (unmap)
		err = ioranges_allocate(r, FALLOC_FL_PUNCH_HOLE, offset, len, &r->no_punch);
	if (err == -EOPNOTSUPP)
		err = ioranges_allocate(r, FALLOC_FL_ZERO_RANGE, offset, len, &r->no_zero_range);
	if (err == -EOPNOTSUPP)
		return ioranges_write_zeros(r, offset, len);
	return err ? err : (int64_t)len;
}

/* Returns why the task must stop before its next step, or 0 to continue. */
static int ioranges_interruption(const struct ioranges *r)
{
	if (READ_ONCE(r->cancel))
		return -ECANCELED;
	return READ_ONCE(r->hold) ? IORANGES_PARKED : 0;
}

static int ioranges_run_range(struct ioranges *r, struct io_task *task, bool *stepped)
{
	const struct io_range *range = &task->range[task->range_at];
	uint64_t start = range->offset, end = range->offset + range->len;
	bool discards = task->op == IO_DISCARD;

	if (discards && r->device_block) {
		/* Only whole blocks are discarded. The rest keeps its data, which a discard
		 * permits. */
		start = (start + r->device_block - 1) & ~(uint64_t)(r->device_block - 1);
		end &= ~(uint64_t)(r->device_block - 1);
	}
	while (start + task->done < end) {
		uint64_t at = start + task->done;
		uint64_t len = end - at < STEP ? end - at : STEP;
		int why = *stepped ? IORANGES_PARKED : ioranges_interruption(r);
		int64_t n;

		if (why)
			return why;
		n = discards ? ioranges_discard(r, at, len)
			     : ioranges_zero(r, at, len, range->unmap);
		if (n < 0)
			return (int)n;
		task->done += (uint32_t)n;
		*stepped = r->stepwise;
	}
	return 0;
}

int ioranges_run(struct ioranges *r, struct io_task *task)
{
	bool stepped = false;

	while (task->range_at < task->range_count) {
		int err = ioranges_run_range(r, task, &stepped);

		if (err)
			return err;
		task->range_at++;
		task->done = 0;
	}
	/*
	 * Pairs with the barrier in ioengine_set_writethrough: either the flush of that function's
	 * caller covers the ranges processed here, or this thread reads `stable` as set and flushes
	 * itself.
	 */
	full_barrier();
	return READ_ONCE(r->stable) && fdatasync(r->fd) ? -errno : 0;
}
