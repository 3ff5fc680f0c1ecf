#include "gateway/replies.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/loop.h"
#include "gateway/pending.h"
#include "gateway/request_state.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MESSAGES_PER_CALL 256
#define BROKER_ANSWER_US (5 * 1000 * 1000)
#define LOG_END_MS 1000
#define ECHO_EVERY_US (2 * INT64_C(1000000))
/* No echo for so long: not ready. */
#define ECHO_LOST_US (10 * INT64_C(1000000))
/* Records are delivered and do not come back: librdkafka 2.0.2 is known to go silent after a broker's restart. */
#define SILENT_US (30 * INT64_C(1000000))
/* Requests in one look-up; its size is bounded so that no look-up is slow. */
#define LOOK_MAX 256
#define LOOK_ARENA_BYTES (256 * 1024)

/* Time to the first look into command_results, then from one look to the next. */
static const int64_t turn_us[] = {400000, 400000, 800000, 1600000, 3200000};
#define TURNS ARRAY_LEN(turn_us)

struct replies {
	struct gateway *gateway;
	rd_kafka_t *client;
	rd_kafka_queue_t *queue;
	int32_t partition;
	struct loop_source source;
	struct list late[TURNS];  /* waiting requests, each list in order of time */
	int64_t sent_us, echo_us; /* our own records; 0 = never */
	int64_t unheard_us;       /* first delivery since the last echo; 0 = none */
};

static const char results_sql[] =
        "SELECT w.number, r.status, r.entity_id, r.seq, r.body::text, r.fingerprint = w.fingerprint"
        " FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::integer[], $7::bigint[])"
        " AS w (workspace_id, command_id, number, fingerprint, topic, partition, time_us)"
        " JOIN command_results r USING (workspace_id, command_id)"
        " WHERE (r.kept_until_us >= w.time_us OR r.kept_until_us IS NULL) AND (r.fingerprint = w.fingerprint"
        " OR r.topic = '' OR (r.topic = w.topic AND r.partition = w.partition))";

const struct statement reply_statements[] = {{.name = "results_of_commands", .sql = results_sql, .n_params = 7}};
const size_t reply_statement_count = ARRAY_LEN(reply_statements);

/* --- consumer --- */

