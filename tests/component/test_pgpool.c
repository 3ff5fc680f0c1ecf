/* The gateway's connections for reading, on real PostgreSQL; how late it is, is said to pgpool_tick. */

#include "common/arena.h"
#include "common/clock.h"
#include "gateway/loop.h"
#include "gateway/pending.h"
#include "gateway/pgpool.h"
#include "tests/component/component.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_US INT64_C(1000000)
#define PATIENCE_US (10 * SECOND_US)
/* What a query may take after its turn has begun (pgpool.c), and a little less than what the first one takes. */
#define SILENCE_US (15 * SECOND_US)
#define SLEEP "SELECT pg_sleep(1)"
#define MEGABYTES(n) "SELECT repeat('x', 1000000) FROM generate_series(1, " #n ")"
#define SLEPT_US (SECOND_US / 2)

struct outcome {
	bool there;
	enum err_code code;
	int n_columns;
};

static void on_result(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	struct outcome *outcome = context;

	(void)number;
	assert_false(outcome->there);
	*outcome = (struct outcome){.there = true, .code = result ? ERR_NONE : err->code};
	if (result)
		outcome->n_columns = PQnfields(result);
}

/* A pool is never closed: it lives as long as the process. */
struct stage {
	struct component *component;
	struct settings settings;
	struct pending *pending;
	struct pgpool *pool;
	int loop;
	struct stage *next;
};

static struct stage *stages;

/* number: of the request that wants the result; 0: somebody does. */
static void ask_sql_for(struct stage *stage, const char *sql, uint64_t number, struct outcome *outcome)
{
	struct err err = {0};

	*outcome = (struct outcome){0};
	assert_true(pgpool_query(stage->pool,
	        &(struct pgpool_query){.sql = sql, .on_result = on_result, .context = outcome, .number = number},
	        &err));
}

static void ask_sql(struct stage *stage, const char *sql, struct outcome *outcome)
{
	ask_sql_for(stage, sql, 0, outcome);
}

static bool is_there(const struct stage *stage, const struct outcome *outcome)
{
	return outcome ? outcome->there : pgpool_is_up(stage->pool);
}

static void turn_for(struct stage *stage, int64_t us)
{
	for (int64_t end_us = clock_monotonic_us() + us; clock_monotonic_us() < end_us;) {
		loop_wait(stage->loop, 10);
		pgpool_flush(stage->pool);
		pgpool_tick(stage->pool, clock_monotonic_us());
	}
}

/* Until the outcome is there, or, NULL, the pool is up. */
static void wait_for(struct stage *stage, const struct outcome *outcome)
{
	int64_t end_us = clock_monotonic_us() + PATIENCE_US;

	while (!is_there(stage, outcome) && clock_monotonic_us() < end_us) {
		loop_wait(stage->loop, 50);
		pgpool_flush(stage->pool);
		pgpool_tick(stage->pool, clock_monotonic_us());
	}
	assert_true(is_there(stage, outcome));
}

static int stage_open(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	assert_non_null(stage);
	*stage = (struct stage){.component = component_open(), .loop = loop_new(), .next = stages};
	stage->settings = *component_settings(stage->component);
	stages = stage;
	*state = stage;
	return 0;
}

static int stage_close(void **state)
{
	const struct stage *stage = *state;

	component_close(stage->component);
	return 0;
}

/* One of its sessions is up then. */
static void open_pool(struct stage *stage, unsigned n_sessions, const struct statement_table *table)
{
	stage->settings.pg_connections = n_sessions;
	stage->pool = pgpool_new(&stage->settings, stage->loop, stage->pending, table, table ? 1 : 0);
	wait_for(stage, NULL);
}

/* Statements that wait behind a slow one are no sign of a dead connection; one that is silent in its own turn is. */
static void test_who_waits_behind_others_does_not_hang(void **state)
{
	struct stage *stage = *state;
	struct outcome first, second;
	int64_t sent_us;

	open_pool(stage, 1, NULL);
	ask_sql(stage, SLEEP, &first);
	ask_sql(stage, SLEEP, &second);
	sent_us = clock_monotonic_us();
	wait_for(stage, &first);
	assert_int_equal(first.code, ERR_NONE);
	assert_false(second.there);
	pgpool_tick(stage->pool, sent_us + SILENCE_US + SLEPT_US);
	assert_true(pgpool_is_up(stage->pool));
	assert_false(second.there);
	pgpool_tick(stage->pool, clock_monotonic_us() + SILENCE_US + 1);
	assert_false(pgpool_is_up(stage->pool));
	assert_true(second.there);
	assert_int_equal(second.code, ERR_DATABASE);
}

