/* event-ingest on real PostgreSQL, batch by batch: what becomes of the tables, however the logs are cut and
 * interleaved. */

#include "common/arena.h"
#include "common/buf.h"
#include "common/event.h"
#include "tests/component/feed.h"
#include "workers/customer_merge/customer_merge.h"
#include "workers/event_ingest/ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Random logs that are compared. */
#ifndef SEEDS
#define SEEDS 4
#endif
#define LOG_LENGTH 200
#define START_US 1800000000000000
#define STEP_US 10000
#define CUSTOMERS 6
#define VALUES 4

static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};
static const struct uuid node = {{0xb0, [6] = 0x40, [8] = 0x80}};
static const struct uuid source = {{0xc0, [6] = 0x40, [8] = 0x80}};

struct stage {
	struct component *component;
	struct feed *merge, *ingest;
	struct customer_merge_state *state;
	struct arena *arena;
	int64_t time_us;
	uint64_t serial;
	bool with_emptying; /* of random logs */
	uint64_t gone;      /* customers that a random log has removed by emptying the node */
};

static struct uuid numbered(uint8_t kind, uint64_t n)
{
	return (struct uuid){{kind, [6] = 0x40, [8] = 0x80, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
}

static struct uuid customer_id(uint64_t n)
{
	return numbered(0xd0, n);
}

static struct uuid event_id(uint64_t n)
{
	return numbered(0xe0, n);
}

static struct stage *stage_open(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct err err = {0};

	assert_non_null(stage);
	stage->component = component_open();
	stage->arena = arena_new(64 * 1024 * 1024);
	stage->merge = feed_open(stage->component, &customer_merge);
	stage->ingest = feed_open(stage->component, &event_ingest_definition);
	stage->state = customer_merge_open(feed_db(stage->merge), false, &err);
	assert_non_null(stage->state);
	feed_set_state(stage->merge, stage->state);
	stage->time_us = START_US;
	return stage;
}

static void stage_close(struct stage *stage)
{
	customer_merge_close(stage->state);
	feed_close(stage->merge);
	feed_close(stage->ingest);
	component_close(stage->component);
	arena_free(stage->arena);
	free(stage);
}

static struct command begin(struct stage *stage, enum command_type type)
{
	stage->time_us += STEP_US;
	return (struct command){.type = (uint8_t)type,
	        .time_us = stage->time_us,
	        .id = numbered(0xf0, ++stage->serial),
	        .workspace = workspace,
	        .node = node,
	        .source = source};
}

static void add_customer_command(
        struct stage *stage, enum command_type type, uint64_t customer, const char *text, const char *body)
{
	struct command command = begin(stage, type);

	command.entity = customer_id(customer);
	command.text = str_of(text);
	command.body = str_of(body);
	feed_add(stage->merge, &command);
}

/* What a test says about a command on an event. */
struct order {
	enum command_type type;
	uint64_t event;
	uint64_t customer;   /* number, when it names one */
	const char *session; /* or a session value, */
	const char *external_id;
	const char *context, *json;
	int64_t date_us; /* 0 = none */
	bool keyed;
	bool answered; /* somebody waits */
	bool again;    /* a dead letter that an operator sends again: the same event by another command */
};

static struct uuid add_event_command(struct stage *stage, const struct order *order)
{
	struct command command = begin(stage, order->type);
	struct buf body;

	command.entity = event_id(order->event);
	if (order->type == COMMAND_EVENT_POST && !order->again)
		command.id = command.entity; /* as gateways do */
	if (order->session || order->external_id) {
		command.flags = order->session ? COMMAND_BRING_BACK | COMMAND_SESSION_BIND : COMMAND_BRING_BACK;
		command.text = str_of(order->session ? order->session : order->external_id);
	} else {
		command.subject = customer_id(order->customer);
	}
	if (order->keyed)
		command.flags |= COMMAND_KEYED;
	command.reply.boot = order->answered;
	if (order->type != COMMAND_EVENT_DELETE) {
		buf_init(&body, stage->arena, 256);
		event_body_encode(&body, &(struct event_body){.type = STR("viewedPage"),
		                                 .context = str_of(order->type == COMMAND_EVENT_PATCH ? ""
		                                                   : order->context                   ? order->context
		                                                                                      : "WEB"),
		                                 .has_date = order->date_us,
		                                 .date_us = order->date_us,
		                                 .json = str_of(order->json ? order->json : "{\"properties\":{}}")});
		command.body = buf_str(&body);
	}
	feed_add(stage->ingest, &command);
	return command.id;
}

#define ADD(stage, kind, ...) add_event_command((stage), &(struct order){.type = (kind), ##__VA_ARGS__})

static long long number(struct stage *stage, const char *sql)
{
	return component_number(stage->component, sql);
}

static const char *text(struct stage *stage, const char *sql)
{
	return component_text(stage->component, sql);
}

/* --- one batch --- */

#define STREAM                                                                                                         \
	"SELECT coalesce(string_agg(operation || ':' || right(entity_id::text, 1) || ':' || version, ' ' ORDER BY "    \
	"stream_offset), '') FROM update_stream"

static void a_life_in_one_batch(void **state)
{
	struct stage *stage = stage_open();

	(void)state;
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1, .json = "{\"properties\":{\"a\":1.50}}");
	ADD(stage, COMMAND_EVENT_POST, .event = 2, .session = "s", .date_us = -5);
	ADD(stage, COMMAND_EVENT_PATCH, .event = 1, .customer = 1, .json = "{\"properties\":{\"b\":2}}");
	ADD(stage, COMMAND_EVENT_PUT, .event = 2, .session = "s", .context = "MOBILE",
	        .json = "{\"properties\":{\"c\":3}}");
	ADD(stage, COMMAND_EVENT_POST, .event = 3, .customer = 1);
	ADD(stage, COMMAND_EVENT_DELETE, .event = 3, .customer = 1);
	ADD(stage, COMMAND_EVENT_PUT, .event = 3, .customer = 1);
	feed_run(stage->ingest, 0);
	assert_int_equal(number(stage, "SELECT count(*) FROM events"), 2);
	assert_string_equal(text(stage, "SELECT body->'properties' FROM events WHERE customer_id IS NOT NULL"),
	        "{\"a\":1.50,\"b\":2}");
	assert_string_equal(
	        text(stage, "SELECT version || ' ' || bind_kind || ' ' || bind_value || ' ' || context || ' ' "
	                    "|| date_us || ' ' || (updated_us - registered_us) FROM events WHERE customer_id "
	                    "IS NULL"),
	        "2 1 s MOBILE -5 20000");
	assert_string_equal(text(stage, "SELECT type || ' ' || (deleted_us - registered_us) FROM event_tombstones"),
	        "viewedPage 10000");
	assert_string_equal(text(stage, STREAM), "1:1:1 1:2:1 2:1:2 2:2:2 1:3:1 3:3:1");
	assert_int_equal(number(stage, "SELECT count(*) FROM dead_letters"), 0);
	stage_close(stage);
}

/* One row of the stream for changes that follow each other, in their order; another kind or node begins another. */
static void changes_of_a_batch_are_runs(void **state)
{
	struct stage *stage = stage_open();

	(void)state;
	for (uint64_t i = 0; i < 150; i++)
		ADD(stage, COMMAND_EVENT_POST, .event = 149 - i, .customer = 1);
	ADD(stage, COMMAND_EVENT_DELETE, .event = 0, .customer = 1);
	feed_run(stage->ingest, 0);
	assert_string_equal(text(stage, "SELECT string_agg(cardinality(operations) || ':' || last_offset, ' ' "
	                                "ORDER BY last_offset) FROM stream_runs"),
	        "64:64 64:128 23:151");
	assert_int_equal(number(stage, "SELECT count(*) FROM update_stream s JOIN (SELECT id, rank() OVER (ORDER BY "
	                               "registered_us) AS place FROM events) e ON e.id = s.entity_id "
	                               "AND e.place = s.stream_offset"),
	        149);
	assert_int_equal(number(stage, "SELECT operation FROM update_stream WHERE stream_offset = 151"), 3);
	stage_close(stage);
}

static void answers(void **state)
{
	struct stage *stage = stage_open();

	(void)state;
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1, .keyed = true);
	ADD(stage, COMMAND_EVENT_PUT, .event = 1, .customer = 1, .answered = true);
	ADD(stage, COMMAND_EVENT_DELETE, .event = 1, .customer = 1, .answered = true);
	ADD(stage, COMMAND_EVENT_DELETE, .event = 1, .customer = 1, .answered = true);
	ADD(stage, COMMAND_EVENT_PATCH, .event = 9, .customer = 1, .answered = true);
	ADD(stage, COMMAND_EVENT_POST, .event = 2, .customer = 1);
	feed_run(stage->ingest, 0);
	assert_string_equal(
	        text(stage, "SELECT string_agg(status::text, ' ' ORDER BY created_us) FROM command_results"),
	        "202 202 204 404 404");
	assert_string_equal(text(stage, "SELECT body->>'id' FROM command_results ORDER BY created_us LIMIT 1"),
	        "e0000000-0000-4000-8000-000000000001");
	stage_close(stage);
}

