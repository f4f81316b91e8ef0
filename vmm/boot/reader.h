/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bootread: reads kernel and initrd into guest RAM on a helper thread.
 *
 * The helper thread reads while the main thread sets up the VM; bootread_finish makes the main
 * thread read as well. Only the main thread calls these functions, during set-up. The loaders have
 * checked all fields of the files before they add a part, so that only the reading itself can still
 * fail.
 */
#ifndef VMM_BOOT_READER_H
#define VMM_BOOT_READER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/file.h"

/* Up to 64 segments of an ELF kernel, and an initrd. */
#define BOOTREAD_MAX 65

struct bootread_part {
	enum arch_boot_part what;
	struct boot_file file; /* the descriptor must stay open until everything is read */
	uint64_t offset;       /* in bytes, from the start of the file */
	uint8_t *to;
	uint64_t len;
};

struct bootread {
	struct bootread_part part[BOOTREAD_MAX]; /* remainders that neither thread has taken yet */
	unsigned int count;
	unsigned int next;
	int err;		    /* the first error, or 0 */
	enum arch_boot_part failed; /* the part in which err occurred */
	pthread_mutex_t lock;	    /* protects all members above while the helper runs */
	pthread_t helper;
	bool helped;
};

#define BOOTREAD_INIT                             \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}

/* Add a part to be read, before bootread_start. Returns 0, or -E2BIG if there are too many. The
 * destinations of two parts must not overlap. */
int bootread_add(struct bootread *r, const struct bootread_part *part);

/* Queue the read of [offset, offset + len) into guest RAM at `gpa` (config->read does it later).
 * Returns 0, -EFAULT if the destination is not all RAM, or -E2BIG if there are too many parts. */
int bootread_add_file(const struct arch_boot_config *config, enum arch_boot_part what,
		      const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t len);

/* Start the helper thread. If none can be created, or there is little to read, bootread_finish
 * reads everything. */
void bootread_start(struct bootread *r);

/* Read the remaining parts and join the helper. Returns 0 when everything is in guest RAM, or
 * -errno with *error filled. The call works without bootread_start, too. */
int bootread_finish(struct bootread *r, struct arch_boot_error *error);

/* Discard the parts that have not been read, and join the helper. Allowed in any state. */
void bootread_cancel(struct bootread *r);

#endif
