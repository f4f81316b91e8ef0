# SPDX-License-Identifier: BSD-3-Clause
#
# make vhost-kill     kill -9 of microvm-blk under writes, RUNS=200 times
# make vhost-migrate  a guest of QEMU that writes to microvm-blk is migrated to a file and back, ROUNDS=20 times

.PHONY: vhost-kill vhost-migrate

vhost-kill: microvm-blk
	$(Q)tests/vhost/kill ./microvm $(or $(RUNS),200)

vhost-migrate: microvm microvm-ctl microvm-blk guest $(OBJ)/tests/bench/tsc_khz
	$(Q)ROUNDS=$(or $(ROUNDS),20) tests/vhost/run ./microvm $(BUILD)/guest migrate
