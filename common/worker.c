#include "common/worker.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/crash.h"
#include "common/crashed.h"
#include "common/facts.h"
#include "common/json.h"
#include "common/leaks.h"
#include "common/log.h"
#include "common/precedence.h"
#include "common/recent_ids.h"
#include "common/replay_limits.h"
#include "common/worker_batch.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_PARTITIONS 1024
#define POLL_MS 100
#define RETRY_FIRST_MS 10
#define RETRY_MAX_MS 2000
#define RETRY_MAX_TIMES 30
/* A consumer of librdkafka 2.0.2 may stay silent after a broker's restart: look for unread records after this silence.
 */
#define SILENCE_US (10 * 1000000LL)
#define SILENCE_CHECK_US (5 * 1000000LL)
#define LOG_END_MS 1000
/* Some batches: time enough for the next fetch to come. */
#define FEW_QUEUED 4000
/* librdkafka 2.0.2 looks at such limits once a second only. */
#define KEEP_FETCHING_MS 100
#define FEW_RECORDS 4
/* From being asked to stop to being gone. */
#define STOP_S 5
#define TOPIC_WAIT_US (20 * 1000000LL)
/* Ranges of records in which processes died that are kept in mind. */
#define MAX_SUSPECTS 256
/* Commands of some seconds at full speed, 3 MB: a producer gives up after ten. */
#define RECENT_IDS (128 * 1024)
#define HOUSEKEEPING_US (60 * 1000000LL)
/* From the start to the first: also one that never lives for long cleans up, and none does while others wait for it. */
#define HOUSEKEEPING_FIRST_US (5 * 1000000LL)
/* Steps of some ten milliseconds, since others wait for the worker; together faster than results come. */
#define FORGET_MOST 2000
#define FORGET_AGAIN_US (200 * 1000LL)
#define ANALYZE_US 1000000LL
/* Results nobody repeats are kept this long: far above every request deadline. */
#define RESULT_LIFE_US (15 * 60 * 1000000LL)

struct worker {
	const struct worker_definition *definition;
	struct settings settings;
	struct db *db;
	struct kafka_producer *producer;
	rd_kafka_t *consumer;
	rd_kafka_queue_t *queue; /* of the consumer */
	void *state;
	struct facts *facts;
	struct recent_ids *recent;
	struct crashed_range suspects[MAX_SUSPECTS];
	int n_suspects;
	bool facts_behind; /* a predecessor may have left some */
	bool taken_over;   /* partitions came; what their last process committed may not be published */
	int64_t background_due_us;
	bool background_more;
	uint32_t n_partitions;
	struct arena *arena;
	char topic[256];
	struct partition_position positions[MAX_PARTITIONS];
	int64_t limits[MAX_PARTITIONS]; /* of a replay, by partition: the first offset that is not read */
	rd_kafka_message_t **messages;  /* of the batch being gathered */
	size_t n_messages;
	size_t n_bytes;      /* of them */
	size_t batch_limit;  /* records of the next batch */
	size_t last_records; /* of the last batch */
	int64_t last_message_us;
	int64_t last_silence_check_us;
	int64_t stuck_since_us; /* unread records seen first; 0 = none */
	int64_t last_housekeeping_us;
	bool offsets_changed;
	bool tables_changed; /* since it was last looked what has grown */
	int64_t last_analysis_us;
	int64_t last_group_commit_us;
};

static volatile sig_atomic_t stop_requested;

/* What cannot be ended in time is left as a crash leaves it: librdkafka asks a broker that is gone for ever. Who asks
 * again does not put the end off. */
static void on_signal(int signal_number)
{
	if (signal_number == SIGALRM)
		_exit(0);
	if (!stop_requested)
		alarm(STOP_S);
	stop_requested = 1;
}

const struct settings *worker_settings(struct worker *worker)
{
	return &worker->settings;
}

struct db *worker_db(struct worker *worker)
{
	return worker->db;
}

uint32_t worker_partition_count(struct worker *worker)
{
	return worker->n_partitions;
}

bool worker_owns(struct worker *worker, uint32_t partition)
{
	/* in a replay nobody shares the new tables' background work */
	return worker->settings.replay || (partition < MAX_PARTITIONS && worker->positions[partition].owned);
}

