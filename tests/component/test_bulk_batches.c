/*
 * bulk-processor with customer-merge and event-ingest on real PostgreSQL, batch by batch and without Kafka: what
 * becomes of the rows of a file, and that each is applied once, whenever the processor dies.
 */

#include "common/arena.h"
#include "common/buf.h"
#include "common/bulk_job.h"
#include "tests/component/feed.h"
#include "workers/bulk_processor/bulk_processor.h"
#include "workers/customer_merge/customer_merge.h"
#include "workers/event_ingest/ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Rows get the time of the clock, so what the stage says was said before them. */
#define START_US 1700000000000000
#define STEP_US 1000
#define WORKSPACE "a0000000-0000-4000-8000-000000000000"
#define KEYED "b0000000-0000-4000-8000-000000000001" /* a node whose customers are matched by e-mail */
#define FREE "b0000000-0000-4000-8000-000000000002"  /* one that matches nobody: what comes twice shows */
#define WINDOW 20
#define STEPS_MAX 20000
#ifndef SEEDS
#define SEEDS 6
#endif

/* How a process ends, and what it had published of its last step. */
enum death { LIVES, BEFORE_ROWS, AMONG_ROWS, AFTER_ROWS };

struct stage {
	struct component *component;
	struct feed *bulk, *merge, *ingest;
	struct customer_merge_state *merge_state;
	struct processor *processor;
	struct worker_definition definition;
	struct arena *arena;
	int64_t time_us;
	unsigned serial;
};

static bool background(struct batch *batch, bool *ret_more, struct err *err)
{
	return processor_step(batch_state(batch), batch, ret_more, err);
}

static struct uuid id_of(const char *text)
{
	struct uuid id;

	assert_true(uuid_parse(str_of(text), &id));
	return id;
}

static void new_processor(struct stage *stage)
{
	if (stage->processor)
		processor_free(stage->processor);
	stage->processor = processor_new(&(struct processor_options){.window = WINDOW, .event_partitions = 1});
	feed_set_state(stage->bulk, stage->processor);
}

static void add_rules(struct stage *stage, const char *node, const char *doc)
{
	struct command command = {.type = COMMAND_NODE_RULES,
	        .time_us = stage->time_us += STEP_US,
	        .workspace = id_of(WORKSPACE),
	        .node = id_of(node),
	        .text = STR("1"),
	        .body = str_of(doc)};

	feed_add(stage->merge, &command);
	component_sql(stage->component,
	        arena_printf(stage->arena,
	                "INSERT INTO configuration VALUES ('" WORKSPACE "', 'node', '%s', 1, %u, 0, 0, '%s')", node,
	                ++stage->serial, doc));
}

static struct stage *stage_open(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct err err = {0};

	assert_non_null(stage);
	stage->component = component_open();
	stage->arena = arena_new(256 * 1024 * 1024);
	stage->definition = bulk_processor;
	stage->definition.background = background;
	stage->bulk = feed_open(stage->component, &stage->definition);
	stage->merge = feed_open(stage->component, &customer_merge);
	stage->ingest = feed_open(stage->component, &event_ingest_definition);
	stage->merge_state = customer_merge_open(feed_db(stage->merge), false, &err);
	assert_non_null(stage->merge_state);
	feed_set_state(stage->merge, stage->merge_state);
	stage->time_us = START_US;
	component_sql(stage->component,
	        "INSERT INTO configuration VALUES ('" WORKSPACE "', 'workspace', '', 1, 1000, 0, 0, "
	        "'{\"status\":\"ENABLED\",\"partition\":0}'); UPDATE configuration_head SET seq = 1000");
	add_rules(stage, KEYED, "{\"uniqueCustomer\":{\"properties\":[\"base.contacts.email\"]}}");
	add_rules(stage, FREE, "{}");
	feed_run(stage->merge, 0);
	new_processor(stage);
	return stage;
}

static void stage_close(struct stage *stage)
{
	processor_free(stage->processor);
	customer_merge_close(stage->merge_state);
	feed_close(stage->bulk);
	feed_close(stage->merge);
	feed_close(stage->ingest);
	component_close(stage->component);
	arena_free(stage->arena);
	free(stage);
}

static int set_up(void **state)
{
	*state = stage_open();
	return 0;
}

static int tear_down(void **state)
{
	stage_close(*state);
	return 0;
}

/* --- files ---------------------------------------------------------------------------------------------------------
 */

struct file {
	const char *node;
	enum bulk_operation operation;
	enum bulk_entity entity;
	const char *type; /* of events */
	struct str text;
	bool incomplete; /* a piece is lost */
};

static struct command begin(struct stage *stage, enum command_type type, const struct uuid *job)
{
	struct uuid workspace = id_of(WORKSPACE);

