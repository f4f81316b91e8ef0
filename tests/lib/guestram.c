/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/guestram.h"

#include <check.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/boot/reader.h"

#define GUARD 4096u

void guestram_create(struct guestram *ram, uint64_t size)
{
	*ram = (struct guestram){ .size = size };
	ram->ranges = arch_ram_layout(size, ram->range);
	for (unsigned int i = 0; i < ram->ranges; i++) {
		size_t len = ram->range[i].size;
		uint8_t *map = mmap(NULL, len + 2 * GUARD, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		ck_assert_ptr_ne(map, MAP_FAILED);
		ck_assert_int_eq(mprotect(map + GUARD, len, PROT_READ | PROT_WRITE), 0);
		ck_assert_int_eq(hostmem_add(&ram->mem, ram->range[i].gpa, len, map + GUARD, false),
				 0);
	}
}

void guestram_destroy(struct guestram *ram)
{
	for (unsigned int i = 0; i < ram->ranges; i++) {
		uint8_t *hva = guestram_at(ram, ram->range[i].gpa, ram->range[i].size);

		munmap(hva - GUARD, ram->range[i].size + 2 * GUARD);
	}
}

void *guestram_at(const struct guestram *ram, uint64_t gpa, uint64_t len)
{
	void *hva = hostmem_lookup(&ram->mem, gpa, len, true);

	ck_assert_ptr_nonnull(hva);
	return hva;
}

int guestram_boot(struct arch_boot_config *config, struct arch_boot **boot,
		  struct arch_boot_error *error)
{
	struct bootread read = BOOTREAD_INIT;
	int err;

	config->read = &read;
	err = arch_boot_load(config, boot, error);
	if (err)
		return err;
	err = bootread_finish(&read, error);
	if (err) {
		free(*boot);
		*boot = NULL;
	}
	return err;
}

int memfile(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	if (data)
		ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	else
		ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
	return fd;
}
