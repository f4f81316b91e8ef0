/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that does with its memory what it is told on the serial port, for tests of snapshots
 * (tests/cli/snapshot). It prints `ready`, and then answers each command, a line:
 *
 *	w FIRST COUNT STEP SEED	write COUNT pages, each STEP'th from page FIRST on: done
 *	z FIRST COUNT STEP	write zeros: done
 *	r FIRST COUNT STEP	read: sum=N of the pages
 *	d FIRST COUNT		read COUNT pages from the start of the disk, in one request: reading,
 *				and at its end done
 *
 * Page 0 is the first one that the guest does not use itself.
 */
#include "guest/bare/virtio.h"

static uint64_t first_page;
static struct device disk;
static struct request transfer;

static char next_char(void)
{
	int c;

	while ((c = arch_getc()) < 0)
		arch_relax();
	return (char)c;
}

/* Reads a line, without its newline. */
static void read_line(char *line, size_t size)
{
	size_t len = 0;

	while ((line[len] = next_char()) != '\n')
		if (len + 1 < size)
			len++;
	line[len] = '\0';
}

static uint64_t *page_at(uint64_t number)
{
	uint64_t at = first_page + number * PAGE;

	check(at + PAGE <= ram_end);
	return (uint64_t *)at;
}

static void write_page(uint64_t number, uint64_t seed)
{
	uint64_t *to = page_at(number);

	for (unsigned int i = 0; i < PAGE / sizeof(*to); i++)
		to[i] = (seed + number) * 0x9e3779b97f4a7c15ull + i;
}

static uint64_t sum_page(uint64_t number, uint64_t sum)
{
	const uint64_t *from = page_at(number);

	for (unsigned int i = 0; i < PAGE / sizeof(*from); i++)
		sum = (sum ^ from[i]) * 0x100000001b3ull;
	return sum;
}

static void read_disk(uint64_t number, uint64_t count)
{
	struct vring_used_elem used;

	check(page_at(number + count - 1));
	transfer.data = (void *)page_at(number);
	transfer.len = (uint32_t)(count * PAGE);
	disk.ring.next_desc = 0;
	request_chain(&disk, &transfer);
	offer(&disk, transfer.head);
	say("reading\n");
	/* The VM may be paused for longer than a test waits for a request. */
	while (!ring_used(&disk, &used))
		arch_relax();
	check(*transfer.status == VIRTIO_BLK_S_OK);
}

static void obey(const char *line)
{
	uint64_t value[4] = { 0, 0, 1, 0 }, sum = 0;
	const char *at = line + 1;

	for (unsigned int i = 0; i < 4 && *at == ' '; i++)
		value[i] = parse_number(at + 1, &at);
	if (*line == 'd') {
		read_disk(value[0], value[1]);
		value[1] = 0;
	}
	for (uint64_t i = 0; i < value[1]; i++) {
		uint64_t number = value[0] + i * value[2];

		if (*line == 'w')
			write_page(number, value[3]);
		else if (*line == 'z')
			memset(page_at(number), 0, PAGE);
		else
			sum = sum_page(number, sum);
	}
	if (*line == 'r')
		say("sum=%lu\n", sum);
	else
		say("done\n");
}

TEST(memory)
{
	char line[80];

	if (device_probe(&disk, 0)) {
		device_start(&disk, 16, 0);
		request_init(&transfer, VIRTIO_BLK_T_IN, 0, 0);
	}
	first_page = (uint64_t)page_alloc(0);
	say("ready\n");
	while (true) {
		read_line(line, sizeof(line));
		obey(line);
	}
}
