/* stats-rollup on real PostgreSQL: after any history, and however facts come, the counters equal a recount. */

#include "tests/component/feed.h"
#include "workers/stats_rollup/rollup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 6
#define STEPS 150
#define ENTITIES 24
#define PROFILES 3
#define START_US 1800000000000000

#define W "'a0000000-0000-4000-8000-000000000000'::uuid"
#define NODE "'b0000000-0000-4000-8000-000000000000'::uuid"
#define AGGREGATE "'ba000000-0000-4000-8000-000000000000'::uuid"

#define DIFFERENCES "SELECT sum(differences)::bigint FROM stat_differences(" W ")"

static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};
static const struct uuid node = {{0xb0, [6] = 0x40, [8] = 0x80}};
static const struct uuid aggregate = {{0xba, [6] = 0x40, [8] = 0x80}};

struct stage {
	struct component *component;
	struct feed *feed;
	uint64_t random;
};

/* An entity that a step can change: its id ends in `n`. kind c: customer, e: event, f: profile. */
struct entity {
	char kind;
	unsigned n;
};

static unsigned roll(struct stage *stage, unsigned most)
{
	stage->random = stage->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(stage->random >> 33) % most;
}

static struct uuid id_of(struct entity entity)
{
	uint8_t first = entity.kind == 'c' ? 0xc0 : entity.kind == 'e' ? 0xe0 : 0xf0;

	return (struct uuid){{first, [6] = 0x40, [8] = 0x80, [15] = (uint8_t)entity.n}};
}

static const char *text_of(struct entity entity, char out[UUID_TEXT_BYTES + 1])
{
	struct uuid id = id_of(entity);

	uuid_format(&id, out);
	return out;
}

static void add_fact(struct stage *stage, struct entity entity)
{
	feed_add(stage->feed, &(struct command){.type = COMMAND_CHANGE,
	                              .item = entity.kind == 'e' ? ENTITY_EVENT : ENTITY_CUSTOMER,
	                              .user = CHANGE_CREATE,
	                              .time_us = START_US,
	                              .workspace = workspace,
	                              .node = entity.kind == 'f' ? aggregate : node,
	                              .entity = id_of(entity)});
}

static void put_customer(struct stage *stage, struct entity customer)
{
	static const char *const contacts[] = {"{}", "{\"base\":{\"contacts\":{\"email\":\"a@b\"}}}",
	        "{\"base\":{\"contacts\":{\"mobilePhone\":\"1\"}}}",
	        "{\"base\":{\"contacts\":{\"email\":\"a@b\",\"mobilePhone\":\"1\"}}}"};
	char id[UUID_TEXT_BYTES + 1];

	component_sqlf(stage->component,
	        "INSERT INTO customers SELECT " W ", '%s', " NODE ", 1, 1, %lld, %lld, true, NULL, NULL, NULL, '%s' "
	        "WHERE NOT EXISTS (SELECT FROM customer_tombstones WHERE id = '%s') "
	        "ON CONFLICT (workspace_id, id) DO UPDATE SET doc = excluded.doc, version = customers.version + 1, "
	        "updated_us = excluded.updated_us",
	        text_of(customer, id), START_US + roll(stage, 100) * 3600000000LL,
	        START_US + roll(stage, 1000) * 3600000000LL, contacts[roll(stage, 4)], id);
}

static void delete_customer(struct stage *stage, struct entity customer)
{
	char id[UUID_TEXT_BYTES + 1];

	component_sqlf(stage->component,
	        "WITH gone AS (DELETE FROM customers WHERE id = '%s' RETURNING *) INSERT INTO customer_tombstones "
	        "SELECT workspace_id, id, node_id, registered_us, %lld FROM gone",
	        text_of(customer, id), START_US + roll(stage, 1000) * 3600000000LL);
}

