#include "tests/component/feed.h"

#include "common/arena.h"
#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_QUEUED 1024

struct feed {
	struct worker_definition definition; /* the worker's, with the handler below */
	bool (*handle)(struct batch *batch, struct err *err);
	void *worker_state;
	struct db *db;
	struct arena *batch_arena, *records;
	struct partition_position positions[1];
	rd_kafka_message_t messages[MAX_QUEUED];
	rd_kafka_message_t *pointers[MAX_QUEUED];
	size_t first, n;
	int64_t offset;
	void (*before_commit)(void *context);
	void *context;
};

/* The feed that runs in this thread: the handler's arguments do not lead to it. */
static _Thread_local struct feed *running;

static bool handle(struct batch *batch, struct err *err)
{
	if (!running->handle(batch, err))
		return false;
	if (running->before_commit)
		running->before_commit(running->context);
	return true;
}

struct feed *feed_open(struct component *component, const struct worker_definition *definition)
{
	struct feed *feed = calloc(1, sizeof(*feed));
	struct err err = {0};

	assert_non_null(feed);
	feed->definition = *definition;
	feed->handle = definition->handle;
	feed->definition.handle = handle;
	feed->records = arena_new(256UL * 1024 * 1024);
	feed->batch_arena = arena_new(BATCH_ARENA_BYTES);
	feed->positions[0] = (struct partition_position){.owned = true};
	component_sqlf(component, "INSERT INTO consumer_offsets VALUES ('%s', '%s', 0, 0, 0)", definition->name,
	        topic_role_name(definition->topic));
	feed->db = db_open(component_settings(component), "test", &err);
	if (!feed->db || !db_prepare(feed->db, runtime_statements, runtime_statement_count, &err) ||
	        !db_prepare(feed->db, definition->statements, definition->n_statements, &err))
		fail_msg("%s", err.message);
	return feed;
}

void feed_close(struct feed *feed)
{
	db_close(feed->db);
	arena_free(feed->records);
	arena_free(feed->batch_arena);
	free(feed);
}

struct db *feed_db(struct feed *feed)
{
	return feed->db;
}

void feed_set_state(struct feed *feed, void *state)
{
	feed->worker_state = state;
}

void feed_before_commit(struct feed *feed, void (*call)(void *context), void *context)
{
	feed->before_commit = call;
	feed->context = context;
}

size_t feed_queued(const struct feed *feed)
{
	return feed->n - feed->first;
}

void feed_add(struct feed *feed, const struct command *command)
{
	struct buf record;

	if (feed->first == feed->n) {
		feed->first = feed->n = 0;
		arena_reset(feed->records);
	}
	assert_true(feed->n < MAX_QUEUED);
	buf_init(&record, feed->records, 512);
	command_encode(&record, command);
	feed->messages[feed->n] = (rd_kafka_message_t){.payload = record.p, .len = record.n, .offset = feed->offset++};
	feed->pointers[feed->n] = &feed->messages[feed->n];
	feed->n++;
}

void feed_run_some(struct feed *feed, size_t n)
{
	struct err err = {0};
	struct batch *batch;

	if (n > feed_queued(feed))
		n = feed_queued(feed);
	if (!n)
		return;
	arena_reset(feed->batch_arena);
	running = feed;
	batch = batch_new(&(struct batch_context){.definition = &feed->definition,
	        .db = feed->db,
	        .state = feed->worker_state,
	        .arena = feed->batch_arena,
	        .positions = feed->positions,
	        .messages = feed->pointers + feed->first,
	        .n_messages = n});
	if (!batch_run(batch, &err))
		fail_msg("%s: %s", feed->definition.name, err.message);
	feed->first += n;
}

void feed_run(struct feed *feed, size_t size)
{
	while (feed_queued(feed))
		feed_run_some(feed, size ? size : feed_queued(feed));
}

static bool run_background(struct feed *feed, struct err *err)
{
	arena_reset(feed->batch_arena);
	running = feed;
	feed->positions[0].owned = true;
	struct batch *batch = batch_new(&(struct batch_context){.definition = &feed->definition,
	        .db = feed->db,
	        .state = feed->worker_state,
	        .arena = feed->batch_arena,
	        .positions = feed->positions,
	        .background = true,
	        .n_positions = 1});
	return batch_run(batch, err);
}

void feed_background(struct feed *feed)
{
	struct err err = {0};

	if (!run_background(feed, &err))
		fail_msg("%s: %s", feed->definition.name, err.message);
}

bool feed_try_background(struct feed *feed)
{
	struct err err = {0};

	if (run_background(feed, &err))
		return true;
	assert_int_equal(err_class(err.code), ERR_CLASS_RETRY);
	assert_true(db_rollback(feed->db));
	return false;
}

void feed_overtaken_background(struct feed *feed)
{
	struct err err = {0};

	assert_false(run_background(feed, &err));
	assert_int_equal(err.code, ERR_ZOMBIE);
	assert_true(db_rollback(feed->db));
}
