# SPDX-License-Identifier: BSD-3-Clause
#
# make emulated   the tests that need /dev/kvm, in the emulated host, as `make check` runs them on a
#                 machine without it

.PHONY: emulated emulated-programs

emulated: microvm microvm-ctl bare emulated-programs
	$(Q)tests/emulated/run ./microvm $(BARE_OBJ)

# emulated-programs builds the unit tests that need /dev/kvm. The last line is for tests/check,
# which would count a step without a closing line as a test.
emulated-programs:
	$(Q)tests/emulated/list programs | while read -r variant program; do \
		$(MAKE) -s $$program VARIANT=$$variant || exit 1; done
	$(Q)echo 'programs for the emulated host: 0 passed, 0 failed'
