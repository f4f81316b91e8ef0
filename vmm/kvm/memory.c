/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/kvm/memory.h"

#include <errno.h>
#include <sys/mman.h>

#include "dataplane/base.h"
#include "vmm/arch.h"

#define HUGE_PAGE (2ull << 20)

/* Maps `size` bytes at a multiple of the huge page size, so that huge pages of the guest coincide
 * with huge pages of the host. Returns NULL on failure. */
static void *map_aligned(uint64_t size)
{
	uint64_t padded;
	char *raw, *aligned;

	if (!add_u64(size, HUGE_PAGE, &padded))
		return NULL;
	/* MAP_NORESERVE is left out, so that the host's overcommit policy (vm.overcommit_memory)
	 * applies. */
	raw = mmap(NULL, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;

	size_t head = -(uintptr_t)raw & (HUGE_PAGE - 1);
	aligned = raw + head;
	if (head)
		munmap(raw, head);
	munmap(aligned + size, HUGE_PAGE - head);
	return aligned;
}

int memory_create(struct memory *memory, uint64_t size, int file_fd)
{
	struct arch_ram_range range[ARCH_MAX_RAM_RANGES];
	unsigned int count = arch_ram_layout(size, range);
	char *base = map_aligned(size);
	uint64_t offset = 0;

	*memory = (struct memory){ .base = base, .size = size };
	if (!base)
		return -ENOMEM;
	if (file_fd >= 0 && mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
				 file_fd, 0) == MAP_FAILED) {
		int err = -errno;

		memory_destroy(memory);
		return err;
	}
	/* Both calls are hints; failure does no harm. A private mapping of a file has no huge
	 * pages. */
	if (file_fd < 0)
		madvise(base, size, MADV_HUGEPAGE);
	madvise(base, size, MADV_DONTDUMP);

	for (unsigned int i = 0; i < count; i++) {
		int err = hostmem_add(&memory->map, range[i].gpa, range[i].size, base + offset,
				      false);
		if (err) {
			memory_destroy(memory);
			return err;
		}
		offset += range[i].size;
	}
	return 0;
}

void memory_dump(const struct memory *memory)
{
	madvise(memory->base, memory->size, MADV_DODUMP);
}

void memory_prefault(const struct memory *memory, uint64_t offset, uint64_t size)
{
	char *at = (char *)memory->base + offset;

	if (madvise(at, size, MADV_POPULATE_READ) && errno == EINVAL)
		madvise(at, size, MADV_WILLNEED);
}

void memory_destroy(struct memory *memory)
{
	if (memory->base)
		munmap(memory->base, memory->size);
	memory->base = NULL;
}
