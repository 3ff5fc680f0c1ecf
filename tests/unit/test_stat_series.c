#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "gateway/stat_series.h"
#include "tests/unit/parts.h"

#define DAY(n) (19723 + (n))   /* 0 = 2024-01-01, a Monday */
#define END(n) (2932896 + (n)) /* 0 = 9999-12-31 */
#define POINTS(...)                                                                                                    \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
	}

/* Series as one line: category/context date=value ... */
static void outline(struct buf *out, const char *json)
{
	static const struct {
		const char *from, *to;
	} words[] = {{"{\"category\":\"", "|"}, {"\",\"context\":\"", "/"},
	        {"\",\"type\":\"timeseries\",\"values\":[", ""}, {"{\"datetime\":\"", " "}, {"\",\"value\":", "="},
	        {"}", ""}, {"]", ""}, {",", ""}, {"[", ""}};

	while (*json) {
		size_t i = 0;
		while (i < ARRAY_LEN(words) && strncmp(json, words[i].from, strlen(words[i].from)) != 0)
			i++;
		if (i == ARRAY_LEN(words)) {
			buf_add_char(out, *json++);
			continue;
		}
		buf_add(out, words[i].to, strlen(words[i].to));
		json += strlen(words[i].from);
	}
	buf_add_char(out, '\0');
}

struct point {
	const char *category, *context;
	int32_t day;
	int64_t n;
};

static const struct {
	const char *name;
	struct stat_series series;
	struct point points[6]; /* up to a row without category */
	const char *expected;
} cases[] = {
        {.name = "the only series is there without a point",
                .series = {.category = {"added", 5}, .first = DAY(0), .last = DAY(1)},
                .expected = "|added 2024-01-01=0 2024-01-02=0"},
        {.name = "no series without points", .series = {.first = DAY(0), .last = DAY(1)}, .expected = ""},
        {.name = "one day",
                .series = {.category = {"added", 5}, .first = DAY(0), .last = DAY(0)},
                .points = POINTS({"", "", DAY(0), 7}),
                .expected = "|added 2024-01-01=7"},
        {.name = "a range without days",
                .series = {.category = {"added", 5}, .first = DAY(1), .last = DAY(0)},
                .points = POINTS({"", "", DAY(0), 7}),
                .expected = "|added"},
        {.name = "points of one day are added up, as those of several nodes",
                .series = {.category = {"added", 5}, .first = DAY(0), .last = DAY(2)},
                .points = POINTS({"", "", DAY(2), 1}, {"", "", DAY(0), 2}, {"", "", DAY(2), 40}),
                .expected = "|added 2024-01-01=2 2024-01-02=0 2024-01-03=41"},
        {.name = "categories are in order, each with all days",
                .series = {.first = DAY(0), .last = DAY(1)},
                .points = POINTS({"searched", "", DAY(1), 1}, {"loggedIn", "", DAY(0), 2}, {"searched", "", DAY(0), 3}),
                .expected = "|loggedIn 2024-01-01=2 2024-01-02=0|searched 2024-01-01=3 2024-01-02=1"},
        {.name = "contexts have series of their own",
                .series = {.has_context = true, .first = DAY(0), .last = DAY(0)},
                .points = POINTS({"order", "RETAIL", DAY(0), 1}, {"order", "ECOMMERCE", DAY(0), 2}),
                .expected = "|order/ECOMMERCE 2024-01-01=2|order/RETAIL 2024-01-01=1"},
        {.name = "values as texts",
                .series = {.texts = true, .first = DAY(0), .last = DAY(1)},
                .points = POINTS({"web", "", DAY(0), 12}),
                .expected = "|web 2024-01-01=\"12\" 2024-01-02=\"0\""},
        {.name = "weeks are called by their Monday, also the one in which the range begins",
                .series = {.category = {"added", 5}, .mode = STAT_WEEKLY, .first = DAY(-1), .last = DAY(7)},
                .points = POINTS({"", "", DAY(-1), 1}, {"", "", DAY(0), 2}, {"", "", DAY(6), 4}, {"", "", DAY(7), 8}),
                .expected = "|added 2023-12-25=1 2024-01-01=6 2024-01-08=8"},
        {.name = "months are called by their first day, a leap year's February has 29",
                .series = {.category = {"added", 5}, .mode = STAT_MONTHLY, .first = DAY(30), .last = DAY(60)},
                .points =
                        POINTS({"", "", DAY(30), 1}, {"", "", DAY(31), 2}, {"", "", DAY(59), 4}, {"", "", DAY(60), 8}),
                .expected = "|added 2024-01-01=1 2024-02-01=6 2024-03-01=8"},
        {.name = "days outside of the range do not count, also in its first and last step",
                .series = {.category = {"added", 5}, .mode = STAT_WEEKLY, .first = DAY(1), .last = DAY(8)},
                .points = POINTS({"", "", DAY(0), 1}, {"", "", DAY(1), 2}, {"", "", DAY(8), 4}, {"", "", DAY(9), 8}),
                .expected = "|added 2024-01-01=2 2024-01-08=4"},
        {.name = "the day behind the last one that has a name counts with it",
                .series = {.category = {"added", 5}, .first = END(-1), .last = END(1)},
                .points = POINTS({"", "", END(-1), 1}, {"", "", END(0), 2}, {"", "", END(1), 4}),
                .expected = "|added 9999-12-30=1 9999-12-31=6"},
        {.name = "and with its month",
                .series = {.category = {"added", 5}, .mode = STAT_MONTHLY, .first = END(-31), .last = END(1)},
                .points = POINTS({"", "", END(-31), 1}, {"", "", END(1), 2}),
                .expected = "|added 9999-11-01=1 9999-12-01=2"},
        {.name = "and when nothing is before it",
                .series = {.category = {"added", 5}, .mode = STAT_MONTHLY, .first = END(1), .last = END(1)},
                .points = POINTS({"", "", END(1), 2}),
                .expected = "|added 9999-12-01=2"},
        {.name = "long numbers",
                .series = {.category = {"added", 5}, .first = DAY(0), .last = DAY(1)},
                .points = POINTS({"", "", DAY(0), INT64_MAX}, {"", "", DAY(1), INT64_MIN}),
                .expected = "|added 2024-01-01=9223372036854775807 2024-01-02=-9223372036854775808"},
};

