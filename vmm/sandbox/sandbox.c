/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/report.h"
#include "vmm/sandbox/layers.h"

/* List of the layers that this host does not support, for one log line. */
struct missing {
	char text[256];
	size_t len;
};

static void note_why(struct missing *missing, const char *what, int err, const char *why)
{
	char *at = missing->text + missing->len;
	size_t left = sizeof(missing->text) - missing->len;
	int n;

	if (!err)
		return;
	n = snprintf(at, left, "%s%s (%s)", missing->len ? ", " : "", what, why);
	if (n > 0)
		missing->len += (size_t)n < left ? (size_t)n : left - 1;
}

static void note(struct missing *missing, const char *what, int err)
{
	note_why(missing, what, err, strerror(-err));
}

/* Note why there is no PID namespace. This must run while /proc can still be read. */
static void note_pids(struct missing *missing, int err)
{
	int self_fd = err ? open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	char refusal[REFUSAL_MAX];

	if (!err)
		return;
	sandbox_refusal(self_fd, true, err, refusal);
	note_why(missing, "a PID namespace", err, refusal);
	if (self_fd >= 0)
		close(self_fd);
}

/* Allow or forbid core dumps. The caller calls this after a change of user, because the kernel then
 * clears the dumpable flag. */
static void settle_core_dumps(bool allowed)
{
	const struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, allowed ? 1 : 0);
	if (!allowed)
		setrlimit(RLIMIT_CORE, &none);
}

static int change_user(const struct sandbox_config *config)
{
	int err = config->user ? sandbox_become(config->user) : 0;

	settle_core_dumps(config->core_dump);
	return err ? report_host(err, "--user") : 0;
}

int sandbox_enter(const struct sandbox_config *config)
{
	struct missing missing = { 0 };
	char refusal[REFUSAL_MAX];
	int err = sandbox_limit_fds(config->more_fds, config->mode == SANDBOX_OFF);
	int spaces_err;

	/* sandbox_limit_fds has logged this error. */
	if (err == -EMFILE)
		return err;
	if (config->mode == SANDBOX_OFF)
		return change_user(config);

	note(&missing, "closing inherited files", err);
	note_pids(&missing, config->pids_err);
	err = sandbox_isolate(config->user, &spaces_err, refusal);
	if (err)
		return report_host(err, "--user");
	note_why(&missing, "namespaces", spaces_err, refusal);
	settle_core_dumps(config->core_dump);
	if (config->supervisor_fd && sandbox_tie(config->supervisor_fd))
		return report_host(-ESRCH, "the supervisor");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	note(&missing, "Landlock", sandbox_landlock(config->snapshot_fd));
	note(&missing, "seccomp", sandbox_filter(config->mode == SANDBOX_LOG, config->back_end));
	if (missing.len)
		log_warn("sandbox: unavailable on this host: %s; the rest applies", missing.text);
	return 0;
}

void sandbox_supervisor(enum sandbox_mode mode, pid_t vm, const int dirs[SANDBOX_DIRS])
{
	uint32_t removes = 0;

	for (unsigned int i = 0; i < SANDBOX_DIRS; i++)
		if (dirs[i] >= 0)
			removes = 1u << CAP_DAC_OVERRIDE;

	/* Errors are ignored here: the VM process reports layers that the host does not support. */
	sandbox_limit_fds(0, false);
	settle_core_dumps(false);
	sandbox_keep_capabilities(1u << CAP_KILL | removes);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	sandbox_landlock_removing(dirs);
	sandbox_filter_supervisor(mode == SANDBOX_LOG, vm);
}