static void drop_messages(struct worker *worker)
{
	for (size_t i = 0; i < worker->n_messages; i++)
		rd_kafka_message_destroy(worker->messages[i]);
	worker->n_messages = worker->n_bytes = 0;
}

/* Reads (or makes) the offset row: the only truth about where a partition stands. */
static void load_position(struct worker *worker, int32_t partition)
{
	struct err err = {0};
	struct db_params params;

	if (partition < 0 || partition >= MAX_PARTITIONS)
		log_die("kafka", "partition %d is above the limit of %d", partition, MAX_PARTITIONS);
	db_params_init(&params, worker->arena);
	db_param_text(&params, str_of(worker->definition->name));
	db_param_text(&params, str_of(topic_role_name(worker->definition->topic)));
	db_param_i32(&params, partition);
	PGresult *row = db_query(worker->db, "runtime_position", &params, &err);
	if (!row || PQntuples(row) != 1)
		log_die("offsets", "cannot read the offset row: %s", err.message);
	worker->positions[partition] = (struct partition_position){.owned = true,
	        .next_offset = db_i64(row, 0, 0),
	        .last_time_us = db_i64(row, 0, 1),
	        .steps = db_i64(row, 0, 2)};
	PQclear(row);
}

static void load_suspects(struct worker *worker, int32_t partition)
{
	struct err err = {0};
	int n = crashed_load(worker->db, worker->arena, worker->definition->name,
	        topic_role_name(worker->definition->topic), partition, worker->positions[partition].next_offset,
	        worker->suspects + worker->n_suspects, MAX_SUSPECTS - worker->n_suspects, &err);

	if (n < 0)
		log_die("offsets", "cannot read where processes died: %s", err.message);
	worker->n_suspects += n;
}

/* Runs inside rd_kafka_consumer_poll, so in the worker's only thread, between batches. */
static void on_rebalance(
        rd_kafka_t *consumer, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
	struct worker *worker = opaque;

	/* whatever was gathered is read again from the offset rows */
	drop_messages(worker);
	memset(worker->positions, 0, sizeof(worker->positions));
	worker->n_suspects = 0;
	if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		rd_kafka_assign(consumer, NULL);
		return;
	}
	for (int i = 0; i < partitions->cnt; i++) {
		load_position(worker, partitions->elems[i].partition);
		load_suspects(worker, partitions->elems[i].partition);
		partitions->elems[i].offset = worker->positions[partitions->elems[i].partition].next_offset;
	}
	arena_reset(worker->arena);
	worker->last_message_us = clock_monotonic_us();
	worker->facts_behind = worker->taken_over = true;
	facts_taken_over(worker->facts);
	rd_kafka_assign(consumer, partitions);
	log_event(LOG_INFO, "assigned", "%d partitions of %s", partitions->cnt, worker->topic);
}

/* Replay: no group, and only the partitions that have something to read. */
static void assign_for_replay(struct worker *worker)
{
	rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(8);

	for (int32_t i = 0; i < MAX_PARTITIONS; i++) {
		if (!worker->limits[i])
			continue;
		load_position(worker, i);
		load_suspects(worker, i);
		worker->positions[i].owned = worker->positions[i].next_offset < worker->limits[i];
		if (worker->positions[i].owned)
			rd_kafka_topic_partition_list_add(partitions, worker->topic, i)->offset =
			        worker->positions[i].next_offset;
	}
	arena_reset(worker->arena);
	rd_kafka_assign(worker->consumer, partitions);
	rd_kafka_topic_partition_list_destroy(partitions);
}

static bool replay_is_done(const struct worker *worker)
{
	for (int32_t i = 0; worker->settings.replay && i < MAX_PARTITIONS; i++)
		if (worker->positions[i].owned && worker->positions[i].next_offset < worker->limits[i])
			return false;
	return worker->settings.replay;
}

static bool is_wanted(const struct worker *worker, const rd_kafka_message_t *message)
{
	return message->partition < MAX_PARTITIONS && worker->positions[message->partition].owned &&
	       !(worker->settings.replay && message->offset >= worker->limits[message->partition]);
}

