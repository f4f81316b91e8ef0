/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: blkreq_parse, blkreq_finish, for reads, writes, flush, GET_ID and unknown types
 * Bounds: chains of up to 2 buffers of any length, anywhere, so that a complete request has one
 *   that is readable and one that is writable; any disk (capacity, read-only, cache mode) with
 *   blocks of 4096 bytes; any result
 * Properties: a transfer that is submitted lies inside of the disk, is a multiple of the block size
 *   and covers exactly the buffers between header and status byte; nothing is written to a
 *   read-only disk; the status byte is the last writable byte, stored once, outside of the data;
 *   used.len is at most the writable bytes, covers the status byte only behind all others, and is 0
 *   after an error
 * Section: 5.2.6, 2.7.4.1, 2.7.8.2
 */
#include <stdbool.h>
#include <stdint.h>

#define SHARED_ONLY
#define ON_STORE(at, len, order, value) stored(at, len, value)
#define ON_COPY_IN(copy, at, len)	copied_in(at, len)
#define ON_COPY_OUT(at, len)		copied_out(at, len)

static void stored(const void *at, uint64_t len, uint64_t value);
static void copied_in(const void *at, uint64_t len);
static void copied_out(const void *at, uint64_t len);

#include "tests/proof/proof.h"

#include "dataplane/blkreq.c"

#include "tests/proof/request.h"

static uint64_t header_bytes, id_bytes, header_sector;
static uint32_t header_type;
static unsigned int stores;

static void copied_in(const void *at, uint64_t len)
{
	prove(at == (const void *)byte_of(given, 0, out_count, header_bytes), "next byte");
	prove(len && byte_of(given, 0, out_count, header_bytes + len - 1) ==
			      (const char *)at + len - 1,
	      "within a buffer");
	header_bytes += len;
	prove(header_bytes <= HEADER, "no more than the header");
}

static void copied_out(const void *at, uint64_t len)
{
	prove(at == (const void *)byte_of(given, out_count, in_count, id_bytes), "next byte");
	id_bytes += len;
	prove(id_bytes < in_len && id_bytes <= BLKREQ_ID_BYTES, "the id spares the status byte");
}

static void stored(const void *at, uint64_t len, uint64_t value)
{
	prove(len == 1 && at == (const void *)byte_of(given, out_count, in_count, in_len - 1ull),
	      "the status byte is the last writable one");
	stores++;
}

static void submitted(void)
{
	bool read = task.op == IO_READ;
	uint64_t k = ANY(uint64_t);

	prove(task.op == req.kind && task.op <= IO_FLUSH, "an operation of this type");
	if (task.op == IO_FLUSH) {
		prove(!task.stable, "a flush is not a write");
		return;
	}
	prove(read || !disk.readonly, "no write to a read-only disk");
	prove(task.stable == (!read && disk.writethrough), "writethrough");
	prove(task.len && task.len == (read ? in_len - 1 : out_len - HEADER), "length");
	prove(task.len % disk.blk_size == 0 && task.offset % disk.blk_size == 0, "whole blocks");
	prove(task.offset <= disk.capacity && task.len <= disk.capacity - task.offset,
	      "inside of the disk");
	assume(k < task.len);
	prove(byte_of(task.iov, 0, task.iov_count, k) == byte_of(given, read ? out_count : 0,
								 read ? in_count : out_count,
								 read ? k : k + HEADER),
	      "byte k of the transfer is byte k of the data");
	prove(!byte_of(task.iov, 0, task.iov_count, task.len), "and no more");
}

static void request(void)
{
	enum blkreq_verdict verdict = blkreq_parse(&req, &disk, &task);
	int result = verdict == BLKREQ_DONE ? 0 : ANY(int);
	uint32_t used;

	if (verdict == BLKREQ_BROKEN) {
		prove(out_len < HEADER || !in_len, "broken only without header or status");
		prove(!stores && !id_bytes, "and nothing is written");
		return;
	}
	prove(header_bytes == HEADER, "the whole header, once");
	if (verdict == BLKREQ_SUBMIT)
		submitted();
	used = blkreq_finish(&req, result);
	prove(stores == 1, "one status byte");
	prove(used <= in_len, "used.len is at most the writable bytes");
	if (result || req.status_code)
		prove(used <= 1 && (!used || in_len == 1), "an error has written no data");
	else if (req.kind == BLKREQ_READ)
		prove(used == in_len, "a read has written all bytes");
	else if (req.kind == BLKREQ_GET_ID)
		prove(used == id_bytes + (id_bytes == in_len - 1ull), "the bytes of the id");
	else
		prove(used == (in_len == 1), "a write has written none but the status");
}

int main(void)
{
	request_any();
	/* blkreq_ranges.c has these. */
	disk.discard_max = disk.zeroes_max = 0;
	request();
}
