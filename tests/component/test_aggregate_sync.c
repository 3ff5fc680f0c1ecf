/* aggregate-sync on real PostgreSQL: after any history, and however facts come, members and profiles are those of a
 * build from nothing. */

#include "tests/component/feed.h"
#include "workers/aggregate_sync/sync.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SEEDS 6
#define STEPS 150
#define CUSTOMERS 20
#define START_US 1800000000000000

#define W "a0000000-0000-4000-8000-000000000000"
#define SHOP "b1000000-0000-4000-8000-000000000000"
#define LETTER "b2000000-0000-4000-8000-000000000000"
#define AGGREGATE "ba000000-0000-4000-8000-000000000000"

static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};
static const struct uuid aggregate = {{0xba, [6] = 0x40, [8] = 0x80}};

struct stage {
	struct component *component;
	struct feed *feed;
	struct sync_state state;
	uint64_t random;
};

static unsigned roll(struct stage *stage, unsigned most)
{
	stage->random = stage->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(stage->random >> 33) % most;
}

static struct uuid customer_id(unsigned n)
{
	return (struct uuid){{0xc0, [6] = 0x40, [8] = 0x80, [15] = (uint8_t)n}};
}

static void add_fact(struct stage *stage, unsigned n)
{
	feed_add(stage->feed, &(struct command){.type = COMMAND_CHANGE,
	                              .item = ENTITY_CUSTOMER,
	                              .user = CHANGE_CREATE,
	                              .time_us = START_US,
	                              .workspace = workspace,
	                              .entity = customer_id(n)});
}

static void add_rule(struct stage *stage, int seq, const char *state)
{
	char body[512], text[16];

	snprintf(body, sizeof(body),
	        "{\"state\":\"%s\",\"entryNodes\":[\"" SHOP "\",\"" LETTER "\"],\"matchingProperties\":{\"properties\":"
	        "[\"externalId\"]},\"exclusionFilters\":[{\"property\":\"extra\",\"value\":\"x\",\"pattern\":"
	        "\"EQUALS\"}]}",
	        state);
	snprintf(text, sizeof(text), "%d", seq);
	feed_add(stage->feed, &(struct command){.type = COMMAND_AGGREGATE_RULES,
	                              .time_us = START_US,
	                              .workspace = workspace,
	                              .node = aggregate,
	                              .entity = aggregate,
	                              .text = str_of(text),
	                              .body = str_of(body)});
}

static void step(struct stage *stage)
{
	static const char *const nodes[] = {SHOP, LETTER};
	static const char *const extras[] = {"a", "b", "x"};
	unsigned n = roll(stage, CUSTOMERS);
	char id[UUID_TEXT_BYTES + 1], external[32] = "NULL";
	struct uuid uuid = customer_id(n);

	uuid_format(&uuid, id);
	if (roll(stage, 5))
		snprintf(external, sizeof(external), "'key%u'", roll(stage, 6));
	if (roll(stage, 6) == 0)
		component_sqlf(stage->component, "DELETE FROM customers WHERE id = '%s'", id);
	else
		component_sqlf(stage->component,
		        "INSERT INTO customers VALUES ('" W "', '%s', '%s', %u, 1, %lld, %lld, true, NULL, NULL, %s, "
		        "'{\"extra\":\"%s\",\"base\":{\"likes\":[{\"id\":\"%u\"}]}}') ON CONFLICT (workspace_id, id) "
		        "DO "
		        "UPDATE SET version = customers.version + 1, updated_us = excluded.updated_us, "
		        "external_id = excluded.external_id, doc = excluded.doc",
		        id, nodes[n % 2], n + 1, (long long)START_US + n, (long long)START_US + roll(stage, 50),
		        external, extras[roll(stage, 3)], roll(stage, 4));
	add_fact(stage, n);
	if (roll(stage, 3) == 0)
		add_fact(stage, roll(stage, CUSTOMERS)); /* twice, or late */
}

#define AT_WORK "SELECT count(*) FROM aggregate_nodes WHERE building OR dropping"

/* Steps of the background until nothing is left to build, or to drop. */
static void build(struct stage *stage)
{
	for (int i = 0; i < 80 && component_number(stage->component, AT_WORK); i++)
		feed_background(stage->feed);
	assert_int_equal(component_number(stage->component, AT_WORK), 0);
}