	return (struct command){.type = (uint8_t)type,
	        .time_us = stage->time_us += STEP_US,
	        .id = uuid_derive(&workspace, ++stage->serial),
	        .workspace = workspace,
	        .entity = *job};
}

static void add_chunks(struct stage *stage, const struct uuid *job, const struct file *file, size_t n_chunks)
{
	for (size_t i = 0; i < n_chunks; i++) {
		struct command chunk = begin(stage, COMMAND_BULK_CHUNK, job);
		size_t at = i * BULK_CHUNK_BYTES, n = file->text.n - at;
		chunk.text = str_of(arena_printf(stage->arena, "%zu", i));
		chunk.body = (struct str){file->text.p + at, n < BULK_CHUNK_BYTES ? n : BULK_CHUNK_BYTES};
		if (!file->incomplete || i + 1 < n_chunks)
			feed_add(stage->bulk, &chunk);
	}
}

/* Makes a job; its status tells what became of that. */
static const char *upload(struct stage *stage, const struct file *file)
{
	struct uuid seed = id_of(WORKSPACE), job = uuid_derive(&seed, 1000000 + ++stage->serial);
	struct command create = begin(stage, COMMAND_BULK_CREATE, &job);
	size_t n_chunks = (file->text.n + BULK_CHUNK_BYTES - 1) / BULK_CHUNK_BYTES;
	char *text = arena_alloc(stage->arena, UUID_TEXT_BYTES + 1);

	uuid_format(&job, text);
	add_chunks(stage, &job, file, n_chunks);
	create.node = id_of(file->node);
	create.flags = COMMAND_KEYED;
	create.body = str_of(arena_printf(stage->arena,
	        "{\"filename\":\"f.csv\",\"name\":null,\"operation\":\"%s\",\"entity\":\"%s\",\"eventType\":%s,"
	        "\"bytes\":%zu,\"chunks\":%zu}",
	        bulk_operation_name(file->operation), bulk_entity_name(file->entity), file->type ? file->type : "null",
	        file->text.n, n_chunks));
	create.time_us = stage->time_us += STEP_US;
	feed_add(stage->bulk, &create);
	feed_run(stage->bulk, 0);
	return text;
}

#define FILE_OF(of_node, of_operation, csv)                                                                            \
	&(struct file)                                                                                                 \
	{                                                                                                              \
		.node = of_node, .operation = of_operation, .text = STR(csv)                                           \
	}
#define EVENTS_OF(of_operation, csv)                                                                                   \
	&(struct file)                                                                                                 \
	{                                                                                                              \
		.node = KEYED, .operation = of_operation, .entity = BULK_EVENT, .type = "\"viewedPage\"",              \
		.text = STR(csv)                                                                                       \
	}

/* --- running -------------------------------------------------------------------------------------------------------
 */

static void publish(struct stage *stage, size_t n)
{
	size_t most;
	const struct outgoing *outgoing = processor_outgoing(stage->processor, &most);

	for (size_t i = 0; i < n && i < most; i++)
		feed_add(
		        outgoing[i].topic == TOPIC_EVENT_COMMANDS ? stage->ingest : stage->merge, &outgoing[i].command);
}

/* One step, what it has to publish, and what becomes of the process. */
static void step(struct stage *stage, enum death death)
{
	size_t n;

	feed_background(stage->bulk);
	processor_outgoing(stage->processor, &n);
	publish(stage, death == BEFORE_ROWS ? 0 : death == AMONG_ROWS ? n / 2 : n);
	processor_published(stage->processor);
	if (death != LIVES)
		new_processor(stage);
}

static void run_others(struct stage *stage)
{
	feed_run(stage->merge, 50);
	feed_run(stage->ingest, 50);
}

static bool is_over(struct stage *stage, const char *job)
{
	const char *status = component_text(
	        stage->component, arena_printf(stage->arena, "SELECT status FROM bulk_jobs WHERE id = '%s'", job));

	return bulk_status_is_final(str_of(status));
}

static void run(struct stage *stage, const char *job)
{
	for (int i = 0; i < STEPS_MAX && !is_over(stage, job); i++) {
		step(stage, LIVES);
		run_others(stage);
	}
	assert_true(is_over(stage, job));
}

/* "STATUS total/processed/failed [message] 1 STATUS[: error], 2 STATUS ..." */
static const char *outcome(struct stage *stage, const char *job)
{
	return component_text(stage->component,
	        arena_printf(stage->arena,
	                "SELECT concat_ws(' ', j.status, j.total || '/' || j.processed || '/' || j.failed, "
	                "'[' || j.error_message || ']', (SELECT string_agg(r.line || ' ' || r.status || "
	                "COALESCE(': ' || r.error, ''), ', ' ORDER BY r.line) FROM bulk_rows r WHERE r.job_id = j.id)) "
	                "FROM bulk_jobs j WHERE j.id = '%s'",
	                job));
}

