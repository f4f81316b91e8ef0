/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory: guest memory shared by a vhost-user front end, as a hostmem table.
 *
 * Descriptors have guest physical addresses, which the table translates; ring addresses come as
 * addresses in the front end's address space (vhost-user, "Memory access"). The session's thread
 * changes the memory while every ring is stopped or paused. Errors are -errno.
 *
 * A front end can truncate the file of a mapping. An access beyond its end then raises SIGBUS, on
 * any thread; vhost_user_memory_guard makes such memory harmless.
 */
#ifndef VHOST_USER_MEMORY_H
#define VHOST_USER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/hostmem.h"
#include "devices/vhost_user/protocol.h"

struct vhost_user_mapping {
	struct vhost_user_mem_region region;
	void *base;	/* of the mapping, which may begin before the region; NULL: unused */
	size_t length;	/* bytes of the mapping */
	size_t skipped; /* bytes of the mapping before the region */
};

struct vhost_user_memory {
	struct hostmem table;
	struct vhost_user_mapping mapping[VHOST_USER_MEM_SLOTS];
	/* Removed regions, in no particular order. Requests in flight may still refer to their
	 * memory, so they stay mapped until vhost_user_memory_release. */
	struct vhost_user_mapping removed[VHOST_USER_MEM_SLOTS];
	struct vhost_user_mapping log;	    /* the file of the dirty log */
	struct hostmem_dirty dirty;	    /* the log in it */
	struct vhost_user_mapping inflight; /* the file of SET_INFLIGHT_FD */
};

/*
 * Maps the region from its file `fd`, which the caller keeps and may close. Returns 0; -EINVAL: a
 * size, address or offset is invalid, the file is shorter, or the dirty log has no bits for the
 * region; -EEXIST: it overlaps another region; -ENOSPC: all slots are in use; or -errno of mmap(2).
 */
int vhost_user_memory_add(struct vhost_user_memory *memory,
			  const struct vhost_user_mem_region *region, int fd);

/*
 * Maps a dirty log of log->mmap_size bytes from its file, in place of any previous one. The log is
 * in use after vhost_user_memory_record. Every ring must be stopped or paused. Returns 0; -EINVAL:
 * the log is too small for the regions, or its file is too short; or -errno of mmap(2).
 */
int vhost_user_memory_set_log(struct vhost_user_memory *memory, const struct vhost_user_log *log,
			      int fd);

/* Switches the dataplane's recording of its writes in the log on or off. Every ring must be stopped
 * or paused. Returns 0; -EINVAL: there is no log. */
int vhost_user_memory_record(struct vhost_user_memory *memory, bool record);

/* Removes the region with this guest address, user address and size. Returns 0; -ENOENT: there is
 * none; -ENOSPC: too many removed ones are still mapped. */
int vhost_user_memory_remove(struct vhost_user_memory *memory,
			     const struct vhost_user_mem_region *region);

/* Unmaps removed regions. No ring may be running. */
void vhost_user_memory_release(struct vhost_user_memory *memory);

/* Removes and unmaps all regions, but not the dirty log. No ring may be running. */
void vhost_user_memory_clear(struct vhost_user_memory *memory);

/* Unmaps the dirty log, which is then not in use. No ring may be running. */
void vhost_user_memory_drop_log(struct vhost_user_memory *memory);

/* Maps the memory that mirrors the requests in flight, in place of any previous one. No ring may be
 * running. Returns 0; -EINVAL: its file is too short; or -errno of mmap(2). */
int vhost_user_memory_set_inflight(struct vhost_user_memory *memory,
				   const struct vhost_user_inflight *inflight, int fd);

/* Unmaps that memory. No ring may be running. */
void vhost_user_memory_drop_inflight(struct vhost_user_memory *memory);

/* Translates an address in the front end's address space. Returns false if it is in no region. */
bool vhost_user_memory_gpa(const struct vhost_user_memory *memory, uint64_t user_addr,
			   uint64_t *gpa);

/*
 * Installs a SIGBUS handler for the memory: where a front end has truncated a file, zeroed memory
 * of this process takes the place of the mapping, and event_fd is signalled. A process has one such
 * memory. Faults elsewhere end the process as before. Returns 0 or -errno.
 */
int vhost_user_memory_guard(struct vhost_user_memory *memory, int event_fd);

#endif
