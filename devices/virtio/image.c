/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/overlay.h"

/* Largest alignment that is tried for O_DIRECT, in bytes; no host requires more than a page. */
#define ALIGN_MAX 4096u
#define SECTOR	  512u

static const char readonly_would_do[] = "cannot be opened for writing (try readonly)";

/* Returns -err, and sets *why to the reason, or to the text of err if that is NULL. */
static int refuse(int err, const char *reason, const char **why)
{
	*why = reason ? reason : strerror(err);
	return -err;
}

/* Returns the file that config->path names. */
static int image_source(const struct image *image)
{
	return image->base_fd >= 0 ? image->base_fd : image->fd;
}

static int check_kind(const struct stat *st, const char **why)
{
	if (S_ISDIR(st->st_mode))
		return refuse(EISDIR, "is a directory", why);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return refuse(EINVAL, "neither a file nor a block device", why);
	return 0;
}

/* Returns the flags for open(2). O_EXCL refuses to open a block device for writing that is mounted
 * or otherwise claimed. */
static int open_flags(const struct blk_config *config, const struct stat *st)
{
	int flags = O_CLOEXEC | O_NOCTTY;

	if (config->readonly || config->ephemeral)
		return flags | O_RDONLY;
	return flags | O_RDWR | (S_ISBLK(st->st_mode) ? O_EXCL : 0);
}

/* Refuses a read-only block device: the kernel opens it for writing without an error, and then
 * refuses every write. */
static int check_writable(const struct image *image, const struct blk_config *config,
			  const struct stat *st, const char **why)
{
	int readonly = 0;

	if (config->readonly || config->ephemeral || !S_ISBLK(st->st_mode))
		return 0;
	if (ioctl(image->fd, BLKROGET, &readonly))
		return 0; /* the device does not report whether it is read-only */
	return readonly ? refuse(EROFS, readonly_would_do, why) : 0;
}

/*
 * Opens the image a second time, for the lock. When a process is killed, an io_uring keeps the
 * files registered with it open for about 40 ms longer than the process lives, and with the lock on
 * such a file the next VM would be refused for that time.
 */
static int open_for_lock(const struct image *image, bool reads)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", image->fd);
	return open(path, O_CLOEXEC | O_NOCTTY | (reads ? O_RDONLY : O_RDWR));
}

/* The last byte that a lock can have; the others are locked through lock_fd. */
#define LAST_BYTE (INT64_MAX - 1)

/*
 * Waits until the requests of a killed process have ended: an io_uring that has the image registered
 * keeps it open, and this lock with it, until then. A late write could otherwise overwrite what this
 * process writes.
 */
static int lock_last_byte(const struct image *image, struct flock *fl)
{
	fl->l_start = LAST_BYTE;
	fl->l_len = 1;
	return fcntl(image->fd, F_OFD_SETLKW, fl);
}

/* Locks the image, `reads`: as a reader. */
static int lock(struct image *image, bool reads, const char **why)
{
	struct flock fl = {
		.l_type = reads ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	int err;

	image->lock_fd = open_for_lock(image, reads);
	if (image->lock_fd < 0) {
		err = fcntl(image->fd, F_OFD_SETLK, &fl);
	} else {
		fl.l_len = LAST_BYTE;
		err = fcntl(image->lock_fd, F_OFD_SETLK, &fl);
		if (!err)
			err = lock_last_byte(image, &fl);
	}
	if (!err)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return refuse(EBUSY, "in use by another process", why);
	return refuse(errno, NULL, why);
}

/* Determines the size of the image, and refuses one that is empty or not a whole number of logical
 * blocks. */
static int measure(struct image *image, const struct blk_config *config, const char **why)
{
	off_t end = lseek(image->fd, 0, SEEK_END);

	if (end < 0)
		return refuse(errno, NULL, why);
	if (end == 0)
		return refuse(EINVAL, "is empty", why);
	if (end % config->blk_size)
		return refuse(EINVAL,
			      config->blk_size == 512 ? "its size is not a multiple of 512 bytes"
						      : "its size is not a multiple of blk-size",
			      why);
	image->size = (uint64_t)end;
	return 0;
}

/* Returns O_DIRECT's alignment as the file system reports it (STATX_DIOALIGN, Linux 6.1 and later),
 * without any I/O. 0: not reported. */
static uint32_t ask_direct(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) || !(st.stx_mask & STATX_DIOALIGN))
		return 0;
	return st.stx_dio_mem_align > st.stx_dio_offset_align ? st.stx_dio_mem_align
							      : st.stx_dio_offset_align;
}

/* Returns the smallest alignment with which an O_DIRECT read succeeds, which works on every kernel
 * and file system. 0: none. */
static uint32_t probe_direct(int fd)
{
	uint32_t align = 0;
	char *buffer;

	if (posix_memalign((void **)&buffer, 2 * ALIGN_MAX, 2 * ALIGN_MAX))
		return 0;
	for (uint32_t try = SECTOR; try <= ALIGN_MAX && !align; try *= 2)
		if (pread(fd, buffer + try, try, 0) > 0)
			align = try;
	free(buffer);
	return align;
}

static bool set_direct(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT);
}

/* Enables O_DIRECT. Returns its alignment; 0: it is not possible. */
static uint32_t try_direct(int fd)
{
	uint32_t align;

	if (!set_direct(fd, true))
		return 0;
	align = ask_direct(fd);
	return align ? align : probe_direct(fd);
}