static const char *do_job(struct stage *stage, const struct file *file)
{
	const char *job = upload(stage, file);

	run(stage, job);
	return outcome(stage, job);
}

static long long count(struct stage *stage, const char *of)
{
	return component_number(stage->component, arena_printf(stage->arena, "SELECT count(*) FROM %s", of));
}

/* A number n of rows "n,customer n". */
static struct str many_rows(struct arena *arena, const char *header, int n, const char *format)
{
	struct buf text;

	buf_init(&text, arena, 65536);
	buf_printf(&text, "%s\r\n", header);
	for (int i = 1; i <= n; i++) {
		char number[16];
		snprintf(number, sizeof(number), "%d", i);
		for (const char *p = format; *p; p++)
			if (*p == '#')
				buf_add_str(&text, str_of(number));
			else
				buf_add_char(&text, *p);
		buf_add_literal(&text, "\r\n");
	}
	return buf_str(&text);
}

/* --- tests ---------------------------------------------------------------------------------------------------------
 */

static void customers_are_written_row_by_row(void **state)
{
	struct stage *stage = *state;

	assert_string_equal(do_job(stage, FILE_OF(KEYED, BULK_UPSERT,
	                                          "base.contacts.email,base.firstName\r\na@x,Ann\r\nb@x,Bob\r\n")),
	        "PROCESSED 2/2/0 1 CREATED, 2 CREATED");
	assert_string_equal(do_job(stage, FILE_OF(KEYED, BULK_UPSERT,
	                                          "base.contacts.email,base.firstName,base.lastName\r\nA@X,Ann,\r\n"
	                                          "b@x,null,Brown\r\nb@x,null,Brown\r\n")),
	        "PROCESSED 3/3/0 1 UPDATED, 2 UPDATED, 3 UNCHANGED");
	assert_string_equal(component_text(stage->component,
	                            "SELECT doc::text FROM customers WHERE doc #>> '{base,lastName}' = 'Brown'"),
	        "{\"base\": {\"contacts\": {\"email\": \"b@x\"}, \"lastName\": \"Brown\"}}");
	assert_string_equal(do_job(stage, FILE_OF(KEYED, BULK_INSERT, "base.contacts.email\nb@x\nc@x\n")),
	        arena_printf(stage->arena, "PROCESSED 2/2/1 1 FAILED: Conflict with exiting customer %s, 2 CREATED",
	                component_text(stage->component,
	                        "SELECT id FROM customers WHERE doc #>> '{base,lastName}' = 'Brown'")));
	assert_string_equal(do_job(stage, FILE_OF(KEYED, BULK_UPSERT, "base.firstName\nAnn\n")),
	        "PROCESSED 1/1/1 1 FAILED: source customer is not valid; /base/contacts/email: unique customer "
	        "property is required");
	assert_non_null(strstr(do_job(stage, FILE_OF(KEYED, BULK_DELETE, "base.contacts.email\nC@X\nnobody@x\nc@x\n")),
	        "PROCESSED 3/3/2 1 DELETED, 2 FAILED: customer not found, 3 FAILED: customer not found"));
	assert_int_equal(count(stage, "customers"), 2);
	/* results of rows do not stay */
	assert_int_equal(
	        count(stage, "command_results WHERE substr(command_id::text, 15, 1) = '8' AND status <> 201"), 0);
}

static void customers_are_found_by_id_and_external_id(void **state)
{
	struct stage *stage = *state;
	const char *id, *text;

	assert_string_equal(do_job(stage, FILE_OF(FREE, BULK_INSERT, "externalId\n1\n2\n2\n")),
	        "PROCESSED 3/3/0 1 CREATED, 2 CREATED, 3 CREATED");
	id = arena_printf(stage->arena, "%s",
	        component_text(stage->component, "SELECT id FROM customers WHERE external_id = '1'"));
	text = arena_printf(stage->arena, "id,extra\n%s,x\n%s,y\nb0000000-0000-4000-8000-000000000009,z\n", id, id);
	assert_string_equal(do_job(stage, &(struct file){.node = FREE, .operation = BULK_UPSERT, .text = str_of(text)}),
	        "PROCESSED 3/3/1 1 UPDATED, 2 UPDATED, 3 FAILED: customer not found "
	        "b0000000-0000-4000-8000-000000000009");
	/* by id it is another node's */
	assert_non_null(
	        strstr(do_job(stage, &(struct file){.node = KEYED, .operation = BULK_UPSERT, .text = str_of(text)}),
	                "PROCESSED 3/3/3"));
	assert_string_equal(do_job(stage, FILE_OF(FREE, BULK_DELETE, "externalId\n1\n2\n3\n")),
	        "PROCESSED 3/3/2 1 DELETED, 2 FAILED: more than one customer has the externalId 2, "
	        "3 FAILED: customer not found");
	assert_int_equal(count(stage, "customer_tombstones"), 1);
}

