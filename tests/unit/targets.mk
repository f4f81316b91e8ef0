# SPDX-License-Identifier: BSD-3-Clause
#
# make unit           one variant's unit tests: make unit VARIANT=clang-tsan
# make unit-all       the variants that `check` runs, and each sanitizer with the other compiler
#
# build/release/tests/unit/PROGRAM runs all test files of one program, or those that its arguments
# name. build/release/tests/unit/test_NAME is a program of that one file.

.PHONY: unit unit-all test-objects

# The programs, each with patterns of its test files (without "test_"). A file belongs to the first
# program in UNIT_NAMES with a pattern that matches, so a new file needs no registration.
OF_state    := state%
OF_boot     := acpi arm64_% boot% bzimage elf% initrd loader x86_cpuid x86_platform x86_tree
OF_options  := options%
OF_sandbox  := sandbox% supervisor
OF_console  := console% serial%
OF_control  := control% jobs machine_%
OF_kvm      := vcpu% coalesced_mmio exits memory_% x86_rows_%
# A program of its own: it is the only one that needs /dev/kvm (tests/emulated/suites).
OF_x86_enter := x86_enter x86_state%
OF_image    := image%
OF_blk      := blk blk_%
OF_virtio   := virtio_%
OF_vhost_user := vhost_user%
OF_plane    := blkplane%
OF_limit    := blkplane_limit% blkplane_inline% blkplane_times blklimit
OF_request  := blkreq% blkpolicy blkstats hostmem irqline latency log
OF_engine   := ioengine% ioranges% overlay%
OF_loop     := evloop% iothread% poll_policy
OF_vring    := vring%
OF_exhaustive := exhaustive%
OF_race     := race%
OF_refused  := refused%
OF_hostfault := hostfault%
OF_rows     := rows%
OF_others   := %
# In the order in which they start: those that run long first, so that none is left alone at the end.
UNIT_NAMES  := rows blk vhost_user race hostfault limit plane exhaustive vring engine loop sandbox boot refused console control kvm \
	       x86_enter image virtio request options state others

# Functions of the C library and of the code that test files replace: the linker directs these calls
# to __wrap_ functions, which are in force for the tests of their own file only (program.h).
WRAPS_blk_cache := io_submit pwritev2 evloop_request fdatasync
WRAPS_blk_ephemeral := fdatasync evloop_request io_submit
WRAPS_blk_errors := calloc eventfd mmap io_setup io_uring_queue_init_params
WRAPS_blk_features := io_submit io_setup
WRAPS_blk_operate := fdatasync ftruncate lseek fstat
WRAPS_blk_pause_ranges := fallocate pthread_create ioengine_hold ioengine_cancel_ranges
WRAPS_blk_queues := blkplane_start sched_getaffinity io_setup
WRAPS_blk_ring_reset := blkplane_start
WRAPS_blk_stop_ranges := fallocate pthread_create ioengine_hold ioengine_cancel_ranges
WRAPS_blkplane := iothread_add
WRAPS_blkplane_errors := calloc mmap epoll_ctl
WRAPS_blkplane_inline_io := preadv clock_gettime
WRAPS_blkplane_limit := clock_gettime timerfd_settime
WRAPS_blkplane_limit_threads := clock_gettime timerfd_settime
WRAPS_blkplane_times := clock_gettime
WRAPS_evloop_errors := io_uring_queue_init_params io_uring_submit io_uring_register eventfd \
	epoll_create1
