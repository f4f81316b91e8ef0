# SPDX-License-Identifier: BSD-3-Clause
#
# make proof      all proofs by the model checker CBMC; RUNS="NAME..." for some, RUNS=quick for those
#                 that `make check` makes

.PHONY: proof

proof:
	$(Q)tests/proof/run $(RUNS)