/*
 * A log that ends before the offset that comes next has lost records, and grows again: once it is long enough we would
 * go on, and pass over what was written meanwhile. That must not be silent.
 */
static void tell_of_lost_end(struct worker *worker, int32_t partition)
{
	const struct partition_position *position = &worker->positions[partition];
	struct db_params params;
	struct err err = {0};
	int64_t end;

	if (worker->settings.replay || !position->owned ||
	        !kafka_log_end(worker->producer, worker->definition->topic, partition, LOG_END_MS, &end) ||
	        end >= position->next_offset)
		return;
	db_params_init(&params, worker->arena);
	db_param_text(&params, str_of(topic_role_name(worker->definition->topic)));
	db_param_i32(&params, partition);
	db_param_i64(&params, position->next_offset);
	db_param_text(&params, str_of(worker->definition->name));
	db_param_i64(&params, position->last_time_us);
	db_param_text(&params, str_of(arena_printf(worker->arena,
	                               "the log has lost its end: it ends at offset %lld, and records up to offset "
	                               "%lld had been read; what is written in between is passed over",
	                               (long long)end, (long long)position->next_offset)));
	PGresult *done = db_query(worker->db, "runtime_log_lost", &params, &err);
	if (!done)
		log_event(LOG_ERROR, "log-gap", "%s", err.message);
	PQclear(done);
}

static void check_consumer_error(struct worker *worker, const rd_kafka_message_t *message)
{
	switch (message->err) {
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		if (message->partition >= 0 && message->partition < MAX_PARTITIONS)
			tell_of_lost_end(worker, message->partition);
		log_die("log-gap",
		        "partition %d of %s does not hold the offset that comes next (its retention removed it, or its "
		        "end was "
		        "lost); restore the log or the database before this worker can go on",
		        message->partition, worker->topic);
	case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
	case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
		log_die("fenced", "this process lost its membership: %s", rd_kafka_message_errstr(message));
	default:
		log_event(LOG_WARN, "consumer", "%s", rd_kafka_message_errstr(message));
	}
}

/* Takes one message or error; false when there is none. Messages of partitions that are not ours (any more) are
 * dropped. */
