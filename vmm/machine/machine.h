/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * machine: construction, main loop and tear-down of one VM.
 *
 * All functions are called by the main thread. The tear-down releases resources in about the
 * reverse order of the set-up; control connections are closed last.
 */
#ifndef VMM_MACHINE_MACHINE_H
#define VMM_MACHINE_MACHINE_H

#include "vmm/options/options.h"
#include "vmm/vm_exit.h"

struct machine;
struct supervisor_link;

/*
 * Opens, checks and loads everything the VM needs; no guest instruction runs and no image is
 * written yet. *config and *link must outlive the machine. Returns 0 or -errno; on error, one line
 * that names option, value and reason has been logged, and the created files are removed again.
 * -ECANCELED: SIGTERM, SIGINT or SIGQUIT arrived meanwhile.
 */
int machine_create(struct machine **machine, const struct machine_config *config,
		   const struct supervisor_link *link);

/*
 * Enters the sandbox and starts all threads; vCPUs wait before their first instruction. Errors are
 * those of machine_create, but the caller calls machine_destroy after a failure, which removes the
 * control socket unless the process is already sandboxed.
 */
int machine_start(struct machine *machine);

/* True once machine_run has let the vCPUs run. */
bool machine_guest_has_run(const struct machine *machine);

/* Returns true once the process is sandboxed, when it can no longer remove files. */
bool machine_is_confined(const struct machine *machine);

/* Runs the guest and the main loop until the VM ends; returns the reason. */
enum vm_end machine_run(struct machine *machine);

/* Returns the exit code of the process for a VM that ended for this reason. */
int machine_exit_code(const struct machine *machine, enum vm_end end);

/*
 * Stops the vCPUs, drains and flushes the disks, writes out the console and restores the terminal.
 * Returns 0, or -errno if a disk could not be flushed. NULL is allowed.
 */
int machine_destroy(struct machine *machine);

#endif