/* By an operator, or with a key that has been forgotten. */
static void an_event_is_posted_once(void **state)
{
	struct stage *stage = stage_open();

	(void)state;
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1);
	ADD(stage, COMMAND_EVENT_POST, .event = 2, .customer = 1, .keyed = true);
	feed_run(stage->ingest, 0);
	component_sql(stage->component, "DELETE FROM command_results");
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1, .again = true);
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1, .again = true);
	feed_run(stage->ingest, 1);
	ADD(stage, COMMAND_EVENT_POST, .event = 2, .customer = 1, .keyed = true);
	ADD(stage, COMMAND_EVENT_POST, .event = 3, .customer = 1);
	feed_run(stage->ingest, 0);
	assert_int_equal(number(stage, "SELECT count(*) FROM events"), 3);
	assert_string_equal(text(stage, "SELECT status || ' ' || (body ->> 'id') FROM command_results"),
	        "202 e0000000-0000-4000-8000-000000000002");
	assert_int_equal(number(stage, "SELECT count(*) FROM update_stream"), 3);
	stage_close(stage);
}

static struct str small_body(struct stage *stage)
{
	struct buf body;

	buf_init(&body, stage->arena, 256);
	event_body_encode(
	        &body, &(struct event_body){
	                       .type = STR("viewedPage"), .context = STR("WEB"), .json = STR("{\"properties\":{}}")});
	return buf_str(&body);
}