#define PROFILES "(SELECT c::text FROM customers c WHERE node_id = '" AGGREGATE "')"
#define MEMBERS "(SELECT m::text FROM aggregate_members m)"

/* The other build's steps are of other sizes. */
static void check_equals_a_build(struct stage *stage)
{
	struct component *c = stage->component;

	component_sql(c, "CREATE TABLE before AS SELECT * FROM " PROFILES " x UNION ALL SELECT * FROM " MEMBERS " y");
	component_sql(c, "DELETE FROM aggregate_members");
	component_sql(c, "DELETE FROM customers WHERE node_id = '" AGGREGATE "'");
	component_sql(c, "UPDATE aggregate_nodes SET building = true, built_to = NULL, made_to = NULL");
	sync_state_init(&stage->state, 1 + roll(stage, 30));
	build(stage);
	component_sql(c, "CREATE TABLE after AS SELECT * FROM " PROFILES " x UNION ALL SELECT * FROM " MEMBERS " y");
	assert_int_equal(component_number(c, "SELECT count(*) FROM ((TABLE before EXCEPT TABLE after) UNION ALL "
	                                     "(TABLE after EXCEPT TABLE before)) d"),
	        0);
	assert_int_equal(component_number(c, "SELECT (SELECT count(*) FROM before) - (SELECT count(*) FROM after)"), 0);
	assert_true(component_number(c, "SELECT count(*) FROM after") > 10);
}

static void stage_open(struct stage *stage, uint64_t seed, int64_t rows_of_step)
{
	stage->random = seed * 977 + 1;
	stage->component = component_open();
	stage->feed = feed_open(stage->component, &sync_definition);
	sync_state_init(&stage->state, rows_of_step);
	feed_set_state(stage->feed, &stage->state);
}

/* A build of few rows at a time goes on among the facts. */
static void stage_run(struct stage *stage, uint64_t seed, size_t batch)
{
	stage_open(stage, seed, 1 + (int64_t)(seed % 4) * 3);
	add_rule(stage, 1, "NEW");
	for (int i = 0; i < STEPS; i++) {
		step(stage);
		if (i == STEPS / 3) { /* what is there already is built, what comes meanwhile follows the facts */
			add_rule(stage, 2, "ACTIVE");
			feed_run(stage->feed, batch);
		}
		if (i >= STEPS / 3 && roll(stage, 3) == 0)
			feed_background(stage->feed);
		if (roll(stage, 5) == 0)
			feed_run(stage->feed, batch);
	}
	feed_run(stage->feed, batch);
	build(stage);
}

static void stage_close(struct stage *stage)
{
	feed_close(stage->feed);
	component_close(stage->component);
}

/* Facts that come while the node is not active are none of its; what they have changed must not be found later. */
static void a_node_that_is_active_again_is_like_a_new_one(void **state)
{
	(void)state;
	for (uint64_t seed = 20; seed < 20 + SEEDS; seed++) {
		struct stage stage = {0};
		stage_run(&stage, seed, 0);
		for (int seq = 3; seq < 7; seq++) {
			add_rule(&stage, seq, seq % 2 ? "REMOVED" : "ACTIVE");
			for (int i = 0; i < 20; i++) {
				step(&stage);
				if (roll(&stage, 4) == 0)
					feed_run(stage.feed, roll(&stage, 5));
				if (roll(&stage, 4) == 0)
					feed_background(stage.feed);
			}
		}
		feed_run(stage.feed, 0);
		assert_int_equal(
		        component_number(stage.component, "SELECT count(*) FROM aggregate_nodes WHERE active"), 1);
		build(&stage);
		check_equals_a_build(&stage);
		stage_close(&stage);
	}
}

static void any_history_ends_like_a_build(void **state)
{
	static const size_t batches[] = {0, 1, 7};

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct stage stage = {0};
		stage_run(&stage, seed, batches[seed % ARRAY_LEN(batches)]);
		check_equals_a_build(&stage);
		stage_close(&stage);
	}
}

#define MEMBERS_LEFT "SELECT count(*) FROM aggregate_members"

