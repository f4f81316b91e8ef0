/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * machine: the one wiring file. Builds a VM from a machine_config, runs it until it ends, and
 * takes it apart in exact reverse. Main thread.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "vmm/devlist.h"
#include "vmm/options/options.h"

struct machine;

/*
 * Before the first file is made: SIGTERM, SIGINT and SIGQUIT wait from here on until the machine looks, and what
 * would kill the process instead (SIGHUP, SIGPIPE, SIGXFSZ) is ignored.
 */
void machine_hold_signals(void);

/*
 * Open, check and load everything; no guest instruction runs yet, and nothing of the user's is
 * created or changed. 0 or -errno; then one line that names option, value and reason has been
 * logged, and what was created is removed again. -ECANCELED: one of the signals above came meanwhile.
 * *config must outlive the machine.
 */
int machine_create(struct machine **machine, const struct machine_config *config);

/*
 * Enter the sandbox and start all threads; vCPUs wait before their first instruction. As machine_create, but the
 * caller destroys the machine when this fails. The control socket is removed then unless the process
 * has already been confined.
 */
int machine_start(struct machine *machine);

/* True once the sandbox has begun: files that were made can no longer be removed. */
bool machine_is_confined(const struct machine *machine);

/* Run the guest until something ends the VM. */
enum vm_end machine_run(struct machine *machine);

/*
 * Stop the vCPUs, drain and flush the disks, write out the console, restore the terminal. Returns
 * 0, or -errno when a disk could not be flushed. NULL is allowed.
 */
int machine_destroy(struct machine *machine);

#endif
