/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * read_floor FILE: measures how long this machine currently takes to read a file into fresh memory,
 * in huge pages where possible: the lower bound for any monitor that loads this file. Prints
 * read_us=N.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGE_PAGE (2ul << 20)

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	struct stat st;
	size_t left;
	char *to;
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: read_floor FILE\n");
		return 1;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		fail(argv[1]);
	left = (size_t)st.st_size;

	double begin = now_us();
	to = mmap(NULL, left + 2 * LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		  -1, 0);
	if (to == MAP_FAILED)
		fail("mmap");
	to += LARGE_PAGE - (size_t)to % LARGE_PAGE;
	madvise(to, left, MADV_HUGEPAGE);
	while (left) {
		ssize_t n = read(fd, to, left);

		if (n <= 0)
			fail(argv[1]);
		to += n;
		left -= (size_t)n;
	}
	printf("read_us=%.0f\n", now_us() - begin);
	return 0;
}
