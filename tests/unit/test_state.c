/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the state file of a snapshot: what the reader gets back, and what it refuses. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/suite.h"
#include "vmm/state/state.h"

#define MACHINE	    62u
#define TAG_ONE	    STATE_TAG('O', 'N', 'E', ' ')
#define TAG_TWO	    STATE_TAG('T', 'W', 'O', ' ')
#define TAG_OTHER   STATE_TAG('O', 'T', '\1', 'R')
#define HEADER	    sizeof(struct state_header)
#define FIRST_FLAGS (HEADER + offsetof(struct state_section, flags))

static bool known(uint32_t tag)
{
	return tag == TAG_ONE || tag == TAG_TWO;
}

/* Writes a file with two instances of ONE and one of `last`. */
static void write_file(struct state_writer *w, uint32_t last)
{
	static const char bytes[] = "0123456789";

	state_begin(w, MACHINE);
	state_put(w, TAG_ONE, 0, bytes, 10);
	state_put(w, TAG_ONE, 7, bytes + 1, 1);
	state_put(w, last, 0, NULL, 0);
	ck_assert_int_eq(state_end(w), 0);
}

/* Computes the checksum again after a change of the file. */
static void seal(struct state_writer *w)
{
	ck_assert_int_eq(state_end(w), 0);
}

static int open_file(struct state_reader *r, const struct state_writer *w)
{
	return state_open(r, w->data, w->size, MACHINE, known);
}

/* The vector of RFC 3720, B.4. */
START_TEST(checksum_is_crc32c)
{
	uint8_t zeros[32] = { 0 };

	ck_assert_uint_eq(state_crc(0, zeros, sizeof(zeros)), 0x8a9136aa);
	ck_assert_uint_eq(state_crc(state_crc(0, "12345", 5), "6789", 4), 0xe3069283);
}
END_TEST

START_TEST(sections_are_read_as_written)
{
	struct state_writer w;
	struct state_reader r;
	char bytes[10];
	size_t size = 1;

	write_file(&w, TAG_TWO);
	ck_assert_uint_eq(w.size % 8, 0);
	ck_assert_int_eq(open_file(&r, &w), 0);
	ck_assert_int_eq(state_get(&r, TAG_ONE, 0, bytes, 10), 0);
	ck_assert_int_eq(memcmp(bytes, "0123456789", 10), 0);
	ck_assert_int_eq(state_get(&r, TAG_ONE, 7, bytes, 1), 0);
	ck_assert_int_eq(bytes[0], '1');
	ck_assert_ptr_nonnull(state_find(&r, TAG_TWO, 0, &size));
	ck_assert_uint_eq(size, 0);
	ck_assert_ptr_null(state_find(&r, TAG_TWO, 1, &size));
	state_free(&w);
}
END_TEST

