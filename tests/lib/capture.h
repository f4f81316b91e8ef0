/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures the log of this process, its standard error. A failure fails the test. */
#ifndef TESTS_CAPTURE_H
#define TESTS_CAPTURE_H

/* Starts to capture, with an empty text. */
void capture_begin(void);

/* Ends the capture, and restores standard error. The text stays available. */
void capture_end(void);

/* Returns the text so far, at most 64 KiB. Valid until the next call. */
const char *capture_text(void);

/* Returns how many times the text so far has these words. */
unsigned int capture_count(const char *words);

#endif
