/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk: parser of --disk, for every program that has this option.
 *
 * The parser opens no file, prints nothing and allocates nothing. Main thread.
 */
#ifndef VMM_OPTIONS_DISK_H
#define VMM_OPTIONS_DISK_H

#include <stdbool.h>

#include "vmm/options/table.h"

struct blk_config;

/* The keys of --disk, for --help. */
extern const struct option_table options_disk_keys;

/*
 * Parses `text`, FILE[,key=value...], into *disk; the strings in *disk point into `text`, which
 * is modified. Returns NULL, or the reason of an error (a static string, or error->why), and then
 * copies the invalid part to error->shown. The three functions below complete *disk.
 */
const char *options_disk(struct blk_config *disk, char *text, struct option_error *error);

/* Sets the default of werror. A policy that stops the VM needs a control socket to resume it
 * (`control`). Returns NULL, or a static error message. */
const char *options_settle_errors(struct blk_config *disk, bool control);

/* Sets the directory of an ephemeral disk: `dir`, the value of --ephemeral-dir, or NULL. Sets *used if
 * the disk is ephemeral. Returns NULL, or a static error message. */
const char *options_settle_ephemeral(struct blk_config *disk, const char *dir, bool *used);

/* The error message if no disk uses --ephemeral-dir. */
extern const char options_unused_dir[];

/* Sets the queues and threads that the user did not give; to be called when `vcpus` is known.
 * Returns NULL, or `why` with an error message if the keys contradict each other. */
const char *options_settle_queues(struct blk_config *disk, unsigned int vcpus, char why[WHY_MAX]);

/* The setters of the keys iothreads and cpus, see struct option. */
const char *options_set_iothreads(const struct option *option, void *disk, char *value,
				  struct option_error *error);
const char *options_set_cpus(const struct option *option, void *disk, char *value,
			     struct option_error *error);

#endif
