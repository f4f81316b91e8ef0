# SPDX-License-Identifier: BSD-3-Clause
#
# make check-distro   boots Debian 12 with systemd, made by tools/mkroot from Debian's packages, which
#                     needs a network; RUNS="NAME..." for some tests only

.PHONY: check-distro

check-distro: microvm
	$(Q)tools/deps build guest distro
	$(Q)tests/distro/run ./microvm $(BUILD)/distro $(RUNS)
