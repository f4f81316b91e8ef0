/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * files: images to test on, in $UNIT_TMP, build/ or here, and what a host can do to them.
 * What fails here fails the test.
 */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct test_image {
	char path[256];
	int fd;		/* read-write; O_DIRECT where asked for and possible */
	uint32_t align; /* O_DIRECT's, or 1 */
	uint64_t size;
};

/* A file of that many bytes (any number), each word telling where it is. */
void image_make(struct test_image *image, uint64_t size, bool direct);
/* Closes and removes it. */
void image_remove(struct test_image *image);

/* Is that what image_make put at [offset, offset + len)? */
bool image_is_fresh(const void *data, uint64_t offset, uint64_t len);
/* Is that so for the whole file, and has it the size it was made with? */
bool image_is_untouched(const struct test_image *image);
bool all_bytes(const void *data, int byte, uint64_t len);

/* Through the page cache and a descriptor of its own, whatever image->fd is. */
void image_peek(const struct test_image *image, void *data, uint64_t offset, uint64_t len);
uint64_t image_size(const struct test_image *image);

/* Entries of /proc/self/fd; those of /proc/self/task without the kernel's helpers of io_uring. */
unsigned int count_fds(void);
unsigned int count_threads(void);

/* Wait until some other thread of this process sleeps in epoll_wait or io_uring_enter without a
 * timeout: it has done all it had to, and does not spin. */
void wait_idle_thread(void);

/* Does that thread of this process (0: any other than the caller) sleep in that system call? */
bool thread_sleeps_in(pid_t tid, long call);

/* An eventfd's counter, without reading it. */
uint64_t eventfd_count(int fd);

#endif
