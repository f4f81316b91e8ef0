/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sections: sections of the state file that the machine itself writes.
 *
 * For snapshot.c and restore.c. The structs are stored as they are.
 */
#ifndef VMM_MACHINE_SECTIONS_H
#define VMM_MACHINE_SECTIONS_H

#include "devices/virtio/blk.h"
#include "devices/virtio/mmio_state.h"
#include "vmm/state/directory.h"
#include "vmm/state/state.h"
#include "vmm/state/working_set.h"

#define TAG_MACHINE STATE_TAG('M', 'A', 'C', 'H')
#define TAG_DISK    STATE_TAG('D', 'I', 'S', 'K') /* instance: the disk's number */
#define TAG_PARKED  STATE_TAG('P', 'A', 'R', 'K') /* failed requests; instance: section_queue */
#define TAG_SERIAL  STATE_TAG('S', 'E', 'R', 'I')
#define TAG_BASE    STATE_TAG('B', 'A', 'S', 'E') /* of a diff; TAG_PAGES has its pages */

/* What the machine is made of. */
struct machine_section {
	uint64_t memory; /* bytes, and the size of the memory file */
	uint32_t cpus;
	uint32_t description; /* enum description */
	uint32_t serial;      /* 1: there is a serial port */
	uint32_t disks;
	uint32_t exit_port; /* 0: none */
	uint32_t zero;
};

struct disk_section {
	struct blk_state blk;
	struct virtio_mmio_state mmio;
};

static inline unsigned int section_queue(unsigned int disk, unsigned int queue)
{
	return disk * VIRTIO_MAX_QUEUES + queue;
}

/* The snapshot that a diff belongs to, which is beside it. */
struct base_section {
	struct identity identity;
	char name[SNAPSHOT_NAME_MAX + 8];
};

#endif
