/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/report.h"

#include <errno.h>
#include <string.h>

#include "dataplane/base.h"

#define VALUE_SHOWN 200

/* Returns the name of the host's limit that causes this error, or "". The function makes no system
 * call, because the seccomp filters may be installed by now. */
static const char *limit(int err)
{
	switch (-err) {
	case EMFILE:
		return " (RLIMIT_NOFILE, ulimit -n)";
	case ENFILE:
		return " (fs.file-max)";
	case EAGAIN:
		return " (RLIMIT_NPROC, or pids.max of a cgroup)";
	}
	return "";
}

int report_option(int err, const char *option, const char *value, const char *why)
{
	const char *cut = strlen(value) > VALUE_SHOWN ? "..." : "";

	log_error("%s %.*s%s: %s%s", option, VALUE_SHOWN, value, cut, why ? why : strerror(-err),
		  why ? "" : limit(err));
	return err;
}

int report_start(int err, const char *what)
{
	log_error("cannot start %s: %s%s", what, strerror(-err),
		  err == -EAGAIN
			  ? " (a limit on processes: RLIMIT_NPROC, or pids.max of a control group)"
			  : "");
	return err;
}

int report_host(int err, const char *what)
{
	log_error("%s: %s%s", what, strerror(-err), limit(err));
	return err;
}
