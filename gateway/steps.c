#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/crash.h"
#include "common/hash.h"
#include "common/log.h"
#include "gateway/config_feed.h"
#include "gateway/gateway.h"
#include "gateway/pending.h"
#include "gateway/replies.h"
#include "gateway/request_state.h"
#include "gateway/upload.h"

/* What requests wait for: delivery reports, replies, rows, configuration. */

#define KEY_SEPARATOR 0x1f

/* --- waiting --- */

/* False when all numbers are in use; the request has been answered then. */
static bool step_begin(struct request *request, enum request_wait wait)
{
	if (request->number || request->answer.status) {
		log_event(LOG_ERROR, "request",
		        "operation %d starts a step while another one runs, or after its answer",
		        request->match.route->operation);
		request_fail(request, ERR_INTERNAL, "two steps at once");
		return false;
	}
	request->number = pending_add(request->gateway->pending, request);
	if (!request->number) {
		request_fail(request, ERR_UNAVAILABLE, "%s", err_sentence(ERR_UNAVAILABLE));
		return false;
	}
	request->wait = wait;
	return true;
}

void step_end(struct request *request)
{
	if (request->number)
		pending_remove(request->gateway->pending, request->number);
	request->number = 0;
	request->wait = WAIT_NOTHING;
	list_remove(&request->late);
}

/* --- commands --- */

/* Who sends a keyed command; keys of two callers never meet. */
static struct str caller_text(struct request *request)
{
	char id[UUID_TEXT_BYTES + 1];

	if (request->caller.source) {
		uuid_format(&request->caller.source->id, id);
		return str_of(arena_printf(request->arena, "source:%s", id));
	}
	long long user = request->caller.user ? (long long)request->caller.user->id : 0;
	return str_of(arena_printf(request->arena, "user:%lld", user));
}

static void key_command(struct request *request, struct command *command, struct str key)
{
	struct buf name;
	uint64_t seed = hash_str(request->method, 0);

	buf_init(&name, request->arena, 512);
	buf_add_str(&name, caller_text(request));
	buf_add_char(&name, KEY_SEPARATOR);
	buf_add_str(&name, key);
	command->id = uuid_v5(&command->workspace, buf_str(&name));
	command->flags |= COMMAND_KEYED;
	command->key_days = (uint16_t)request->gateway->settings->idempotency_retention_days;
	command->fingerprint = hash_str(request_body_text(request), hash_str(request->target, seed));
}

void request_command_init(struct request *request, struct command *command, enum command_type type)
{
	const struct config_workspace *workspace = request_workspace(request);
	struct str key = request_header(request, "Idempotency-Key");
	int64_t now_us = clock_wall_us();

	*command = (struct command){.type = (uint8_t)type, .time_us = now_us};
	if (workspace)
		command->workspace = *config_workspace_id(workspace);
	if (request->caller.source)
		command->source = request->caller.source->id;
	if (request->caller.user)
		command->user = request->caller.user->id;
	command->reply.partition = replies_partition(request->gateway->replies);
	command->reply.boot = request->gateway->boot;
	if (key.p)
		key_command(request, command, key);
	else
		command->id = uuid_v7(now_us);
}

/* Under overload this happens thousands of times a second; the log hears of it once. */
static void log_refused(const struct err *err)
{
	static int64_t told_us;
	int64_t now_us = clock_monotonic_us();

	if (now_us - told_us < 1000000)
		return;
	told_us = now_us;
	log_event(LOG_WARN, "kafka", "%s", err->message);
}

/* Hands the record to Kafka's client. False when the request has been answered. */
static bool produce(struct request *request, enum topic topic, uint32_t partition, const struct command *command)
{
	struct err err = {0};
	struct buf buf;

	if (command->text.n > COMMAND_MAX_TEXT_BYTES || command->body.n > COMMAND_MAX_BODY_BYTES) {
		request_fail(request, ERR_TOO_LARGE, "%s", err_sentence(ERR_TOO_LARGE));
		return false;
	}
	request->command = command->id;
	request->command_workspace = command->workspace;
	request->command_fingerprint = command->fingerprint;
	request->command_time_us = command->time_us;
	request->command_topic = topic;
	request->command_partition = partition;
	buf_init(&buf, request->arena, 256 + command->text.n + command->body.n);
	command_encode(&buf, command);
	if (kafka_send(request->gateway->producer, topic, partition,
	            uuid_is_nil(&command->entity) ? NULL : &command->entity, buf_str(&buf),
	            (void *)(uintptr_t)request->number, &err)) {
		CRASH_POINT("gateway-after-produce");
		return true;
	}
	log_refused(&err);
	request_fail(request, ERR_UNAVAILABLE, "%s", err_sentence(ERR_UNAVAILABLE));
	return false;
}