/* A result that nobody can keep is given up; what was behind it is asked on another connection. */
static void test_a_result_is_bounded(void **state)
{
	static const struct {
		const char *sql;
		enum err_code code;
	} cases[] = {{MEGABYTES(60), ERR_NONE}, {MEGABYTES(60), ERR_NONE}, {MEGABYTES(200), ERR_INVALID},
	        {"SELECT 1", ERR_NONE}};
	struct stage *stage = *state;
	struct outcome outcomes[ARRAY_LEN(cases)];

	open_pool(stage, 2, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ask_sql(stage, cases[i].sql, &outcomes[i]);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		wait_for(stage, &outcomes[i]);
		assert_int_equal(outcomes[i].code, cases[i].code);
	}
}

static const struct statement divisions[] = {
        {.name = "divide", .sql = "SELECT 12 / $1::bigint", .n_params = 1, .by_key = true},
        {.name = "remainder", .sql = "SELECT 12 % $1::bigint", .n_params = 1, .by_key = true},
};

/* An error in a group is that of one query: the others are answered, those behind it when they have been sent again. */
static void test_an_error_spoils_no_other_query_of_its_group(void **state)
{
	static const struct statement_table table = {divisions, ARRAY_LEN(divisions)};
	static const int64_t divisors[] = {1, 2, 0, 3, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 18};
	struct stage *stage = *state;
	struct outcome outcomes[ARRAY_LEN(divisors)] = {{0}};
	struct arena *arena = arena_new(65536);

	open_pool(stage, 2, &table);
	for (size_t i = 0; i < ARRAY_LEN(divisors); i++) {
		struct db_params params;
		struct err err = {0};
		db_params_init(&params, arena);
		db_param_i64(&params, divisors[i]);
		assert_true(pgpool_query(stage->pool,
		        &(struct pgpool_query){.statement = divisions[i % 7 == 6].name,
		                .params = &params,
		                .on_result = on_result,
		                .context = &outcomes[i]},
		        &err));
	}
	pgpool_flush(stage->pool);
	for (size_t i = 0; i < ARRAY_LEN(divisors); i++) {
		wait_for(stage, &outcomes[i]);
		assert_int_equal(!outcomes[i].code, divisors[i] != 0);
	}
	arena_free(arena);
}

/* A lost session is no query's error, also when PostgreSQL says one word before: all that it had are sent again. */
static void test_a_session_that_is_ended_spoils_no_query(void **state)
{
	struct stage *stage = *state;
	struct outcome outcomes[6];

	open_pool(stage, 2, NULL);
	turn_for(stage, SECOND_US); /* both are up */
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		ask_sql(stage, "SELECT pg_sleep(0.25)", &outcomes[i]);
	turn_for(stage, SECOND_US / 10);
	component_sql(stage->component, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' "
	                                "AND query = 'SELECT pg_sleep(0.25)' LIMIT 1");
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		wait_for(stage, &outcomes[i]);
		assert_int_equal(outcomes[i].code, ERR_NONE);
	}
}

/* An error that comes with the end of a transaction is no query's that comes behind it: it got that one's error, and
   those after it each other's rows. */
static void test_an_error_of_the_commit_moves_no_results(void **state)
{
	static const char *const queries[] = {"SELECT set_config('default_transaction_read_only', 'off', false)",
	        "INSERT INTO once SELECT 1 RETURNING n", "SELECT 1, 2", "SELECT 1, 2, 3", "SELECT 1, 2, 3, 4"};
	struct stage *stage = *state;
	struct outcome outcomes[ARRAY_LEN(queries)];

	component_sql(stage->component, "CREATE TABLE once (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)");
	component_sql(stage->component, "INSERT INTO once VALUES (1)");
	open_pool(stage, 1, NULL);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++)
		ask_sql(stage, queries[i], &outcomes[i]);
	for (size_t i = 2; i < ARRAY_LEN(queries); i++) {
		wait_for(stage, &outcomes[i]);
		assert_int_equal(outcomes[i].code, ERR_NONE);
		assert_int_equal(outcomes[i].n_columns, i);
	}
}

/* Searches that nobody waits for any more hold up those behind them no longer than PostgreSQL has them at work. */
static void test_a_search_that_nobody_wants_is_not_run(void **state)
{
	struct stage *stage = *state;
	struct outcome outcomes[8], last;
	uint64_t numbers[ARRAY_LEN(outcomes)];

	stage->pending = pending_new(ARRAY_LEN(outcomes));
	open_pool(stage, 1, NULL);
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		numbers[i] = pending_add(stage->pending, (struct request *)&outcomes[i]);
		ask_sql_for(stage, SLEEP, numbers[i], &outcomes[i]);
	}
	turn_for(stage, SECOND_US / 10);
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		pending_remove(stage->pending, numbers[i]);
	int64_t asked_us = clock_monotonic_us();
	ask_sql(stage, "SELECT 1", &last);
	wait_for(stage, &last);
	assert_int_equal(last.code, ERR_NONE);
	assert_in_range(clock_monotonic_us() - asked_us, 0, 4 * SECOND_US);
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_false(outcomes[i].there);
}

