/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State of KVM's vCPUs and interrupt controllers in a snapshot.
 *
 * The order follows Linux' Documentation/virt/kvm/api.rst and what other monitors have found out:
 * reading MP_STATE may change the local APIC, so that it is read first; writing general registers
 * clears pending exceptions, so that events are written last; the segments hold the APIC's base.
 */
#include <elf.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/state.h"

#define TAG_XSAVE     STATE_TAG('X', 'S', 'A', 'V')
#define TAG_IRQCHIP   STATE_TAG('I', 'R', 'Q', 'C') /* instance: KVM_IRQCHIP_* */
#define TAG_PIT	      STATE_TAG('P', 'I', 'T', ' ')
#define TAG_I8042     STATE_TAG('8', '0', '4', '2')
#define TAG_CLOCK     STATE_TAG('C', 'L', 'C', 'K')
#define IRQCHIPS      3u
#define CPUID_ENTRIES 256u

struct arch_state {
	size_t xsave_size;
	struct msr_list msrs;
};

/* The parts of a vCPU's state that one ioctl reads or writes, in the order for both. */
static const struct part {
	uint32_t tag;
	uint32_t size;
	unsigned long get, set;
	const char *call; /* KVM_GET_... and KVM_SET_..., for messages */
	bool optional;	  /* KVM may lack the calls */
} parts[] = {
	{ STATE_TAG('M', 'P', 'S', 'T'), sizeof(struct kvm_mp_state), KVM_GET_MP_STATE,
	  KVM_SET_MP_STATE, "MP_STATE", false },
	{ STATE_TAG('R', 'E', 'G', 'S'), sizeof(struct kvm_regs), KVM_GET_REGS, KVM_SET_REGS,
	  "REGS", false },
	{ STATE_TAG('S', 'R', 'E', 'G'), sizeof(struct kvm_sregs), KVM_GET_SREGS, KVM_SET_SREGS,
	  "SREGS", false },
	{ TAG_XSAVE, 0, 0, 0, "XSAVE", false },
	{ STATE_TAG('X', 'C', 'R', 'S'), sizeof(struct kvm_xcrs), KVM_GET_XCRS, KVM_SET_XCRS,
	  "XCRS", true },
	{ STATE_TAG('D', 'B', 'G', 'R'), sizeof(struct kvm_debugregs), KVM_GET_DEBUGREGS,
	  KVM_SET_DEBUGREGS, "DEBUGREGS", true },
	{ STATE_TAG('L', 'A', 'P', 'C'), sizeof(struct kvm_lapic_state), KVM_GET_LAPIC,
	  KVM_SET_LAPIC, "LAPIC", false },
	{ TAG_MSRS, 0, 0, 0, "MSRS", false },
	{ STATE_TAG('E', 'V', 'N', 'T'), sizeof(struct kvm_vcpu_events), KVM_GET_VCPU_EVENTS,
	  KVM_SET_VCPU_EVENTS, "VCPU_EVENTS", false },
};

bool arch_state_tag(uint32_t tag)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].tag == tag)
			return true;
	return tag == TAG_TSC || tag == TAG_CPUID || tag == TAG_IRQCHIP || tag == TAG_PIT ||
	       tag == TAG_CLOCK || tag == TAG_I8042;
}

uint32_t arch_state_machine(void)
{
	return EM_X86_64;
}

int arch_state_create(struct arch_state **state, int kvm_fd, int vm_fd)
{
	struct arch_state *s = calloc(1, sizeof(*s));
	int size, err;

	if (!s)
		return -ENOMEM;
	/* With features that are enabled on demand (AMX), the state is larger than 4096 bytes. */
	size = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	s->xsave_size =
		size > (int)sizeof(struct kvm_xsave) ? (size_t)size : sizeof(struct kvm_xsave);
	err = msrs_find(kvm_fd, &s->msrs);
	if (err)
		free(s);
	else
		*state = s;
	return err;
}

/* ---- saving ---- */

static int save_xsave(const struct arch_state *state, int vcpu_fd, unsigned int index,
		      struct state_writer *out)
{
	bool large = state->xsave_size > sizeof(struct kvm_xsave);
	void *data = state_reserve(out, TAG_XSAVE, index, state->xsave_size);

	if (!data)
		return -ENOMEM;
	return ioctl(vcpu_fd, large ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, data) < 0 ? -errno : 0;
}

