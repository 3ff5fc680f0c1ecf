/* aggregate-sync takes bounded memory for a batch of large customers, and for a build of them. A process of its own:
 * the most memory that it has had is what counts. */

#include "tests/component/feed.h"
#include "workers/aggregate_sync/sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CUSTOMERS 600
/* Read all at once they take 370 MB, and sanitized 700, where each piece of memory takes more. */
#ifdef __SANITIZE_ADDRESS__
#define MOST_BYTES (450L * 1024 * 1024)
#else
#define MOST_BYTES (280L * 1024 * 1024)
#endif
#define ROWS_OF_STEP 4000

#define W "a0000000-0000-4000-8000-000000000000"
#define SHOP "b1000000-0000-4000-8000-000000000000"
#define LETTER "b2000000-0000-4000-8000-000000000000"
#define AGGREGATE "ba000000-0000-4000-8000-000000000000"
#define COUNT_PROFILES "SELECT count(*) FROM customers WHERE node_id = '" AGGREGATE "'"
#define COUNT_CHANGES "SELECT count(*) FROM update_stream WHERE node_id = '" AGGREGATE "'"

static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};
static const struct uuid aggregate = {{0xba, [6] = 0x40, [8] = 0x80}};

struct stage {
	struct component *component;
	struct feed *feed;
	struct sync_state state;
};

/* Freed memory that a sanitizer keeps back is none of aggregate-sync's. */
#ifdef __SANITIZE_ADDRESS__
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8";
}
#endif

static void add_rule(struct stage *stage)
{
	feed_add(stage->feed, &(struct command){.type = COMMAND_AGGREGATE_RULES,
	                              .workspace = workspace,
	                              .node = aggregate,
	                              .entity = aggregate,
	                              .text = STR("1"),
	                              .body = STR("{\"state\":\"ACTIVE\",\"entryNodes\":[\"" SHOP "\",\"" LETTER
	                                          "\"],\"matchingProperties\":{\"properties\":[\"externalId\"]}}")});
}

static void add_fact(struct stage *stage, unsigned n)
{
	feed_add(stage->feed,
	        &(struct command){.type = COMMAND_CHANGE,
	                .item = ENTITY_CUSTOMER,
	                .user = CHANGE_UPDATE,
	                .workspace = workspace,
	                .entity = {{0xc0, [6] = 0x40, [8] = 0x80, [14] = (uint8_t)(n / 256), (uint8_t)n}}});
}

/* Of 45 kB each, two of each key; every other one, or all, are new or changed. */
static void put_customers(struct stage *stage, unsigned every, const char *word)
{
	component_sqlf(stage->component,
	        "INSERT INTO customers SELECT '" W "', ('c0000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, "
	        "CASE n %% 2 WHEN 0 THEN '" SHOP "' ELSE '" LETTER "' END::uuid, n + 1, 1, n, n, true, NULL, NULL, "
	        "'key' || n / 2, (SELECT jsonb_build_object('extended', jsonb_build_object('words', "
	        "jsonb_agg('%s' || n || ' ' || i %% 20))) FROM generate_series(1, 4000) i) "
	        "FROM generate_series(0, %d, %u) n ON CONFLICT (workspace_id, id) DO UPDATE "
	        "SET version = customers.version + 1, updated_us = customers.updated_us + 1, doc = excluded.doc",
	        word, CUSTOMERS - 1, every);
	for (unsigned n = 0; n < CUSTOMERS; n += every)
		add_fact(stage, n);
}

static void build(struct stage *stage)
{
	for (int i = 0;
	        i < 80 && component_number(stage->component, "SELECT count(*) FROM aggregate_nodes WHERE building");
	        i++)
		feed_background(stage->feed);
	assert_int_equal(component_number(stage->component, "SELECT count(*) FROM aggregate_nodes WHERE building"), 0);
}

/* From here on it counts. */
static void forget_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");

	assert_non_null(file);
	assert_true(fputs("5", file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void check_peak(const char *of)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kilobytes = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "VmHWM: %ld kB", &kilobytes) != 1)
		continue;
	fclose(file);
	assert_true(kilobytes > 0);
	if (kilobytes * 1024 > MOST_BYTES)
		fail_msg("%s took %ld MB", of, kilobytes / 1024);
}

