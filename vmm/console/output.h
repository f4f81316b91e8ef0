/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * output: the console's recent output, and the readers that it is written to.
 *
 * The history keeps the last HISTORY_SIZE bytes of output. A reader (struct output) is a descriptor
 * and a position in the history, so that a reader costs no memory of its own, and one that attaches
 * late gets what is kept. A reader that falls behind by more than the history loses the bytes in
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

/* Returns the position of the oldest byte that is kept. */
uint64_t history_oldest(const struct history *history);

#define OUTPUT_NOTE_MAX 80

/* One reader. */
struct output {
	int fd;		  /* -1: none */
	bool own;	  /* output_close closes fd */
	bool nonblocking; /* fd is non-blocking, or a regular file, which has no reader to wait for */
	bool socket;	  /* each send is made non-blocking by a flag */
	bool blocked;	  /* waiting until the reader takes more */
	uint64_t at;	  /* position of the next byte in the history */
	unsigned int note_start, note_len;
	char note[OUTPUT_NOTE_MAX]; /* line about lost bytes, to be written first */
};

/* Formats the line that replaces `lost` bytes of output; returns its length. */
unsigned int output_note(char note[OUTPUT_NOTE_MAX], uint64_t lost);

/*
 * Initialises *output with a descriptor, whose kind the function finds out; before the sandbox is
 * entered. With `shared`, the file description belongs to other processes, too, and must stay
 * blocking: a pipe or a terminal is then opened anew. fd remains the caller's. If fd is closed or
 * -1, there is no reader.
 */
void output_open(struct output *output, int fd, bool shared);

/* Initialises *output with a connected socket, which output_close closes. The output starts with the
 * oldest byte that is kept. */
void output_open_socket(struct output *output, const struct history *history, int fd);

/* Writes as much as the reader takes now, and sets `blocked` if that was not all. Returns 0, or the
 * -errno of a write; the caller then closes the output. */
int output_write(struct output *output, const struct history *history);

/* Closes the descriptor if it is the output's own. */
void output_close(struct output *output);

#endif