static void a_removed_node_leaves_nothing(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_run(&stage, 7, 0);
	sync_state_init(&stage.state, 2);
	add_rule(&stage, 3, "REMOVED");
	feed_run(stage.feed, 0);
	int64_t members = component_number(stage.component, MEMBERS_LEFT);
	assert_true(members > 6);
	feed_background(stage.feed);
	assert_in_range(component_number(stage.component, MEMBERS_LEFT), members - 2, members - 1);
	build(&stage);
	assert_int_equal(component_number(stage.component, MEMBERS_LEFT), 0);
	assert_int_equal(
	        component_number(stage.component, "SELECT count(*) FROM customers WHERE node_id = '" AGGREGATE "'"), 0);
	assert_int_equal(component_number(stage.component,
	                         "SELECT count(*) FROM (SELECT DISTINCT ON (entity_id) operation FROM update_stream "
	                         "ORDER BY entity_id, stream_offset DESC) x WHERE operation <> 3"),
	        0);
	stage_close(&stage);
}

/* A configuration process that was frozen publishes a rule that another one has published long ago. */
static void an_old_rule_that_comes_again_changes_nothing(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_run(&stage, 9, 0);
	add_rule(&stage, 1, "NEW");
	feed_run(stage.feed, 0);
	check_equals_a_build(&stage);
	stage_close(&stage);
}

/* Merge policies stand in the workspace's extended properties: no fact tells of them. */
static void other_merge_policies_build_again(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_run(&stage, 8, 0);
	component_sqlf(stage.component,
	        "UPDATE customers SET doc = doc || '{\"extended\":{\"points\":2}}' WHERE node_id <> '" AGGREGATE "'");
	int64_t joined = component_number(stage.component,
	        "SELECT count(*) FROM (SELECT 1 FROM aggregate_members WHERE NOT excluded GROUP BY profile_id "
	        "HAVING count(*) = 2) x");
	assert_true(joined > 0);
	component_sqlf(stage.component,
	        "INSERT INTO configuration VALUES ('" W "', 'extended', 'customer', 1, 1, 0, 0, "
	        "'{\"points\":{\"type\":\"number\",\"contactlabProperties\":{\"mergePolicy\":\"MATH_SUM\"}}}')");
	feed_background(stage.feed);
	build(&stage);
	assert_int_equal(component_number(stage.component, "SELECT count(*) FROM customers WHERE node_id = '" AGGREGATE
	                                                   "' AND doc -> 'extended' ->> 'points' = '4'"),
	        joined);
	check_equals_a_build(&stage);
	stage_close(&stage);
}

/* Merge policies used to make numbers that no document may hold. */
static void a_profile_that_cannot_be_read_is_made_anew(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_run(&stage, 10, 0);
	component_sqlf(stage.component,
	        "UPDATE customers SET doc = '{\"extended\":{\"points\":1e308}}' WHERE node_id = '" AGGREGATE "'");
	for (unsigned n = 0; n < CUSTOMERS; n++)
		add_fact(&stage, n);
	feed_run(stage.feed, 0);
	check_equals_a_build(&stage);
	stage_close(&stage);
}

#define COUNT_PROFILES "SELECT count(*) FROM customers WHERE node_id = '" AGGREGATE "'"
#define COUNT_MEMBERS "SELECT count(*) FROM aggregate_members"
#define COUNT_CHANGES "SELECT count(*) FROM update_stream WHERE node_id = '" AGGREGATE "'"

/* A thousand members make the profile. One more changes nothing in it, but its events count in the node from now on, or
   are hidden like the others'. */
static void one_member_too_many(struct stage *stage, const char *extra)
{
	*stage = (struct stage){0};
	stage_open(stage, 1, 4000);
	component_sqlf(stage->component,
	        "INSERT INTO customers SELECT '" W
	        "', ('b0000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '" SHOP
	        "', n, 1, 0, 0, true, NULL, NULL, 'key', '{\"extra\":\"%s\"}' FROM generate_series(1, 1000) n",
	        extra);
	add_rule(stage, 1, "ACTIVE");
	feed_run(stage->feed, 0);
	build(stage);
	component_sql(stage->component, "DELETE FROM stream_runs");
	component_sqlf(stage->component,
	        "INSERT INTO customers VALUES ('" W "', 'c0000000-0000-4000-8000-000000000001', '" SHOP
	        "', 1001, 1, 0, 0, true, NULL, NULL, 'key', '{\"extra\":\"%s\"}')",
	        extra);
	add_fact(stage, 1);
	feed_run(stage->feed, 0);
}

