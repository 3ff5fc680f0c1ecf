#include "common/arena.h"
#include "unit.h"
#include "workers/stats_rollup/gaps.h"

#include <stdio.h>
#include <time.h>

#define B KIND_BUYER
#define V KIND_VISITOR
#define S KIND_SESSION
#define O MEASURE_ORDERS

/* Rows of one person, and the gaps that change: "measure context day<last day n", "-" for never. */
static const struct {
	const char *words;
	int16_t kind;
	struct {
		int32_t day;
		const char *context;
		int64_t before, after;
	} days[6];
	const char *gaps;
} cases[] = {
        {"nobody", V, {{0}}, ""},
        {"a visitor comes", V, {{5, "WEB", 0, 2}}, "2 '' 5<- +1; "},
        {"and is gone again", V, {{5, "WEB", 2, 0}}, "2 '' 5<- -1; "},
        {"once more on a day is no other day", V, {{5, "WEB", 2, 3}}, ""},
        {"in another context neither", V, {{5, "WEB", 2, 2}, {5, "MOBILE", 0, 1}}, ""},
        {"comes back", S, {{5, "WEB", 1, 1}, {9, "WEB", 0, 1}}, "3 '' 9<5 +1; "},
        {"was there before", V, {{5, "WEB", 0, 1}, {9, "WEB", 1, 1}}, "2 '' 5<- +1; 2 '' 9<- -1; 2 '' 9<5 +1; "},
        {"between", V, {{5, "WEB", 1, 1}, {7, "WEB", 0, 1}, {9, "WEB", 1, 1}},
                "2 '' 7<5 +1; 2 '' 9<5 -1; 2 '' 9<7 +1; "},
        {"a row named twice adds up", V, {{5, "WEB", 2, 2}, {5, "WEB", 0, -2}}, "2 '' 5<- -1; "},
        {"a day moves", V, {{5, "WEB", 1, 0}, {6, "WEB", 0, 1}}, "2 '' 5<- -1; 2 '' 6<- +1; "},
        {"rows in any order", V, {{9, "WEB", 1, 1}, {5, "WEB", 0, 1}}, "2 '' 5<- +1; 2 '' 9<- -1; 2 '' 9<5 +1; "},
        {"a buyer's first order", B, {{5, "WEB", 0, 1}}, "1 '' 5<- +1; 1 'WEB' 5<- +1; 4 '' 5<- +1; 4 'WEB' 5<- +1; "},
        {"the second on that day", B, {{5, "WEB", 1, 2}}, "4 '' 5<- +1; 4 'WEB' 5<- +1; "},
        {"a third makes no first or second order", B, {{5, "WEB", 2, 3}}, ""},
        {"the second on another day", B, {{5, "WEB", 1, 1}, {8, "WEB", 0, 1}},
                "1 '' 8<5 +1; 1 'WEB' 8<5 +1; 4 '' 8<- +1; 4 'WEB' 8<- +1; "},
        {"after two on one day", B, {{5, "WEB", 2, 2}, {8, "WEB", 0, 1}},
                "1 '' 8<5 +1; 1 'WEB' 8<5 +1; 4 '' 8<5 +1; 4 'WEB' 8<5 +1; "},
        {"the third day reaches back over two", B, {{5, "WEB", 1, 1}, {8, "WEB", 1, 1}, {9, "WEB", 0, 1}},
                "1 '' 9<8 +1; 1 'WEB' 9<8 +1; 4 '' 9<5 +1; 4 'WEB' 9<5 +1; "},
        {"two at once on a day", B, {{5, "WEB", 1, 1}, {8, "WEB", 0, 2}},
                "1 '' 8<5 +1; 1 'WEB' 8<5 +1; 4 '' 8<- +1; 4 '' 8<5 +1; 4 'WEB' 8<- +1; 4 'WEB' 8<5 +1; "},
        {"another context is a first order there", B, {{5, "WEB", 1, 1}, {8, "RETAIL", 0, 1}},
                "1 '' 8<5 +1; 1 'RETAIL' 8<- +1; 4 '' 8<- +1; 4 'RETAIL' 8<- +1; "},
        {"one order in each of two contexts of a day are two", B, {{5, "WEB", 1, 1}, {5, "RETAIL", 0, 1}},
                "1 'RETAIL' 5<- +1; 4 '' 5<- +1; 4 'RETAIL' 5<- +1; "},
        {"an order more changes what the next days reach back to", B,
                {{5, "WEB", 1, 2}, {8, "WEB", 1, 1}, {9, "WEB", 1, 1}},
                "4 '' 5<- +1; 4 '' 8<- -1; 4 '' 8<5 +1; 4 'WEB' 5<- +1; 4 'WEB' 8<- -1; 4 'WEB' 8<5 +1; "},
        {"an order is taken away", B, {{5, "WEB", 1, 0}, {8, "WEB", 1, 1}},
                "1 '' 5<- -1; 1 '' 8<- +1; 1 '' 8<5 -1; 1 'WEB' 5<- -1; 1 'WEB' 8<- +1; 1 'WEB' 8<5 -1; "
                "4 '' 5<- -1; 4 'WEB' 5<- -1; "},
        {"and changes its context", B, {{5, "WEB", 1, 0}, {5, "RETAIL", 0, 1}},
                "1 'RETAIL' 5<- +1; 1 'WEB' 5<- -1; 4 'RETAIL' 5<- +1; 4 'WEB' 5<- -1; "},
};

