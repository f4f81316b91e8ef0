/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the register file and the driver's steps, with a device that only counts calls. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/mmio_rig.h"

#define OFFERED (VERSION_1 | BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(5))

static unsigned int activated, resets;
static int activate_result;
static uint32_t status_in_reset;

static int activate(struct virtio_device *d)
{
	ck_assert_ptr_eq(d, &dev);
	activated++;
	return activate_result;
}

static void reset(struct virtio_device *d)
{
	resets++;
	status_in_reset = d->status;
}

static const struct virtio_ops ops = { .activate = activate, .reset = reset };

static void setup(void)
{
	rig_setup(OFFERED, &ops);
}

static uint64_t kicks(void)
{
	uint64_t n;

	return read(m.kick_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

START_TEST(identification)
{
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_VERSION), 2);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLOCK);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_MAX);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_CONFIG_GENERATION), 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_SHM_LEN_LOW), 0xffffffff);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_SHM_LEN_HIGH), 0xffffffff);
	ck_assert_uint_eq(reg_offered(&mmio), OFFERED);
}
END_TEST

START_TEST(row25_feature_words_behind_the_second_are_empty)
{
	static const uint32_t sel[] = { 2, 3, 32, 0x80000000, 0xffffffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(sel); i++) {
		reg_set(&mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, sel[i]);
		ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	}
}
END_TEST

START_TEST(row25_features_ok)
{
	static const struct {
		uint64_t accept;
		bool ok;
	} cases[] = {
		{ VERSION_1, true },
		{ OFFERED, true },
		{ 0, false },
		{ OFFERED & ~VERSION_1, false },
		{ VERSION_1 | BIT64(0), false },
		{ VERSION_1 | BIT64(VIRTIO_RING_F_INDIRECT_DESC), false },
		{ VERSION_1 | BIT64(VIRTIO_F_RING_PACKED), false },
		{ VERSION_1 | BIT64(63), false },
		{ ~0ull, false },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		reg_set_status(&mmio, 0);
		ck_assert_int_eq(reg_negotiate(&mmio, cases[i].accept), cases[i].ok);
		if (!cases[i].ok) {
			ck_assert_uint_eq(reg_status(&mmio), ST_DRIVER);
			/* The driver may change its selection and try again. */
			reg_accept(&mmio, VERSION_1);
			reg_set_status(&mmio, ST_FEATURES_OK);
			ck_assert_uint_eq(reg_status(&mmio), ST_FEATURES_OK);
			ck_assert_uint_eq(dev.accepted, VERSION_1);
		}
	}
}
END_TEST