static void a_member_too_many_counts_all_the_same(void **state)
{
	struct stage stage;

	(void)state;
	one_member_too_many(&stage, "a");
	assert_int_equal(
	        component_number(stage.component, "SELECT count(*) FROM update_stream WHERE operation = 2"), 1);
	stage_close(&stage);
	one_member_too_many(&stage, "x");
	assert_int_equal(
	        component_number(stage.component, "SELECT count(*) FROM aggregate_members WHERE excluded"), 1001);
	stage_close(&stage);
}

/* The same when a build comes before its fact. */
static void a_member_too_many_of_a_build_counts_all_the_same(void **state)
{
	static const char *const extras[] = {"a", "x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(extras); i++) {
		struct stage stage;
		one_member_too_many(&stage, extras[i]);
		component_sql(stage.component, "DELETE FROM stream_runs");
		component_sqlf(stage.component,
		        "INSERT INTO customers VALUES ('" W "', 'c0000000-0000-4000-8000-000000000002', '" SHOP
		        "', 1002, 1, 0, 0, true, NULL, NULL, 'key', '{\"extra\":\"%s\"}')",
		        extras[i]);
		component_sqlf(stage.component, "UPDATE aggregate_nodes SET building = true");
		build(&stage);
		assert_int_equal(component_number(stage.component, COUNT_CHANGES " AND operation = 2"), i == 0);
		assert_int_equal(component_number(stage.component, COUNT_MEMBERS " WHERE excluded"), i ? 1002 : 0);
		stage_close(&stage);
	}
}

static void *run_background(void *feed)
{
	feed_try_background(feed);
	return NULL;
}

static void await_lock(struct stage *stage)
{
	for (int i = 0; i < 400; i++, usleep(5000))
		if (component_number(stage->component,
		            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' "
		            "AND wait_event_type = 'Lock'"))
			return;
	fail_msg("the build did not meet the other process");
}

static const char *statement(const char *name)
{
	for (size_t i = 0; i < sync_statement_count; i++)
		if (!strcmp(sync_statements[i].name, name))
			return sync_statements[i].sql;
	fail_msg("no statement %s", name);
	return NULL;
}

/* Another process has heard of other merge policies first, and begins the build anew while this one ends it. */
static void a_build_that_begins_anew_does_not_end(void **state)
{
	struct stage stage = {0};
	pthread_t thread;

	(void)state;
	stage_run(&stage, 10, 0);
	component_sqlf(stage.component, "UPDATE aggregate_nodes SET building = true");
	feed_background(stage.feed);
	assert_int_equal(component_number(stage.component, "SELECT count(*) FROM aggregate_nodes WHERE building"), 1);
	component_sql(stage.component, "BEGIN");
	component_sqlf(stage.component,
	        "INSERT INTO configuration VALUES ('" W "', 'extended', 'customer', 1, 1, 0, 0, '{}')");
	component_sql(stage.component, statement("sync_stale"));
	assert_int_equal(pthread_create(&thread, NULL, run_background, stage.feed), 0);
	await_lock(&stage);
	component_sql(stage.component, "COMMIT");
	pthread_join(thread, NULL);
	assert_int_equal(
	        component_number(stage.component,
	                "SELECT count(*) FROM aggregate_nodes WHERE building AND built_to IS NULL AND made_to IS NULL"),
	        1);
	build(&stage);
	stage_close(&stage);
}

/* --- the two parts of a build
 * --------------------------------------------------------------------------------------- */

static void put_customer(struct stage *stage, unsigned n, unsigned key, const char *extra)
{
	char id[UUID_TEXT_BYTES + 1];
	struct uuid uuid = customer_id(n);

	uuid_format(&uuid, id);
	component_sqlf(stage->component,
	        "INSERT INTO customers VALUES ('" W "', '%s', '%s', %u, 1, %lld, %lld, true, NULL, NULL, 'key%u', "
	        "'{\"extra\":\"%s\"}') ON CONFLICT (workspace_id, id) DO UPDATE SET version = customers.version + 1, "
	        "external_id = excluded.external_id, doc = excluded.doc",
	        id, n % 2 ? LETTER : SHOP, n + 1, (long long)START_US + n, (long long)START_US + n, key, extra);
}

