/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probes: static tracepoints (USDT) of the dataplane, provider "microvm".
 *
 * A tracepoint is a no-operation in the code, and an ELF note with its address and the locations of
 * its arguments. While no tracer is attached, it calls nothing. Two commands list the tracepoints:
 * bpftrace -l 'usdt:./microvm:*' and readelf -n. tools/trace has examples.
 *
 * Each tracepoint, its arguments and its event (tests/cli/insight reads this table):
 *
 *	pop	  disk, queue, head
 *		  A request was popped from the ring.
 *	parse	  disk, queue, head, kind, verdict
 *		  The request was validated. kind is an enum blkreq_kind, verdict an
 *		  enum blkreq_verdict; kind is undefined if the verdict is BLKREQ_BROKEN.
 *	submit	  disk, queue, head, op, offset, bytes
 *		  The request goes to the engine. op is an enum io_op; offset and bytes are
 *		  undefined for a flush, discard or write zeroes.
 *	complete  disk, queue, head, op, result
 *		  The engine has finished the request. result is 0 or -errno.
 *	push	  disk, queue, head, result
 *		  The request is completed to the driver. result is 0 or -errno; it is 0 also for a
 *		  request that was refused without I/O.
 *	notify	  disk, queue, interrupt
 *		  Used elements were published. interrupt is 1 if an interrupt follows.
 *	broken	  disk, queue, why
 *		  The driver broke a rule of the ring; why is the reason.
 *	reset	  disk, queue
 *		  The ring is no longer served, and no request is in flight.
 *
 * disk, the path of the image (struct blkplane_config, name), and why are strings; all other
 * arguments are numbers. disk, queue and head identify a request from pop to push. Requests of a
 * broken ring have no push.
 */
#ifndef DATAPLANE_PROBES_H
#define DATAPLANE_PROBES_H

#include <sys/sdt.h>

/* A tracepoint of plane p. The number in the name is the number of arguments behind disk and
 * queue. */
#define PROBE(probe, p)	     DTRACE_PROBE2(microvm, probe, (p)->config.name, (p)->config.queue)
#define PROBE_1(probe, p, a) DTRACE_PROBE3(microvm, probe, (p)->config.name, (p)->config.queue, a)
#define PROBE_2(probe, p, a, b) \
	DTRACE_PROBE4(microvm, probe, (p)->config.name, (p)->config.queue, a, b)
#define PROBE_3(probe, p, a, b, c) \
	DTRACE_PROBE5(microvm, probe, (p)->config.name, (p)->config.queue, a, b, c)
#define PROBE_4(probe, p, a, b, c, d) \
	DTRACE_PROBE6(microvm, probe, (p)->config.name, (p)->config.queue, a, b, c, d)

#endif
