/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/host.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "dataplane/evloop.h"
#include "tests/fuzz/cut.h"
#include "tests/fuzz/host_progress.h"
#include "tests/fuzz/host_ranges.h"
#include "tests/fuzz/poison.h"

__typeof__(blkplane_start) __real_blkplane_start, __wrap_blkplane_start;
__typeof__(blkplane_stop) __real_blkplane_stop, __wrap_blkplane_stop;
__typeof__(evloop_wake) __real_evloop_wake, __wrap_evloop_wake;
__typeof__(evloop_turn) __real_evloop_turn, __wrap_evloop_turn;
__typeof__(evloop_request) __real_evloop_request, __wrap_evloop_request;
__typeof__(vring_pop) __real_vring_pop, __wrap_vring_pop;
__typeof__(vring_push) __real_vring_push, __wrap_vring_push;
__typeof__(vring_fail) __real_vring_fail, __wrap_vring_fail;
__typeof__(hostmem_map) __real_hostmem_map, __wrap_hostmem_map;
__typeof__(ioengine_prep) __real_ioengine_prep, __wrap_ioengine_prep;
__typeof__(ioengine_run) __real_ioengine_run, __wrap_ioengine_run;
__typeof__(ioengine_segment_done) __real_ioengine_segment_done, __wrap_ioengine_segment_done;
__typeof__(preadv) __real_preadv, __wrap_preadv;
__typeof__(pwritev2) __real_pwritev2, __wrap_pwritev2;
__typeof__(io_submit) __real_io_submit, __wrap_io_submit;
__typeof__(io_getevents) __real_io_getevents, __wrap_io_getevents;

/*
 * Members are changed by the dataplane thread while one runs, else by the fuzzer's; some are
 * atomic.
 */
static struct {
	struct host_case c;
	uint32_t dice;
	bool wrote;

	struct ioengine *engine;
	uint32_t align;
	size_t bounce_size, pool_size;
	bool used_pool; /* the pool may contain other bytes than poison */
	bool tempted;	/* a short read has left poison in a bounce buffer */
	uint16_t ring_size;
	unsigned int in_kernel;
	uint32_t in_len[VRING_MAX_SIZE];
	bool popped[VRING_MAX_SIZE];
	unsigned int flying, pops; /* pops since the last turn */
	bool running, broken;
	/* Numbers of a plane's life: the thread may record a stop only after the next start. */
	unsigned int life, stop_called, has_to_stop;
} host;
static __thread bool stopping; /* this thread stops a plane */

/* ---- poison ---- */

static bool in_pool(const struct iovec *iov)
{
	uintptr_t offset = (uintptr_t)iov->iov_base - (uintptr_t)host.engine->bounce_pool;

	return offset < host.pool_size && offset % host.bounce_size == 0 &&
	       iov->iov_len <= host.bounce_size;
}

static void poison_buffers(const struct iovec *iov, unsigned int count)
{
	if (count == 1 && in_pool(iov)) {
		memcpy(iov->iov_base, poison, host.bounce_size);
		host.used_pool = true;
	}
}

/* Buffers are freed in any order, so their distance is determined while the pool is new. */
static void adopt_engine(struct ioengine *e)
{
	fuzz_must(e->in_flight == 0 && e->bounce_free > 1);
	if (!host.bounce_size)
		host.bounce_size =
			(size_t)((char *)e->bounce_stack[1] - (char *)e->bounce_stack[0]);
	host.align = e->config.direct_align;
	fuzz_must((host.align > 1) == !!(fcntl(e->config.fd, F_GETFL) & O_DIRECT));
	host.pool_size = host.bounce_size * e->bounce_free;
	host.used_pool |= host.engine != e;
	host.engine = e;
	if (!host.used_pool)
		return;
	for (size_t at = 0; at < host.pool_size; at += host.bounce_size)
		memcpy(e->bounce_pool + at, poison, host.bounce_size);
	host.used_pool = false;
}

/* ---- the case ---- */

