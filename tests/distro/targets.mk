# SPDX-License-Identifier: BSD-3-Clause
#
# make check-distro   boots Debian 12 with systemd, made by tools/mkroot from Debian's packages, which
#                     needs a network: file systems, partition tables and kernels. DISTRO=all or
#                     DISTRO=ext4,generic selects them

.PHONY: check-distro

check-distro: microvm microvm-ctl
	$(Q)tools/deps build guest distro
	$(Q)tests/distro/run ./microvm $(BUILD)/distro $(DISTRO)