/* As Kafka's log may hold it, whoever applied the first one. */
static void a_second_copy_of_a_record_makes_no_event(void **state)
{
	struct stage *stage = stage_open();
	struct command command = begin(stage, COMMAND_EVENT_POST);

	(void)state;
	command.id = command.entity = event_id(1);
	command.subject = customer_id(1);
	command.body = small_body(stage);
	feed_add(stage->ingest, &command);
	ADD(stage, COMMAND_EVENT_POST, .event = 2, .customer = 1);
	feed_add(stage->ingest, &command);
	feed_run(stage->ingest, 1);
	feed_add(stage->ingest, &command);
	ADD(stage, COMMAND_EVENT_POST, .event = 3, .customer = 1);
	feed_add(stage->ingest, &command);
	feed_run(stage->ingest, 0);
	assert_int_equal(number(stage, "SELECT count(*) FROM events"), 3);
	assert_int_equal(number(stage, "SELECT count(*) FROM update_stream"), 3);
	stage_close(stage);
}

/* Whether repeats come in one batch or in two must not show: a replay has other batches. */
static void the_first_of_two_posts_in_a_batch_counts(void **state)
{
	struct stage *stage = stage_open();
	int64_t first_us;

	(void)state;
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1, .again = true);
	first_us = stage->time_us;
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1, .again = true);
	feed_run(stage->ingest, 0);
	assert_int_equal(number(stage, "SELECT registered_us FROM events"), first_us);
	assert_int_equal(number(stage, "SELECT count(*) FROM update_stream"), 1);
	stage_close(stage);
}

/* The first of each key counts; what comes under it later is a repeat or a conflict. */
static void a_key_counts_once_in_a_batch(void **state)
{
	struct stage *stage = stage_open();

	(void)state;
	for (uint64_t i = 0; i < 300; i++) {
		struct command command = begin(stage, COMMAND_EVENT_POST);
		command.id = numbered(0xf1, i % 100);
		command.flags = COMMAND_KEYED;
		command.fingerprint = i < 200 ? 1 : i % 2;
		command.entity = event_id(i);
		command.subject = customer_id(1);
		command.body = small_body(stage);
		feed_add(stage->ingest, &command);
	}
	feed_run(stage->ingest, 250);
	assert_int_equal(number(stage, "SELECT count(*) FROM events"), 100);
	assert_int_equal(number(stage, "SELECT max(('x' || right(id::text, 4))::bit(16)::int) FROM events"), 99);
	assert_int_equal(number(stage, "SELECT count(*) FROM command_results WHERE status = 202"), 100);
	stage_close(stage);
}

