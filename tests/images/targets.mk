# SPDX-License-Identifier: BSD-3-Clause
#
# make guest-kernel-check   boots the minimal guest kernel from fio.img; RUNS="NAME..." for some
#                           tests only
# make guest-kernel-repro   builds that kernel once more and compares the bytes

.PHONY: guest-kernel-check guest-kernel-repro

guest-kernel-check: microvm guest fio-image guest-kernel
	$(Q)tests/images/kernel ./microvm $(BUILD)/guest $(BUILD)/guest-kernel $(RUNS)

guest-kernel-repro: guest-kernel
	$(Q)tests/images/kernel-repro $(BUILD)/guest-kernel
