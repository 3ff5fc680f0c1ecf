#include "tests/unit/unit.h"

#include "common/settings.h"

#include <stdlib.h>

#define BYTES_16 "0123456789abcdef"
#define BYTES_128 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16

/* It becomes part of a group member id, whose length is bounded: two long names must not be cut to one. */
static void an_instance_is_a_name_of_bounded_length(void **state)
{
	static const struct {
		const char *text;
		const char *instance; /* NULL: refused */
	} rows[] = {
	        {"", "0"},
	        {"1", "1"},
	        {"contacthub-customer-merge-0", "contacthub-customer-merge-0"},
	        {"7d9f8b6c5d_x.example", "7d9f8b6c5d_x.example"},
	        {BYTES_128, BYTES_128},
	        {BYTES_128 "0", NULL},
	        {"two words", NULL},
	        {"a/b", NULL},
	        {"pod:1", NULL},
	        {"caf\xc3\xa9", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings settings;
		setenv("CONTACTHUB_INSTANCE", rows[i].text, 1);
		assert_int_equal(settings_load(&settings), rows[i].instance != NULL);
		if (rows[i].instance)
			assert_string_equal(settings.instance, rows[i].instance);
	}
	unsetenv("CONTACTHUB_INSTANCE");
}

static void numbers_have_a_range(void **state)
{
	static const struct {
		const char *text;
		int64_t value; /* 0: refused */
	} rows[] = {{"", 8080}, {"1", 1}, {"65535", 65535}, {"65536", 0}, {"0", 0}, {"-1", 0}, {"80 ", 0}, {" 80", 0},
	        {"+80", 0}, {"x", 0}, {"99999999999999999999", 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings settings;
		setenv("CONTACTHUB_LISTEN_PORT", rows[i].text, 1);
		assert_int_equal(settings_load(&settings), rows[i].value != 0);
		if (rows[i].value)
			assert_int_equal(settings.listen_port, rows[i].value);
	}
	unsetenv("CONTACTHUB_LISTEN_PORT");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_instance_is_a_name_of_bounded_length),
	        cmocka_unit_test(numbers_have_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
