/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/files.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/mockdrv.h"

#define CHUNK 65536u

static const char *test_dir(void)
{
	const char *dir = getenv("UNIT_TMP");

	if (dir && *dir)
		return dir;
	return access("build", W_OK) ? "." : "build";
}

static uint64_t word_at(uint64_t offset)
{
	return offset * 0x9e3779b97f4a7c15ull + 1;
}

static void fill(int fd, uint64_t size)
{
	static uint64_t chunk[CHUNK / sizeof(uint64_t)];

	for (uint64_t at = 0; at < size; at += CHUNK) {
		uint64_t n = size - at < CHUNK ? size - at : CHUNK;

		for (unsigned int i = 0; i < ARRAY_SIZE(chunk); i++)
			chunk[i] = word_at(at + i * sizeof(chunk[0]));
		must(pwrite(fd, chunk, n, (off_t)at) == (ssize_t)n);
	}
}

/* Switches fd to O_DIRECT. Returns the smallest alignment, from 512 bytes on, that works for both
 * length and address; 1: O_DIRECT is not supported, and fd stays without it. */
static uint32_t go_direct(int fd)
{
	static char buffer[8192] __attribute__((aligned(8192)));

	if (fcntl(fd, F_SETFL, O_RDWR | O_DIRECT))
		return 1;
	for (uint32_t align = 512; align <= 4096; align *= 2)
		if (pread(fd, buffer + align, align, 0) > 0)
			return align;
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_RDWR), 0);
	return 1;
}

void image_make(struct test_image *image, uint64_t size, bool direct)
{
	snprintf(image->path, sizeof(image->path), "%s/image.XXXXXX", test_dir());
	image->fd = mkostemp(image->path, O_CLOEXEC);
	ck_assert_int_ge(image->fd, 0);
	image->size = size;
	fill(image->fd, size);
	image->align = direct ? go_direct(image->fd) : 1;
}

void image_remove(struct test_image *image)
{
	close(image->fd);
	unlink(image->path);
}

bool image_is_fresh(const void *data, uint64_t offset, uint64_t len)
{
	const uint8_t *byte = data;

	/* Comparing word by word is faster: a sanitizer checks each access. */
	for (uint64_t done = 0, n; done < len; done += n) {
		uint64_t skip = (offset + done) % sizeof(uint64_t);
		uint64_t word = word_at(offset + done - skip);

		n = sizeof(word) - skip < len - done ? sizeof(word) - skip : len - done;
		if (memcmp(byte + done, (const uint8_t *)&word + skip, n))
			return false;
	}
	return true;
}

bool all_bytes(const void *data, int byte, uint64_t len)
{
	const uint8_t *p = data;

	/* The first byte must be `byte`, and each other byte equal to the one before. */
	return !len || (p[0] == byte && !memcmp(p, p + 1, len - 1));
}

void image_peek(const struct test_image *image, void *data, uint64_t offset, uint64_t len)
{
	int fd = open(image->path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	must(pread(fd, data, len, (off_t)offset) == (ssize_t)len);
	close(fd);
}

uint64_t image_size(const struct test_image *image)
{
	struct stat st;

	ck_assert_int_eq(fstat(image->fd, &st), 0);
	return (uint64_t)st.st_size;
}

bool image_is_untouched(const struct test_image *image)
{
	static uint64_t chunk[CHUNK / sizeof(uint64_t)];

	if (image_size(image) != image->size)
		return false;
	for (uint64_t at = 0; at < image->size; at += CHUNK) {
		uint64_t n = image->size - at < CHUNK ? image->size - at : CHUNK;

		image_peek(image, chunk, at, n);
		for (unsigned int i = 0; i < n / sizeof(chunk[0]); i++)
			if (chunk[i] != word_at(at + i * sizeof(chunk[0])))
				return false;
	}
	return true;
}

unsigned int count_fds(void)
{
	unsigned int n = 0;
	DIR *dir = opendir("/proc/self/fd");

	must(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* True for a worker thread of the kernel's io_uring ("iou-wrk", "iou-sqp"). */
static bool is_kernels(const char *tid)
{
	char path[300], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	bool read = fgets(name, sizeof(name), file);
	fclose(file);
	return read && !strncmp(name, "iou-", 4);
}

unsigned int count_threads(void)
{
	unsigned int n = 0;
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");

	must(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' && !is_kernels(entry->d_name);
	closedir(dir);
	return n;
}

/* True when thread tid sleeps for events without a timeout. /proc/self/task/TID/syscall has the
 * number of the system call and its arguments, or "running". */
static bool sleeps_for_events(const char *tid)
{
	char path[300], line[256] = "";
	unsigned long nr, args[4];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	bool parsed = fgets(line, sizeof(line), file) &&
		      sscanf(line, "%lu %lx %lx %lx %lx", &nr, &args[0], &args[1], &args[2],
			     &args[3]) == 5;
	fclose(file);
	if (!parsed)
		return false;
	/* io_uring_enter sleeps only if its argument min_complete is not 0. */
	if (nr == SYS_io_uring_enter)
		return args[2];
	if ((int)args[3] != -1)
		return false;
#ifdef SYS_epoll_wait
	if (nr == SYS_epoll_wait)
		return true;
#endif
	return nr == SYS_epoll_pwait;
}

static bool some_thread_idle(void)
{
	bool found = false;
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");

	must(dir);
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.' && sleeps_for_events(entry->d_name);
	closedir(dir);
	return found;
}

static bool sleeps_in(const char *tid, long call)
{
	char path[300], line[32] = "";
	bool found;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* The file has "running", or the number of the system call and its arguments. */
	found = read(fd, line, sizeof(line) - 1) > 0 && line[0] != 'r' && atol(line) == call;
	close(fd);
	return found;
}

bool thread_sleeps_in(pid_t tid, long call)
{
	bool found = false;
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");

	must(dir);
	while (!found && (entry = readdir(dir))) {
		pid_t other = atoi(entry->d_name);

		found = other && other != gettid() && (!tid || other == tid) &&
			sleeps_in(entry->d_name, call);
	}
	closedir(dir);
	return found;
}

void wait_idle_thread(void)
{
	mock_wait_until(some_thread_idle());
}

uint64_t eventfd_count(int fd)
{
	char path[300], line[256];
	unsigned long long count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	must(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "eventfd-count: %llx", &count);
	fclose(file);
	return count;
}
