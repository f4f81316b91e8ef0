/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "tests/lib/marks.h"
#include "tests/lib/suite.h"

int main(void)
{
	SRunner *runner;

	marks_begin();
	runner = srunner_create(test_suite());
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
