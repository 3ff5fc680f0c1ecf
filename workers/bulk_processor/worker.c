#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/crash.h"
#include "common/log.h"
#include "workers/bulk_processor/bulk_processor.h"
#include "workers/bulk_processor/pace.h"

#include <stdlib.h>

/* How long an idle process takes to notice that a job may run that did not come just now. */
#define BACKGROUND_MS 100
/* Between two looks whether the workers have gone on. A look costs little; a step is a durable transaction, and asks
   for each row on its way. */
#define PAUSE_MS 2
/* A step follows nevertheless: whoever stops a job or sends another one does not wait for rows of this one. */
#define WAIT_US 20000
#define METADATA_MS 10000
/* One record at a time. */
#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

struct bulk_state {
	struct processor *processor;
	struct kafka_producer *producer; /* own one: its delivery reports matter */
	struct arena *arena;
	size_t in_flight;
	rd_kafka_resp_err_t error;
	struct pace pace;
	struct pace_log customers, events;
	int64_t taken; /* records of the rows' partitions that the workers had taken when it was last asked */
};

/* The opaque is the topic's log. */
static void on_delivery(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	struct bulk_state *state = context;

	state->in_flight--;
	if (delivery->error)
		state->error = delivery->error;
	else
		pace_delivered(&state->pace, opaque, delivery->partition, delivery->offset, clock_monotonic_us());
}

static bool owns(const void *context, const struct uuid *workspace)
{
	struct worker *worker = (struct worker *)context;

	return worker_owns(worker, workspace_partition(workspace, worker_partition_count(worker)));
}

static void *open_state(struct worker *worker, struct err *err)
{
	const struct settings *settings = worker_settings(worker);
	struct bulk_state *state = calloc(1, sizeof(*state));
	uint32_t n;

	if (!state)
		log_die("memory", "out of memory");
	PGresult *done = db_query(worker_db(worker), "bulk_settings", NULL, err);
	if (!done)
		return NULL;
	PQclear(done);
	state->arena = arena_new(ARENA_BYTES);
	state->producer = kafka_producer_new(settings, KAFKA_SEND_TOGETHER, on_delivery, state);
	n = kafka_partition_count(state->producer, TOPIC_EVENT_COMMANDS, METADATA_MS);
	if (!n || !kafka_partition_count(state->producer, TOPIC_CUSTOMER_COMMANDS, METADATA_MS)) {
		err_set(err, ERR_UNAVAILABLE, "Kafka does not tell the partitions of the command topics");
		return NULL;
	}
	state->processor = processor_new(&(struct processor_options){.window = settings->bulk_window,
	        .hash_passwords = settings->hash_passwords,
	        .event_partitions = n,
	        .owns = owns,
	        .context = worker});
	return state;
}

static bool step(struct batch *batch, bool *ret_more, struct err *err)
{
	struct bulk_state *state = batch_state(batch);

	const struct settings *settings = worker_settings(batch_worker(batch));
	bool shared = pace_is_shared(&state->pace, clock_monotonic_us());

	processor_set_window(state->processor, shared ? settings->bulk_shared_window : settings->bulk_window);
	return processor_step(state->processor, batch, ret_more, err);
}

static void aborted(void *context)
{
	processor_forget(((struct bulk_state *)context)->processor);
}

/* The whole process begins anew: its rows are found on their way, and are sent again. */
static bool check_delivered(const struct bulk_state *state, struct err *err)
{
	if (!state->error)
		return true;
	return err_set(err, ERR_UNAVAILABLE, "a row was not taken by Kafka: %s", rd_kafka_err2str(state->error));
}