static bool take_message(struct worker *worker, int timeout_ms)
{
	rd_kafka_message_t *message = rd_kafka_consumer_poll(worker->consumer, timeout_ms);

	if (!message)
		return false;
	if (message->err) {
		check_consumer_error(worker, message);
		rd_kafka_message_destroy(message);
		return true;
	}
	if (is_wanted(worker, message)) {
		worker->messages[worker->n_messages++] = message;
		worker->n_bytes += message->len;
	} else {
		rd_kafka_message_destroy(message);
	}
	worker->last_message_us = clock_monotonic_us();
	return true;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static size_t usual_records(const struct worker *worker)
{
	return (size_t)larger(worker->settings.batch_records, worker->definition->batch_records);
}

static size_t most_records(const struct worker *worker)
{
	return (size_t)larger((int64_t)usual_records(worker), worker->definition->catch_up_records);
}

/* Records that the consumer knows of and has not fetched yet; *ret_partition: where there are some. */
static int64_t unfetched(struct worker *worker, int32_t *ret_partition)
{
	int64_t unread = 0;

	for (int32_t i = 0; i < (int32_t)worker->n_partitions && i < MAX_PARTITIONS; i++) {
		int64_t first, end, next = worker->positions[i].next_offset;
		if (!worker->positions[i].owned ||
		        rd_kafka_get_watermark_offsets(worker->consumer, worker->topic, i, &first, &end) || end <= next)
			continue;
		unread += end - next;
		*ret_partition = i;
	}
	return unread - (int64_t)rd_kafka_queue_length(worker->queue);
}

/*
 * Once its queue has been full librdkafka 2.0.2 finds only after a second, or when something comes from the broker,
 * that there is room again: a question makes it look. It would wait for a fetch that waits for records, so it is asked
 * only while there are some.
 */
static void keep_fetching(struct worker *worker)
{
	int32_t partition = 0;
	int64_t first, end;

	if (worker->last_records < usual_records(worker) || rd_kafka_queue_length(worker->queue) > FEW_QUEUED ||
	        unfetched(worker, &partition) <= 0)
		return;
	rd_kafka_query_watermark_offsets(worker->consumer, worker->topic, partition, &first, &end, KEEP_FETCHING_MS);
}

static void gather(struct worker *worker)
{
	keep_fetching(worker);
	take_message(worker, worker->background_more || worker->facts_behind ? 0 : POLL_MS);
	/* while few come at a time, whoever sent them waits longer for others than these would save */
	int64_t wait_us = worker->last_records > FEW_RECORDS ? worker->settings.batch_wait_us : 0;
	int64_t deadline_us = clock_monotonic_us() + wait_us;
	while (worker->n_messages && worker->n_messages < worker->batch_limit && worker->n_bytes < BATCH_BYTES) {
		if (take_message(worker, 0))
			continue;
		if (clock_monotonic_us() >= deadline_us)
			break;
		take_message(worker, 1);
	}
}

/* Backs off with jitter; gives up (crash-only) after RETRY_MAX_TIMES. */
static void back_off(unsigned attempt, const struct err *err)
{
	int64_t ms = RETRY_FIRST_MS << (attempt < 8 ? attempt : 8);

	if (attempt >= RETRY_MAX_TIMES)
		log_die("retry", "still failing after %u tries: %s", attempt, err->message);
	log_event(LOG_WARN, "retry", "try %u failed: %s", attempt + 1, err->message);
	if (ms > RETRY_MAX_MS)
		ms = RETRY_MAX_MS;
	usleep((useconds_t)(ms * 1000 - ms * 1000 * (random() % 50) / 100));
}

static void roll_back(struct worker *worker, const struct err *err)
{
	if (!db_rollback(worker->db))
		log_die("database", "connection lost, restarting: %s", err->message);
	facts_aborted(worker->facts);
	if (worker->definition->aborted)
		worker->definition->aborted(worker->state);
}

/* Tells what to write down if the process dies now. */
static void watch_over(rd_kafka_message_t **messages, size_t n)
{
	struct crashed_range ranges[CRASHED_MAX_RANGES];
	size_t n_ranges = 0;

	for (size_t i = 0; i < n; i++) {
		size_t at = 0;
		while (at < n_ranges && ranges[at].partition != messages[i]->partition)
			at++;
		if (at == CRASHED_MAX_RANGES)
			continue;
		if (at == n_ranges)
			ranges[n_ranges++] = (struct crashed_range){
			        .partition = messages[i]->partition, .first = messages[i]->offset};
		ranges[at].end = messages[i]->offset + 1;
	}
	crashed_working_on(ranges, n_ranges);
}

static void publish(struct worker *worker, struct batch *batch, bool background)
{
	CRASH_POINT("worker-after-commit");
	batch_publish_replies(batch, worker->producer);
	CRASH_POINT("worker-before-facts");
	batch_publish_facts(batch);
	if (background)
		worker->background_more = batch_wants_more(batch);
}

/* One transaction over a range of messages, tried until its outcome is certain. False: a record is at fault (*err
 * tells). */
static bool run_transaction(
        struct worker *worker, rd_kafka_message_t **messages, size_t n, const struct err *rejection, struct err *err)
{
	bool background = !n;

	for (unsigned attempt = 0;; attempt++) {
		arena_reset(worker->arena);
		struct batch *batch = batch_new(&(struct batch_context){.worker = worker,
		        .definition = worker->definition,
		        .db = worker->db,
		        .state = worker->state,
		        .arena = worker->arena,
		        .positions = worker->positions,
		        .messages = messages,
		        .n_messages = n,
		        .facts = worker->facts,
		        .recent = worker->recent,
		        .replay = worker->settings.replay,
		        .background = background,
		        .n_positions = MAX_PARTITIONS,
		        .rejection = rejection});
		struct err failure = {0};
		watch_over(messages, n);
		bool done = batch_run(batch, &failure);
		crashed_working_on(NULL, 0);
		if (done) {
			publish(worker, batch, background);
			return true;
		}
		if (err_class(failure.code) == ERR_CLASS_FATAL) {
			/* crash-only: what is not committed is read again from the offset rows */
			log_event(LOG_ERROR, "fatal", "%s", failure.message);
			_exit(1);
		}
		roll_back(worker, &failure);
		if (err_class(failure.code) == ERR_CLASS_REJECT) {
			*err = failure;
			return false;
		}
		back_off(attempt, &failure);
	}
}

/* Halves a range until the faulty record stands alone; that one is stored as a rejection. */
static void process(struct worker *worker, rd_kafka_message_t **messages, size_t n)
{
	struct err err = {0}, second = {0};

	if (run_transaction(worker, messages, n, NULL, &err))
		return;
	if (n > 1) {
		log_event(LOG_WARN, "halved", "%zu records cannot be applied together: %s", n, err.message);
		process(worker, messages, n / 2);
		process(worker, messages + n / 2, n - n / 2);
		return;
	}
	log_event(LOG_ERROR, "rejected", "record %s:%d:%lld: %s", topic_role_name(worker->definition->topic),
	        messages[0]->partition, (long long)messages[0]->offset, err.message);
	if (!run_transaction(worker, messages, 1, &err, &second))
		log_die("rejected", "a rejection cannot be stored: %s", second.message);
}

/* Tries of the record alone in which its process died; 0 when it only stands among suspects; -1 when it is none. */
static int64_t tries_of(const struct worker *worker, const rd_kafka_message_t *message)
{
	int64_t tries = -1;

	for (int i = 0; i < worker->n_suspects; i++) {
		const struct crashed_range *range = &worker->suspects[i];
		if (range->partition != message->partition || message->offset < range->first ||
		        message->offset >= range->end)
			continue;
		tries = range->end - range->first == 1 ? range->tries : tries > 0 ? tries : 0;
	}
	return tries;
}

static void set_aside(struct worker *worker, rd_kafka_message_t *message)
{
	struct err why = {0}, err = {0};

	err_set(&why, ERR_INTERNAL, "the worker died on this record %d times", CRASHED_TRIES);
	log_event(LOG_ERROR, "set-aside", "record %s:%d:%lld: %s", topic_role_name(worker->definition->topic),
	        message->partition, (long long)message->offset, why.message);
	if (!run_transaction(worker, &message, 1, &why, &err))
		log_die("rejected", "a rejection cannot be stored: %s", err.message);
}

/* All at once, but records among which a process died one by one. */
static void process_suspiciously(struct worker *worker)
{
	rd_kafka_message_t **messages = worker->messages;
	size_t first = 0;

	for (size_t i = 0; i < worker->n_messages && worker->n_suspects; i++) {
		int64_t tries = tries_of(worker, messages[i]);
		if (tries < 0)
			continue;
		if (i > first)
			process(worker, messages + first, i - first);
		if (tries >= CRASHED_TRIES)
			set_aside(worker, messages[i]);
		else
			process(worker, messages + i, 1);
		first = i + 1;
	}
	if (worker->n_messages > first)
		process(worker, messages + first, worker->n_messages - first);
}

/* Group offsets are for Kafka's tools only; the offset rows are the truth. */
static void commit_group_offsets(struct worker *worker)
{
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);

	for (int32_t i = 0; i < MAX_PARTITIONS; i++)
		if (worker->positions[i].owned)
			rd_kafka_topic_partition_list_add(offsets, worker->topic, i)->offset =
			        worker->positions[i].next_offset;
	rd_kafka_commit(worker->consumer, offsets, 1);
	rd_kafka_topic_partition_list_destroy(offsets);
	worker->offsets_changed = false;
	worker->last_group_commit_us = clock_monotonic_us();
}

