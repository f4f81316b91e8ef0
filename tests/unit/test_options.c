/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the command line: each option and key, and the messages about wrong ones. */
#include <stdio.h>

#include "tests/lib/cases.h"
#include "tests/unit/options_rig.h"

START_TEST(defaults)
{
	ck_assert_int_eq(PARSE("--kernel", "k"), OPTIONS_RUN);
	ck_assert_str_eq(config.kernel, "k");
	ck_assert_ptr_null(config.initrd);
	ck_assert_ptr_null(config.append);
	ck_assert_ptr_null(config.cmdline);
	ck_assert_uint_eq(config.memory, 256 << 20);
	ck_assert_uint_eq(config.cpus, 1);
	ck_assert(config.console);
	ck_assert_uint_eq(config.disk_count, 0);
}
END_TEST

START_TEST(disk_defaults)
{
	ck_assert_int_eq(PARSE("--kernel", "k", "--disk", "d"), OPTIONS_RUN);
	ck_assert_uint_eq(config.disk_count, 1);
	ck_assert_str_eq(config.disk[0].path, "d");
	ck_assert(!config.disk[0].readonly);
	ck_assert_ptr_null(config.disk[0].serial);
	ck_assert_int_eq(config.disk[0].direct, BLK_DIRECT_AUTO);
	ck_assert_int_eq(config.disk[0].engine, BLK_ENGINE_URING);
	ck_assert_uint_eq(config.disk[0].poll_us, BLK_POLL_US_DEFAULT);
	ck_assert(!config.disk[0].writethrough);
	ck_assert(config.disk[0].discard);
	ck_assert_uint_eq(config.disk[0].blk_size, 512);
	ck_assert_uint_eq(config.disk[0].queue_size, 256);
	ck_assert(!config.disk[0].packed);
	ck_assert(!config.disk[0].in_order);
}
END_TEST

START_TEST(exit_port)
{
	static const struct {
		const char *value;
		uint16_t port; /* 0: refused */
		bool qemu;
	} values[] = {
		{ "0xf4", 0xf4, false },
		{ "244", 244, false },
		{ "0xF4,qemu", 0xf4, true },
		{ "1", 1, false },
		{ "65532", 65532, false },
		{ "0xfffc", 65532, false },
		{ "0", 0, false },
		{ "65533", 0, false },
		{ "0xfffd", 0, false },
		{ "0x", 0, false },
		{ "", 0, false },
		{ "0x-1", 0, false },
		{ "0x100000000000000f4", 0, false },
		{ "0xf4,", 0, false },
		{ "0xf4,qemux", 0, false },
		{ "0xf4g", 0, false },
		{ "f4", 0, false },
		{ ",qemu", 0, false },
	};

	ck_assert_int_eq(PARSE("--kernel", "k"), OPTIONS_RUN);
	ck_assert(!config.exit_port.given && !config.quiet);
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		bool good = values[i].port;

		ck_assert_msg(PARSE("--kernel", "k", "--exit-port", values[i].value) ==
				      (good ? OPTIONS_RUN : OPTIONS_ERROR),
			      "%s: %s", values[i].value, message);
		ck_assert(config.exit_port.given);
		if (!good)
			continue;
		ck_assert_uint_eq(config.exit_port.port, values[i].port);
		ck_assert_int_eq(config.exit_port.qemu, values[i].qemu);
	}
}
END_TEST

/* The exit code of a usage error depends on it, wherever the error is. */
START_TEST(exit_port_is_known_in_spite_of_an_error)
{
	ck_assert_int_eq(PARSE("--nonsense", "--exit-port", "0xf4"), OPTIONS_ERROR);
	ck_assert(config.exit_port.given);
	ck_assert_int_eq(PARSE("--exit-port=0xf4"), OPTIONS_ERROR);
	ck_assert(config.exit_port.given);
	ck_assert_int_eq(PARSE("--kernel", "k", "--exit-ports=1"), OPTIONS_ERROR);
	ck_assert(!config.exit_port.given);
}
END_TEST

