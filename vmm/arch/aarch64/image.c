/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loader of the arm64 Image format, plain or gzip-compressed.
 *
 * Documentation/arch/arm64/booting.rst describes the format; distributions ship it gzip-compressed.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "dataplane/base.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"

#define IMAGE_MAGIC	  0x644d5241u /* "ARM\x64" */
#define TEXT_OFFSET_LIMIT 0x200000ull /* kernels are linked to start in the first 2 MiB */
#define CHUNK		  65536u
#define GZIP_ONLY	  (16 + MAX_WBITS) /* windowBits of inflateInit2: gzip format only */

struct image_header {
	uint32_t code[2];
	uint64_t text_offset; /* from the start of RAM */
	uint64_t image_size;  /* includes memory that is not in the file, such as .bss */
	uint64_t flags;
	uint64_t reserved[3];
	uint32_t magic;
	uint32_t pe_offset;
};

_Static_assert(sizeof(struct image_header) == 64, "booting.rst");

/* Sequential reader of a kernel file that decompresses it if it is gzip-compressed. */
struct source {
	struct boot_file file;
	uint64_t offset; /* next byte to read from the file */
	bool gzip;
	bool ended;
	z_stream z;
	uint8_t in[CHUNK];
};

static int fail(struct arch_boot_error *error, const char *why)
{
	return boot_fail(error, BOOT_KERNEL, why, -ENOEXEC);
}

/* Read up to `len` bytes of the file without decompression. Returns how many, fewer than `len` only
 * at the end of the file, or -errno. */
static int64_t read_plain(struct source *src, void *buf, uint64_t len)
{
	uint64_t left = src->file.size - src->offset;
	int err;

	if (len > left)
		len = left;
	err = boot_file_read(&src->file, src->offset, buf, len);
	if (err)
		return err;
	src->offset += len;
	return (int64_t)len;
}

static int refill(struct source *src)
{
	int64_t n;

	if (src->z.avail_in)
		return 0;
	n = read_plain(src, src->in, sizeof(src->in));
	if (n <= 0)
		return n < 0 ? (int)n : -ENODATA;
	src->z.next_in = src->in;
	src->z.avail_in = (uInt)n;
	return 0;
}

/*
 * Read up to `len` decompressed bytes. Returns how many, fewer than `len` only at the end of the
 * data; -ENODATA if the file ends inside the gzip data; -EBADMSG if the data are invalid; or
 * another -errno.
 */
static int64_t read_gzip(struct source *src, void *buf, uint64_t len)
{
	uint64_t done = 0;

	while (done < len && !src->ended) {
		uInt room = len - done < INT_MAX ? (uInt)(len - done) : INT_MAX;
		int res, err = refill(src);

		if (err)
			return err;
		src->z.next_out = (uint8_t *)buf + done;
		src->z.avail_out = room;
		res = inflate(&src->z, Z_NO_FLUSH);
		if (res != Z_OK && res != Z_STREAM_END)
			return res == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
		done += room - src->z.avail_out;
		src->ended = res == Z_STREAM_END;
	}
	return (int64_t)done;
}

static int64_t source_read(struct source *src, void *buf, uint64_t len)
{
	return src->gzip ? read_gzip(src, buf, len) : read_plain(src, buf, len);
}

static int fail_read(struct arch_boot_error *error, const struct source *src, int err)
{
	if (err == -EBADMSG)
		return fail(error, "is damaged: it cannot be decompressed");
	if (err == -ENODATA)
		return boot_fail(error, BOOT_KERNEL,
				 src->gzip ? "is truncated: its gzip data are incomplete"
					   : "was truncated while it was read",
				 src->gzip ? -ENOEXEC : err);
	return boot_fail(error, BOOT_KERNEL, "cannot be read", err);
}

