/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/trim.h"

#include <elf.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/* All symbols are bound by now (-z now): the dynamic linker's code is used once more, at the end. It
 * is a file's, so that it need not be kept. */
static void drop_linker(void)
{
	uintptr_t base = getauxval(AT_BASE), page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)base;
	const Elf64_Phdr *phdr;

	if (!base)
		return;
	phdr = (const Elf64_Phdr *)(base + elf->e_phoff);
	for (unsigned int i = 0; i < elf->e_phnum; i++) {
		uintptr_t begin = base + phdr[i].p_vaddr;
		uintptr_t end = begin + phdr[i].p_memsz;

		if (phdr[i].p_type != PT_LOAD || phdr[i].p_flags != (PF_R | PF_X))
			continue;
		begin -= begin % page;
		madvise((void *)begin, end - begin, MADV_DONTNEED);
	}
}

void trim_start(void)
{
	malloc_trim(0);
	drop_linker();
}
