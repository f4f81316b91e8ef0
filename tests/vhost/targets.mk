# SPDX-License-Identifier: BSD-3-Clause
#
# make vhost-kill     kill -9 of microvm-blk under writes, RUNS=200 times

.PHONY: vhost-kill

vhost-kill: microvm-blk
	$(Q)tests/vhost/kill ./microvm $(or $(RUNS),200)
