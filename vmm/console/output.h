/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * output: the console's recent output, and the readers that it is written to.
 *
 * The history holds the last HISTORY_SIZE bytes of output. A reader (struct output) is a descriptor
 * and a position in the history: it needs no buffer of its own, and if it attaches late, it gets
 * the history first. A reader that falls behind by more than the history loses the bytes in
 * between; a line in its output says how many. No function blocks. Main thread.
 */
#ifndef VMM_CONSOLE_OUTPUT_H
#define VMM_CONSOLE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_SIZE (64u << 10)

struct history {
	uint64_t end; /* number of bytes of output so far */
	uint8_t data[HISTORY_SIZE];
};

/* Appends output, which replaces the oldest bytes. */
void history_add(struct history *history, const uint8_t *data, size_t len);

/* Returns the position of the oldest byte in the history. */
uint64_t history_oldest(const struct history *history);

#define OUTPUT_NOTE_MAX 80

/* One reader. */
struct output {
	int fd;		  /* -1: none */
	bool own;	  /* output_close closes fd */
	bool nonblocking; /* fd is non-blocking, or a regular file, whose writes do not wait */
	bool socket;	  /* fd is a socket: send(2) with MSG_DONTWAIT never blocks */
	bool blocked;	  /* waits for POLLOUT: the reader has not taken everything */
	uint64_t at;	  /* position of the next byte in the history */
	unsigned int note_start, note_len;
	char note[OUTPUT_NOTE_MAX]; /* line about lost bytes, to be written first */
};

/* Formats the line that replaces `lost` bytes of output; returns its length. */
unsigned int output_note(char note[OUTPUT_NOTE_MAX], uint64_t lost);

/*
 * Initialises *output with a descriptor of any kind. Called before the sandbox is entered. With
 * `shared`, the file description belongs to other processes, too, and must stay blocking: a pipe or
 * a terminal is then opened anew. fd remains the caller's. If fd is -1 or not open, there is no
 * reader.
 */
void output_open(struct output *output, int fd, bool shared);

/* Initialises *output with a connected socket, which output_close closes. The output starts with
 * the oldest byte in the history. */
void output_open_socket(struct output *output, const struct history *history, int fd);

/* Writes as much as the reader takes now, and sets `blocked` if output is left. Returns 0, or the
 * -errno of a write; the caller then closes the output. */
int output_write(struct output *output, const struct history *history);

/* Closes the descriptor if `own` is set. The output has no reader afterwards. */
void output_close(struct output *output);

#endif
