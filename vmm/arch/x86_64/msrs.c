/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSRs and the TSC in a snapshot.
 *
 * The TSC stands still between snapshot and restore, as kvm-clock does, so that the guest sees no
 * time pass. With --advance-clock both are later by the same time.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/state.h"

#define MSR_TSC		 0x10u
#define MSR_TSC_DEADLINE 0x6e0u
#define TSC_TOLERANCE	 4000u /* a frequency may differ by one part in this many: 250 ppm */

struct tsc_state {
	uint64_t value;
	uint32_t khz; /* 0: KVM does not say */
	uint32_t zero;
};

/*
 * MSRs that hold state of a guest. Missing are those that KVM_SET_SREGS and KVM_SET_LAPIC restore,
 * those that follow from CPUID and the host's processor, and write-only ones.
 */
static const struct {
	uint32_t first, last;
} guest_state[] = {
	{ 0x11, 0x12 },		     /* kvm-clock, old numbers */
	{ 0x3b, 0x3b },		     /* TSC_ADJUST */
	{ 0x48, 0x48 },		     /* SPEC_CTRL */
	{ 0xc1, 0xc8 },		     /* performance counters */
	{ 0xe1, 0xe1 },		     /* UMWAIT_CONTROL */
	{ 0x122, 0x122 },	     /* TSX_CTRL */
	{ 0x140, 0x140 },	     /* MISC_FEATURES_ENABLES */
	{ 0x174, 0x176 },	     /* SYSENTER */
	{ 0x17a, 0x17a },	     /* MCG_STATUS */
	{ 0x186, 0x18d },	     /* performance event selectors */
	{ 0x1a0, 0x1a0 },	     /* MISC_ENABLE */
	{ 0x1c4, 0x1c5 },	     /* XFD */
	{ 0x1d9, 0x1d9 },	     /* DEBUGCTL */
	{ 0x200, 0x2ff },	     /* MTRRs and PAT */
	{ 0x309, 0x30b },	     /* fixed performance counters */
	{ 0x38d, 0x38f },	     /* their control */
	{ 0x6a0, 0x6a8 },	     /* CET */
	{ MSR_TSC_DEADLINE, 0x6e1 }, /* and PKRS */
	{ 0xda0, 0xda0 },	     /* XSS */
	{ 0x4b564d00, 0x4b564dff },  /* KVM's own */
	{ 0xc0000081, 0xc0000084 },  /* system calls */
	{ 0xc0000100, 0xc0000103 },  /* bases of FS and GS, TSC_AUX */
	{ 0xc0010000, 0xc0010007 },  /* performance counters of AMD */
	{ 0xc0010015, 0xc0010015 },  /* HWCR */
	{ 0xc001011f, 0xc001011f },  /* VIRT_SPEC_CTRL */
	{ 0xc0010200, 0xc001020b },  /* more performance counters of AMD */
};

/* Old kernels leave these out of their list, but have them. */
static const uint32_t unlisted[] = {
	0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209,
	0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f, 0x250, 0x258, 0x259, 0x268,
	0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, 0x277, 0x2ff,
};

static bool holds_state(uint32_t index)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(guest_state); i++)
		if (index >= guest_state[i].first && index <= guest_state[i].last)
			return true;
	return false;
}

static void add(struct msr_list *list, uint32_t index)
{
	for (unsigned int i = 0; i < list->count; i++)
		if (list->index[i] == index)
			return;
	if (list->count < MSRS_MAX)
		list->index[list->count++] = index;
}

int msrs_find(int kvm_fd, struct msr_list *list)
{
	struct kvm_msr_list *all = calloc(1, sizeof(*all) + MSRS_MAX * sizeof(*all->indices));
	int err = all ? 0 : -ENOMEM;

	list->count = 0;
	if (!err) {
		all->nmsrs = MSRS_MAX;
		err = ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, all) < 0 ? -errno : 0;
	}
	for (unsigned int i = 0; !err && i < ARRAY_SIZE(unlisted); i++)
		add(list, unlisted[i]);
	for (unsigned int i = 0; !err && i < all->nmsrs; i++)
		if (holds_state(all->indices[i]))
			add(list, all->indices[i]);
	free(all);
	return err;
}

