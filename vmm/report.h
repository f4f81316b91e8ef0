/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report: error messages of a failed set-up, one log line each.
 *
 * Every function returns its argument err (-errno), so that a caller can report and return in one
 * statement.
 */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

/* Logs "--disk x.img: is a directory". If why is NULL, the text is that of the error number,
 * followed by the host's limit that causes it, if one does. Long values are truncated. */
int report_option(int err, const char *option, const char *value, const char *why);

/* Logs "creating a vCPU: Cannot allocate memory". */
int report_host(int err, const char *what);

/* Logs "cannot start the thread of vCPU 2: Resource temporarily unavailable (a limit on ...)". */
int report_start(int err, const char *what);

#endif
