#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/worker.h"
#include "gateway/update_query.h"
#include "tests/unit/parts.h"

#include <stdio.h>
#include <string.h>

static void parameters(void **state)
{
	static const struct {
		const char *size, *offset, *timestamp, *entity;
		const char *wrong; /* paths, separated by blanks */
		struct update_query query;
	} cases[] = {
	        {"", "", "", "", "", {50, 0, -1, 0}},
	        {"0", "", "", "", "", {0, 0, -1, 0}},
	        {"4000", "17", "", "", "", {4000, 17, -1, 0}},
	        {"4001", "", "", "", "/size", {50, 0, -1, 0}},
	        {"-1", "-1", "-1", "", "/size /offset", {50, 0, -1, 0}},
	        {"", "", "-1", "", "/timestamp", {0}},
	        {"", "", "1.5", "", "/timestamp", {0}},
	        {"1e3", "0x1", "", "", "/size /offset", {0}},
	        {" 1", "", "", "", "/size", {0}},
	        {"", "2305843009213693951", "", "", "", {50, INT64_MAX / 4, -1, 0}},
	        {"", "2305843009213693952", "", "", "/offset", {0}},
	        {"", "99999999999999999999999", "", "", "/offset", {0}},
	        {"", "", "0", "", "", {50, 0, 0, 0}},
	        {"", "", "1700000000123", "", "", {50, 0, 1700000000123000, 0}},
	        {"", "", "9223372036854775", "", "", {50, 0, 9223372036854775000, 0}},
	        {"", "", "9223372036854776", "", "/timestamp", {0}},
	        {"", "0", "1700000000123", "", "", {50, 0, -1, 0}},
	        {"", "3", "yesterday", "", "", {50, 3, -1, 0}},
	        {"", "", "", "CUSTOMER", "", {50, 0, -1, ENTITY_CUSTOMER}},
	        {"", "", "", "EVENT", "", {50, 0, -1, ENTITY_EVENT}},
	        {"", "", "", "event", "/entity", {0}},
	        {"", "", "", "EVENTS", "/entity", {0}},
	        {"x", "x", "", "x", "/size /offset /entity", {0}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct update_text text = {str_of(cases[i].size), str_of(cases[i].offset), str_of(cases[i].timestamp),
		        str_of(cases[i].entity)};
		struct update_query query;
		struct problems problems;
		char paths[128] = "";
		problems_init(&problems, *state);
		update_query_read(&text, &query, &problems);
		for (size_t j = 0; j < problems.n; j++)
			snprintf(paths + strlen(paths), sizeof(paths) - strlen(paths), "%s%.*s", j ? " " : "",
			        STR_ARG(problems.items[j].path));
		assert_string_equal(paths, cases[i].wrong);
		if (problems.n)
			continue;
		assert_int_equal(query.size, cases[i].query.size);
		assert_int_equal(query.offset, cases[i].query.offset);
		assert_int_equal(query.time_us, cases[i].query.time_us);
		assert_int_equal(query.entity, cases[i].query.entity);
	}
}

#define SCAN UPDATE_SCAN_ENTRIES

static void where_the_next_request_goes_on(void **state)
{
	static const struct {
		const char *name;
		struct update_page page;
		int64_t next;
	} cases[] = {
	        {"nothing is new", {.offset = 7, .size = 50, .head = 7}, 7},
	        {"the client is ahead of the stream", {.offset = 9, .size = 50, .head = 7}, 9},
	        {"no stream yet", {.offset = 0, .size = 50}, 0},
	        {"a whole page", {.offset = 7, .size = 2, .head = 100, .n = 2, .last = 9}, 9},
	        {"the end", {.offset = 7, .size = 50, .head = 9, .n = 2, .last = 9}, 9},
	        {"size 0", {.offset = 7, .size = 0, .head = 100}, 7},
	        {"size 0, far from the end", {.offset = 7, .size = 0, .head = 10 * SCAN, .filtered = true}, 7},
	        {"nothing matches up to the end", {.offset = 7, .size = 50, .head = 7 + SCAN, .filtered = true}, 7},
	        {"nothing matches, more to come", {.offset = 7, .size = 50, .head = 8 + SCAN, .filtered = true},
	                7 + SCAN},
	        {"few match up to the end",
	                {.offset = 7, .size = 50, .head = 7 + SCAN, .filtered = true, .n = 1, .last = 20}, 20},
	        {"few match, more to come",
	                {.offset = 7, .size = 50, .head = 10 * SCAN, .filtered = true, .n = 1, .last = 20}, 7 + SCAN},
	        {"a whole page matches",
	                {.offset = 7, .size = 1, .head = 10 * SCAN, .filtered = true, .n = 1, .last = 20}, 20},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (update_next_offset(&cases[i].page) != cases[i].next)
			CASE_FAIL(cases[i].name, "%lld", (long long)update_next_offset(&cases[i].page));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(parameters, unit_arena_new, unit_arena_free),
	        cmocka_unit_test(where_the_next_request_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