void request_send_command(struct request *request, enum topic topic, uint32_t partition, const struct command *command,
        request_reply_fn *on_reply)
{
	struct command addressed = *command;

	if (!step_begin(request, WAIT_REPLY))
		return;
	request->then.reply = on_reply;
	request->row_wanted = false;
	addressed.reply.request = request->number;
	if (produce(request, topic, partition, &addressed))
		replies_expect(request->gateway->replies, request);
}

void request_publish(struct request *request, enum topic topic, uint32_t partition, const struct command *command,
        request_delivered_fn *on_delivered)
{
	struct command addressed = *command;

	if (!step_begin(request, WAIT_DELIVERY))
		return;
	request->then.delivered = on_delivered;
	addressed.reply = (struct reply_address){0};
	produce(request, topic, partition, &addressed);
}

bool step_upload_begin(struct request *request)
{
	return step_begin(request, WAIT_UPLOAD);
}

bool step_upload_send(struct request *request, uint32_t partition, const struct command *command, struct buf *room)
{
	struct err err = {0};

	room->n = 0;
	command_encode(room, command);
	if (kafka_send(request->gateway->producer, TOPIC_BULK_JOBS, partition, &command->entity, buf_str(room),
	            (void *)(uintptr_t)request->number, &err)) {
		CRASH_POINT("gateway-after-chunk");
		return true;
	}
	log_refused(&err);
	request_fail(request, ERR_UNAVAILABLE, "%s", err_sentence(ERR_UNAVAILABLE));
	return false;
}

static void fail_undelivered(struct request *request, bool persisted_unknown)
{
	if (persisted_unknown)
		request_fail(request, ERR_UNKNOWN_OUTCOME, "%s", err_sentence(ERR_UNKNOWN_OUTCOME));
	else
		request_fail(request, ERR_UNAVAILABLE, "%s", err_sentence(ERR_UNAVAILABLE));
}

void step_delivered(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	struct gateway *gateway = context;
	uint64_t number = (uint64_t)(uintptr_t)opaque;

	if (number == REPLIES_OPAQUE) {
		replies_delivered(gateway->replies, !delivery->error);
		return;
	}
	struct request *request = pending_find(gateway->pending, number);
	if (!request)
		return;
	if (request->wait == WAIT_REPLY) {
		/* Perhaps persisted: its reply or its row may still come, and if not, the deadline. */
		if (delivery->error && !delivery->persisted_unknown)
			fail_undelivered(request, false);
	} else if (request->wait == WAIT_UPLOAD) {
		upload_delivered(request, !delivery->error);
	} else if (request->wait == WAIT_DELIVERY) {
		request_delivered_fn *then = request->then.delivered;
		if (delivery->error) {
			fail_undelivered(request, delivery->persisted_unknown);
		} else {
			step_end(request);
			then(request);
		}
	}
}

/* --- replies --- */

/* A success whose body somebody needs: the answer itself, or one that is read again. */
static bool lacks_body(const struct request *request, const struct reply *reply)
{
	const struct route *route = request->match.route;

	if (reply->status >= 300 || reply->body.p)
		return false;
	return route->reread || (route->response_schema && !request->then.reply);
}

/* Waits until this gateway sees what the command has changed, so that the client reads its own write. */
static void hold(struct request *request, const struct reply *reply)
{
	request->held = *reply;
	request->held.body = arena_str(request->arena, reply->body);
	request->wait = WAIT_CONFIG;
	config_feed_await(request->gateway->config_feed, request);
}

static void answer_with(struct request *request, const struct reply *reply)
{
	request_reply_fn *then = request->then.reply;

	CRASH_POINT("gateway-before-answer");
	step_end(request);
	if (then)
		then(request, reply);
	else
		request_answer(request, reply->status, reply->body);
}