WRAPS_image_bdev := stat fstat open __open_2 ioctl
WRAPS_image_content := fstatat ioctl
WRAPS_image_direct := fcntl statx pread posix_memalign
WRAPS_image_ephemeral := statx open __open_2 ioctl ftruncate stat fstat fstatat calloc fcntl
WRAPS_image_errors := open __open_2 access fstat fcntl lseek fdatasync
WRAPS_image_is := stat fstat
WRAPS_ioengine_errors := calloc mmap eventfd io_setup io_submit preadv
WRAPS_ioengine_libaio := io_submit io_getevents
WRAPS_ioengine_ranges := fallocate calloc pthread_attr_init pthread_create sem_wait fdatasync
WRAPS_ioengine_uring := evloop_request
WRAPS_ioranges := fallocate ioctl pwrite lseek fdatasync
WRAPS_ioranges_overlay := fallocate pwrite preadv
WRAPS_ioranges_steps := fallocate pwrite fdatasync
WRAPS_iothread_due := clock_gettime timerfd_settime
WRAPS_iothread_errors := calloc pthread_attr_init pthread_create io_uring_register sem_wait \
	timerfd_create epoll_ctl
WRAPS_iothread_poll := sched_getaffinity sched_yield clock_gettime
WRAPS_iothread_wakeup_policy := sched_getaffinity sched_getscheduler sched_setscheduler \
	clock_gettime
WRAPS_machine_control := blk_set_listener blk_flush blk_hold blk_pause
WRAPS_overlay := mmap calloc
WRAPS_memory_prefault := madvise
WRAPS_race_stop := evloop_wake vring_pop vring_push vring_publish
WRAPS_refused_stop := fallocate
WRAPS_rows_engines_ranges := fallocate fdatasync ioengine_cancel_ranges
WRAPS_sandbox_layers := nanosleep
WRAPS_semaphore := sem_clockwait
WRAPS_state_copy := copy_file_range
WRAPS_state_memory := copy_file_range
WRAPS_vcpu := ioctl open __open_2 pthread_cond_clockwait
WRAPS_vhost_user_config := sendmsg
WRAPS_vhost_user_host := calloc eventfd timerfd_create dup3 fstat fcntl mmap memfd_create write \
	recvmsg sendmsg
WRAPS_vhost_user_session := preadv
WRAPS_vhost_user_sigbus := mmap signal sigaction
WRAPS_vhost_user_stop := fallocate ioengine_hold ioengine_release semaphore_wait_ms
WRAPS_virtio_mmio_lock := pthread_mutex_lock
WRAPS_write_all := write
WRAPS_x86_rows_machine := ioctl

UNIT_FILES  := $(TEST_SRC:tests/unit/test_%.c=%)
files-left  := $(UNIT_FILES)
$(foreach program,$(UNIT_NAMES),\
	$(eval FILES_$(program) := $(filter $(OF_$(program)),$(files-left)))\
	$(eval files-left := $(filter-out $(OF_$(program)),$(files-left))))
# The exhaustive tests have one thread, so a thread sanitizer finds nothing in them and makes them
# slow.
TESTS       := $(foreach program,$(filter-out $(if $(filter %-tsan,$(VARIANT)),exhaustive),$(UNIT_NAMES)),\
	       $(if $(FILES_$(program)),$(OBJ)/tests/unit/$(program)))

# Flags of a test file, which give its symbols names of their own. Part of the recipe for objects.
unit-flags   = $(if $(filter tests/unit/test_%,$<),$(call flags-of,$(<:tests/unit/test_%.c=%)))
flags-of     = $(if $(filter-out $(FAST_UNIT),$<),$(MODE_unit)) -Dtest_suite=suite_of_$(1) $(foreach name,$(WRAPS_$(1)),-D__wrap_$(name)=$(1)__wrap_$(name))
$(foreach name,$(UNIT_FILES),$(if $(WRAPS_$(name)),$(OBJ)/tests/unit/test_$(name).o)): tests/unit/targets.mk

# marks.h of tests/lib records the line of each assertion without a system call; these two functions
# are replaced for it.
MARKS       := _mark_point waitpid
CHECK_LIBS  := $(shell pkg-config --libs check 2>/dev/null)
wrap         = $(patsubst %,-Wl$(comma)--wrap=%,$(1))