/* Rows of a node that was emptied may be there still: nobody is to find them. */
static void customers_who_are_to_go_are_not_found(void **state)
{
	struct stage *stage = *state;

	assert_string_equal(do_job(stage, FILE_OF(FREE, BULK_INSERT, "externalId\n1\n2\n")),
	        "PROCESSED 2/2/0 1 CREATED, 2 CREATED");
	component_sql(stage->component,
	        "INSERT INTO node_emptyings (workspace_id, node_id, time_us, partition, customers) "
	        "SELECT workspace_id, node_id, max(updated_us) + 1, 0, true FROM customers GROUP BY 1, 2");
	assert_string_equal(do_job(stage, FILE_OF(FREE, BULK_INSERT, "externalId\n1\n")), "PROCESSED 1/1/0 1 CREATED");
	assert_string_equal(do_job(stage, FILE_OF(FREE, BULK_DELETE, "externalId\n1\n2\n")),
	        "PROCESSED 2/2/1 1 DELETED, 2 FAILED: customer not found");
	assert_string_equal(do_job(stage, &(struct file){.node = FREE,
	                                          .operation = BULK_INSERT,
	                                          .entity = BULK_EVENT,
	                                          .type = "\"viewedPage\"",
	                                          .text = STR("externalId,context,properties.url\n2,WEB,http://a\n")}),
	        "PROCESSED 1/1/0 1 CREATED");
	/* the event's external id has nobody any more: a customer was made */
	assert_int_equal(count(stage, "customers WHERE external_id = '2'"), 2);
}

static void events_find_their_customers(void **state)
{
	struct stage *stage = *state;
	const char *id, *text;

	assert_string_equal(
	        do_job(stage, FILE_OF(KEYED, BULK_INSERT, "base.contacts.email\na@x\n")), "PROCESSED 1/1/0 1 CREATED");
	assert_string_equal(
	        do_job(stage, EVENTS_OF(BULK_INSERT, "externalId,sessionId,context,properties.url\n7,,WEB,http://a\n"
	                                             "7,,WEB,http://b\n,s,WEB,http://c\n")),
	        "PROCESSED 3/3/0 1 CREATED, 2 CREATED, 3 CREATED");
	/* the external id had nobody: one customer was made for both */
	assert_int_equal(count(stage, "customers WHERE external_id = '7'"), 1);
	assert_int_equal(count(stage, "events e JOIN customers c ON c.id = e.customer_id AND c.external_id = '7'"), 2);
	assert_int_equal(count(stage, "events WHERE customer_id IS NULL"), 1);
	id = arena_printf(stage->arena, "%s",
	        component_text(stage->component, "SELECT id FROM events WHERE customer_id IS NULL"));
	text = arena_printf(stage->arena, "id,properties.title\n%s,T\nb0000000-0000-4000-8000-000000000009,T\n", id);
	assert_string_equal(do_job(stage, &(struct file){.node = KEYED,
	                                          .operation = BULK_UPSERT,
	                                          .entity = BULK_EVENT,
	                                          .type = "\"viewedPage\"",
	                                          .text = str_of(text)}),
	        "PROCESSED 2/2/1 1 UPDATED, 2 FAILED: event not found");
	assert_string_equal(component_text(stage->component,
	                            "SELECT body #>> '{properties}' FROM events WHERE customer_id IS NULL"),
	        "{\"url\":\"http://c\",\"title\":\"T\"}");
	text = arena_printf(stage->arena, "id\n%s\n%s\n", id, id);
	assert_string_equal(
	        do_job(stage,
	                &(struct file){
	                        .node = KEYED, .operation = BULK_DELETE, .entity = BULK_EVENT, .text = str_of(text)}),
	        "PROCESSED 2/2/1 1 DELETED, 2 FAILED: event not found");
	assert_string_equal(
	        do_job(stage, EVENTS_OF(BULK_INSERT, "customerId,context\nb0000000-0000-4000-8000-000000000009,WEB\n")),
	        "PROCESSED 1/1/1 1 FAILED: customer not found");
	assert_int_equal(count(stage, "events"), 2);
	assert_int_equal(count(stage, "event_tombstones"), 1);
}