static void check_changes(struct stage *stage, int version, const char *operation)
{
	assert_int_equal(
	        component_numberf(stage->component, COUNT_PROFILES " AND version = %d", version), CUSTOMERS / 2);
	assert_int_equal(
	        component_numberf(stage->component, COUNT_CHANGES " AND operation = %s", operation), CUSTOMERS / 2);
	assert_int_equal(component_number(stage->component,
	                         "SELECT count(*) - count(DISTINCT (entity_id, operation)) FROM update_stream "
	                         "WHERE node_id = '" AGGREGATE "'"),
	        0);
}

/* Its documents are the same as those that facts have led to. */
static void check_build(struct stage *stage)
{
	struct component *c = stage->component;

	component_sql(
	        c, "CREATE TABLE before AS SELECT c::text AS profile FROM customers c WHERE node_id = '" AGGREGATE "'");
	component_sql(c, "DELETE FROM aggregate_members");
	component_sql(c, "DELETE FROM customers WHERE node_id = '" AGGREGATE "'");
	component_sql(c, "UPDATE aggregate_nodes SET building = true, built_to = NULL, made_to = NULL");
	forget_peak();
	build(stage);
	check_peak("a build");
	assert_int_equal(component_number(c, COUNT_PROFILES), CUSTOMERS / 2);
	assert_int_equal(component_number(c, "SELECT count(*) FROM customers c JOIN before b ON b.profile = c::text"),
	        CUSTOMERS / 2);
}

static void open_stage(struct stage *stage)
{
	stage->component = component_open();
	stage->feed = feed_open(stage->component, &sync_definition);
	sync_state_init(&stage->state, ROWS_OF_STEP);
	feed_set_state(stage->feed, &stage->state);
	add_rule(stage);
	feed_run(stage->feed, 0);
	build(stage);
}

static void close_stage(struct stage *stage)
{
	feed_close(stage->feed);
	component_close(stage->component);
}

static void many_large_customers_take_bounded_memory(void **state)
{
	struct stage stage = {0};

	(void)state;
	open_stage(&stage);
	put_customers(&stage, 1, "a");
	forget_peak();
	feed_run(stage.feed, 0);
	check_peak("a batch of new customers");
	check_changes(&stage, 2, "1");
	put_customers(&stage, 2, "b"); /* the other members are read, too */
	forget_peak();
	feed_run(stage.feed, 0);
	check_peak("a batch of changed customers");
	check_changes(&stage, 3, "2");
	check_build(&stage);
	close_stage(&stage);
}

/* 60 kB each, of values that take eight times as much in memory; all have one key. */
static void put_dense_customers(struct stage *stage)
{
	component_sql(stage->component,
	        "INSERT INTO customers SELECT '" W "', ('c0000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, "
	        "'" SHOP "', n + 1, 1, n, n, true, NULL, NULL, 'key', (SELECT jsonb_build_object('base', "
	        "jsonb_build_object('likes', jsonb_agg(jsonb_build_object('id', (n * 5000 + i)::text)))) "
	        "FROM generate_series(1, 3500) i) FROM generate_series(0, 249) n");
}

static void keep_profile(struct stage *stage)
{
	component_sql(stage->component,
	        "INSERT INTO seen SELECT md5(c::text) FROM customers c WHERE node_id = '" AGGREGATE "'");
}