START_TEST(all_options_in_both_forms)
{
	ck_assert_int_eq(PARSE("--kernel=a=b", "--initrd", "i", "--append=x=1 y", "--memory=1G",
			       "--cpus", "1024", "--console=off"),
			 OPTIONS_RUN);
	ck_assert_str_eq(config.kernel, "a=b");
	ck_assert_str_eq(config.initrd, "i");
	ck_assert_str_eq(config.append, "x=1 y");
	ck_assert_uint_eq(config.memory, 1 << 30);
	ck_assert_uint_eq(config.cpus, 1024);
	ck_assert(!config.console);

	ck_assert_int_eq(PARSE("--cmdline", "-- --help", "--kernel", "k", "--console", "on"),
			 OPTIONS_RUN);
	ck_assert_str_eq(config.cmdline, "-- --help");
	ck_assert_ptr_null(config.append);
	ck_assert(config.console);
}
END_TEST

START_TEST(dumping_a_tree_implies_describe_fdt)
{
	ck_assert_int_eq(PARSE("--kernel", "k"), OPTIONS_RUN);
	ck_assert_int_eq(config.description, DESCRIBE_DEFAULT);
	ck_assert_int_eq(PARSE("--kernel", "k", "--describe", "acpi"), OPTIONS_RUN);
	ck_assert_int_eq(config.description, DESCRIBE_ACPI);
	ck_assert_int_eq(PARSE("--kernel", "k", "--describe=fdt"), OPTIONS_RUN);
	ck_assert_int_eq(config.description, DESCRIBE_FDT);
	ck_assert_int_eq(PARSE("--kernel", "k", "--dump-dtb", "f"), OPTIONS_RUN);
	ck_assert_int_eq(config.description, DESCRIBE_FDT);
}
END_TEST

START_TEST(empty_texts_are_accepted)
{
	ck_assert_int_eq(PARSE("--kernel", "k", "--append="), OPTIONS_RUN);
	ck_assert_str_eq(config.append, "");
	ck_assert_int_eq(PARSE("--kernel", "k", "--cmdline", ""), OPTIONS_RUN);
	ck_assert_str_eq(config.cmdline, "");
}
END_TEST

static const struct {
	const char *text;
	uint64_t bytes;
} sizes[] = {
	{ "16", 16ull << 20 },	       { "16M", 16ull << 20 },	   { "16384K", 16ull << 20 },
	{ "16388k", 16388ull << 10 },  { "3g", 3ull << 30 },	   { "1024G", 1ull << 40 },
	{ "1048576", 1ull << 40 },     { "00512m", 512ull << 20 }, { "1000", 1000ull << 20 },
	{ "1048576M", 1024ull << 30 },
};

START_TEST(memory_sizes)
{
	ck_assert_int_eq(PARSE("--kernel", "k", "--memory", sizes[_i].text), OPTIONS_RUN);
	ck_assert_uint_eq(config.memory, sizes[_i].bytes);
}
END_TEST