static struct kvm_msrs *alloc_msrs(void)
{
	return calloc(1, sizeof(struct kvm_msrs) + MSRS_MAX * sizeof(struct kvm_msr_entry));
}

/* Reads or writes one MSR. Returns 0 or -errno; -ENXIO: KVM refuses it. */
static int one_msr(int vcpu_fd, unsigned long request, uint32_t index, uint64_t *value)
{
	struct {
		uint32_t nmsrs, pad;
		struct kvm_msr_entry entry;
	} one = { .nmsrs = 1, .entry = { .index = index, .data = *value } };
	int n = ioctl(vcpu_fd, request, &one);

	*value = one.entry.data;
	return n < 0 ? -errno : n ? 0 : -ENXIO;
}

/* Reads the MSRs of the list into msrs->entries, without those that KVM refuses. */
static int read_msrs(int vcpu_fd, const struct msr_list *list, struct kvm_msrs *msrs)
{
	struct kvm_msrs *some = alloc_msrs();
	unsigned int next = 0;
	int n = some ? 0 : -ENOMEM;

	while (n >= 0 && next < list->count) {
		some->nmsrs = list->count - next;
		for (unsigned int i = 0; i < some->nmsrs; i++)
			some->entries[i].index = list->index[next + i];
		/* KVM stops at the first MSR that it refuses, and returns how many it has read. */
		n = ioctl(vcpu_fd, KVM_GET_MSRS, some);
		if (n < 0)
			n = -errno;
		for (int i = 0; i < n; i++)
			msrs->entries[msrs->nmsrs++] = some->entries[i];
		next += (unsigned int)n + 1;
	}
	free(some);
	return n < 0 ? n : 0;
}

int msrs_save(int vcpu_fd, unsigned int index, const struct msr_list *list,
	      struct state_writer *out)
{
	struct kvm_msrs *msrs = alloc_msrs();
	struct tsc_state tsc = { .value = 0 };
	int err = msrs ? read_msrs(vcpu_fd, list, msrs) : -ENOMEM;
	int khz;

	if (!err)
		err = one_msr(vcpu_fd, KVM_GET_MSRS, MSR_TSC, &tsc.value);
	khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
	tsc.khz = khz > 0 ? (uint32_t)khz : 0;
	if (!err) {
		state_put(out, TAG_MSRS, index, msrs->entries,
			  msrs->nmsrs * sizeof(*msrs->entries));
		state_put(out, TAG_TSC, index, &tsc, sizeof(tsc));
	}
	free(msrs);
	return err;
}

/* ---- restore ---- */

/* KVM has refused to write the MSR, which does no harm if it has the value already. */
static int check_refused(int vcpu_fd, const struct kvm_msr_entry *msr, struct state_reader *in)
{
	uint64_t value = 0;
	char what[STATE_WHY_MAX - 24];

	if (!one_msr(vcpu_fd, KVM_GET_MSRS, msr->index, &value) && value == msr->data)
		return 0;
	snprintf(what, sizeof(what), "this host's KVM cannot set MSR %#x to %#llx", msr->index,
		 (unsigned long long)msr->data);
	return state_refuse(in, TAG_MSRS, 0, what);
}

/* Writes all MSRs but the TSC's deadline, which has to follow the TSC, and is stored in *deadline.
 */
static int write_msrs(int vcpu_fd, const struct kvm_msr_entry *entry, unsigned int count,
		      uint64_t *deadline, struct state_reader *in)
{
	struct kvm_msrs *some = alloc_msrs();
	int err = some ? 0 : -ENOMEM;

	while (!err && count) {
		int n;

		some->nmsrs = 0;
		for (unsigned int i = 0; i < count; i++)
			some->entries[some->nmsrs++] = entry[i];
		for (unsigned int i = 0; i < count; i++) {
			if (entry[i].index != MSR_TSC_DEADLINE)
				continue;
			*deadline = entry[i].data;
			some->nmsrs = i;
			break;
		}
		n = some->nmsrs ? ioctl(vcpu_fd, KVM_SET_MSRS, some) : 0;
		if (n < 0)
			err = -errno;
		else if ((unsigned int)n < some->nmsrs)
			err = check_refused(vcpu_fd, &entry[n], in);
		/* The one behind those that were written was refused, or is the deadline. */
		if (n >= 0) {
			n += (unsigned int)n < count;
			entry += n;
			count -= (unsigned int)n;
		}
	}
	free(some);
	return err;
}

