/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a stop while a pause waits for write-zeroes requests, or has parked them. */
#include "tests/lib/suite.h"
#include "tests/unit/ranges_rig.h"

static void *reset_disk(void *arg)
{
	reg_set_status(&d.mmio, 0);
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
	return arg;
}

/* The end of the VM: it need not wait for the pause, nor the pause for all zeroes. */
START_TEST(stop_while_a_pause_waits_for_zeroes_on_every_engine)
{
	pthread_t pauser, vm_exit;

	begin_zeroes(_i);
	pauser = begin_thread(pause_disk);
	mock_wait_until(get(&holds));
	vm_exit = begin_thread(reset_disk);
	mock_wait_until(get(&cancels));
	ck_assert_uint_eq(get(&ended), 0);
	unblock();
	pthread_join(pauser, NULL);
	pthread_join(vm_exit, NULL);
	ck_assert_uint_eq(get(&steps), 1);
	expect_status(VIRTIO_BLK_S_IOERR);

	/* Nothing of it is left over for the next driver. */
	rows_recover(&d, ROWS_RING, RANGES);
	offer();
	wait_all(VIRTIO_BLK_S_OK);
	expect_zeros();
	rows_end(&d, true);
}
END_TEST

START_TEST(stop_of_a_paused_disk_gives_its_zeroes_up_on_every_engine)
{
	begin_zeroes(_i);
	pause_after_a_step();
	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(get(&steps), 1);
	expect_status(VIRTIO_BLK_S_IOERR);
	rows_recover(&d, ROWS_RING, RANGES);
	offer();
	wait_all(VIRTIO_BLK_S_OK);
	expect_zeros();
	rows_end(&d, true);
}
END_TEST

/* The dataplane thread itself is in the host's hands, and takes no call meanwhile. */
START_TEST(host_without_a_thread_for_zeroes_on_every_engine)
{
	pthread_t vm_exit;

	begin(_i);
	WRITE_ONCE(no_thread, true);
	block();
	offer();
	wait_arrived();
	holds = 0;
	pause_after_a_step();
	expect_status(0xff);
	block();
	blk_resume(d.blk);
	wait_arrived();
	holds = 0;
	vm_exit = begin_thread(reset_disk);
	mock_wait_until(get(&holds));
	unblock();
	pthread_join(vm_exit, NULL);
	ck_assert_uint_eq(get(&steps), 2);
	/* Both segments of the first request were done. */
	req[0] = req[1];
	expect_status(VIRTIO_BLK_S_IOERR);
	WRITE_ONCE(no_thread, false);
	rows_end(&d, true);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_stop_ranges");
	TCase *t = tcase_create("blk_stop_ranges");
	const int n = rows_ways();

	tcase_add_loop_test(t, stop_while_a_pause_waits_for_zeroes_on_every_engine, 0, n);
	tcase_add_loop_test(t, stop_of_a_paused_disk_gives_its_zeroes_up_on_every_engine, 0, n);
	tcase_add_loop_test(t, host_without_a_thread_for_zeroes_on_every_engine, 0, n);
	suite_add_tcase(s, t);
	return s;
}
