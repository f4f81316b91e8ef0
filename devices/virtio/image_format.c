/* SPDX-License-Identifier: BSD-3-Clause */
/* Magic numbers of disk image formats. */
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "devices/virtio/image.h"

/* What any O_DIRECT accepts. */
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
	/* Aligned by hand: sanitizers put variables where a larger alignment than theirs is lost. */
	char room[2 * HEAD_LEN] = { 0 };
	char *head = (char *)(((uintptr_t)room + HEAD_LEN - 1) & ~(uintptr_t)(HEAD_LEN - 1));
	/* What cannot be read begins like none of them. */
	ssize_t ignored = pread(fd, head, HEAD_LEN, 0);

	(void)ignored;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!memcmp(head + formats[i].at, formats[i].magic, formats[i].len))
			return formats[i].format;
	return NULL;
}
