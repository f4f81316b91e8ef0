# SPDX-License-Identifier: BSD-3-Clause
#
# make guest-kernel   the minimal guest kernel: build/guest-kernel/bzImage and vmlinux

.PHONY: guest-kernel deps-guest-kernel

deps-guest-kernel:
	$(Q)tools/deps build guest-kernel

# Whether there is anything to do depends on the compiler, too, and is quickly found out by the script.
guest-kernel: deps-guest-kernel
	$(Q)guest/kernel/build $(BUILD)/guest-kernel
