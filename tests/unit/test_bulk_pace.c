#include "unit.h"
#include "workers/bulk_processor/pace.h"

#define START_US 1000000

/* Records of ours, one after another, and whether somebody else is seen to write after the last of them. */
static const struct {
	const char *words;
	int64_t records[5][2]; /* partition, offset; -1: no more */
	bool shared;
} cases[] = {
        {"nothing yet", {{-1}}, false},
        {"the first record: what lies before it is old", {{0, 700}, {-1}}, false},
        {"ours follow each other", {{0, 0}, {0, 1}, {0, 2}, {-1}}, false},
        {"another's record lies between", {{0, 0}, {0, 2}, {-1}}, true},
        {"each partition for itself", {{0, 5}, {1, 9}, {0, 6}, {1, 10}, {-1}}, false},
        {"in one of them there is another", {{0, 5}, {1, 9}, {0, 6}, {1, 12}, {-1}}, true},
        {"reports out of order", {{0, 5}, {0, 6}, {0, 5}, {0, 7}, {-1}}, false},
        {"no offset was told", {{0, 5}, {0, -1001}, {0, 6}, {-1}}, false},
        {"a partition too many", {{5000, 5}, {5000, 9}, {-1}}, false},
};

static void others_are_seen_by_their_offsets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		static struct pace_log log;
		struct pace pace = {0};
		memset(&log, 0, sizeof(log));
		for (size_t j = 0; j < 5 && cases[i].records[j][0] >= 0; j++)
			pace_delivered(&pace, &log, (int32_t)cases[i].records[j][0], cases[i].records[j][1], START_US);
		if (pace_is_shared(&pace, START_US) != cases[i].shared)
			fail_msg("%s", cases[i].words);
	}
}

static void others_are_forgotten_after_a_while(void **state)
{
	static struct pace_log log;
	struct pace pace = {0};

	(void)state;
	pace_delivered(&pace, &log, 0, 1, START_US);
	pace_delivered(&pace, &log, 0, 9, START_US);
	assert_true(pace_is_shared(&pace, START_US + PACE_SHARED_US - 1));
	assert_false(pace_is_shared(&pace, START_US + PACE_SHARED_US));
	pace_delivered(&pace, &log, 0, 10, START_US + PACE_SHARED_US);
	assert_false(pace_is_shared(&pace, START_US + PACE_SHARED_US));
}

static void a_pause_tells_nothing(void **state)
{
	static struct pace_log log;
	struct pace pace = {0};

	(void)state;
	pace_delivered(&pace, &log, 0, 1, START_US);
	pace_delivered(&pace, &log, 0, 9, START_US + PACE_SHARED_US);
	assert_false(pace_is_shared(&pace, START_US + PACE_SHARED_US));
	pace_delivered(&pace, &log, 0, 11, START_US + 2 * PACE_SHARED_US - 1);
	assert_true(pace_is_shared(&pace, START_US + 2 * PACE_SHARED_US));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(others_are_seen_by_their_offsets),
	        cmocka_unit_test(others_are_forgotten_after_a_while),
	        cmocka_unit_test(a_pause_tells_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
