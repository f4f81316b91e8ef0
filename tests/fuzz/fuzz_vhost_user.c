/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of the vhost-user back end: the input chooses messages, their fields, lengths and
 * descriptors. One session per input, with a disk, one ring's memory in a memfd, and eventfds. The
 * guest also writes into its memory.
 *
 * Oracles: every message is answered at most once, and with the flags that QEMU expects; the
 * session ends, and leaves no descriptor and no mapping.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "devices/vhost_user/memory.h"
#include "devices/vhost_user/message.h"
#include "devices/vhost_user/session.h"
#include "devices/virtio/blk.h"
#include "tests/fuzz/fuzz.h"

#define RAM_BYTES  (64u << 10)
#define DISK_BYTES (64u << 10)
#define USER_ADDR  0x7f0000000000ull
#define MESSAGES   64
#define QUEUES	   2

static struct session {
	struct vhost_user_memory memory;
	struct blk *blk;
	struct vhost_user *vu;
	int sock;    /* the front end's end */
	int ram_fd;  /* guest memory */
	char *ram;   /* its mapping in the front end */
	int lost_fd; /* eventfd of vhost_user_memory_guard */
} s;

/* ---- the host ---- */

static unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	fuzz_must(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* The disk is a memfd, so that no input leaves a file behind. */
static int make_disk(char path[32])
{
	int fd = memfd_create("disk", 0);

	fuzz_must(fd >= 0 && !ftruncate(fd, DISK_BYTES));
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static void open_session(const char *path)
{
	struct blk_config config = {
		.path = path,
		.discard = true,
		.packed = true,
		.blk_size = 512,
		.queue_size = 64,
		.queues = QUEUES,
		.iothreads = 1,
		.engine = BLK_ENGINE_SYNC,
	};
	const char *why;
	int pair[2];

	fuzz_must(!blk_create(&s.blk, &config, 0, &s.memory.table, &why));
	fuzz_must(!vhost_user_create(&s.vu, s.blk, &s.memory, NULL));
	fuzz_must(!vhost_user_memory_guard(&s.memory, s.lost_fd));
	fuzz_must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	s.sock = pair[0];
	vhost_user_connect(s.vu, pair[1]);
	s.ram_fd = memfd_create("ram", MFD_CLOEXEC);
	fuzz_must(s.ram_fd >= 0 && !ftruncate(s.ram_fd, RAM_BYTES));
	s.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s.ram_fd, 0);
	fuzz_must(s.ram != MAP_FAILED);
}

static void close_session(void)
{
	vhost_user_destroy(s.vu);
	for (unsigned int i = 0; i < VHOST_USER_MEM_SLOTS; i++)
		fuzz_must(!s.memory.mapping[i].base && !s.memory.removed[i].base);
	fuzz_must(!s.memory.log.base && !s.memory.inflight.base && !s.memory.table.count);
	blk_destroy(s.blk);
	munmap(s.ram, RAM_BYTES);
	close(s.ram_fd);
	close(s.sock);
}

/* ---- the front end ---- */

/* Receives all answers. Returns their number. */
static unsigned int take_answers(void)
{
	struct vhost_user_header header;
	char payload[VHOST_USER_PAYLOAD_MAX];
	unsigned int count = 0;

	while (recv(s.sock, &header, sizeof(header), MSG_DONTWAIT) == sizeof(header)) {
		fuzz_must(header.flags == (VHOST_USER_VERSION | VHOST_USER_REPLY));
		fuzz_must(header.size <= sizeof(payload));
		if (header.size)
			fuzz_must(recv(s.sock, payload, header.size, MSG_DONTWAIT) ==
				  (ssize_t)header.size);
		count++;
	}
	return count;
}

/* Opens a descriptor for a message. */
static int choose_fd(struct input *in, bool memory)
{
	unsigned int kind = in_below(in, 16);

	if (kind < 12)
		return memory ? dup(s.ram_fd) : eventfd(0, EFD_CLOEXEC);
	return kind == 12   ? dup(s.ram_fd)
	       : kind == 13 ? eventfd(0, EFD_CLOEXEC)
	       : kind == 14 ? open("/dev/null", O_RDWR | O_CLOEXEC)
			    : open("/proc/self", O_PATH | O_CLOEXEC);
}

static uint64_t choose_gpa(struct input *in)
{
	return in_rarely(in) ? in_u64(in) : (uint64_t)in_below(in, 16) * (RAM_BYTES / 16);
}

static struct vhost_user_mem_region choose_region(struct input *in)
{
	unsigned int part = in_below(in, 4);
	struct vhost_user_mem_region region = {
		.gpa = part * (RAM_BYTES / 4),
		.size = part ? RAM_BYTES / 4 : RAM_BYTES,
		.user_addr = USER_ADDR + part * (RAM_BYTES / 4),
		.mmap_offset = part * (RAM_BYTES / 4),
	};

	if (!in_rarely(in))
		return region;
	switch (in_below(in, 4)) {
	case 0:
		region.gpa = in_u64(in);
		break;
	case 1:
		region.size = in_u64(in);
		break;
	case 2:
		region.user_addr = in_u64(in);
		break;
	default:
		region.mmap_offset = in_u64(in);
		break;
	}
	return region;
}

/* Fills in a payload that fits the message, and returns its size. */
static uint32_t choose_payload(struct input *in, struct vhost_user_message *m)
{
	uint32_t index = in_rarely(in) ? in_u32(in) : in_below(in, QUEUES);
	uint64_t features = 1ull << 32 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES;

	switch (m->header.request) {
	case VHOST_USER_SET_FEATURES:
		features |= (uint64_t)in_below(in, 2) << 34;
		features |= (uint64_t)in_below(in, 2) << VHOST_F_LOG_ALL;
		features |= (uint64_t)in_below(in, 4) << 28;
		m->payload.u64 = in_rarely(in) ? in_u64(in) : features;
		return 8;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		m->payload.u64 = in_rarely(in) ? in_u64(in) : 0x922b;
		return 8;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		m->payload.u64 = index | (m->fd_count ? 0u : VHOST_USER_VRING_NOFD_MASK);
		return 8;
	case VHOST_USER_SET_VRING_NUM:
		m->payload.state = (struct vhost_user_vring_state){
			index, in_rarely(in) ? in_u32(in) : 8u << in_below(in, 3)
		};
		return 8;
	case VHOST_USER_SET_VRING_BASE:
		m->payload.state =
			(struct vhost_user_vring_state){ index, in_rarely(in) ? in_u32(in) : 0 };
		return 8;
	case VHOST_USER_SET_VRING_ENABLE:
		m->payload.state =
			(struct vhost_user_vring_state){ index, in_rarely(in)	   ? in_u32(in)
								: !in_below(in, 4) ? 0u
										   : 1u };
		return 8;
	case VHOST_USER_GET_VRING_BASE:
		m->payload.state = (struct vhost_user_vring_state){ index, 0 };
		return 8;
	case VHOST_USER_SET_VRING_ADDR:
		m->payload.addr.index = index;
		m->payload.addr.flags = in_below(in, 2);
		m->payload.addr.desc = USER_ADDR + choose_gpa(in);
		m->payload.addr.avail = USER_ADDR + choose_gpa(in);
		m->payload.addr.used = USER_ADDR + choose_gpa(in);
		return 40;
	case VHOST_USER_SET_MEM_TABLE:
		m->payload.table.count = in_rarely(in) ? in_u32(in) : m->fd_count;
		for (unsigned int i = 0; i < VHOST_USER_MEM_TABLE_MAX; i++)
			m->payload.table.region[i] = choose_region(in);
		return 8 + 32 * (m->fd_count < 8 ? m->fd_count : 8);
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		m->payload.slot.region = choose_region(in);
		return 40;
	case VHOST_USER_SET_LOG_BASE:
		m->payload.log.mmap_size = in_rarely(in) ? in_u64(in) : 4096;
		m->payload.log.mmap_offset = in_rarely(in) ? in_u64(in) : 0;
		return 16;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		/* The memory is a part of the guest's, which the input writes. */
		m->payload.inflight.mmap_size = in_rarely(in) ? in_u64(in) : RAM_BYTES / 2;
		m->payload.inflight.mmap_offset = in_rarely(in) ? in_u64(in) : RAM_BYTES / 2;
		m->payload.inflight.num_queues = in_rarely(in) ? in_u16(in) : QUEUES;
		m->payload.inflight.queue_size = in_rarely(in) ? in_u16(in) : 64;
		return in_rarely(in) ? 20 : 24;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		m->payload.config.offset = in_rarely(in) ? in_u32(in) : in_u8(in);
		m->payload.config.size = in_below(in, 64);
		m->payload.config.flags = in_below(in, 2);
		in_bytes(in, m->payload.data, 64);
		return 12 + m->payload.config.size;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		return 0;
	default:
		in_bytes(in, m->payload.bytes, 8);
		return in_rarely(in) ? 8 : 0;
	}
}

static unsigned int usual_fds(uint32_t request)
{
	switch (request) {
	case VHOST_USER_SET_MEM_TABLE:
	case VHOST_USER_SET_LOG_BASE:
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
	case VHOST_USER_SET_BACKEND_REQ_FD:
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_SET_INFLIGHT_FD:
		return 1;
	default:
		return 0;
	}
}

static bool has_memory(uint32_t request)
{
	return request == VHOST_USER_SET_MEM_TABLE || request == VHOST_USER_SET_LOG_BASE ||
	       request == VHOST_USER_ADD_MEM_REG || request == VHOST_USER_SET_INFLIGHT_FD;
}

static void send_message(const struct vhost_user_message *m, size_t bytes)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))] = { 0 };
	struct iovec iov[2] = { { (void *)(uintptr_t)&m->header, sizeof(m->header) },
				{ (void *)(uintptr_t)&m->payload, bytes } };
	struct msghdr head = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c = (struct cmsghdr *)control;

	if (m->fd_count) {
		head.msg_control = control;
		head.msg_controllen = CMSG_SPACE(m->fd_count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(m->fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), m->fd, m->fd_count * sizeof(int));
	}
	fuzz_must(sendmsg(s.sock, &head, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0);
}

