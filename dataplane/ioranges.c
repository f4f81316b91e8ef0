/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/ioranges.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/fs.h>

#include "dataplane/base.h"
#include "dataplane/io_task.h"
#include "dataplane/overlay.h"

/* Longest step in bytes. A cancellation or a hold takes effect between two steps. */
#define STEP (128u << 20)
/* Most bytes that are claimed at a time: writes to them wait. */
#define HIDDEN_MAX (16u << 20)

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

/* Writes `count` bytes at `offset`. Returns how many of them are finished (0 after a signal), or
 * -errno. */
static int64_t ioranges_write(const struct ioranges *r, const char *data, size_t count,
			      uint64_t offset)
{
	ssize_t n = pwrite(r->fd, data, count, (off_t)offset);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	/* O_DIRECT can continue only at an aligned position. */
	if ((size_t)n < count)
		n -= n % (ssize_t)r->direct_align;
	return n ? n : -EIO;
}

/* Writes zeros to the front of [offset, offset + len), up to the end of the image. Returns how many
 * bytes are finished (0 after a signal), or -errno. */
static int64_t ioranges_write_zeros(const struct ioranges *r, uint64_t offset, uint64_t len)
{
	off_t end = lseek(r->fd, 0, SEEK_END);
	size_t count = len < sizeof(zeros) ? len : sizeof(zeros);

	if (end < 0)
		return -errno;
	if (offset >= (uint64_t)end)
		return (int64_t)len;
	if (count > (uint64_t)end - offset)
		count = (uint64_t)end - offset;
	return ioranges_write(r, zeros, count, offset);
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

/* ---- ephemeral disks ---- */

/* Reads a block of the base, with zeros beyond the end of the base. Returns 0 or -errno. */
static int ioranges_read_base(const struct ioranges *r, char *buffer, uint64_t block)
{
	size_t done = 0;
	ssize_t n;

	do {
		struct iovec rest = { buffer + done, OVERLAY_BLOCK - done };

		n = preadv(r->base_fd, &rest, 1, (off_t)(block * OVERLAY_BLOCK + done));
		if (n > 0)
			done += (size_t)n;
		/* A short read up to a position that O_DIRECT cannot continue at has met the end. */
	} while ((n > 0 && done < OVERLAY_BLOCK && done % r->direct_align == 0) ||
		 (n < 0 && errno == EINTR));
	memset(buffer + done, 0, OVERLAY_BLOCK - done);
	return n < 0 ? -errno : 0;
}

/* Copies a claimed block, with zeros in place of the `len` bytes at position `from` in it. Returns 0
 * or -errno. */
static int ioranges_copy_zeroed(const struct ioranges *r, uint64_t block, uint32_t from,
				uint32_t len)
{
	/* Aligned by hand for O_DIRECT, because sanitizers do not keep a larger alignment. */
	char room[2 * OVERLAY_BLOCK];
	char *buffer = room + (-(uintptr_t)room & (OVERLAY_BLOCK - 1));
	int64_t n = ioranges_read_base(r, buffer, block);

	memset(buffer + from, 0, len);
	for (uint32_t done = 0; n >= 0 && done < OVERLAY_BLOCK; done += (uint32_t)n) {
		n = ioranges_write(r, buffer + done, OVERLAY_BLOCK - done,
				   block * OVERLAY_BLOCK + done);
		if (n < 0)
			break;
	}
	return n < 0 ? (int)n : 0;
}

/* Makes a hole of claimed blocks, or writes zeros to them. Returns 0 or -errno. */
static int ioranges_zero_claimed(struct ioranges *r, uint64_t offset, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		int64_t n = ioranges_zero(r, offset + done, len - done, true);

		if (n < 0)
			return (int)n;
		done += (uint64_t)n;
	}
	return 0;
}

/* Hides unwritten blocks of the base, or a part of one, at the front of [at, at + len). Returns 0, or
 * why the task must stop. *n is how many bytes are finished. */
static int ioranges_hide(struct ioranges *r, struct io_task *task, uint64_t at, uint64_t len,
			 int64_t *n)
{
	uint64_t block = at / OVERLAY_BLOCK;
	uint32_t before = at % OVERLAY_BLOCK;
	bool partial = before || len < OVERLAY_BLOCK, hidden = true;
	unsigned int count = partial ? 1 : (unsigned int)(len / OVERLAY_BLOCK);
	int err;

	if (partial && len > OVERLAY_BLOCK - before)
		len = OVERLAY_BLOCK - before;
	*n = (int64_t)len;
	if (partial && task->op == IO_DISCARD)
		return 0;
	task->awaited = block;
	count = overlay_claim(r->overlay, block, count);
	if (!count)
		return IORANGES_BLOCKED;
	if (partial) {
		err = ioranges_copy_zeroed(r, block, before, (uint32_t)len);
	} else if (task->op == IO_DISCARD) {
		*n = (int64_t)count * OVERLAY_BLOCK;
		err = ioranges_allocate(r, FALLOC_FL_PUNCH_HOLE, at, (uint64_t)*n, &r->no_punch);
		hidden = err != -EOPNOTSUPP;
		err = hidden ? err : 0;
	} else {
		*n = (int64_t)count * OVERLAY_BLOCK;
		err = ioranges_zero_claimed(r, at, (uint64_t)*n);
	}
	overlay_end_claim(r->overlay, block, count, hidden && !err);
	return err;
}

/* ---- tasks ---- */

/* Processes the front of [at, at + len), which is a step at most. Returns 0, or why the task must
 * stop. *n is how many bytes are finished. */
static int ioranges_step(struct ioranges *r, struct io_task *task, uint64_t at, uint64_t len,
			 bool unmap, int64_t *n)
{
	bool written = true;

	if (r->overlay) {
		uint32_t before = at % OVERLAY_BLOCK;
		uint64_t blocks = (before + len + OVERLAY_BLOCK - 1) / OVERLAY_BLOCK;
		uint64_t run =
			overlay_run(r->overlay, at / OVERLAY_BLOCK, (unsigned int)blocks, &written);

		if (run * OVERLAY_BLOCK - before < len)
			len = run * OVERLAY_BLOCK - before;
	}
	if (!written)
		return ioranges_hide(r, task, at, len < HIDDEN_MAX ? len : HIDDEN_MAX, n);
	*n = task->op == IO_DISCARD ? ioranges_discard(r, at, len)
				    : ioranges_zero(r, at, len, unmap);
	return *n < 0 ? (int)*n : 0;
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
		int64_t n = 0;

		if (!why)
			why = ioranges_step(r, task, at, len, range->unmap, &n);
		if (why)
			return why;
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
