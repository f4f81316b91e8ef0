/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/service/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/sandbox/sandbox.h"

/* What is passed on. The VM, process 1 of a namespace, is deaf to what it has no handler for. */
static const int passed_on[] = { SIGTERM, SIGINT, SIGQUIT };

/* What a terminal stops its jobs by; the same holds for these. */
static const int stops[] = { SIGTSTP, SIGTTIN, SIGTTOU };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool ignored(int signal)
{
	struct sigaction now;

	return !sigaction(signal, NULL, &now) && now.sa_handler == SIG_IGN;
}

/* Blocked from before the fork on: none is lost. */
static void take_signals(struct supervisor *s, sigset_t *before)
{
	sigset_t blocked;

	/* As in machine_hold_signals. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* A parent that ignores it has its children's status thrown away. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&s->heard);
	sigaddset(&s->heard, SIGCHLD);
	sigaddset(&s->heard, SIGCONT);
	for (unsigned int i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&s->heard, passed_on[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(stops); i++)
		if (!ignored(stops[i]))
			sigaddset(&s->heard, stops[i]);
	blocked = s->heard;
	sigaddset(&blocked, SUPERVISOR_SIGNAL);
	sigprocmask(SIG_BLOCK, &blocked, before);
}

/* In the VM. */
static int settle_vm(struct supervisor *s, sigset_t *mask)
{
	close_fd(&s->signal_fd);
	sigaddset(mask, SUPERVISOR_SIGNAL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* For as long as it is root. That the supervisor is dead is found out later. */
	sandbox_tie(s->fd);
	return 0;
}

/* What it cannot do without. */
static bool may_signal(void)
{
	return prctl(PR_CAPBSET_READ, CAP_KILL, 0, 0, 0) == 1;
}

/* As fork(2), but -errno, and the child is in a new namespace. */
static pid_t fork_inside(void)
{
	int err, own;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		return -errno;
	pid = fork();
	if (pid >= 0)
		return pid;
	err = -errno;
	/* Who makes its children elsewhere can have no threads. */
	own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (own >= 0) {
		setns(own, CLONE_NEWPID);
		close(own);
	}
	return err;
}

int supervisor_fork(struct supervisor *s)
{
	sigset_t before;
	int ends[2];

	*s = (struct supervisor){ .fd = -1, .signal_fd = -1 };
	if (!may_signal())
		return -EPERM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	take_signals(s, &before);
	s->signal_fd = signalfd(-1, &s->heard, SFD_CLOEXEC | SFD_NONBLOCK);
	s->vm = s->signal_fd < 0 ? -errno : fork_inside();
	if (s->vm >= 0) {
		s->fd = ends[!s->vm];
		close(ends[!!s->vm]);
		return s->vm ? 1 : settle_vm(s, &before);
	}
	close_fd(&s->signal_fd);
	close(ends[0]);
	close(ends[1]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return s->vm;
}

int supervisor_passed(const struct signalfd_siginfo *info)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(passed_on); i++)
		if (info->ssi_code == SI_QUEUE && info->ssi_int == passed_on[i])
			return passed_on[i];
	return 0;
}

/* The job is to stand still until it is continued. */
static void stop(const struct supervisor *s, int signal)
{
	sigset_t this;

	sigemptyset(&this);
	sigaddset(&this, signal);
	kill(s->vm, SIGSTOP);
	/* Here this process stops, unless the kernel finds nobody who could continue it. */
	raise(signal);
	sigprocmask(SIG_UNBLOCK, &this, NULL);
	sigprocmask(SIG_BLOCK, &this, NULL);
	kill(s->vm, SIGCONT);
}

/* How the VM has ended; INT_MIN: not yet. */
static int ended(const struct supervisor *s)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)s->vm, &info, WEXITED | WNOHANG) || !info.si_pid)
		return INT_MIN;
	return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

static int take_signal(const struct supervisor *s, int signal)
{
	switch (signal) {
	case SIGCHLD:
		return ended(s);
	case SIGCONT:
		kill(s->vm, SIGCONT);
		break;
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		stop(s, signal);
		break;
	default:
		/* Each one counts: of SIGTERM and the like, no second is kept while one is pending. */
		sigqueue(s->vm, SUPERVISOR_SIGNAL, (union sigval){ .sival_int = signal });
	}
	return INT_MIN;
}

/* Each word once, in its turn: somebody may be in the VM. The VM goes on when its word has been heard: what
 * replaces its files from then on is not taken for the VM's. */
static void hear(struct supervisor *s, const struct service *service)
{
	char word;
	bool heard = read(s->fd, &word, 1) == 1 && word == service_words[s->words];

	if (heard)
		service_heard(service, s->words++);
	if (s->words > SERVICE_FILES) {
		runfile_see(&s->pidfile);
		runfile_see(&s->control);
	}
	/* In vain if it has ended. */
	if (heard && write(s->fd, &word, 1) != 1)
		log_debug("the VM has ended");
	if (!heard || s->words == SERVICE_WORDS)
		close_fd(&s->fd);
}

static void vm_sandbox(struct supervisor *s, const struct machine_config *config)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	runfile_open(&s->pidfile, config->pidfile);
	runfile_open(&s->control, config->control);
	/* It is there already, and goes when the VM is not set up. */
	runfile_see(&s->pidfile);
	sandbox_supervisor(config->sandbox, s->vm, s->pidfile.dir_fd, s->control.dir_fd);
}

int supervisor_run(struct supervisor *s, const struct service *service,
		   const struct machine_config *config)
{
	struct signalfd_siginfo info;
	int status = INT_MIN;

	vm_sandbox(s, config);
	while (status == INT_MIN) {
		struct pollfd fds[] = { { .fd = s->fd, .events = POLLIN },
					{ .fd = s->signal_fd, .events = POLLIN } };

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents)
			hear(s, service);
		if (fds[1].revents && read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
			status = take_signal(s, (int)info.ssi_signo);
	}
	/* What it said last. */
	while (s->fd >= 0)
		hear(s, service);
	runfile_remove(&s->control);
	runfile_remove(&s->pidfile);
	return status;
}
