/*
 * Cursors of facts, when a process that was overtaken wakes up: what its successor has committed and Kafka has not
 * acknowledged must stay above them, or nobody would publish it if the successor died now.
 */

#include "common/arena.h"
#include "common/buf.h"
#include "common/worker_batch.h"
#include "tests/component/component.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKER "tester"
#define TOPIC "changes"
#define WAIT_US (20 * 1000)
#define WAIT_TIMES 500

static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};

/* What one process knows. */
struct process {
	struct db *db;
	struct facts *facts;
	struct arena *arena;
	struct partition_position positions[1];
	enum err_code outcome; /* of the last transaction */
	int n_delivered;       /* facts that it has recovered; those of its own transactions are not published here */
};

/* The two, and what they share. */
struct stage {
	struct component *component;
	struct process before, after;
};

static void change(struct batch *batch)
{
	batch_change(batch, &workspace, &workspace, ENTITY_CUSTOMER, &workspace, CHANGE_UPDATE, 1);
}

/* A step, or a record, that changes one customer. */
static bool take_record(struct batch *batch, struct err *err)
{
	(void)err;
	change(batch);
	return true;
}

static bool take_step(struct batch *batch, bool *ret_more, struct err *err)
{
	(void)err;
	*ret_more = false;
	change(batch);
	return true;
}

static const struct worker_definition definition = {
        .name = WORKER, .topic = TOPIC_CHANGES, .handle = take_record, .background = take_step};

static void open_process(struct component *component, struct process *process)
{
	struct err err = {0};

	process->arena = arena_new(BATCH_ARENA_BYTES);
	process->facts = facts_new(WORKER, TOPIC, NULL); /* none are handed to Kafka: none are acknowledged */
	process->db = db_open(component_settings(component), "facts-test", &err);
	if (!process->db || !db_prepare(process->db, runtime_statements, runtime_statement_count, &err) ||
	        !db_prepare(process->db, facts_statements, facts_statement_count, &err))
		fail_msg("%s", err.message);
}

static void on_delivered(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	struct process *process = context;

	assert_int_equal(delivery->error, RD_KAFKA_RESP_ERR_NO_ERROR);
	facts_delivered(opaque, delivery->error);
	process->n_delivered++;
}

static void connect_to_kafka(struct component *component, struct process *process)
{
	free(process->facts);
	process->facts = facts_new(WORKER, TOPIC,
	        kafka_producer_new(component_settings(component), KAFKA_SEND_AT_ONCE, on_delivered, process));
}

static void close_process(struct process *process)
{
	db_close(process->db);
	arena_free(process->arena);
	free(process->facts);
}

/* Where the partition stands, as who takes it over reads it. */
static void take_over(struct stage *stage, struct process *process)
{
	process->positions[0] = (struct partition_position){.owned = true,
	        .next_offset = component_number(stage->component, "SELECT next_offset FROM consumer_offsets"),
	        .last_time_us = component_number(stage->component, "SELECT last_time_us FROM consumer_offsets"),
	        .steps = component_number(stage->component, "SELECT steps FROM consumer_offsets")};
}

static void stage_open(struct stage *stage)
{
	stage->component = component_open();
	component_sql(stage->component, "INSERT INTO consumer_offsets VALUES ('" WORKER "', '" TOPIC "', 0, 10, 1000)");
	open_process(stage->component, &stage->before);
	open_process(stage->component, &stage->after);
	take_over(stage, &stage->before);
}

static void stage_close(struct stage *stage)
{
	close_process(&stage->before);
	close_process(&stage->after);
	component_close(stage->component);
}

static void run(struct process *process, rd_kafka_message_t **messages, size_t n)
{
	struct err err = {0};

	arena_reset(process->arena);
	struct batch *batch = batch_new(&(struct batch_context){.definition = &definition,
	        .db = process->db,
	        .arena = process->arena,
	        .positions = process->positions,
	        .messages = messages,
	        .n_messages = n,
	        .facts = process->facts,
	        .background = !n,
	        .n_positions = 1});
	process->outcome = batch_run(batch, &err) ? ERR_NONE : err.code;
	if (process->outcome)
		assert_true(db_rollback(process->db));
}

