/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/vhost_user/memory.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"

static struct vhost_user_mapping *free_slot(struct vhost_user_mapping slot[VHOST_USER_MEM_SLOTS])
{
	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++)
		if (!slot[i].base)
			return &slot[i];
	return NULL;
}

static void unmap(struct vhost_user_mapping *mapping)
{
	if (mapping->base)
		munmap(mapping->base, mapping->length);
	*mapping = (struct vhost_user_mapping){ .base = NULL };
}

/* Maps the region's part of the file. The mapping begins and ends at multiples of the file's block
 * size, which is a huge page's on hugetlbfs. */
static int map(struct vhost_user_mapping *mapping, const struct vhost_user_mem_region *region,
	       int fd)
{
	uint64_t end, block, start;
	struct stat st;
	void *base;

	if (fstat(fd, &st))
		return -errno;
	if (!add_u64(region->mmap_offset, region->size, &end) || end > INT64_MAX)
		return -EINVAL;
	if (S_ISREG(st.st_mode) && end > (uint64_t)st.st_size)
		return -EINVAL;
	block = st.st_blksize > sysconf(_SC_PAGESIZE) && is_power_of_2((uint64_t)st.st_blksize)
			? (uint64_t)st.st_blksize
			: (uint64_t)sysconf(_SC_PAGESIZE);
	start = region->mmap_offset & ~(block - 1);
	*mapping = (struct vhost_user_mapping){
		.region = *region,
		.length = (end - start + block - 1) & ~(block - 1),
		.skipped = region->mmap_offset - start,
	};
	base = mmap(NULL, mapping->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)start);
	if (base == MAP_FAILED)
		return -errno;
	/* A core dump has the back end's memory, not the guest's. */
	madvise(base, mapping->length, MADV_DONTDUMP);
	mapping->base = base;
	return 0;
}

/* Returns whether the log has a bit for each page of the region. */
static bool log_covers(const struct hostmem_dirty *dirty, uint64_t gpa, uint64_t size)
{
	return (gpa + size - 1) / HOSTMEM_DIRTY_PAGE / 8 < dirty->bytes;
}

int vhost_user_memory_add(struct vhost_user_memory *memory,
			  const struct vhost_user_mem_region *region, int fd)
{
	struct vhost_user_mapping *slot = free_slot(memory->mapping);
	struct vhost_user_mapping mapping;
	uint64_t end;
	int err;

	if (!slot)
		return -ENOSPC;
	if (!region->size || !add_u64(region->user_addr, region->size, &end))
		return -EINVAL;
	if (memory->log.base && !log_covers(&memory->dirty, region->gpa, region->size))
		return -EINVAL;
	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++) {
		const struct vhost_user_mem_region *other = &memory->mapping[i].region;

		if (memory->mapping[i].base && region->user_addr < other->user_addr + other->size &&
		    other->user_addr < end)
			return -EEXIST;
	}
	err = map(&mapping, region, fd);
	if (err)
		return err;
	err = hostmem_add(&memory->table, region->gpa, region->size,
			  (char *)mapping.base + mapping.skipped, false);
	if (err) {
		unmap(&mapping);
		return err;
	}
	*slot = mapping;
	return 0;
}

int vhost_user_memory_remove(struct vhost_user_memory *memory,
			     const struct vhost_user_mem_region *region)
{
	struct vhost_user_mapping *to = free_slot(memory->removed);

	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++) {
		struct vhost_user_mapping *mapping = &memory->mapping[i];
		const struct vhost_user_mem_region *r = &mapping->region;

		if (!mapping->base || r->gpa != region->gpa || r->size != region->size ||
		    r->user_addr != region->user_addr)
			continue;
		if (!to)
			return -ENOSPC;
		hostmem_remove(&memory->table, r->gpa);
		*to = *mapping;
		*mapping = (struct vhost_user_mapping){ .base = NULL };
		return 0;
	}
	return -ENOENT;
}

void vhost_user_memory_release(struct vhost_user_memory *memory)
{
	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++)
		unmap(&memory->removed[i]);
}

