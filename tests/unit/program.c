/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table in program.h, compiled for each program. UNIT_LIST is a file that make writes:
 * FILE(name), WRAP(file, function) for each function that a file replaces, and SLOT(function) once
 * for each of these functions.
 */
#include "tests/unit/program.h"

#include <stddef.h>

/* The jump leaves all argument registers alone, so it serves functions of any type. */
#ifdef __x86_64__
#define JUMP(slot) "endbr64\n\tjmp *" slot "(%rip)\n"
#else
#define JUMP(slot) "bti c\n\tadrp x16, " slot "\n\tldr x16, [x16, :lo12:" slot "]\n\tbr x16\n"
#endif

#define FILE(name)	     struct Suite *suite_of_##name(void);
#define WRAP(file, function) unit_fn file##__wrap_##function;
#define SLOT(function)                                                           \
	unit_fn __real_##function;                                               \
	__attribute__((used)) unit_fn *unit_slot_##function = __real_##function; \
	__asm__(".pushsection .text.__wrap_" #function ",\"ax\",%progbits\n"     \
		".globl __wrap_" #function "\n"                                  \
		".type __wrap_" #function ", %function\n"                        \
		"__wrap_" #function ":\n\t" JUMP("unit_slot_" #function) ".popsection\n");
#include UNIT_LIST
#undef FILE
#undef WRAP
#undef SLOT

#define FILE(name) { #name, suite_of_##name },
#define WRAP(file, function)
#define SLOT(function)
const struct unit_file unit_files[] = {
#include UNIT_LIST
	{ NULL, NULL }
};
#undef FILE
#undef WRAP

#define FILE(name)
#define WRAP(file, function) \
	{ #file, &unit_slot_##function, file##__wrap_##function, __real_##function },
const struct unit_wrap unit_wraps[] = {
#include UNIT_LIST
	{ NULL, NULL, NULL, NULL }
};
