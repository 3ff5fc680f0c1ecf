/* customer-merge on real PostgreSQL, batch by batch, without a process or Kafka between: what becomes of the tables. */

#include "common/arena.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/locks.h"
#include "common/worker_batch.h"
#include "tests/component/component.h"
#include "workers/customer_merge/customer_merge.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Random logs that are compared. */
#ifndef SEEDS
#define SEEDS 3
#endif
#define MAX_QUEUED 256
#define START_US 1800000000000000
#define W "a0000000-0000-4000-8000-000000000001"
#define N1 "b0000000-0000-4000-8000-000000000001"
#define N2 "b0000000-0000-4000-8000-000000000002"
#define SOURCE "c0000000-0000-4000-8000-000000000001"

/* One worker with its own schema. */
struct bench {
	struct component *component;
	struct db *db;
	struct customer_merge_state *state;
	struct arena *batch_arena; /* of a batch */
	struct arena *arena;       /* of the records */
	struct partition_position positions[1];
	rd_kafka_message_t messages[MAX_QUEUED];
	rd_kafka_message_t *pointers[MAX_QUEUED];
	size_t n;
	int64_t offset;
	int64_t time_us;
	uint64_t serial;
};

static struct uuid id_of(const char *text)
{
	struct uuid id;

	assert_true(uuid_parse(str_of(text), &id));
	return id;
}

/* The n-th customer of a test. */
static struct uuid customer_id(unsigned n)
{
	char text[UUID_TEXT_BYTES + 1];

	snprintf(text, sizeof(text), "d0000000-0000-4000-8000-%012x", n);
	return id_of(text);
}

static struct bench *bench_open(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct err err = {0};

	assert_non_null(bench);
	bench->component = component_open();
	bench->arena = arena_new(64UL * 1024 * 1024);
	bench->batch_arena = arena_new(BATCH_ARENA_BYTES);
	bench->time_us = START_US;
	bench->positions[0] = (struct partition_position){.owned = true};
	component_sql(bench->component,
	        "INSERT INTO consumer_offsets VALUES ('customer-merge', 'customer-commands', 0, 0, 0), "
	        "('event-ingest', 'event-commands', 0, 0, 4000000000000000)");
	bench->db = db_open(component_settings(bench->component), "test", &err);
	if (!bench->db || !db_prepare(bench->db, runtime_statements, runtime_statement_count, &err) ||
	        !db_prepare(bench->db, customer_merge.statements, customer_merge.n_statements, &err))
		fail_msg("%s", err.message);
	bench->state = customer_merge_open(bench->db, false, &err);
	assert_non_null(bench->state);
	return bench;
}

static void bench_close(struct bench *bench)
{
	customer_merge_close(bench->state);
	db_close(bench->db);
	component_close(bench->component);
	arena_free(bench->arena);
	arena_free(bench->batch_arena);
	free(bench);
}

/* JSON with single quotes. */
static struct str json_text_of(struct bench *bench, const char *text)
{
	struct str copy = arena_str(bench->arena, str_of(text));

	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] == '\'')
			((char *)copy.p)[i] = '"';
	return copy;
}

/* What a test says about a command; the rest has defaults. */
struct order {
	enum command_type type;
	unsigned customer; /* number of the customer that the command names, or that a POST makes */
	const char *node;  /* default N1 */
	const char *text, *body;
	enum item_kind item;
	unsigned flags;
	int64_t at_us; /* default: a second after the one before */
};

/* Commands carry a key, so that the table of results holds their answers whole. */
static struct uuid queue_order(struct bench *bench, const struct order *order)
{
	struct uuid workspace = id_of(W);
	struct command command = {.type = (uint8_t)order->type,
	        .item = (uint8_t)order->item,
	        .flags = (uint16_t)(order->flags | COMMAND_KEYED),
	        .workspace = workspace,
	        .node = id_of(order->node ? order->node : N1),
	        .entity = customer_id(order->customer),
	        .source = id_of(SOURCE),
	        .text = str_of(order->text),
	        .body = order->body ? json_text_of(bench, order->body) : STR_NONE};
	struct buf record;

	bench->time_us = order->at_us ? order->at_us : bench->time_us + 1000000;
	command.time_us = bench->time_us;
	command.id = uuid_derive(&workspace, ++bench->serial);
	buf_init(&record, bench->arena, 512);
	command_encode(&record, &command);
	assert_true(bench->n < MAX_QUEUED);
	bench->messages[bench->n] =
	        (rd_kafka_message_t){.payload = record.p, .len = record.n, .offset = bench->offset++};
	bench->pointers[bench->n] = &bench->messages[bench->n];
	bench->n++;
	return command.id;
}

