/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/host_ranges.h"

#include <fcntl.h>
#include <unistd.h>

#include "dataplane/base.h"

__typeof__(fdatasync) __real_fdatasync, __wrap_fdatasync;
__typeof__(fallocate) __real_fallocate, __wrap_fallocate;
__typeof__(pwrite) __real_pwrite, __wrap_pwrite;

static uint64_t capacity;
static bool readonly;
static uint32_t dice; /* atomic; 0: the host refuses nothing */

void ranges_begin(const struct host_case *c)
{
	capacity = c->capacity;
	readonly = c->readonly;
	__atomic_store_n(&dice, c->faults, __ATOMIC_RELAXED);
}

/* Chooses among `n` results, mostly the first; *bits gets random bits for further choices. */
static bool refuses(uint32_t n, uint32_t *bits)
{
	uint32_t now;

	if (!READ_ONCE(dice))
		return false;
	now = __atomic_add_fetch(&dice, 0x9e3779b9, __ATOMIC_RELAXED) | 1;
	*bits = now * 0x85ebca6bu >> 8;
	return *bits % n == 0;
}

void ranges_check(const struct io_task *task)
{
	fuzz_must(!readonly && task->range_count && task->range_count <= IO_RANGES_MAX);
	for (unsigned int i = 0; i < task->range_count; i++)
		fuzz_must(task->range[i].len &&
			  range_inside(task->range[i].offset, task->range[i].len, capacity));
}

/* Replaces the real call: there is no power loss to survive, and file systems are slow. */
int __wrap_fdatasync(int fd)
{
	uint32_t bits;

	fuzz_must(fd >= 0);
	return refuses(8, &bits) ? refuse(EIO) : 0;
}

static const int errors[] = { EINTR, EINTR, ENOSPC, EIO, EOPNOTSUPP };

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	uint32_t bits;

	fuzz_must(!readonly && mode & FALLOC_FL_KEEP_SIZE);
	fuzz_must(offset >= 0 && len > 0 &&
		  range_inside((uint64_t)offset, (uint64_t)len, capacity));
	if (refuses(8, &bits))
		return refuse(errors[bits / 8 % ARRAY_SIZE(errors)]);
	return __real_fallocate(fd, mode, offset, len);
}

/* Accepts only zeros. */
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	uint32_t bits;

	fuzz_must(offset >= 0 && len && range_inside((uint64_t)offset, len, capacity));
	fuzz_must(!readonly && !*(const char *)data &&
		  !memcmp(data, (const char *)data + 1, len - 1));
	if (refuses(8, &bits))
		return bits & 8 ? refuse(bits & 16 ? EINTR : EIO) : (ssize_t)0;
	if (refuses(8, &bits) && len > 512)
		len = 512;
	return __real_pwrite(fd, data, len, offset);
}
