/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a vhost-user back end on a host that refuses memory, descriptors or system calls. Linked
 * with --wrap for the functions below.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/lib/vumaster.h"

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __real_dup3(int from, int to, int flags);
int __wrap_dup3(int from, int to, int flags);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_memfd_create(const char *name, unsigned int flags);
int __wrap_memfd_create(const char *name, unsigned int flags);
ssize_t __real_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes);
ssize_t __real_recvmsg(int sock, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int sock, struct msghdr *message, int flags);
ssize_t __real_sendmsg(int sock, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int sock, const struct msghdr *message, int flags);
/* A function that fails: the call with this number from now on, from 1; 0: none. */
struct failure {
	unsigned int call;
	int err;
};
static struct failure callocs, eventfds, timerfds, dups, stats, fcntls, mmaps, memfds, writes,
	receives, sends;
static bool other_level; /* control messages come from another protocol */
static blksize_t block_size;

static bool fails(struct failure *failure)
{
	if (!failure->call || --failure->call)
		return false;
	errno = failure->err;
	return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(&callocs) ? NULL : __real_calloc(n, size);
}

int __wrap_eventfd(unsigned int count, int flags)
{
	return fails(&eventfds) ? -1 : __real_eventfd(count, flags);
}

int __wrap_timerfd_create(int clock, int flags)
{
	return fails(&timerfds) ? -1 : __real_timerfd_create(clock, flags);
}

int __wrap_dup3(int from, int to, int flags)
{
	return fails(&dups) ? -1 : __real_dup3(from, to, flags);
}

int __wrap_fstat(int fd, struct stat *st)
{
	int err = fails(&stats) ? -1 : __real_fstat(fd, st);

	if (!err && block_size)
		st->st_blksize = block_size;
	return err;
}

int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	void *argument;

	va_start(ap, command);
	argument = va_arg(ap, void *);
	va_end(ap);
	return command == F_SETFL && fails(&fcntls) ? -1 : __real_fcntl(fd, command, argument);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return fails(&mmaps) ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, offset);
}

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return fails(&memfds) ? -1 : __real_memfd_create(name, flags);
}

/* Writes of blocks alone: eventfds are signalled by 8 bytes, and log lines are short. */
ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
	return bytes == 4096 && fails(&writes) ? -1 : __real_write(fd, data, bytes);
}

ssize_t __wrap_recvmsg(int sock, struct msghdr *message, int flags)
{
	ssize_t got = fails(&receives) ? -1 : __real_recvmsg(sock, message, flags);

	if (other_level && CMSG_FIRSTHDR(message))
		CMSG_FIRSTHDR(message)->cmsg_level = SOL_SOCKET + 1;
	return got;
}

/* The back end's messages alone: those of the front end may wait. */
ssize_t __wrap_sendmsg(int sock, const struct msghdr *message, int flags)
{
	if (!(flags & MSG_DONTWAIT) || !fails(&sends))
		return __real_sendmsg(sock, message, flags);
	return errno ? -1 : 1;
}

static struct vumaster v;
static struct mockdrv *const m = &v.m;

/* ---- creation ---- */

static const struct {
	const char *name;
	struct failure *failure;
	unsigned int call;
	int err;
} missing[] = {
	{ "memory", &callocs, 1, ENOMEM },
	{ "timer", &timerfds, 1, EMFILE },
	{ "eventfd", &eventfds, 1, EMFILE },
	{ "eventfd for the calls of a ring", &eventfds, 2, EMFILE },
	{ "eventfd for the errors of a ring", &eventfds, 3, EMFILE },
};

START_TEST(back_end_cannot_be_created)
{
	struct vhost_user *vu = NULL;
	const char *why;
	unsigned int fds;

	vumaster_init(&v);
	ck_assert_int_eq(blk_create(&v.blk, &v.config, 0, &v.memory.table, &why), 0);
	fds = count_fds();
	*missing[_i].failure = (struct failure){ missing[_i].call, missing[_i].err };
	ck_assert_int_eq(vhost_user_create(&vu, v.blk, &v.memory, NULL), -missing[_i].err);
	ck_assert_ptr_null(vu);
	ck_assert_uint_eq(count_fds(), fds);
	vhost_user_destroy(NULL);
	ck_assert_int_eq(blk_destroy(v.blk), 0);
	image_remove(&v.image);
	mock_fini(m);
}
END_TEST

/* ---- messages ---- */