#define ORDER(bench, kind, number, ...)                                                                                \
	queue_order((bench), &(struct order){.type = (kind), .customer = (number), ##__VA_ARGS__})

static bool try_batch(struct bench *bench, bool background, struct err *err)
{
	struct batch *batch;

	arena_reset(bench->batch_arena);
	batch = batch_new(&(struct batch_context){.definition = &customer_merge,
	        .db = bench->db,
	        .state = bench->state,
	        .arena = bench->batch_arena,
	        .positions = bench->positions,
	        .n_positions = background ? 1 : 0,
	        .background = background,
	        .messages = bench->pointers,
	        .n_messages = background ? 0 : bench->n});
	return batch_run(batch, err);
}

static void background(struct bench *bench)
{
	struct err err = {0};

	if (!try_batch(bench, true, &err))
		fail_msg("%s", err.message);
}

/* Everything queued is one batch. */
static void run(struct bench *bench)
{
	struct err err = {0};

	if (!try_batch(bench, false, &err))
		fail_msg("%s", err.message);
	bench->n = 0;
	arena_reset(bench->arena);
}

static const char *id_text(const struct uuid *id)
{
	static char text[UUID_TEXT_BYTES + 1];

	uuid_format(id, text);
	return text;
}

static long long number(struct bench *bench, const char *sql)
{
	return component_number(bench->component, sql);
}

static const char *text(struct bench *bench, const char *sql)
{
	return component_text(bench->component, sql);
}

static int status_of(struct bench *bench, const struct uuid *command)
{
	return (int)component_numberf(
	        bench->component, "SELECT status FROM command_results WHERE command_id = '%s'", id_text(command));
}

/* Something inside the answer of a command, by a path of PostgreSQL: "base,firstName". */
static const char *answer_of(struct bench *bench, const struct uuid *command, const char *path)
{
	char sql[300];

	snprintf(sql, sizeof(sql), "SELECT body #>> '{%s}' FROM command_results WHERE command_id = '%s'", path,
	        id_text(command));
	return text(bench, sql);
}

#define assert_answer(bench, command, path, expected)                                                                  \
	assert_string_equal(answer_of((bench), &(command), (path)), (expected))
#define assert_status(bench, command, expected) assert_int_equal(status_of((bench), &(command)), (expected))

static void give_rules(struct bench *bench, const char *node, const char *seq, const char *document)
{
	ORDER(bench, COMMAND_NODE_RULES, 0, .node = node, .text = seq, .body = document);
}

#define ON_EXTERNAL_ID "{'uniqueCustomer':{'properties':['externalId'],'caseSensitive':false}}"
#define ON_EMAIL "{'uniqueCustomer':{'properties':['base.contacts.email']}}"

/* An event in the table, as event-ingest would have left it. */
static void put_event(struct bench *bench, unsigned n, const char *customer, const char *kind, const char *value,
        int64_t registered_us)
{
	component_sqlf(bench->component,
	        "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, "
	        "version, "
	        "bind_kind, type, context, bind_value, body) VALUES ('" W "', 'e0000000-0000-4000-8000-%012x', '" N1
	        "', %s, %lld, 0, 0, 1, %s, 'viewedPage', 'WEB', %s, '{}')",
	        n, customer, (long long)registered_us, kind, value);
}

/* The number of the customer that an event belongs to: 0 = it waits, -1 = it is gone. */
static int owner_of(struct bench *bench, unsigned n)
{
	return (int)component_numberf(bench->component,
	        "SELECT coalesce((SELECT coalesce(('x' || right(customer_id::text, 6))::bit(24)::int, 0) FROM events "
	        "WHERE id = 'e0000000-0000-4000-8000-%012x'), -1)",
	        n);
}

/* --- customers --- */

static void test_life_in_one_batch(void **state)
{
	struct bench *bench = bench_open();
	struct uuid made, merged, patched, other, conflict, gone, missing;

	(void)state;
	give_rules(bench, N1, "1", ON_EMAIL);
	made = ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'base':{'firstName':'A','contacts':{'email':'a@b'}}}");
	merged = ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'base':{'lastName':'L','contacts':{'email':'A@B'}}}");
	patched = ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'extra':'x'}");
	other = ORDER(bench, COMMAND_CUSTOMER_POST, 3, .body = "{'base':{'contacts':{'email':'c@d'}}}");
	conflict = ORDER(bench, COMMAND_CUSTOMER_PATCH, 3, .body = "{'base':{'contacts':{'email':'a@B'}}}");
	gone = ORDER(bench, COMMAND_CUSTOMER_DELETE, 1);
	missing = ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'extra':'y'}");
	run(bench);
	assert_status(bench, made, 201);
	assert_answer(bench, made, "version", "1");
	assert_answer(bench, made, "intId", "1");
	assert_status(bench, merged, 201);
	assert_answer(bench, merged, "id", "d0000000-0000-4000-8000-000000000001");
	assert_answer(bench, merged, "version", "2");
	assert_answer(bench, merged, "base,firstName", "A");
	assert_answer(bench, merged, "sourceInfo,updatedBy", SOURCE);
	assert_answer(bench, patched, "version", "3");
	assert_answer(bench, other, "intId", "2");
	assert_status(bench, conflict, 409);
	assert_answer(
	        bench, conflict, "message", "Conflict with exiting customer d0000000-0000-4000-8000-000000000001");
	assert_answer(bench, conflict, "data,customer,href",
	        "/hub/v1/workspaces/" W "/customers/d0000000-0000-4000-8000-000000000001");
	assert_answer(bench, conflict, "errors", "[]");
	assert_status(bench, gone, 200);
	assert_status(bench, missing, 404);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_keys"), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_tombstones"), 1);
	assert_int_equal(number(bench, "SELECT last_int_id FROM customer_heads"), 2);
	assert_string_equal(
	        text(bench, "SELECT string_agg(operation::text || ':' || right(entity_id::text, 1) || ':' || "
	                    "version, ' ' ORDER BY stream_offset) FROM update_stream"),
	        "1:1:1 2:1:2 2:1:3 1:3:1 3:1:4");
	bench_close(bench);
}

static void test_unchanged_leaves_no_trace(void **state)
{
	struct bench *bench = bench_open();
	struct uuid again;

	(void)state;
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1,
	        .body = "{'externalId':'1','extended':{'n':1.50},'tags':{'manual':['a']}}");
	run(bench);
	again = ORDER(bench, COMMAND_CUSTOMER_POST, 2,
	        .body = "{'externalId':'1','extended':{'n':1.5},'tags':{'manual':['a']}}");
	run(bench);
	assert_status(bench, again, 201);
	assert_answer(bench, again, "version", "1");
	assert_int_equal(number(bench, "SELECT count(*) FROM update_stream"), 1);
	assert_int_equal(number(bench, "SELECT version FROM customers WHERE updated_us = registered_us"), 1);
	bench_close(bench);
}

static void test_times_of_consents(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1,
	        .body = "{'externalId':'1','consents':{'profiling':{'online':{'status':true,'objection':true}}}}",
	        .at_us = START_US + 10000000);
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'externalId':'2'}");
	run(bench);
	assert_string_equal(text(bench, "SELECT consent_times::text FROM customers WHERE external_id = '1'"),
	        "{\"profiling.online.status\": 1800000010000000, \"profiling.online.objection\": 1800000010000000}");
	assert_int_equal(number(bench, "SELECT count(*) FROM customers WHERE consent_times IS NULL"), 1);
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'extra':'x'}", .at_us = START_US + 20000000);
	run(bench);
	ORDER(bench, COMMAND_CUSTOMER_POST, 3,
	        .body = "{'externalId':'1','consents':{'profiling':{'online':{'status':false,'objection':true}}}}",
	        .at_us = START_US + 30000000);
	run(bench);
	assert_string_equal(text(bench, "SELECT consent_times::text FROM customers WHERE external_id = '1'"),
	        "{\"profiling.online.status\": 1800000030000000, \"profiling.online.objection\": 1800000010000000}");
	bench_close(bench);
}

static void test_refusals(void **state)
{
	struct bench *bench = bench_open();
	struct uuid no_node, incomplete, other_node, no_item, no_session;

	(void)state;
	give_rules(bench, N1, "1", "{'uniqueCustomer':{'properties':['externalId']},'mandatoryProperties':['extra']}");
	no_node = ORDER(bench, COMMAND_CUSTOMER_POST, 1, .node = N2, .body = "{'externalId':'1'}");
	incomplete = ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'base':{'firstName':'x'}}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'externalId':'2','extra':'x'}");
	other_node = ORDER(bench, COMMAND_CUSTOMER_PATCH, 2, .node = N2, .body = "{}");
	no_item = ORDER(bench, COMMAND_ITEM_PUT, 2, .item = ITEM_JOB, .text = "7", .body = "{}");
	no_session = ORDER(bench, COMMAND_SESSION_DELETE, 2, .text = "123");
	run(bench);
	assert_status(bench, no_node, 404);
	assert_answer(bench, no_node, "message", "node not found " N2);
	assert_status(bench, incomplete, 400);
	assert_answer(bench, incomplete, "message", "source customer is not valid");
	assert_answer(bench, incomplete, "errors,0,path", "/externalId");
	assert_answer(bench, incomplete, "errors,1,message", "mandatory customer property is required");
	assert_status(bench, other_node, 404);
	assert_status(bench, no_item, 404);
	assert_answer(bench, no_item, "message", "job not found 7");
	assert_status(bench, no_session, 404);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 1);
	bench_close(bench);
}

