# SPDX-License-Identifier: BSD-3-Clause
#
# make coverage       lines and branches of dataplane/ and devices/ that the tests reach
#
# Coverage is a variant like the others, but only these rooms are instrumented: what tests do
# with the inline functions of base.h is no evidence. All other objects are those of the release
# variant. The counters are atomic, because a lost update would look like a branch that was not
# taken.

COVERAGE_ROOMS := dataplane devices/virtio devices/vhost_user
# The rules of the fuzz replays are in tests/fuzz/targets.mk, which may be included after this file.
COVERAGE_BIN   := $(TESTS) $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(OBJ)/tests/fuzz/replay_%)
COVERAGE_FLAGS := -fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic

.PHONY: coverage coverage-programs

coverage:
	$(Q)$(MAKE) --no-print-directory VARIANT=release test-objects
	$(Q)$(MAKE) --no-print-directory VARIANT=coverage coverage-programs
	$(Q)tests/coverage/run $(BUILD)/coverage $(COVERAGE_BIN:$(OBJ)/%=$(BUILD)/coverage/%)

coverage-programs: $(COVERAGE_BIN)

ifeq ($(VARIANT),coverage)
# The flags are private to these objects: the file of flags is shared by all objects.
$(COVERAGE_ROOMS:%=$(OBJ)/%/%.o): private ALL_CFLAGS += $(COVERAGE_FLAGS)
$(COVERAGE_BIN): private ALL_LDFLAGS += -fprofile-instr-generate
endif
