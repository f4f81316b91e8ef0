/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/state/working_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/write_all.h"

#define PATH_SIZE (SNAPSHOT_NAME_MAX + 20)

/* Writes the file under another name, and then gives it its name. */
static int write_file(int parent_fd, const char *name, const struct state_writer *out)
{
	char path[PATH_SIZE], staged[PATH_SIZE];
	int fd, err;

	snprintf(path, sizeof(path), "%s/" SNAPSHOT_SET, name);
	snprintf(staged, sizeof(staged), "%s/" SNAPSHOT_SET_STAGED, name);
	if (unlinkat(parent_fd, staged, 0) && errno != ENOENT)
		return -errno;
	fd = openat(parent_fd, staged, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, out->data, out->size);
	if (!err)
		err = fsync(fd) ? -errno : snapshot_rename(parent_fd, staged, path);
	close(fd);
	/* An older set has this name now, unless the new one failed or is the first. */
	if (err)
		unlinkat(parent_fd, staged, 0);
	return err < 0 ? err : 0;
}

int working_set_write(int parent_fd, const char *name, uint32_t arch,
		      const struct identity *identity, const struct page_set *set)
{
	struct state_writer out;
	int err;

	state_begin(&out, arch);
	state_put(&out, TAG_IDENTITY, 0, identity, sizeof(*identity));
	page_set_put(set, &out);
	err = state_end(&out);
	if (!err)
		err = write_file(parent_fd, name, &out);
	state_free(&out);
	return err;
}

static bool known(uint32_t tag)
{
	return tag == TAG_IDENTITY || tag == TAG_PAGES;
}

int working_set_read(int fd, uint32_t arch, const struct identity *identity, uint64_t size,
		     struct page_set *set, struct state_reader *reader)
{
	struct identity found;
	void *data;
	int err = state_load(reader, fd, &data);

	if (!err)
		err = state_open(reader, data, reader->size, arch, known);
	if (!err)
		err = state_get(reader, TAG_IDENTITY, 0, &found, sizeof(found));
	if (!err && memcmp(&found, identity, sizeof(found)) != 0)
		err = state_refuse(reader, TAG_IDENTITY, 0, "is that of another snapshot");
	if (!err)
		err = page_set_get(set, reader, size);
	free(data);
	return err;
}
