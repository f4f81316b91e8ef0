/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/entries.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/* Returns whether this entry of /proc/self/task is a worker thread of io_uring. */
static bool is_kernels(const char *path, const char *entry)
{
	char file[300], name[8] = "";
	int fd;

	snprintf(file, sizeof(file), "%s/%s/comm", path, entry);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool is = read(fd, name, 7) == 7 && !strcmp(name, "iou-wrk");
	close(fd);
	return is;
}

unsigned int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	fuzz_must(dir);
	while ((entry = readdir(dir)))
		n += !is_kernels(path, entry->d_name);
	closedir(dir);
	return n;
}
