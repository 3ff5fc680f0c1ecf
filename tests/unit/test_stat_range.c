#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/clock.h"
#include "gateway/stat_range.h"
#include "tests/unit/parts.h"

static int64_t us(const char *text)
{
	int64_t time_us;

	assert_true(time_parse(str_of(text), &time_us));
	return time_us;
}

static const struct stat_range_rule by_mode = {
        .has_mode = true, .mode = STAT_MONTHLY, .default_months = 12, .limit_months = {12, 60, 120}};
static const struct stat_range_rule month = {.default_months = 1, .limit_months = {1, 1, 1}};

static void ranges(void **state)
{
	static const struct {
		const struct stat_range_rule *rule;
		const char *start, *end, *mode;
		const char *from, *to; /* NULL: refused */
		enum stat_mode found;
	} cases[] = {
	        {&by_mode, "", "", "", "2025-02-28T10:00:00Z", "2026-02-28T10:00:00Z", STAT_MONTHLY},
	        {&by_mode, "", "2024-02-29", "DAILY", "2023-02-28", "2024-02-29", STAT_DAILY},
	        {&by_mode, "2020-01-01", "2024-02-29", "WEEKLY", "2020-01-01", "2024-02-29", STAT_WEEKLY},
	        {&by_mode, "2000-01-01", "2024-02-29", "WEEKLY", "2019-02-28", "2024-02-29", STAT_WEEKLY},
	        {&by_mode, "2000-01-01", "2024-02-29", "MONTHLY", "2014-02-28", "2024-02-29", STAT_MONTHLY},
	        {&by_mode, "2024-02-29", "2024-02-29", "", "2024-02-29", "2024-02-29", STAT_MONTHLY},
	        {&by_mode, "2024-03-01", "2024-02-29", "", NULL, NULL, STAT_MONTHLY},
	        {&by_mode, "x", "", "", NULL, NULL, STAT_MONTHLY},
	        {&by_mode, "", "", "daily", NULL, NULL, STAT_MONTHLY},
	        {&month, "", "2024-03-31", "DAILY", "2024-02-29", "2024-03-31", STAT_DAILY},
	        {&month, "", "2024-01-15", "", "2023-12-15", "2024-01-15", STAT_DAILY},
	        {&month, "1970-01-01", "1970-01-05", "", "1970-01-01", "1970-01-05", STAT_DAILY},
	        {&by_mode, "2023-02-28", "2024-02-29", "DAILY", "2023-02-28", "2024-02-29", STAT_DAILY},
	        {&by_mode, "2023-02-27T23:59:59.999Z", "2024-02-29", "DAILY", "2023-02-28", "2024-02-29", STAT_DAILY},
	        {&by_mode, "2024-03-30T23:30:00+0100", "2024-03-31T03:30:00+02:00", "DAILY", "2024-03-30T22:30:00Z",
	                "2024-03-31T01:30:00Z", STAT_DAILY},
	        {&by_mode, "2026-02-28T10:00:00.001Z", "", "", NULL, NULL, STAT_MONTHLY}, /* behind now */
	        {&by_mode, "2030-01-01", "2031-01-01", "", "2030-01-01", "2031-01-01", STAT_MONTHLY},
	        {&by_mode, "2024-02-30", "", "", NULL, NULL, STAT_MONTHLY},
	        {&by_mode, "", "", "YEARLY", NULL, NULL, STAT_MONTHLY},
	        {&month, "", "2024-03-29T05:06:07.008Z", "", "2024-02-29T05:06:07.008Z", "2024-03-29T05:06:07.008Z",
	                STAT_DAILY},
	        {&month, "2024-01-01", "2024-03-31", "", "2024-02-29", "2024-03-31", STAT_DAILY},
	        {&month, "", "2023-03-31", "WEEKLY", "2023-02-28", "2023-03-31", STAT_DAILY}, /* has no mode */
	        {&month, "", "1900-03-31", "", "1900-02-28", "1900-03-31", STAT_DAILY},
	        {&month, "", "2000-03-31", "", "2000-02-29", "2000-03-31", STAT_DAILY},
	        {&month, "", "0001-01-01", "", "0000-12-01", "0001-01-01", STAT_DAILY},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stat_range range;
		struct problems problems;
		problems_init(&problems, *state);
		bool good = stat_range_read(cases[i].rule, str_of(cases[i].start), str_of(cases[i].end),
		        str_of(cases[i].mode), us("2026-02-28T10:00:00Z"), &range, &problems);
		assert_int_equal(good, cases[i].from != NULL);
		assert_int_equal(problems.n, !good);
		if (!good)
			continue;
		assert_int_equal(range.start_us, us(cases[i].from));
		assert_int_equal(range.end_us, us(cases[i].to));
		assert_int_equal(range.mode, cases[i].found);
	}
}

static int32_t day(const char *text)
{
	return (int32_t)(us(text) / (86400LL * 1000000));
}

static void steps(void **state)
{
	static const struct {
		enum stat_mode mode;
		const char *day, *step, *next;
	} cases[] = {
	        {STAT_DAILY, "2024-02-28", "2024-02-28", "2024-02-29"},
	        {STAT_DAILY, "2023-02-28", "2023-02-28", "2023-03-01"},
	        {STAT_DAILY, "1969-12-31", "1969-12-31", "1970-01-01"},
	        {STAT_WEEKLY, "1970-01-01", "1969-12-29", "1970-01-05"},
	        {STAT_WEEKLY, "1970-01-04", "1969-12-29", "1970-01-05"},
	        {STAT_WEEKLY, "1970-01-05", "1970-01-05", "1970-01-12"},
	        {STAT_WEEKLY, "1969-12-28", "1969-12-22", "1969-12-29"},
	        {STAT_WEEKLY, "1900-01-01", "1900-01-01", "1900-01-08"},
	        {STAT_WEEKLY, "2024-12-29", "2024-12-23", "2024-12-30"}, /* week 52 */
	        {STAT_WEEKLY, "2024-12-30", "2024-12-30", "2025-01-06"}, /* week 1 of 2025 */
	        {STAT_WEEKLY, "2021-01-03", "2020-12-28", "2021-01-04"}, /* week 53 */
	        {STAT_WEEKLY, "2024-03-31", "2024-03-25", "2024-04-01"}, /* a day of 23 hours */
	        {STAT_MONTHLY, "2024-02-29", "2024-02-01", "2024-03-01"},
	        {STAT_MONTHLY, "2023-02-28", "2023-02-01", "2023-03-01"},
	        {STAT_MONTHLY, "1900-02-28", "1900-02-01", "1900-03-01"},
	        {STAT_MONTHLY, "2000-02-01", "2000-02-01", "2000-03-01"},
	        {STAT_MONTHLY, "2024-12-31", "2024-12-01", "2025-01-01"},
	        {STAT_MONTHLY, "1969-12-31", "1969-12-01", "1970-01-01"},
	        {STAT_MONTHLY, "2024-04-30", "2024-04-01", "2024-05-01"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int32_t step = stat_step_of(day(cases[i].day), cases[i].mode);
		if (step != day(cases[i].step))
			CASE_FAIL(cases[i].day, "its step begins on day %d, not on %s", step, cases[i].step);
		if (stat_step_next(step, cases[i].mode) != day(cases[i].next))
			CASE_FAIL(cases[i].day, "the next step is not %s", cases[i].next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(ranges, unit_arena_new, unit_arena_free), cmocka_unit_test(steps)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
