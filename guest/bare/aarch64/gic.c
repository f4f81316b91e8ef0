/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GIC driver, versions 2 and 3 (Arm IHI 0048 and IHI 0069), reduced to two devices that interrupt
 * the first CPU.
 */
#include "guest/bare/aarch64/machine.h"

#define GICD_CTLR	0x0000u
#define GICD_IGROUPR	0x0080u
#define GICD_ISENABLER	0x0100u
#define GICD_ICENABLER	0x0180u
#define GICD_ICPENDR	0x0280u
#define GICD_IPRIORITYR 0x0400u
#define GICD_ITARGETSR	0x0800u
#define GICD_ICFGR	0x0c00u
#define GICD_IROUTER	0x6000u
#define CTLR_GROUP_0	0x01u
#define CTLR_GROUP_1	0x02u
#define CTLR_AFFINITY	0x10u
#define GICR_WAKER	0x0014u
#define GICR_SLEEP	0x02u
#define GICR_ASLEEP	0x04u
#define GICC_CTLR	0x00u
#define GICC_PMR	0x04u
#define GICC_IAR	0x0cu
#define GICC_EOIR	0x10u
#define PRIORITY	0xa0u
#define PRIORITY_ALL	0xffu
#define SHARED		32u /* the first shared interrupt: number 0 of the devices */
#define SPURIOUS	1020u
#define EDGE		2u /* two bits for each interrupt */

volatile uint64_t irq_count[2];
static uint32_t irq_id[2];

#define read_icc(reg)                                                         \
	({                                                                    \
		uint64_t value_;                                              \
		__asm__ volatile("mrs %0, " reg : "=r"(value_) : : "memory"); \
		value_;                                                       \
	})
#define write_icc(reg, value) \
	__asm__ volatile("msr " reg ", %0" : : "r"((uint64_t)(value)) : "memory")

#define ICC_PMR	    "s3_0_c4_c6_0"
#define ICC_IAR1    "s3_0_c12_c12_0"
#define ICC_EOIR1   "s3_0_c12_c12_1"
#define ICC_SRE	    "s3_0_c12_c12_5"
#define ICC_IGRPEN1 "s3_0_c12_c12_7"

static void distributor(uint32_t reg, uint32_t value)
{
	arch_write(machine.gic + reg, 4, value);
}

static void init_v3(void)
{
	uint64_t waker = machine.gic_other + GICR_WAKER;

	distributor(GICD_CTLR, CTLR_AFFINITY | CTLR_GROUP_1);
	/* The first redistributor is this CPU's. */
	arch_write(waker, 4, arch_read(waker, 4) & ~(uint64_t)GICR_SLEEP);
	while (arch_read(waker, 4) & GICR_ASLEEP)
		arch_relax();
	write_icc(ICC_SRE, 1);
	__asm__ volatile("isb");
	write_icc(ICC_PMR, PRIORITY_ALL);
	write_icc(ICC_IGRPEN1, 1);
	__asm__ volatile("isb");
}

void gic_init(void)
{
	if (machine.gic_v3) {
		init_v3();
	} else {
		distributor(GICD_CTLR, CTLR_GROUP_0);
		arch_write(machine.gic_other + GICC_PMR, 4, PRIORITY_ALL);
		arch_write(machine.gic_other + GICC_CTLR, 4, CTLR_GROUP_0);
	}
}

void irq_attach(unsigned int slot, uint32_t gsi)
{
	uint32_t id = SHARED + gsi, bit = 1u << id % 32, word = id / 32 * 4;
	uint64_t config = machine.gic + GICD_ICFGR + id / 16 * 4;
	unsigned int shift = id % 16 * 2;

	distributor(GICD_ICENABLER + word, bit);
	irq_id[slot] = id;
	arch_write(config, 4, (arch_read(config, 4) & ~(3ull << shift)) | EDGE << shift);
	arch_write(machine.gic + GICD_IPRIORITYR + id, 1, PRIORITY);
	if (machine.gic_v3) {
		uint64_t group = machine.gic + GICD_IGROUPR + word;

		arch_write(group, 4, arch_read(group, 4) | bit);
		arch_write(machine.gic + GICD_IROUTER + 8ull * id, 8, 0);
	} else {
		arch_write(machine.gic + GICD_ITARGETSR + id, 1, 1);
	}
	/* An interrupt that became pending before it was attached is discarded. */
	distributor(GICD_ICPENDR + word, bit);
	distributor(GICD_ISENABLER + word, bit);
}

void gic_interrupt(void)
{
	uint32_t told = (uint32_t)(machine.gic_v3 ? read_icc(ICC_IAR1)
						  : arch_read(machine.gic_other + GICC_IAR, 4));
	uint32_t id = machine.gic_v3 ? told : told & 0x3ff;

	if (id >= SPURIOUS)
		return;
	for (unsigned int slot = 0; slot < 2; slot++)
		if (id == irq_id[slot])
			irq_count[slot]++;
	if (machine.gic_v3)
		write_icc(ICC_EOIR1, told);
	else
		arch_write(machine.gic_other + GICC_EOIR, 4, told);
}

void irqs_on(void)
{
	__asm__ volatile("msr daifclr, #2" : : : "memory");
}

void irqs_off(void)
{
	__asm__ volatile("msr daifset, #2" : : : "memory");
}
