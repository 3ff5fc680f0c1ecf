#include "tests/unit/unit.h"

#include "common/decimal.h"

static void numbers_compare_exactly(void **state)
{
	static const struct {
		const char *a, *b;
		int order;
	} cases[] = {
	        {"0", "0", 0},
	        {"0", "-0", 0},
	        {"0.000", "-0e5", 0},
	        {"1", "1.0", 0},
	        {"100", "1e2", 0},
	        {"100", "1E+2", 0},
	        {"0.01", "1e-2", 0},
	        {"12.5", "0.125e2", 0},
	        {"12.5", "1250e-2", 0},
	        {"-1", "1", -1},
	        {"-2", "-1", -1},
	        {"0", "1e-300", -1},
	        {"0", "-1e-300", 1},
	        {"9007199254740993", "9007199254740992", 1},
	        {"0.1", "0.10000000000000000001", -1},
	        {"19.99", "19.990", 0},
	        {"19.99", "20", -1},
	        {"99", "100", -1},
	        {"0.09", "0.1", -1},
	        {"1e1000000000000", "1e999999", 1},
	        {"101", "1001", -1},
	        {"1.01", "1.001", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct decimal a = decimal_read(str_of(cases[i].a)), b = decimal_read(str_of(cases[i].b));
		int order = decimal_compare(&a, &b), back = decimal_compare(&b, &a);

		if ((order > 0) - (order < 0) != cases[i].order || (back > 0) - (back < 0) != -cases[i].order)
			CASE_FAIL(cases[i].a, "and %s", cases[i].b);
	}
}

static void whole_numbers_are_found(void **state)
{
	static const struct {
		const char *text;
		bool integer, ok;
		int64_t value;
	} cases[] = {
	        {"0", true, true, 0},
	        {"-0.0", true, true, 0},
	        {"1.0", true, true, 1},
	        {"1e2", true, true, 100},
	        {"1.50e1", true, true, 15},
	        {"-1200e-2", true, true, -12},
	        {"1.5", false, false, 0},
	        {"1e-1", false, false, 0},
	        {"9223372036854775807", true, true, INT64_MAX},
	        {"9223372036854775808", true, false, 0},
	        {"-9223372036854775808", true, true, INT64_MIN},
	        {"-9223372036854775809", true, false, 0},
	        {"1e18", true, true, INT64_C(1000000000000000000)},
	        {"1e19", true, false, 0},
	        {"1e300", true, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct decimal number = decimal_read(str_of(cases[i].text));
		int64_t value = 0;

		if (decimal_is_integer(&number) != cases[i].integer || decimal_to_i64(&number, &value) != cases[i].ok ||
		        value != cases[i].value)
			CASE_FAIL(cases[i].text, "wrong");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers_compare_exactly),
	        cmocka_unit_test(whole_numbers_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
