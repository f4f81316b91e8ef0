/* SPDX-License-Identifier: BSD-3-Clause */
/* evloop_ring: set-up of the io_uring instance of an event loop. */
#include <errno.h>

#include "dataplane/base.h"
#include "dataplane/evloop_parts.h"

/* Submission queue entries for the requests that are prepared between two turns; a full queue is
 * submitted early. */
#define SQ_ENTRIES 128
/* Completion queue entries. The kernel buffers completions that find the queue full. */
#define CQ_ENTRIES 1024
/* Size of the table of registered files. A thread serves one disk, which has at most 16 queues, and
 * each queue registers the image, or both files of an ephemeral disk. The kernel refuses a table
 * larger than RLIMIT_NOFILE. */
#define FILES 32

/* Creates a disabled ring; the thread that enables it becomes its single issuer. */
static int create(struct io_uring *ring, unsigned int flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED | flags,
		.cq_entries = CQ_ENTRIES,
	};

	return io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
}

/* Creates a ring for a single issuer with deferred task work: the kernel need not synchronise with
 * other threads, and runs completions only when asked to. */
static int create_owned(struct io_uring *ring)
{
	int err = create(ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
				       IORING_SETUP_TASKRUN_FLAG);

	return err == -EINVAL ? create(ring, 0) : err; /* Linux before 6.1 */
}

/*
 * Tries io_uring_enter once: a host may allow io_uring_setup and refuse this call, for example by a
 * seccomp policy that lists the calls it knows. The call has no effect on a disabled ring, which
 * answers EBADFD.
 */
static int try_enter(const struct io_uring *ring)
{
	int res = io_uring_enter((unsigned int)ring->ring_fd, 0, 0, 0, NULL);

	return res == -EBADFD ? 0 : res;
}

/*
 * Registers a table of empty file slots. Linux before 5.19 does not support empty slots; the loop
 * then registers no files. This calls io_uring_register directly, because liburing's function calls
 * prlimit64 where the table is larger than RLIMIT_NOFILE, and the seccomp filter forbids that call.
 */
static void register_file_table(struct evloop *loop)
{
	struct io_uring_rsrc_register table = { .nr = FILES, .flags = IORING_RSRC_REGISTER_SPARSE };

	if (io_uring_register((unsigned int)loop->ring.ring_fd, IORING_REGISTER_FILES2, &table,
			      sizeof(table)))
		loop->files = FILES;
}

int evloop_create_ring(struct evloop *loop)
{
	int err = create_owned(&loop->ring);

	if (err)
		return err;
	err = try_enter(&loop->ring);
	if (err)
		io_uring_queue_exit(&loop->ring);
	else
		register_file_table(loop);
	return err;
}

void evloop_restrict(struct evloop *loop)
{
	static const uint8_t requests[] = {
		IORING_OP_READ,	 IORING_OP_WRITE,    IORING_OP_READV,	     IORING_OP_WRITEV,
		IORING_OP_FSYNC, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
	};
	static const uint8_t calls[] = {
		IORING_REGISTER_ENABLE_RINGS,
		IORING_REGISTER_FILES_UPDATE,
		IORING_REGISTER_RING_FDS,
		IORING_UNREGISTER_RING_FDS,
	};
	struct io_uring_restriction list[ARRAY_SIZE(requests) + ARRAY_SIZE(calls) + 1] = { 0 };
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
		list[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_OP,
							   .sqe_op = requests[i] };
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++)
		list[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_REGISTER_OP,
							   .register_op = calls[i] };
	list[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
						   .sqe_flags = IOSQE_FIXED_FILE };
	/* The shared liburing of Debian 12 does not export io_uring_register_restrictions(). */
	if (loop->kind == EVLOOP_URING)
		io_uring_register((unsigned int)loop->ring.ring_fd, IORING_REGISTER_RESTRICTIONS,
				  list, n);
}

int evloop_register_file(struct evloop *loop, int fd)
{
	int n;

	if (loop->files == FILES)
		return -ENFILE;
	n = io_uring_register_files_update(&loop->ring, loop->files, &fd, 1);
	if (n < 0)
		return n;
	return (int)loop->files++;
}