START_TEST(each_disk_key)
{
	ck_assert_int_eq(PARSE("--kernel", "k", "--disk",
			       "a/b.img,readonly,serial=01234567 9abc=efghi,direct=on,"
			       "blk-size=4096,queue-size=4,engine=sync,packed=on,in-order=off,"
			       "cache=writethrough,discard=off",
			       "--disk=c,readonly=off,direct=off,engine=libaio,queue-size=1024,"
			       "poll-us=1000,in-order=on,packed=off",
			       "--disk",
			       "d,readonly=on,direct=auto,blk-size=1024,cache=writeback,discard=on",
			       "--disk=e,engine=io_uring"),
			 OPTIONS_RUN);
	ck_assert_uint_eq(config.disk_count, 4);
	ck_assert_int_eq(config.disk[3].engine, BLK_ENGINE_URING);
	ck_assert_str_eq(config.disk[0].path, "a/b.img");
	ck_assert(config.disk[0].readonly);
	ck_assert_str_eq(config.disk[0].serial, "01234567 9abc=efghi");
	ck_assert_int_eq(config.disk[0].direct, BLK_DIRECT_ON);
	ck_assert(config.disk[0].writethrough);
	ck_assert(!config.disk[0].discard);
	ck_assert_uint_eq(config.disk[0].blk_size, 4096);
	ck_assert_uint_eq(config.disk[0].queue_size, 4);
	ck_assert_int_eq(config.disk[0].engine, BLK_ENGINE_SYNC);
	ck_assert(config.disk[0].packed && !config.disk[0].in_order);
	ck_assert(!config.disk[1].packed && config.disk[1].in_order);
	ck_assert_str_eq(config.disk[1].path, "c");
	ck_assert(!config.disk[1].readonly);
	ck_assert_int_eq(config.disk[1].direct, BLK_DIRECT_OFF);
	ck_assert_int_eq(config.disk[1].engine, BLK_ENGINE_LIBAIO);
	ck_assert_uint_eq(config.disk[1].queue_size, 1024);
	ck_assert_uint_eq(config.disk[1].poll_us, 1000);
	ck_assert(config.disk[2].readonly);
	ck_assert_int_eq(config.disk[2].direct, BLK_DIRECT_AUTO);
	ck_assert(!config.disk[2].writethrough);
	ck_assert(config.disk[2].discard);
	ck_assert_uint_eq(config.disk[2].blk_size, 1024);
}
END_TEST

START_TEST(directory_is_that_of_ephemeral_disks)
{
	ck_assert_int_eq(PARSE("--kernel", "k", "--disk", "a,ephemeral", "--ephemeral-dir", "dir",
			       "--disk=b", "--disk=c,ephemeral=off,readonly"),
			 OPTIONS_RUN);
	ck_assert(config.disk[0].ephemeral && !config.disk[1].ephemeral);
	ck_assert(!config.disk[2].ephemeral && config.disk[2].readonly);
	ck_assert_str_eq(config.disk[0].ephemeral_dir, "dir");
	ck_assert_ptr_null(config.disk[1].ephemeral_dir);
}
END_TEST

static const struct {
	const char *disk;
	const char *path;
	const char *serial;
} commas[] = {
	{ "a,,b.img", "a,b.img", NULL },
	{ "a,,b,serial=x", "a,b", "x" },
	{ "a,,,serial=x", "a,", "x" },
	{ ",,a,,,,b,,", ",a,,b,", NULL },
	{ "a,serial=x,,y,readonly", "a", "x,y" },
};

START_TEST(two_commas_stand_for_one)
{
	ck_assert_int_eq(PARSE("--kernel", "k", "--disk", commas[_i].disk), OPTIONS_RUN);
	ck_assert_str_eq(config.disk[0].path, commas[_i].path);
	ck_assert_pstr_eq(config.disk[0].serial, commas[_i].serial);
}
END_TEST

START_TEST(sixteen_disks_and_no_more)
{
	const char *args[2 + DEVLIST_MAX_DISKS + 1 + 1] = { "--kernel", "k" };

	for (unsigned int i = 0; i < DEVLIST_MAX_DISKS; i++)
		args[2 + i] = "--disk=d";
	ck_assert_int_eq(parse_args(args), OPTIONS_RUN);
	ck_assert_uint_eq(config.disk_count, DEVLIST_MAX_DISKS);
	args[2 + DEVLIST_MAX_DISKS] = "--disk=e,readonly";
	ck_assert_int_eq(parse_args(args), OPTIONS_ERROR);
	ck_assert_str_eq(message, "--disk e,readonly: more than 16 disks");
}
END_TEST

START_TEST(help_and_version_need_no_other_option)
{
	ck_assert_int_eq(PARSE("--help"), OPTIONS_HELP);
	ck_assert_int_eq(PARSE("-h"), OPTIONS_HELP);
	ck_assert_int_eq(PARSE("--memory", "1G", "--version"), OPTIONS_VERSION);
}
END_TEST

#define TEN "0123456789"

