/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Boots another kernel by kexec.
 *
 * rekexec load KERNEL INITRD COMMAND-LINE, then rekexec jump: the drivers shut their devices down
 * first.
 *
 * rekexec on-panic KERNEL INITRD COMMAND-LINE: the other kernel boots when this one panics. The
 * devices are then still running, with requests in flight.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "rekexec: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 5 && (!strcmp(argv[1], "load") || !strcmp(argv[1], "on-panic"))) {
		unsigned long flags = argv[1][0] == 'o' ? KEXEC_FILE_ON_CRASH : 0;
		int kernel = open(argv[2], O_RDONLY);
		int initrd = open(argv[3], O_RDONLY);

		if (kernel < 0)
			return fail(argv[2]);
		if (initrd < 0)
			return fail(argv[3]);
		if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[4]) + 1, argv[4],
			    flags))
			return fail("kexec_file_load");
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "jump")) {
		reboot(LINUX_REBOOT_CMD_KEXEC);
		return fail("reboot");
	}
	fprintf(stderr, "usage: rekexec load|on-panic KERNEL INITRD COMMAND-LINE; rekexec jump\n");
	return 2;
}
