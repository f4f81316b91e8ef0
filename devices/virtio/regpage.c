/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/regpage.h"

#include <sys/mman.h>
#include <unistd.h>

size_t virtio_regpage_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

struct virtio_regpage *virtio_regpage_create(void)
{
	void *page = mmap(NULL, virtio_regpage_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

void virtio_regpage_destroy(struct virtio_regpage *regpage)
{
	if (regpage)
		munmap(regpage, virtio_regpage_size());
}