static void assign(struct replies *replies, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	char topic[256];

	topic_name(replies->gateway->settings, TOPIC_REPLIES, topic);
	rd_kafka_topic_partition_list_add(list, topic, replies->partition)->offset = offset;
	rd_kafka_resp_err_t error = rd_kafka_assign(replies->client, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (error)
		log_die("replies", "cannot assign partition %d: %s", (int)replies->partition, rd_kafka_err2str(error));
}

static void take_reply(struct replies *replies, struct str record)
{
	struct reply reply;
	struct err err = {0};

	if (!reply_decode(record, &reply, &err)) {
		log_event(LOG_WARN, "replies", "a record cannot be read: %s", err.message);
		return;
	}
	if (reply.boot != replies->gateway->boot)
		return;
	if (reply.request == 0) {
		if (!replies->echo_us)
			log_event(LOG_INFO, "replies", "own records come back from partition %d",
			        (int)replies->partition);
		replies->echo_us = clock_monotonic_us();
		replies->unheard_us = 0;
		return;
	}
	struct request *request = pending_find(replies->gateway->pending, reply.request);
	if (request && request->wait == WAIT_REPLY && uuid_eq(&request->command, &reply.command))
		step_reply(request, &reply, NULL, false);
}

static void take_message(struct replies *replies, const rd_kafka_message_t *message)
{
	if (!message->err) {
		take_reply(replies, (struct str){message->payload, message->len});
		return;
	}
	/* Old replies have been removed while we were away; whoever still waits for one finds it in command_results. */
	if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
	        message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
		assign(replies, RD_KAFKA_OFFSET_END);
	log_event(LOG_WARN, "replies", "%s", rd_kafka_message_errstr(message));
}

/* librdkafka tells only when the queue was empty before, so it is always read to its end. */
static void on_ready(void *context, uint32_t events)
{
	struct replies *replies = context;
	rd_kafka_message_t *messages[MESSAGES_PER_CALL];
	ssize_t n;

	(void)events;
	loop_drain(replies->source.fd);
	while ((n = rd_kafka_consume_batch_queue(replies->queue, 0, messages, ARRAY_LEN(messages))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			take_message(replies, messages[i]);
			rd_kafka_message_destroy(messages[i]);
		}
	}
}

static void watch_queue(struct replies *replies, int loop)
{
	uint64_t one = 1;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		log_die("replies", "eventfd: out of descriptors");
	replies->queue = rd_kafka_queue_get_consumer(replies->client);
	rd_kafka_queue_io_event_enable(replies->queue, fd, &one, sizeof(one));
	loop_watch(loop, &replies->source, fd, EPOLLIN);
}

/* A broker that has just begun may not lead its partitions yet. */
static int64_t read_end(struct replies *replies)
{
	int64_t give_up_us = clock_monotonic_us() + BROKER_ANSWER_US;
	int64_t end;

	while (!kafka_log_end(replies->gateway->producer, TOPIC_REPLIES, replies->partition, LOG_END_MS, &end)) {
		if (clock_monotonic_us() > give_up_us)
			log_die("replies", "Kafka does not tell where partition %d ends", (int)replies->partition);
		usleep(50 * 1000);
	}
	return end;
}

static void echo(struct replies *replies)
{
	struct gateway *gateway = replies->gateway;
	struct arena *arena = arena_new(LOOK_ARENA_BYTES);
	struct reply reply = {.boot = gateway->boot, .status = 200};
	struct err err = {0};
	struct buf buf;

	buf_init(&buf, arena, 256);
	reply_encode(&buf, &reply);
	if (!kafka_send(gateway->producer, TOPIC_REPLIES, (uint32_t)replies->partition, NULL, buf_str(&buf),
	            (void *)(uintptr_t)REPLIES_OPAQUE, &err))
		log_event(LOG_WARN, "replies", "%s", err.message);
	arena_free(arena);
	replies->sent_us = clock_monotonic_us();
}

struct replies *replies_new(struct gateway *gateway, int loop)
{
	struct replies *replies = calloc(1, sizeof(*replies));

	if (!replies)
		log_die("memory", "out of memory");
	replies->gateway = gateway;
	replies->partition = (int32_t)(gateway->boot % gateway->partitions[TOPIC_REPLIES]);
	replies->source = (struct loop_source){.ready = on_ready, .context = replies, .fd = -1};
	for (size_t i = 0; i < TURNS; i++)
		list_init(&replies->late[i]);
	replies->client = kafka_consumer_new(gateway->settings, "gateway", NULL, 0, NULL, NULL);
	int64_t end = read_end(replies);
	watch_queue(replies, loop);
	assign(replies, end);
	echo(replies);
	return replies;
}

uint32_t replies_partition(const struct replies *replies)
{
	return (uint32_t)replies->partition;
}

bool replies_are_up(const struct replies *replies)
{
	return replies->echo_us && clock_monotonic_us() - replies->echo_us < ECHO_LOST_US;
}

void replies_delivered(struct replies *replies, bool good)
{
	/* without a broker nothing comes back: when it is there again, the time begins anew */
	if (replies && !(good && replies->unheard_us))
		replies->unheard_us = good ? clock_monotonic_us() : 0;
}

/* --- late replies --- */

void replies_expect(struct replies *replies, struct request *request)
{
	request->late_turn = 0;
	request->late_us = clock_monotonic_us() + turn_us[0];
	list_append(&replies->late[0], &request->late);
}

/* After a look: the next one is later, and never the last. */
static void next_turn(struct replies *replies, struct request *request, int64_t now_us)
{
	if (request->late_turn + 1 < TURNS)
		request->late_turn++;
	request->late_us = now_us + turn_us[request->late_turn];
	list_append(&replies->late[request->late_turn], &request->late);
}

/* One question about many commands. */
struct look {
	struct gateway *gateway;
	struct arena *arena;
	struct db_array workspaces, commands, numbers, fingerprints, topics, partitions, times;
};

static struct look *look_new(struct gateway *gateway)
{
	struct arena *arena = arena_new(LOOK_ARENA_BYTES);
	struct look *look = arena_alloc(arena, sizeof(*look));

	look->gateway = gateway;
	look->arena = arena;
	db_array_init(&look->workspaces, arena, DB_UUID);
	db_array_init(&look->commands, arena, DB_UUID);
	db_array_init(&look->numbers, arena, DB_I64);
	db_array_init(&look->fingerprints, arena, DB_I64);
	db_array_init(&look->topics, arena, DB_TEXT);
	db_array_init(&look->partitions, arena, DB_I32);
	db_array_init(&look->times, arena, DB_I64);
	return look;
}

static void look_add(struct look *look, const struct request *request)
{
	db_array_uuid(&look->workspaces, &request->command_workspace);
	db_array_uuid(&look->commands, &request->command);
	db_array_i64(&look->numbers, (int64_t)request->number);
	db_array_i64(&look->fingerprints, (int64_t)request->command_fingerprint);
	db_array_text(&look->topics, str_of(topic_role_name(request->command_topic)));
	db_array_i64(&look->partitions, request->command_partition);
	db_array_i64(&look->times, request->command_time_us);
}

static void take_row(struct gateway *gateway, const PGresult *result, int row)
{
	struct request *request = pending_find(gateway->pending, (uint64_t)db_i64(result, row, 0));
	struct uuid entity = db_uuid(result, row, 2);
	struct reply reply = {.status = (uint16_t)db_i64(result, row, 1),
	        .seq = db_i64(result, row, 3),
	        .body = db_text(result, row, 4)};

	if (!request || request->wait != WAIT_REPLY)
		return;
	/* The row may be the first use of an Idempotency-Key; its result is ours only if the request is the same. (The
	   same request may be answered in another topic: customer-merge empties nodes.) */
	if (!db_i64(result, row, 5)) {
		request_fail(request, ERR_CONFLICT, "this Idempotency-Key was used before with another request");
		return;
	}
	reply.command = request->command;
	step_reply(request, &reply, db_is_null(result, row, 2) ? NULL : &entity, true);
}

/* Whoever has no row yet is asked for again in the next turn; so is everybody when the database does not answer. */
static void on_rows(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	struct look *look = context;

	(void)number;
	(void)err;
	for (int row = 0; result && row < PQntuples(result); row++)
		take_row(look->gateway, result, row);
	arena_free(look->arena);
}

static void look_send(struct look *look)
{
	struct db_params params;
	struct err err = {0};
	struct pgpool_query query = {
	        .statement = "results_of_commands", .params = &params, .on_result = on_rows, .context = look};

	db_params_init(&params, look->arena);
	db_param_array(&params, &look->workspaces);
	db_param_array(&params, &look->commands);
	db_param_array(&params, &look->numbers);
	db_param_array(&params, &look->fingerprints);
	db_param_array(&params, &look->topics);
	db_param_array(&params, &look->partitions);
	db_param_array(&params, &look->times);
	if (!pgpool_query(look->gateway->pool, &query, &err))
		arena_free(look->arena);
}

void replies_look(struct replies *replies, struct request *request)
{
	struct look *look = look_new(replies->gateway);

	look_add(look, request);
	look_send(look);
}

static void look_for_late(struct replies *replies, size_t turn, int64_t now_us)
{
	struct list *list = &replies->late[turn];
	struct look *look = NULL;

	for (int n = 0; n < LOOK_MAX && !list_is_empty(list); n++) {
		struct request *request = list_owner(list->next, struct request, late);
		if (request->late_us > now_us)
			break;
		if (!look)
			look = look_new(replies->gateway);
		look_add(look, request);
		next_turn(replies, request, now_us);
	}
	if (look)
		look_send(look);
}

void replies_tick(struct replies *replies, int64_t now_us)
{
	for (size_t turn = 0; turn < TURNS; turn++)
		look_for_late(replies, turn, now_us);
	if (now_us - replies->sent_us >= ECHO_EVERY_US)
		echo(replies);
	if (replies->unheard_us && now_us - replies->unheard_us > SILENT_US && replies->echo_us)
		log_die("replies", "records are delivered but do not come back: restarting");
}
