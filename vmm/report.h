/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report: the one line a user reads when the VM cannot be set up. Each returns err, which is
 * -errno, so that a failing step is a single statement.
 */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

/* "--disk x.img: is a directory". why NULL: what the error number says, and which limit of the host
 * is behind it. Long values are cut. */
int report_option(int err, const char *option, const char *value, const char *why);

/* "creating a vCPU: Cannot allocate memory" */
int report_host(int err, const char *what);

/* "cannot start the thread of vCPU 2: Resource temporarily unavailable (a limit on ...)" */
int report_start(int err, const char *what);

#endif
