/* SPDX-License-Identifier: BSD-3-Clause */
/* Refuses a command line that would have the VM write over one of its own files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dataplane/base.h"
#include "vmm/options/options.h"
#include "vmm/report.h"

struct named {
	const char *option, *path; /* path: NULL if the option was not given */
	const char *text;	   /* the option's value, if that is not the path */
};

/* Compares device and inode number, so that links are noticed. Two files that are yet to be
 * created are the same if their paths are. Character devices such as /dev/null may be shared. */
static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x) || stat(b, &y))
		return !strcmp(a, b);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino && !S_ISCHR(x.st_mode);
}

static int refuse(const struct named *output, const struct named *other)
{
	char why[200];

	if (!output->path || !other->path || !same_file(output->path, other->path))
		return 0;
	snprintf(why, sizeof(why), "is the same file as %s %.150s", other->option, other->path);
	return report_option(-EINVAL, output->option, output->text ? output->text : output->path,
			     why);
}

int options_check_outputs(const struct machine_config *c)
{
	const struct named outputs[] = { { "--console", c->console_path, c->console_text },
					 { "--log", c->log, NULL },
					 { "--dump-dtb", c->dump_dtb, NULL },
					 { "--pidfile", c->pidfile, NULL } };
	const struct named others[] = { { "--kernel", c->kernel, NULL },
					{ "--initrd", c->initrd, NULL },
					{ "--control", c->control, NULL } };
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(outputs) && !err; i++) {
		for (size_t j = i + 1; j < ARRAY_SIZE(outputs) && !err; j++)
			err = refuse(&outputs[i], &outputs[j]);
		for (size_t j = 0; j < ARRAY_SIZE(others) && !err; j++)
			err = refuse(&outputs[i], &others[j]);
		for (unsigned int j = 0; j < c->disk_count && !err; j++)
			err = refuse(&outputs[i],
				     &(struct named){ "--disk", c->disk[j].path, NULL });
	}
	return err;
}