/* False when Kafka does not tell. */
static bool look_for_unread(struct worker *worker, int32_t partition, bool *ret_unread)
{
	int64_t end;

	if (!kafka_log_end(worker->producer, worker->definition->topic, partition, LOG_END_MS, &end))
		return false;
	*ret_unread = end > worker->positions[partition].next_offset;
	return true;
}

/* Unread records may just have been written: only those that stay unread mean that the consumer is stuck. */
static void check_silence(struct worker *worker)
{
	int64_t now_us = clock_monotonic_us();
	bool unread = false;

	if (now_us - worker->last_message_us < SILENCE_US) {
		worker->stuck_since_us = 0;
		return;
	}
	if (now_us - worker->last_silence_check_us < SILENCE_CHECK_US)
		return;
	worker->last_silence_check_us = now_us;
	/* a broker that does not answer about one partition is not asked about the others: a stop would wait for it */
	for (int32_t i = 0; i < MAX_PARTITIONS && !unread; i++)
		if (worker->positions[i].owned && !look_for_unread(worker, i, &unread))
			break;
	if (!unread)
		worker->stuck_since_us = 0;
	else if (!worker->stuck_since_us)
		worker->stuck_since_us = now_us;
	else if (now_us - worker->stuck_since_us > SILENCE_US)
		log_die("silent", "there are unread records but none arrive, restarting");
}

