/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load generator for a file system or a disk, whose data can be checked with the seed alone. Runs
 * in the guest; the checks also run on the host.
 *
 * mix DIR PROCS STEPS SEED: PROCS processes each do STEPS random operations on files in DIR (write,
 *   truncate, rename, link, unlink, fsync, read), then compare.
 * check DIR PROCS STEPS SEED: repeats the operations in memory only, and compares; for later
 *   mounts.
 * keep DIR PROCS SEED: writes files, 400 each; prints "kept NAME ok" for each when fsync has stored
 *   the file and its name.
 * kept DIR NAME...: checks these files, whose names contain their seed and size.
 * fill SEED OFFSET LEN: prints LEN bytes of the data that belong to OFFSET.
 * flood DISK SEED OFFSET LEN PROCS: PROCS processes write such data to its place on the disk with
 *   O_DIRECT, in pieces of any size, until the disk fails.
 * sectors DISK OFFSET LEN SEED SEED: checks that each sector has the data of one of the seeds, and
 *   prints the number of sectors for each.
 *
 * Exit status: 0; 1: wrong data or a failed call (reported on standard output); 2: wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES	 12u
#define FILE_MAX 98304u
#define SECTOR	 512u

static void die(const char *what, const char *name)
{
	/* A single write prints the line, because several processes share the console. */
	char line[256];
	int n = snprintf(line, sizeof(line), "fsload: %s: %s (%s)\n", name, what, strerror(errno));

	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(3);
	_exit(1);
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* Fills buf with the data of `seed` for the bytes from `offset` on. */
static void fill(unsigned char *buf, uint64_t seed, uint64_t offset, size_t len)
{
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++, offset++) {
		if (!i || offset % 8 == 0)
			word = mix(mix(seed) + offset / 8);
		buf[i] = (unsigned char)(word >> 8 * (offset % 8));
	}
}

/* Returns a random number below limit; *state is the generator's state. */
static unsigned int below(uint64_t *state, unsigned int limit)
{
	return (unsigned int)(mix((*state)++) >> 32) % limit;
}

/* Waits for all children; returns 0 if all succeeded. */
static int children(void)
{
	int status, bad = 0;

	while (wait(&status) > 0)
		bad |= status;
	return bad ? 1 : 0;
}

/* ---- mix and check ---- */

struct file {
	bool there, linked;
	unsigned int id; /* f<id>, and l<id> if linked */
	unsigned int size;
	unsigned char data[FILE_MAX];
};

struct process {
	const char *dir;
	unsigned int number, next_id;
	bool real; /* else in memory only */
	uint64_t random;
	struct file files[FILES];
};

static const char *name_of(const struct process *p, char kind, unsigned int id)
{
	static char names[2][200];
	static int turn;

	turn = !turn;
	snprintf(names[turn], sizeof(names[turn]), "%s/p%u/%c%u", p->dir, p->number, kind, id);
	return names[turn];
}

static int open_file(const struct process *p, const struct file *f, int flags)
{
	/* Uses the other name about half of the time, if there is one. */
	const char *name = name_of(p, f->linked && f->size % 2 ? 'l' : 'f', f->id);
	int fd = open(name, flags, 0600);

	if (fd < 0)
		die("open", name);
	return fd;
}

