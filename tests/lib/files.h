/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * files: disk images for tests, and views of this process's threads and descriptors.
 *
 * Images lie in $UNIT_TMP, else in build/, else in the working directory. A failure fails the test.
 */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct test_image {
	char path[256];
	int fd;		/* read-write; O_DIRECT if requested and supported */
	uint32_t align; /* O_DIRECT's alignment in bytes; 1: no O_DIRECT */
	uint64_t size;	/* bytes */
};

/* Creates a file of any `size`, in bytes. The content of each 8-byte word depends on its
 * offset. */
void image_make(struct test_image *image, uint64_t size, bool direct);

/* Closes and removes the file. */
void image_remove(struct test_image *image);

/* True when `data` is equal to the bytes that image_make wrote to [offset, offset + len). */
bool image_is_fresh(const void *data, uint64_t offset, uint64_t len);

/* True when the file has the size and all of the content that image_make gave it. */
bool image_is_untouched(const struct test_image *image);
bool all_bytes(const void *data, int byte, uint64_t len);

/* Reads from the file through the page cache, by a descriptor of its own, even if image->fd uses
 * O_DIRECT. */
void image_peek(const struct test_image *image, void *data, uint64_t offset, uint64_t len);

/* Returns the current size of the file in bytes. */
uint64_t image_size(const struct test_image *image);

/* Returns the number of entries in /proc/self/fd. The number includes the function's own descriptor
 * and the dot entries, so only differences are meaningful. */
unsigned int count_fds(void);

/* Returns the number of threads of this process, without io_uring's kernel threads. */
unsigned int count_threads(void);

/* Waits until a thread of this process sleeps in epoll_wait or io_uring_enter without a timeout.
 * Such a thread has no work left, and does not busy-poll. */
void wait_idle_thread(void);

/* True when thread tid of this process (0: any thread but the caller) sleeps in this system
 * call. */
bool thread_sleeps_in(pid_t tid, long call);

/* Returns the counter of an eventfd without resetting it. */
uint64_t eventfd_count(int fd);

#endif