void host_begin(const struct host_case *c)
{
	poison_make();
	host.c = *c;
	host.dice = c->faults;
	host.wrote = false;
	host_expect_empty_turns(c->racing);
	ranges_begin(c);
}

bool host_wrote(void)
{
	return host.wrote;
}

/* Returns true once in `n` times, if the host may fail at all. */
static bool refuses(unsigned int n)
{
	if (!host.c.faults)
		return false;
	host.dice ^= host.dice << 13;
	host.dice ^= host.dice >> 17;
	host.dice ^= host.dice << 5;
	return host.dice % n == 0;
}

/* ---- the plane ---- */

int __wrap_blkplane_start(struct blkplane **plane, const struct blkplane_config *config)
{
	int err;

	fuzz_must(config->disk.capacity == host.c.capacity &&
		  config->disk.readonly == host.c.readonly);
	fuzz_must(!host.running); /* one thread per disk, however often it is activated */
	adopt_engine(config->engine);
	host.ring_size = config->ring.size;
	memset(host.popped, 0, sizeof(host.popped));
	host.flying = host.pops = 0;
	progress_start(config);
	host.broken = false;
	host.life++;
	err = __real_blkplane_start(plane, config);
	host.running = !err;
	return err;
}

void __wrap_blkplane_stop(struct blkplane *plane)
{
	stopping = plane;
	__real_blkplane_stop(plane);
	stopping = false;
	if (!plane)
		return;
	host.running = false;
	fuzz_must(!host.in_kernel && !host.engine->in_flight && !host.engine->queued.head &&
		  !host.engine->bounce_waiters.head && !host.engine->finished.head);
	fuzz_must(host.engine->bounce_free * host.bounce_size == host.pool_size);
	fuzz_must(host.broken || !host.flying);
}

/* Called by the thread that calls the dataplane's thread: the call is queued by now. */
void __wrap_evloop_wake(struct evloop *loop)
{
	if (stopping)
		STORE_RELEASE(host.stop_called, host.life);
	progress_woken();
	__real_evloop_wake(loop);
}

void __wrap_evloop_turn(struct evloop *loop, bool wait)
{
	if (progress_turn(loop, wait)) {
		/* The thread reads its calls directly after this turn. */
		host.has_to_stop = LOAD_ACQUIRE(host.stop_called);
		host.pops = 0;
	}
	__real_evloop_turn(loop, wait);
}

int __wrap_vring_pop(struct vring_dev *vr, struct vring_chain *chain)
{
	int got;

	fuzz_must(!host.broken && host.has_to_stop != host.life);
	got = __real_vring_pop(vr, chain);
	host.broken = got < 0;
	if (got <= 0)
		return got;
	fuzz_must(++host.pops <= host.ring_size);
	fuzz_must(chain->head < host.ring_size && !host.popped[chain->head]);
	host.popped[chain->head] = true;
	host.in_len[chain->head] = chain->in_len;
	host.flying++;
	progress_made();
	return got;
}

void __wrap_vring_push(struct vring_dev *vr, uint16_t head, uint32_t written)
{
	fuzz_must(head < host.ring_size && host.popped[head] && written <= host.in_len[head]);
	host.popped[head] = false;
	host.flying--;
	progress_made();
	__real_vring_push(vr, head, written);
}

/* Breaks the ring for a reason other than vring_pop's. */
int __wrap_vring_fail(struct vring_dev *vr, const char *why)
{
	host.broken = true;
	return __real_vring_fail(vr, why);
}

int __wrap_hostmem_map(const struct hostmem *mem, uint64_t gpa, uint64_t len, bool write,
		       struct iovec *iov, unsigned int max)
{
	if (host.c.between)
		host.c.between();
	return __real_hostmem_map(mem, gpa, len, write, iov, max);
}