static enum err_code step(struct process *process)
{
	run(process, NULL, 0);
	return process->outcome;
}

static void *step_in_thread(void *process)
{
	step(process);
	return NULL;
}

/* The next record. */
static enum err_code record(struct process *process)
{
	rd_kafka_message_t message = {.offset = process->positions[0].next_offset}, *messages = &message;
	struct arena *arena = arena_new(1 << 20);
	struct buf bytes;

	buf_init(&bytes, arena, 256);
	command_encode(&bytes, &(struct command){.type = COMMAND_CHANGE, .time_us = 1, .workspace = workspace});
	message.payload = bytes.p;
	message.len = bytes.n;
	run(process, &messages, 1);
	arena_free(arena);
	return process->outcome;
}

static struct facts_position stands_at(const struct process *process)
{
	return (struct facts_position){.partition = 0,
	        .next_offset = process->positions[0].next_offset,
	        .last_time_us = process->positions[0].last_time_us,
	        .steps = process->positions[0].steps};
}

/* All that the process has published is acknowledged: it moves the cursor. */
static void save(struct process *process)
{
	struct facts_position position = stands_at(process);
	struct err err = {0};

	if (!facts_save(process->facts, process->db, process->arena, &position, 1, &err))
		fail_msg("%s", err.message);
}

/* One step of publishing what predecessors left. */
static bool recover(struct process *process)
{
	struct facts_position position = stands_at(process);
	struct err err = {0};
	bool more;

	if (!facts_recover(process->facts, process->db, process->arena, &position, 1, &more, &err))
		fail_msg("%s", err.message);
	return more;
}

#define CURSOR "SELECT published FROM fact_cursors"

/* What is there without anybody in between: the cursor moves over steps and records of one's own. */
static void the_cursor_follows_its_process(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_open(&stage);
	assert_int_equal(step(&stage.before), ERR_NONE);
	assert_int_equal(component_number(stage.component, CURSOR), 0);
	assert_int_equal(record(&stage.before), ERR_NONE);
	assert_int_equal(step(&stage.before), ERR_NONE);
	save(&stage.before);
	assert_int_equal(component_number(stage.component, CURSOR), 3);
	stage_close(&stage);
}

/* The successor has committed a step, or a record: whoever was there before moves the cursor no further. */
static void what_a_successor_committed_stays_above_the_cursor(void **state)
{
	static enum err_code (*const works[])(struct process * process) = {step, record};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(works); i++) {
		struct stage stage = {0};
		stage_open(&stage);
		assert_int_equal(step(&stage.before), ERR_NONE); /* and is frozen */
		take_over(&stage, &stage.after);
		assert_int_equal(works[i](&stage.after), ERR_NONE);
		save(&stage.before);
		assert_true(component_number(stage.component, CURSOR) < 2);
		assert_int_equal(step(&stage.before), ERR_ZOMBIE);
		assert_int_equal(record(&stage.before), ERR_ZOMBIE);
		assert_int_equal(component_number(stage.component, "SELECT last_offset FROM stream_heads"), 2);
		save(&stage.after);
		assert_int_equal(component_number(stage.component, CURSOR), 2);
		stage_close(&stage);
	}
}

/* The other order: who was overtaken commits once more, when the successor has published what it found, and is no more.
 */
static void what_a_predecessor_committed_late_stays_above_the_cursor(void **state)
{
	static enum err_code (*const works[])(struct process * process) = {step, record};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(works); i++) {
		struct stage stage = {0};
		stage_open(&stage);
		assert_int_equal(step(&stage.before), ERR_NONE);
		save(&stage.before);
		take_over(&stage, &stage.after);
		assert_int_equal(works[i](&stage.before), ERR_NONE);
		save(&stage.after);
		assert_int_equal(component_number(stage.component, CURSOR), 1);
		assert_int_equal(step(&stage.after), ERR_ZOMBIE);
		assert_int_equal(record(&stage.after), ERR_ZOMBIE);
		stage_close(&stage);
	}
}

