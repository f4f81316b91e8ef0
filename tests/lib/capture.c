/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/capture.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/mockdrv.h"

static int log_fd = -1, stderr_fd = -1;

void capture_begin(void)
{
	if (log_fd >= 0)
		close(log_fd);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	stderr_fd = dup(STDERR_FILENO);
	must(log_fd >= 0 && stderr_fd >= 0 && dup2(log_fd, STDERR_FILENO) >= 0);
}

void capture_end(void)
{
	must(dup2(stderr_fd, STDERR_FILENO) >= 0);
	close(stderr_fd);
}

const char *capture_text(void)
{
	static char text[65536];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	must(n >= 0);
	text[n] = 0;
	return text;
}

unsigned int capture_count(const char *words)
{
	unsigned int count = 0;

	for (const char *at = capture_text(); (at = strstr(at, words)); at++)
		count++;
	return count;
}