static void test_items(void **state)
{
	struct bench *bench = bench_open();
	struct uuid made, put, subscribed, removed;

	(void)state;
	give_rules(bench, N1, "1", "{}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'extra':'x'}");
	made = ORDER(bench, COMMAND_ITEM_POST, 1, .item = ITEM_JOB, .text = "1", .body = "{'id':'1','jobTitle':'t'}");
	put = ORDER(bench, COMMAND_ITEM_PUT, 1, .item = ITEM_JOB, .text = "1", .body = "{'companyName':'c'}");
	subscribed = ORDER(bench, COMMAND_ITEM_POST, 1, .item = ITEM_SUBSCRIPTION, .text = "s",
	        .body = "{'id':'s','subscribed':true,'startDate':'2020-01-02T03:04:05Z'}");
	removed = ORDER(bench, COMMAND_ITEM_DELETE, 1, .item = ITEM_JOB, .text = "1");
	run(bench);
	assert_status(bench, made, 200);
	assert_answer(bench, made, "jobTitle", "t");
	assert_status(bench, put, 200);
	assert_answer(bench, put, "id", "1");
	assert_answer(bench, put, "jobTitle", "");
	assert_status(bench, subscribed, 201);
	assert_answer(bench, subscribed, "startDate", "2020-01-02T03:04:05.000+0000");
	assert_status(bench, removed, 200);
	assert_int_equal(number(bench, "SELECT version FROM customers"), 5);
	assert_string_equal(text(bench, "SELECT (doc->'base') - 'subscriptions' FROM customers"), "{}");
	bench_close(bench);
}

/* A key that the customer gave up is free, within a batch and afterwards; the one that it took is found. */
static void test_keys_move(void **state)
{
	struct bench *bench = bench_open();
	struct uuid swapped, taken, merged;

	(void)state;
	give_rules(bench, N1, "1", ON_EMAIL);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'base':{'contacts':{'email':'a'}}}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'base':{'contacts':{'email':'b'}}}");
	run(bench);
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'base':{'contacts':{'email':'c'}}}");
	swapped = ORDER(bench, COMMAND_CUSTOMER_PATCH, 2, .body = "{'base':{'contacts':{'email':'a'}}}");
	taken = ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'base':{'contacts':{'email':'b'}}}");
	run(bench);
	assert_status(bench, swapped, 200);
	assert_status(bench, taken, 200);
	merged = ORDER(bench, COMMAND_CUSTOMER_POST, 3, .body = "{'extra':'x','base':{'contacts':{'email':'A'}}}");
	run(bench);
	assert_answer(bench, merged, "id", "d0000000-0000-4000-8000-000000000002");
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 2, .body = "{'base':{'contacts':{'email':null}}}");
	merged = ORDER(bench, COMMAND_CUSTOMER_POST, 4, .body = "{'base':{'contacts':{'email':'a'}}}");
	run(bench);
	assert_answer(bench, merged, "id", "d0000000-0000-4000-8000-000000000004");
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_keys"), 2);
	bench_close(bench);
}

/* --- bindings and events --- */

static void test_sessions(void **state)
{
	struct bench *bench = bench_open();
	struct uuid first, again, other, by_write, by_patch;

	(void)state;
	give_rules(bench, N1, "1", "{}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'extra':'1'}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'extra':'2'}");
	first = ORDER(bench, COMMAND_SESSION_POST, 1, .text = "s");
	again = ORDER(bench, COMMAND_SESSION_POST, 1, .text = "s");
	other = ORDER(bench, COMMAND_SESSION_POST, 2, .text = "s");
	by_write = ORDER(bench, COMMAND_CUSTOMER_POST, 3, .text = "t", .body = "{'extra':'3'}");
	by_patch = ORDER(bench, COMMAND_CUSTOMER_PATCH, 2, .text = "t", .body = "{'extra':'y'}");
	run(bench);
	assert_status(bench, first, 201);
	assert_status(bench, again, 201);
	assert_status(bench, other, 409);
	assert_answer(bench, other, "data", "");
	assert_status(bench, by_write, 201);
	assert_status(bench, by_patch, 409);
	assert_answer(bench, first, "value", "s");
	assert_string_equal(
	        text(bench,
	                "SELECT string_agg(value || right(customer_id::text, 1), ' ' ORDER BY value) FROM bindings"),
	        "s1 t3");
	assert_string_equal(text(bench, "SELECT doc->>'extra' FROM customers WHERE int_id = 2"), "2");
	bench_close(bench);
}

static void end_session(struct bench *bench, unsigned customer, int64_t at_us)
{
	char *session = arena_printf(bench->arena, "%s",
	        text(bench, "SELECT session_id FROM bindings WHERE unbound_us = 9223372036854775807"));

	ORDER(bench, COMMAND_SESSION_DELETE, customer, .text = session, .at_us = at_us);
	run(bench);
}

/* An event belongs to whoever held the value at its time, or to the first who got it afterwards. */
static void test_events_follow_their_session(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", "{}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'extra':'1'}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'extra':'2'}");
	run(bench);
	put_event(bench, 1, "NULL", "1", "'s'", START_US);                   /* long before */
	put_event(bench, 2, "NULL", "1", "'s'", START_US + 150 * 1000000LL); /* its log is ahead of ours */
	put_event(bench, 3, "NULL", "1", "'other'", START_US);
	put_event(bench, 4, "NULL", "2", "'s'", START_US); /* an external id of the same letters */
	ORDER(bench, COMMAND_SESSION_POST, 1, .text = "s", .at_us = START_US + 100 * 1000000LL);
	run(bench);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(owner_of(bench, 2), 1);
	assert_int_equal(owner_of(bench, 3), 0);
	assert_int_equal(owner_of(bench, 4), 0);
	assert_int_equal(
	        number(bench, "SELECT count(*) FROM update_stream WHERE entity = 2 AND operation = 2 AND version = 1"),
	        2);
	end_session(bench, 1, START_US + 120 * 1000000LL);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(owner_of(bench, 2), 0);
	ORDER(bench, COMMAND_SESSION_POST, 2, .text = "s", .at_us = START_US + 160 * 1000000LL);
	run(bench);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(owner_of(bench, 2), 2);
	assert_int_equal(number(bench, "SELECT count(*) FROM update_stream WHERE entity = 2"), 4);
	assert_int_equal(number(bench, "SELECT count(*) FROM events WHERE version = 1 AND updated_us = 0"), 4);
	bench_close(bench);
}

/* External ids: the customer that had it first keeps the events until it gives it up. */
static void test_events_follow_their_external_id(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", "{}");
	put_event(bench, 1, "NULL", "2", "'e'", START_US);
	put_event(bench, 2, "NULL", "2", "'e'", START_US + 500 * 1000000LL);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'e'}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'externalId':'e'}");
	run(bench);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(owner_of(bench, 2), 1);
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'externalId':'f'}");
	run(bench);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(owner_of(bench, 2), 2);
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 2, .body = "{'externalId':null}");
	run(bench);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(owner_of(bench, 2), 0);
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'externalId':'e'}");
	run(bench);
	assert_int_equal(owner_of(bench, 2), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings"), 4);
	bench_close(bench);
}