static void put_event(struct stage *stage, struct entity event)
{
	static const char *const bodies[] = {"{\"properties\":{}}",
	        ("{\"properties\":{\"type\":\"sale\",\"amount\":{\"revenue\":19.99,\"total\":25},"
	         "\"products\":[{\"quantity\":3},{\"type\":\"return\",\"quantity\":1}]}}"),
	        "{\"properties\":{\"type\":\"return\",\"amount\":{\"revenue\":5.01},\"products\":[{}]}}",
	        "{\"properties\":{\"amount\":{\"revenue\":\"much\",\"total\":1e999},\"products\":7}}"};
	static const char *const types[] = {"completedOrder", "viewedPage", "abandonedCart", "searched"};
	static const char *const contexts[] = {"ECOMMERCE", "RETAIL", "WEB"};
	char id[UUID_TEXT_BYTES + 1], owner[UUID_TEXT_BYTES + 1];
	const char *session = roll(stage, 2) ? "1, 's1'" : "NULL, NULL";

	text_of((struct entity){'c', roll(stage, ENTITIES)}, owner);
	/* an event keeps its type, its registration and its binding; dates lie far back, and around midnight in Rome */
	component_sqlf(stage->component,
	        "WITH gone AS (SELECT FROM event_tombstones WHERE id = '%s'), changed AS (UPDATE events SET date_us = "
	        "%lld, version = version + 1, updated_us = %lld, body = '%s', context = '%s', "
	        "customer_id = COALESCE(customer_id, CASE WHEN %u = 0 THEN '%s'::uuid END) WHERE id = '%s' RETURNING "
	        "1) "
	        "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, "
	        "version, "
	        "bind_kind, bind_value, type, context, body) SELECT " W ", '%s', " NODE
	        ", CASE WHEN %u = 0 THEN '%s'::uuid END, %lld, %lld, %lld, 1, %s, '%s', '%s', '%s' "
	        "WHERE NOT EXISTS (SELECT FROM changed) AND NOT EXISTS (SELECT FROM gone)",
	        text_of(event, id), START_US - roll(stage, 40000) * 1800000000LL,
	        START_US + roll(stage, 1000) * 3600000000LL, bodies[roll(stage, 4)], contexts[roll(stage, 3)],
	        roll(stage, 2), owner, id, id, roll(stage, 2), owner, START_US + event.n * 3600000000LL,
	        (long long)START_US, START_US - roll(stage, 40000) * 1800000000LL, session, types[event.n % 4],
	        contexts[roll(stage, 3)], bodies[roll(stage, 4)]);
}

static void delete_event(struct stage *stage, struct entity event)
{
	char id[UUID_TEXT_BYTES + 1];

	component_sqlf(stage->component,
	        "WITH gone AS (DELETE FROM events WHERE id = '%s' RETURNING *) INSERT INTO event_tombstones "
	        "SELECT workspace_id, id, node_id, type, registered_us, %lld FROM gone",
	        text_of(event, id), START_US + roll(stage, 1000) * 3600000000LL);
}

/* A customer joins a profile, moves to another, leaves, or is excluded; both profiles' facts follow. */
static void move_member(struct stage *stage, struct entity customer, struct entity profile)
{
	char id[UUID_TEXT_BYTES + 1], profile_id[UUID_TEXT_BYTES + 1];
	static const char *const excluded[] = {"false", "false", "true"};

	text_of(customer, id);
	if (roll(stage, 4) == 0)
		component_sqlf(stage->component, "DELETE FROM aggregate_members WHERE customer_id = '%s'", id);
	else
		component_sqlf(stage->component,
		        "INSERT INTO aggregate_members VALUES (" W ", " AGGREGATE ", '%s', '%s', %s) "
		        "ON CONFLICT (workspace_id, node_id, customer_id) DO UPDATE SET profile_id = "
		        "excluded.profile_id, "
		        "excluded = excluded.excluded",
		        id, text_of(profile, profile_id), excluded[roll(stage, 3)]);
	for (unsigned n = 0; n < PROFILES; n++)
		add_fact(stage, (struct entity){'f', n});
}

/* A profile comes, or goes: it has no members, or a filter hides it. */
static void turn_profile(struct stage *stage, struct entity profile)
{
	char id[UUID_TEXT_BYTES + 1];

	component_sqlf(stage->component,
	        "WITH gone AS (DELETE FROM customers WHERE id = '%s' RETURNING 1) INSERT INTO customers SELECT " W
	        ", '%s', " AGGREGATE ", 1, 1, %lld, %lld, true, NULL, NULL, NULL, '{}' WHERE NOT EXISTS (SELECT FROM "
	        "gone)",
	        text_of(profile, id), id, (long long)START_US, (long long)START_US);
	add_fact(stage, profile);
}

