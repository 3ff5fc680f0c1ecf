/* The update stream's statements against real tables: times, filters, bounds. Statements are run with text parameters.
 */

#include "common/db.h"
#include "common/worker_batch.h"
#include "gateway/handlers.h"
#include "tests/component/component.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define W "11111111-1111-4111-8111-111111111111"
#define OTHER_W "22222222-2222-4222-8222-222222222222"
#define NODE "33333333-3333-4333-8333-333333333333"
#define RARE_NODE "44444444-4444-4444-8444-444444444444"
#define RUN_MAX "64"
#define NO_NODE "55555555-5555-4555-8555-555555555555"

static int set_up(void **state)
{
	*state = component_open();
	return 0;
}

static int tear_down(void **state)
{
	component_close(*state);
	return 0;
}

static const struct statement *find(const struct statement *statements, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(statements[i].name, name))
			return &statements[i];
	fail_msg("no statement %s", name);
	return NULL;
}

static PGresult *run(struct component *c, const struct statement *statement, const char *const *values)
{
	PGresult *result =
	        PQexecParams(component_connection(c), statement->sql, statement->n_params, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		fail_msg("%s: %s", statement->name, PQresultErrorMessage(result));
	return result;
}

static PGresult *ask(struct component *c, const char *name, const char *const *values)
{
	return run(c, find(update_statements, update_statement_count, name), values);
}

static long long ask_number(struct component *c, const char *name, const char *const *values)
{
	PGresult *result = ask(c, name, values);
	assert_int_equal(PQntuples(result), 1);
	long long number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return number;
}

/* A batch of the runtime with two changes, at this time. */
static void write_batch(struct component *c, const char *workspace, const char *time_us)
{
	const struct statement *statement = find(runtime_statements, runtime_statement_count, "runtime_stream");
	char workspaces[64], both[128];

	snprintf(workspaces, sizeof(workspaces), "{%s}", workspace);
	snprintf(both, sizeof(both), "{%s,%s}", workspace, workspace);
	PQclear(run(c, statement,
	        (const char *[]){workspaces, "{2}", both, "{1,0}", "{0,0}", "{1,2}", "{1,1}", "{" W "," NODE "}",
	                "{" NODE "," NODE "}", "{1,1}", time_us}));
}

static void times_never_go_back(void **state)
{
	struct component *c = *state;

	write_batch(c, W, "5000000");
	write_batch(c, W, "3000000"); /* a worker that is behind */
	write_batch(c, OTHER_W, "1000000");
	write_batch(c, W, "7000000");
	assert_string_equal(
	        component_text(c, "SELECT string_agg(stream_offset || ':' || changed_us / 1000000, ' ' "
	                          "ORDER BY stream_offset) FROM update_stream WHERE workspace_id = '" W "'"),
	        "1:5 2:5 3:5 4:5 5:7 6:7");
	assert_int_equal(
	        component_number(c, "SELECT max(changed_us) FROM update_stream WHERE workspace_id = '" OTHER_W "'"),
	        1000000);
	assert_int_equal(component_number(c, "SELECT last_us FROM stream_heads WHERE workspace_id = '" W "'"), 7000000);
}

/* n entries of the node, every 50th of the rare one; some of the same time. */
static void fill(struct component *c, int n)
{
	component_sqlf(c,
	        "INSERT INTO update_stream SELECT '" W "', i, i %% 2 + 1, 1, gen_random_uuid(), "
	        "CASE WHEN i %% 50 = 0 THEN '" RARE_NODE "' ELSE '" NODE "' END::uuid, 1, i / 3 * 10 "
	        "FROM generate_series(1, %d) AS i; "
	        "INSERT INTO stream_heads (workspace_id, last_offset, last_us) VALUES ('" W "', %d, %d)",
	        n, n, n / 3 * 10);
}

static void a_time_finds_its_first_change(void **state)
{
	struct component *c = *state;

	assert_int_equal(component_number(c, "SELECT stream_offset_before('" W "', 1)"), 0);
	fill(c, 1000);
	assert_int_equal(
	        component_number(c,
	                "SELECT count(*) FROM generate_series(-11, 3400) AS t WHERE stream_offset_before('" W
	                "', t) <> COALESCE((SELECT min(stream_offset) - 1 FROM update_stream WHERE changed_us >= t), "
	                "1000)"),
	        0);
	assert_int_equal(ask_number(c, "updates_offset_at", (const char *[]){W, "10"}), 2);
	assert_int_equal(ask_number(c, "updates_offset_at", (const char *[]){W, "11"}), 5);
	assert_int_equal(ask_number(c, "updates_offset_at", (const char *[]){W, "9000000000000000000"}), 1000);
	assert_int_equal(ask_number(c, "updates_offset_at", (const char *[]){OTHER_W, "5"}), 0);
}

static void the_last_offset(void **state)
{
	struct component *c = *state;
	static const struct {
		const char *workspace, *scan, *entity, *nodes;
		long long offset;
	} cases[] = {
	        {W, "100000", NULL, NULL, 1000},
	        {OTHER_W, "100000", NULL, NULL, 0},
	        {OTHER_W, "100000", "1", NULL, 0},
	        {W, "100000", "2", NULL, 999},
	        {W, "100000", "1", NULL, 1000},
	        {W, "100000", NULL, "{" NODE "}", 999},
	        {W, "100000", NULL, "{" NODE "," RARE_NODE "}", 1000},
	        {W, "100000", "2", "{" RARE_NODE "}", 0}, /* every 50th is a customer's */
	        {W, "100000", NULL, "{" NO_NODE "}", 0},
	        {W, "100", NULL, "{" NO_NODE "}", 900}, /* nothing later matches */
	        {W, "100", NULL, "{}", 900},
	        {W, "1", NULL, "{" NODE "}", 999},
	};

	fill(c, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long long offset = ask_number(c, "updates_last",
		        (const char *[]){cases[i].workspace, cases[i].scan, cases[i].entity, cases[i].nodes});
		if (offset != cases[i].offset)
			fail_msg("case %zu: %lld", i, offset);
	}
}

/* "head: offsets" of a page. */
static void check_page(struct component *c, const char *const *values, const char *expected)
{
	PGresult *rows = ask(c, "updates_after", values);
	char text[512] = "";

	if (PQntuples(rows))
		snprintf(text, sizeof(text), "%s:", PQgetvalue(rows, 0, 0));
	for (int row = 0; row < PQntuples(rows); row++)
		if (!PQgetisnull(rows, row, 1))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", PQgetvalue(rows, row, 1));
	PQclear(rows);
	assert_string_equal(text, expected);
}

static void pages(void **state)
{
	struct component *c = *state;
	const char *rare = "{" RARE_NODE "}";

	fill(c, 1000);
	check_page(c, (const char *[]){W, "0", NULL, NULL, "3", "100000", RUN_MAX}, "1000: 1 2 3");
	check_page(c, (const char *[]){W, "998", NULL, NULL, "50", "100000", RUN_MAX}, "1000: 999 1000");
	check_page(c, (const char *[]){W, "1000", NULL, NULL, "50", "100000", RUN_MAX}, "1000:");
	check_page(c, (const char *[]){W, "2305843009213693951", NULL, NULL, "50", "4611686018427387903", RUN_MAX},
	        "1000:");
	check_page(c, (const char *[]){OTHER_W, "0", NULL, NULL, "50", "100000", RUN_MAX}, "");
	check_page(c, (const char *[]){W, "0", "2", NULL, "2", "100000", RUN_MAX}, "1000: 1 3");
	check_page(c, (const char *[]){W, "0", NULL, rare, "2", "100000", RUN_MAX}, "1000: 50 100");
	/* the entries that are looked at are bounded */
	check_page(c, (const char *[]){W, "0", NULL, rare, "4000", "100", RUN_MAX}, "1000: 50 100");
	check_page(c, (const char *[]){W, "100", NULL, rare, "4000", "49", RUN_MAX}, "1000:");
}

/* A stream as it was before there were runs, of two workspaces: batches of 150 changes of one time, kinds and nodes
 * that stay the same for some changes, a missing offset here and there. The table `was` keeps it. */
static void fill_before_runs(struct component *c)
{
	component_sql(c,
	        "DROP VIEW update_stream; DROP FUNCTION stream_add_change; DROP TABLE stream_runs;"
	        "CREATE TABLE update_stream (workspace_id uuid NOT NULL, stream_offset bigint NOT NULL, "
	        "entity smallint NOT NULL, operation smallint NOT NULL, entity_id uuid NOT NULL, "
	        "node_id uuid NOT NULL, version bigint NOT NULL, changed_us bigint NOT NULL, "
	        "PRIMARY KEY (workspace_id, stream_offset));"
	        "INSERT INTO update_stream SELECT w, i, (i / 100) % 2 + 1, i % 3 + 1, md5(w || i::text)::uuid, "
	        "CASE WHEN i % 200 < 10 THEN '" RARE_NODE "' ELSE '" NODE "' END::uuid, i % 5, i / 150 * 10 "
	        "FROM unnest(ARRAY['" W "', '" OTHER_W
	        "']::uuid[]) AS w, generate_series(1, 1000) AS i WHERE i % 333 > 0;"
	        "INSERT INTO stream_heads (workspace_id, last_offset, last_us) SELECT DISTINCT workspace_id, 1000, 60 "
	        "FROM update_stream; CREATE TABLE was AS TABLE update_stream");
	component_migrate(c, "021_stream_runs.sql");
}

static void a_stream_of_before_becomes_runs(void **state)
{
	struct component *c = *state;

	fill_before_runs(c);
	assert_int_equal(component_number(c, "SELECT count(*) FROM ((TABLE was EXCEPT SELECT workspace_id, "
	                                     "stream_offset, entity, operation, entity_id, node_id, version, "
	                                     "changed_us FROM update_stream) UNION ALL (SELECT workspace_id, "
	                                     "stream_offset, entity, operation, entity_id, node_id, version, "
	                                     "changed_us FROM update_stream EXCEPT TABLE was)) x"),
	        0);
	assert_int_equal(component_number(c, "SELECT count(*) FROM update_stream"), 2 * 997);
	assert_int_equal(component_number(c, "SELECT max(cardinality(entity_ids)) FROM stream_runs"), 64);
	assert_true(component_number(c, "SELECT count(*) FROM stream_runs") < 2 * 1000 / 20);
	assert_int_equal(
	        component_number(c, "SELECT count(*) FROM generate_series(-1, 70) AS t WHERE stream_offset_before('" W
	                            "', t) <> COALESCE((SELECT min(stream_offset) - 1 FROM was WHERE changed_us >= t), "
	                            "1000)"),
	        0);
}

/* A page begins and ends anywhere in a run. */
static void pages_of_runs(void **state)
{
	struct component *c = *state;
	static const char *const offsets[] = {"0", "1", "63", "64", "65", "99", "100", "332", "333", "640", "999"};
	static const char *const limits[] = {"1", "2", "63", "64", "65", "4000"};
	static const struct {
		const char *entity, *nodes, *condition;
	} filters[] = {{NULL, NULL, "true"}, {"1", NULL, "entity = 1"},
	        {"2", "{" RARE_NODE "}", "entity = 2 AND node_id = '" RARE_NODE "'"}};

	fill_before_runs(c);
	for (size_t i = 0; i < ARRAY_LEN(offsets) * ARRAY_LEN(limits) * ARRAY_LEN(filters); i++) {
		const char *offset = offsets[i % ARRAY_LEN(offsets)];
		const char *limit = limits[i / ARRAY_LEN(offsets) % ARRAY_LEN(limits)];
		size_t filter = i / ARRAY_LEN(offsets) / ARRAY_LEN(limits);
		PGresult *rows = ask(c, "updates_after",
		        (const char *[]){
		                W, offset, filters[filter].entity, filters[filter].nodes, limit, "300", RUN_MAX});
		char sql[512];
		snprintf(sql, sizeof(sql),
		        "SELECT stream_offset, entity, operation, entity_id, node_id FROM was WHERE workspace_id = '" W
		        "' AND stream_offset > %s AND stream_offset <= %s + 300 AND %s ORDER BY stream_offset LIMIT %s",
		        offset, offset, filters[filter].condition, limit);
		PGresult *expected = PQexec(component_connection(c), sql);
		bool none = PQntuples(rows) == 1 && PQgetisnull(rows, 0, 1);
		assert_int_equal(none ? 0 : PQntuples(rows), PQntuples(expected));
		for (int row = 0; row < PQntuples(expected); row++)
			for (int column = 0; column < 5; column++)
				assert_string_equal(
				        PQgetvalue(rows, row, column + 1), PQgetvalue(expected, row, column));
		PQclear(rows);
		PQclear(expected);
	}
}

/* Events of 1,000 bytes, and a bound: a slice ends behind the event that passes it, and has one row at least. */
static void a_slice_is_bounded(void **state)
{
	struct component *c = *state;
	static const struct {
		const char *bytes;
		int rows;
	} cases[] = {{"1", 1}, {"999", 1}, {"1500", 2}, {"3100", 4}, {"100000", 8}};
	char numbers[] = "{0,1,2,3,4,5,6,7}";

	component_sql(c, "INSERT INTO events (workspace_id, id, node_id, registered_us, updated_us, date_us, version, "
	                 "type, context, body) "
	                 "SELECT '" W "', ('00000000-0000-4000-8000-00000000000' || i)::uuid, '" NODE
	                 "', i, i, i, 1, 'viewedPage', "
	                 "'WEB', json_build_object('text', repeat('x', 987)) FROM generate_series(0, 6) AS i");
	assert_int_equal(component_number(c, "SELECT max(octet_length(body::text)) FROM events"), 1000);
	const char *ids =
	        component_text(c, "SELECT array_agg(('00000000-0000-4000-8000-00000000000' || i)::uuid ORDER BY i) "
	                          "FROM generate_series(0, 7) AS i"); /* the last is gone */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PGresult *rows = ask(c, "updates_entities",
		        (const char *[]){W, numbers, "{NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL}", ids, cases[i].bytes,
		                "{f,f,f,f,f,f,f,f}", "0", "9"});
		assert_int_equal(PQntuples(rows), cases[i].rows);
		for (int row = 0; row < PQntuples(rows); row++)
			assert_int_equal(strtol(PQgetvalue(rows, row, 0), NULL, 10), row);
		PQclear(rows);
	}
}