static void what_cannot_be_applied_is_set_aside(void **state)
{
	struct stage *stage = stage_open();
	struct command command;

	(void)state;
	ADD(stage, COMMAND_EVENT_PUT, .event = 9, .customer = 1);
	command = begin(stage, COMMAND_EVENT_POST);
	command.body = STR("no event");
	command.subject = customer_id(1);
	feed_add(stage->ingest, &command);
	command = begin(stage, COMMAND_CUSTOMER_PUT);
	feed_add(stage->ingest, &command);
	ADD(stage, COMMAND_EVENT_POST, .event = 1, .customer = 1);
	ADD(stage, COMMAND_EVENT_PATCH, .event = 1, .customer = 1, .json = "{\"properties\":");
	feed_run(stage->ingest, 0);
	assert_int_equal(number(stage, "SELECT count(*) FROM dead_letters"), 4);
	assert_int_equal(number(stage, "SELECT count(*) FROM events WHERE version = 1"), 1);
	stage_close(stage);
}

#define EMPTIED_US (START_US + 50000)

/* The subquery of the statement that reads the facts against the function that customer-merge uses. */
static void bindings_mean_the_same_to_both_workers(void **state)
{
	struct stage *stage = stage_open();
	unsigned seed = 5;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		long long bound = START_US + rand_r(&seed) % 100 * 1000;
		component_sql(
		        stage->component, arena_printf(stage->arena,
		                                  "INSERT INTO bindings SELECT '%s', '%s', 1, '%c', %lld, '%s', %lld "
		                                  "ON CONFLICT DO NOTHING",
		                                  "a0000000-0000-4000-8000-000000000000",
		                                  "b0000000-0000-4000-8000-000000000000", 'a' + rand_r(&seed) % 3,
		                                  bound, arena_printf(stage->arena, "d0000000-0000-4000-8000-%012u", i),
		                                  rand_r(&seed) % 2 ? INT64_MAX : bound + rand_r(&seed) % 30 * 1000));
	}
	component_sql(
	        stage->component, arena_printf(stage->arena,
	                                  "INSERT INTO node_emptyings (workspace_id, node_id, time_us, partition, "
	                                  "customers) SELECT workspace_id, node_id, %lld, 0, true FROM bindings "
	                                  "UNION SELECT workspace_id, node_id, %lld, 0, false FROM bindings",
	                                  (long long)EMPTIED_US, (long long)EMPTIED_US + 30000));
	for (unsigned i = 0; i < 150; i++) {
		static const char *const values[] = {"a", "b", "c", "d"};
		stage->time_us = START_US + i * 730 - STEP_US;
		ADD(stage, COMMAND_EVENT_POST, .event = i, .session = values[rand_r(&seed) % 4]);
	}
	feed_run(stage->ingest, 0);
	assert_int_equal(number(stage, "SELECT count(*) FROM events"), 150);
	assert_int_equal(number(stage, "SELECT count(*) FROM events WHERE customer_id IS DISTINCT FROM binding_at("
	                               "workspace_id, node_id, bind_kind, bind_value, registered_us)"),
	        0);
	assert_true(number(stage, "SELECT count(*) FROM events WHERE customer_id IS NOT NULL") > 20);
	/* none of those who are to go is meant since then */
	assert_int_equal(number(stage, arena_printf(stage->arena,
	                                       "SELECT count(*) FROM events e JOIN bindings b ON b.customer_id = "
	                                       "e.customer_id WHERE e.registered_us >= %lld AND b.bound_us < %lld",
	                                       (long long)EMPTIED_US, (long long)EMPTIED_US)),
	        0);
	stage_close(stage);
}

/* --- random logs --- */

static const char *const values[VALUES] = {"v0", "v1", "v2", "v3"};

/* One that is there, or now and then one that went with the node's others. */
static uint64_t random_customer(const struct stage *stage, unsigned *seed)
{
	uint64_t back = stage->gone && rand_r(seed) % 4 == 0 ? CUSTOMERS : 0;

	return 1 + stage->gone - back + (uint64_t)(rand_r(seed) % CUSTOMERS);
}

static void add_customers(struct stage *stage)
{
	for (uint64_t i = 1; i <= CUSTOMERS; i++)
		add_customer_command(stage, COMMAND_CUSTOMER_POST, stage->gone + i, NULL, "{\"extra\":\"x\"}");
}