/* An event that came for a profile itself. */
static void put_own_event(struct stage *stage, struct entity event, struct entity profile)
{
	char id[UUID_TEXT_BYTES + 1], owner[UUID_TEXT_BYTES + 1];

	component_sqlf(stage->component,
	        "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, "
	        "version, type, context, body) SELECT " W ", '%s', " AGGREGATE
	        ", '%s', %lld, %lld, %lld, 1, 'viewedPage', "
	        "'WEB', '{}' WHERE NOT EXISTS (SELECT FROM event_tombstones WHERE id = '%s') "
	        "ON CONFLICT (workspace_id, id, registered_us) DO UPDATE SET version = events.version + 1, "
	        "date_us = excluded.date_us",
	        text_of(event, id), text_of(profile, owner), START_US + event.n * 3600000000LL, (long long)START_US,
	        START_US - roll(stage, 40000) * 1800000000LL, id);
	add_fact(stage, event);
}

static void step(struct stage *stage)
{
	struct entity customer = {'c', roll(stage, ENTITIES)}, event = {'e', roll(stage, ENTITIES)};
	struct entity profile = {'f', roll(stage, PROFILES)};

	switch (roll(stage, 10)) {
	case 0:
	case 1:
		put_customer(stage, customer);
		add_fact(stage, customer);
		break;
	case 2:
		delete_customer(stage, customer);
		add_fact(stage, customer);
		break;
	case 3:
		delete_event(stage, event);
		add_fact(stage, event);
		break;
	case 4:
		move_member(stage, customer, profile);
		break;
	case 5:
		turn_profile(stage, profile);
		break;
	case 6:
		put_own_event(stage, (struct entity){'e', ENTITIES + roll(stage, 2) * PROFILES + profile.n}, profile);
		break;
	default:
		put_event(stage, event);
		add_fact(stage, event);
		break;
	}
	if (roll(stage, 4) == 0)
		add_fact(stage, customer); /* twice */
}

static void check_counters(struct stage *stage)
{
	assert_int_equal(
	        component_number(stage->component, "SELECT sum(differences)::bigint FROM stat_differences(" W ")"), 0);
	/* not only equal but written alike: 9.90 is not 9.9 */
	assert_int_equal(
	        component_number(stage->component, "SELECT count(*) FROM (SELECT d::text FROM stat_days d EXCEPT "
	                                           "SELECT d::text FROM stat_days_of_shares d) x"),
	        0);
	assert_int_equal(component_number(stage->component,
	                         "SELECT (SELECT count(*) FROM stat_days WHERE n <= 0) + (SELECT count(*) FROM "
	                         "stat_people WHERE n <= 0) + (SELECT count(*) FROM stat_gaps WHERE n <= 0)"),
	        0);
}

/* People of random ranges, by gaps and by looking at each of them; of buyers also those with a second order. */
static void check_people(struct stage *stage)
{
	for (int i = 0; i < 40; i++) {
		unsigned ago = roll(stage, 900), length = roll(stage, 8) ? roll(stage, 400) : 0,
		         kind = 1 + roll(stage, 3);
		const char *of_context = kind == 1 && roll(stage, 2) ? "RETAIL" : "";
		if (!component_numberf(stage->component,
		            "WITH r AS (SELECT '2027-02-01'::date - %u AS a, '2027-02-01'::date - %u + %u AS b, "
		            "ARRAY[" NODE ", " AGGREGATE
		            "] AS nodes), seen AS (SELECT sum(p.n) AS n FROM stat_people p, r WHERE p.kind = %u "
		            "AND p.day BETWEEN a AND b AND '%s' IN ('', p.context) GROUP BY p.node_id, p.person), "
		            "found AS (SELECT stat_people_between(" W ", nodes, %u::smallint, '%s', a, b) AS n, "
		            "stat_people_between(" W ", nodes, 4::smallint, '%s', a, b) AS orders FROM r) "
		            "SELECT CASE WHEN f.n = (SELECT count(*) FROM seen) AND (%u <> 1 OR f.orders - f.n = "
		            "(SELECT count(*) FROM seen WHERE n > 1)) THEN 1 ELSE 0 END FROM found f",
		            ago, ago, length, kind, of_context, kind, of_context, of_context, kind))
			fail_msg("kind %u, context '%s': %u days from %u days ago on", kind, of_context, length, ago);
	}
}

