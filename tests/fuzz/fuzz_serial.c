/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of one serial port: register accesses of a guest, and calls of the console.
 *
 * Output of the guest arrives in order, complete except for one counted gap at the end. Input from
 * the console is read from RBR in order until a driver clears it. There is room for input exactly
 * if the guest listens, by interrupts or by polling. Queues are bounded. The console is woken when
 * there is output or a guest begins to poll. An access of an odd size reads zeros and has no
 * effect.
 */
#include <linux/serial_reg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/console/serial.h"

#define FIFO	 16
#define POLLS	 16 /* reads of LSR without a write that make a guest a listener */
#define STEPS	 512
#define SENT_MAX (2u * SERIAL_TX_SIZE)

static int irq_fd = -1, wake_fd;
static struct serial *port;
static uint8_t lcr, mcr, ier;
static unsigned int polls;
static bool turned_away; /* the console found no room, and nothing has changed since */

/* Bytes that the guest sent and that were not dropped, as a ring in the order of output. */
static uint8_t sent[SENT_MAX];
static size_t sent_head, sent_count;
static uint64_t lost; /* bytes sent since the queue was full */
static uint8_t counter;
static unsigned int flood_left; /* limit in this case: more takes time and finds nothing */

static uint64_t events(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static bool listens(void)
{
	bool by_interrupt = (ier & UART_IER_RDI) && (mcr & UART_MCR_OUT2);

	return (by_interrupt || polls >= POLLS) && !(mcr & UART_MCR_LOOP);
}

static void reg_write(unsigned int reg, uint8_t value)
{
	bool thr = reg == UART_TX && !(lcr & UART_LCR_DLAB), out = thr && !(mcr & UART_MCR_LOOP);
	size_t pending = serial_tx_pending(port);

	fuzz_must(pending == sent_count);
	if (out && (lost || sent_count == SERIAL_TX_SIZE))
		lost++;
	else if (out)
		sent[(sent_head + sent_count++) % SENT_MAX] = value;
	if (!pending)
		events(wake_fd);
	if (!thr || polls < POLLS)
		polls = 0;
	turned_away = false;
	serial_bus_ops.write(port, reg, &value, 1);
	fuzz_must(serial_tx_pending(port) == sent_count);
	if (sent_count == 1 && pending == 0)
		fuzz_must(events(wake_fd));
	if (reg == UART_LCR)
		lcr = value;
	if (reg == UART_MCR)
		mcr = value & 0x1f;
	if (reg == UART_IER && !(lcr & UART_LCR_DLAB))
		ier = value & 0x0f;
}

static uint8_t reg_read(unsigned int reg)
{
	uint8_t value = 0x5a;

	if (reg == UART_LSR)
		polls++;
	else
		turned_away = false;
	if (polls == POLLS)
		events(wake_fd);
	serial_bus_ops.read(port, reg, &value, 1);
	/* The read that makes the guest a listener has to wake a console that has input. */
	if (polls == POLLS && turned_away && listens() && !(value & UART_LSR_DR))
		fuzz_must(events(wake_fd));
	if (polls >= POLLS)
		turned_away = false;
	return value;
}

static void check_registers(void)
{
	fuzz_must(reg_read(UART_LCR) == lcr);
	fuzz_must(reg_read(UART_MCR) == mcr);
	if (!(lcr & UART_LCR_DLAB))
		fuzz_must(reg_read(UART_IER) == ier);
	fuzz_must((reg_read(UART_LSR) & 0x60) == 0x60);
}

/* Makes accesses of sizes and at places that no driver uses. */
static void odd_access(struct input *in)
{
	unsigned int len = 2 + in_below(in, 7), reg = in_below(in, SERIAL_REGS);
	uint8_t data[8];

	in_bytes(in, data, sizeof(data));
	if (in_u8(in) & 1) {
		serial_bus_ops.write(port, reg, data, len);
		fuzz_must(serial_tx_pending(port) == sent_count);
	} else {
		serial_bus_ops.read(port, reg, data, len);
		for (unsigned int i = 0; i < len; i++)
			fuzz_must(!data[i]);
	}
	check_registers();
}

/* Sends up to twice the size of the queue at once. */
static void flood(struct input *in)
{
	unsigned int n = in_rarely(in) ? in_u16(in) : in_below(in, 256);

	for (; n && flood_left; n--, flood_left--)
		reg_write(UART_TX, counter++);
}

static void console_input(struct input *in)
{
	uint8_t data[64];
	size_t len = in_below(in, sizeof(data) + 1), room, taken;
	bool empty = !(reg_read(UART_LSR) & UART_LSR_DR);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(counter + i);
	room = serial_rx_room(port);
	fuzz_must(room <= FIFO && (!room || listens()));
	fuzz_must(room || !listens() || !empty);
	events(irq_fd);
	taken = serial_receive(port, data, len);
	fuzz_must(taken == (len < room ? len : room));
	fuzz_must(serial_rx_room(port) == room - taken);
	turned_away = room == taken && !listens();
	fuzz_must(!taken || reg_read(UART_LSR) & UART_LSR_DR);
	/* The FIFO was empty, so the guest needs an interrupt. */
	if (taken && room == FIFO && (ier & UART_IER_RDI))
		fuzz_must(events(irq_fd));
	/* If the FIFO was empty, the guest reads these bytes in order. */
	if (taken && room == FIFO && !(lcr & UART_LCR_DLAB) && in_u8(in) & 1)
		for (size_t i = 0; i < taken; i++)
			fuzz_must(reg_read(UART_RX) == data[i]);
}

static void console_output(struct input *in)
{
	static uint8_t data[SERIAL_TX_SIZE + 1];
	size_t max = in_rarely(in) ? sizeof(data) : in_below(in, 5000);
	size_t len = serial_transmitted(port, data, max);

	fuzz_must(len == (max < sent_count ? max : sent_count));
	for (size_t i = 0; i < len; i++)
		fuzz_must(data[i] == sent[(sent_head + i) % SENT_MAX]);
	sent_head += len;
	sent_count -= len;
	if (!sent_count || in_rarely(in)) {
		fuzz_must(serial_dropped(port) == lost);
		lost = 0;
	}
	fuzz_must(serial_tx_pending(port) == sent_count);
}

/* Opens the port as a driver does. */
static void open_port(struct input *in)
{
	reg_write(UART_LCR, UART_LCR_WLEN8);
	reg_write(UART_FCR, UART_FCR_ENABLE_FIFO | (in_u8(in) & 0xc6));
	reg_write(UART_IER, 0x0f);
	reg_write(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

/* Serves interrupts until none is pending, which takes a bounded number of rounds. */
static void serve_interrupts(void)
{
	unsigned int rounds = 0;
	uint8_t iir;

	if (lcr & UART_LCR_DLAB)
		return;
	while (!((iir = reg_read(UART_IIR)) & UART_IIR_NO_INT)) {
		fuzz_must(++rounds <= 2 * FIFO + 8);
		if ((iir & 0x0f) == UART_IIR_MSI)
			reg_read(UART_MSR);
		else if ((iir & 0x0f) == UART_IIR_RLSI)
			reg_read(UART_LSR);
		else if ((iir & 0x0f) != UART_IIR_THRI)
			reg_read(UART_RX);
	}
	fuzz_must(!(ier & UART_IER_RDI) || !(reg_read(UART_LSR) & UART_LSR_DR));
}

static void step(struct input *in)
{
	switch (in_below(in, 12)) {
	case 0:
	case 1:
		reg_write(UART_TX, counter++);
		break;
	case 2:
		reg_read(in_below(in, SERIAL_REGS));
		break;
	case 3: {
		unsigned int reg = in_below(in, SERIAL_REGS);

		for (unsigned int i = 0; i <= POLLS; i++)
			reg_read(reg);
		break;
	}
	case 4:
	case 5: {
		unsigned int reg = in_below(in, SERIAL_REGS);

		reg_write(reg, in_u8(in));
		break;
	}
	case 6:
		odd_access(in);
		break;
	case 7:
		flood(in);
		break;
	case 8:
		console_input(in);
		break;
	case 9:
		console_output(in);
		break;
	case 10:
		open_port(in);
		break;
	case 11:
		serve_interrupts();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	if (irq_fd < 0) {
		irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fuzz_must(irq_fd >= 0 && wake_fd >= 0);
	}
	fuzz_must(!serial_create(&port, irq_fd, wake_fd));
	lcr = mcr = ier = counter = 0;
	polls = 0;
	turned_away = false;
	sent_head = sent_count = 0;
	lost = 0;
	flood_left = SENT_MAX;
	for (unsigned int i = 0; i < STEPS && in.left; i++)
		step(&in);
	serial_destroy(port);
	events(irq_fd);
	events(wake_fd);
	return 0;
}
