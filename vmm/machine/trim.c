/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/machine/trim.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Drops the resident code pages of one shared library, for dl_iterate_phdr. After the set-up, most
 * of the libraries' code is no longer used, nor is that of the dynamic linker (-z now). These pages
 * are mapped from files, so that a later call reads them back.
 */
static int drop_code(struct dl_phdr_info *object, size_t size, void *page)
{
	(void)size;
	/* The program itself and the vDSO are left alone; their names are not absolute paths. */
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