static int source_open(struct source *src, int fd, struct arch_boot_error *error)
{
	uint8_t magic[2] = { 0 };
	int err = boot_file_open(&src->file, fd);

	if (err)
		return boot_fail(error, BOOT_KERNEL, "is not a regular file", err);
	if (src->file.size == 0)
		return boot_fail(error, BOOT_KERNEL, "is empty", -ENOEXEC);
	if (src->file.size >= sizeof(magic)) {
		err = boot_file_read(&src->file, 0, magic, sizeof(magic));
		if (err)
			return fail_read(error, src, err);
	}
	if (magic[0] != 0x1f || magic[1] != 0x8b)
		return 0;
	if (inflateInit2(&src->z, GZIP_ONLY) != Z_OK)
		return boot_fail(error, BOOT_KERNEL, "cannot be decompressed", -ENOMEM);
	src->gzip = true;
	return 0;
}

/* Return why a file without an Image header is no kernel; for common mistakes the text says what to
 * do. */
static const char *wrong_kernel(const struct image_header *header)
{
	static const struct {
		const char *magic;
		unsigned int len;
		const char *why;
	} known[] = {
		{ "\x28\xb5\x2f\xfd", 4, "is zstd-compressed: decompress it first" },
		{ "\xfd\x37zXZ", 5, "is xz-compressed: decompress it first" },
		{ "BZh", 3, "is bzip2-compressed: decompress it first" },
		{ "\x02\x21\x4c\x18", 4, "is LZ4-compressed: decompress it first" },
		{ "\x1f\x8b", 2, "is gzip-compressed twice" },
		{ "\x7f\x45LF", 4, "is an ELF file: an Image is needed (arch/arm64/boot/Image)" },
		{ "MZ", 2, "is an EFI program without an arm64 Image header" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!memcmp(header, known[i].magic, known[i].len))
			return known[i].why;
	return "is not an arm64 Image";
}

/* Check the header of an Image for `room` bytes of RAM. */
static int check_header(const struct image_header *header, uint64_t room,
			struct arch_boot_error *error)
{
	uint64_t need;

	if (header->magic != IMAGE_MAGIC)
		return fail(error, wrong_kernel(header));
	if (header->image_size == 0)
		return fail(error, "is too old: it does not say its size (Linux 3.17 does)");
	if (header->image_size < sizeof(*header))
		return fail(error, "is damaged: it is smaller than its header");
	if (header->text_offset >= TEXT_OFFSET_LIMIT)
		return fail(error, "is damaged: its text offset is not below 2 MiB");
	if (!add_u64(header->text_offset, header->image_size, &need))
		return boot_fail_memory(error, 0);
	if (need > room)
		return boot_fail_memory(error, need);
	return 0;
}

/* Copy the header to RAM and read the rest of the kernel behind it. */
static int load_rest(const struct arch_boot_config *config, struct source *src,
		     const struct image_header *header, struct boot_kernel *kernel,
		     struct arch_boot_error *error)
{
	uint64_t room = config->ram_size - header->text_offset;
	uint8_t *to = hostmem_lookup(config->mem, LAYOUT_RAM + header->text_offset, room, true);
	int64_t got;
	uint8_t more;

	if (!to)
		return boot_fail_memory(error, 0);
	memcpy(to, header, sizeof(*header));
	got = source_read(src, to + sizeof(*header), room - sizeof(*header));
	if (got < 0)
		return fail_read(error, src, (int)got);
	got += sizeof(*header);
	if ((uint64_t)got == room && source_read(src, &more, 1) != 0)
		return boot_fail_memory(error,
					src->gzip ? 0 : header->text_offset + src->file.size);
	kernel->entry = LAYOUT_RAM + header->text_offset;
	kernel->end = kernel->entry +
		      ((uint64_t)got > header->image_size ? (uint64_t)got : header->image_size);
	return 0;
}

int kernel_load(const struct arch_boot_config *config, struct boot_kernel *kernel,
		struct arch_boot_error *error)
{
	struct source src = { 0 };
	struct image_header header = { 0 };
	int err = source_open(&src, config->kernel_fd, error);
	int64_t got;

	if (err)
		return err;
	got = source_read(&src, &header, sizeof(header));
	if (got < 0)
		err = fail_read(error, &src, (int)got);
	else if (got < (int64_t)sizeof(header))
		err = fail(error, wrong_kernel(&header));
	if (!err)
		err = check_header(&header, config->ram_size, error);
	if (!err)
		err = load_rest(config, &src, &header, kernel, error);
	if (src.gzip)
		inflateEnd(&src.z);
	return err;
}
