# SPDX-License-Identifier: BSD-3-Clause
#
# make bench-stop     time that a stop takes while the guest floods, on each engine; prints, judges
#                     nothing
# make blkbench       a disk measured by a guest under microvm and QEMU, and by fio on the host;
#                     BLKBENCH='options'
# make boot-and-fio   a Linux guest with fio, under microvm and peers; BOOT_AND_FIO='--quick ...'
# make vhost-bench    microvm-blk and qemu-storage-daemon under the same vhost-user client;
#                     VHOST_BENCH='--quick ...'

.PHONY: bench-stop blkbench boot-and-fio vhost-bench deps-bench

bench-stop: $(OBJ)/tests/bench/stop_latency
	$(Q)$< $(OBJ)/stop_latency.img

deps-bench:
	$(Q)tools/deps build bench

blkbench: deps-bench microvm bare bench-programs
	$(Q)tools/blkbench $(BLKBENCH)

boot-and-fio: deps-bench microvm linux-guest bench-programs
	$(Q)tools/boot-and-fio $(BOOT_AND_FIO)

# libblkio's client is optional: without a network it is reported as skipped.
vhost-bench: deps-bench microvm-blk bench-programs
	$(Q)[ "$(DEPS)" = no ] || tools/fetch-libblkio $(BUILD) || true
	$(Q)tools/vhost-bench $(VHOST_BENCH)
