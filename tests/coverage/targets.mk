# SPDX-License-Identifier: BSD-3-Clause
#
# make coverage       lines and branches of dataplane/ and devices/ that unit tests and fuzz corpora reach
#
# A variant like the others, but only those two rooms count: what tests do with the inline functions of base.h is no
# evidence. What does not count is release's, not compiled again. Atomic counters, because a lost update would turn up as a branch nobody took.

COVERAGE_ROOMS := dataplane devices
# Their rules are elsewhere, and may be read later.
COVERAGE_BIN   := $(TESTS) $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(OBJ)/tests/fuzz/replay_%)
COVERAGE_FLAGS := -fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic

.PHONY: coverage coverage-programs

coverage:
	$(Q)$(MAKE) --no-print-directory VARIANT=release test-objects
	$(Q)$(MAKE) --no-print-directory VARIANT=coverage coverage-programs
	$(Q)tests/coverage/run $(BUILD)/coverage $(TEST_SRC) $(FUZZ_SRC)

coverage-programs: $(COVERAGE_BIN)

ifeq ($(VARIANT),coverage)
# Private: the file of flags is made for all objects alike.
$(COVERAGE_ROOMS:%=$(OBJ)/%/%.o): private ALL_CFLAGS += $(COVERAGE_FLAGS)
$(COVERAGE_BIN): private ALL_LDFLAGS += -fprofile-instr-generate
endif