/* Twelve customers of six keys, two of each; the node has just become active. */
static void stage_begin(struct stage *stage, int64_t rows_of_step)
{
	stage_open(stage, 1, rows_of_step);
	for (unsigned n = 0; n < 12; n++)
		put_customer(stage, n, n / 2, n / 2 == 5 ? "x" : "a"); /* the filter hides the last one */
	add_rule(stage, 1, "ACTIVE");
	feed_run(stage->feed, 0);
}

static bool makes_profiles(struct stage *stage)
{
	return component_number(stage->component, "SELECT count(*) FROM aggregate_nodes WHERE made_to IS NOT NULL");
}

static void place_all(struct stage *stage)
{
	for (int i = 0; i < 20 && !makes_profiles(stage); i++)
		feed_background(stage->feed);
	assert_true(makes_profiles(stage));
}

static void each_profile_is_made_once_from_all_its_members(void **state)
{
	static const int64_t rows[] = {1, 2, 3, 5, 4000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stage stage = {0};
		stage_begin(&stage, rows[i]);
		place_all(&stage);
		assert_int_equal(component_number(stage.component, COUNT_MEMBERS), 12);
		assert_int_equal(component_number(stage.component, COUNT_PROFILES), 0);
		build(&stage);
		assert_int_equal(component_number(stage.component, COUNT_PROFILES " AND version = 2"), 5);
		assert_int_equal(component_number(stage.component, COUNT_CHANGES " AND operation = 1"), 5);
		assert_int_equal(component_number(stage.component, COUNT_CHANGES), 5);
		check_equals_a_build(&stage);
		stage_close(&stage);
	}
}

#define SOME_ID(of) "md5('" of " %u-' || n)::uuid"

/* A step passes over eight customers, or members, of others for each row that it may take: none looks at all of a
 * workspace. */
static void a_step_passes_over_few_of_others(void **state)
{
	static const struct {
		int64_t rows;
		unsigned others;
	} cases[] = {{1, 600}, {3, 600}, {4, 100}, {4, 101}, {4, 102}, {5, 103}, {5, 104}, {5, 105}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage stage = {0};
		int64_t steps = 0;
		stage_begin(&stage, cases[i].rows);
		component_sqlf(stage.component,
		        "INSERT INTO customers SELECT '" W "', " SOME_ID("customer") ", " SOME_ID(
		                "node") ", n, 1, 1, 1, true, NULL, NULL, 'key', '{}' FROM generate_series(1, %u) n",
		        i, i, cases[i].others);
		component_sqlf(stage.component,
		        "INSERT INTO aggregate_members SELECT '" W "', " SOME_ID("node") ", " SOME_ID(
		                "customer") ", " SOME_ID("profile") ", false FROM generate_series(1, %u) n",
		        i, i, i, cases[i].others);
		for (; steps < 1000 && component_number(stage.component, AT_WORK); steps++)
			feed_background(stage.feed);
		assert_in_range(steps, 2 * cases[i].others / (8 * cases[i].rows), 999);
		assert_int_equal(component_number(stage.component, COUNT_PROFILES " AND version = 2"), 5);
		assert_int_equal(component_number(stage.component, COUNT_CHANGES), 5);
		stage_close(&stage);
	}
}

/* Between the two parts one customer changes its key, one goes, one comes. */
static void facts_between_the_parts_count(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_begin(&stage, 3);
	place_all(&stage);
	put_customer(&stage, 0, 77, "a");
	component_sqlf(stage.component, "DELETE FROM customers WHERE external_id = 'key1'");
	put_customer(&stage, 12, 2, "a");
	feed_background(stage.feed); /* sees the tables before the facts come */
	for (unsigned n = 0; n <= 12; n++)
		add_fact(&stage, n);
	feed_run(stage.feed, 4);
	build(&stage);
	assert_int_equal(component_number(stage.component, COUNT_PROFILES), 5); /* key0, 77, 2 (three members), 3, 4 */
	assert_int_equal(component_number(stage.component, COUNT_PROFILES " AND version = 3"), 1);
	assert_int_equal(component_number(stage.component, COUNT_MEMBERS), 11);
	check_equals_a_build(&stage);
	stage_close(&stage);
}

/* A customer comes as the node becomes active: no reader of the update stream hears that its profile has gone. */
static void a_new_node_drops_nothing(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_open(&stage, 1, 3);
	add_rule(&stage, 1, "NEW");
	add_rule(&stage, 2, "NEW");
	add_rule(&stage, 3, "ACTIVE");
	put_customer(&stage, 0, 1, "a");
	add_fact(&stage, 0);
	feed_run(stage.feed, 0);
	build(&stage);
	assert_int_equal(component_number(stage.component, COUNT_PROFILES), 1);
	assert_int_equal(component_number(stage.component, COUNT_CHANGES), 1);
	stage_close(&stage);
}

