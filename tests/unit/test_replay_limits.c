#include "tests/unit/unit.h"

#include "common/replay_limits.h"

#define N 4

static const struct {
	const char *text; /* NULL = absent */
	bool good;
	int64_t limits[N];
} rows[] = {
        {NULL, true, {0}},
        {"0:12", true, {12}},
        {"3:1,1:9223372036854775807", true, {0, INT64_MAX, 0, 1}},
        {"2:0", true, {0}},
        {"4:1", false, {0}},
        {"", false, {0}},
        {"1", false, {0}},
        {"1:", false, {0}},
        {":1", false, {0}},
        {"1:-1", false, {0}},
        {"1:9223372036854775808", false, {0}},
        {"1:2:3", false, {0}},
        {"1:2,", false, {0}},
        {"1:2, 2:3", false, {0}},
};

static void limits_are_strict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t limits[N] = {7, 7, 7, 7};
		struct err err = {0};
		bool good = replay_limits_parse(str_of(rows[i].text), limits, N, &err);
		if (good != rows[i].good)
			CASE_FAIL(rows[i].text ? rows[i].text : "absent", "%s", good ? "was taken" : err.message);
		for (int p = 0; good && p < N; p++)
			assert_int_equal(limits[p], rows[i].limits[p]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(limits_are_strict)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