static void series(void **state)
{
	struct arena *arena = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stat_point points[6];
		struct buf json, found;
		size_t n = 0;
		for (; n < 6 && cases[i].points[n].category; n++)
			points[n] = (struct stat_point){.category = str_of(cases[i].points[n].category),
			        .context = str_of(cases[i].points[n].context),
			        .day = cases[i].points[n].day,
			        .n = cases[i].points[n].n};
		buf_init(&json, arena, 64);
		buf_init(&found, arena, 64);
		stat_series_write(&json, arena, &cases[i].series, points, n);
		buf_add_char(&json, '\0');
		outline(&found, json.p);
		if (strcmp(found.p, cases[i].expected) != 0)
			CASE_FAIL(cases[i].name, "%s is not %s", found.p, cases[i].expected);
	}
}

static void shape(void **state)
{
	struct stat_series one = {.has_context = true, .first = DAY(0), .last = DAY(0)};
	struct stat_point point = {.category = STR("a\"b"), .context = STR("WEB"), .day = DAY(0), .n = 5};
	struct buf json;

	buf_init(&json, *state, 64);
	stat_series_write(&json, *state, &one, &point, 1);
	assert_str(buf_str(&json), "[{\"category\":\"a\\\"b\",\"context\":\"WEB\",\"type\":\"timeseries\","
	                           "\"values\":[{\"datetime\":\"2024-01-01\",\"value\":5}]}]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(series, unit_arena_new, unit_arena_free),
	        cmocka_unit_test_setup_teardown(shape, unit_arena_new, unit_arena_free)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