/* A build anew places a customer whose fact has not come yet: the profile that it leaves must not stay behind. */
static void a_profile_that_a_build_empties_goes(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_begin(&stage, 4000);
	build(&stage);
	put_customer(&stage, 0, 77, "a");
	put_customer(&stage, 1, 77, "a");
	component_sqlf(stage.component, "UPDATE aggregate_nodes SET building = true");
	build(&stage);
	assert_int_equal(component_number(stage.component, COUNT_PROFILES), 5);
	assert_int_equal(component_number(stage.component, COUNT_PROFILES " AND external_id = 'key0'"), 0);
	assert_int_equal(component_number(stage.component, COUNT_CHANGES " AND operation = 3"), 1);
	add_fact(&stage, 0);
	add_fact(&stage, 1);
	feed_run(stage.feed, 0);
	check_equals_a_build(&stage);
	stage_close(&stage);
}

/* A process that takes over knows nothing but the tables: each step is begun by another one, and one is rolled back. */
static void a_build_survives_its_process(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_begin(&stage, 2);
	for (int i = 0; i < 80; i++) {
		if (i % 3 == 0) { /* it dies before COMMIT: its offset row is not its own any more */
			component_sqlf(stage.component, "UPDATE consumer_offsets SET next_offset = next_offset + 1000");
			feed_overtaken_background(stage.feed);
			component_sqlf(stage.component, "UPDATE consumer_offsets SET next_offset = next_offset - 1000");
		}
		sync_state_init(&stage.state, 1 + i % 4);
		feed_background(stage.feed);
	}
	build(&stage);
	assert_int_equal(component_number(stage.component, COUNT_CHANGES), 5);
	check_equals_a_build(&stage);
	stage_close(&stage);
}

/* An event may have been counted in a profile that was placed before there was a filter: who counts hears of it. */
static void a_profile_hidden_before_it_is_made_is_told(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_begin(&stage, 4000);
	place_all(&stage);
	assert_int_equal(component_number(stage.component, COUNT_MEMBERS " WHERE NOT excluded"), 0);
	component_sqlf(stage.component, "UPDATE aggregate_members SET excluded = false"); /* as without filters */
	build(&stage);
	assert_int_equal(component_number(stage.component, COUNT_PROFILES), 5);
	assert_int_equal(component_number(stage.component, COUNT_MEMBERS " WHERE excluded"), 2);
	assert_int_equal(component_number(stage.component, COUNT_CHANGES), 7);
	assert_int_equal(component_number(stage.component, COUNT_CHANGES " AND operation = 3"), 1);
	stage_close(&stage);
}

static void a_profile_of_very_many_is_made_of_the_first(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_begin(&stage, 4000);
	component_sqlf(stage.component,
	        "INSERT INTO customers SELECT '" W "', ('d0000000-0000-4000-8000-' || lpad(to_hex(i), 12, "
	        "'0'))::uuid, '" SHOP "', i + 100, 1, 1, 1, true, NULL, NULL, 'many', '{}' "
	        "FROM generate_series(1, 1100) i");
	for (int64_t rows = 500; rows <= 4000; rows += 3500) { /* fewer than they are, and more */
		sync_state_init(&stage.state, rows);
		component_sqlf(stage.component, "UPDATE aggregate_nodes SET building = true");
		build(&stage);
		assert_int_equal(component_number(stage.component, COUNT_MEMBERS), 1112);
		assert_int_equal(component_number(stage.component, COUNT_PROFILES), 6);
		assert_int_equal(component_number(stage.component, COUNT_PROFILES " AND version = 1000"), 1);
	}
	check_equals_a_build(&stage);
	stage_close(&stage);
}

