# SPDX-License-Identifier: BSD-3-Clause
#
# make fuzz           fuzz each target for SECONDS=n (60), JOBS=n (1) at a time; clang with
#                     libFuzzer, ASan and UBSan. Prints a summary; crashes go to
#                     build/fuzz/crashes, new inputs to build/fuzz/corpus
# make fuzz-merge     copy the new inputs that add coverage into the tree
# make fuzz-replay    run each target once over its corpus in the tree

SECONDS      ?= 60
JOBS         ?= 1
FUZZ_NAMES   := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)
FUZZ_OBJ     := $(BUILD)/fuzz
FUZZ_CC      := clang
FUZZ_MODE    := $(ASAN) -fsanitize=fuzzer-no-link
FUZZ_CFLAGS   = $(CODE) $(WARN) -fPIE $(FUZZ_MODE) $(CFLAGS)
# Objects that all targets link.
FUZZ_SHARED  := tests/fuzz/guest.o tests/fuzz/guest_overlap.o tests/fuzz/guest_segments.o tests/fuzz/model.o tests/fuzz/request.o
# Targets with a whole device, which host.c separates from the host kernel.
FUZZ_DEVICES := device race
FUZZ_HOST    := tests/fuzz/entries.o tests/fuzz/host.o tests/fuzz/host_progress.o tests/fuzz/host_ranges.o tests/fuzz/poison.o tests/fuzz/vdisk.o
FUZZ_WRAPPED := blkplane_start blkplane_stop evloop_wake evloop_turn evloop_request adaptive_poll_budget vring_pop \
		vring_push vring_fail hostmem_map ioengine_prep ioengine_run ioengine_segment_done preadv pwritev2 \
		fdatasync fallocate pwrite io_submit io_getevents
FUZZ_WRAP    := $(addprefix -Xlinker --wrap=,$(FUZZ_WRAPPED))
FUZZ_LIB     := $(LIB_SRC:%.c=$(FUZZ_OBJ)/%.o) $(FUZZ_SHARED:%=$(FUZZ_OBJ)/%)
FUZZ_BIN     := $(FUZZ_NAMES:%=$(FUZZ_OBJ)/fuzz_%)
# Replays share the objects of the unit tests. Without a sanitizer they would detect little, so the
# release variant becomes clang-asan.
REPLAY_VARIANT := $(if $(filter release,$(VARIANT)),clang-asan,$(VARIANT))
REPLAY_BIN   := $(FUZZ_NAMES:%=$(OBJ)/tests/fuzz/replay_%)

.PHONY: fuzz fuzz-merge fuzz-programs fuzz-replay fuzz-replay-programs

fuzz: fuzz-programs
	$(Q)tests/fuzz/run fuzz $(FUZZ_OBJ) $(SECONDS) $(JOBS) $(FUZZ_NAMES)

fuzz-merge: fuzz-programs
	$(Q)tests/fuzz/run merge $(FUZZ_OBJ) $(FUZZ_NAMES)

fuzz-programs: $(FUZZ_BIN)

$(FUZZ_OBJ)/%.o: %.c $(FUZZ_OBJ)/flags
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

# The same include path as in the Makefile: without it, this file includes libseccomp's seccomp.h.
$(FUZZ_OBJ)/vmm/sandbox/seccomp.o: CPPFLAGS += -I$(BUILD)/seccomp
$(FUZZ_OBJ)/vmm/sandbox/seccomp.o: $(BUILD)/seccomp/seccomp.h

$(FUZZ_OBJ)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS)' | cmp -s - $@ || \
		echo '$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS)' >$@

$(FUZZ_BIN): $(FUZZ_OBJ)/fuzz_%: $(FUZZ_OBJ)/tests/fuzz/fuzz_%.o $(FUZZ_LIB)
	$(Q)$(FUZZ_CC) -pie -pthread $(ASAN) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(FUZZ_DEVICES:%=$(FUZZ_OBJ)/fuzz_%): $(FUZZ_HOST:%=$(FUZZ_OBJ)/%)
$(FUZZ_DEVICES:%=$(FUZZ_OBJ)/fuzz_%): private LDFLAGS += $(FUZZ_WRAP)

fuzz-replay:
	$(Q)$(MAKE) --no-print-directory VARIANT=$(REPLAY_VARIANT) fuzz-replay-programs
	$(Q)tests/fuzz/run replay $(BUILD)/$(REPLAY_VARIANT)/tests/fuzz $(FUZZ_NAMES)

fuzz-replay-programs: $(REPLAY_BIN) $(OBJ)/tests/fuzz/wraps

$(OBJ)/tests/fuzz/wraps: $(OBJ)/tests/symbols tests/fuzz/targets.mk
	$(Q)mkdir -p $(@D)
	$(Q)tests/unit/check-wraps $< 'the fuzz targets' $(FUZZ_WRAPPED) && touch $@

$(REPLAY_BIN): $(OBJ)/tests/fuzz/replay_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o \
		$(FUZZ_SHARED:%=$(OBJ)/%) $(LIB)
	$(Q)$(COMPILER) $(TEST_LDFLAGS) -o $@ $^ $(LDLIBS)

$(FUZZ_DEVICES:%=$(OBJ)/tests/fuzz/replay_%): $(FUZZ_HOST:%=$(OBJ)/%)
$(FUZZ_DEVICES:%=$(OBJ)/tests/fuzz/replay_%): private ALL_LDFLAGS += $(FUZZ_WRAP)