static const struct bad_line bad[] = {
	{ { "--pidfile", "" }, "--pidfile : the file name is empty" },
	{ { "--control", "" }, "--control : the file name is empty" },
	{ { "--memory", "7Q" }, "--memory 7Q: not a size (a number with K, M, G or T)" },
	{ { "--memory", "" }, "--memory : not a size (a number with K, M, G or T)" },
	{ { "--memory=M" }, "--memory M: not a size (a number with K, M, G or T)" },
	{ { "--memory", "-1" }, "--memory -1: not a size (a number with K, M, G or T)" },
	{ { "--memory", "1GB" }, "--memory 1GB: not a size (a number with K, M, G or T)" },
	{ { "--memory", "0x10" }, "--memory 0x10: not a size (a number with K, M, G or T)" },
	{ { "--memory", " 64" }, "--memory  64: not a size (a number with K, M, G or T)" },
	{ { "--memory", "18446744073709551616K" },
	  "--memory 18446744073709551616K: not a size (a number with K, M, G or T)" },
	{ { "--memory", "17179869185G" },
	  "--memory 17179869185G: not a size (a number with K, M, G or T)" },
	{ { "--memory", "15M" }, "--memory 15M: must be from 16M to 1T" },
	{ { "--memory", "0" }, "--memory 0: must be from 16M to 1T" },
	{ { "--memory", "1025G" }, "--memory 1025G: must be from 16M to 1T" },
	{ { "--memory", "20001K" }, "--memory 20001K: must be a multiple of 4K" },
	{ { "--memory", "1G", "--memory=2G" }, "--memory 2G: given twice" },
	{ { "--memory" }, "--memory: needs a value" },
	{ { "--cpus", "0" }, "--cpus 0: must be a number from 1 to 1024" },
	{ { "--cpus", "1025" }, "--cpus 1025: must be a number from 1 to 1024" },
	{ { "--cpus", "two" }, "--cpus two: must be a number from 1 to 1024" },
	{ { "--cpus", "2K" }, "--cpus 2K: must be a number from 1 to 1024" },
	{ { "--cpus=" }, "--cpus : must be a number from 1 to 1024" },
	{ { "--cpus=4294967297" }, "--cpus 4294967297: must be a number from 1 to 1024" },
	{ { "--console", "yes" }, "--console yes: must be on, off, pty, file:PATH or socket:PATH" },
	{ { "--console=" }, "--console : must be on, off, pty, file:PATH or socket:PATH" },
	{ { "--sandbox", "no" }, "--sandbox no: must be on, log or off" },
	{ { "--user=" }, "--user : the name is empty" },
	{ { "--core-dump=1" }, "--core-dump 1: must be on or off" },
	{ { "--describe=" }, "--describe : must be acpi or fdt" },
	{ { "--describe", "acpi", "--dump-dtb", "f" },
	  "--describe acpi: has no device tree to dump" },
	{ { "--kernel", "l" }, "--kernel l: given twice" },
	{ { "--initrd", "" }, "--initrd : the file name is empty" },
	{ { "--initrd=a", "--initrd=a" }, "--initrd a: given twice" },
	{ { "--append", "a", "--append=b" }, "--append b: given twice" },
	{ { "--append", "a\nb" }, "--append a?b: control characters are not allowed" },
	{ { "--cmdline", "a\x7f" }, "--cmdline a?: control characters are not allowed" },
	{ { "--cmdline", "a", "--append", "b" },
	  "--append, --cmdline: only one of the two is possible" },
	{ { "--disk" }, "--disk: needs a value" },
	{ { "--disk", "" }, "--disk : the file name is empty" },
	{ { "--disk", ",readonly" }, "--disk ,readonly: the file name is empty" },
	{ { "--disk", "d," }, "--disk d,: a key is missing" },
	{ { "--disk", "d,=x" }, "--disk d,=x: a key is missing" },
	{ { "--disk", "d,readonly,serial=a,readonly=on" }, "--disk d,readonly=on: given twice" },
	{ { "--disk", "d,readonly=" }, "--disk d,readonly=: the value is empty" },
	{ { "--disk", "d,readonly=1" }, "--disk d,readonly=1: must be on or off" },
	{ { "--disk", "d,ephemeral,readonly" },
	  "--disk d: readonly, ephemeral: only one of the two is possible" },
	{ { "--disk", "d", "--ephemeral-dir=e" }, "--ephemeral-dir: no disk is ephemeral" },
	{ { "--disk", "d,serial" }, "--disk d,serial: needs a value" },
	{ { "--disk", "d,serial=" }, "--disk d,serial=: the value is empty" },
	{ { "--disk", "d,serial=" TEN TEN "0" },
	  "--disk d,serial=" TEN TEN "0: must be 1 to 20 printable ASCII characters" },
	{ { "--disk", "d,serial=\xc3\xa4" },
	  "--disk d,serial=??: must be 1 to 20 printable ASCII characters" },
	{ { "--disk", "d,direct=maybe" }, "--disk d,direct=maybe: must be on, off or auto" },
	{ { "--disk", "d,direct" }, "--disk d,direct: needs a value" },
	{ { "--disk", "d,blk-size=256" },
	  "--disk d,blk-size=256: must be 512, 1024, 2048 or 4096" },
	{ { "--disk", "d,blk-size=8192" },
	  "--disk d,blk-size=8192: must be 512, 1024, 2048 or 4096" },
	{ { "--disk", "d,blk-size=1536" },
	  "--disk d,blk-size=1536: must be 512, 1024, 2048 or 4096" },
	{ { "--disk", "d,blk-size=4K" }, "--disk d,blk-size=4K: must be 512, 1024, 2048 or 4096" },
	{ { "--disk", "d,queue-size=2" },
	  "--disk d,queue-size=2: must be a power of two from 4 to 1024" },
	{ { "--disk", "d,queue-size=2048" },
	  "--disk d,queue-size=2048: must be a power of two from 4 to 1024" },
	{ { "--disk", "d,queue-size=65792" },
	  "--disk d,queue-size=65792: must be a power of two from 4 to 1024" },
	{ { "--disk", "d,queue-size=100" },
	  "--disk d,queue-size=100: must be a power of two from 4 to 1024" },
	{ { "--disk", "d,packed" }, "--disk d,packed: needs a value" },
	{ { "--disk", "d,packed=auto" }, "--disk d,packed=auto: must be on or off" },
	{ { "--disk", "d,in-order=1" }, "--disk d,in-order=1: must be on or off" },
	{ { "--disk", "d,cache=none" }, "--disk d,cache=none: must be writeback or writethrough" },
	{ { "--disk", "d,discard=unmap" }, "--disk d,discard=unmap: must be on or off" },
	{ { "--disk", "d,engine=uring" },
	  "--disk d,engine=uring: must be io_uring, libaio or sync" },
	{ { "--disk", "d,engine=aio", "--disk=e" },
	  "--disk d,engine=aio: must be io_uring, libaio or sync" },
	{ { "--disk", "d,iops=0" }, "--disk d,iops=0: must be a number from 1 to 1000000000" },
	{ { "--disk", "d,bps=1025G" }, "--disk d,bps=1025G: must be a size from 1K to 1T" },
	{ { "--disk", "d,bps=1,iops-burst=5" },
	  "--disk d: iops-burst needs iops, and bps-burst bps" },
	{ { "--disk", "d,poll-us=1001" },
	  "--disk d,poll-us=1001: must be a number from 0 to 1000" },
	{ { "--disk", "d,poll-us=-1" }, "--disk d,poll-us=-1: must be a number from 0 to 1000" },
	{ { "--frob" }, "unknown option '--frob' (see --help)" },
	{ { "--help=on" }, "unknown option '--help=on' (see --help)" },
	{ { "-m" }, "unknown option '-m' (see --help)" },
	{ { "--" }, "unknown option '--' (see --help)" },
	{ { "root.img" }, "unexpected argument 'root.img' (see --help)" },
	{ { "memory=1G" }, "unexpected argument 'memory=1G' (see --help)" },
	{ { "-" }, "unknown option '-' (see --help)" },
	{ { "" }, "unexpected argument '' (see --help)" },
	{ { "\x1b[2J" }, "unexpected argument '?[2J' (see --help)" },
};

