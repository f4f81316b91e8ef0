# SPDX-License-Identifier: BSD-3-Clause
#
# make fuzz           fuzz each target for SECONDS=n (60), clang with libFuzzer, ASan and UBSan
# make fuzz-replay    run each target once over its corpus in the tree

SECONDS      ?= 60
FUZZ_NAMES   := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJ     := $(BUILD)/fuzz
FUZZ_CC      := clang
FUZZ_MODE    := $(ASAN) -fsanitize=fuzzer-no-link
FUZZ_CFLAGS   = $(CODE) $(WARN) -fPIE $(FUZZ_MODE) $(CFLAGS)
FUZZ_LIB     := $(LIB_SRC:%.c=$(FUZZ_OBJ)/%.o) $(FUZZ_OBJ)/tests/fuzz/guest.o
FUZZ_BIN     := $(FUZZ_NAMES:%=$(FUZZ_OBJ)/fuzz_%)
# Replays share the objects of the unit tests; without a sanitizer they would see little.
REPLAY_VARIANT := $(if $(filter release,$(VARIANT)),clang-asan,$(VARIANT))
REPLAY_BIN   := $(FUZZ_NAMES:%=$(OBJ)/tests/fuzz/replay_%)

.PHONY: fuzz fuzz-programs fuzz-replay fuzz-replay-programs

fuzz: fuzz-programs
	$(Q)tests/fuzz/run fuzz $(FUZZ_OBJ) $(SECONDS) $(FUZZ_NAMES)

fuzz-programs: $(FUZZ_BIN)

$(FUZZ_OBJ)/%.o: %.c $(FUZZ_OBJ)/flags
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_OBJ)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS)' | cmp -s - $@ || \
		echo '$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS)' >$@

$(FUZZ_BIN): $(FUZZ_OBJ)/fuzz_%: $(FUZZ_OBJ)/tests/fuzz/fuzz_%.o $(FUZZ_LIB)
	$(Q)$(FUZZ_CC) -pie -pthread $(ASAN) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

fuzz-replay:
	$(Q)$(MAKE) --no-print-directory VARIANT=$(REPLAY_VARIANT) fuzz-replay-programs
	$(Q)tests/fuzz/run replay $(BUILD)/$(REPLAY_VARIANT)/tests/fuzz $(FUZZ_NAMES)

fuzz-replay-programs: $(REPLAY_BIN)

$(REPLAY_BIN): $(OBJ)/tests/fuzz/replay_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o \
		$(OBJ)/tests/fuzz/guest.o $(LIB)
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)