static const struct refused {
	const char *name;
	struct failure *failure;
	int err;
	uint32_t request, size;
	unsigned int fds;
} refused[] = {
	{ "ADD_MEM_REG: no mapping", &mmaps, ENOMEM, VHOST_USER_ADD_MEM_REG, 40, 1 },
	{ "ADD_MEM_REG: no status of the file", &stats, EIO, VHOST_USER_ADD_MEM_REG, 40, 1 },
	{ "SET_LOG_BASE: no mapping", &mmaps, ENOMEM, VHOST_USER_SET_LOG_BASE, 16, 1 },
	{ "SET_INFLIGHT_FD: no mapping", &mmaps, ENOMEM, VHOST_USER_SET_INFLIGHT_FD, 24, 1 },
	{ "SET_VRING_KICK: no eventfd", &eventfds, EMFILE, VHOST_USER_SET_VRING_KICK, 8, 0 },
	{ "SET_VRING_CALL: no status of the file", &stats, EIO, VHOST_USER_SET_VRING_CALL, 8, 2 },
	{ "SET_VRING_CALL: no flags of the file", &fcntls, EIO, VHOST_USER_SET_VRING_CALL, 8, 2 },
};

START_TEST(message_is_refused_when_the_host_refuses)
{
	const struct refused *r = &refused[_i];
	union {
		uint64_t value;
		struct vhost_user_log log;
		struct vhost_user_inflight inflight;
		struct vhost_user_mem_slot slot;
	} payload = { .slot.region = vumaster_region(0) };
	unsigned int fds;

	vumaster_open_default(&v);
	if (r->size == 8)
		payload.value = r->fds ? 0 : VHOST_USER_VRING_NOFD_MASK;
	else if (r->size < 40)
		payload.inflight = (struct vhost_user_inflight){ 65536, 0, 1, 64, 0 };
	fds = count_fds();
	*r->failure = (struct failure){ 1, r->err };
	ck_assert_int_lt(vumaster_send(&v, r->request, 0, &payload, r->size,
				       r->fds == 1 ? &m->memfd : &m->irq_fd, r->fds ? 1 : 0),
			 0);
	ck_assert_uint_eq(r->failure->call, 0);
	vumaster_reconnect(&v);
	ck_assert_uint_eq(count_fds(), fds);
	vumaster_start(&v, 16, 0);
	vumaster_read_ok(&v, 0);
	vumaster_fini(&v);
}
END_TEST

static struct failure *const memory_failures[] = { &memfds, &writes };
static const char *const memory_names[] = { "no file", "no room in the file" };

START_TEST(no_memory_for_requests_in_flight_is_an_answer)
{
	struct vhost_user_inflight inflight = { 0, 0, 1, 128, 0 };

	vumaster_open_default(&v);
	*memory_failures[_i] = (struct failure){ 1, ENOMEM };
	unsigned int fds = count_fds();
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_INFLIGHT_FD, 0, &inflight, 24, NULL, 0),
			 0);
	vumaster_receive(&v, VHOST_USER_GET_INFLIGHT_FD, &inflight, 24);
	ck_assert_uint_eq(inflight.mmap_size, 0);
	ck_assert_uint_eq(count_fds(), fds);
	vumaster_fini(&v);
}
END_TEST

/* hugetlbfs maps whole huge pages only; other values are no size of a page. */
static const struct {
	const char *name;
	blksize_t size;
} blocks[] = {
	{ "2 MiB", 2 << 20 },
	{ "no power of two", 12288 },
	{ "512 bytes", 512 },
};

START_TEST(mapping_has_the_alignment_of_the_file)
{
	vumaster_open_default(&v);
	block_size = blocks[_i].size;
	vumaster_start(&v, 16, 0);
	for (unsigned int i = 0; i < 3 && blocks[_i].size == 2 << 20; i++)
		ck_assert_uint_eq(v.memory.mapping[i].length % (2 << 20), 0);
	block_size = 0;
	vumaster_read_ok(&v, 0);
	vumaster_fini(&v);
}
END_TEST

START_TEST(region_whose_last_block_ends_beyond_64_bits_is_refused)
{
	struct vhost_user_mem_slot slot = { .region = { 4096, INT64_MAX - 4095, 4096, 0 } };
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	vumaster_open_default(&v);
	ck_assert_int_lt(vumaster_send(&v, VHOST_USER_ADD_MEM_REG, 0, &slot, sizeof(slot), &fd, 1),
			 0);
	close(fd);
	vumaster_fini(&v);
}
END_TEST