static int save_cpuid(int vcpu_fd, unsigned int index, struct state_writer *out)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(*cpuid->entries));
	int err = cpuid ? 0 : -ENOMEM;

	if (!err) {
		cpuid->nent = CPUID_ENTRIES;
		err = ioctl(vcpu_fd, KVM_GET_CPUID2, cpuid) < 0 ? -errno : 0;
	}
	if (!err)
		state_put(out, TAG_CPUID, index, cpuid->entries,
			  cpuid->nent * sizeof(*cpuid->entries));
	free(cpuid);
	return err;
}

/* Reads a part by one ioctl. A part that KVM does not have is left out of the file. */
static int save_part(const struct part *part, int vcpu_fd, unsigned int index,
		     struct state_writer *out)
{
	struct kvm_lapic_state largest; /* of all parts */

	_Static_assert(sizeof(largest) >= sizeof(struct kvm_xcrs) &&
			       sizeof(largest) >= sizeof(struct kvm_sregs),
		       "buffer");
	memset(&largest, 0, sizeof(largest));
	if (ioctl(vcpu_fd, part->get, &largest) < 0)
		return part->optional && (errno == ENOTTY || errno == EINVAL) ? 0 : -errno;
	state_put(out, part->tag, index, &largest, part->size);
	return 0;
}

static int save_vcpu(const struct arch_state *state, int vcpu_fd, unsigned int index,
		     struct state_writer *out, const char **call)
{
	int err = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(parts) && !err; i++) {
		const struct part *part = &parts[i];

		*call = part->call;
		if (part->tag == TAG_XSAVE)
			err = save_xsave(state, vcpu_fd, index, out);
		else if (part->tag == TAG_MSRS)
			err = msrs_save(vcpu_fd, index, &state->msrs, out);
		else
			err = save_part(part, vcpu_fd, index, out);
	}
	if (!err) {
		*call = "CPUID2";
		err = save_cpuid(vcpu_fd, index, out);
	}
	return err;
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/*
 * Reads kvm-clock, and the host's time of day at the same moment. KVM gives the latter on Linux 5.16
 * and later, where the host's clock is the TSC. Elsewhere it is read before, so that a clock that is
 * advanced by the difference is not late.
 */
static int get_clock(int vm_fd, struct kvm_clock_data *clock)
{
	uint64_t realtime = realtime_ns();

	if (ioctl(vm_fd, KVM_GET_CLOCK, clock) < 0)
		return -errno;
	if (!(clock->flags & KVM_CLOCK_REALTIME))
		clock->realtime = realtime;
	return 0;
}

