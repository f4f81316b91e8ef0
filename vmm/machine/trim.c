/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/machine/trim.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Most of the libraries' code has run for the last time by now, and so has nearly all of the dynamic
 * linker's (-z now). It is a file's, so that it need not be kept: what is called again comes back.
 */
static int drop_code(struct dl_phdr_info *object, size_t size, void *page)
{
	(void)size;
	/* The program itself stays, and the kernel's own object, which has no path. */
	if (object->dlpi_name[0] != '/')
		return 0;
	for (unsigned int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &object->dlpi_phdr[i];
		uintptr_t begin = object->dlpi_addr + phdr->p_vaddr;
		uintptr_t end = begin + phdr->p_memsz;

		if (phdr->p_type != PT_LOAD || phdr->p_flags != (PF_R | PF_X))
			continue;
		begin -= begin % *(const uintptr_t *)page;
		madvise((void *)begin, end - begin, MADV_DONTNEED);
	}
	return 0;
}

void trim_start(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	malloc_trim(0);
	dl_iterate_phdr(drop_code, &page);
}