/* Keys by the log's time, not by the clock: none goes that a record which is still to come finds in a replay. True when
   there may be more. */
static bool forget_old_results(struct worker *worker)
{
	struct err err = {0};
	struct db_array partitions, times;
	struct db_params params;

	db_array_init(&partitions, worker->arena, DB_I32);
	db_array_init(&times, worker->arena, DB_I64);
	for (int32_t i = 0; i < MAX_PARTITIONS; i++) {
		if (!worker->positions[i].owned)
			continue;
		db_array_i64(&partitions, i);
		db_array_i64(&times, worker->positions[i].last_time_us);
	}
	db_params_init(&params, worker->arena);
	db_param_i64(&params, clock_wall_us() - RESULT_LIFE_US);
	db_param_text(&params, str_of(topic_role_name(worker->definition->topic)));
	db_param_array(&params, &partitions);
	db_param_array(&params, &times);
	db_param_i64(&params, FORGET_MOST);
	PGresult *result = db_query(worker->db, "runtime_forget_results", &params, &err);
	bool more = result && db_i64(result, 0, 0) >= FORGET_MOST;
	if (!result) {
		log_event(LOG_WARN, "housekeeping", "%s", err.message);
		roll_back(worker, &err);
	}
	PQclear(result);
	arena_reset(worker->arena);
	return more;
}

/* By those whom nobody waits for: a large table takes some tenths of a second, each time that it has doubled. */
static void analyze_what_has_grown(struct worker *worker, int64_t now_us)
{
	bool waited_for = worker->definition->topic != TOPIC_CHANGES && !worker->settings.replay;
	struct err err = {0};

	if (waited_for || !worker->tables_changed || now_us - worker->last_analysis_us < ANALYZE_US)
		return;
	worker->tables_changed = false;
	PGresult *done = db_query(worker->db, "runtime_analyze", NULL, &err);
	if (!done) {
		log_event(LOG_WARN, "analyze", "%s", err.message);
		roll_back(worker, &err);
	}
	PQclear(done);
	worker->last_analysis_us = clock_monotonic_us();
}

static size_t owned_positions(struct worker *worker, struct facts_position *positions)
{
	size_t n = 0;

	for (int32_t i = 0; i < MAX_PARTITIONS; i++)
		if (worker->positions[i].owned)
			positions[n++] = (struct facts_position){i, worker->positions[i].next_offset,
			        worker->positions[i].last_time_us, worker->positions[i].steps};
	return n;
}

static void keep_facts(struct worker *worker)
{
	struct facts_position positions[MAX_PARTITIONS];
	size_t n = owned_positions(worker, positions);
	struct err err = {0};

	if (worker->facts_behind &&
	        !facts_recover(worker->facts, worker->db, worker->arena, positions, n, &worker->facts_behind, &err))
		log_die("facts", "%s", err.message);
	if (!worker->facts_behind && !facts_save(worker->facts, worker->db, worker->arena, positions, n, &err))
		log_die("facts", "%s", err.message);
}

static void after_commit(struct worker *worker)
{
	struct err err = {0};

	if (worker->definition->committed && !worker->definition->committed(worker, worker->state, &err))
		log_die("publish", "%s", err.message);
}