static void files_that_cannot_be_read_fail(void **state)
{
	static const struct {
		struct file file;
		const char *outcome;
	} cases[] = {
	        {{.node = FREE, .text = {"externalId,shoeSize\n1,2\n", 23}},
	                "FAILED 0/0/0 [the column shoeSize names nothing that is known]"},
	        {{.node = FREE, .text = {"\n\r\n", 3}}, "FAILED 0/0/0 [the file has no header]"},
	        {{.node = FREE,
	                 .text = {"\xff\xfe"
	                          "e\0x\0",
	                         6}},
	                "FAILED 0/0/0 [the header is not UTF-8 text]"},
	        {{.node = FREE,
	                 .text = {"\xff\xfe"
	                          "e\0\r\0\n\0x\0\r\0\n\0",
	                         14}},
	                "FAILED 0/0/0 [the header is not UTF-8 text]"},
	        {{.node = FREE, .entity = BULK_EVENT, .text = {"externalId,context\n1,WEB\n", 25}},
	                "FAILED 0/0/0 [nobody says the type of the events: the form's eventType or a column type]"},
	        {{.node = FREE, .text = {"externalId\n1\n\"2\n3\n", 17}},
	                "FAILED 1/1/0 [row 2 cannot be read: the quote that begins its cell 1 never ends] 1 CREATED"},
	        {{.node = FREE, .text = {"externalId,\"extra\n1,2\n", 22}},
	                "FAILED 0/0/0 [the header cannot be read: the quote that begins its cell 2 never ends]"},
	        {{.node = FREE, .text = {"externalId\n", 11}}, "PROCESSED 0/0/0"},
	        {{.node = FREE, .incomplete = true, .text = {"externalId\n1\n", 13}},
	                "FAILED 0/0/0 [the file is not complete: send it again]"},
	};
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(do_job(stage, &cases[i].file), cases[i].outcome);
	step(stage, LIVES);
	assert_int_equal(count(stage, "bulk_chunks"), 0);
}

static void ten_jobs_of_a_node_may_wait(void **state)
{
	struct stage *stage = *state;
	const char *last = NULL, *other;
	struct uuid id;

	for (int i = 0; i < BULK_MAX_LOADED; i++)
		last = upload(stage, FILE_OF(FREE, BULK_INSERT, "externalId\n1\n"));
	upload(stage, FILE_OF(FREE, BULK_INSERT, "externalId\n1\n"));
	assert_int_equal(count(stage, "bulk_jobs"), BULK_MAX_LOADED);
	assert_int_equal(count(stage, "command_results WHERE status = 409"), 1);
	other = upload(stage, FILE_OF(KEYED, BULK_INSERT, "base.contacts.email\na@x\n"));
	/* what nobody made a job of is forgotten */
	assert_int_equal(count(stage, "bulk_chunks"), BULK_MAX_LOADED + 2);
	component_sql(stage->component, "UPDATE bulk_chunks SET stored_us = 0");
	step(stage, LIVES);
	assert_int_equal(count(stage, "bulk_chunks"), BULK_MAX_LOADED + 1);
	/* one job of each node at a time */
	assert_int_equal(count(stage, "bulk_jobs WHERE status = 'SCHEDULED'"), 2);
	id = id_of(last);
	struct command stop = begin(stage, COMMAND_BULK_STOP, &id);
	feed_add(stage->bulk, &stop);
	feed_run(stage->bulk, 0);
	assert_string_equal(outcome(stage, last), "STOPPED 0/0/0");
	run(stage, other);
	while (count(stage, "bulk_jobs WHERE status IN ('LOADED', 'SCHEDULED', 'PROCESSING')")) {
		step(stage, LIVES);
		run_others(stage);
	}
	assert_int_equal(count(stage, "customers WHERE external_id = '1'"), BULK_MAX_LOADED - 1);
}

static void a_job_is_stopped_between_rows(void **state)
{
	struct stage *stage = *state;
	struct file file = {
	        .node = FREE, .operation = BULK_INSERT, .text = many_rows(stage->arena, "externalId", 200, "#")};
	const char *job = upload(stage, &file);
	struct uuid id = id_of(job);

	for (int i = 0; i < 6; i++) {
		step(stage, LIVES);
		run_others(stage);
	}
	step(stage, LIVES); /* rows are on their way */
	struct command stop = begin(stage, COMMAND_BULK_STOP, &id);
	feed_add(stage->bulk, &stop);
	feed_run(stage->bulk, 0);
	run(stage, job);
	assert_non_null(strstr(outcome(stage, job), "STOPPED "));
	long long n = count(stage, "bulk_rows WHERE status = 'CREATED'");
	assert_true(n > 0 && n < 200);
	assert_int_equal(count(stage, "customers"), n);
	assert_int_equal(component_number(stage->component, "SELECT processed FROM bulk_jobs"), n);
}

static void rows_on_their_way_are_bounded(void **state)
{
	struct stage *stage = *state;
	struct file file = {
	        .node = FREE, .operation = BULK_INSERT, .text = many_rows(stage->arena, "externalId", 100, "#")};

	upload(stage, &file);
	for (int i = 0; i < 10; i++)
		step(stage, LIVES); /* nobody applies them */
	assert_int_equal(feed_queued(stage->merge), WINDOW);
	assert_int_equal(component_number(stage->component, "SELECT total FROM bulk_jobs"), WINDOW);
}

