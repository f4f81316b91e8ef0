/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * working_set: file of the pages that a guest used after it was restored.
 *
 * The file is in the snapshot's directory, and has the format of state.h: the identity of that
 * snapshot, and the set. Errors are -errno. Any thread.
 */
#ifndef VMM_STATE_WORKING_SET_H
#define VMM_STATE_WORKING_SET_H

#include "vmm/state/directory.h"
#include "vmm/state/page_set.h"

#define TAG_IDENTITY STATE_TAG('I', 'D', 'E', 'N')

/* Identity of a snapshot: random bytes, stored in its state. */
struct identity {
	uint8_t byte[16];
};

/* Writes the set of the snapshot `name` below the directory, in place of one that is there. The
 * caller has checked the name. */
int working_set_write(int parent_fd, const char *name, uint32_t arch,
		      const struct identity *identity, const struct page_set *set);

/* Reads the set from `fd` for a memory of `size` bytes. Returns 0; -EINVAL with reader->why: the
 * file is damaged or of another snapshot; or another -errno, with reader->why empty. */
int working_set_read(int fd, uint32_t arch, const struct identity *identity, uint64_t size,
		     struct page_set *set, struct state_reader *reader);

#endif