static void check_task(const struct ioengine *e, const struct io_task *task)
{
	uint64_t sum = 0;

	fuzz_must(e->in_flight < e->config.depth);
	if (task->op > IO_FLUSH) {
		ranges_check(task);
		host.wrote = true;
	}
	if (task->op >= IO_FLUSH)
		return;
	fuzz_must(task->len && range_inside(task->offset, task->len, host.c.capacity));
	for (unsigned int i = 0; i < task->iov_count; i++) {
		fuzz_must(guest_has(host.c.guest, task->iov[i].iov_base, task->iov[i].iov_len));
		sum += task->iov[i].iov_len;
	}
	fuzz_must(sum == task->len);
}

void __wrap_ioengine_prep(struct ioengine *e, struct io_task *task)
{
	check_task(e, task);
	__real_ioengine_prep(e, task);
}

void __wrap_ioengine_run(struct ioengine *e, struct io_task *task)
{
	check_task(e, task);
	__real_ioengine_run(e, task);
}

/* ---- I/O ---- */

/* Checks a transfer, and returns its length in bytes. */
static uint64_t check_io(int fd, const struct iovec *iov, unsigned int count, int64_t offset,
			 bool write)
{
	uint64_t sum = 0, mask = host.align - 1;

	/* Leaked poison may be overwritten soon, but a guest could read it before. */
	fuzz_must(!host.tempted || !host_poisoned(host.c.guest->mem, GUEST_SPAN));
	host.tempted = false;

	fuzz_must(fd == host.engine->config.fd && offset >= 0 && !((uint64_t)offset & mask));
	for (unsigned int i = 0; i < count; i++) {
		fuzz_must(guest_has(host.c.guest, iov[i].iov_base, iov[i].iov_len) ||
			  (count == 1 && in_pool(iov)));
		fuzz_must(!(((uintptr_t)iov[i].iov_base | iov[i].iov_len) & mask));
		sum += iov[i].iov_len;
	}
	fuzz_must(sum && range_inside((uint64_t)offset, sum, host.c.capacity));
	fuzz_must(!write || !host.c.readonly);
	host.wrote |= write;
	if (write && count == 1 && in_pool(iov))
		host.used_pool = true;
	if (!write)
		poison_buffers(iov, count);
	return sum;
}

/* Shortens a transfer to an aligned length, as O_DIRECT requires. */
static struct cut cut_short(struct iovec *iov, unsigned int *count, uint64_t sum)
{
	struct cut cut = cut_to(iov, count, (host.dice >> 8) % sum / host.align * host.align);

	host.tempted |= cut.last != NULL;
	return cut;
}

static ssize_t transfer(int fd, const struct iovec *iov, int iov_count, off_t offset, bool write,
			int flags)
{
	unsigned int count = (unsigned int)iov_count;
	uint64_t sum = check_io(fd, iov, count, offset, write);
	struct cut cut = { .count = count };
	ssize_t res;

	if (refuses(16))
		return refuse(host.dice & 0x100 ? EINTR : write ? ENOSPC : EIO);
	if (refuses(16))
		return 0;
	if (refuses(8))
		cut = cut_short((struct iovec *)iov, &count, sum);
	res = write ? __real_pwritev2(fd, iov, (int)count, offset, flags)
		    : __real_preadv(fd, iov, (int)count, offset);
	uncut(&cut, &count);
	return res;
}

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	return transfer(fd, iov, count, offset, false, 0);
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return transfer(fd, iov, count, offset, true, flags);
}

static bool is_transfer(const struct iocb *cb)
{
	return cb->aio_lio_opcode == IO_CMD_PREADV || cb->aio_lio_opcode == IO_CMD_PWRITEV;
}