/* One step of the definition's own work, when it is due. */
static void background(struct worker *worker)
{
	int64_t now_us = clock_monotonic_us();
	struct err err = {0};

	if (!worker->definition->background || (!worker->background_more && now_us < worker->background_due_us))
		return;
	worker->background_due_us = now_us + worker->definition->background_ms * 1000;
	if (!run_transaction(worker, NULL, 0, NULL, &err))
		log_die("background", "%s", err.message);
	worker->tables_changed |= worker->background_more;
	after_commit(worker);
}

static void idle_work(struct worker *worker)
{
	int64_t now_us = clock_monotonic_us();

	kafka_producer_poll(worker->producer, 0);
	check_silence(worker);
	analyze_what_has_grown(worker, now_us);
	if (worker->settings.replay)
		return;
	keep_facts(worker);
	background(worker);
	if (worker->offsets_changed && now_us - worker->last_group_commit_us > 1000000)
		commit_group_offsets(worker);
	if (now_us - worker->last_housekeeping_us > HOUSEKEEPING_US)
		worker->last_housekeeping_us =
		        forget_old_results(worker) ? now_us + FORGET_AGAIN_US - HOUSEKEEPING_US : now_us;
}

/* In a replay, what is left to do when there is nothing (more) to read. */
static void finish_background(struct worker *worker)
{
	do {
		worker->background_due_us = 0;
		background(worker);
	} while (worker->background_more && !stop_requested);
}

static void run(struct worker *worker)
{
	after_commit(worker); /* what a killed predecessor did not publish any more */
	while (!stop_requested && !replay_is_done(worker)) {
		gather(worker);
		if (worker->taken_over)
			after_commit(worker);
		worker->taken_over = false;
		if (worker->n_messages) {
			worker->last_records = worker->n_messages;
			process_suspiciously(worker);
			worker->batch_limit = batch_next_limit(
			        worker->batch_limit, worker->n_messages, usual_records(worker), most_records(worker));
			drop_messages(worker);
			worker->offsets_changed = worker->tables_changed = true;
			if (worker->definition->background_after_records)
				worker->background_due_us = 0;
			after_commit(worker);
		}
		idle_work(worker);
	}
	if (worker->settings.replay)
		finish_background(worker);
	else if (worker->offsets_changed)
		commit_group_offsets(worker);
	kafka_producer_flush(worker->producer, 2000);
}

/* Replies carry no opaque: one that is lost is looked up by the gateway. */
static void on_delivery(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	(void)context;
	if (opaque)
		facts_delivered(opaque, delivery->error);
}

static void open_database(struct worker *worker)
{
	struct err err = {0};

	for (unsigned attempt = 0; !stop_requested; attempt++) {
		worker->db = db_open(&worker->settings, worker->definition->name, &err);
		if (worker->db)
			break;
		if (err.code == ERR_INVALID)
			log_die("settings", "%s", err.message);
		/* attempt 8: the longest pause; waiting for the database has no end */
		back_off(attempt < 8 ? attempt : 8, &err);
	}
	if (stop_requested)
		_exit(0);
	if (!db_prepare(worker->db, runtime_statements, runtime_statement_count, &err) ||
	        !db_prepare(worker->db, crashed_statements, crashed_statement_count, &err) ||
	        !db_prepare(worker->db, facts_statements, facts_statement_count, &err) ||
	        !db_prepare(worker->db, worker->definition->statements, worker->definition->n_statements, &err))
		log_die("database", "cannot prepare (has `contacthubctl migrate` been run?): %s", err.message);
}

/* The server's process does nearly all of the work. */
static void let_others_go_first(const struct worker *worker)
{
	pid_t backend = db_local_backend(worker->db);

	if (backend && worker->definition->niceness)
		precedence_yield(backend, worker->definition->niceness);
}

/* A young topic takes a moment to be known; a first send would wait for its metadata anyway. */
static void wait_for_topic(struct worker *worker)
{
	int64_t give_up_us = clock_monotonic_us() + TOPIC_WAIT_US;

	while (!kafka_partition_count(worker->producer, TOPIC_REPLIES, 2000) ||
	        !(worker->n_partitions = kafka_partition_count(worker->producer, worker->definition->topic, 2000))) {
		if (stop_requested)
			_exit(0);
		if (clock_monotonic_us() > give_up_us)
			log_die("kafka", "topic %s cannot be reached (has `contacthubctl topics` been run?)",
			        topic_role_name(worker->definition->topic));
		usleep(50 * 1000);
	}
}

