/* SPDX-License-Identifier: BSD-3-Clause */
/* input: bounded queue of console input that the serial port has not accepted yet. Main thread. */
#ifndef VMM_CONSOLE_INPUT_H
#define VMM_CONSOLE_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/console/serial.h"

#define INPUT_MAX 4096

struct input {
	size_t start;
	size_t len;
	uint8_t data[INPUT_MAX];
};

/* Returns how many bytes the queue has room for. */
size_t input_room(const struct input *input);

/* Appends a byte; drops it when the queue is full. */
void input_add(struct input *input, uint8_t byte);

/* Moves bytes from the queue to the serial port until it accepts no more. */
void input_deliver(struct input *input, struct serial *serial);

#endif