START_TEST(bad_line_is_refused_with_option_value_and_reason)
{
	expect_refused(&bad[_i], true);
}
END_TEST

START_TEST(kernel_is_required)
{
	static const char missing[] = "--kernel FILE is missing (see --help)";

	ck_assert_int_eq(parse_args((const char *const[]){ NULL }), OPTIONS_ERROR);
	ck_assert_str_eq(message, missing);
	ck_assert_int_eq(PARSE("--memory", "1G"), OPTIONS_ERROR);
	ck_assert_str_eq(message, missing);
	ck_assert_int_eq(PARSE("--kernel="), OPTIONS_ERROR);
	ck_assert_str_eq(message, "--kernel : the file name is empty");
}
END_TEST

/* A message about a long value is cut to one line, and still has the reason. */
START_TEST(long_values_are_cut)
{
	char longest[5000], arg[5200];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(PARSE("--kernel", "k", "--memory", longest), OPTIONS_ERROR);
	ck_assert_ptr_nonnull(strstr(message, "aaa...: not a size (a number with K, M, G or T)"));

	ck_assert_int_eq(PARSE("--kernel", "k", longest), OPTIONS_ERROR);
	ck_assert_ptr_nonnull(strstr(message, "aaa...' (see --help)"));

	snprintf(arg, sizeof(arg), "%s,queue-size=1%s", longest, longest + 4900);
	ck_assert_int_eq(PARSE("--kernel", "k", "--disk", arg), OPTIONS_ERROR);
	ck_assert_ptr_nonnull(strstr(message, "aaa...,queue-size=1aaa"));
	ck_assert_ptr_nonnull(strstr(message, "aaa...: must be a power of two from 4 to 1024"));
}
END_TEST

