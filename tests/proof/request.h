/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request: any request of a driver, as vring_pop returns it: up to BUFFERS buffers of any length
 * anywhere in guest RAM, and any disk. blkreq.c must be included before.
 */
#ifndef PROOF_REQUEST_H
#define PROOF_REQUEST_H

#ifndef BLOCK
#define BLOCK 4096
#endif
#ifndef BUFFERS
#define BUFFERS 3
#endif
#define HEADER sizeof(struct virtio_blk_outhdr)

static struct blkreq req;
static struct blkreq_disk disk;
static struct io_task task;
static struct iovec iov[BUFFERS], given[BUFFERS];
static unsigned int out_count, in_count;
static uint32_t out_len, in_len;

/* Returns the address of byte k of buffers [first, first + count), or NULL when there is none. */
static const char *byte_of(const struct iovec *list, unsigned int first, unsigned int count,
			   uint64_t k)
{
	for (unsigned int i = first; i < BUFFERS && i < first + count; i++) {
		if (k < list[i].iov_len)
			return (const char *)list[i].iov_base + k;
		k -= list[i].iov_len;
	}
	return NULL;
}

static uint64_t any_buffers(unsigned int first, unsigned int count)
{
	uint64_t sum = 0;

	for (unsigned int i = first; i < BUFFERS && i < first + count; i++) {
		uint64_t at = ANY(uint64_t), len = ANY(uint64_t);

		assume(len && len <= UINT32_MAX && at <= shared[0].size - len);
		given[i].iov_base = shared[0].base + at;
		given[i].iov_len = len;
		sum += len;
	}
	return sum;
}

static void request_any(void)
{
	uint64_t out, in;

	shared_create(0, ANY(uint64_t), false);
	assume(shared[0].size >= 1ull << 33 && shared[0].size <= 1ull << 46);
	out_count = ANY(unsigned int);
	in_count = ANY(unsigned int);
	assume(out_count <= BUFFERS && in_count <= BUFFERS && out_count + in_count <= BUFFERS);
	out = any_buffers(0, out_count);
	in = any_buffers(out_count, in_count);
	/* vring_pop has no longer chains (split_pop.c). */
	assume(out + in <= UINT32_MAX);
	out_len = (uint32_t)out;
	in_len = (uint32_t)in;
	for (unsigned int i = 0; i < BUFFERS; i++)
		iov[i] = given[i];
	req = ANY(struct blkreq);
	req.chain = (struct vring_chain){ .iov = iov,
					  .capacity = BUFFERS,
					  .out_count = out_count,
					  .in_count = in_count,
					  .out_len = out_len,
					  .in_len = in_len };
	disk.capacity = ANY(uint64_t);
	disk.readonly = ANY(bool);
	disk.writethrough = ANY(bool);
	assume(disk.capacity % BLKREQ_SECTOR == 0 && disk.capacity < 1ull << 63);
	disk.blk_size = BLOCK;
}

#endif