/* Made of the members that facts name, of members that are read beside one, and by a build, it is the same. */
static void a_profile_of_dense_customers_takes_bounded_memory(void **state)
{
	struct stage stage = {0};

	(void)state;
	open_stage(&stage);
	component_sql(stage.component, "CREATE TABLE seen (profile text)");
	put_dense_customers(&stage);
	for (unsigned n = 0; n < 250; n++)
		add_fact(&stage, n);
	forget_peak();
	feed_run(stage.feed, 0);
	check_peak("a batch of customers with one key");
	keep_profile(&stage);
	component_sql(stage.component, "DELETE FROM customers WHERE node_id = '" AGGREGATE "'");
	add_fact(&stage, 60);
	feed_run(stage.feed, 0);
	check_peak("one of them");
	keep_profile(&stage);
	component_sql(stage.component, "DELETE FROM customers WHERE node_id = '" AGGREGATE "'");
	component_sql(stage.component, "UPDATE aggregate_nodes SET building = true, built_to = NULL, made_to = NULL");
	build(&stage);
	check_peak("a build");
	keep_profile(&stage);
	assert_int_equal(component_number(stage.component, "SELECT count(*) FROM seen"), 3);
	assert_int_equal(component_number(stage.component, "SELECT count(DISTINCT profile) FROM seen"), 1);
	assert_true(component_number(stage.component, "SELECT jsonb_array_length(doc #> '{base,likes}') FROM customers "
	                                              "WHERE node_id = '" AGGREGATE "'") > 100 * 3500);
	close_stage(&stage);
}

/* Like the one that is there. */
static void add_nodes(const struct stage *stage, int n)
{
	component_sqlf(stage->component,
	        "INSERT INTO aggregate_nodes (workspace_id, node_id, seq, active, doc, building) SELECT workspace_id, "
	        "('ba000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n, true, doc, false "
	        "FROM aggregate_nodes, generate_series(1, %d) n",
	        n);
}

/* A customer is read once for all the nodes that it is a member of, but has a profile in each. */
static void profiles_in_many_nodes_take_bounded_memory(void **state)
{
	struct stage stage = {0};

	(void)state;
	open_stage(&stage);
	add_nodes(&stage, 40);
	component_sql(stage.component,
	        "INSERT INTO customers SELECT '" W "', ('c0000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, "
	        "'" SHOP "', n + 1, 1, n, n, true, NULL, NULL, 'key' || n, (SELECT jsonb_build_object('extended', "
	        "jsonb_build_object('numbers', jsonb_agg(i % 10))) FROM generate_series(1, 20000) i) "
	        "FROM generate_series(0, 15) n");
	for (unsigned n = 0; n < 16; n++)
		add_fact(&stage, n);
	forget_peak();
	feed_run(stage.feed, 0);
	check_peak("a batch of customers of many nodes");
	assert_int_equal(
	        component_number(stage.component, "SELECT count(*) FROM customers WHERE node_id <> '" SHOP "'"),
	        16 * 41);
	close_stage(&stage);
}

/* All nodes of a workspace have its extended properties. */
static void a_large_map_of_properties_is_held_once(void **state)
{
	struct stage stage = {0};

	(void)state;
	open_stage(&stage);
	add_nodes(&stage, 300);
	component_sql(stage.component,
	        "INSERT INTO configuration SELECT '" W "', 'extended', 'customer', 1, 1, 1, 1, jsonb_build_object("
	        "'number', '{\"type\": \"number\", \"contactlabProperties\": {\"mergePolicy\": \"MATH_SUM\"}}'::jsonb, "
	        "'other', jsonb_build_object('type', 'number', 'examples', jsonb_agg(i))) FROM generate_series(1, "
	        "40000) i");
	component_sql(stage.component,
	        "INSERT INTO customers SELECT '" W "', ('c0000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, "
	        "'" SHOP "', n + 1, 1, n, n, true, NULL, NULL, 'key', '{\"extended\": {\"number\": 2}}' "
	        "FROM generate_series(0, 1) n");
	add_fact(&stage, 0);
	add_fact(&stage, 1);
	forget_peak();
	feed_run(stage.feed, 0);
	check_peak("a batch for many nodes with a large map of properties");
	assert_int_equal(component_number(stage.component, "SELECT count(*) FROM customers WHERE node_id <> '" SHOP
	                                                   "' AND doc #>> '{extended,number}' = '4'"),
	        301);
	close_stage(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(many_large_customers_take_bounded_memory),
	        cmocka_unit_test(a_profile_of_dense_customers_takes_bounded_memory),
	        cmocka_unit_test(profiles_in_many_nodes_take_bounded_memory),
	        cmocka_unit_test(a_large_map_of_properties_is_held_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