/* Copies the TSC offset of the first vCPU to another one. False: this host's KVM has no such
 * attribute. */
static bool copy_offset(int from_fd, int to_fd)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	return !ioctl(from_fd, KVM_GET_DEVICE_ATTR, &attr) &&
	       !ioctl(to_fd, KVM_SET_DEVICE_ATTR, &attr);
}

static int set_frequency(int vcpu_fd, uint32_t khz, unsigned int index, struct state_reader *in)
{
	int now = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
	int64_t difference = (int64_t)khz - now;

	if (!khz || now <= 0)
		return 0;
	if (difference < 0)
		difference = -difference;
	if (difference <= now / (int)TSC_TOLERANCE ||
	    !ioctl(vcpu_fd, KVM_SET_TSC_KHZ, (unsigned long)khz))
		return 0;
	return state_refuse(in, TAG_TSC, index,
			    "this host's TSC has another frequency and cannot be scaled");
}

/* Sets the frequency and the value of the TSC of vCPU `index`. */
static int set_tsc(const int *vcpu_fd, unsigned int index, uint64_t value, uint32_t khz,
		   struct state_reader *in)
{
	int err = set_frequency(vcpu_fd[index], khz, index, in);

	if (err || (index && copy_offset(vcpu_fd[0], vcpu_fd[index])))
		return err;
	/* KVM gives vCPUs whose TSCs are set to the same value within a second the same offset. */
	return one_msr(vcpu_fd[index], KVM_SET_MSRS, MSR_TSC, &value);
}

static int restore_one(const int *vcpu_fd, unsigned int index, const struct tsc_state *tsc,
		       struct state_reader *in)
{
	size_t size = 0;
	const struct kvm_msr_entry *msrs = state_find(in, TAG_MSRS, index, &size);
	/* 0: the timer is not armed, or its interrupt is on its way. The interrupt of a deadline
	 * that has just passed covers the second case. */
	uint64_t deadline = 0;
	int err;

	if (!msrs || size % sizeof(*msrs) || size / sizeof(*msrs) > MSRS_MAX)
		return state_refuse(in, TAG_MSRS, index, "is missing or has a bad size");
	err = write_msrs(vcpu_fd[index], msrs, (unsigned int)(size / sizeof(*msrs)), &deadline, in);
	if (!err)
		err = set_tsc(vcpu_fd, index, tsc->value, tsc->khz, in);
	if (!deadline)
		deadline = tsc->value;
	/* A guest without this timer has no such MSR. */
	if (!err)
		one_msr(vcpu_fd[index], KVM_SET_MSRS, MSR_TSC_DEADLINE, &deadline);
	return err;
}

int msrs_restore(const int *vcpu_fd, unsigned int cpus, uint64_t advance_ns,
		 struct state_reader *in)
{
	struct tsc_state latest = { .value = 0 }, one;
	int err = 0;

	for (unsigned int i = 0; i < cpus && !err; i++) {
		err = state_get(in, TAG_TSC, i, &one, sizeof(one));
		if (!err && one.value >= latest.value)
			latest = one;
	}
	if (!err && advance_ns && !latest.khz)
		err = state_refuse(in, TAG_TSC, 0, "has no frequency, which --advance-clock needs");
	latest.value += (uint64_t)((unsigned __int128)advance_ns * latest.khz / 1000000);
	for (unsigned int i = 0; i < cpus && !err; i++)
		err = restore_one(vcpu_fd, i, &latest, in);
	return err;
}