void vhost_user_memory_clear(struct vhost_user_memory *memory)
{
	vhost_user_memory_release(memory);
	memory->table.count = 0;
	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++)
		unmap(&memory->mapping[i]);
}

int vhost_user_memory_set_log(struct vhost_user_memory *memory, const struct vhost_user_log *log,
			      int fd)
{
	const struct vhost_user_mem_region region = { .size = log->mmap_size,
						      .mmap_offset = log->mmap_offset };
	struct vhost_user_mapping mapping;
	struct hostmem_dirty dirty;
	int err;

	if (!log->mmap_size)
		return -EINVAL;
	err = map(&mapping, &region, fd);
	if (err)
		return err;
	dirty = (struct hostmem_dirty){ (uint8_t *)mapping.base + mapping.skipped, log->mmap_size };
	for (unsigned int i = 0; i < memory->table.count; i++) {
		const struct hostmem_region *r = &memory->table.region[i];

		if (log_covers(&dirty, r->gpa, r->size))
			continue;
		unmap(&mapping);
		return -EINVAL;
	}
	unmap(&memory->log);
	memory->log = mapping;
	memory->dirty = dirty;
	return 0;
}

int vhost_user_memory_record(struct vhost_user_memory *memory, bool record)
{
	if (record && !memory->log.base)
		return -EINVAL;
	memory->table.dirty = record ? &memory->dirty : NULL;
	return 0;
}

void vhost_user_memory_drop_log(struct vhost_user_memory *memory)
{
	memory->table.dirty = NULL;
	unmap(&memory->log);
}

int vhost_user_memory_set_inflight(struct vhost_user_memory *memory,
				   const struct vhost_user_inflight *inflight, int fd)
{
	const struct vhost_user_mem_region region = { .size = inflight->mmap_size,
						      .mmap_offset = inflight->mmap_offset };
	struct vhost_user_mapping mapping;
	int err = map(&mapping, &region, fd);

	if (err)
		return err;
	unmap(&memory->inflight);
	memory->inflight = mapping;
	return 0;
}

void vhost_user_memory_drop_inflight(struct vhost_user_memory *memory)
{
	unmap(&memory->inflight);
}

bool vhost_user_memory_gpa(const struct vhost_user_memory *memory, uint64_t user_addr,
			   uint64_t *gpa)
{
	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++) {
		const struct vhost_user_mem_region *r = &memory->mapping[i].region;

		if (!memory->mapping[i].base || user_addr < r->user_addr ||
		    user_addr - r->user_addr >= r->size)
			continue;
		*gpa = r->gpa + (user_addr - r->user_addr);
		return true;
	}
	return false;
}

/* ---- truncated files ---- */

static struct {
	struct vhost_user_memory *memory;
	int event_fd;
} guarded;

/* Puts private zeroed memory in the place of the mapping if it contains the address. */
static bool replace(const struct vhost_user_mapping *mapping, const char *addr)
{
	const char *base = mapping->base;

	return base && addr >= base && addr < base + mapping->length &&
	       mmap(mapping->base, mapping->length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

/* The faulting access is repeated after the return, and meets memory that exists. The table of
 * mappings does not change meanwhile: its thread waits for the threads that use it. */
static void handle_sigbus(int signal_number, siginfo_t *info, void *context)
{
	int err = errno;
	bool found = replace(&guarded.memory->log, info->si_addr) ||
		     replace(&guarded.memory->inflight, info->si_addr);

	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS && !found; i++)
		found = replace(&guarded.memory->mapping[i], info->si_addr) ||
			replace(&guarded.memory->removed[i], info->si_addr);
	if (!found)
		signal(signal_number, SIG_DFL);
	else
		eventfd_signal(guarded.event_fd);
	(void)context;
	errno = err;
}

int vhost_user_memory_guard(struct vhost_user_memory *memory, int event_fd)
{
	struct sigaction action = { .sa_sigaction = handle_sigbus, .sa_flags = SA_SIGINFO };

	guarded.memory = memory;
	guarded.event_fd = event_fd;
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}