/* Bits from 64 on are refused, regardless of the order in which the words are written. */
START_TEST(row25_acks_features_in_a_word_that_does_not_exist)
{
	for (unsigned int order = 0; order < 2; order++) {
		reg_set_status(&mmio, 0);
		reg_set_status(&mmio, ST_ACK);
		reg_set_status(&mmio, ST_DRIVER);
		if (order)
			reg_accept(&mmio, OFFERED);
		reg_set(&mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2 + order * 7);
		reg_set(&mmio, VIRTIO_MMIO_DRIVER_FEATURES, 4);
		if (!order)
			reg_accept(&mmio, OFFERED);
		reg_set_status(&mmio, ST_FEATURES_OK);
		ck_assert_uint_eq(reg_status(&mmio), ST_DRIVER);
	}
	/* A driver that does not select such features writes zeros there. */
	reg_set_status(&mmio, 0);
	reg_set(&mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	reg_set(&mmio, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	ck_assert(reg_negotiate(&mmio, OFFERED));
}
END_TEST

START_TEST(row25_features_changed_after_features_ok)
{
	ck_assert(reg_negotiate(&mmio, VERSION_1));
	reg_accept(&mmio, OFFERED);
	ck_assert_uint_eq(dev.accepted, VERSION_1);
	reg_set_status(&mmio, ST_DRIVER_OK);
	reg_accept(&mmio, 0);
	ck_assert_uint_eq(dev.accepted, VERSION_1);
	ck_assert_uint_eq(reg_status(&mmio), ST_DRIVER_OK);
}
END_TEST

START_TEST(row24_status_takes_its_steps_only)
{
	/* In each state, every value but the next step, FAILED and 0 is ignored. */
	static const uint32_t steps[] = { 0, ST_ACK, ST_DRIVER, ST_FEATURES_OK, ST_DRIVER_OK };

	for (unsigned int at = 0; at < ARRAY_SIZE(steps); at++) {
		for (uint32_t value = 1; value < 0x200; value++) {
			/* DEVICE_NEEDS_RESET in the driver's value is ignored. */
			uint32_t wanted = value & ~(uint32_t)ST_NEEDS_RESET;

			if (wanted == (steps[at] | ST_FAILED) ||
			    (at + 1 < ARRAY_SIZE(steps) && wanted == steps[at + 1]))
				continue;
			reg_set_status(&mmio, value);
			ck_assert_msg(reg_status(&mmio) == steps[at], "%#x after %#x", value,
				      steps[at]);
		}
		if (at + 1 < ARRAY_SIZE(steps)) {
			if (at == 2)
				reg_accept(&mmio, VERSION_1);
			reg_set_status(&mmio, steps[at + 1]);
			ck_assert_uint_eq(reg_status(&mmio), steps[at + 1]);
		}
	}
	ck_assert_uint_eq(activated, 1);
	ck_assert_uint_eq(resets, 0);
	reg_set_status(&mmio, 0);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(reg_status(&mmio), 0);
}
END_TEST

START_TEST(row24_failed_ends_all_steps_but_reset)
{
	reg_set_status(&mmio, ST_ACK);
	reg_set_status(&mmio, ST_ACK | ST_FAILED);
	ck_assert_uint_eq(reg_status(&mmio), ST_ACK | ST_FAILED);
	reg_set_status(&mmio, ST_DRIVER);
	reg_set_status(&mmio, ST_DRIVER | ST_FAILED);
	ck_assert_uint_eq(reg_status(&mmio), ST_ACK | ST_FAILED);
	reg_set_status(&mmio, 0);
	ck_assert(reg_negotiate(&mmio, VERSION_1));
}
END_TEST

START_TEST(row24_activated_at_most_once)
{
	ck_assert(reg_negotiate(&mmio, VERSION_1));
	for (unsigned int i = 0; i < 5; i++) {
		reg_set_status(&mmio, ST_DRIVER_OK);
		reg_set_status(&mmio, ST_FEATURES_OK);
	}
	ck_assert_uint_eq(activated, 1);
	ck_assert_uint_eq(reg_status(&mmio), ST_DRIVER_OK);
	reg_set_status(&mmio, 0);
	ck_assert(reg_negotiate(&mmio, VERSION_1));
	reg_set_status(&mmio, ST_DRIVER_OK);
	ck_assert_uint_eq(activated, 2);
}
END_TEST

START_TEST(row26_status_is_not_0_while_the_device_stops)
{
	ck_assert(reg_negotiate(&mmio, VERSION_1));
	reg_set_status(&mmio, ST_DRIVER_OK);
	reg_set_status(&mmio, 0);
	ck_assert_uint_eq(status_in_reset, ST_DRIVER_OK);
	ck_assert_uint_eq(reg_status(&mmio), 0);
}
END_TEST

START_TEST(reset_clears_everything)
{
	ck_assert(reg_queue(&mmio, &m.ring));
	ck_assert(reg_negotiate(&mmio, OFFERED));
	reg_set(&mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_SEL, 1);
	irqline_raise(&dev.irq, 3);
	reg_set_status(&mmio, 0);
	ck_assert_uint_eq(dev.accepted, 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_MAX);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_QUEUE_READY), 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_DEVICE_FEATURES), (uint32_t)OFFERED);
	ck_assert_int_eq(dev.queue[0].kick_fd, m.kick_fd);
}
END_TEST

START_TEST(reset_clears_each_queue_register)
{
	const struct virtio_queue fresh = dev.queue[0];

	ck_assert(reg_queue(&mmio, &m.ring));
	ck_assert(dev.queue[0].ready && dev.queue[0].size && dev.queue[0].desc &&
		  dev.queue[0].avail && dev.queue[0].used);
	reg_set_status(&mmio, 0);
	ck_assert_mem_eq(&dev.queue[0], &fresh, sizeof(fresh));
}
END_TEST