/* A profile has what all its members have; an entry customer is small. */
static void profiles_bound_a_slice(void **state)
{
	struct component *c = *state;
	static const struct {
		const char *of_profile;
		int rows;
	} cases[] = {{"{t,t,t}", 1}, {"{f,t,t}", 2}, {"{f,f,f}", 3}};

	component_sql(c,
	        "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, "
	        "enabled, doc) SELECT '" W "', ('00000000-0000-4000-8000-00000000000' || i)::uuid, '" NODE
	        "', i, 1, i, i, true, (SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 300) AS n) FROM "
	        "generate_series(0, 2) AS i");
	const char *ids =
	        component_text(c, "SELECT array_agg(('00000000-0000-4000-8000-00000000000' || i)::uuid ORDER BY i) "
	                          "FROM generate_series(0, 2) AS i");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PGresult *rows = ask(c, "updates_entities",
		        (const char *[]){W, "{0,1,2}", ids, "{NULL,NULL,NULL}", "9000", cases[i].of_profile, "0", "9"});
		assert_int_equal(PQntuples(rows), cases[i].rows);
		PQclear(rows);
	}
}

static void add_text(char *text, size_t room, const char *more)
{
	size_t n = strlen(text);

	assert_true(n + strlen(more) < room);
	snprintf(text + n, room - n, "%s", more);
}

