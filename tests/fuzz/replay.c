/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target over the given files, without libFuzzer, so that any compiler can build it. A
 * failed oracle ends the process; the name of the file is printed before.
 */
#include "tests/fuzz/fuzz.h"

#define FILE_MAX (1u << 20)

static void replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = malloc(FILE_MAX);
	uint8_t *exact;
	size_t len;

	if (!file || !data) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	len = fread(data, 1, FILE_MAX, file);
	fclose(file);
	/* The buffer has the exact size, so that ASan detects reads beyond its end. */
	exact = malloc(len ? len : 1);
	if (!exact) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	memcpy(exact, data, len);
	free(data);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		fprintf(stderr, "replay: %s\n", argv[i]);
		replay(argv[i]);
	}
	fprintf(stderr, "replay: %d inputs\n", argc - 1);
	return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
