/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/window.h"

#include <sys/mman.h>
#include <unistd.h>

size_t virtio_window_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

struct virtio_window *virtio_window_create(void)
{
	void *page = mmap(NULL, virtio_window_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

void virtio_window_destroy(struct virtio_window *window)
{
	if (window)
		munmap(window, virtio_window_size());
}