START_TEST(help_has_each_option_in_80_columns)
{
	static const char *const words[] = {
		"--kernel FILE", "--initrd FILE", "--append TEXT", "--cmdline TEXT",
		"--memory SIZE", "--cpus N",	  "--console",	   "--disk FILE",
		"--help",	 "--version",	  "readonly",	   "serial=",
		"direct=",	 "blk-size=",	  "queue-size=",   "engine=",
		"cache=",	 "discard=",	  "poll-us=",	   "Ctrl-A x",
		"rerror=",	 "werror=",	  "engine=",	   "  0  ",
		"  7  ",
	};
	const char *line = options_help();

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		ck_assert_msg(strstr(options_help(), words[i]), "%s", words[i]);
	while (*line) {
		size_t len = strcspn(line, "\n");

		ck_assert_msg(len <= 80 && line[len], "%.*s", (int)len, line);
		line += len + 1;
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = tcase_create("options");

	tcase_add_checked_fixture(tc, NULL, free_copies);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, disk_defaults);
	tcase_add_test(tc, all_options_in_both_forms);
	tcase_add_test(tc, exit_port);
	tcase_add_test(tc, exit_port_is_known_in_spite_of_an_error);
	tcase_add_test(tc, dumping_a_tree_implies_describe_fdt);
	tcase_add_test(tc, empty_texts_are_accepted);
	tcase_add_member_test(tc, memory_sizes, sizes, text);
	tcase_add_test(tc, each_disk_key);
	tcase_add_test(tc, directory_is_that_of_ephemeral_disks);
	tcase_add_member_test(tc, two_commas_stand_for_one, commas, disk);
	tcase_add_test(tc, sixteen_disks_and_no_more);
	tcase_add_test(tc, help_and_version_need_no_other_option);
	tcase_add_member_test(tc, bad_line_is_refused_with_option_value_and_reason, bad, message);
	tcase_add_test(tc, kernel_is_required);
	tcase_add_test(tc, long_values_are_cut);
	tcase_add_test(tc, help_has_each_option_in_80_columns);
	suite_add_tcase(suite, tc);
	return suite;
}
