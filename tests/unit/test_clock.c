#include "tests/unit/unit.h"

#include "common/clock.h"

/* Each form that a client library sends, and near misses. */
static void date_times_are_read(void **state)
{
	static const struct {
		const char *text;
		const char *formatted; /* NULL: refused */
	} cases[] = {
	        {"2016-12-31T23:59:58.123Z", "2016-12-31T23:59:58.123+0000"},
	        {"2016-12-31T23:59:58Z", "2016-12-31T23:59:58.000+0000"},
	        {"2016-12-31T23:59:58.123+0000", "2016-12-31T23:59:58.123+0000"},
	        {"2016-12-31T23:59:58+02:00", "2016-12-31T21:59:58.000+0000"},
	        {"2016-12-31T23:59:58+0200", "2016-12-31T21:59:58.000+0000"},
	        {"2016-12-31T23:59:58.5+02", "2016-12-31T21:59:58.500+0000"},
	        {"2016-12-31T23:59:58.05-0130", "2017-01-01T01:29:58.050+0000"},
	        {"2016-12-31T23:59:58.123456Z", "2016-12-31T23:59:58.123+0000"},
	        {"2016-12-31T23:59:58.123456789Z", "2016-12-31T23:59:58.123+0000"},
	        {"2016-12-31T23:59:58.999999999Z", "2016-12-31T23:59:58.999+0000"},
	        {"2016-12-31T23:59:58", "2016-12-31T23:59:58.000+0000"},
	        {"2016-12-31T23:59", "2016-12-31T23:59:00.000+0000"},
	        {"2016-12-31T23:59Z", "2016-12-31T23:59:00.000+0000"},
	        {"2016-12-31", "2016-12-31T00:00:00.000+0000"},
	        {"2016-02-29", "2016-02-29T00:00:00.000+0000"},
	        {"2000-02-29", "2000-02-29T00:00:00.000+0000"},
	        {"1970-01-01", "1970-01-01T00:00:00.000+0000"},
	        {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999+0000"},
	        {"0000-01-01", "0000-01-01T00:00:00.000+0000"},
	        {"0004-02-29T01:02:03Z", "0004-02-29T01:02:03.000+0000"},
	        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999+0000"},
	        {"1900-02-29", NULL},
	        {"2015-02-29", NULL},
	        {"2016-13-01", NULL},
	        {"2016-00-01", NULL},
	        {"2016-01-00", NULL},
	        {"2016-04-31", NULL},
	        {"2016-12-31T24:00:00Z", NULL},
	        {"2016-12-31T23:60:00Z", NULL},
	        {"2016-12-31T23:59:60Z", NULL},
	        {"2016-12-31T23:59:58.Z", NULL},
	        {"2016-12-31T23:59:58.1234567890Z", NULL},
	        {"2016-12-31T23:59:58,5Z", NULL},
	        {"2016-12-31T23:59:58z", NULL},
	        {"2016-12-31 23:59:58Z", NULL},
	        {"2016-12-31T23:59:58ZZ", NULL},
	        {"2016-12-31T23:59:58+", NULL},
	        {"2016-12-31T23:59:58+2", NULL},
	        {"2016-12-31T23:59:58+02:", NULL},
	        {"2016-12-31T23:59:58+02:0", NULL},
	        {"2016-12-31T23:59:58+02:60", NULL},
	        {"2016-12-31T23:59:58+24:00", NULL},
	        {"2016-12-31T23:59:58+02:00x", NULL},
	        {"2016-12-31T", NULL},
	        {"2016-12-31T23", NULL},
	        {"2016-12-31T2359", NULL},
	        {"2016-12-31Z", NULL},
	        {"2016-1-1", NULL},
	        {"16-12-31", NULL},
	        {"+2016-12-31", NULL},
	        {"20161231", NULL},
	        {" 2016-12-31", NULL},
	        {"1483228798123", NULL},
	        {"", NULL},
	        {"now", NULL},
	        /* Outside the years that can be written after the offset is taken off. */
	        {"0000-01-01T00:00:00+01:00", NULL},
	        {"9999-12-31T23:59:59-01:00", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[TIME_TEXT_BYTES + 1] = "";
		int64_t time_us;

		if (time_parse(str_of(cases[i].text), &time_us))
			time_format(time_us, text);
		if (strcmp(text, cases[i].formatted ? cases[i].formatted : "") != 0)
			CASE_FAIL(cases[i].text, "gave \"%s\"", text);
	}
}

static void microseconds_are_kept(void **state)
{
	int64_t time_us = 0;

	(void)state;
	assert_true(time_parse(STR("1970-01-01T00:00:01.000002Z"), &time_us));
	assert_int_equal(time_us, 1000002);
	assert_true(time_parse(STR("1969-12-31T23:59:59.999999Z"), &time_us));
	assert_int_equal(time_us, -1);
}

static void every_day_comes_back(void **state)
{
	const int64_t day_us = INT64_C(86400000000);
	char text[TIME_TEXT_BYTES + 1], before[TIME_TEXT_BYTES + 1] = "";

	(void)state;
	for (int64_t day = -719528; day < 2932897; day++) {
		int64_t time_us = day * day_us + day_us - 1, back_us;

		time_format(time_us, text);
		assert_true(time_parse((struct str){text, TIME_TEXT_BYTES}, &back_us));
		assert_int_equal(back_us, time_us / 1000 * 1000 - (time_us < 0 ? 1000 : 0) * (time_us % 1000 != 0));
		assert_true(strcmp(before, text) < 0);
		memcpy(before, text, sizeof(text));
	}
}

static void times_out_of_range_are_clamped(void **state)
{
	char text[TIME_TEXT_BYTES + 1];

	(void)state;
	time_format(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000+0000");
	time_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999+0000");
}

static void dates_are_days_that_exist(void **state)
{
	(void)state;
	assert_true(date_is_valid(STR("1985-02-28")));
	assert_true(date_is_valid(STR("2024-02-29")));
	assert_false(date_is_valid(STR("2023-02-29")));
	assert_false(date_is_valid(STR("2023-02-28T00:00:00Z")));
	assert_false(date_is_valid(STR("2023-02")));
	assert_false(date_is_valid(STR_NONE));
}

static void clocks_run(void **state)
{
	int64_t wall_us = clock_wall_us(), monotonic_us = clock_monotonic_us();

	(void)state;
	assert_true(wall_us > INT64_C(1600000000000000));
	assert_true(clock_monotonic_us() >= monotonic_us);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(date_times_are_read),
	        cmocka_unit_test(microseconds_are_kept),
	        cmocka_unit_test(every_day_comes_back),
	        cmocka_unit_test(times_out_of_range_are_clamped),
	        cmocka_unit_test(dates_are_days_that_exist),
	        cmocka_unit_test(clocks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
