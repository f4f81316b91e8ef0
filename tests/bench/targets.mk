# SPDX-License-Identifier: BSD-3-Clause
#
# make bench-stop     how long a stop takes while the guest floods, on each engine; prints, judges nothing
# make blkbench       a disk measured by a guest under microvm and QEMU, and by fio on the host. BLKBENCH='options'

.PHONY: bench-stop blkbench deps-bench

bench-stop: $(OBJ)/tests/bench/stop_latency
	$(Q)$< $(OBJ)/stop_latency.img

deps-bench:
	$(Q)tools/deps build bench

blkbench: deps-bench microvm bare bench-programs
	$(Q)tools/blkbench $(BLKBENCH)