static void add_emptying(struct stage *stage, bool events_only)
{
	const char *seq = arena_printf(stage->arena, "%llu", (unsigned long long)(100 + stage->serial));

	add_customer_command(stage, COMMAND_NODE_EMPTY, 0, seq, events_only ? "{\"eventsOnly\":true}" : "{}");
	if (events_only)
		return;
	stage->gone += CUSTOMERS;
	add_customers(stage);
}

static void add_random_customer_command(struct stage *stage, unsigned *seed)
{
	uint64_t customer = random_customer(stage, seed);
	const char *value = values[rand_r(seed) % VALUES];
	const char *body =
	        arena_printf(stage->arena, "{\"extra\":\"%d\",\"externalId\":\"%s\"}", rand_r(seed) % 100, value);

	if (stage->with_emptying && rand_r(seed) % 12 == 0) {
		add_emptying(stage, rand_r(seed) % 3 == 0);
		return;
	}
	switch (rand_r(seed) % 8) {
	case 0:
	case 1:
		add_customer_command(stage, COMMAND_CUSTOMER_POST, 100 + stage->serial, NULL, "{\"extra\":\"x\"}");
		break;
	case 2:
	case 3:
		add_customer_command(stage, COMMAND_SESSION_POST, customer, value, NULL);
		break;
	case 4:
		add_customer_command(stage, COMMAND_CUSTOMER_ENSURE, 500 + stage->serial, value, NULL);
		break;
	case 5:
	case 6:
		add_customer_command(stage, COMMAND_CUSTOMER_PATCH, customer, NULL, body);
		break;
	default:
		add_customer_command(stage, COMMAND_CUSTOMER_DELETE, customer, NULL, NULL);
		break;
	}
}

static void add_random_event_command(struct stage *stage, unsigned *seed, struct order *posts, size_t *n_posts)
{
	struct order order = {.type = COMMAND_EVENT_POST, .event = *n_posts};
	int what = rand_r(seed) % 10;

	if (what < 7 || !*n_posts) {
		if (what < 2)
			order.customer = random_customer(stage, seed);
		else if (what < 5)
			order.session = values[rand_r(seed) % VALUES];
		else
			order.external_id = values[rand_r(seed) % VALUES];
		posts[(*n_posts)++] = order;
	} else {
		static const enum command_type types[] = {
		        COMMAND_EVENT_PUT, COMMAND_EVENT_PATCH, COMMAND_EVENT_PATCH, COMMAND_EVENT_DELETE};
		order = posts[rand_r(seed) % (int)*n_posts];
		order.type = types[rand_r(seed) % 4];
		order.json =
		        arena_printf(stage->arena, "{\"properties\":{\"k%d\":%d}}", rand_r(seed) % 3, rand_r(seed));
	}
	/* emptying goes by dates, which may change meanwhile */
	if (stage->with_emptying)
		order.date_us = START_US + rand_r(seed) % 10 * STEP_US;
	add_event_command(stage, &order);
}

/* The same log for the same seed. */
static void fill(struct stage *stage, unsigned seed)
{
	struct order *posts = arena_zalloc(stage->arena, LOG_LENGTH * sizeof(*posts));
	size_t n_posts = 0;

	add_customer_command(stage, COMMAND_NODE_RULES, 0, "1", "{}");
	add_customers(stage);
	for (size_t i = 0; i < LOG_LENGTH; i++) {
		if (rand_r(&seed) % 3)
			add_random_event_command(stage, &seed, posts, &n_posts);
		else
			add_random_customer_command(stage, &seed);
	}
}

static void customers_first(struct stage *stage)
{
	feed_run(stage->merge, 50);
	feed_run(stage->ingest, 50);
}

static void events_first(struct stage *stage)
{
	feed_run(stage->ingest, 7);
	feed_run(stage->merge, 0);
}

static void by_turns(struct stage *stage)
{
	unsigned seed = 77;

	while (feed_queued(stage->merge) || feed_queued(stage->ingest)) {
		feed_run_some(stage->merge, (size_t)rand_r(&seed) % 5);
		feed_run_some(stage->ingest, (size_t)rand_r(&seed) % 9);
	}
}

static void one_by_one(struct stage *stage)
{
	while (feed_queued(stage->merge) || feed_queued(stage->ingest)) {
		feed_run_some(stage->ingest, 1);
		feed_run_some(stage->merge, 1);
	}
}