/* A result whose row keeps no body: the entity is read again. */
static void answer_from_entity(struct request *request, const struct reply *reply, const struct uuid *entity)
{
	const struct route *route = request->match.route;
	struct uuid id = *entity;
	struct reply bare = *reply;
	char text[UUID_TEXT_BYTES + 1];

	if (route->reread && !request_is_untrusted(request)) {
		step_end(request);
		route->reread(request, &id, reply->status);
		return;
	}
	uuid_format(entity, text);
	bare.body = str_of(arena_printf(request->arena, "{\"id\":\"%s\"}", text));
	answer_with(request, &bare);
}

void step_reply(struct request *request, const struct reply *reply, const struct uuid *entity, bool from_row)
{
	if (lacks_body(request, reply) && !from_row) {
		/* a repeated command: its first result is in the table */
		if (!request->row_wanted)
			replies_look(request->gateway->replies, request);
		request->row_wanted = true;
		return;
	}
	if (lacks_body(request, reply) && entity)
		answer_from_entity(request, reply, entity);
	else if (reply->seq > config_seq(request->gateway->config))
		hold(request, reply);
	else
		answer_with(request, reply);
}

void step_config_arrived(struct request *request)
{
	struct reply reply = request->held;

	answer_with(request, &reply);
}

/* --- queries --- */

/* Behind a command a query reads what the answer says; without it the command's work must not look as if it had not
   been done. */
static void fail_query(struct request *request, const struct err *err)
{
	if (uuid_is_nil(&request->command))
		request_fail_err(request, err);
	else
		request_fail(request, ERR_UNKNOWN_OUTCOME, "%s", err_sentence(ERR_UNKNOWN_OUTCOME));
}

static void on_result(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	struct gateway *gateway = context;
	struct request *request = pending_find(gateway->pending, number);

	if (!request || request->wait != WAIT_ROWS)
		return;
	request_result_fn *then = request->then.result;
	if (--request->rows_expected == 0)
		step_end(request);
	if (result)
		then(request, result);
	else
		fail_query(request, err);
}

static void send_query(struct request *request, const char *statement, const char *sql, const struct db_params *params)
{
	struct err err = {0};
	struct pgpool_query query = {.statement = statement,
	        .sql = sql,
	        .params = params,
	        .on_result = on_result,
	        .context = request->gateway,
	        .number = request->number,
	        .owner = request->ticket.tenant};

	request->rows_expected++;
	if (!pgpool_query(request->gateway->pool, &query, &err))
		fail_query(request, &err);
}

struct db_params *request_params(struct request *request)
{
	struct db_params *params = arena_alloc(request->arena, sizeof(*params));

	db_params_init(params, request->arena);
	db_param_uuid(params, config_workspace_id(request->workspace));
	return params;
}

struct db_params *request_params_of(struct request *request, const struct uuid *id)
{
	struct db_params *params = request_params(request);

	db_param_uuid(params, id);
	return params;
}

void request_query(struct request *request, const char *statement, const char *sql, const struct db_params *params,
        request_result_fn *then)
{
	if (!step_begin(request, WAIT_ROWS))
		return;
	request->then.result = then;
	request->rows_expected = 0;
	send_query(request, statement, sql, params);
}

void request_query_beside(
        struct request *request, const char *statement, const struct db_params *params, request_result_fn *then)
{
	if (request->answer.status)
		return; /* one of them could not be sent */
	if (request->wait == WAIT_ROWS)
		send_query(request, statement, NULL, params);
	else
		request_query(request, statement, NULL, params, then);
}

/* --- pieces of an answer --- */

static void on_piece(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	struct gateway *gateway = context;
	struct request *request = pending_find(gateway->pending, number);

	if (!request || request->wait != WAIT_ROWS)
		return;
	request_result_fn *then = request->then.result;
	step_end(request);
	if (result) {
		then(request, result);
	} else {
		log_event(LOG_WARN, "request", "an answer breaks off: %s", err->message);
		request_stream_fail(request);
	}
}

void request_stream_query(
        struct request *request, const char *statement, const struct db_params *params, request_result_fn *then)
{
	struct err err = {0};

	request->number = pending_add(request->gateway->pending, request);
	request->wait = WAIT_ROWS;
	request->then.result = then;
	struct pgpool_query query = {.statement = statement,
	        .params = params,
	        .on_result = on_piece,
	        .context = request->gateway,
	        .number = request->number};
	if (request->number && pgpool_query(request->gateway->pool, &query, &err))
		return;
	step_end(request);
	request_stream_fail(request);
}