/* Sends one message and lets the back end handle it. Returns false when the connection must end. */
static bool say(struct input *in)
{
	static struct vhost_user_message m;
	size_t bytes;
	int err;

	memset(&m, 0, sizeof(m));
	m.header.request = in_rarely(in) ? in_u32(in) : in_below(in, VHOST_USER_REQUESTS);
	m.header.flags = VHOST_USER_VERSION | (in_below(in, 2) ? VHOST_USER_NEED_REPLY : 0);
	m.fd_count =
		in_rarely(in) ? in_below(in, VHOST_USER_FDS_MAX + 1) : usual_fds(m.header.request);
	for (unsigned int i = 0; i < m.fd_count; i++)
		m.fd[i] = choose_fd(in, has_memory(m.header.request));
	bytes = m.header.size = choose_payload(in, &m);
	if (in_rarely(in))
		m.header.size = in_rarely(in) ? in_u32(in) : in_u8(in);
	if (in_rarely(in))
		m.header.flags = in_u8(in);
	if (in_rarely(in))
		bytes = in_below(in, 64);
	send_message(&m, bytes);
	for (unsigned int i = 0; i < m.fd_count; i++)
		close(m.fd[i]);
	err = vhost_user_handle(s.vu);
	/* Excess bytes may be another message, which has an answer of its own. */
	if (bytes == m.header.size)
		fuzz_must(take_answers() <= 1);
	else
		take_answers();
	return !err;
}

/* The guest writes into its memory, and rings all doorbells that the back end polls. */
static void act(struct input *in)
{
	unsigned int at = in_u16(in) % RAM_BYTES;
	unsigned int len = in_below(in, 64);

	if (len > RAM_BYTES - at)
		len = RAM_BYTES - at;
	in_bytes(in, s.ram + at, len);
	vhost_user_tick(s.vu);
}

static void run_session(struct input *in)
{
	for (unsigned int i = 0; i < MESSAGES && in->left; i++) {
		if (in_below(in, 4) == 3)
			act(in);
		else if (!say(in))
			break;
	}
	vhost_user_disconnect(s.vu);
	fuzz_must(vhost_user_socket(s.vu) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned int before;
	char path[32];
	int disk;

	if (!s.lost_fd) {
		log_set_level(LOG_LEVEL_ERROR);
		s.lost_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	before = open_fds();
	disk = make_disk(path);
	open_session(path);
	run_session(&in);
	close_session();
	close(disk);
	fuzz_must(open_fds() == before);
	return 0;
}