/* Facts of customers whose node no aggregate node reads, as its own profiles, ask nothing of the tables. */
static void facts_of_other_nodes_are_passed_over(void **state)
{
	struct stage stage = {0};
	struct command fact = {.type = COMMAND_CHANGE,
	        .item = ENTITY_CUSTOMER,
	        .user = CHANGE_UPDATE,
	        .time_us = START_US,
	        .workspace = workspace,
	        .entity = customer_id(0),
	        .node = aggregate};

	(void)state;
	stage_begin(&stage, 4000);
	build(&stage);
	put_customer(&stage, 0, 77, "a");
	feed_add(stage.feed, &fact); /* a wrong node: were it looked at, the customer would move */
	feed_run(stage.feed, 0);
	assert_int_equal(component_number(stage.component, COUNT_PROFILES " AND external_id = 'key77'"), 0);
	fact.node = (struct uuid){{0xb1, [6] = 0x40, [8] = 0x80}};
	feed_add(stage.feed, &fact);
	feed_run(stage.feed, 0);
	assert_int_equal(component_number(stage.component, COUNT_PROFILES " AND external_id = 'key77'"), 1);
	check_equals_a_build(&stage);
	stage_close(&stage);
}

/* Each moves from one profile to another in each of the nodes. The worker's own time: not PostgreSQL's. */
static void many_nodes_of_the_same_customers_are_no_trouble(void **state)
{
	enum { NODES = 40, MOVED = 1000, MOST_S = 2 };
	struct stage stage = {0};

	(void)state;
	stage_open(&stage, 1, 4000);
	component_sqlf(stage.component,
	        "INSERT INTO aggregate_nodes (workspace_id, node_id, seq, active, doc, building) SELECT '" W
	        "', ('ba000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n, true, '{\"state\":\"ACTIVE\","
	        "\"entryNodes\":[\"" SHOP "\"],\"matchingProperties\":{\"properties\":[\"externalId\"]}}', false "
	        "FROM generate_series(1, %d) n",
	        NODES);
	component_sqlf(stage.component,
	        "INSERT INTO customers SELECT '" W "', ('c0000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, "
	        "'" SHOP "', n + 1, 1, 0, 0, true, NULL, NULL, 'key' || n, '{}' FROM generate_series(0, %d) n",
	        MOVED - 1);
	component_sqlf(stage.component,
	        "INSERT INTO aggregate_members SELECT c.workspace_id, n.node_id, c.id, gen_random_uuid(), false "
	        "FROM customers c, aggregate_nodes n");
	for (unsigned n = 0; n < MOVED; n++) {
		struct command fact = {.type = COMMAND_CHANGE,
		        .item = ENTITY_CUSTOMER,
		        .user = CHANGE_UPDATE,
		        .time_us = START_US,
		        .workspace = workspace,
		        .entity = {{0xc0, [6] = 0x40, [8] = 0x80, [14] = (uint8_t)(n / 256), (uint8_t)n}}};
		feed_add(stage.feed, &fact);
	}
	clock_t begin = clock();
	feed_run(stage.feed, 0);
	assert_true((clock() - begin) / CLOCKS_PER_SEC < MOST_S);
	assert_int_equal(
	        component_number(stage.component, "SELECT count(*) FROM customers WHERE node_id <> '" SHOP "'"),
	        NODES * MOVED);
	stage_close(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_node_that_is_active_again_is_like_a_new_one),
	        cmocka_unit_test(any_history_ends_like_a_build),
	        cmocka_unit_test(a_removed_node_leaves_nothing),
	        cmocka_unit_test(an_old_rule_that_comes_again_changes_nothing),
	        cmocka_unit_test(other_merge_policies_build_again),
	        cmocka_unit_test(a_profile_that_cannot_be_read_is_made_anew),
	        cmocka_unit_test(a_build_that_begins_anew_does_not_end),
	        cmocka_unit_test(a_member_too_many_counts_all_the_same),
	        cmocka_unit_test(a_member_too_many_of_a_build_counts_all_the_same),
	        cmocka_unit_test(each_profile_is_made_once_from_all_its_members),
	        cmocka_unit_test(a_step_passes_over_few_of_others),
	        cmocka_unit_test(facts_between_the_parts_count),
	        cmocka_unit_test(a_new_node_drops_nothing),
	        cmocka_unit_test(a_profile_that_a_build_empties_goes),
	        cmocka_unit_test(a_build_survives_its_process),
	        cmocka_unit_test(a_profile_hidden_before_it_is_made_is_told),
	        cmocka_unit_test(a_profile_of_very_many_is_made_of_the_first),
	        cmocka_unit_test(facts_of_other_nodes_are_passed_over),
	        cmocka_unit_test(many_nodes_of_the_same_customers_are_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