static uint64_t check_iocb(const struct iocb *cb)
{
	fuzz_must(is_transfer(cb) || cb->aio_lio_opcode == IO_CMD_FDSYNC);
	if (!is_transfer(cb))
		return 0;
	return check_io((int)cb->aio_fildes, cb->u.c.buf, (unsigned int)cb->u.c.nbytes,
			cb->u.c.offset, cb->aio_lio_opcode == IO_CMD_PWRITEV);
}

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb **list)
{
	unsigned int count = 0;
	struct cut cut;
	uint64_t sum = 0;
	int n;

	fuzz_must(nr > 0 && host.in_kernel + (unsigned long)nr <= host.engine->config.depth);
	if (refuses(16))
		return host.dice & 0x100 ? -EAGAIN : host.dice & 0x200 ? -EINTR : -EIO;
	if (nr > 1 && refuses(8))
		nr = 1 + (host.dice >> 8) % (unsigned long)(nr - 1);
	for (long i = nr - 1; i >= 0; i--)
		sum = check_iocb(list[i]);
	if (sum && refuses(8)) {
		count = (unsigned int)list[0]->u.c.nbytes;
		cut = cut_short(list[0]->u.c.buf, &count, sum);
		list[0]->u.c.nbytes = count;
		n = __real_io_submit(ctx, nr, list);
		uncut(&cut, &count);
		list[0]->u.c.nbytes = count;
	} else {
		n = __real_io_submit(ctx, nr, list);
	}
	host.in_kernel += n > 0 ? (unsigned int)n : 0;
	return n;
}

int __wrap_io_getevents(io_context_t ctx, long min, long nr, struct io_event *events,
			struct timespec *timeout)
{
	int n;

	fuzz_must(min == 0);
	if (refuses(16))
		return -EINTR;
	n = __real_io_getevents(ctx, min, nr, events, timeout);
	for (int i = 0; i < n; i++) {
		const struct iocb *cb = events[i].obj;

		host.in_kernel--;
		if (!refuses(16))
			continue;
		events[i].res = (unsigned long)-EIO;
		if (cb->aio_lio_opcode == IO_CMD_PREADV)
			poison_buffers(cb->u.c.buf, (unsigned int)cb->u.c.nbytes);
	}
	return n;
}

/* ---- io_uring ---- */

static void (*real_done)(struct ev_request *request, int res);

/* Each request completes once in the ring, also one that is submitted again after a signal. */
static void count_done(struct ev_request *request, int res)
{
	host.in_kernel--;
	real_done(request, res);
}

void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request)
{
	bool write = sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_WRITEV;
	bool vector = sqe->opcode == IORING_OP_READV || sqe->opcode == IORING_OP_WRITEV;
	const struct iovec one = { (void *)(uintptr_t)sqe->addr, sqe->len };
	const uint8_t flags = sqe->flags; /* the ring has one file */

	fuzz_must(++host.in_kernel <= host.engine->config.depth);
	fuzz_must(sqe->fd == (flags & IOSQE_FIXED_FILE ? 0 : host.engine->config.fd));
	if (sqe->opcode == IORING_OP_FSYNC) {
		/* No real flush, as in fdatasync: this is the cheapest operation of the ring. */
		io_uring_prep_read(sqe, sqe->fd, NULL, 0, 0);
		sqe->flags = flags;
	} else {
		fuzz_must(write || vector || sqe->opcode == IORING_OP_READ);
		check_io(host.engine->config.fd, vector ? one.iov_base : &one,
			 vector ? sqe->len : 1, (int64_t)sqe->off, write);
	}
	real_done = request->done;
	request->done = count_done;
	__real_evloop_request(sqe, request);
}

/* Makes completions of io_uring short or failed; other engines' system calls have been wrapped. */
void __wrap_ioengine_segment_done(struct ioengine *e, struct io_task *task, int64_t res)
{
	progress_made();
	if (e->ops != &ioengine_uring) {
		__real_ioengine_segment_done(e, task, res);
		return;
	}
	if (res > 0 && refuses(8)) {
		res = (int64_t)((host.dice >> 8) % (uint64_t)res / host.align * host.align);
		host.tempted = true;
	} else if (refuses(16)) {
		res = host.dice & 0x100 ? -EINTR : task->op == IO_READ ? -EIO : -ENOSPC;
	}
	__real_ioengine_segment_done(e, task, res);
}
