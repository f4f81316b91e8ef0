/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trim: return of memory that only the set-up needed.
 */
#ifndef VMM_MACHINE_TRIM_H
#define VMM_MACHINE_TRIM_H

/* Returns free heap memory and the libraries' code pages to the host. Code that runs again is read
 * back in by page faults. Main thread, at the end of the set-up. */
void trim_start(void);

#endif