/* More than the writer allocates at first. */
START_TEST(large_files_are_written)
{
	struct state_writer w;
	struct state_reader r;
	uint8_t *data = malloc(100000), *back = malloc(100000);

	ck_assert(data && back);
	for (unsigned int i = 0; i < 100000; i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	state_begin(&w, MACHINE);
	for (unsigned int i = 0; i < 5; i++)
		state_put(&w, TAG_ONE, i, data, 100000 - i);
	ck_assert_int_eq(state_end(&w), 0);
	ck_assert_int_eq(open_file(&r, &w), 0);
	for (unsigned int i = 0; i < 5; i++) {
		ck_assert_int_eq(state_get(&r, TAG_ONE, i, back, 100000 - i), 0);
		ck_assert_int_eq(memcmp(back, data, 100000 - i), 0);
	}
	state_free(&w);
	free(data);
	free(back);
}
END_TEST

START_TEST(missing_and_other_sizes_are_named)
{
	struct state_writer w;
	struct state_reader r;
	char bytes[11];

	write_file(&w, TAG_TWO);
	ck_assert_int_eq(open_file(&r, &w), 0);
	ck_assert_int_eq(state_get(&r, TAG_ONE, 1, bytes, 10), -EINVAL);
	ck_assert_str_eq(r.why, "lacks section 'ONE ' 1");
	ck_assert_int_eq(state_get(&r, TAG_ONE, 0, bytes, 11), -EINVAL);
	ck_assert_str_eq(r.why, "section 'ONE ' 0 has 10 bytes instead of 11");
	ck_assert_int_eq(state_refuse(&r, TAG_TWO, 3, "is odd"), -EINVAL);
	ck_assert_str_eq(r.why, "section 'TWO ' 3: is odd");
	state_free(&w);
}
END_TEST

START_TEST(unknown_section_is_refused_unless_optional)
{
	struct state_writer w;
	struct state_reader r;

	state_begin(&w, MACHINE);
	state_put(&w, TAG_OTHER, 0, "x", 1);
	seal(&w);
	ck_assert_int_eq(open_file(&r, &w), -EINVAL);
	ck_assert_str_eq(r.why, "has a section 'OT?R', which this microvm does not know");
	w.data[FIRST_FLAGS] = STATE_OPTIONAL;
	seal(&w);
	ck_assert_int_eq(open_file(&r, &w), 0);
	state_free(&w);
}
END_TEST

START_TEST(each_truncated_length_is_refused)
{
	struct state_writer w;
	struct state_reader r;

	write_file(&w, TAG_TWO);
	for (size_t size = 0; size < w.size; size++) {
		/* The exact size, so that a sanitizer finds reads beyond it. */
		uint8_t *part = malloc(size ? size : 1);

		ck_assert_ptr_nonnull(part);
		memcpy(part, w.data, size);
		ck_assert_int_eq(state_open(&r, part, size, MACHINE, known), -EINVAL);
		ck_assert_str_ne(r.why, "");
		free(part);
	}
	state_free(&w);
}
END_TEST

START_TEST(each_flipped_bit_is_refused)
{
	struct state_writer w;
	struct state_reader r;

	write_file(&w, TAG_TWO);
	for (size_t bit = 0; bit < 8 * w.size; bit++) {
		w.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_int_eq(open_file(&r, &w), -EINVAL);
		w.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	ck_assert_int_eq(open_file(&r, &w), 0);
	state_free(&w);
}
END_TEST

static const struct {
	const char *name;
	size_t at; /* the byte that is changed */
	const char *why;
} headers[] = {
	{ "magic", 0, "is not the state of a snapshot" },
	{ "version", 8, "has version 254 of the format; this microvm reads version 1" },
	{ "architecture", 12, "is of another architecture" },
	{ "section beyond the end", HEADER + 8 + 1, "ends inside a section" },
};

START_TEST(bad_file_with_a_good_checksum_is_refused)
{
	struct state_writer w;
	struct state_reader r;

	write_file(&w, TAG_TWO);
	w.data[headers[_i].at] ^= 0xff;
	seal(&w);
	ck_assert_int_eq(open_file(&r, &w), -EINVAL);
	ck_assert_str_eq(r.why, headers[_i].why);
	state_free(&w);
}
END_TEST

START_TEST(only_regular_files_of_a_fit_size_are_loaded)
{
	char path[] = "/tmp/microvm-test-state-XXXXXX";
	struct state_reader r;
	int fds[2], fd = mkstemp(path);
	void *data;

	unlink(path);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(state_load(&r, fds[0], &data), -EINVAL);
	ck_assert_str_eq(r.why, "is not a regular file");
	ck_assert_int_eq(ftruncate(fd, HEADER - 1), 0);
	ck_assert_int_eq(state_load(&r, fd, &data), -EINVAL);
	ck_assert_str_eq(r.why, "has 31 bytes, which no state file has");
	ck_assert_int_eq(ftruncate(fd, STATE_SIZE_MAX + 1), 0);
	ck_assert_int_eq(state_load(&r, fd, &data), -EINVAL);
	ck_assert_int_eq(ftruncate(fd, HEADER), 0);
	ck_assert_int_eq(pwrite(fd, "begin", 5, 0), 5);
	ck_assert_int_eq(state_load(&r, fd, &data), 0);
	ck_assert_uint_eq(r.size, HEADER);
	ck_assert_int_eq(memcmp(data, "begin", 6), 0);
	free(data);
	close(fds[0]);
	close(fds[1]);
	close(fd);
	ck_assert_int_eq(state_load(&r, -1, &data), -EBADF);
	ck_assert_str_eq(r.why, "");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("state");
	TCase *t = tcase_create("state");

	tcase_add_test(t, checksum_is_crc32c);
	tcase_add_test(t, sections_are_read_as_written);
	tcase_add_test(t, large_files_are_written);
	tcase_add_test(t, missing_and_other_sizes_are_named);
	tcase_add_test(t, unknown_section_is_refused_unless_optional);
	tcase_add_test(t, each_truncated_length_is_refused);
	tcase_add_test(t, each_flipped_bit_is_refused);
	tcase_add_table_test(t, bad_file_with_a_good_checksum_is_refused, headers);
	tcase_add_test(t, only_regular_files_of_a_fit_size_are_loaded);
	suite_add_tcase(s, t);
	return s;
}