static void stage_run(struct stage *stage, uint64_t seed, size_t batch)
{
	stage->random = seed * 977 + 1;
	stage->component = component_open();
	stage->feed = feed_open(stage->component, &rollup_definition);
	component_sql(
	        stage->component, "INSERT INTO aggregate_nodes VALUES (" W ", " AGGREGATE ", 1, true, '{}', false)");
	for (int i = 0; i < STEPS; i++) {
		step(stage);
		/* facts lag behind the tables by a random number of steps */
		if (roll(stage, 5) == 0)
			feed_run(stage->feed, batch);
	}
	feed_run(stage->feed, batch);
}

static void stage_close(struct stage *stage)
{
	feed_close(stage->feed);
	component_close(stage->component);
}

static void counters_equal_a_recount_after_any_history(void **state)
{
	static const size_t batches[] = {0, 1, 7};

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct stage stage;
		stage_run(&stage, seed, batches[seed % ARRAY_LEN(batches)]);
		check_counters(&stage);
		check_people(&stage);
		assert_true(component_number(stage.component, "SELECT count(*) FROM stat_days") > 10);
		stage_close(&stage);
	}
}

/* The comparison itself sees a wrong counter, and a recount mends it. */
static void a_wrong_counter_is_found_and_repaired(void **state)
{
	struct stage stage;

	(void)state;
	stage_run(&stage, 99, 0);
	component_sql(stage.component, "UPDATE stat_days SET n = n + 1 WHERE metric = 8");
	component_sql(stage.component, "DELETE FROM stat_people WHERE kind = 2");
	assert_true(component_number(stage.component,
	                    "SELECT differences FROM stat_differences(" W ") WHERE what = 'days'") > 0);
	component_sql(stage.component, "SELECT stat_recount(" W ")");
	check_counters(&stage);
	assert_true(component_number(stage.component, "SELECT count(*) FROM stat_days") > 10);
	stage_close(&stage);
}

/* Figures by hand: one order, one return, one far back. */
static void amounts_and_days_are_those_of_the_zone(void **state)
{
	struct stage stage = {.component = component_open()};
	struct component *c = stage.component;

	(void)state;
	stage.feed = feed_open(c, &rollup_definition);
	component_sql(c, "INSERT INTO configuration VALUES (" W
	                 ", 'workspace', '', 1, 1, 0, 0, '{\"timezone\":\"Europe/London\"}')");
	/* 23:30 UTC of 30 June 2026: 1 July in London */
	component_sql(c,
	        "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, "
	        "version, type, context, body) VALUES (" W ", 'e0000000-0000-4000-8000-000000000001', " NODE
	        ", 'c0000000-0000-4000-8000-000000000001', 1, 1, 1782862200000000, 1, 'completedOrder', 'RETAIL', "
	        "'{\"properties\":{\"type\":\"sale\",\"amount\":{\"revenue\":10.10,\"total\":12},\"products\":"
	        "[{\"quantity\":2}]}}'), (" W ", 'e0000000-0000-4000-8000-000000000002', " NODE
	        ", 'c0000000-0000-4000-8000-000000000001', 1, 1, 1782862200000000, 1, 'completedOrder', 'RETAIL', "
	        "'{\"properties\":{\"type\":\"return\",\"amount\":{\"revenue\":0.35,\"total\":1},\"products\":"
	        "[{\"quantity\":1}]}}')");
	add_fact(&stage, (struct entity){'e', 1});
	add_fact(&stage, (struct entity){'e', 2});
	feed_run(stage.feed, 0);
	assert_string_equal(
	        component_text(c, "SELECT concat_ws(' ', day, n, value, total, items, returns) FROM stat_days "
	                          "WHERE metric = 8"),
	        "2026-07-01 2 9.75 11 1 1");
	assert_int_equal(component_number(c, "SELECT n FROM stat_people WHERE kind = 1"), 1);
	stage_close(&stage);
}

