/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compile: build tool that compiles seccomp/rules.h to BPF with libseccomp.
 *
 * The tool runs when microvm is built and is not part of microvm.
 *
 *   compile ARCH           print the programs as C text, which sandbox/seccomp.c includes
 *   compile ARCH --list    print how many system calls each filter allows, and which
 */
#include <linux/filter.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/sandbox/seccomp/rules.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define INSNS	 4096
/* libseccomp API level that has SCMP_ACT_KILL_PROCESS (Linux 4.14) */
#define API_LEVEL 3

static void fail(const char *what, int err)
{
	fprintf(stderr, "seccomp/compile: %s: %s\n", what, strerror(err));
	exit(1);
}

static int has(unsigned int filter, const struct rule *rule)
{
	return (rule->kinds & filters[filter].kinds) != 0;
}

static int number(uint32_t arch, const struct rule *rule)
{
	int nr = seccomp_syscall_resolve_name_arch(arch, rule->call);

	if (nr == __NR_SCMP_ERROR)
		fail(rule->call, ENOSYS);
	return nr;
}

static int exists(uint32_t arch, const struct rule *rule)
{
	return number(arch, rule) >= 0;
}

static void add(scmp_filter_ctx ctx, const struct rule *rule)
{
	uint32_t action = rule->error ? SCMP_ACT_ERRNO(rule->error) : SCMP_ACT_ALLOW;
	/*
	 * libseccomp translates the build machine's numbers to those of the filter's architecture.
	 */
	int nr = number(seccomp_arch_native(), rule);
	int err = seccomp_rule_add_exact_array(ctx, action, nr, rule->count, rule->arg);

	if (!err)
		err = seccomp_syscall_priority(ctx, nr, 255 - (rule - rules) % 256);
	/* The filter tests calls of higher priority first. A call with several rows must get the
	 * priority of its first row, the highest of them: libseccomp keeps the highest. */
	if (err)
		fail(rule->call, -err);
}

static scmp_filter_ctx build(uint32_t arch, unsigned int filter)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (!ctx)
		fail("seccomp_init", ENOMEM);
	seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (arch != seccomp_arch_native()) {
		seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE);
		seccomp_arch_add(ctx, arch);
	}
	/*
	 * Rows are added backwards, so that the priority of a call's first row is the last one set.
	 */
	for (unsigned int i = COUNT(rules); i-- > 0;) {
		if (exists(arch, &rules[i]) && has(filter, &rules[i]))
			add(ctx, &rules[i]);
	}
	return ctx;
}

static void print_program(uint32_t arch, unsigned int filter)
{
	static struct sock_filter insn[INSNS];
	scmp_filter_ctx ctx = build(arch, filter);
	FILE *file = tmpfile();
	int err = file ? seccomp_export_bpf(ctx, fileno(file)) : -errno;
	ssize_t bytes;

	if (err)
		fail(filters[filter].name, -err);
	bytes = pread(fileno(file), insn, sizeof(insn), 0);
	if (bytes <= 0 || bytes == sizeof(insn))
		fail(filters[filter].name, EFBIG);
	printf("static struct sock_filter program_%s[] = {\n", filters[filter].name);
	for (size_t i = 0; i < (size_t)bytes / sizeof(*insn); i++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", insn[i].code, insn[i].jt, insn[i].jf,
		       insn[i].k);
	printf("};\n\n");
	fclose(file);
	seccomp_release(ctx);
}

/*
 * Print the calls that a filter allows. Calls that the filter fails with an errno are not counted.
 */
static void print_list(uint32_t arch, unsigned int filter)
{
	char names[4096] = "";
	unsigned int count = 0;

	for (unsigned int i = 0; i < COUNT(rules); i++) {
		char word[64];

		snprintf(word, sizeof(word), " %s ", rules[i].call);
		if (!has(filter, &rules[i]) || rules[i].error || strstr(names, word) ||
		    !exists(arch, &rules[i]))
			continue;
		count++;
		strcat(names, word);
	}
	printf("%-10s %2u:%s\n", filters[filter].name, count, names);
}

int main(int argc, char **argv)
{
	uint32_t arch = argc > 1 ? seccomp_arch_resolve_name(argv[1]) : 0;

	if (!arch || argc > 3 || (argc == 3 && strcmp(argv[2], "--list") != 0)) {
		fprintf(stderr, "usage: compile ARCH [--list]\n");
		return 2;
	}
	/* Select the features of the kernel that microvm will run on, not those of the build
	 * machine or of an emulator. */
	if (seccomp_api_set(API_LEVEL) < 0)
		fail("seccomp_api_set", ENOTSUP);
	if (argc == 2)
		printf("/* Generated from vmm/sandbox/seccomp/rules.h. */\n#define OWN_PID "
		       "0x%08xu\n#define "
		       "VM_PID 0x%08xu\n\n",
		       OWN_PID, VM_PID);
	for (unsigned int i = 0; i < COUNT(filters); i++) {
		if (argc == 3)
			print_list(arch, i);
		else
			print_program(arch, i);
	}
	return fflush(stdout) == EOF;
}
