/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probes: static tracepoints (USDT) of the dataplane, provider "microvm": a no-operation each, and a note in the
 * program that says where it is and where its arguments are; nothing is called while nobody is attached.
 * bpftrace -l 'usdt:./microvm:*' and readelf -n list them; tools/trace has examples.
 *
 *	pop	  disk, queue, head			a request has been taken off the ring
 *	parse	  disk, queue, head, kind, verdict	it has been judged: enum blkreq_kind (of no meaning where the
 *							verdict is BLKREQ_BROKEN), enum blkreq_verdict
 *	submit	  disk, queue, head, op, offset, bytes	it is given to the engine: enum io_op; a flush, discard
 *							or zeroes has neither offset nor bytes
 *	complete  disk, queue, head, op, result		the engine has done it: 0, or -errno
 *	push	  disk, queue, head, result		it is told to the driver: 0, or -errno; refused ones have 0
 *	notify	  disk, queue, interrupt		used elements are there to be seen; 1: and an interrupt is raised
 *	broken	  disk, queue, why			the driver broke its ring; why: a text
 *	reset	  disk, queue				the ring is not served any more, and nothing is in flight
 *
 * disk is a text, the image's path (struct blkplane_config, name); all but it and why are numbers. A request is
 * known by disk, queue and head from pop to push; a broken ring's requests have no push.
 */
#ifndef DATAPLANE_PROBES_H
#define DATAPLANE_PROBES_H

#include <sys/sdt.h>

/* Of a plane; what follows are the arguments behind disk and queue. */
#define PROBE(probe, p)	     DTRACE_PROBE2(microvm, probe, (p)->config.name, (p)->config.queue)
#define PROBE_1(probe, p, a) DTRACE_PROBE3(microvm, probe, (p)->config.name, (p)->config.queue, a)
#define PROBE_2(probe, p, a, b) \
	DTRACE_PROBE4(microvm, probe, (p)->config.name, (p)->config.queue, a, b)
#define PROBE_3(probe, p, a, b, c) \
	DTRACE_PROBE5(microvm, probe, (p)->config.name, (p)->config.queue, a, b, c)
#define PROBE_4(probe, p, a, b, c, d) \
	DTRACE_PROBE6(microvm, probe, (p)->config.name, (p)->config.queue, a, b, c, d)

#endif