static void compare(const struct process *p, const struct file *f)
{
	static unsigned char found[FILE_MAX + 1];
	const char *name = name_of(p, 'f', f->id);
	int fd = open(name, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		die("is not there", name);
	/* Drops the page cache, so that the data is read from the disk where possible. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	n = pread(fd, found, sizeof(found), 0);
	if (n != (ssize_t)f->size || memcmp(found, f->data, f->size))
		die("has other contents", name);
	close(fd);
}

static void write_some(struct process *p, struct file *f)
{
	unsigned int offset = below(&p->random, FILE_MAX - 1);
	unsigned int len = 1 + below(&p->random, below(&p->random, 2) ? 20000 : 700);
	uint64_t seed = p->random;
	int fd;

	if (offset > f->size && below(&p->random, 4)) /* a hole now and then */
		offset = f->size ? below(&p->random, f->size) : 0;
	if (len > FILE_MAX - offset)
		len = FILE_MAX - offset;
	fill(f->data + offset, seed, offset, len);
	if (f->size < offset + len)
		f->size = offset + len;
	if (!p->real)
		return;
	fd = open_file(p, f, O_WRONLY);
	if (pwrite(fd, f->data + offset, len, offset) != (ssize_t)len)
		die("write", name_of(p, 'f', f->id));
	close(fd);
}

static void resize(struct process *p, struct file *f)
{
	unsigned int size = below(&p->random, FILE_MAX);
	int fd = p->real ? open_file(p, f, O_WRONLY) : -1;

	if (size < f->size)
		memset(f->data + size, 0, f->size - size);
	f->size = size;
	if (!p->real)
		return;
	if (ftruncate(fd, size))
		die("ftruncate", name_of(p, 'f', f->id));
	close(fd);
}

static void link_or_not(struct process *p, struct file *f)
{
	if (p->real && (f->linked ? unlink(name_of(p, 'l', f->id))
				  : link(name_of(p, 'f', f->id), name_of(p, 'l', f->id))))
		die("link", name_of(p, 'f', f->id));
	f->linked = !f->linked;
}

static void unlink_both(struct process *p, struct file *f)
{
	if (p->real &&
	    (unlink(name_of(p, 'f', f->id)) || (f->linked && unlink(name_of(p, 'l', f->id)))))
		die("unlink", name_of(p, 'f', f->id));
	memset(f, 0, sizeof(*f));
}

/* Renames a file to a new name, or over another file. */
static void rename_it(struct process *p, struct file *f)
{
	struct file *over = &p->files[below(&p->random, FILES)];
	unsigned int id = p->next_id++;

	if (f->linked)
		link_or_not(p, f);
	if (over != f && over->there && !over->linked) {
		id = over->id;
		memset(over, 0, sizeof(*over));
	}
	if (p->real && rename(name_of(p, 'f', f->id), name_of(p, 'f', id)))
		die("rename", name_of(p, 'f', f->id));
	f->id = id;
}

static void step(struct process *p)
{
	struct file *f = &p->files[below(&p->random, FILES)];
	unsigned int what = below(&p->random, 100);
	int fd;

	if (!f->there) {
		f->there = true;
		f->id = p->next_id++;
		if (p->real)
			close(open_file(p, f, O_CREAT | O_EXCL | O_WRONLY));
	} else if (what < 50) {
		write_some(p, f);
	} else if (what < 60) {
		resize(p, f);
	} else if (what < 68) {
		rename_it(p, f);
	} else if (what < 76) {
		link_or_not(p, f);
	} else if (what < 80) {
		unlink_both(p, f);
	} else if (what < 90 && p->real) {
		fd = open_file(p, f, O_WRONLY);
		if (fsync(fd))
			die("fsync", name_of(p, 'f', f->id));
		close(fd);
	} else if (p->real) {
		compare(p, f);
	}
}

static void live(struct process *p, unsigned int steps)
{
	unsigned int files = 0;

	while (steps--)
		step(p);
	if (p->real)
		sync();
	for (struct file *f = p->files; f < p->files + FILES; f++) {
		if (f->there) {
			compare(p, f);
			files++;
		}
	}
	if (!files)
		die("no file is left", p->dir);
	_exit(0);
}

static int mixed(char **arg, bool real)
{
	unsigned int procs = (unsigned int)atoi(arg[1]);

	for (unsigned int i = 0; i < procs; i++) {
		char dir[200];

		snprintf(dir, sizeof(dir), "%s/p%u", arg[0], i);
		if (real && mkdir(dir, 0700))
			die("mkdir", dir);
		if (fork() == 0) {
			static struct process p;

			p.dir = arg[0];
			p.number = i;
			p.real = real;
			p.random = mix(strtoull(arg[3], NULL, 0) + i) >> 1;
			live(&p, (unsigned int)atoi(arg[2]));
		}
	}
	return children();
}

/* ---- keep and kept ---- */

static void write_file(const char *name, uint64_t seed, size_t size, bool stable)
{
	static unsigned char data[FILE_MAX];
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);

	fill(data, seed, 0, size);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || (stable && fsync(fd)))
		die("cannot be written", name);
	close(fd);
}

static void keep_on(const char *dir, unsigned int number, uint64_t seed)
{
	uint64_t r = mix(seed + number);
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	char scrap[200], temp[200], name[200], line[100];

	/* More files than the test needs before it ends the VM, but a bounded number. */
	for (unsigned int i = 0; i < 400; i++) {
		unsigned int size = 1 + below(&r, FILE_MAX / 2);

		/* Files that are never made stable move the allocation of the others. */
		snprintf(scrap, sizeof(scrap), "%s/scrap%u-%u", dir, number, i % 16);
		unlink(scrap);
		write_file(scrap, i, 1 + below(&r, FILE_MAX), false);

		snprintf(temp, sizeof(temp), "%s/new%u", dir, number);
		snprintf(name, sizeof(name), "%s/k%u-%u-%u", dir, number, i, size);
		write_file(temp, number * 1000000ull + i, size, true);
		if (rename(temp, name) || fsync(dirfd))
			die("rename, fsync", name);
		int n = snprintf(line, sizeof(line), "kept %s ok\n", name + strlen(dir) + 1);

		if (write(STDOUT_FILENO, line, (size_t)n) != n)
			die("write", "standard output");
	}
	_exit(0);
}