/* A step that has sent all that it may waits for the workers; the one after it takes what came back and sends as many.
 */
static void rows_that_come_back_make_room_at_once(void **state)
{
	struct stage *stage = *state;
	struct file file = {
	        .node = FREE, .operation = BULK_INSERT, .text = many_rows(stage->arena, "externalId", 2 * WINDOW, "#")};
	const char *job = upload(stage, &file);

	step(stage, LIVES); /* it is scheduled */
	for (int done = 0; done <= 2 * WINDOW; done += WINDOW) {
		size_t n;
		feed_background(stage->bulk);
		processor_outgoing(stage->processor, &n);
		assert_int_equal(n, done < 2 * WINDOW ? WINDOW : 0);
		assert_int_equal(processor_is_waiting(stage->processor), done < 2 * WINDOW);
		assert_int_equal(component_number(stage->component, "SELECT processed FROM bulk_jobs"), done);
		publish(stage, n);
		processor_published(stage->processor);
		feed_run(stage->merge, 0);
	}
	assert_true(is_over(stage, job));
}

/* Rows of other partitions go on beside one that does not come back, but not without end: all behind it is remembered.
 */
static void a_late_row_does_not_hold_up_others(void **state)
{
	struct stage *stage = *state;
	struct file file = {
	        .node = FREE, .operation = BULK_INSERT, .text = many_rows(stage->arena, "externalId", 100, "#")};
	const char *job = upload(stage, &file);
	const struct outgoing *outgoing;
	size_t n;

	step(stage, LIVES); /* it is scheduled */
	feed_background(stage->bulk);
	outgoing = processor_outgoing(stage->processor, &n);
	assert_int_equal(n, WINDOW);
	for (size_t i = 1; i < n; i++)
		feed_add(stage->merge, &outgoing[i].command);
	processor_published(stage->processor);
	for (int i = 0; i < 10; i++) {
		feed_run(stage->merge, 0);
		step(stage, LIVES);
		assert_true(feed_queued(stage->merge) < WINDOW);
	}
	assert_int_equal(component_number(stage->component, "SELECT total FROM bulk_jobs"), 4 * WINDOW);
	assert_int_equal(component_number(stage->component, "SELECT processed FROM bulk_jobs"), 4 * WINDOW - 1);
	new_processor(stage); /* sends it again */
	run(stage, job);
	assert_int_equal(count(stage, "customers"), 100);
}

/* Fewer rows from one step to the next; a step takes up rows only when a quarter of the window is free. */
static void a_smaller_window_lets_rows_land_first(void **state)
{
	struct stage *stage = *state;
	struct file file = {
	        .node = FREE, .operation = BULK_INSERT, .text = many_rows(stage->arena, "externalId", 100, "#")};
	const char *job = upload(stage, &file);

	for (int i = 0; i < 4; i++)
		step(stage, LIVES);
	processor_set_window(stage->processor, 4);
	for (int i = 0; i < 4; i++)
		step(stage, LIVES);
	assert_int_equal(feed_queued(stage->merge), WINDOW);
	feed_run(stage->merge, 0);
	for (int i = 0; i < 4; i++)
		step(stage, LIVES);
	assert_int_equal(feed_queued(stage->merge), 4);
	processor_set_window(stage->processor, 10 * WINDOW); /* never above its options */
	for (int i = 0; i < 4; i++)
		step(stage, LIVES);
	assert_int_equal(feed_queued(stage->merge), WINDOW);
	run_others(stage);
	run(stage, job);
	assert_int_equal(count(stage, "customers"), 100);
}

/* A workspace that takes no writes has its jobs wait. */
static void jobs_wait_while_the_workspace_is_suspended(void **state)
{
	struct stage *stage = *state;
	struct file file = {
	        .node = FREE, .operation = BULK_INSERT, .text = many_rows(stage->arena, "externalId", 100, "#")};
	const char *job = upload(stage, &file);

	for (int i = 0; i < 4; i++)
		step(stage, LIVES);
	component_sql(stage->component,
	        "UPDATE configuration SET doc = jsonb_set(doc, '{status}', '\"SUSPENDED\"') WHERE kind = 'workspace'");
	for (int i = 0; i < 4; i++) {
		step(stage, LIVES);
		run_others(stage);
	}
	assert_int_equal(count(stage, "customers"), WINDOW);
	component_sql(stage->component,
	        "UPDATE configuration SET doc = jsonb_set(doc, '{status}', '\"ENABLED\"') WHERE kind = 'workspace'");
	run(stage, job);
	assert_int_equal(count(stage, "customers"), 100);
}