static void test_deletion_takes_events(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", "{}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .text = "s", .body = "{'externalId':'e'}");
	run(bench);
	put_event(bench, 1, "'d0000000-0000-4000-8000-000000000001'", "NULL", "NULL", START_US);
	put_event(bench, 2, "'d0000000-0000-4000-8000-000000000001'", "NULL", "NULL", START_US + 900 * 1000000LL);
	put_event(bench, 3, "'d0000000-0000-4000-8000-000000000001'", "1", "'s'", START_US + 5 * 1000000LL);
	put_event(bench, 4, "'d0000000-0000-4000-8000-000000000001'", "1", "'s'", START_US + 900 * 1000000LL);
	put_event(bench, 5, "NULL", "1", "'t'", START_US);
	ORDER(bench, COMMAND_CUSTOMER_DELETE, 1, .at_us = START_US + 100 * 1000000LL);
	run(bench);
	assert_int_equal(owner_of(bench, 1), -1);
	assert_int_equal(owner_of(bench, 2), -1);
	assert_int_equal(owner_of(bench, 3), -1);
	assert_int_equal(owner_of(bench, 4), 0); /* after the end of the binding: it waits for the next holder */
	assert_int_equal(owner_of(bench, 5), 0);
	assert_int_equal(number(bench, "SELECT count(*) FROM event_tombstones WHERE type = 'viewedPage'"), 3);
	assert_int_equal(number(bench, "SELECT count(*) FROM update_stream WHERE entity = 2 AND operation = 3"), 3);
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings WHERE unbound_us < 9223372036854775807"), 2);
	bench_close(bench);
}

static void test_ensure(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	give_rules(bench, N2, "2", ON_EMAIL);
	put_event(bench, 1, "NULL", "2", "'new'", START_US);
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 1, .text = "new");
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 2, .text = "new");
	ORDER(bench, COMMAND_CUSTOMER_POST, 3, .body = "{'externalId':'Known'}");
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 4, .text = "kNOWN");
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 5, .node = N2, .text = "new");
	run(bench);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 3);
	assert_string_equal(text(bench, "SELECT string_agg(value || right(customer_id::text, 1), ' ' ORDER BY node_id, "
	                                "value) FROM bindings"),
	        "Known3 kNOWN3 new1 new5");
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_keys"), 2);
	assert_string_equal(
	        text(bench, "SELECT doc FROM customers WHERE external_id = 'new' AND node_id = '" N1 "'"), "{}");
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 6, .text = "new");
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 7, .text = "kNOWN");
	run(bench);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 3);
	bench_close(bench);
}

/* Nothing says that an external id is one person's: of those who go in a batch, each time the next one is found. */
static void test_many_share_an_external_id(void **state)
{
	enum { MANY = 12 };
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", "{}");
	for (unsigned i = 1; i <= MANY; i++)
		ORDER(bench, COMMAND_CUSTOMER_POST, i, .body = "{'externalId':'guest'}");
	run(bench);
	for (unsigned i = 1; i < MANY; i++) {
		ORDER(bench, i % 2 ? COMMAND_CUSTOMER_DELETE : COMMAND_CUSTOMER_PATCH, i,
		        .body = "{'externalId':null}");
		ORDER(bench, COMMAND_CUSTOMER_ENSURE, 100 + i, .text = "guest");
	}
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 200, .text = "guest");
	run(bench);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers WHERE external_id = 'guest'"), 1);
	ORDER(bench, COMMAND_CUSTOMER_DELETE, MANY);
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 201, .text = "guest");
	run(bench);
	assert_string_equal(text(bench, "SELECT string_agg(right(id::text, 2), ' ') FROM customers WHERE external_id = "
	                                "'guest'"),
	        "c9"); /* 201 */
	bench_close(bench);
}

/* An id comes twice: with an event that is repeated, which makes nobody, or under a forgotten key, which makes another.
 */
static void test_ids_are_used_once(void **state)
{
	static const struct {
		enum command_type type;
		bool emptied; /* by the whole node, else by a deletion */
		bool batches; /* one for each command */
		int there;
	} rows[] = {
	        {COMMAND_CUSTOMER_ENSURE, false, false, 0},
	        {COMMAND_CUSTOMER_ENSURE, false, true, 0},
	        {COMMAND_CUSTOMER_ENSURE, true, true, 0},
	        {COMMAND_CUSTOMER_POST, false, false, 1},
	        {COMMAND_CUSTOMER_POST, false, true, 1},
	        {COMMAND_CUSTOMER_POST, true, true, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench *bench = bench_open();
		give_rules(bench, N1, "1", ON_EXTERNAL_ID);
		for (int step = 0; step < 3; step++) {
			if (step != 1)
				ORDER(bench, rows[i].type, 1,
				        .text = rows[i].type == COMMAND_CUSTOMER_ENSURE ? "a" : "",
				        .body = "{'externalId':'a'}");
			else if (rows[i].emptied)
				ORDER(bench, COMMAND_NODE_EMPTY, 0, .text = "3", .body = "{'eventsOnly':false}");
			else
				ORDER(bench, COMMAND_CUSTOMER_DELETE, 1);
			if (rows[i].batches || step == 2)
				run(bench);
		}
		assert_int_equal(number(bench, "SELECT count(*) FROM customers"), rows[i].there);
		assert_int_equal(
		        number(bench, "SELECT count(*) FROM customers c JOIN customer_tombstones t USING (id)"), 0);
		assert_int_equal(number(bench, "SELECT count(*) FROM customer_tombstones"), 1);
		bench_close(bench);
	}
}

/* The customer that an event with this external id means from now on; 0 = it waits. */
static int meant_by(struct bench *bench, const char *external_id)
{
	return (int)component_numberf(bench->component,
	        "SELECT coalesce(('x' || right(binding_at('" W "', '" N1
	        "', 2::smallint, '%s', %lld)::text, 6))::bit(24)::int, 0)",
	        external_id, (long long)bench->time_us + 1);
}

/* What an event named in other letters is as free as the rest when the customer gets another external id. */
static void check_given_up(struct bench *bench, enum command_type type, const char *body, bool apart)
{
	const int64_t begin_us = bench->time_us;

	component_sql(bench->component, "DELETE FROM events");
	put_event(bench, 1, "NULL", "2", "'abc'", begin_us);                   /* long before */
	put_event(bench, 2, "NULL", "2", "'abc'", begin_us + 900 * 1000000LL); /* its log is ahead of ours */
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'ABC'}");
	if (apart)
		run(bench);
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 2, .text = "abc");
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 3, .text = "aBc");
	if (apart) {
		run(bench);
		assert_int_equal(meant_by(bench, "aBc"), 1);
		assert_int_equal(owner_of(bench, 1), 1);
		assert_int_equal(owner_of(bench, 2), 1);
	}
	queue_order(bench, &(struct order){.type = type, .customer = 1, .body = body});
	if (apart) {
		run(bench);
		assert_int_equal(meant_by(bench, "ABC"), 0);
		assert_int_equal(meant_by(bench, "abc"), 0);
		assert_int_equal(meant_by(bench, "aBc"), 0);
		assert_int_equal(owner_of(bench, 1), 1);
		assert_int_equal(owner_of(bench, 2), 0);
	}
	ORDER(bench, COMMAND_CUSTOMER_POST, 4, .body = "{'externalId':'abc'}");
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 5, .text = "ABC");
	run(bench);
	assert_int_equal(owner_of(bench, 1), 1);
	assert_int_equal(owner_of(bench, 2), 4);
	assert_int_equal(meant_by(bench, "ABC"), 4);
	assert_int_equal(meant_by(bench, "abc"), 4);
	assert_int_equal(meant_by(bench, "aBc"), 0);
	ORDER(bench, COMMAND_CUSTOMER_DELETE, 1);
	ORDER(bench, COMMAND_CUSTOMER_DELETE, 4);
	run(bench);
	component_sql(bench->component, "DELETE FROM customer_tombstones"); /* the next case uses the same ids */
}

