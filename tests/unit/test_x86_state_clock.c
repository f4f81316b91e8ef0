/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the clocks of a restored VM, on a real /dev/kvm; skipped where KVM is unavailable. */
#include "tests/unit/x86_state_rig.h"

static uint64_t tsc(unsigned int cpu)
{
	uint64_t value = 0;

	ck_assert_int_eq(msr(second.vcpu_fd[cpu], KVM_GET_MSRS, MSR_TSC, &value), 0);
	return value;
}

/* Returns whether the host's KVM can set a TSC; one without hardware virtualization cannot. */
static bool tsc_can_be_set(void)
{
	size_t size;
	const uint64_t *saved = section(&out, "TSC ", 1, &size);

	return *saved >= TSC_LATER;
}

/* The TSCs of the saved vCPUs had different offsets. */
START_TEST(time_goes_on_where_it_stopped_and_is_equal_on_all_vcpus)
{
	struct kvm_clock_data clock;
	uint64_t last = TSC_LATER;

	begin();
	ck_assert_int_eq(restore(), 0);
	if (!tsc_can_be_set())
		last = 0;
	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t now = tsc(i % CPUS);

		ck_assert_uint_ge(now, last);
		last = now;
	}
	/* Far less than the distance of the saved values. */
	ck_assert_uint_lt(last, TSC_LATER + (TSC_LATER >> 4));
	set(second.vm_fd, KVM_GET_CLOCK, &clock);
	ck_assert_uint_ge(clock.clock, 3600000000000);
	ck_assert_uint_lt(clock.clock, 2 * 3600000000000);
	end();
}
END_TEST

static struct kvm_clock_data *saved_clock(void)
{
	size_t size;

	return section(&out, "CLCK", 0, &size);
}

#define HOUR UINT64_C(3600000000000)

/* The state was saved an hour ago; its clock was at one hour. */
START_TEST(clocks_can_be_advanced_by_the_time_since_the_snapshot)
{
	struct kvm_clock_data clock;
	size_t size;
	uint64_t khz, last, before;

	begin();
	before = *(const uint64_t *)section(&out, "TSC ", 1, &size);
	khz = *((const uint32_t *)section(&out, "TSC ", 1, &size) + 2);
	saved_clock()->realtime -= HOUR;
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_msg(!restore_later(true), "%s", in.why);
	set(second.vm_fd, KVM_GET_CLOCK, &clock);
	ck_assert_uint_ge(clock.clock, 2 * HOUR);
	ck_assert_uint_lt(clock.clock, 3 * HOUR);
	last = before + 3600000 * khz;
	for (unsigned int i = 0; i < 1000 && tsc_can_be_set(); i++) {
		uint64_t now = tsc(i % CPUS);

		ck_assert_uint_ge(now, last);
		last = now;
	}
	ck_assert(!tsc_can_be_set() || last < before + 2 * 3600000 * khz);
	end();
}
END_TEST

/* The host's time of day was set back, or is another host's. */
START_TEST(clocks_are_never_set_back)
{
	struct kvm_clock_data clock;

	begin();
	saved_clock()->realtime += HOUR;
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_int_eq(restore_later(true), 0);
	set(second.vm_fd, KVM_GET_CLOCK, &clock);
	ck_assert_uint_ge(clock.clock, HOUR);
	ck_assert_uint_lt(clock.clock, 2 * HOUR);
	end();
}
END_TEST

START_TEST(clocks_cannot_be_advanced_without_a_time_or_frequency)
{
	size_t size;
	uint64_t realtime;

	begin();
	realtime = saved_clock()->realtime;
	saved_clock()->realtime = 0;
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_int_eq(restore_later(true), -EINVAL);
	ck_assert_str_eq(in.why,
			 "section 'CLCK' 0: has no time of day, which --advance-clock needs");
	saved_clock()->realtime = realtime - HOUR;
	for (unsigned int i = 0; i < CPUS; i++)
		*((uint32_t *)section(&out, "TSC ", i, &size) + 2) = 0;
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_int_eq(restore_later(true), -EINVAL);
	ck_assert_str_eq(in.why, "section 'TSC ' 0: has no frequency, which --advance-clock needs");
	ck_assert_int_eq(restore(), 0);
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("x86_state_clock");
	TCase *t = tcase_create("x86_state_clock");

	if (kvm_opens()) {
		tcase_add_test(t, time_goes_on_where_it_stopped_and_is_equal_on_all_vcpus);
		tcase_add_test(t, clocks_can_be_advanced_by_the_time_since_the_snapshot);
		tcase_add_test(t, clocks_are_never_set_back);
		tcase_add_test(t, clocks_cannot_be_advanced_without_a_time_or_frequency);
	}
	suite_add_tcase(s, t);
	return s;
}
