/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trim: give back memory that only the start needed. What is used again after all comes back by
 * itself. Main thread, when everything is set up.
 */
#ifndef VMM_TRIM_H
#define VMM_TRIM_H

void trim_start(void);

#endif