static void test_other_spellings_end_with_the_external_id(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	for (int apart = 0; apart <= 1; apart++) {
		check_given_up(bench, COMMAND_CUSTOMER_PATCH, "{'externalId':'XYZ'}", apart);
		check_given_up(bench, COMMAND_CUSTOMER_PATCH, "{'externalId':null}", apart);
		check_given_up(bench, COMMAND_CUSTOMER_PUT, "{'externalId':'XYZ','extra':'x'}", apart);
	}
	bench_close(bench);
}

/* Other letters mean the same customer as before: no event of it has to wait, whichever letters it names. */
static void test_other_letters_end_nothing(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	ORDER(bench, COMMAND_CUSTOMER_ENSURE, 1, .text = "abc");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'externalId':'ABC'}");
	run(bench);
	assert_int_equal(meant_by(bench, "abc"), 1);
	assert_int_equal(meant_by(bench, "ABC"), 1);
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'externalId':'abc'}");
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'externalId':'Abc'}");
	run(bench);
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings"), 3);
	ORDER(bench, COMMAND_CUSTOMER_PATCH, 1, .body = "{'externalId':'XYZ'}");
	run(bench);
	assert_string_equal(
	        text(bench, "SELECT string_agg(value, ' ') FROM bindings WHERE unbound_us = 9223372036854775807"),
	        "XYZ");
	bench_close(bench);
}

/* Where something else is unique, a POST that is merged gives the customer its external id. */
static void test_merge_moves_the_external_id(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EMAIL);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'ABC','base':{'contacts':{'email':'a@b'}}}");
	run(bench);
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'externalId':'abc','base':{'contacts':{'email':'a@b'}}}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 3, .body = "{'externalId':'ABC','base':{'contacts':{'email':'c@d'}}}");
	run(bench);
	assert_int_equal(meant_by(bench, "abc"), 1);
	assert_int_equal(meant_by(bench, "ABC"), 3);
	bench_close(bench);
}

/* --- rules of nodes --- */

static void test_rules_come_twice(void **state)
{
	struct bench *bench = bench_open();
	struct uuid answer;

	(void)state;
	give_rules(bench, N1, "5", ON_EMAIL);
	give_rules(bench, N1, "3", ON_EXTERNAL_ID);
	give_rules(bench, N1, "5", ON_EXTERNAL_ID);
	answer = ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'e'}");
	run(bench);
	assert_status(bench, answer, 400);
	assert_answer(bench, answer, "errors,0,path", "/base/contacts/email");
	assert_int_equal(number(bench, "SELECT seq FROM node_rules"), 5);
	bench_close(bench);
}

/* Another process may have had the partition meanwhile: what this one remembers is checked against the table. */
static void test_rules_changed_elsewhere(void **state)
{
	struct bench *bench = bench_open();
	struct uuid answer;

	(void)state;
	give_rules(bench, N1, "1", ON_EMAIL);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'base':{'contacts':{'email':'a'}}}");
	run(bench);
	component_sql(bench->component,
	        "UPDATE node_rules SET seq = 2, doc = '{\"uniqueCustomer\":{\"properties\":[\"extra\"]}}'");
	answer = ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'extra':'x'}");
	run(bench);
	assert_status(bench, answer, 201);
	bench_close(bench);
}

static void test_policy_of_a_node_with_customers(void **state)
{
	struct bench *bench = bench_open();
	struct uuid first, merged, none;

	(void)state;
	give_rules(bench, N1, "1", ON_EMAIL);
	first = ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'e','base':{'contacts':{'email':'a'}}}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'externalId':'E','base':{'contacts':{'email':'b'}}}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 3, .body = "{'base':{'contacts':{'email':'c'}}}");
	give_rules(bench, N1, "2", ON_EXTERNAL_ID);
	merged = ORDER(bench, COMMAND_CUSTOMER_POST, 4, .body = "{'externalId':'e'}");
	none = ORDER(bench, COMMAND_CUSTOMER_POST, 5, .body = "{'externalId':'f'}");
	run(bench);
	assert_status(bench, first, 201);
	assert_answer(bench, merged, "id", "d0000000-0000-4000-8000-000000000001");
	assert_answer(bench, none, "id", "d0000000-0000-4000-8000-000000000005");
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_keys"), 2);
	bench_close(bench);
}

/* More came while the change of the policy was on its way than are read at once, and large ones: each has 24 KB. */
static void test_policy_of_a_node_with_large_customers(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EMAIL);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'e','base':{'contacts':{'email':'a'}}}");
	run(bench);
	component_sql(bench->component,
	        "INSERT INTO customers SELECT (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), "
	        "'int_id', i + 1, 'external_id', 'e' || i, 'registered_us', c.registered_us + i, 'doc', "
	        "jsonb_set(c.doc, '{tags}', jsonb_build_object('auto', (SELECT jsonb_agg(0) FROM generate_series(1, "
	        "8000)"
	        ")))))).* FROM customers c, generate_series(1, 1100) i");
	give_rules(bench, N1, "2", ON_EXTERNAL_ID);
	run(bench);
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_keys"), 1101);
	bench_close(bench);
}

static void fill_node(struct bench *bench)
{
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	give_rules(bench, N2, "2", ON_EXTERNAL_ID);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .text = "s", .body = "{'externalId':'e'}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .node = N2, .body = "{'externalId':'e'}");
	run(bench);
	put_event(bench, 1, "'d0000000-0000-4000-8000-000000000001'", "NULL", "NULL", START_US);
	put_event(bench, 2, "NULL", "1", "'t'", START_US);
	put_event(bench, 3, "'d0000000-0000-4000-8000-000000000001'", "1", "'s'", START_US + 900 * 1000000LL);
	put_event(bench, 4, "'d0000000-0000-4000-8000-000000000001'", "NULL", "NULL", START_US + 900 * 1000000LL);
}

