# SPDX-License-Identifier: BSD-3-Clause
#
# make linux          short tests of Linux guests and their disks; RUNS="NAME..." for some of them
# make soak           the tests of `make linux` for longer

.PHONY: linux soak linux-guest

linux: microvm microvm-ctl linux-guest
	$(Q)tests/linux/run ./microvm $(BUILD)/guest $(BUILD)/linux short $(RUNS)

soak: microvm microvm-ctl linux-guest
	$(Q)tests/linux/run ./microvm $(BUILD)/guest $(BUILD)/linux long $(RUNS)

linux-guest: $(BUILD)/linux/done

$(BUILD)/linux/done: $(BUILD)/guest/done tools/fetch-fio guest/fio-tree $(addprefix tests/linux/,build guest.sh fsload.c ranges.c rekexec.c)
	$(Q)tests/linux/build $(BUILD)/guest $(BUILD)/linux
	$(Q)touch $@
