/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about guest memory and the log of its dirty pages. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "devices/vhost_user/internal.h"

/* Stops the dataplane's use of the memory table, for a change of it that keeps all memory of
 * running rings mapped. Requests in flight are finished; long discards continue afterwards. */
static void hold_memory(struct vhost_user *vu)
{
	if (!vu->paused)
		blk_pause(vu->blk);
}

static void release_memory(struct vhost_user *vu)
{
	if (!vu->paused)
		blk_resume(vu->blk);
}

static int add_region(struct vhost_user *vu, const struct vhost_user_mem_region *region,
		      unsigned int n)
{
	int fd = vhost_user_take_fd(&vu->msg, n);
	int err = vhost_user_memory_add(vu->memory, region, fd);

	close(fd);
	return err ? vhost_user_refuse(vu, err, strerror(-err)) : 0;
}

int vhost_user_set_mem_table(struct vhost_user *vu)
{
	const struct vhost_user_mem_table *table = &vu->msg.payload.table;
	uint32_t count = table->count;
	int err = 0;

	if (count > VHOST_USER_MEM_TABLE_MAX || count != vu->msg.fd_count ||
	    vu->msg.header.size < offsetof(struct vhost_user_mem_table, region[count]))
		return vhost_user_refuse(vu, -EINVAL, "sizes and descriptors do not match");
	/* The rings themselves may lie elsewhere in the new table. */
	vhost_user_rings_stop(vu);
	vhost_user_memory_clear(vu->memory);
	for (uint32_t i = 0; i < count && !err; i++)
		err = add_region(vu, &table->region[i], i);
	return err ? err : vhost_user_rings_start(vu);
}

int vhost_user_get_max_mem_slots(struct vhost_user *vu)
{
	vu->msg.payload.u64 = VHOST_USER_MEM_SLOTS;
	return vhost_user_answer(vu, sizeof(uint64_t));
}

int vhost_user_add_mem_reg(struct vhost_user *vu)
{
	int err;

	hold_memory(vu);
	err = add_region(vu, &vu->msg.payload.slot.region, 0);
	release_memory(vu);
	return err ? err : vhost_user_rings_start(vu);
}

int vhost_user_rem_mem_reg(struct vhost_user *vu)
{
	const struct vhost_user_mem_region *region = &vu->msg.payload.slot.region;
	int err;

	hold_memory(vu);
	err = vhost_user_memory_remove(vu->memory, region);
	release_memory(vu);
	if (err == -ENOSPC) {
		vhost_user_rings_stop(vu);
		vhost_user_memory_release(vu->memory);
		vhost_user_memory_remove(vu->memory, region);
		return vhost_user_rings_start(vu);
	}
	if (!vhost_user_rings_running(vu))
		vhost_user_memory_release(vu->memory);
	return err ? vhost_user_refuse(vu, err, "there is no such region") : 0;
}

/* ---- dirty log ---- */

/* Replaces the dirty log. The answer promises that the back end no longer writes to the previous
 * one. */
int vhost_user_set_log_base(struct vhost_user *vu)
{
	int fd = vhost_user_take_fd(&vu->msg, 0);
	int err;

	hold_memory(vu);
	err = vhost_user_memory_set_log(vu->memory, &vu->msg.payload.log, fd);
	release_memory(vu);
	close(fd);
	if (err)
		return vhost_user_refuse(vu, err, strerror(-err));
	/* Cloud Hypervisor expects the payload back; QEMU accepts any. */
	return vhost_user_answer(vu, sizeof(vu->msg.payload.log));
}

int vhost_user_record_dirty(struct vhost_user *vu, bool record)
{
	int err;

	if (record == !!vu->memory->table.dirty)
		return 0;
	hold_memory(vu);
	err = vhost_user_memory_record(vu->memory, record);
	release_memory(vu);
	return err ? vhost_user_refuse(vu, err, "there is no dirty log") : 0;
}
