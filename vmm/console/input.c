/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/console/input.h"

#include <string.h>

size_t input_room(const struct input *in)
{
	return INPUT_MAX - in->len;
}

void input_add(struct input *in, uint8_t byte)
{
	if (in->len == INPUT_MAX)
		return;
	if (in->start + in->len == INPUT_MAX) {
		memmove(in->data, in->data + in->start, in->len);
		in->start = 0;
	}
	in->data[in->start + in->len++] = byte;
}

void input_deliver(struct input *in, struct serial *serial)
{
	size_t taken;

	if (!in->len)
		return;
	taken = serial_receive(serial, in->data + in->start, in->len);
	in->start += taken;
	in->len -= taken;
}