static void open_kafka(struct worker *worker)
{
	char group[256], member[256];

	topic_name(&worker->settings, worker->definition->topic, worker->topic);
	snprintf(group, sizeof(group), "%s%s", worker->settings.topic_prefix, worker->definition->name);
	snprintf(member, sizeof(member), "%s-%s", worker->definition->name, worker->settings.instance);
	worker->producer = kafka_producer_new(&worker->settings, KAFKA_SEND_AT_ONCE, on_delivery, worker);
	worker->facts =
	        facts_new(worker->definition->name, topic_role_name(worker->definition->topic), worker->producer);
	if (!topic_is_compacted(worker->definition->topic))
		worker->recent = recent_ids_new(RECENT_IDS);
	wait_for_topic(worker);
	worker->consumer = kafka_consumer_new(
	        &worker->settings, group, member, worker->definition->fetch_wait_ms, on_rebalance, worker);
	worker->queue = rd_kafka_queue_get_consumer(worker->consumer);
	if (worker->settings.replay) {
		assign_for_replay(worker);
		return;
	}
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, worker->topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t error = rd_kafka_subscribe(worker->consumer, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (error)
		log_die("kafka", "cannot subscribe to %s: %s", worker->topic, rd_kafka_err2str(error));
}

static void open_worker(struct worker *worker)
{
	struct err err = {0};

	if (!replay_limits_parse((struct str){*worker->settings.replay_until ? worker->settings.replay_until : NULL,
	                                 strlen(worker->settings.replay_until)},
	            worker->limits, MAX_PARTITIONS, &err))
		log_die("settings", "%s", err.message);
	worker->arena = arena_new(BATCH_ARENA_BYTES);
	worker->batch_limit = 1;
	worker->messages = calloc(most_records(worker), sizeof(*worker->messages));
	if (!worker->messages)
		log_die("memory", "out of memory");
	open_database(worker);
	let_others_go_first(worker);
	open_kafka(worker);
	if (worker->definition->open) {
		worker->state = worker->definition->open(worker, &err);
		if (!worker->state)
			log_die("open", "%s", err.message);
	}
	worker->last_message_us = clock_monotonic_us();
	worker->last_housekeeping_us = worker->last_message_us + HOUSEKEEPING_FIRST_US - HOUSEKEEPING_US;
}

/* The image that a dying process has left behind. */
static int write_crash(struct worker *worker, int argc, char **argv)
{
	const struct worker_definition *definition = worker->definition;
	struct err err = {0};

	log_event(LOG_ERROR, "crashed", "the process died by its own signal; writing down where");
	open_database(worker);
	if (!crashed_write(worker->db, definition->name, topic_role_name(definition->topic), argc, argv, &err))
		log_die("crashed", "%s", err.message);
	return 1;
}

int worker_main(const struct worker_definition *definition, int argc, char **argv)
{
	static struct worker worker;
	struct sigaction action = {.sa_handler = on_signal};

	bool crashed = crashed_is_one(argc, argv);
	if (argc > 1 && !crashed) {
		fprintf(stderr, "%s takes no arguments; settings are environment variables (see CONFIGURATION.md)\n",
		        argv[0]);
		return 2;
	}
	worker.definition = definition;
	log_init(definition->name, LOG_INFO);
	if (!settings_load(&worker.settings))
		return 2;
	log_init(definition->name, (enum log_level)worker.settings.log_level);
	settings_require(&worker.settings, true, true);
	if (crashed)
		return write_crash(&worker, argc, argv);
	crashed_watch();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	open_worker(&worker);
	log_event(LOG_INFO, "started", "waiting for records of %s", worker.topic);
	run(&worker);
	alarm(STOP_S); /* anew: looking for leaks is no part of stopping, but must end as well */
	leaks_look();
	log_event(LOG_INFO, "stopped", "as asked");
	/* no waiting on rd_kafka_destroy: it may hang in librdkafka 2.0.2 */
	_exit(0);
}
