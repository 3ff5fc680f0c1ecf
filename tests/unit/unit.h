#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

/* cmocka.h needs these in front of it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "common/str.h"

/* For case tables: prints the name of the case that a failing assertion belongs to. */
#define CASE_FAIL(case_name, ...)                                                                                      \
	do {                                                                                                           \
		print_error("case \"%s\": ", (case_name));                                                             \
		fail_msg(__VA_ARGS__);                                                                                 \
	} while (0)

#define assert_str(actual, c_string)                                                                                   \
	do {                                                                                                           \
		struct str assert_str_ = (actual);                                                                     \
		if (!str_is(assert_str_, (c_string)))                                                                  \
			fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(assert_str_), (c_string));                          \
	} while (0)

#endif