/* As try_direct, for both files of an ephemeral disk. They are used alike, because one engine has one
 * alignment. */
static uint32_t try_direct_twice(const struct image *image)
{
	uint32_t base = try_direct(image->base_fd), align = try_direct(image->fd);

	if (!base || !align)
		return 0;
	return base > align ? base : align;
}

/* Chooses between O_DIRECT and the page cache. The guest may address any logical block, so an image
 * whose O_DIRECT alignment is larger than that goes through the page cache. */
static int choose_direct(struct image *image, const struct blk_config *config, const char **why)
{
	uint32_t align;

	image->direct_align = 1;
	if (config->direct == BLK_DIRECT_OFF)
		return 0;
	align = image->overlay ? try_direct_twice(image) : try_direct(image->fd);
	if (align && align <= config->blk_size) {
		image->direct_align = align;
		return 0;
	}
	if (config->direct == BLK_DIRECT_ON)
		return refuse(EINVAL,
			      align ? "direct=on needs a larger blk-size on this host"
				    : "direct=on is not possible on this file system",
			      why);
	if (!set_direct(image->fd, false) || (image->overlay && !set_direct(image->base_fd, false)))
		return refuse(errno, NULL, why);
	return 0;
}

/* Returns whether the image could be opened read-only, after opening it for writing failed with
 * `err`. */
static bool readable(const char *path, int err)
{
	return err == EROFS || err == ETXTBSY || (err == EACCES && !access(path, R_OK));
}

int image_open(struct image *image, const struct blk_config *config, const char **why)
{
	struct stat st;
	int err;

	*image = (struct image){
		.fd = -1,
		.base_fd = -1,
		.lock_fd = -1,
		.readonly = config->readonly,
	};
	/* The kind is checked before open, because opening a FIFO would block, and a tape would
	 * rewind. */
	if (stat(config->path, &st))
		return refuse(errno, NULL, why);
	err = check_kind(&st, why);
	if (err)
		return err;

	image->fd = open(config->path, open_flags(config, &st));
	if (image->fd < 0) {
		if (errno == EBUSY)
			return refuse(errno, "in use by the host", why);
		if (!config->readonly && !config->ephemeral && readable(config->path, errno))
			return refuse(errno, readonly_would_do, why);
		return refuse(errno, NULL, why);
	}
	if (fstat(image->fd, &st))
		err = refuse(errno, NULL, why);
	if (!err)
		err = check_kind(&st, why);
	if (!err)
		err = check_writable(image, config, &st, why);
	if (!err)
		err = lock(image, config->readonly || config->ephemeral, why);
	if (!err)
		err = measure(image, config, why);
	/* The limits that the guest is told are then those of the file that it writes to. */
	if (!err && config->ephemeral)
		err = image_make_ephemeral(image, config, &st, why);
	if (!err)
		err = choose_direct(image, config, why);
	if (err) {
		image_close(image);
		return err;
	}
	image->format = image_format(image_source(image));
	image_ask_limits(image, &st);
	return 0;
}

bool image_is(const struct image *image, const char *path)
{
	struct stat a, b;

	if (fstat(image_source(image), &a) || stat(path, &b))
		return false;
	/* A block device may have several device nodes, each with its own inode and its
	 * own locks. */
	if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
		return a.st_rdev == b.st_rdev;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int grow(struct image *image, uint64_t bytes, const char **why)
{
	struct stat st;

	if (fstat(image->fd, &st))
		return refuse(errno, NULL, why);
	if (image->readonly || !S_ISREG(st.st_mode))
		return refuse(EINVAL, "only a writable file can grow", why);
	/* Blocks of the overlay are written as a whole. */
	if (image->overlay)
		bytes = (bytes + OVERLAY_BLOCK - 1) / OVERLAY_BLOCK * OVERLAY_BLOCK;
	return ftruncate(image->fd, (off_t)bytes) ? refuse(errno, NULL, why) : 0;
}

int image_resize(struct image *image, uint32_t blk_size, uint64_t bytes, const char **why)
{
	off_t end = lseek(image->fd, 0, SEEK_END);
	int err = 0;

	if (end < 0)
		return refuse(errno, NULL, why);
	if (!bytes && image->base_fd >= 0)
		return refuse(EINVAL, "an ephemeral disk needs a size", why);
	if (!bytes)
		bytes = (uint64_t)end - (uint64_t)end % blk_size;
	if (!bytes)
		return refuse(EINVAL, "the image is empty", why);
	if (bytes % blk_size)
		return refuse(EINVAL, "not a multiple of the disk's blk-size", why);
	if (bytes > (uint64_t)end)
		err = grow(image, bytes, why);
	if (!err)
		image->size = bytes;
	return err;
}

int image_flush(const struct image *image)
{
	if (image->readonly || image->base_fd >= 0)
		return 0;
	return fdatasync(image->fd) ? -errno : 0;
}

int image_flush_independent(const struct image *image)
{
	if (image->readonly || image->base_fd >= 0)
		return 0;
	return fdatasync(image->lock_fd) ? -errno : 0;
}

void image_close(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	if (image->base_fd >= 0)
		close(image->base_fd);
	if (image->lock_fd >= 0)
		close(image->lock_fd);
	overlay_destroy(image->overlay);
	image->overlay = NULL;
	image->fd = image->base_fd = image->lock_fd = -1;
}
