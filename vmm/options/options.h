/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options: the command line of microvm.
 *
 * The parser opens no file, prints nothing and does not exit.
 */
#ifndef VMM_OPTIONS_OPTIONS_H
#define VMM_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "devices/virtio/blk.h"
#include "vmm/devlist.h"
#include "vmm/options/table.h"
#include "vmm/sandbox/sandbox.h"

#define MEMORY_MIN (16ull << 20)
#define MEMORY_MAX (1ull << 40)
#define CPUS_MAX   1024

/* --exit-port */
struct exit_port {
	bool given;
	bool qemu; /* the exit code is computed as that of QEMU's isa-debug-exit */
	uint16_t port;
	const char *text; /* the port as the user typed it */
};

/* The other end of the serial port. */
enum console_kind {
	CONSOLE_STANDARD, /* standard input and output */
	CONSOLE_PTY,
	CONSOLE_FILE,
	CONSOLE_SOCKET,
};

/* --prefault: the pages that are mapped before a restored guest runs. */
enum prefault { PREFAULT_NONE, PREFAULT_SET, PREFAULT_ALL };

struct machine_config {
	const char *kernel;	 /* --kernel; NULL with --restore */
	const char *initrd;	 /* NULL: none */
	const char *append;	 /* NULL: none */
	const char *cmdline;	 /* NULL: the default line */
	uint64_t memory;	 /* bytes, a multiple of 4096; see options_settle_restored */
	const char *memory_text; /* the size as the user typed it */
	unsigned int cpus;
	bool console; /* there is a serial port; console_* describe its other end */
	enum console_kind console_kind;
	const char *console_text;  /* the value of --console as the user typed it */
	const char *console_path;  /* of CONSOLE_FILE and CONSOLE_SOCKET; NULL for the others */
	const char *log;	   /* the file to log to; NULL: standard error */
	enum log_level log_level;  /* messages up to this level are logged */
	unsigned int stop_timeout; /* seconds from the power button to the stop; 0: stop at once */
	const char *pidfile;	   /* NULL: none */
	enum description description;
	const char *dump_dtb;	  /* write the device tree to this file, do not run; NULL: run */
	const char *control;	  /* --control, the path of its socket; NULL: none */
	const char *snapshot_dir; /* --snapshot-dir; NULL: none */
	const char *restore;	  /* --restore, the directory of a snapshot; NULL: boot a kernel */
	enum prefault prefault;	  /* with --restore */
	bool advance_clock;	  /* with --restore: the time since the snapshot has passed */
	struct exit_port exit_port;
	bool quiet; /* do not log why the VM has ended */
	bool stats; /* print statistics when the VM ends */
	enum sandbox_mode sandbox;
	const char *user;	   /* NAME or UID:GID, see sandbox_find_user; NULL: none */
	bool core_dump;		   /* allow core dumps, with guest RAM */
	const char *ephemeral_dir; /* directory for ephemeral disks; NULL: that of each image */
	unsigned int disk_count;
	struct blk_config disk[DEVLIST_MAX_DISKS];
};

/* Fills *config from argv as options_scan does, and checks that the options fit each other. The
 * strings in *config point into argv, whose --disk values are modified. With OPTIONS_ERROR, only
 * config->exit_port.given is valid. */
enum options_result options_parse(int argc, char **argv, struct machine_config *config,
				  char message[OPTIONS_MESSAGE_MAX]);

/*
 * Completes the configuration of a VM whose memory size, number of CPUs and kind of description
 * come from a snapshot: with --restore, options_parse leaves the disks' queues open. `queues` are
 * the snapshot's numbers of queues by disk, which are the default. Returns 0, or -EINVAL after a
 * message.
 */
int options_settle_restored(struct machine_config *config, const unsigned int *queues);

/* Returns the text of --help, in static memory. */
const char *options_help(void);

/*
 * Checks that --log, --dump-dtb, --pidfile and --console name neither each other's file nor one
 * that the VM reads. Called before any of them is opened. Returns 0, or -EINVAL after a message.
 */
int options_check_outputs(const struct machine_config *config);

#endif