/* Those that wait are asked in their order, also on another session when theirs ends, and refused when there is none.
 */
static void test_searches_that_wait_are_asked_in_turn(void **state)
{
	struct stage *stage = *state;
	struct outcome outcomes[20];

	open_pool(stage, 2, NULL);
	turn_for(stage, SECOND_US); /* both are up */
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		ask_sql(stage, "SELECT pg_sleep(0.1)", &outcomes[i]);
	for (size_t i = 0; i < ARRAY_LEN(outcomes) / 2; i++) {
		wait_for(stage, &outcomes[i]);
		assert_int_equal(outcomes[i].code, ERR_NONE);
		assert_false(outcomes[i + 2].there);
	}
	component_sql(stage->component, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' "
	                                "AND query = 'SELECT pg_sleep(0.1)'");
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		wait_for(stage, &outcomes[i]);
		assert_int_equal(outcomes[i].code, ERR_NONE);
	}
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		ask_sql(stage, "SELECT pg_sleep(0.1)", &outcomes[i]);
	pgpool_tick(stage->pool, clock_monotonic_us() + SILENCE_US + SECOND_US);
	pgpool_flush(stage->pool);
	pgpool_tick(stage->pool, clock_monotonic_us() + 2 * SILENCE_US + SECOND_US);
	assert_false(pgpool_is_up(stage->pool));
	pgpool_flush(stage->pool);
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_int_equal(outcomes[i].code, ERR_DATABASE);
}

static char answered[64];

static void on_answer(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	const char *name = context;

	(void)number;
	(void)err;
	assert_non_null(result);
	strncat(answered, name, 1);
}

/* Who asks for little comes next after what is at work, however much another one has waiting; of one owner the first
   that came is the first. */
static void test_owners_take_turns(void **state)
{
	static char names[] = "abcdefghXijY"; /* in small letters: of one owner */
	struct stage *stage = *state;
	struct outcome outcome;

	open_pool(stage, 1, NULL);
	for (char *name = names; *name; name++) {
		struct pgpool_query query = {.sql = "SELECT 1",
		        .on_result = on_answer,
		        .context = name,
		        .owner = *name >= 'a' ? names : answered};
		struct err err = {0};
		assert_true(pgpool_query(stage->pool, &query, &err));
	}
	ask_sql(stage, "SELECT 1", &outcome);
	while (strlen(answered) < strlen(names))
		turn_for(stage, SECOND_US / 10);
	assert_true(outcome.there);
	assert_string_equal(answered, "abcXdYefghij");
}

static const struct statement scanning[] = {
        {.name = "divide", .sql = "SELECT 12 / $1::bigint", .n_params = 1, .by_key = true},
        {.name = "scan", .sql = "SELECT pg_sleep($1::bigint)", .n_params = 1, .scans = true},
};

/* A statement that may read very many rows holds up none that reads few. */
static void test_searches_have_sessions_of_their_own(void **state)
{
	static const struct statement_table table = {scanning, ARRAY_LEN(scanning)};
	struct stage *stage = *state;
	struct outcome outcomes[5] = {{0}};
	struct arena *arena = arena_new(65536);

	open_pool(stage, 2, &table);
	turn_for(stage, SECOND_US); /* both are up */
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		struct db_params params;
		struct err err = {0};
		db_params_init(&params, arena);
		db_param_i64(&params, 1);
		assert_true(pgpool_query(stage->pool,
		        &(struct pgpool_query){.statement = i < 4 ? "scan" : "divide",
		                .params = &params,
		                .on_result = on_result,
		                .context = &outcomes[i]},
		        &err));
	}
	wait_for(stage, &outcomes[4]);
	for (size_t i = 0; i < 4; i++)
		assert_false(outcomes[i].there);
	for (size_t i = 0; i < 4; i++)
		wait_for(stage, &outcomes[i]);
	arena_free(arena);
}

#define POOL_TEST(test) cmocka_unit_test_setup_teardown(test, stage_open, stage_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        POOL_TEST(test_who_waits_behind_others_does_not_hang),
	        POOL_TEST(test_a_result_is_bounded),
	        POOL_TEST(test_an_error_spoils_no_other_query_of_its_group),
	        POOL_TEST(test_a_session_that_is_ended_spoils_no_query),
	        POOL_TEST(test_an_error_of_the_commit_moves_no_results),
	        POOL_TEST(test_a_search_that_nobody_wants_is_not_run),
	        POOL_TEST(test_searches_that_wait_are_asked_in_turn),
	        POOL_TEST(test_owners_take_turns),
	        POOL_TEST(test_searches_have_sessions_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
