/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/prctl.h>
#include <signal.h>
#include <poll.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/text.h"
#include "vmm/sandbox/layers.h"

#define NAME_MAX_BYTES 256

static bool number(const char *text, uint32_t *id)
{
	uint64_t value;

	/* (uid_t)-1 means "no change" to setresuid. */
	if (!text_number(text, &value) || value >= UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

static const char *find_uid(struct sandbox_user *user, const char *name, bool gid_wanted)
{
	const struct passwd *known;
	uid_t uid;

	if (number(name, &uid)) {
		known = getpwuid(uid);
		user->uid = uid;
	} else {
		known = getpwnam(name);
		if (!known)
			return "no such user";
		user->uid = known->pw_uid;
	}
	if (known)
		user->gid = known->pw_gid;
	else if (gid_wanted)
		return "an unknown UID needs a group: UID:GID";
	return NULL;
}

static const char *find_gid(struct sandbox_user *user, const char *name)
{
	const struct group *known;

	if (number(name, &user->gid))
		return NULL;
	known = getgrnam(name);
	if (!known)
		return "no such group";
	user->gid = known->gr_gid;
	return NULL;
}

int sandbox_find_user(struct sandbox_user *user, const char *text, const char **why)
{
	char name[NAME_MAX_BYTES];
	char *group;

	*why = NULL;
	if (snprintf(name, sizeof(name), "%s", text) >= (int)sizeof(name))
		*why = "no such user";
	group = strchr(name, ':');
	if (group)
		*group++ = '\0';
	if (!*why)
		*why = find_uid(user, name, !group);
	if (!*why && group)
		*why = find_gid(user, group);
	if (!*why && user->uid == 0)
		*why = "is root";
	if (!*why && geteuid() != 0)
		*why = "only root can become another user";
	return *why ? -EINVAL : 0;
}

int sandbox_become(const struct sandbox_user *user)
{
	if (setgroups(0, NULL) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid))
		return -errno;
	return 0;
}

int sandbox_tie(int supervisor_fd)
{
	struct pollfd supervisor = { .fd = supervisor_fd };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The socket is readable at end of file: the supervisor died before prctl took effect. */
	return poll(&supervisor, 1, 0) > 0 ? -ESRCH : 0;
}
