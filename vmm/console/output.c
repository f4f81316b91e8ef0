/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/console/output.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/console/tty.h"

/* Largest write, in bytes, to a file description that other processes share and that is therefore
 * blocking. A pipe for which poll(2) reports POLLOUT takes this much without blocking, and a
 * terminal almost always does. */
#define SHARED_CHUNK 256

void history_add(struct history *h, const uint8_t *data, size_t len)
{
	while (len) {
		size_t to = h->end % HISTORY_SIZE;
		size_t n = len < HISTORY_SIZE - to ? len : HISTORY_SIZE - to;

		memcpy(h->data + to, data, n);
		h->end += n;
		data += n;
		len -= n;
	}
}

uint64_t history_oldest(const struct history *h)
{
	return h->end > HISTORY_SIZE ? h->end - HISTORY_SIZE : 0;
}

unsigned int output_note(char note[OUTPUT_NOTE_MAX], uint64_t lost)
{
	return (unsigned int)snprintf(note, OUTPUT_NOTE_MAX,
				      "\r\n[microvm: %" PRIu64
				      " bytes of console output dropped]\r\n",
				      lost);
}

void output_open(struct output *o, int fd, bool shared)
{
	struct stat st;

	*o = (struct output){ .fd = -1 };
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	o->fd = fd;
	o->socket = S_ISSOCK(st.st_mode);
	o->nonblocking = !shared || S_ISREG(st.st_mode);
	if (shared && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))) {
		int own = console_reopen(fd);

		if (own >= 0) {
			o->fd = own;
			o->own = o->nonblocking = true;
		}
	}
}

void output_open_socket(struct output *o, const struct history *h, int fd)
{
	*o = (struct output){ .fd = fd, .own = true, .socket = true, .at = history_oldest(h) };
}

/* Writes once without blocking. Returns the result of write(2) or send(2). */
static ssize_t write_some(const struct output *o, const void *data, size_t len)
{
	struct pollfd ready = { .fd = o->fd, .events = POLLOUT };

	if (o->socket)
		return send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (o->nonblocking)
		return write(o->fd, data, len);
	if (poll(&ready, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(o->fd, data, len < SHARED_CHUNK ? len : SHARED_CHUNK);
}

/*
 * Moves a reader that has fallen behind the oldest byte to the newer half of the history, and
 * prepares the line about the bytes in between. After a move to the oldest byte, the guest's
 * next byte would leave the reader behind again, and a slow reader would get little but such lines.
 */
static void skip_lost(struct output *o, const struct history *h)
{
	uint64_t to = h->end - HISTORY_SIZE / 2;

	if (o->note_len || o->at >= history_oldest(h))
		return;
	o->note_start = 0;
	o->note_len = output_note(o->note, to - o->at);
	o->at = to;
}

/* Writes part of the line about lost bytes, or of the history. Returns the result of write_some; 0:
 * there is nothing to write. */
static ssize_t write_next(struct output *o, const struct history *h)
{
	size_t from, len;
	ssize_t n;

	skip_lost(o, h);
	if (o->note_len) {
		n = write_some(o, o->note + o->note_start, o->note_len);
		if (n > 0) {
			o->note_start += (unsigned int)n;
			o->note_len -= (unsigned int)n;
		}
		return n;
	}
	from = o->at % HISTORY_SIZE;
	len = (size_t)(h->end - o->at);
	if (len > HISTORY_SIZE - from)
		len = HISTORY_SIZE - from;
	n = len ? write_some(o, h->data + from, len) : 0;
	if (n > 0)
		o->at += (uint64_t)n;
	return n;
}

int output_write(struct output *o, const struct history *h)
{
	ssize_t n;

	o->blocked = false;
	if (o->fd < 0)
		return 0;
	do {
		n = write_next(o, h);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0)
		return 0;
	o->blocked = errno == EAGAIN;
	return o->blocked ? 0 : -errno;
}

void output_close(struct output *o)
{
	if (o->own)
		close(o->fd);
	o->fd = -1;
	o->own = o->blocked = false;
}
