# SPDX-License-Identifier: BSD-3-Clause
#
# make check-arm64    cross-builds for aarch64 with the test programs, compiles with clang as well,
#                     and boots Linux and the freestanding guests in an emulated arm64 host;
#                     RUNS="NAME..." for some tests with Linux only

.PHONY: check-arm64 deps-arm64 test-programs

deps-arm64:
	$(Q)tools/deps build guest check arm64

# test-programs: link all test programs, run none.
test-programs: $(TESTS)

check-arm64: deps-arm64
	$(Q)$(MAKE) --no-print-directory ARCH=aarch64 all test-programs bare
	$(Q)$(MAKE) --no-print-directory ARCH=aarch64 VARIANT=clang objects
	$(Q)guest/build $(BUILD)/aarch64/guest arm64
	$(Q)tests/linux/build $(BUILD)/aarch64/guest $(BUILD)/aarch64/linux arm64
	$(Q)tests/boot/arm64 $(BUILD)/aarch64/microvm $(BUILD)/aarch64/guest $(BUILD)/aarch64/linux \
		$(BUILD)/aarch64/release/tests/unit $(RUNS)
	$(Q)$(if $(RUNS),,tests/bare/run --arch aarch64 $(BUILD)/aarch64/microvm $(BUILD)/aarch64/bare)
	$(Q)$(if $(RUNS),,tests/rows/run --arch aarch64)