/* The stream may name one large profile in each of its entries. */
static void a_large_profile_many_times(void **state)
{
	enum { ENTRIES = 250, MOST_S = 3 };
	struct component *c = *state;
	struct timespec begin, end;

	component_sql(c,
	        "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, "
	        "enabled, doc) SELECT '" W "', '" W "', '" NODE
	        "', 1, 1, 1, 1, true, (SELECT jsonb_agg(n) FROM generate_series(1, 400000) AS n)");
	char numbers[ENTRIES * 4 + 3] = "{0", customers[ENTRIES * 38] = "{" W, events[ENTRIES * 5 + 3] = "{NULL",
	                           of_profile[ENTRIES * 2 + 3] = "{t";
	for (int i = 1; i <= ENTRIES; i++) {
		bool last = i == ENTRIES;
		char number[8];
		snprintf(number, sizeof(number), ",%d", i);
		add_text(numbers, sizeof(numbers), last ? "}" : number);
		add_text(customers, sizeof(customers), last ? "}" : "," W);
		add_text(events, sizeof(events), last ? "}" : ",NULL");
		add_text(of_profile, sizeof(of_profile), last ? "}" : ",t");
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	PGresult *rows = ask(c, "updates_entities",
	        (const char *[]){W, numbers, customers, events, "2097152", of_profile, "0", "9"});
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(PQntuples(rows), 1);
	assert_true(end.tv_sec - begin.tv_sec <= MOST_S);
	PQclear(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(times_never_go_back, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_time_finds_its_first_change, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_last_offset, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(pages, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_stream_of_before_becomes_runs, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(pages_of_runs, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_slice_is_bounded, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(profiles_bound_a_slice, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_large_profile_many_times, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