# Code of aarch64 that does not need such a machine is tested on every architecture.
OF_ARM64    := $(filter-out $(LIB),$(patsubst %,$(COMMON)/vmm/arch/aarch64/%.o,image tree))

# Every test program is linked with this archive and takes the members that it needs. The archive is
# rebuilt when a source file is added, removed or changed.
$(OBJ)/tests/lib.a: $(TEST_LIB) $(LIB) $(OF_ARM64) $(OBJ)/tests/members
	$(Q)rm -f $@ && $(if $(CROSS),$(CROSS)-)ar rcsT $@ $(filter %.o,$^)

$(OBJ)/tests/members: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(TEST_LIB) $(LIB)' | cmp -s - $@ || echo '$(TEST_LIB) $(LIB)' >$@

# The symbols that --wrap can replace: undefined symbols of the library's objects, and the C
# library's exports.
$(OBJ)/tests/symbols: $(OBJ)/tests/lib.a
	$(Q){ $(if $(CROSS),$(CROSS)-)nm -u $<; nm -D --defined-only "$$(gcc -print-file-name=libc.so.6)"; } 2>/dev/null | \
		sed 's/.* //; s/@.*//' | sort -u >$@

# unit-program PROGRAM,FILE...: the rules' input for this program. Its list (program.c) is written
# when it changes.
define unit-program
$(OBJ)/tests/unit/$(1): $(2:%=$(COMMON)/tests/unit/test_%.o)
$(OBJ)/tests/unit/$(1): private WRAPS := $(sort $(foreach file,$(2),$(WRAPS_$(file))))
$(OBJ)/tests/unit/$(1): private LIST := $(foreach file,$(2),'FILE($(file))') \
	$(foreach file,$(2),$(foreach name,$(WRAPS_$(file)),'WRAP($(file),$(name))')) \
	$(foreach name,$(sort $(foreach file,$(2),$(WRAPS_$(file)))),'SLOT($(name))')
endef
$(foreach program,$(UNIT_NAMES),$(eval $(call unit-program,$(program),$(FILES_$(program)))))
$(foreach file,$(UNIT_FILES),$(eval $(call unit-program,test_$(file),$(file))))

# The files of all programs, for links when a file was added or removed.
$(OBJ)/tests/unit/programs: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(foreach program,$(UNIT_NAMES),$(program): $(FILES_$(program)))' | cmp -s - $@ || \
		echo '$(foreach program,$(UNIT_NAMES),$(program): $(FILES_$(program)))' >$@

$(UNIT_NAMES:%=$(OBJ)/tests/unit/%) $(UNIT_FILES:%=$(OBJ)/tests/unit/test_%): \
		tests/unit/program.c tests/unit/program.h tests/unit/targets.mk \
		$(OBJ)/tests/lib.a $(OBJ)/tests/symbols $(OBJ)/tests/unit/programs
	$(Q)tests/unit/check-wraps $(OBJ)/tests/symbols $@ $(WRAPS)
	$(Q)printf '%s\n' $(LIST) >$@.list
	$(Q)$(COMPILER) $(CPPFLAGS) $(ALL_CFLAGS) -DUNIT_LIST='"$@.list"' $(TEST_LDFLAGS) $(call wrap,$(MARKS) $(WRAPS)) -o $@ \
		$(filter %.c %.o,$^) $(filter %.a,$^) $(LDLIBS) $(LDLIBS_aarch64) $(CHECK_LIBS) -lutil

# Objects of the release variant that other variants link with.
test-objects: $(TEST_SRC:%.c=$(COMMON)/%.o) $(TEST_LIB) $(LIB) $(OF_ARM64)

unit: $(TESTS)
	$(Q)tests/unit/run $(VARIANT) $(TESTS)

unit-all:
	$(Q)for v in release gcc-asan gcc-tsan clang-asan clang-tsan; do $(MAKE) -s unit VARIANT=$$v || exit 1; done