/* What the successor writes while it publishes what it found is published by itself, once. */
static void what_comes_meanwhile_is_not_recovered(void **state)
{
	struct stage stage = {0};

	(void)state;
	stage_open(&stage);
	assert_int_equal(step(&stage.before), ERR_NONE);
	assert_int_equal(record(&stage.before), ERR_NONE);
	take_over(&stage, &stage.after);
	connect_to_kafka(stage.component, &stage.after);
	facts_taken_over(stage.after.facts);
	for (int i = 0; recover(&stage.after); i++) {
		assert_true(i < 4);
		assert_int_equal(record(&stage.after), ERR_NONE);
	}
	assert_int_equal(stage.after.n_delivered, 2);
	assert_int_equal(component_number(stage.component, CURSOR), 2);
	save(&stage.after);
	assert_int_equal(component_number(stage.component, CURSOR),
	        component_number(stage.component, "SELECT last_offset FROM stream_heads"));
	assert_true(component_number(stage.component, CURSOR) > 2);
	/* partitions that come again: nothing is left to recover */
	facts_taken_over(stage.after.facts);
	assert_false(recover(&stage.after));
	assert_int_equal(stage.after.n_delivered, 2);
	stage_close(&stage);
}

/* In a compacted topic the last record of a key stands for those before it. */
static void a_fact_with_flags_takes_no_other_ones_place(void **state)
{
	struct fact plain = {.id = workspace}, flagged = {.id = workspace, .flags = COMMAND_SAME_MEMBERS};
	struct uuid plain_key = facts_key(&plain), flagged_key = facts_key(&flagged), again = facts_key(&flagged);

	(void)state;
	assert_true(uuid_eq(&plain_key, &workspace));
	assert_false(uuid_eq(&flagged_key, &workspace));
	assert_true(uuid_eq(&flagged_key, &again));
}

static void wait_for_lock(struct stage *stage)
{
	for (int i = 0; i < WAIT_TIMES; i++) {
		if (component_number(stage->component,
		            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'facts-test' "
		            "AND wait_event_type = 'Lock'"))
			return;
		usleep(WAIT_US);
	}
	fail_msg("nobody waits for the offset row");
}

/* Held open: one is in the middle of its step, the other begins one. Only the first counts, whichever it is. */
static void of_two_steps_at_once_the_first_counts(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		struct stage stage = {0};
		stage_open(&stage);
		take_over(&stage, &stage.after);
		struct process *first = order ? &stage.after : &stage.before;
		struct process *second = order ? &stage.before : &stage.after;
		pthread_t holder, waiter;
		/* the last statement of a step waits for the head of the stream, so that it holds the offset row */
		component_sql(stage.component, "INSERT INTO stream_heads (workspace_id, last_offset) VALUES "
		                               "('a0000000-0000-4000-8000-000000000000', 0)");
		component_sql(stage.component, "BEGIN; SELECT 1 FROM stream_heads FOR UPDATE");
		assert_int_equal(pthread_create(&holder, NULL, step_in_thread, first), 0);
		wait_for_lock(&stage);
		assert_int_equal(pthread_create(&waiter, NULL, step_in_thread, second), 0);
		usleep(WAIT_US);
		component_sql(stage.component, "COMMIT");
		pthread_join(holder, NULL);
		pthread_join(waiter, NULL);
		assert_int_equal(first->outcome, ERR_NONE);
		assert_int_equal(second->outcome, ERR_ZOMBIE);
		save(second);
		assert_int_equal(component_number(stage.component, CURSOR), 0);
		save(first);
		assert_int_equal(component_number(stage.component, CURSOR), 1);
		stage_close(&stage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_cursor_follows_its_process),
	        cmocka_unit_test(what_a_successor_committed_stays_above_the_cursor),
	        cmocka_unit_test(what_a_predecessor_committed_late_stays_above_the_cursor),
	        cmocka_unit_test(what_comes_meanwhile_is_not_recovered),
	        cmocka_unit_test(a_fact_with_flags_takes_no_other_ones_place),
	        cmocka_unit_test(of_two_steps_at_once_the_first_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
