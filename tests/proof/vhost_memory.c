/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: vhost_user_memory_add, vhost_user_memory_set_log, vhost_user_memory_gpa
 * Bounds: up to 2 regions anywhere in 64 bits, any message of the front end, any file, blocks of up
 *   to 1 GiB
 * Properties: a mapping covers the region's part of the file, begins at a block of it, and does not
 *   reach beyond the end of a regular file; regions do not overlap in the front end's addresses; a
 *   translated address is in its region; a log has a bit for each page of each region; what failed
 *   is unmapped
 * Section: none (vhost-user, "Memory region description", "Log description")
 */
#include "tests/proof/proof.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t file_size, block;
static bool is_file;
static struct {
	uint64_t length, start;
	bool fails;
} mapped;
static unsigned int maps, unmaps;
static char mapping_object[1];

static int any_stat(struct stat *st)
{
	st->st_mode = is_file ? S_IFREG : S_IFCHR;
	st->st_size = (off_t)file_size;
	st->st_blksize = (blksize_t)block;
	errno = EIO;
	return ANY(bool) ? 0 : -1;
}

static void *any_mapping(uint64_t length, off_t start)
{
	prove(length && start >= 0, "a mapping of this length");
	mapped.length = length;
	mapped.start = (uint64_t)start;
	mapped.fails = ANY(bool);
	maps += !mapped.fails;
	return mapped.fails ? MAP_FAILED : mapping_object;
}

#define fstat(fd, st)				 any_stat(st)
#define mmap(at, length, prot, flags, fd, start) any_mapping(length, start)
#define munmap(at, length)			 (unmaps++)
#define madvise(at, length, advice)		 ((void)0)
#define sysconf(name)				 4096

#include "devices/vhost_user/memory.c"

static struct vhost_user_memory memory;
static int added;

int hostmem_add(struct hostmem *mem, uint64_t gpa, uint64_t size, void *hva, bool readonly)
{
	uint64_t end;

	prove(size && hva && !readonly, "a region");
	added = !add_u64(gpa, size, &end) ? -EINVAL : ANY(bool) ? 0 : -EEXIST;
	return added;
}

void hostmem_remove(struct hostmem *mem, uint64_t gpa)
{
}

void eventfd_signal(int fd)
{
}

/* True when two regions share an address of the front end. */
static bool share(const struct vhost_user_mem_region *a, const struct vhost_user_mem_region *b)
{
	return a->user_addr < b->user_addr + b->size && b->user_addr < a->user_addr + a->size;
}

/* What holds for a region that is in use. */
static bool region_holds(const struct vhost_user_mem_region *r)
{
	return r->size && r->user_addr + r->size > r->user_addr && r->gpa + r->size > r->gpa;
}

static bool memory_holds(void)
{
	const struct vhost_user_mapping *m = memory.mapping;

	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++)
		if (m[i].base && !region_holds(&m[i].region))
			return false;
	return !m[0].base || !m[1].base || !share(&m[0].region, &m[1].region);
}

static void covers(const struct vhost_user_mapping *m, const struct vhost_user_mem_region *r)
{
	prove(m->base && m->length == mapped.length && mapped.start % block == 0, "at a block");
	prove(mapped.start <= r->mmap_offset && m->skipped == r->mmap_offset - mapped.start,
	      "the region begins in the mapping");
	prove(m->skipped <= m->length && r->size <= m->length - m->skipped, "and ends in it");
	prove(!is_file || r->mmap_offset + r->size <= file_size, "no access behind the file's end");
}

static void add(void)
{
	struct vhost_user_mem_region region = ANY(struct vhost_user_mem_region);
	bool first = !memory.mapping[0].base;

	if (vhost_user_memory_add(&memory, &region, 0) == 0) {
		covers(&memory.mapping[first ? 0 : 1], &region);
		prove(added == 0 && maps == 1 && !unmaps, "mapped and added");
		prove(!memory.log.base ||
			      (region.gpa + region.size - 1) / 32768 < memory.dirty.bytes,
		      "the log has a bit for its last page");
	} else {
		prove(maps == unmaps, "nothing stays mapped");
	}
	prove(memory_holds(), "regions do not overlap");
}

static void translate(void)
{
	uint64_t user = ANY(uint64_t), gpa;
	unsigned int i;

	if (!vhost_user_memory_gpa(&memory, user, &gpa))
		return;
	i = memory.mapping[0].base && user >= memory.mapping[0].region.user_addr &&
			    user - memory.mapping[0].region.user_addr <
				    memory.mapping[0].region.size
		    ? 0
		    : 1;
	prove(memory.mapping[i].base &&
		      gpa - memory.mapping[i].region.gpa < memory.mapping[i].region.size &&
		      gpa - memory.mapping[i].region.gpa ==
			      user - memory.mapping[i].region.user_addr,
	      "the same place of the region");
}

static void set_log(void)
{
	struct vhost_user_log log = ANY(struct vhost_user_log);
	struct vhost_user_mem_region region = { .size = log.mmap_size,
						.mmap_offset = log.mmap_offset };
	const struct hostmem_region *r = memory.table.region;
	bool old = memory.log.base;

	memory.table.count = ANY(bool) ? 1 : 2;
	/* As hostmem_add has them. */
	assume(r[0].size && r[0].gpa + r[0].size > r[0].gpa);
	assume(r[1].size && r[1].gpa + r[1].size > r[1].gpa);
	if (vhost_user_memory_set_log(&memory, &log, 0) == 0) {
		covers(&memory.log, &region);
		prove(memory.dirty.bits == (uint8_t *)memory.log.base + memory.log.skipped &&
			      memory.dirty.bytes == log.mmap_size,
		      "the log in the mapping");
		for (unsigned int i = 0; i < memory.table.count; i++)
			prove((r[i].gpa + r[i].size - 1) / 32768 < log.mmap_size,
			      "a bit for each region's last page");
		prove(maps == 1 && unmaps == old, "the one before is unmapped");
	} else {
		prove(maps == unmaps && old == (memory.log.base != NULL), "the one before stays");
	}
}

int main(void)
{
	memory = ANY(struct vhost_user_memory);
	memory.mapping[0].base = ANY(bool) ? mapping_object : NULL;
	memory.mapping[1].base = ANY(bool) ? mapping_object : NULL;
	memory.log.base = ANY(bool) ? mapping_object : NULL;
	file_size = ANY(uint64_t);
	is_file = ANY(bool);
	block = 4096ull << (ANY(bool) ? 0 : ANY(bool) ? 9 : 18);
	assume(file_size <= INT64_MAX && memory_holds());
	PART();
}