static int kept(const char *dir, char **names)
{
	static unsigned char found[FILE_MAX + 1], data[FILE_MAX];

	for (; *names; names++) {
		unsigned int number, i, size;
		char name[200];
		int fd;

		snprintf(name, sizeof(name), "%s/%s", dir, *names);
		if (sscanf(*names, "k%u-%u-%u", &number, &i, &size) != 3 || size > FILE_MAX)
			die("is no name of a kept file", *names);
		fd = open(name, O_RDONLY);
		if (fd < 0)
			die("is not there", name);
		fill(data, number * 1000000ull + i, 0, size);
		if (read(fd, found, sizeof(found)) != (ssize_t)size || memcmp(found, data, size))
			die("has other contents", name);
		close(fd);
	}
	return 0;
}

/* ---- a disk ---- */

static void flood(int fd, const unsigned char *data, char **arg, unsigned int number)
{
	uint64_t r = mix(number);
	off_t offset = (off_t)strtoull(arg[1], NULL, 0);
	unsigned int all = (unsigned int)(strtoull(arg[2], NULL, 0) / SECTOR);

	for (;;) {
		unsigned int first = below(&r, all), count = 1 + below(&r, 128);

		if (count > all - first)
			count = all - first;
		/* A write that fails ends the load, and is no error of the test. */
		if (pwrite(fd, data + first * SECTOR, count * SECTOR, offset + first * SECTOR) < 0)
			_exit(0);
	}
}

static int floods(const char *disk, char **arg)
{
	size_t len = strtoull(arg[2], NULL, 0);
	int fd = open(disk, O_WRONLY | O_DIRECT);
	void *data;

	if (fd < 0 || posix_memalign(&data, 4096, len))
		die("open", disk);
	fill(data, strtoull(arg[0], NULL, 0), strtoull(arg[1], NULL, 0), len);
	for (int i = 0; i < atoi(arg[3]); i++)
		if (fork() == 0)
			flood(fd, data, arg, (unsigned int)i);
	close(fd);
	return children();
}

static int sectors(const char *disk, char **arg)
{
	uint64_t offset = strtoull(arg[0], NULL, 0), end = offset + strtoull(arg[1], NULL, 0);
	unsigned char found[SECTOR], data[SECTOR];
	uint64_t seed[2] = { strtoull(arg[2], NULL, 0), strtoull(arg[3], NULL, 0) };
	unsigned int count[2] = { 0, 0 };
	int fd = open(disk, O_RDONLY);

	for (; offset < end; offset += SECTOR) {
		int which = 0;

		if (pread(fd, found, SECTOR, (off_t)offset) != SECTOR)
			die("read", disk);
		for (; which < 2; which++) {
			fill(data, seed[which], offset, SECTOR);
			if (!memcmp(found, data, SECTOR))
				break;
		}
		if (which == 2) {
			printf("fsload: %s: the sector at %llu has neither data\n", disk,
			       (unsigned long long)offset);
			return 1;
		}
		count[which]++;
	}
	printf("sectors %u %u\n", count[0], count[1]);
	return 0;
}

static int fill_out(uint64_t seed, uint64_t offset, uint64_t len)
{
	unsigned char data[4096];

	while (len) {
		size_t n = len < sizeof(data) ? len : sizeof(data);

		fill(data, seed, offset, n);
		if (write(STDOUT_FILENO, data, n) != (ssize_t)n)
			return 1;
		offset += n;
		len -= n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "mix") && argc == 6)
		return mixed(argv + 2, true);
	if (!strcmp(what, "check") && argc == 6)
		return mixed(argv + 2, false);
	if (!strcmp(what, "keep") && argc == 5) {
		for (int i = 0; i < atoi(argv[3]); i++)
			if (fork() == 0)
				keep_on(argv[2], (unsigned int)i, strtoull(argv[4], NULL, 0));
		return children();
	}
	if (!strcmp(what, "kept"))
		return kept(argv[2], argv + 3);
	if (!strcmp(what, "fill") && argc == 5)
		return fill_out(strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0),
				strtoull(argv[4], NULL, 0));
	if (!strcmp(what, "flood") && argc == 7)
		return floods(argv[2], argv + 3);
	if (!strcmp(what, "sectors") && argc == 7)
		return sectors(argv[2], argv + 3);
	fprintf(stderr, "fsload: wrong usage; see its source\n");
	return 2;
}