START_TEST(failed_activation_needs_a_reset)
{
	activate_result = -ENOMEM;
	ck_assert(reg_negotiate(&mmio, VERSION_1));
	reg_set_status(&mmio, ST_DRIVER_OK);
	ck_assert_uint_eq(reg_status(&mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), IRQLINE_CONFIG);
	ck_assert_uint_eq(mock_irqs(&m), 1);
	/* The driver can clear the device's bit only by a reset. */
	reg_set_status(&mmio, ST_DRIVER_OK);
	ck_assert_uint_eq(reg_status(&mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	reg_set_status(&mmio, 0);
	ck_assert_uint_eq(reg_status(&mmio), 0);
	activate_result = 0;
}
END_TEST

START_TEST(row28_acknowledge_only_masks)
{
	irqline_raise(&dev.irq, 3);
	reg_set(&mmio, VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffc);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	reg_set(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	reg_set(&mmio, VIRTIO_MMIO_INTERRUPT_ACK, 0xffffffff);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), IRQLINE_USED_RING);
	ck_assert_uint_eq(mock_irqs(&m), 1);
	reg_set_status(&mmio, 0);
	ck_assert_uint_eq(reg_get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}
END_TEST

/* KVM executes this write without informing the device. */
START_TEST(acknowledgement_of_the_used_ring_changes_nothing)
{
	struct virtio_regpage regpage;
	struct virtio_device before;

	ck_assert(reg_negotiate(&mmio, VERSION_1));
	irqline_raise(&dev.irq, IRQLINE_USED_RING | IRQLINE_CONFIG);
	regpage = *dev.regpage;
	before = dev;
	reg_set(&mmio, VIRTIO_MMIO_ACK, VIRTIO_MMIO_ACK_IDLE);
	ck_assert_mem_eq(&regpage, dev.regpage, sizeof(regpage));
	ck_assert_mem_eq(&before, &dev, sizeof(dev));
}
END_TEST

/*
 * Registers that the guest reads as memory must be current after each write; KVM executes coalesced
 * writes later.
 */
START_TEST(coalesced_writes_change_no_readable_register)
{
	static const uint32_t values[] = { 1, 0, 0xffffffff, 2 };
	struct virtio_regpage regpage = *dev.regpage;

	for (unsigned int i = 0; i < VIRTIO_MMIO_COALESCED_ZONES; i++) {
		const struct virtio_mmio_range *range = &virtio_mmio_coalesced[i];

		for (uint32_t at = range->offset; at < range->offset + range->size; at += 4) {
			for (unsigned int n = 0; n < ARRAY_SIZE(values); n++)
				reg_set(&mmio, at, values[n]);
			ck_assert_msg(!memcmp(&regpage, dev.regpage, sizeof(regpage)), "%#x", at);
		}
	}
}
END_TEST

/* A coalesced write must not act, nor be awaited by a read of another CPU or by the dataplane. */
START_TEST(writes_that_act_are_not_coalesced)
{
	static const uint32_t acting[] = { VIRTIO_MMIO_QUEUE_READY,
					   VIRTIO_MMIO_QUEUE_NOTIFY,
					   VIRTIO_MMIO_STATUS,
					   VIRTIO_MMIO_INTERRUPT_ACK,
					   0xc0,
					   VIRTIO_MMIO_CONFIG };

	for (unsigned int i = 0; i < VIRTIO_MMIO_COALESCED_ZONES; i++)
		for (unsigned int j = 0; j < ARRAY_SIZE(acting); j++)
			ck_assert(acting[j] + 4 <= virtio_mmio_coalesced[i].offset ||
				  acting[j] >= virtio_mmio_coalesced[i].offset +
						       virtio_mmio_coalesced[i].size);
}
END_TEST

START_TEST(row19_kicks_of_queues_that_are_not_there)
{
	static const uint32_t queues[] = { 1, 2, 0xffff, 0x10000, 0xffffffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(queues); i++)
		reg_set(&mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queues[i]);
	ck_assert_uint_eq(kicks(), 0);
	/* A notification that exits to user space is written to the eventfd. */
	reg_set(&mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(kicks(), 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("virtio_mmio");
	TCase *t = tcase_create("virtio_mmio");

	tcase_add_checked_fixture(t, setup, rig_teardown);
	tcase_add_test(t, identification);
	tcase_add_test(t, row25_feature_words_behind_the_second_are_empty);
	tcase_add_test(t, row25_features_ok);
	tcase_add_test(t, row25_acks_features_in_a_word_that_does_not_exist);
	tcase_add_test(t, row25_features_changed_after_features_ok);
	tcase_add_test(t, row24_status_takes_its_steps_only);
	tcase_add_test(t, row24_failed_ends_all_steps_but_reset);
	tcase_add_test(t, row24_activated_at_most_once);
	tcase_add_test(t, row26_status_is_not_0_while_the_device_stops);
	tcase_add_test(t, reset_clears_everything);
	tcase_add_test(t, reset_clears_each_queue_register);
	tcase_add_test(t, failed_activation_needs_a_reset);
	tcase_add_test(t, row28_acknowledge_only_masks);
	tcase_add_test(t, acknowledgement_of_the_used_ring_changes_nothing);
	tcase_add_test(t, coalesced_writes_change_no_readable_register);
	tcase_add_test(t, writes_that_act_are_not_coalesced);
	tcase_add_test(t, row19_kicks_of_queues_that_are_not_there);
	suite_add_tcase(s, t);
	return s;
}