static void test_empty_node(void **state)
{
	struct bench *bench = bench_open();
	struct uuid emptied, unknown, again;

	(void)state;
	fill_node(bench);
	emptied = ORDER(bench, COMMAND_NODE_EMPTY, 0, .text = "3", .body = "{'eventsOnly':false}");
	unknown = ORDER(bench, COMMAND_NODE_EMPTY, 0, .node = W, .text = "4", .body = "{}");
	again = ORDER(bench, COMMAND_CUSTOMER_POST, 3, .body = "{'externalId':'e'}");
	run(bench);
	assert_status(bench, emptied, 200);
	assert_status(bench, unknown, 404);
	assert_answer(bench, again, "id", "d0000000-0000-4000-8000-000000000003");
	assert_int_equal(owner_of(bench, 1), -1);
	assert_int_equal(owner_of(bench, 2), -1);
	assert_int_equal(owner_of(bench, 3), 0);
	assert_int_equal(owner_of(bench, 4), -1);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 2);
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_tombstones"), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM event_tombstones"), 3);
	assert_int_equal(number(bench, "SELECT count(*) FROM node_rules WHERE emptied_us > 0 AND seq = 3"), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM update_stream WHERE operation = 3"), 4);
	bench_close(bench);
}

static void test_empty_node_of_events(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	fill_node(bench);
	ORDER(bench, COMMAND_NODE_EMPTY, 0, .text = "3", .body = "{'eventsOnly':true}");
	ORDER(bench, COMMAND_NODE_EMPTY, 0, .text = "3", .body = "{'eventsOnly':false}");
	run(bench);
	assert_int_equal(owner_of(bench, 1), -1);
	assert_int_equal(owner_of(bench, 2), -1);
	assert_int_equal(owner_of(bench, 3), 1);
	assert_int_equal(owner_of(bench, 4), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 2);
	bench_close(bench);
}

/* Bytes that no step of an emptying needs. */
#define STEP_BYTES (12UL * 1024 * 1024)

#define LARGE_NODE                                                                                                     \
	"INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, enabled, doc) " \
	"SELECT '" W "', ('d0000000-0000-4000-8000-' || lpad((i + 10)::text, 12, '0'))::uuid, '" N1                    \
	"', i, 1, i, i, true, '{}' FROM generate_series(1, 5000) i; "                                                  \
	"INSERT INTO bindings (workspace_id, node_id, kind, value, bound_us, customer_id, unbound_us) "                \
	"SELECT workspace_id, node_id, 2, int_id, 0, id, 9223372036854775807 FROM customers; "                         \
	"INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, version, "    \
	"type, context, body) SELECT '" W "', ('e0000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, '" N1      \
	"', ('d0000000-0000-4000-8000-' || lpad((i % 5000 + 11)::text, 12, '0'))::uuid, i, i, i / 1000, 1, "           \
	"'viewedPage', 'WEB', '{}' FROM generate_series(1, 30000) i"

/* The process is another one, which knows nothing. */
static void start_anew(struct bench *bench)
{
	struct err err = {0};

	customer_merge_close(bench->state);
	db_close(bench->db);
	bench->db = db_open(component_settings(bench->component), "test", &err);
	assert_true(bench->db && db_prepare(bench->db, runtime_statements, runtime_statement_count, &err) &&
	            db_prepare(bench->db, customer_merge.statements, customer_merge.n_statements, &err));
	bench->state = customer_merge_open(bench->db, false, &err);
	assert_non_null(bench->state);
}

static void test_empty_a_large_node(void **state)
{
	struct bench *bench = bench_open();
	struct uuid emptied, gone, fresh;
	int steps = 0;

	(void)state;
	arena_free(bench->batch_arena);
	bench->batch_arena = arena_new(STEP_BYTES);
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	run(bench);
	component_sql(bench->component, LARGE_NODE);
	emptied = ORDER(bench, COMMAND_NODE_EMPTY, 0, .text = "3", .body = "{}");
	run(bench);
	assert_status(bench, emptied, 200);
	assert_true(number(bench, "SELECT count(*) FROM events") >= 20000);
	/* every row costs: none of them goes with the command beyond those that may */
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings WHERE unbound_us = 9223372036854775807"), 5000);
	/* for whoever writes it is empty at once */
	assert_int_equal(meant_by(bench, "17"), 0);
	ORDER(bench, COMMAND_CUSTOMER_DELETE, 18);
	gone = ORDER(bench, COMMAND_CUSTOMER_PATCH, 16, .body = "{'extra':'1'}");
	fresh = ORDER(bench, COMMAND_CUSTOMER_POST, 3, .body = "{'externalId':'17'}");
	run(bench);
	assert_status(bench, gone, 404);
	assert_answer(bench, fresh, "id", "d0000000-0000-4000-8000-000000000003");
	assert_int_equal(meant_by(bench, "17"), 3);
	/* of a partition that is another process's, nothing is removed */
	bench->positions[0].owned = false;
	background(bench);
	bench->positions[0].owned = true;
	assert_true(number(bench, "SELECT count(*) FROM events") >= 20000);
	for (; number(bench, "SELECT count(*) FROM node_emptyings"); steps++) {
		if (steps % 5 == 2)
			start_anew(bench);
		background(bench);
	}
	assert_in_range(steps, 15, 40);
	assert_int_equal(number(bench, "SELECT count(*) FROM events"), 0);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings b, node_rules r WHERE b.unbound_us = "
	                               "r.emptied_us AND b.bound_us = 0"),
	        5000);
	assert_int_equal(meant_by(bench, "17"), 3);
	assert_int_equal(number(bench, "SELECT count(*) FROM event_tombstones t, node_rules r WHERE t.deleted_us = "
	                               "r.emptied_us AND t.node_id = r.node_id AND t.registered_us > 0"),
	        30000);
	assert_int_equal(number(bench, "SELECT count(*) FROM customer_tombstones t, node_rules r WHERE t.deleted_us = "
	                               "r.emptied_us AND t.node_id = r.node_id"),
	        5000);
	assert_int_equal(
	        number(bench, "SELECT count(DISTINCT entity_id) FROM update_stream WHERE operation = 3"), 35000);
	assert_int_equal(
	        number(bench, "SELECT count(*) FROM update_stream WHERE operation = 3 AND version = 2"), 35000);
	bench_close(bench);
}

/* What the large one takes of the batch is not the small one's. */
static void test_empty_a_small_node_behind_a_large_one(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	give_rules(bench, N2, "1", ON_EXTERNAL_ID);
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .node = N2, .body = "{'externalId':'1'}");
	run(bench);
	component_sql(bench->component, LARGE_NODE);
	ORDER(bench, COMMAND_NODE_EMPTY, 0, .text = "3", .body = "{}");
	ORDER(bench, COMMAND_NODE_EMPTY, 0, .node = N2, .text = "3", .body = "{}");
	run(bench);
	assert_int_equal(number(bench, "SELECT count(*) FROM node_emptyings"), 1);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers WHERE node_id = '" N2 "'"), 0);
	bench_close(bench);
}

