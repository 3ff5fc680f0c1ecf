#include "tests/unit/unit.h"

#include "common/uuid.h"

static const struct uuid dns_name_space = {
        {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}};

static void parse_takes_one_form(void **state)
{
	static const struct {
		const char *text;
		const char *canonical; /* NULL: refused */
	} cases[] = {
	        {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
	        {"6BA7B810-9DAD-11d1-80b4-00C04FD430C8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
	        {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"},
	        {"", NULL},
	        {"123", NULL},
	        {"6ba7b8109dad11d180b400c04fd430c8", NULL},
	        {"{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", NULL},
	        {"6ba7b810-9dad-11d1-80b4-00c04fd430c", NULL},
	        {"6ba7b810-9dad-11d1-80b4-00c04fd430c8 ", NULL},
	        {"6ba7b810+9dad-11d1-80b4-00c04fd430c8", NULL},
	        {"6ba7b81-09dad-11d1-80b4-00c04fd430c8", NULL},
	        {"6ba7b810-9dad-11d1-80b4-00c04fd430g8", NULL},
	        {"6ba7b810-9dad-11d1-80b4--0c04fd430c8", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[UUID_TEXT_BYTES + 1] = "";
		struct uuid id;

		if (uuid_parse(str_of(cases[i].text), &id))
			uuid_format(&id, text);
		if (strcmp(text, cases[i].canonical ? cases[i].canonical : "") != 0)
			CASE_FAIL(cases[i].text, "gave \"%s\"", text);
	}
}

static void v7_never_goes_back(void **state)
{
	const int64_t start_us = INT64_C(1700000000123456);
	struct uuid before = uuid_v7(start_us);

	(void)state;
	for (int i = 0; i < 100000; i++) {
		/* The clock stands still, then falls by an hour, then creeps. */
		int64_t now_us = i < 50000 ? start_us : start_us - INT64_C(3600000000) + i;
		struct uuid id = uuid_v7(now_us);

		assert_true(uuid_compare(&id, &before) > 0);
		assert_int_equal(id.b[6] >> 4, 7);
		assert_int_equal(id.b[8] >> 6, 2);
		before = id;
	}
}

static void v7_starts_with_the_time(void **state)
{
	char text[UUID_TEXT_BYTES + 1];
	struct uuid id = uuid_v7(INT64_C(0x7fffffffffff) * 1000);

	(void)state;
	uuid_format(&id, text);
	assert_memory_equal(text, "7fffffff-ffff-7", 15);
	assert_false(uuid_is_nil(&id));
}

static void v5_follows_the_standard(void **state)
{
	static const struct {
		const char *name, *id;
	} cases[] = {
	        {"www.example.com", "2ed6657d-e927-568b-95e1-2665a8aea6a2"}, /* RFC 9562, appendix A.4 */
	        {"", "4ebd0208-8328-5d69-8c44-ec50939c0967"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uuid id = uuid_v5(&dns_name_space, str_of(cases[i].name));
		char text[UUID_TEXT_BYTES + 1];

		uuid_format(&id, text);
		assert_string_equal(text, cases[i].id);
	}
}

/* Item ids that are stored depend on these values: they may never change. */
static void derived_ids_are_stable(void **state)
{
	struct uuid zero = uuid_derive(&dns_name_space, 0);
	struct uuid one = uuid_derive(&dns_name_space, 1);
	char text[UUID_TEXT_BYTES + 1];

	(void)state;
	assert_false(uuid_eq(&zero, &one));
	uuid_format(&one, text);
	assert_string_equal(text, "f94a5502-5de8-8fcf-8110-bb3761a293da");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(parse_takes_one_form),
	        cmocka_unit_test(v7_never_goes_back),
	        cmocka_unit_test(v5_follows_the_standard),
	        cmocka_unit_test(derived_ids_are_stable),
	        /* Last: it moves the clock of the ids far ahead. */
	        cmocka_unit_test(v7_starts_with_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
