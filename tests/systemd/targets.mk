# SPDX-License-Identifier: BSD-3-Clause
#
# make check-systemd  tests the example unit under a real systemd, in an emulated host

.PHONY: check-systemd

check-systemd: microvm guest
	$(Q)tests/systemd/run ./microvm $(BUILD)/guest