static int save_vm(int vm_fd, struct state_writer *out, const char **call)
{
	struct kvm_pit_state2 pit = { .flags = 0 };
	struct kvm_clock_data clock = { .clock = 0 };
	uint32_t bytes = platform_i8042_bytes();
	int err;

	state_put(out, TAG_I8042, 0, &bytes, sizeof(bytes));
	*call = "PIT2";
	if (ioctl(vm_fd, KVM_GET_PIT2, &pit) < 0)
		return -errno;
	state_put(out, TAG_PIT, 0, &pit, sizeof(pit));
	*call = "CLOCK";
	err = get_clock(vm_fd, &clock);
	if (err)
		return err;
	state_put(out, TAG_CLOCK, 0, &clock, sizeof(clock));
	*call = "IRQCHIP";
	for (unsigned int i = 0; i < IRQCHIPS; i++) {
		struct kvm_irqchip chip = { .chip_id = i };

		if (ioctl(vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
			return -errno;
		state_put(out, TAG_IRQCHIP, i, &chip, sizeof(chip));
	}
	return 0;
}

int arch_state_save(const struct arch_state *state, int vm_fd, const int *vcpu_fd,
		    unsigned int cpus, struct state_writer *out, const char **call)
{
	int err = 0;

	for (unsigned int i = 0; i < cpus && !err; i++)
		err = save_vcpu(state, vcpu_fd[i], i, out, call);
	return err ? err : save_vm(vm_fd, out, call);
}

/* ---- restoring ---- */

/* The section may be shorter than KVM reads it on this host: it has fewer features. */
static int restore_xsave(int vm_fd, int vcpu_fd, unsigned int index, struct state_reader *in)
{
	int wanted = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	size_t size = 0, most = sizeof(struct kvm_xsave);
	const void *saved = state_find(in, TAG_XSAVE, index, &size);
	void *data;
	int err;

	if (wanted > (int)most)
		most = (size_t)wanted;
	if (!saved || size > most)
		return state_refuse(in, TAG_XSAVE, index, "is missing or larger than this host's");
	data = calloc(1, most);
	if (!data)
		return -ENOMEM;
	memcpy(data, saved, size);
	err = ioctl(vcpu_fd, KVM_SET_XSAVE, data) < 0 ? -errno : 0;
	free(data);
	return err;
}

static int restore_part(const struct part *part, int vcpu_fd, unsigned int index,
			struct state_reader *in)
{
	struct kvm_lapic_state largest;
	size_t size;
	int err;

	if (part->optional && !state_find(in, part->tag, index, &size))
		return 0;
	err = state_get(in, part->tag, index, &largest, part->size);
	if (err)
		return err;
	return ioctl(vcpu_fd, part->set, &largest) < 0 ? -errno : 0;
}

/* Restores the parts of a vCPU up to the MSRs (first), or those from there on. */
static int restore_parts(int vm_fd, int vcpu_fd, unsigned int index, bool first,
			 struct state_reader *in, const char **call)
{
	int err = 0;
	bool before = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(parts) && !err; i++) {
		if (parts[i].tag == TAG_MSRS) {
			before = false;
			continue;
		}
		if (before != first)
			continue;
		*call = parts[i].call;
		err = parts[i].tag == TAG_XSAVE ? restore_xsave(vm_fd, vcpu_fd, index, in)
						: restore_part(&parts[i], vcpu_fd, index, in);
	}
	return err;
}

/* Stores how long ago the state was saved. A host whose time of day was set back in between, or is
 * another one's, lets no time pass. */
static int time_passed(struct state_reader *in, uint64_t *ns)
{
	struct kvm_clock_data clock;
	uint64_t now = realtime_ns();
	int err = state_get(in, TAG_CLOCK, 0, &clock, sizeof(clock));

	if (!err && !clock.realtime)
		err = state_refuse(in, TAG_CLOCK, 0,
				   "has no time of day, which --advance-clock needs");
	*ns = !err && now > clock.realtime ? now - clock.realtime : 0;
	return err;
}

static int restore_vm(int vm_fd, uint64_t advance_ns, struct state_reader *in, const char **call)
{
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock, now = { .clock = 0 };
	uint32_t bytes;
	int err = state_get(in, TAG_PIT, 0, &pit, sizeof(pit));

	if (!err)
		err = state_get(in, TAG_I8042, 0, &bytes, sizeof(bytes));
	if (!err)
		platform_set_i8042_bytes(bytes);
	if (!err)
		err = state_get(in, TAG_CLOCK, 0, &clock, sizeof(clock));
	*call = "PIT2";
	if (!err && ioctl(vm_fd, KVM_SET_PIT2, &pit) < 0)
		err = -errno;
	/* Without flags, kvm-clock continues at this value. */
	now.clock = clock.clock + advance_ns;
	if (!err) {
		*call = "CLOCK";
		err = ioctl(vm_fd, KVM_SET_CLOCK, &now) < 0 ? -errno : 0;
	}
	for (unsigned int i = 0; i < IRQCHIPS && !err; i++) {
		struct kvm_irqchip chip;

		*call = "IRQCHIP";
		err = state_get(in, TAG_IRQCHIP, i, &chip, sizeof(chip));
		if (!err && chip.chip_id != i)
			err = state_refuse(in, TAG_IRQCHIP, i, "is of another chip");
		if (!err && ioctl(vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
			err = -errno;
	}
	return err;
}

int arch_state_restore(int kvm_fd, int vm_fd, const int *vcpu_fd, unsigned int cpus, bool advance,
		       struct state_reader *in, const char **call)
{
	uint64_t advance_ns = 0;
	int err = 0;

	in->why[0] = '\0';
	*call = "CLOCK";
	if (advance)
		err = time_passed(in, &advance_ns);
	for (unsigned int i = 0; i < cpus && !err; i++) {
		*call = "CPUID2";
		err = cpuid_restore(kvm_fd, vcpu_fd[i], i, cpus, in);
		if (!err)
			err = restore_parts(vm_fd, vcpu_fd[i], i, true, in, call);
	}
	if (!err) {
		*call = "MSRS";
		err = msrs_restore(vcpu_fd, cpus, advance_ns, in);
	}
	for (unsigned int i = 0; i < cpus && !err; i++)
		err = restore_parts(vm_fd, vcpu_fd[i], i, false, in, call);
	return err ? err : restore_vm(vm_fd, advance_ns, in, call);
}
