#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/clock.h"
#include "gateway/stat_range.h"

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

static int setup(void **state)
{
	*state = arena_new(1024UL * 1024);
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(ranges, setup, teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
