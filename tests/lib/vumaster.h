/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vumaster: a scripted vhost-user front end, and the back end that it talks to.
 *
 * Both are in the test's process, at the ends of a socket pair. The back end handles a message in
 * the call that sends it, so that tests need no waiting. Guest memory is that of the mock driver,
 * in three regions. Functions are for the test thread; a failure in them fails the test.
 */
#ifndef TESTS_VUMASTER_H
#define TESTS_VUMASTER_H

#include <stddef.h>
#include <stdint.h>

#include "devices/vhost_user/memory.h"
#include "devices/vhost_user/message.h"
#include "devices/vhost_user/session.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "devices/virtio/blk.h"

#define VUMASTER_DISK_BYTES (1u << 20)

/* Features that vumaster_start negotiates, besides those of its ring. */
#define VUMASTER_FEATURES (1ull << 32 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES)

struct vumaster {
	struct mockdrv m; /* driver of ring 0; its eventfds go to the back end */
	struct test_image image;
	struct blk_config config;
	struct blk *blk;
	struct vhost_user_memory memory;
	struct vhost_user *vu;
	struct blkplane_listener *next; /* as in vhost_user_create */
	int sock;
	bool need_reply; /* set NEED_REPLY in messages, and expect an acknowledgement */
};

/* Creates guest memory, an image and a default configuration. The test may change v->config before
 * vumaster_open. */
void vumaster_init(struct vumaster *v);
/* Creates disk and back end, and connects. */
void vumaster_open(struct vumaster *v);
/* vumaster_init and vumaster_open. */
void vumaster_open_default(struct vumaster *v);
/* Ends the connection, if there is one, and connects anew. */
void vumaster_reconnect(struct vumaster *v);
void vumaster_fini(struct vumaster *v);

/* Sends a message with descriptors, and lets the back end handle it. Returns the result of
 * vhost_user_handle. */
int vumaster_send(struct vumaster *v, uint32_t request, uint32_t flags, const void *payload,
		  uint32_t size, const int *fds, unsigned int fd_count);
/* Receives an answer to `request` of exactly `size` bytes. */
void vumaster_receive(struct vumaster *v, uint32_t request, void *payload, uint32_t size);
/* Receives an answer with a descriptor, which is the caller's. Returns it; -1: there is none. */
int vumaster_receive_fd(struct vumaster *v, uint32_t request, void *payload, uint32_t size);
/* True when the back end has sent nothing more. */
bool vumaster_silent(const struct vumaster *v);

/* Sends a message that the back end must accept, and with v->need_reply also acknowledge. */
void vumaster_say(struct vumaster *v, uint32_t request, const void *payload, uint32_t size,
		  const int *fds, unsigned int fd_count);
void vumaster_say_u64(struct vumaster *v, uint32_t request, uint64_t value);
void vumaster_say_state(struct vumaster *v, uint32_t request, uint32_t index, uint32_t num);
void vumaster_say_fd(struct vumaster *v, uint32_t request, uint32_t index, int fd);
/* Sends a message without payload, and returns the u64 of its answer. */
uint64_t vumaster_ask(struct vumaster *v, uint32_t request);

/* Describes region `n` (0: LOW, 1: HIGH, 2: FAR) of the guest's memory. */
struct vhost_user_mem_region vumaster_region(unsigned int n);
/* Returns the address in the front end's address space that stands for gpa. */
uint64_t vumaster_user_addr(uint64_t gpa);
void vumaster_say_memory(struct vumaster *v);
void vumaster_say_addr(struct vumaster *v, uint32_t index, const struct vring_config *ring,
		       uint32_t flags);

/* Lays out a ring of `size` descriptors in the format that `features` select. */
void vumaster_lay_out(struct vumaster *v, uint16_t size, uint64_t features);
/* Starts the ring at a position, in QEMU's order of messages. */
void vumaster_begin(struct vumaster *v, uint64_t features, uint32_t position);
/* Calls vumaster_lay_out, and vumaster_begin at the position of an unused ring. */
void vumaster_start(struct vumaster *v, uint16_t size, uint64_t features);
/* Stops ring 0, and returns its position. */
uint32_t vumaster_stop(struct vumaster *v);

/* Sends a request on ring 0 and waits for its end. Returns the status. */
uint8_t vumaster_do(struct vumaster *v, uint32_t type, uint64_t sector, uint32_t len,
		    struct mock_blk *req);

/* Reads 4 KiB on ring 0, and expects the data of a fresh image. */
void vumaster_read_ok(struct vumaster *v, uint64_t sector);

#endif