static bool send_one(struct bulk_state *state, const struct outgoing *outgoing, struct err *err)
{
	struct pace_log *log = outgoing->topic == TOPIC_EVENT_COMMANDS ? &state->events : &state->customers;
	struct err full = {0};
	struct buf record;

	arena_reset(state->arena);
	buf_init(&record, state->arena, 512 + outgoing->command.body.n + outgoing->command.text.n);
	command_encode(&record, &outgoing->command);
	while (!kafka_send(state->producer, outgoing->topic, outgoing->partition, &outgoing->command.entity,
	        buf_str(&record), log, &full)) {
		kafka_producer_poll(state->producer, 100); /* the queue is full */
		if (!check_delivered(state, err))
			return false;
	}
	state->in_flight++;
	return true;
}

static bool wait_for_delivery(struct bulk_state *state, struct err *err)
{
	while (state->in_flight && !state->error)
		kafka_producer_poll(state->producer, 100);
	return check_delivered(state, err);
}

/* First what others stand on, then the rows. */
static bool publish_part(
        struct bulk_state *state, const struct outgoing *outgoing, size_t n, bool first, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (outgoing[i].first != first)
			continue;
		if (!send_one(state, &outgoing[i], err))
			return false;
		CRASH_POINT("bulk-processor-row-sent");
	}
	return true;
}

static bool any_first(const struct outgoing *outgoing, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (outgoing[i].first)
			return true;
	return false;
}

static bool publish(struct bulk_state *state, const struct outgoing *outgoing, size_t n, struct err *err)
{
	CRASH_POINT("bulk-processor-before-rows");
	if (any_first(outgoing, n) && (!publish_part(state, outgoing, n, true, err) || !wait_for_delivery(state, err)))
		return false;
	CRASH_POINT("bulk-processor-ensured");
	return publish_part(state, outgoing, n, false, err);
}

static void add_partitions(struct db_params *params, struct arena *arena, const struct pace_log *log)
{
	struct db_array partitions;

	db_array_init(&partitions, arena, DB_I32);
	for (int i = 0; i < PACE_PARTITIONS; i++)
		if (log->next[i])
			db_array_i64(&partitions, i);
	db_param_array(params, &partitions);
}

/* Outcomes are committed with the offsets of their records: while these stand still there is none to take. */
static bool ask_taken(struct bulk_state *state, struct db *db, bool *ret_moved, struct err *err)
{
	struct db_params params;

	arena_reset(state->arena);
	db_params_init(&params, state->arena);
	add_partitions(&params, state->arena, &state->customers);
	add_partitions(&params, state->arena, &state->events);
	PGresult *row = db_query(db, "bulk_taken", &params, err);
	if (!row)
		return false;
	int64_t taken = db_i64(row, 0, 0);
	PQclear(row);
	*ret_moved = taken != state->taken;
	state->taken = taken;
	return true;
}

static bool wait_for_outcomes(struct bulk_state *state, struct db *db, struct err *err)
{
	int64_t until_us = clock_monotonic_us() + WAIT_US;
	bool moved = false;

	while (!moved && !state->error && clock_monotonic_us() < until_us) {
		kafka_producer_poll(state->producer, PAUSE_MS);
		if (!ask_taken(state, db, &moved, err))
			return false;
	}
	return true;
}

static bool committed(struct worker *worker, void *context, struct err *err)
{
	struct bulk_state *state = context;
	size_t n;
	const struct outgoing *outgoing = processor_outgoing(state->processor, &n);
	bool waiting = processor_is_waiting(state->processor);

	if (n && !publish(state, outgoing, n, err))
		return false;
	processor_published(state->processor);
	kafka_producer_poll(state->producer, 0);
	return (!waiting || wait_for_outcomes(state, worker_db(worker), err)) && check_delivered(state, err);
}

const struct worker_definition bulk_processor = {
        .name = "bulk-processor",
        .topic = TOPIC_BULK_JOBS,
        .statements = bulk_processor_statements,
        .n_statements = BULK_PROCESSOR_STATEMENTS,
        .open = open_state,
        .aborted = aborted,
        .handle = intake_handle,
        .background = step,
        .background_ms = BACKGROUND_MS,
        .background_after_records = true,
        .committed = committed,
};
