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

/* Signals that the supervisor forwards to the VM. */
static const int passed_on[] = { SIGTERM, SIGINT, SIGQUIT };

/* Job control signals. The VM's process, being process 1 of its namespace, ignores them, so that
 * the supervisor stops it by SIGSTOP. */
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

/* Sets up the supervisor's signal handling. The signals are blocked before the fork, so that none
 * is lost. *before receives the previous mask. */
static void take_signals(struct supervisor *s, sigset_t *before)
{
	sigset_t blocked;

	/* These signals are ignored for the reasons given in startup_hold_signals. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* If SIGCHLD were ignored, the kernel would discard the VM's exit status. */
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

/* Completes the set-up in the VM's process; returns 0. */
static int settle_vm(struct supervisor *s, sigset_t *mask)
{
	close_fd(&s->signal_fd);
	sigaddset(mask, SUPERVISOR_SIGNAL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* The VM dies with its supervisor from here on. The sandbox repeats this after the change
	 * of user, which clears the setting, and then also detects a supervisor that is already
	 * dead. */
	sandbox_tie(s->fd);
	return 0;
}

/* Returns true if CAP_KILL is in the bounding set: the supervisor needs it to signal the VM, which
 * runs as another user. */
static bool may_signal(void)
{
	return prctl(PR_CAPBSET_READ, CAP_KILL, 0, 0, 0) == 1;
}

/* Forks a child into a new PID namespace. Returns like fork(2), but -errno on failure. */
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
	/* A process whose children go to another PID namespace cannot create threads: the failed
	 * fork is undone by a return to its own namespace. */
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

/* Stops the VM and then this process, as `signal` (job control) demands, and continues the VM when
 * this process is continued. */
static void stop(const struct supervisor *s, int signal)
{
	sigset_t this;

	sigemptyset(&this);
	sigaddset(&this, signal);
	kill(s->vm, SIGSTOP);
	raise(signal);
	/* The process stops here, when the signal is unblocked, unless its process group is
	 * orphaned: the kernel then discards the signal. */
	sigprocmask(SIG_UNBLOCK, &this, NULL);
	sigprocmask(SIG_BLOCK, &this, NULL);
	kill(s->vm, SIGCONT);
}

/* Returns the VM's exit code, or minus the number of the signal that killed it; INT_MIN: the VM has
 * not ended. */
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
		/* A real-time signal is queued each time. SIGTERM and the like are not: a second
		 * one is lost while the first is pending. */
		sigqueue(s->vm, SUPERVISOR_SIGNAL, (union sigval){ .sival_int = signal });
	}
	return INT_MIN;
}

/* Reads one notification from the VM and acts on it. Each is accepted only once and in its turn,
 * because the VM's process may be compromised. The byte is echoed afterwards and the VM waits for
 * the echo: the supervisor has then recorded the VM's files, and does not take later files of these
 * names for them. */
static void read_word(struct supervisor *s, const struct service *service)
{
	char word;
	bool heard = read(s->fd, &word, 1) == 1 && word == service_words[s->words];

	if (heard)
		service_heard(service, s->words++);
	if (s->words > SERVICE_FILES) {
		runfile_see(&s->pidfile);
		runfile_see(&s->control);
		runfile_see(&s->console);
	}
	/* The write fails if the VM has ended. */
	if (heard && write(s->fd, &word, 1) != 1)
		log_debug("the VM has ended");
	if (!heard || s->words == SERVICE_WORDS)
		close_fd(&s->fd);
}

static void enter_vm_sandbox(struct supervisor *s, const struct machine_config *config)
{
	bool socket = config->console_kind == CONSOLE_SOCKET;

	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	runfile_open(&s->pidfile, config->pidfile);
	runfile_open(&s->control, config->control);
	runfile_open(&s->console, socket ? config->console_path : NULL);
	/* The pidfile exists already and is removed even if the VM's set-up fails. */
	runfile_see(&s->pidfile);
	sandbox_supervisor(config->sandbox, s->vm,
			   (const int[SANDBOX_DIRS]){ s->pidfile.dir_fd, s->control.dir_fd,
						      s->console.dir_fd });
}

int supervisor_run(struct supervisor *s, const struct service *service,
		   const struct machine_config *config)
{
	struct signalfd_siginfo info;
	int status = INT_MIN;

	enter_vm_sandbox(s, config);
	while (status == INT_MIN) {
		struct pollfd fds[] = { { .fd = s->fd, .events = POLLIN },
					{ .fd = s->signal_fd, .events = POLLIN } };

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents)
			read_word(s, service);
		if (fds[1].revents && read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
			status = take_signal(s, (int)info.ssi_signo);
	}
	/* Notifications that the VM sent before it ended are still in the socket. */
	while (s->fd >= 0)
		read_word(s, service);
	runfile_remove(&s->console);
	runfile_remove(&s->control);
	runfile_remove(&s->pidfile);
	return status;
}
