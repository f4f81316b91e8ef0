/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/boot/reader.h"

#include <errno.h>

#include "dataplane/base.h"

/* Bytes per read. Pieces are aligned to it, so that no two threads touch the same huge page: one
 * thread's page fault would block the other. */
#define PIECE	     (2u << 20)
#define THREAD_STACK (128u << 10)

int bootread_add(struct bootread *r, const struct bootread_part *part)
{
	if (!part->len)
		return 0;
	if (r->count == BOOTREAD_MAX)
		return -E2BIG;
	r->part[r->count++] = *part;
	return 0;
}

int bootread_add_file(const struct arch_boot_config *config, enum arch_boot_part what,
		      const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t len)
{
	struct bootread_part part = { what, *file, offset,
				      hostmem_lookup(config->mem, gpa, len, true), len };

	return part.to ? bootread_add(config->read, &part) : -EFAULT;
}

/* Take the next piece to read. False: nothing is left, or a read has failed. */
static bool take(struct bootread *r, struct bootread_part *piece)
{
	bool any;

	pthread_mutex_lock(&r->lock);
	any = r->next < r->count && !r->err;
	if (any) {
		struct bootread_part *part = &r->part[r->next];
		uint64_t len = PIECE - (uintptr_t)part->to % PIECE;

		*piece = *part;
		if (len < part->len)
			piece->len = len;
		part->offset += piece->len;
		part->to += piece->len;
		part->len -= piece->len;
		if (!part->len)
			r->next++;
	}
	pthread_mutex_unlock(&r->lock);
	return any;
}

static void fail(struct bootread *r, int err, enum arch_boot_part what)
{
	pthread_mutex_lock(&r->lock);
	if (!r->err) {
		r->err = err;
		r->failed = what;
	}
	pthread_mutex_unlock(&r->lock);
}

static void *read_pieces(void *arg)
{
	struct bootread *r = arg;
	struct bootread_part piece;

	while (take(r, &piece)) {
		int err = boot_file_read(&piece.file, piece.offset, piece.to, piece.len);

		if (err)
			fail(r, err, piece.what);
	}
	return NULL;
}

void bootread_start(struct bootread *r)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < r->count; i++)
		len += r->part[i].len;
	r->helped = len > PIECE &&
		    !thread_create(&r->helper, THREAD_STACK, THREAD_ANY_CPU, read_pieces, r);
}

static void join(struct bootread *r)
{
	if (r->helped)
		pthread_join(r->helper, NULL);
	r->helped = false;
}

int bootread_finish(struct bootread *r, struct arch_boot_error *error)
{
	read_pieces(r);
	join(r);
	if (!r->err)
		return 0;
	return boot_fail(error, r->failed,
			 r->err == -ENODATA ? "was truncated while it was read" : "cannot be read",
			 r->err);
}

void bootread_cancel(struct bootread *r)
{
	pthread_mutex_lock(&r->lock);
	r->next = r->count;
	pthread_mutex_unlock(&r->lock);
	join(r);
}
