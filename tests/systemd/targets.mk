# SPDX-License-Identifier: BSD-3-Clause
#
# make check-systemd  tests the package and the example units in a Debian with systemd, which is the
#                     system of an emulated host; needs a network

.PHONY: check-systemd

check-systemd: microvm microvm-ctl microvm-blk guest
	$(Q)tools/deps build guest distro
	$(Q)tests/systemd/run "$$($(MAKE) -s deb)" $(BUILD)/guest $(BUILD)/distro
