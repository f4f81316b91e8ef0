/* SPDX-License-Identifier: BSD-3-Clause */
/* image_format: detection of disk image formats by their magic numbers. */
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "devices/virtio/image.h"

/* Bytes read from the front of the image. The length suits every O_DIRECT alignment. */
#define HEAD_LEN 4096

static const struct {
	const char *format;
	uint8_t at, len;
	char magic[21];
} formats[] = {
	{ "qcow2", 0, 4, "QFI\xfb" },
	{ "VHDX", 0, 8, "vhdxfile" },
	{ "VMDK", 0, 4, "KDMV" },
	{ "VMDK", 0, 21, "# Disk DescriptorFile" },
	{ "VDI", 64, 4, "\x7f\x10\xda\xbe" },
	{ "QED", 0, 4, "QED" },
	{ "VHD", 0, 8, "conectix" },
};

const char *image_format(int fd)
{
	/* The buffer is aligned by hand, because sanitizers do not keep a larger alignment for
	 * variables. */
	char room[2 * HEAD_LEN] = { 0 };
	char *head = (char *)(((uintptr_t)room + HEAD_LEN - 1) & ~(uintptr_t)(HEAD_LEN - 1));
	/* A file that cannot be read leaves zeros in the buffer, which match no format. */
	ssize_t ignored = pread(fd, head, HEAD_LEN, 0);

	(void)ignored;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!memcmp(head + formats[i].at, formats[i].magic, formats[i].len))
			return formats[i].format;
	return NULL;
}