/* What is written down of an event against the functions that look for each value by itself, which single events are
 * read by. */
static void a_share_holds_what_the_body_says(void **state)
{
	static const char *const bodies[] = {
	        "{}",
	        "{\"properties\":null}",
	        "{\"properties\":[1,2]}",
	        "{\"properties\":\"text\"}",
	        "{\"contextInfo\":{\"properties\":{\"type\":\"return\"}}}",
	        "{\"properties\":{\"type\":null,\"amount\":null,\"products\":null}}",
	        "{\"properties\":{\"type\":5,\"amount\":7,\"products\":{\"a\":1}}}",
	        "{\"properties\":{\"type\":{\"a\":\"return\"},\"amount\":[1,2],\"products\":\"[]\"}}",
	        "{\"properties\":{\"type\":\"return\",\"amount\":\"x\",\"products\":[]}}",
	        "{\"properties\":{\"type\":\"sale\",\"amount\":{\"total\":1e2,\"revenue\":-1.25E+1},"
	        "\"products\":[{\"quantity\":1},{\"type\":\"return\"},{}]}}",
	        "{\"properties\":{\"type\":\"return\",\"amount\":{\"total\":61.50,\"revenue\":\"50.0\"},"
	        "\"products\":[{\"quantity\":2},{\"quantity\":\"3\",\"type\":\"sale\"},{\"quantity\":1.50},5,null,[1]]}"
	        "}",
	        "{\"properties\":{\"amount\":{\"revenue\":{\"x\":1},\"total\":[3]},"
	        "\"products\":[{\"quantity\":{}},{\"quantity\":true},{\"quantity\":null,\"type\":null}]}}",
	        "{\"properties\":{\"t\\u0079pe\":\"return\",\"amount\":{\"total\":12345678901234567890,\"revenue\":0.1}"
	        "}}",
	        "{\"properties\":{\"type\":\"sale\",\"type\":\"return\",\"amount\":{\"total\":1,\"total\":2}}}",
	};
	struct stage stage = {.component = component_open()};
	struct component *c = stage.component;

	(void)state;
	component_sql(c, "INSERT INTO stat_zones VALUES (" W ", 'Europe/Rome')");
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		component_sqlf(stage.component,
		        "INSERT INTO events (workspace_id, id, node_id, registered_us, updated_us, date_us, version, "
		        "type, "
		        "context, body) SELECT " W ", md5(type || %zu)::uuid, " NODE
		        ", 1, 1, 1, 1, type, 'WEB', '%s' FROM "
		        "unnest(ARRAY['completedOrder', 'abandonedCart', 'viewedPage']) AS type",
		        i, bodies[i]);
	assert_int_equal(
	        component_number(c,
	                "SELECT count(*) FROM stat_live_events s JOIN events e USING (id) WHERE (s.value::text, "
	                "s.total::text, s.items::text, s.returned) IS NOT DISTINCT FROM "
	                "(stat_amount(e.type, e.body, 'revenue')::text, "
	                "stat_amount(e.type, e.body, 'total')::text, CASE WHEN e.type = 'completedOrder' THEN "
	                "stat_items(e.body) END::text, e.type = 'completedOrder' AND COALESCE("
	                "e.body #>> '{properties,type}' = 'return', false))"),
	        3 * ARRAY_LEN(bodies));
	assert_int_equal(component_number(c, "SELECT count(*) FROM stat_live_events WHERE returned"), 4);
	assert_int_equal(component_number(c, "SELECT 10 * sum(items) FROM stat_live_events"), 35);
	component_close(c);
}