/* A property that is declared while the job runs: rows that come later may use it, as the header says. */
static void configuration_is_followed(void **state)
{
	struct stage *stage = *state;
	struct file file = {.node = FREE,
	        .operation = BULK_INSERT,
	        .text = many_rows(stage->arena, "externalId,base.firstName", 100, "#,Ann")};
	const char *job = upload(stage, &file);

	for (int i = 0; i < 4; i++)
		step(stage, LIVES);
	component_sql(stage->component,
	        "INSERT INTO configuration VALUES ('" WORKSPACE "', 'base-properties', '', 1, 1001, 0, 0, "
	        "'{\"disabled\":[\"firstName\"]}'); UPDATE configuration_head SET seq = 1001");
	run(stage, job);
	assert_int_equal(count(stage, "bulk_rows WHERE status = 'CREATED'"), WINDOW);
	assert_int_equal(count(stage, "bulk_rows WHERE error LIKE '/base/firstName%'"), 100 - WINDOW);
}

/* Gateways refuse as much today; what an earlier one took must not end the process for all workspaces. */
static void a_very_large_configuration_is_read(void **state)
{
	struct stage *stage = *state;

	component_sql(stage->component,
	        "INSERT INTO configuration SELECT '" WORKSPACE "', 'extended', 'event:type' || i, 1, 1001 + i, 0, 0, "
	        "jsonb_build_object('a', jsonb_build_object('type', 'string', 'examples', "
	        "(SELECT jsonb_agg(0) FROM generate_series(1, 250000)))) FROM generate_series(1, 20) i; "
	        "UPDATE configuration_head SET seq = 1021");
	const char *job = upload(stage, FILE_OF(FREE, BULK_INSERT, "externalId\nE\n"));
	run(stage, job);
	assert_int_equal(count(stage, "customers"), 1);
}

/* The processor dies now and then, in every window; customers of the node equal nobody, so that one that came twice
   would be there twice. */
static void run_with_deaths(struct stage *stage, const char *job, unsigned seed)
{
	for (int i = 0; i < STEPS_MAX && !is_over(stage, job); i++) {
		step(stage, rand_r(&seed) % 8 ? LIVES : (enum death)(1 + rand_r(&seed) % 3));
		if (rand_r(&seed) % 2)
			feed_run_some(stage->merge, 1 + (size_t)(rand_r(&seed) % 25));
		if (rand_r(&seed) % 2)
			feed_run_some(stage->ingest, 1 + (size_t)(rand_r(&seed) % 25));
		if (feed_queued(stage->merge) + feed_queued(stage->ingest) > 200)
			run_others(stage);
	}
	assert_true(is_over(stage, job));
	run_others(stage); /* what stands in the log a second time */
}

static void check_once(struct stage *stage, const char *job, const char *table, int n)
{
	assert_int_equal(count(stage, table), n);
	assert_non_null(strstr(outcome(stage, job), arena_printf(stage->arena, "PROCESSED %d/%d/0", n, n)));
	assert_int_equal(count(stage, arena_printf(stage->arena,
	                                      "bulk_rows r JOIN %s e ON e.id::text = r.entity_id WHERE r.status = "
	                                      "'CREATED' AND r.job_id = '%s'",
	                                      table, job)),
	        n);
}

static void every_row_is_applied_once(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct stage *stage = stage_open();
		struct file customers = {.node = FREE,
		        .operation = BULK_INSERT,
		        .text = many_rows(stage->arena, "externalId,extra", 300, "#,\"a\nb\"")};
		struct file events = {.node = FREE,
		        .operation = BULK_INSERT,
		        .entity = BULK_EVENT,
		        .type = "\"viewedPage\"",
		        .text = many_rows(stage->arena, "externalId,context,properties.url", 300, "#,WEB,http://#")};
		const char *job = upload(stage, &customers);
		run_with_deaths(stage, job, seed);
		check_once(stage, job, "customers", 300);
		job = upload(stage, &events);
		run_with_deaths(stage, job, seed + 1000);
		check_once(stage, job, "events", 300);
		assert_int_equal(count(stage, "customers"), 300);
		assert_int_equal(count(stage, "events e JOIN customers c ON c.id = e.customer_id AND "
		                              "e.body #>> '{properties,url}' = 'http://' || c.external_id"),
		        300);
		stage_close(stage);
	}
}

