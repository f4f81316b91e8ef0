/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys iothreads and cpus of --disk, and how they fit the number of queues. */
#include <stdio.h>
#include <string.h>

#include "devices/virtio/blk.h"
#include "vmm/options/disk.h"

#define QUEUES_AUTO_MAX 4

_Static_assert(VIRTIO_MAX_QUEUES == 16, "messages say 16");

/* Parses "N:N:...", each number at most `most`. Returns their count; 0 if the text is invalid. */
static unsigned int take_list(const char *text, uint64_t most, uint16_t list[VIRTIO_MAX_QUEUES])
{
	unsigned int count = 0;

	for (;;) {
		size_t len = strcspn(text, ":");
		char word[8];
		uint64_t n;

		if (len >= sizeof(word) || count == VIRTIO_MAX_QUEUES)
			return 0;
		memcpy(word, text, len);
		word[len] = '\0';
		if (!text_number(word, &n) || n > most)
			return 0;
		list[count++] = n;
		if (!text[len])
			return count;
		text += len + 1;
	}
}

/* Returns the number of threads in `list`, which is 1 + the largest number; 0 if a number below
 * the largest is missing, because that thread would serve no queue. */
static unsigned int threads_named(const uint16_t *list, unsigned int count)
{
	unsigned int seen = 0, threads = 0;

	for (unsigned int i = 0; i < count; i++) {
		seen |= 1u << list[i];
		threads = list[i] >= threads ? list[i] + 1u : threads;
	}
	return seen == (1u << threads) - 1 ? threads : 0;
}

const char *options_set_iothreads(const struct option *option, void *to, char *value,
				  struct option_error *error)
{
	struct blk_config *disk = to;
	uint16_t list[VIRTIO_MAX_QUEUES];
	uint64_t n;

	(void)error;
	if (text_number(value, &n)) {
		disk->iothreads = n <= option->max ? n : 0;
	} else {
		disk->map_count = take_list(value, option->max - 1, list);
		disk->iothreads = threads_named(list, disk->map_count);
		for (unsigned int i = 0; i < disk->map_count; i++)
			disk->thread_of[i] = (uint8_t)list[i];
	}
	if (disk->iothreads)
		return NULL;
	return "must be a number from 1 to 16, or a thread for each queue (0:1:...)";
}

const char *options_set_cpus(const struct option *option, void *to, char *value,
			     struct option_error *error)
{
	struct blk_config *disk = to;

	(void)error;
	disk->cpu_count = take_list(value, option->max, disk->cpu);
	if (disk->cpu_count)
		return NULL;
	return "must be numbers from 0 to 1023, one for each iothread (2:3:...)";
}

const char *options_settle_queues(struct blk_config *disk, unsigned int vcpus, char why[WHY_MAX])
{
	if (!disk->queues)
		disk->queues = disk->map_count		 ? disk->map_count
			       : vcpus < QUEUES_AUTO_MAX ? vcpus
							 : QUEUES_AUTO_MAX;
	if (!disk->iothreads && disk->cpu_count > disk->queues) {
		snprintf(why, WHY_MAX, "cpus lists %u for queues=%u", disk->cpu_count,
			 disk->queues);
		return why;
	}
	if (!disk->iothreads)
		disk->iothreads = disk->cpu_count;
	if (disk->map_count && disk->map_count != disk->queues)
		snprintf(why, WHY_MAX, "iothreads lists %u threads for queues=%u", disk->map_count,
			 disk->queues);
	else if (disk->cpu_count && disk->cpu_count != disk->iothreads)
		snprintf(why, WHY_MAX, "cpus lists %u for iothreads=%u", disk->cpu_count,
			 disk->iothreads);
	else if (disk->iothreads > disk->queues)
		snprintf(why, WHY_MAX, "iothreads=%u is more than queues=%u", disk->iothreads,
			 disk->queues);
	else
		return NULL;
	return why;
}
