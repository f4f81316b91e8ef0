/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys queues, iothreads and cpus of --disk. */
#include <stdio.h>
#include <string.h>

#include "devices/virtio/blk.h"
#include "vmm/options/internal.h"

#define QUEUES_AUTO_MAX 4
#define CPU_MAX		1023 /* the largest CPU number in a cpu_set_t */

_Static_assert(VIRTIO_MAX_QUEUES == 16, "messages say 16");

bool options_set_queues(struct blk_config *disk, const char *value)
{
	uint64_t n;

	if (!text_number(value, &n) || n < 1 || n > VIRTIO_MAX_QUEUES)
		return false;
	disk->queues = n;
	return true;
}

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

bool options_set_iothreads(struct blk_config *disk, const char *value)
{
	uint16_t list[VIRTIO_MAX_QUEUES];
	uint64_t n;

	if (text_number(value, &n)) {
		disk->iothreads = n <= VIRTIO_MAX_QUEUES ? n : 0;
		return disk->iothreads;
	}
	disk->map_count = take_list(value, VIRTIO_MAX_QUEUES - 1, list);
	disk->iothreads = threads_named(list, disk->map_count);
	for (unsigned int i = 0; i < disk->map_count; i++)
		disk->thread_of[i] = (uint8_t)list[i];
	return disk->iothreads;
}

bool options_set_cpus(struct blk_config *disk, const char *value)
{
	disk->cpu_count = take_list(value, CPU_MAX, disk->cpu);
	return disk->cpu_count;
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