static void print_gaps(const struct gap *gaps, size_t n, char *out, size_t room)
{
	size_t at = 0;

	*out = '\0';
	for (size_t i = 0; i < n; i++) {
		char last[16] = "-";
		if (gaps[i].last_day != DAY_NEVER)
			snprintf(last, sizeof(last), "%d", gaps[i].last_day);
		at += (size_t)snprintf(out + at, room - at, "%d '%.*s' %d<%s %+lld; ", gaps[i].measure,
		        STR_ARG(gaps[i].context), gaps[i].day, last, (long long)gaps[i].n);
		assert_true(at < room);
	}
}

static void gaps_follow_days(void **state)
{
	struct arena *arena = arena_new(1024UL * 1024);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct person_day days[ARRAY_LEN(cases[i].days)];
		size_t n = 0, n_gaps;
		char found[1024];
		for (; n < ARRAY_LEN(days) && cases[i].days[n].context; n++)
			days[n] = (struct person_day){.person = {.kind = cases[i].kind},
			        .day = cases[i].days[n].day,
			        .context = str_of(cases[i].days[n].context),
			        .before = cases[i].days[n].before,
			        .after = cases[i].days[n].after};
		struct gap *gaps = gaps_of(days, n, arena, &n_gaps);
		print_gaps(gaps, n_gaps, found, sizeof(found));
		if (strcmp(found, cases[i].gaps) != 0)
			fail_msg("%s:\n%s\n%s", cases[i].words, cases[i].gaps, found);
		arena_reset(arena);
	}
	arena_free(arena);
}

/* What many people change adds up by node; nodes, kinds and people stay apart. */
static void people_add_up(void **state)
{
	struct arena *arena = arena_new(1024UL * 1024);
	struct person_day days[300];
	size_t n_gaps;
	char found[1024];

	(void)state;
	for (int i = 0; i < 300; i++)
		days[i] = (struct person_day){.person = {.node = {{(uint8_t)(i % 2)}},
		                                      .id = {{(uint8_t)(i / 3), (uint8_t)(i % 3)}},
		                                      .kind = i % 4 ? KIND_VISITOR : KIND_SESSION},
		        .day = 7,
		        .context = STR("WEB"),
		        .after = 1};
	struct gap *gaps = gaps_of(days, ARRAY_LEN(days), arena, &n_gaps);
	print_gaps(gaps, n_gaps, found, sizeof(found));
	assert_string_equal(found, "2 '' 7<- +75; 3 '' 7<- +75; 2 '' 7<- +150; ");
	arena_free(arena);
}

/* Who has bought on very many days, first in one context and then in others: another order does not take longer than
 * reading the days. */
static void many_days_of_a_buyer(void **state)
{
	enum { DAYS = 50000, MOST_S = 2 };
	static const char *const contexts[] = {"WEB", "IOT", "OTHER"};
	struct arena *arena = arena_new(64UL * 1024 * 1024);
	struct person_day *days = arena_alloc(arena, 3UL * DAYS * sizeof(*days));
	size_t n_gaps;
	char found[1024];
	clock_t begin = clock();

	(void)state;
	for (int i = 0; i < 3 * DAYS; i++)
		days[i] = (struct person_day){.person.kind = KIND_BUYER,
		        .day = i,
		        .context = str_of(contexts[i / DAYS]),
		        .before = i > 0,
		        .after = 1};
	struct gap *gaps = gaps_of(days, 3UL * DAYS, arena, &n_gaps);
	print_gaps(gaps, n_gaps, found, sizeof(found));
	assert_string_equal(found,
	        "1 '' 0<- +1; 1 '' 1<- -1; 1 '' 1<0 +1; 1 'WEB' 0<- +1; 1 'WEB' 1<- -1; 1 'WEB' 1<0 +1; "
	        "4 '' 0<- +1; 4 '' 2<- -1; 4 '' 2<0 +1; 4 'WEB' 0<- +1; 4 'WEB' 2<- -1; 4 'WEB' 2<0 +1; ");
	assert_true((clock() - begin) / CLOCKS_PER_SEC < MOST_S);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(gaps_follow_days),
	        cmocka_unit_test(people_add_up),
	        cmocka_unit_test(many_days_of_a_buyer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