/* Money and quantities have up to 18 digits on each side of the point; what is none of that is no number. */
static void a_number_has_a_bounded_number_of_digits(void **state)
{
	struct component *c = component_open();

	(void)state;
	assert_string_equal(
	        component_text(c,
	                "SELECT string_agg(COALESCE(stat_number(v)::text, 'none'), ' ') FROM unnest(ARRAY["
	                "'0', '-0', '007', '61.50', '-12.5', '1e2', '-1.25E+1', '1e-2', '', '-', '.5', '5.', '+1', "
	                "'1 ', '1,5', '1.2.3', '--1', 'x', 'true', E'1\n']) AS v"),
	        "0 0 7 61.50 -12.5 100 -12.5 0.01 none none none none none none none none none none none none");
	/* around the length from which digits are counted, and around what may be counted */
	assert_string_equal(
	        component_text(c,
	                "SELECT string_agg((stat_number(v) IS NOT NULL)::int::text, ' ') FROM unnest(ARRAY["
	                "repeat('9', 17), repeat('9', 18), repeat('9', 19), '-' || repeat('9', 18), '1.' || "
	                "repeat('9', 16), '1.' || repeat('9', 17), '1.' || repeat('9', 18), '1.' || repeat('9', 19), "
	                "repeat('9', 18) || '.' || repeat('9', 18), repeat('9', 19) || '.1', '1e99', '1e100']) AS v"),
	        "1 1 0 1 1 1 1 0 1 0 1 0");
	component_close(c);
}

#define COUNTED(node) "SELECT COALESCE(sum(n), 0) FROM stat_days WHERE metric = 8 AND node_id = " node

/* A profile with one event of its own and one of its member; both are told of the profile's comings and goings alone.
 */
static void begin_profile(struct stage *stage)
{
	static const struct entity profile = {'f', 0}, customer = {'c', 0};
	char id[UUID_TEXT_BYTES + 1], profile_id[UUID_TEXT_BYTES + 1];

	*stage = (struct stage){.component = component_open()};
	stage->feed = feed_open(stage->component, &rollup_definition);
	component_sql(stage->component,
	        "INSERT INTO aggregate_nodes VALUES (" W ", " AGGREGATE ", 1, true, '{}', false); "
	        "INSERT INTO configuration VALUES (" W ", 'workspace', '', 1, 1, 0, 0, '{}')");
	component_sqlf(stage->component,
	        "INSERT INTO aggregate_members VALUES (" W ", " AGGREGATE ", '%s', '%s', false)", text_of(customer, id),
	        text_of(profile, profile_id));
	component_sqlf(stage->component,
	        "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, "
	        "version, type, context, body) VALUES (" W ", 'e0000000-0000-4000-8000-000000000001', " NODE
	        ", '%s', %lld, 0, 0, 1, 'viewedPage', 'WEB', '{}')",
	        id, (long long)START_US);
	turn_profile(stage, profile);
	put_own_event(stage, (struct entity){'e', 2}, profile);
	feed_run(stage->feed, 0);
	assert_int_equal(component_number(stage->component, COUNTED(AGGREGATE)), 2);
}

/* What a filter hides counts as little as it is shown: a profile's own events are those that came for it. */
static void events_of_a_profile_count_while_it_is_there(void **state)
{
	struct stage stage;

	(void)state;
	begin_profile(&stage);
	for (int i = 0; i < 3; i++) {
		component_sql(stage.component, "UPDATE aggregate_members SET excluded = true");
		turn_profile(&stage, (struct entity){'f', 0});
		feed_run(stage.feed, 0);
		check_counters(&stage);
		assert_int_equal(component_number(stage.component, COUNTED(AGGREGATE)), 0);
		assert_int_equal(component_number(stage.component, COUNTED(NODE)), 1);
		component_sql(stage.component, "UPDATE aggregate_members SET excluded = false");
		turn_profile(&stage, (struct entity){'f', 0});
		feed_run(stage.feed, 0);
		check_counters(&stage);
		assert_int_equal(component_number(stage.component, COUNTED(AGGREGATE)), 2);
	}
	stage_close(&stage);
}