/* A part of the log that cannot be read (its checksum is wrong) is passed over by Kafka's client. */
static void test_a_gap_in_the_log_is_told(void **state)
{
	struct bench *bench = bench_open();

	(void)state;
	give_rules(bench, N1, "1", ON_EXTERNAL_ID);
	run(bench);
	bench->offset = 5;
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'e'}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 2, .body = "{'externalId':'f'}");
	run(bench);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 2);
	assert_string_equal(
	        text(bench, "SELECT string_agg(concat_ws(' ', worker, topic, partition, record_offset, reason), "
	                    "'|') FROM dead_letters"),
	        "customer-merge customer-commands 0 1 the log does not give the records from here to offset 4");
	bench_close(bench);
}

/* --- batches --- */

static void add_random_order(struct bench *bench, unsigned *seed, unsigned n)
{
	static const char *const values[] = {"a", "A", "b", "c", "d"};
	static const enum command_type types[] = {COMMAND_CUSTOMER_POST, COMMAND_CUSTOMER_POST, COMMAND_CUSTOMER_POST,
	        COMMAND_CUSTOMER_PATCH, COMMAND_CUSTOMER_PATCH, COMMAND_CUSTOMER_PUT, COMMAND_CUSTOMER_DELETE,
	        COMMAND_CUSTOMER_ENSURE, COMMAND_ITEM_POST, COMMAND_ITEM_PUT, COMMAND_ITEM_DELETE, COMMAND_SESSION_POST,
	        COMMAND_NODE_EMPTY, COMMAND_NODE_RULES};
	enum command_type type = types[(unsigned)rand_r(seed) % ARRAY_LEN(types)];
	const char *value = values[(unsigned)rand_r(seed) % 5], *other = values[(unsigned)rand_r(seed) % 5];
	unsigned draw = (unsigned)rand_r(seed) % 8;
	struct order order = {.type = type,
	        .node = draw % 2 ? N1 : N2,
	        .customer = type == COMMAND_CUSTOMER_POST || type == COMMAND_CUSTOMER_ENSURE
	                            ? n
	                            : (unsigned)rand_r(seed) % (n + 1),
	        .body = arena_printf(bench->arena,
	                "{'externalId':%s%s%s,'base':{'contacts':{'email':'%s'}},'extra':'%u',"
	                "'consents':{'disclaimer':{'version':'%u'},'profiling':{'online':{'status':%s}}}}",
	                draw == 7 ? "null" : "'", draw == 7 ? "" : other, draw == 7 ? "" : "'", value, n % 3, n % 2,
	                draw < 4 ? "true" : "false")};

	if (type >= COMMAND_ITEM_POST && type <= COMMAND_ITEM_DELETE)
		order.item = ITEM_JOB, order.text = value, order.body = "{'jobTitle':'t'}";
	if (type == COMMAND_SESSION_POST || type == COMMAND_CUSTOMER_ENSURE ||
	        (type == COMMAND_CUSTOMER_POST && draw < 2))
		order.text = value;
	/* another policy for a node that has customers: two of them may be the same under it */
	if (type == COMMAND_NODE_RULES)
		order.text = arena_printf(bench->arena, "%u", 100 + n),
		order.body = draw < 4 ? ON_EMAIL : ON_EXTERNAL_ID;
	if (type == COMMAND_NODE_EMPTY)
		order.text = arena_printf(bench->arena, "%u", 100 + n),
		order.body = draw < 4 ? "{'eventsOnly':true}" : "{}";
	queue_order(bench, &order);
}

/* A line per table: its name and a hash of its rows. Offsets and times of the stream depend on the cut, and so do the
   stages that events pass; the changes of customers do not, nor does their order where nodes are emptied at once. */
static char *dump(struct bench *bench, bool in_order)
{
	static const char *const tables[] = {"customers", "customer_keys", "customer_tombstones", "customer_heads",
	        "bindings", "node_rules", "events", "event_tombstones", "command_results"};
	struct buf all;

	buf_init(&all, bench->arena, 1024);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		const char *sql = arena_printf(bench->arena,
		        "SELECT count(*) || ' ' || md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) "
		        "FROM %s t",
		        tables[i]);
		buf_printf(&all, "%s %s\n", tables[i], text(bench, sql));
	}
	buf_printf(&all, "update_stream %s\n",
	        text(bench, arena_printf(bench->arena,
	                            "SELECT count(*) || ' ' || md5(string_agg(operation || ' ' || version || ' ' || "
	                            "entity_id, chr(10) ORDER BY %s)) FROM update_stream WHERE entity = 1",
	                            in_order ? "stream_offset" : "entity_id, stream_offset")));
	buf_add_char(&all, '\0');
	return strdup(all.p);
}

/* A waiting event; one that comes later than an emptying after it is none, as event-ingest sees to. */
static void put_waiting(struct bench *bench, unsigned n, const char *kind, const char *value, int64_t registered_us)
{
	const char *late = arena_printf(bench->arena,
	        "SELECT count(*) FROM node_rules r, unnest(r.emptied_before_us || r.emptied_us) AS m(us) "
	        "WHERE r.node_id = '" N1 "' AND m.us > %lld",
	        (long long)registered_us);

	if (!number(bench, late))
		put_event(bench, n, "NULL", kind, value, registered_us);
}

/* The same commands in batches of at most `most`. A node that is emptied loses at most `at_a_time` rows at once. */
static char *outcome(unsigned first_seed, unsigned most, unsigned at_a_time)
{
	struct bench *bench = bench_open();
	unsigned seed = first_seed, cut = first_seed * 7 + most;
	char *sum;

	customer_merge_empty_at_once(bench->state, at_a_time);
	give_rules(bench, N1, "1", ON_EMAIL);
	give_rules(bench, N2, "2", ON_EXTERNAL_ID);
	for (unsigned n = 1; n <= 400; n++) {
		if (n % 3 == 0)
			bench->time_us -= 1000000; /* at the time of the one before: it gets the next microsecond */
		add_random_order(bench, &seed, n);
		if (bench->n >= 1 + (unsigned)rand_r(&cut) % most)
			run(bench);
		if ((unsigned)rand_r(&cut) % 8 == 0)
			background(bench);
		if (n % 40 == 0) { /* events arrive meanwhile, at the same points of the log */
			if (bench->n)
				run(bench);
			for (unsigned i = 0; i < 5; i++)
				put_waiting(bench, n * 10 + i, i % 2 ? "1" : "2", i < 3 ? "'a'" : "'b'",
				        START_US + (int64_t)(n + i * 20) * 1000000);
		}
	}
	if (bench->n)
		run(bench);
	while (number(bench, "SELECT count(*) FROM node_emptyings"))
		background(bench);
	sum = dump(bench, at_a_time > 1000);
	bench_close(bench);
	return sum;
}

#define AT_ONCE 100000