#define EMPTYINGS "SELECT count(*) FROM node_emptyings"
/* The statistics would count it twice, which they refuse to. */
#define LIVE_AND_GONE                                                                                                  \
	"SELECT (SELECT count(*) FROM events JOIN event_tombstones USING (workspace_id, id)) + "                       \
	"(SELECT count(*) FROM customers JOIN customer_tombstones USING (workspace_id, id))"

/* A node that is emptied loses a row or two at a time, between other commands. */
static void in_small_steps(struct stage *stage)
{
	unsigned seed = 78;
	long long most = 0;

	customer_merge_empty_at_once(stage->state, 2);
	while (feed_queued(stage->merge) || feed_queued(stage->ingest)) {
		feed_run_some(stage->merge, (size_t)rand_r(&seed) % 5);
		feed_run_some(stage->ingest, (size_t)rand_r(&seed) % 9);
		for (int n = rand_r(&seed) % 3; n > 0; n--)
			feed_background(stage->merge);
		long long now = number(stage, EMPTYINGS);
		most = now > most ? now : most;
		if (now)
			assert_int_equal(number(stage, LIVE_AND_GONE), 0);
	}
	assert_true(most > 1); /* emptied again before it was empty */
}

/* What is emptied in the end has been there for all commands that came after. */
static void in_small_steps_at_the_end(struct stage *stage)
{
	customer_merge_empty_at_once(stage->state, 1);
	events_first(stage);
	assert_true(number(stage, EMPTYINGS) > 1);
}

/* Events come when a node has been emptied again and again, and who it was emptied of is there still. */
static void in_small_steps_before_the_events(struct stage *stage)
{
	customer_merge_empty_at_once(stage->state, 1);
	feed_run(stage->merge, 50);
	assert_true(number(stage, EMPTYINGS) > 1);
	feed_run(stage->ingest, 50);
}

static const char *const compared[] = {
        "events", "event_tombstones", "customers", "customer_tombstones", "bindings", "node_rules", "customer_heads"};

static const char *table_hash(struct stage *stage, const char *table)
{
	return text(stage, arena_printf(stage->arena,
	                           "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), "
	                           "'') FROM %s t",
	                           table));
}

static void run_order(unsigned seed, bool with_emptying, void (*run)(struct stage *stage), char hashes[][64], bool keep)
{
	struct stage *stage = stage_open();

	stage->with_emptying = with_emptying;
	fill(stage, seed);
	run(stage);
	while (number(stage, EMPTYINGS))
		feed_background(stage->merge);
	for (size_t i = 0; i < ARRAY_LEN(compared); i++) {
		const char *hash = table_hash(stage, compared[i]);
		if (keep)
			snprintf(hashes[i], sizeof(hashes[i]), "%s", hash);
		else if (strcmp(hashes[i], hash))
			fail_msg("seed %u: %s: %s, first %s", seed, compared[i], hash, hashes[i]);
	}
	assert_int_equal(number(stage, "SELECT count(*) FROM dead_letters"), 0);
	stage_close(stage);
}

static void the_order_of_the_two_logs_does_not_show(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		char hashes[ARRAY_LEN(compared)][64];

		run_order(seed, false, customers_first, hashes, true);
		run_order(seed, false, events_first, hashes, false);
		run_order(seed, false, by_turns, hashes, false);
		run_order(seed, false, one_by_one, hashes, false);
	}
}

/* Emptied at once, or in steps between any commands: the tables are the same in the end. */
static void emptying_a_node_in_steps_does_not_show(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		char hashes[ARRAY_LEN(compared)][64];

		run_order(seed, true, customers_first, hashes, true);
		run_order(seed, true, events_first, hashes, false);
		run_order(seed, true, in_small_steps, hashes, false);
		run_order(seed, true, in_small_steps_at_the_end, hashes, false);
		run_order(seed, true, in_small_steps_before_the_events, hashes, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_life_in_one_batch),
	        cmocka_unit_test(changes_of_a_batch_are_runs),
	        cmocka_unit_test(answers),
	        cmocka_unit_test(an_event_is_posted_once),
	        cmocka_unit_test(a_second_copy_of_a_record_makes_no_event),
	        cmocka_unit_test(the_first_of_two_posts_in_a_batch_counts),
	        cmocka_unit_test(a_key_counts_once_in_a_batch),
	        cmocka_unit_test(what_cannot_be_applied_is_set_aside),
	        cmocka_unit_test(bindings_mean_the_same_to_both_workers),
	        cmocka_unit_test(the_order_of_the_two_logs_does_not_show),
	        cmocka_unit_test(emptying_a_node_in_steps_does_not_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
