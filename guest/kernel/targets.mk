# SPDX-License-Identifier: BSD-3-Clause
#
# make guest-kernel   the minimal guest kernel: build/guest-kernel/bzImage and vmlinux

.PHONY: guest-kernel deps-guest-kernel

deps-guest-kernel:
	$(Q)tools/deps build guest-kernel

# The script runs every time: the kernel also depends on the compiler, and the script finds quickly
# that nothing has changed.
guest-kernel: deps-guest-kernel
	$(Q)guest/kernel/build $(BUILD)/guest-kernel
