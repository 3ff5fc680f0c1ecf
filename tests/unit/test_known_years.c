#include "tests/unit/unit.h"

#include "gateway/known_years.h"

#define DAY INT64_C(86400000000)
#define NOW (20000 * DAY)
#define FIRST (NOW - 30 * DAY)
#define LAST (NOW + DAY)

static void the_days_around_now_are_always_looked_at(void **state)
{
	static const struct {
		const char *name;
		struct known_years years;
		int64_t first_us, last_us;
	} cases[] = {
	        {"nothing known yet: all", {.known = false}, INT64_MIN, INT64_MAX},
	        {"no events", {.known = true}, FIRST, LAST},
	        {"years before", {.known = true, .stored = {true, 5, 9 * DAY}}, 5, LAST},
	        {"years to come", {.known = true, .stored = {true, NOW + 5 * DAY, NOW + 9 * DAY}}, FIRST,
	                NOW + 9 * DAY},
	        {"this year", {.known = true, .stored = {true, NOW - 200 * DAY, NOW + 165 * DAY}}, NOW - 200 * DAY,
	                NOW + 165 * DAY},
	        {"events of no year", {.known = true, .stored = {true, INT64_MIN, INT64_MAX}}, INT64_MIN, INT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_years found = known_years_at(&cases[i].years, NOW);
		if (!found.any || found.first_us != cases[i].first_us || found.last_us != cases[i].last_us)
			CASE_FAIL(cases[i].name, "%lld to %lld", (long long)found.first_us, (long long)found.last_us);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_days_around_now_are_always_looked_at)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
