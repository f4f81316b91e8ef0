/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bootread: kernel and initrd on their way into guest RAM, by a thread of their own while the main
 * thread sets up the VM, and by both when it has nothing else left to do. Main thread, set-up only.
 *
 * All that the files say of themselves has been judged before a part is added here: what can still
 * fail is the reading itself.
 */
#ifndef VMM_BOOTREAD_H
#define VMM_BOOTREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/file.h"

/* The segments of an ELF kernel, and an initrd. */
#define BOOTREAD_MAX 65

struct bootread_part {
	enum arch_boot_part what;
	struct boot_file file; /* stays open until all is read */
	uint64_t offset;       /* in it */
	uint8_t *to;
	uint64_t len;
};

struct bootread {
	struct bootread_part part[BOOTREAD_MAX]; /* what of them nobody has taken yet */
	unsigned int count;
	unsigned int next;
	int err; /* the first that occurred, and in what */
	enum arch_boot_part failed;
	pthread_mutex_t lock; /* of the above, while there is a helper */
	pthread_t helper;
	bool helped;
};

#define BOOTREAD_INIT                             \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}

/* Have a part read; -E2BIG: too many. Its memory overlaps that of no other. */
int bootread_add(struct bootread *r, const struct bootread_part *part);

/* Begin. Where no thread can be started, or it would have little to do, bootread_finish does it all. */
void bootread_start(struct bootread *r);

/* All of it is in guest RAM, and the helper is gone. -errno: something is not, as *error tells. Also
 * without bootread_start. */
int bootread_finish(struct bootread *r, struct arch_boot_error *error);

/* What has not been read yet is not needed any more. In any state. */
void bootread_cancel(struct bootread *r);

#endif
