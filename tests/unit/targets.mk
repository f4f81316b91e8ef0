# SPDX-License-Identifier: BSD-3-Clause
#
# Functions of the C library and of the code that test programs replace: the linker directs these
# calls to __wrap_ functions of the test.

wrap   = $(patsubst %,-Wl$(comma)--wrap=%,$(1))

$(OBJ)/tests/unit/test_blk_cache: ALL_LDFLAGS += $(call wrap,io_submit pwritev2 evloop_request fdatasync)
$(OBJ)/tests/unit/test_blk_asked: ALL_LDFLAGS += $(call wrap,io_uring_queue_init_params)
$(OBJ)/tests/unit/test_blk_errors: ALL_LDFLAGS += $(call wrap,calloc eventfd mmap io_setup io_uring_queue_init_params)
$(OBJ)/tests/unit/test_blk_operate: ALL_LDFLAGS += $(call wrap,fdatasync ftruncate lseek fstat)
$(addprefix $(OBJ)/tests/unit/test_blk_,pause_ranges stop_ranges): \
	ALL_LDFLAGS += $(call wrap,fallocate pthread_create ioengine_hold ioengine_cancel_ranges)
$(OBJ)/tests/unit/test_blk_queues: ALL_LDFLAGS += $(call wrap,blkplane_start sched_getaffinity io_setup)
$(OBJ)/tests/unit/test_blk_ring_reset: ALL_LDFLAGS += $(call wrap,blkplane_start)
$(OBJ)/tests/unit/test_blkplane: ALL_LDFLAGS += $(call wrap,iothread_add)
$(OBJ)/tests/unit/test_blkplane_errors: ALL_LDFLAGS += $(call wrap,calloc mmap epoll_ctl)
$(OBJ)/tests/unit/test_evloop_errors: ALL_LDFLAGS += \
	$(call wrap,io_uring_queue_init_params io_uring_enable_rings io_uring_submit io_uring_register \
	io_uring_register_buffers eventfd epoll_create1)
$(OBJ)/tests/unit/test_evloop_polled: ALL_LDFLAGS += \
	$(call wrap,evloop_request evloop_polled_sqe io_uring_submit io_uring_submit_and_wait io_uring_submit_and_get_events \
	io_uring_register_buffers io_uring_unregister_buffers)
$(OBJ)/tests/unit/test_blkplane_inline_io: ALL_LDFLAGS += $(call wrap,preadv clock_gettime)
$(OBJ)/tests/unit/test_blkplane_times: ALL_LDFLAGS += $(call wrap,clock_gettime)
$(OBJ)/tests/unit/test_blkplane_limit: ALL_LDFLAGS += $(call wrap,clock_gettime timerfd_settime)
$(OBJ)/tests/unit/test_blkplane_limit_threads: ALL_LDFLAGS += $(call wrap,clock_gettime timerfd_settime)
$(OBJ)/tests/unit/test_iothread_due: ALL_LDFLAGS += $(call wrap,clock_gettime timerfd_settime)
$(OBJ)/tests/unit/test_image_bdev: ALL_LDFLAGS += $(call wrap,stat fstat open __open_2 ioctl)
$(OBJ)/tests/unit/test_image_direct: ALL_LDFLAGS += $(call wrap,fcntl statx pread posix_memalign)
$(OBJ)/tests/unit/test_image_is: ALL_LDFLAGS += $(call wrap,stat fstat)
$(OBJ)/tests/unit/test_image_errors: ALL_LDFLAGS += $(call wrap,open __open_2 access fstat fcntl lseek fdatasync)
$(OBJ)/tests/unit/test_ioengine_ranges: ALL_LDFLAGS += \
	$(call wrap,fallocate calloc pthread_attr_init pthread_create sem_wait fdatasync)
$(OBJ)/tests/unit/test_ioranges: ALL_LDFLAGS += $(call wrap,fallocate ioctl pwrite lseek fdatasync)
$(OBJ)/tests/unit/test_ioranges_steps: ALL_LDFLAGS += $(call wrap,fallocate pwrite fdatasync)
$(OBJ)/tests/unit/test_refused_stop: ALL_LDFLAGS += $(call wrap,fallocate)
$(OBJ)/tests/unit/test_rows_engines_ranges: ALL_LDFLAGS += $(call wrap,fallocate fdatasync ioengine_cancel_ranges)
$(OBJ)/tests/unit/test_iothread_poll: ALL_LDFLAGS += $(call wrap,sched_getaffinity sched_yield clock_gettime)
$(OBJ)/tests/unit/test_iothread_errors: ALL_LDFLAGS += \
	$(call wrap,calloc pthread_attr_init pthread_create io_uring_enable_rings sem_wait \
	io_uring_register_buffers timerfd_create epoll_ctl)
$(OBJ)/tests/unit/test_iothread_wakeup_policy: ALL_LDFLAGS += \
	$(call wrap,sched_getaffinity sched_getscheduler sched_setscheduler clock_gettime)
$(OBJ)/tests/unit/test_ioengine_errors: ALL_LDFLAGS += $(call wrap,calloc mmap eventfd io_setup io_submit preadv)
$(OBJ)/tests/unit/test_ioengine_uring: ALL_LDFLAGS += $(call wrap,evloop_request)
$(OBJ)/tests/unit/test_machine_control: ALL_LDFLAGS += $(call wrap,blk_set_listener blk_flush blk_hold blk_pause)
$(OBJ)/tests/unit/test_race_stop: ALL_LDFLAGS += $(call wrap,evloop_wake vring_pop vring_push vring_publish)
$(OBJ)/tests/unit/test_sandbox_layers: ALL_LDFLAGS += $(call wrap,nanosleep)
$(OBJ)/tests/unit/test_virtio_mmio_lock: ALL_LDFLAGS += $(call wrap,pthread_mutex_lock)
$(OBJ)/tests/unit/test_x86_rows_machine: ALL_LDFLAGS += $(call wrap,ioctl)
$(OBJ)/tests/unit/test_vcpu: ALL_LDFLAGS += $(call wrap,ioctl open __open_2 pthread_cond_clockwait)
$(OBJ)/tests/unit/test_write_all: ALL_LDFLAGS += $(call wrap,write)