static void every_row_is_deleted_once(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct stage *stage = stage_open();
		struct file people = {.node = KEYED,
		        .operation = BULK_INSERT,
		        .text = many_rows(stage->arena, "base.contacts.email", 200, "#@x")};
		struct file again = people;
		again.operation = BULK_DELETE;
		run(stage, upload(stage, &people));
		const char *job = upload(stage, &again);
		run_with_deaths(stage, job, seed);
		/* a row whose customer had gone by its own first command is told so: DELETED */
		assert_non_null(strstr(outcome(stage, job), "PROCESSED 200/200/0 1 DELETED, 2 DELETED"));
		assert_int_equal(count(stage, "customers"), 0);
		assert_int_equal(count(stage, "customer_tombstones"), 200);
		stage_close(stage);
	}
}

/* A row was sent, and who wrote before it makes its customer one that the next process does not find: what the row did
   counts. */
static void a_deletion_that_was_sent_is_told(void **state)
{
	struct stage *stage = *state;
	struct command patch;
	size_t n;

	do_job(stage, FILE_OF(KEYED, BULK_INSERT, "base.contacts.email\na@x\n"));
	const char *job = upload(stage, FILE_OF(KEYED, BULK_DELETE, "base.contacts.email\na@x\nb@x\n"));
	step(stage, LIVES); /* it is scheduled */
	feed_background(stage->bulk);
	processor_outgoing(stage->processor, &n);
	assert_int_equal(n, 1);
	struct uuid customer = id_of(component_text(stage->component, "SELECT id FROM customers"));
	patch = begin(stage, COMMAND_CUSTOMER_PATCH, &customer);
	patch.node = id_of(KEYED);
	patch.body = STR("{\"base\":{\"contacts\":{\"email\":\"c@x\"}}}");
	feed_add(stage->merge, &patch);
	publish(stage, n);
	new_processor(stage);
	feed_run_some(stage->merge, 1);
	step(stage, LIVES);
	run(stage, job);
	run_others(stage);
	assert_int_equal(count(stage, "customers"), 0);
	assert_string_equal(outcome(stage, job), "PROCESSED 2/2/1 1 DELETED, 2 FAILED: customer not found");
}

/* A process that was frozen with rows on their way, and does not know that another one has sent them again: it must not
   take their results away. */
static void a_process_that_was_overtaken_stands_back(void **state)
{
	struct stage *stage = *state;
	struct file file = {
	        .node = FREE, .operation = BULK_INSERT, .text = many_rows(stage->arena, "externalId", 60, "#")};
	const char *job = upload(stage, &file);

	for (int i = 0; i < 3; i++)
		step(stage, LIVES);
	assert_int_equal(feed_queued(stage->merge), WINDOW);
	struct processor *frozen = stage->processor;
	stage->processor = NULL;
	new_processor(stage);
	step(stage, LIVES);
	assert_int_equal(feed_queued(stage->merge), 2 * WINDOW);
	feed_run_some(stage->merge, WINDOW);
	feed_set_state(stage->bulk, frozen);
	assert_false(feed_try_background(stage->bulk));
	processor_forget(frozen);
	run_others(stage);
	feed_set_state(stage->bulk, stage->processor);
	run(stage, job);
	processor_free(frozen);
	check_once(stage, job, "customers", 60);
}

/* Longer than one piece of a file, with rows that lie across its borders, and deaths in between. */
static void a_file_of_many_pieces(void **state)
{
	struct stage *stage = *state;
	char wide[700];
	struct file file = {.node = FREE, .operation = BULK_INSERT};

	memset(wide, 'x', sizeof(wide));
	memcpy(wide, "#,\"", 3);
	memcpy(wide + sizeof(wide) - 2, "\"", 2);
	file.text = many_rows(stage->arena, "externalId,extra", 2000, wide);
	assert_true(file.text.n > 5 * BULK_CHUNK_BYTES);
	const char *job = upload(stage, &file);
	run_with_deaths(stage, job, 7);
	check_once(stage, job, "customers", 2000);
	step(stage, LIVES);
	assert_int_equal(count(stage, "bulk_chunks"), 0);
	assert_int_equal(count(stage, "(SELECT DISTINCT external_id FROM customers) x"), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(customers_are_written_row_by_row, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(customers_are_found_by_id_and_external_id, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(customers_who_are_to_go_are_not_found, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(events_find_their_customers, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(files_that_cannot_be_read_fail, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(ten_jobs_of_a_node_may_wait, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_job_is_stopped_between_rows, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(rows_on_their_way_are_bounded, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(rows_that_come_back_make_room_at_once, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_late_row_does_not_hold_up_others, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_smaller_window_lets_rows_land_first, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(jobs_wait_while_the_workspace_is_suspended, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(configuration_is_followed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_very_large_configuration_is_read, set_up, tear_down),
	        cmocka_unit_test(every_row_is_applied_once),
	        cmocka_unit_test(every_row_is_deleted_once),
	        cmocka_unit_test_setup_teardown(a_deletion_that_was_sent_is_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_process_that_was_overtaken_stands_back, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_file_of_many_pieces, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
