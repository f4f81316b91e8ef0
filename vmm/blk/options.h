/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options: the command line of microvm-blk.
 *
 * The parser opens no file, prints nothing and does not exit.
 */
#ifndef VMM_BLK_OPTIONS_H
#define VMM_BLK_OPTIONS_H

#include <stdbool.h>

#include "devices/virtio/blk.h"
#include "vmm/options/table.h"
#include "vmm/sandbox/sandbox.h"

struct export_config {
	const char *socket_path; /* NULL: the socket is inherited */
	unsigned int fd;     /* an inherited socket; EXPORT_NO_FD: none, or that of LISTEN_FDS */
	bool once;	     /* end with the first front end */
	bool capabilities;   /* print the capabilities, and do nothing else */
	const char *control; /* NULL: no control socket */
	bool stats;	     /* print statistics at the end */
	const char *log;     /* NULL: standard error */
	enum log_level log_level;
	const char *pidfile; /* NULL: none */
	enum sandbox_mode sandbox;
	const char *user; /* see sandbox_find_user; NULL: none */
	bool core_dump;
	const char *ephemeral_dir; /* NULL: that of the image */
	unsigned int disk_count;   /* 1 after export_options_parse */
	struct blk_config disk;
};

#define EXPORT_NO_FD (~0u)

/* Fills *config from argv as options_scan does, and checks that the options fit each other. `cpus`:
 * the host's CPUs, which decide how many queues there are by default. */
enum options_result export_options_parse(int argc, char **argv, struct export_config *config,
					 unsigned int cpus, char message[OPTIONS_MESSAGE_MAX]);

/* Returns the text of --help, in static memory. */
const char *export_options_help(void);

#endif
