/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fixture of a control socket in a directory of its own; the test acts as its clients and as the
 * machine that executes requests. One socket per test.
 */
#ifndef TESTS_CONTROL_RIG_H
#define TESTS_CONTROL_RIG_H

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "version.h"
#include "vmm/control/server.h"

#define STATUS "{\"cmd\":\"status\"}\n"

static char dir[64];
static char path[96];
static struct control *ctl;
static unsigned int runs;
static bool later;	    /* requests are answered later */
static unsigned int asked;  /* client of the last request */
static unsigned int filler; /* bytes in a result */

static inline bool run(struct control_handler *handler, unsigned int n,
		       const struct control_request *request, struct control_answer *answer)
{
	static char text[8192];

	(void)handler;
	(void)request;
	runs++;
	asked = n;
	memset(text, 'x', filler);
	text[filler] = '\0';
	answer->result = json_object_new_object();
	control_put(answer->result, "filler", json_object_new_string(text));
	if (later) {
		json_object_put(answer->result);
		answer->result = NULL;
	}
	return !later;
}

static int left_fd = -1; /* the connection of a client that has left */
static char left_data[64];

static inline void leave(struct control_handler *handler, int fd, const char *data, size_t len)
{
	(void)handler;
	left_fd = fd;
	snprintf(left_data, sizeof(left_data), "%.*s", (int)len, data);
}

static struct control_handler handler = { .run = run, .leave = leave };

/* Runs the main loop until there is nothing to do. */
static inline void turn(void)
{
	struct pollfd fds[CONTROL_POLLFDS];

	for (unsigned int i = 0; i < 10000; i++) {
		control_prepare(ctl, fds);
		if (poll(fds, CONTROL_POLLFDS, 0) <= 0)
			return;
		control_handle(ctl, fds);
	}
	ck_abort_msg("it never comes to rest");
}

static inline int open_at(const char *at, const char **why)
{
	return control_open(&ctl, at, &handler, why);
}

static inline void setup(void)
{
	const char *why;

	snprintf(dir, sizeof(dir), "/tmp/control-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(open_at(path, &why), 0);
}

static inline void teardown(void)
{
	control_close(ctl);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static inline int client(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	turn();
	return fd;
}

/* Returns everything that this client has received. */
static inline const char *heard(int fd)
{
	static char text[1 << 20];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n == 0)
		return "end";
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static inline int greeted_client(void)
{
	int fd = client();

	ck_assert_str_eq(heard(fd), "{\"microvm\":\"" MICROVM_VERSION "\",\"protocol\":2}\n");
	return fd;
}

static inline void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
	turn();
}

static inline bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

#endif