/* How the log is cut into batches must not show in the tables. */
static void test_any_cut_gives_the_same_tables(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		char *one_by_one = outcome(seed, 1, AT_ONCE), *few = outcome(seed, 7, AT_ONCE),
		     *many = outcome(seed, 100, AT_ONCE);

		assert_string_equal(few, one_by_one);
		assert_string_equal(many, one_by_one);
		free(one_by_one);
		free(few);
		free(many);
	}
}

/* Nor must the steps in which nodes are emptied: every command finds them empty. */
static void test_any_steps_give_the_same_tables(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		char *many = outcome(seed, 7, 1000), *few = outcome(seed, 7, 3), *one_by_one = outcome(seed, 1, 1);

		assert_string_equal(few, many);
		assert_string_equal(one_by_one, many);
		free(one_by_one);
		free(few);
		free(many);
	}
}

/* --- races with event-ingest --- */

static void *run_in_thread(void *argument)
{
	struct bench *bench = argument;
	struct err err = {0};

	return try_batch(bench, false, &err) ? bench : NULL;
}

static void hold_lock(struct db *db, struct arena *arena, const char *value)
{
	struct uuid node = id_of(N1);
	struct lock_set locks;
	struct err err = {0};

	lock_set_init(&locks, arena);
	lock_set_binding(&locks, &node, 1, str_of(value), false);
	assert_true(db_send_expect(db, "begin", NULL, -1, ERR_DATABASE, &err));
	assert_true(lock_set_take(&locks, db, &err));
}

/* event-ingest has looked for the session, found none, and has not committed its event: binding must wait for it. */
static void test_binding_waits_for_an_event_on_its_way(void **state)
{
	static const struct statement insert = {.name = "test_event",
	        .sql = "INSERT INTO events (workspace_id, id, node_id, registered_us, updated_us, date_us, version, "
	               "bind_kind, type, "
	               "context, bind_value, body) VALUES ('" W "', 'e0000000-0000-4000-8000-000000000001', '" N1
	               "', 1, 0, 0, 1, 1, 'viewedPage', 'WEB', 's', '{}')"};
	static const struct statement locks[] = {LOCK_STATEMENT};
	struct bench *bench = bench_open();
	struct err err = {0};
	struct db *ingest = db_open(component_settings(bench->component), "test", &err);
	pthread_t thread;
	void *result;

	(void)state;
	assert_non_null(ingest);
	assert_true(db_prepare(ingest, locks, 1, &err) && db_prepare(ingest, &insert, 1, &err));
	give_rules(bench, N1, "1", "{}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'extra':'1'}");
	run(bench);
	hold_lock(ingest, bench->arena, "s");
	ORDER(bench, COMMAND_SESSION_POST, 1, .text = "s");
	assert_int_equal(pthread_create(&thread, NULL, run_in_thread, bench), 0);
	usleep(300000);
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings"), 0);
	assert_true(db_send_expect(ingest, "test_event", NULL, 1, ERR_INTERNAL, &err));
	assert_true(db_commit(ingest, &err));
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
	assert_int_equal(owner_of(bench, 1), 1);
	db_close(ingest);
	bench_close(bench);
}

/*
 * A lock for each of so many values is more than PostgreSQL has room for: the batch would fail for ever, and whoever
 * needs a lock meanwhile with it.
 */
static void test_deletion_of_a_customer_of_many_sessions(void **state)
{
	static const struct statement locks[] = {LOCK_STATEMENT};
	struct bench *bench = bench_open();
	struct err err = {0};
	struct db *ingest = db_open(component_settings(bench->component), "test", &err);
	struct uuid node = id_of(N1);
	struct lock_set held;
	pthread_t thread;
	void *result;

	(void)state;
	assert_non_null(ingest);
	assert_true(db_prepare(ingest, locks, 1, &err));
	give_rules(bench, N1, "1", "{}");
	ORDER(bench, COMMAND_CUSTOMER_POST, 1, .body = "{'externalId':'e'}");
	run(bench);
	component_sql(bench->component,
	        "INSERT INTO bindings SELECT '" W "', '" N1 "', 1, 's' || i, 1, "
	        "'d0000000-0000-4000-8000-000000000001', CASE WHEN i % 2 = 0 THEN 9223372036854775807 ELSE 2 END, "
	        "gen_random_uuid() FROM generate_series(1, 60000) i; ANALYZE bindings");
	put_event(bench, 1, "'d0000000-0000-4000-8000-000000000001'", "1", "'s60000'", START_US);
	/* event-ingest works on events of the node */
	lock_set_init(&held, bench->arena);
	lock_set_node(&held, &node, false);
	assert_true(db_send_expect(ingest, "begin", NULL, -1, ERR_DATABASE, &err));
	assert_true(lock_set_take(&held, ingest, &err));
	ORDER(bench, COMMAND_CUSTOMER_DELETE, 1);
	assert_int_equal(pthread_create(&thread, NULL, run_in_thread, bench), 0);
	usleep(1500000);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 1);
	assert_true(db_commit(ingest, &err));
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
	assert_int_equal(owner_of(bench, 1), -1);
	assert_int_equal(number(bench, "SELECT count(*) FROM customers"), 0);
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings WHERE unbound_us > 2"), 30001);
	assert_int_equal(number(bench, "SELECT count(*) FROM bindings WHERE unbound_us = 9223372036854775807"), 0);
	db_close(ingest);
	bench_close(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_life_in_one_batch),
	        cmocka_unit_test(test_unchanged_leaves_no_trace),
	        cmocka_unit_test(test_times_of_consents),
	        cmocka_unit_test(test_refusals),
	        cmocka_unit_test(test_items),
	        cmocka_unit_test(test_keys_move),
	        cmocka_unit_test(test_sessions),
	        cmocka_unit_test(test_events_follow_their_session),
	        cmocka_unit_test(test_events_follow_their_external_id),
	        cmocka_unit_test(test_deletion_takes_events),
	        cmocka_unit_test(test_ensure),
	        cmocka_unit_test(test_many_share_an_external_id),
	        cmocka_unit_test(test_ids_are_used_once),
	        cmocka_unit_test(test_other_spellings_end_with_the_external_id),
	        cmocka_unit_test(test_other_letters_end_nothing),
	        cmocka_unit_test(test_merge_moves_the_external_id),
	        cmocka_unit_test(test_rules_come_twice),
	        cmocka_unit_test(test_rules_changed_elsewhere),
	        cmocka_unit_test(test_policy_of_a_node_with_customers),
	        cmocka_unit_test(test_policy_of_a_node_with_large_customers),
	        cmocka_unit_test(test_empty_node),
	        cmocka_unit_test(test_empty_node_of_events),
	        cmocka_unit_test(test_empty_a_large_node),
	        cmocka_unit_test(test_empty_a_small_node_behind_a_large_one),
	        cmocka_unit_test(test_a_gap_in_the_log_is_told),
	        cmocka_unit_test(test_any_cut_gives_the_same_tables),
	        cmocka_unit_test(test_any_steps_give_the_same_tables),
	        cmocka_unit_test(test_binding_waits_for_an_event_on_its_way),
	        cmocka_unit_test(test_deletion_of_a_customer_of_many_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
