# SPDX-License-Identifier: BSD-3-Clause
#
# make kill       kill -9 under a write load, RUNS=200 times

.PHONY: kill

kill: microvm bare
	$(Q)tests/kill/run ./microvm $(BARE_OBJ) $(or $(RUNS),200)