START_TEST(interrupted_system_calls_are_repeated)
{
	vumaster_open_default(&v);
	receives = (struct failure){ 1, EINTR };
	sends = (struct failure){ 1, EINTR };
	vumaster_ask(&v, VHOST_USER_GET_FEATURES);
	ck_assert_uint_eq(receives.call + sends.call, 0);
	dups = (struct failure){ 1, EINTR };
	vumaster_start(&v, 16, 0);
	ck_assert_uint_eq(dups.call, 0);
	vumaster_read_ok(&v, 0);
	mock_wait_irq(m);
	vumaster_fini(&v);
}
END_TEST

START_TEST(failure_of_the_socket_ends_the_connection)
{
	vumaster_open_default(&v);
	receives = (struct failure){ 1, ECONNRESET };
	ck_assert_int_eq(vhost_user_handle(v.vu), -ECONNRESET);
	vumaster_reconnect(&v);
	sends = (struct failure){ 1, EPIPE };
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0), -EPIPE);
	vumaster_reconnect(&v);
	/* The socket has no room for all of an answer. */
	sends = (struct failure){ 1, 0 };
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0), -EIO);
	vumaster_reconnect(&v);
	struct vhost_user_inflight inflight = { 0, 0, 1, 128, 0 };
	unsigned int fds = count_fds();
	sends = (struct failure){ 1, EPIPE };
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_INFLIGHT_FD, 0, &inflight, 24, NULL, 0),
			 -EPIPE);
	ck_assert_uint_eq(count_fds(), fds);
	vumaster_fini(&v);
}
END_TEST

/* ---- other failures ---- */

/* An inherited socket may have options that add control messages. */
START_TEST(control_messages_without_descriptors_are_ignored)
{
	int on = 1;

	vumaster_open_default(&v);
	ck_assert_int_eq(setsockopt(vhost_user_socket(v.vu), SOL_SOCKET, SO_PASSCRED, &on,
				    sizeof(on)),
			 0);
	vumaster_ask(&v, VHOST_USER_GET_FEATURES);
	other_level = true;
	vumaster_ask(&v, VHOST_USER_GET_FEATURES);
	vumaster_fini(&v);
}
END_TEST

START_TEST(descriptor_that_cannot_be_replaced_stays)
{
	vumaster_open_default(&v);
	vumaster_start(&v, 16, 0);
	dups = (struct failure){ 1, EBADF };
	vumaster_say_fd(&v, VHOST_USER_SET_VRING_CALL, 0, -1);
	ck_assert_uint_eq(dups.call, 0);
	ck_assert_uint_ge(mock_wait_irq(m), 1);
	vumaster_read_ok(&v, 0);
	vumaster_fini(&v);
}
END_TEST

START_TEST(position_that_cannot_be_sent_leaves_the_memory_of_requests_in_use)
{
	struct vhost_user_inflight inflight = { 65536, 0, 1, 64, 0 };
	struct vhost_user_vring_state state = { 0, 0 };
	int fd = memfd_create("inflight", MFD_CLOEXEC);
	uint16_t version;

	ck_assert_int_eq(ftruncate(fd, 65536), 0);
	vumaster_open_default(&v);
	vumaster_say(&v, VHOST_USER_SET_INFLIGHT_FD, &inflight, 24, &fd, 1);
	vumaster_start(&v, 16, 0);
	sends = (struct failure){ 1, EPIPE };
	ck_assert_int_eq(vumaster_send(&v, VHOST_USER_GET_VRING_BASE, 0, &state, 8, NULL, 0),
			 -EPIPE);
	ck_assert_int_eq(pread(fd, &version, sizeof(version), 8), sizeof(version));
	ck_assert_uint_eq(version, 1);
	close(fd);
	vumaster_fini(&v);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vhost_user_host");
	TCase *t = tcase_create("vhost_user_host");

	tcase_set_timeout(t, 300);
	tcase_add_table_test(t, back_end_cannot_be_created, missing);
	tcase_add_table_test(t, message_is_refused_when_the_host_refuses, refused);
	tcase_add_names_test(t, no_memory_for_requests_in_flight_is_an_answer, memory_names);
	tcase_add_table_test(t, mapping_has_the_alignment_of_the_file, blocks);
	tcase_add_test(t, region_whose_last_block_ends_beyond_64_bits_is_refused);
	tcase_add_test(t, interrupted_system_calls_are_repeated);
	tcase_add_test(t, failure_of_the_socket_ends_the_connection);
	tcase_add_test(t, control_messages_without_descriptors_are_ignored);
	tcase_add_test(t, descriptor_that_cannot_be_replaced_stays);
	tcase_add_test(t, position_that_cannot_be_sent_leaves_the_memory_of_requests_in_use);
	suite_add_tcase(s, t);
	return s;
}