/* Those of a hidden profile were counted before; what has been counted is put right once, when the definition comes. */
static void what_counted_before_is_put_right(void **state)
{
	struct stage stage;

	(void)state;
	begin_profile(&stage);
	component_sql(stage.component,
	        "CREATE OR REPLACE FUNCTION stat_counted_in(w uuid, node uuid, customer uuid) RETURNS TABLE (node_id "
	        "uuid, "
	        "customer_id uuid) LANGUAGE sql STABLE AS $$ SELECT node, customer UNION ALL SELECT m.node_id, "
	        "m.profile_id "
	        "FROM aggregate_members m WHERE m.workspace_id = w AND m.customer_id = customer AND NOT m.excluded $$; "
	        "DELETE FROM customers; UPDATE aggregate_members SET excluded = true; SELECT stat_recount(" W ")");
	assert_int_equal(component_number(stage.component, COUNTED(AGGREGATE)), 1);
	component_migrate(stage.component, "019_events_of_profiles.sql");
	check_counters(&stage);
	assert_int_equal(component_number(stage.component, COUNTED(AGGREGATE)), 0);
	assert_int_equal(component_number(stage.component, COUNTED(NODE)), 1);
	stage_close(&stage);
}

/* Orders of one buyer on one day: each time that one becomes two, or two one, or the day comes or goes, gaps move. */
static void orders_of_one_day_move_gaps_as_they_should(void **state)
{
	static const struct {
		bool comes;
		unsigned number;
		const char *context;
	} rows[] = {{true, 1, "ECOMMERCE"}, {true, 2, "ECOMMERCE"}, {true, 3, "ECOMMERCE"}, {true, 4, "RETAIL"},
	        {false, 1, ""}, {false, 2, ""}, {false, 3, ""}, {true, 5, "RETAIL"}, {false, 4, ""}, {false, 5, ""}};
	struct stage stage = {.component = component_open()};

	(void)state;
	stage.feed = feed_open(stage.component, &rollup_definition);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct entity order = {'e', rows[i].number};
		char id[UUID_TEXT_BYTES + 1], buyer[UUID_TEXT_BYTES + 1];
		if (rows[i].comes)
			component_sqlf(stage.component,
			        "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, "
			        "updated_us, date_us, version, type, context, body) VALUES (" W ", '%s', " NODE
			        ", '%s', %lld, 0, %lld, 1, 'completedOrder', '%s', '{}')",
			        text_of(order, id), text_of((struct entity){'c', 0}, buyer), (long long)START_US,
			        (long long)START_US, rows[i].context);
		else
			delete_event(&stage, order);
		add_fact(&stage, order);
		feed_run(stage.feed, 0);
		check_counters(&stage);
	}
	assert_int_equal(component_number(stage.component, "SELECT count(*) FROM stat_gaps"), 0);
	stage_close(&stage);
}

/* Entities that nobody has counted, as after a replay; an unknown zone; sums that have been longer. */
static void what_was_not_counted_is_found(void **state)
{
	struct stage stage = {.component = component_open()};
	struct component *c = stage.component;

	(void)state;
	stage.feed = feed_open(c, &rollup_definition);
	component_sql(c, "INSERT INTO configuration VALUES (" W
	                 ", 'workspace', '', 1, 1, 0, 0, '{\"timezone\":\"Nowhere/Town\"}')");
	assert_int_equal(component_number(c, DIFFERENCES), 0);
	for (unsigned n = 0; n < 12; n++)
		put_event(&stage, (struct entity){'e', n});
	assert_int_equal(component_number(c, DIFFERENCES), 1);
	component_sql(c, "SELECT stat_recount(" W ")");
	assert_int_equal(component_number(c, DIFFERENCES), 0);
	assert_string_equal(component_text(c, "SELECT zone FROM stat_zones"), "Europe/Rome");
	assert_true(component_number(c, "SELECT count(*) FROM stat_shares") == 12);
	component_sql(c, "UPDATE configuration SET doc = '{\"timezone\":\"Asia/Tokyo\"}'");
	assert_int_equal(component_number(c, DIFFERENCES), 1);
	stage_close(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(counters_equal_a_recount_after_any_history),
	        cmocka_unit_test(a_wrong_counter_is_found_and_repaired),
	        cmocka_unit_test(amounts_and_days_are_those_of_the_zone),
	        cmocka_unit_test(a_share_holds_what_the_body_says),
	        cmocka_unit_test(a_number_has_a_bounded_number_of_digits),
	        cmocka_unit_test(events_of_a_profile_count_while_it_is_there),
	        cmocka_unit_test(what_counted_before_is_put_right),
	        cmocka_unit_test(orders_of_one_day_move_gaps_as_they_should),
	        cmocka_unit_test(what_was_not_counted_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
