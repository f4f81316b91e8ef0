/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protocol: messages of the vhost-user protocol, from the back end's side.
 *
 * Names and numbers are those of QEMU's docs/interop/vhost-user.rst. A message is a header, a
 * payload in the host's byte order, and file descriptors that accompany the header's first byte.
 */
#ifndef VHOST_USER_PROTOCOL_H
#define VHOST_USER_PROTOCOL_H

#include <stdint.h>

#include "dataplane/hostmem.h"

/* Messages of the front end. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_REQUESTS
};

/* Message of the back end, on the socket of SET_BACKEND_REQ_FD. */
#define VHOST_USER_BACKEND_CONFIG_CHANGE_MSG 2

/* Virtio feature bits of the protocol itself. */
#define VHOST_F_LOG_ALL		       26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Protocol feature bits. */
#define VHOST_USER_PROTOCOL_F_MQ		  0
#define VHOST_USER_PROTOCOL_F_LOG_SHMFD		  1
#define VHOST_USER_PROTOCOL_F_REPLY_ACK		  3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ	  5
#define VHOST_USER_PROTOCOL_F_CONFIG		  9
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD	  12
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS 15

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload */
};

/* Flags of a header. */
#define VHOST_USER_VERSION	1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY	4u
#define VHOST_USER_NEED_REPLY	8u

/* Longest payload that is accepted, and most file descriptors with one message. */
#define VHOST_USER_PAYLOAD_MAX 4096
#define VHOST_USER_FDS_MAX     32

/*
 * Regions of guest memory. QEMU refuses a back end that offers fewer slots after a reconnect than
 * before, so this number must never shrink.
 */
#define VHOST_USER_MEM_SLOTS 32
_Static_assert(VHOST_USER_MEM_SLOTS <= HOSTMEM_MAX_REGIONS, "each slot is a region");

/* Regions that one SET_MEM_TABLE can carry. */
#define VHOST_USER_MEM_TABLE_MAX 8

struct vhost_user_mem_region {
	uint64_t gpa;
	uint64_t size;	      /* bytes; need not be a multiple of a page */
	uint64_t user_addr;   /* address of the region in the front end's address space */
	uint64_t mmap_offset; /* of the region in its file */
};

struct vhost_user_mem_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_user_mem_region region[VHOST_USER_MEM_TABLE_MAX];
};

/* The payload of ADD_MEM_REG and REM_MEM_REG. */
struct vhost_user_mem_slot {
	uint64_t padding;
	struct vhost_user_mem_region region;
};

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags; /* VHOST_USER_VRING_F_LOG */
	/* These three are addresses in the front end's address space. */
	uint64_t desc;
	uint64_t used;	/* packed ring: the device event suppression structure */
	uint64_t avail; /* packed ring: the driver event suppression structure */
	uint64_t log;	/* guest physical address of the used ring, for the dirty log */
};

#define VHOST_USER_VRING_F_LOG 1u

/* The u64 of SET_VRING_KICK, _CALL and _ERR. */
#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NOFD_MASK  0x100u

/* GET_CONFIG and SET_CONFIG: this header, then `size` bytes of configuration space. */
struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
};

#define VHOST_USER_CONFIG_MAX 256

struct vhost_user_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
};

struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding; /* QEMU and rust-vmm send the struct's whole 24 bytes */
};

#endif
