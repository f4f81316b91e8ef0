/* SPDX-License-Identifier: BSD-3-Clause */
/* image_ephemeral: the file without a name to which the guest of an ephemeral disk writes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/overlay.h"
#include "devices/virtio/image.h"

#define DIRECTORY_SHOWN 100

static int refuse(int err, const char *reason, const char **why)
{
	*why = reason;
	return -err;
}

/* Returns -err with a message that names the directory. Main thread. */
static int refuse_directory(int err, const char *dir, const char **why)
{
	static char text[DIRECTORY_SHOWN + 100];
	bool unsupported = err == EOPNOTSUPP || err == EISDIR || err == EINVAL;

	snprintf(text, sizeof(text), "cannot create its ephemeral file in %.*s: %s",
		 DIRECTORY_SHOWN, dir,
		 unsupported ? "this file system has no files without a name (O_TMPFILE)"
			     : strerror(err));
	*why = text;
	return -err;
}

/* Stores the directory of the image in `dir`: all of its path before the last slash. */
static void directory_of(const char *path, char dir[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	snprintf(dir, PATH_MAX, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
}

static int open_file(struct image *image, const struct blk_config *config, const char **why)
{
	char beside[PATH_MAX];
	const char *dir = config->ephemeral_dir;

	if (!dir) {
		directory_of(config->path, beside);
		dir = beside;
	}
	/* O_EXCL: the file can never be given a name. */
	image->fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	return image->fd < 0 ? refuse_directory(errno, dir, why) : 0;
}

/* Gives the file the content of the base: as a clone, or by a map of the missing blocks. */
static int fill_file(struct image *image, const char **why)
{
	uint64_t end = (image->size + OVERLAY_BLOCK - 1) / OVERLAY_BLOCK * OVERLAY_BLOCK;

	if (!ioctl(image->fd, FICLONE, image->base_fd))
		return 0;
	if (ftruncate(image->fd, (off_t)end))
		return refuse(errno, strerror(errno), why);
	if (overlay_create(&image->overlay, image->size))
		return refuse(ENOMEM, "no memory for the map of its blocks", why);
	return 0;
}

int image_make_ephemeral(struct image *image, const struct blk_config *config, struct stat *st,
			 const char **why)
{
	int err;

	/* The directory of device nodes is in memory. */
	if (S_ISBLK(st->st_mode) && !config->ephemeral_dir)
		return refuse(EINVAL, "a block device can be ephemeral only with --ephemeral-dir",
			      why);
	image->base_fd = image->fd;
	err = open_file(image, config, why);
	if (!err)
		err = fill_file(image, why);
	if (!err && fstat(image->fd, st))
		err = refuse(errno, strerror(errno), why);
	if (err)
		return err;
	log_debug(
		"--disk %.200s: ephemeral%s: writes are dropped at the end, and flushes do nothing",
		config->path, image->overlay ? "" : ", a clone");
	return 0;
}

int image_content(const struct image *image, uint64_t at, uint64_t *end)
{
	int source = image->base_fd >= 0 ? image->base_fd : image->fd;
	bool written = true;
	struct stat st;

	if (fstatat(source, "", &st, AT_EMPTY_PATH))
		return -errno;
	if (S_ISBLK(st.st_mode))
		return -EINVAL;
	*end = image->size;
	if (image->overlay) {
		uint64_t first = at / OVERLAY_BLOCK;
		uint64_t next = first + overlay_run(image->overlay, first, UINT32_MAX, &written);

		if (next * OVERLAY_BLOCK < image->size)
			*end = next * OVERLAY_BLOCK;
	}
	return written ? image->fd : image->base_fd;
}

uint64_t image_allocated(const struct image *image)
{
	struct stat st;

	/* fstat is another system call on some hosts, which the main thread's filter forbids. */
	if (fstatat(image->fd, "", &st, AT_EMPTY_PATH))
		return 0;
	return (uint64_t)st.st_blocks * 512;
}
