/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/bzimage.h"

#include <check.h>
#include <string.h>
#include <unistd.h>

#define BOOT_PARAMS_GPA 0x2000

struct setup_header *bzimage_header(uint8_t *file)
{
	return (struct setup_header *)(file + 0x1f1);
}

void bzimage_make(uint8_t file[BZ_FILE_SIZE])
{
	struct setup_header *hdr = bzimage_header(file);

	for (unsigned int i = 0; i < BZ_FILE_SIZE; i++)
		file[i] = BZ_FILL(i);
	memset(hdr, 0, sizeof(*hdr));
	hdr->setup_sects = BZ_SETUP_SIZE / 512 - 1;
	hdr->syssize = BZ_CODE_SIZE / 16;
	hdr->boot_flag = 0xaa55;
	hdr->jump = 0x6aeb;
	hdr->header = 0x53726448;
	hdr->version = 0x20f;
	hdr->loadflags = LOADED_HIGH | KEEP_SEGMENTS;
	hdr->initrd_addr_max = 0x7fffffff;
	hdr->kernel_alignment = 2 * BZ_MIB;
	hdr->relocatable_kernel = 1;
	hdr->xloadflags = XLF_KERNEL_64;
	hdr->cmdline_size = 2047;
	hdr->payload_offset = 0x100;
	hdr->payload_length = 0x1000;
	hdr->pref_address = 4 * BZ_MIB;
	hdr->init_size = 3 * BZ_MIB;
}

struct boot_result boot_fds(const struct guestram *ram, int kernel_fd, int initrd_fd,
			    const char *cmdline)
{
	struct devlist devices;
	struct arch_boot_config config = { .kernel_fd = kernel_fd,
					   .initrd_fd = initrd_fd,
					   .cmdline = cmdline,
					   .ram_size = ram->size,
					   .cpus = 1,
					   .mem = &ram->mem,
					   .devices = &devices };
	struct boot_result r = { .error = { .part = (enum arch_boot_part) - 1 } };

	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_DEFAULT, true, 1), 0);
	r.err = guestram_boot(&config, &r.boot, &r.error);
	if (r.err)
		ck_assert_ptr_nonnull(r.error.why);
	return r;
}

struct boot_result boot_bytes(const struct guestram *ram, const uint8_t *file, size_t len,
			      int initrd_fd, const char *cmdline)
{
	int fd = memfile(file, len);
	struct boot_result r = boot_fds(ram, fd, initrd_fd, cmdline);

	close(fd);
	return r;
}

void boot_expect(struct boot_result result, int err, enum arch_boot_part part, const char *why)
{
	ck_assert_int_eq(result.err, err);
	ck_assert_int_eq(result.error.part, part);
	ck_assert_msg(strstr(result.error.why, why) != NULL, "\"%s\" in \"%s\"", why,
		      result.error.why);
}

const struct boot_params *boot_params_of(const struct guestram *ram)
{
	return guestram_at(ram, BOOT_PARAMS_GPA, sizeof(struct boot_params));
}
