#include "common/arena.h"
#include "common/buf.h"
#include "common/crash.h"
#include "common/log.h"
#include "workers/configuration/configuration.h"
#include "workers/configuration/rules.h"

#include <stdlib.h>

/* Holds one row of the outbox, its rule and its reply. */
#define ARENA_BYTES ((size_t)16 * 1024 * 1024)
#define METADATA_MS 10000

struct outbox {
	struct kafka_producer *producer; /* own one: its delivery reports are waited for */
	struct arena *arena;
	bool silent;  /* a replay: the rules are in the log already, and nobody waits for answers */
	bool waiting; /* for the report of the rule in flight */
	rd_kafka_resp_err_t error;
	uint32_t n_changes; /* partitions of `changes`; 0 = not asked yet */
};

/* One row. The record lives in the outbox's arena. */
struct row {
	struct uuid workspace;
	int64_t seq;
	int32_t position;
	enum topic topic;
	uint32_t partition;
	struct command command;
};

static void on_delivery(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	struct outbox *outbox = context;

	(void)opaque;
	outbox->waiting = false;
	outbox->error = delivery->error;
}

struct outbox *outbox_new(const struct settings *settings)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));

	if (!outbox)
		log_die("memory", "out of memory");
	outbox->arena = arena_new(ARENA_BYTES);
	outbox->producer = kafka_producer_new(settings, KAFKA_SEND_AT_ONCE, on_delivery, outbox);
	outbox->silent = settings->replay;
	return outbox;
}

bool outbox_changes_partition(
        struct outbox *outbox, const struct uuid *workspace, uint32_t *ret_partition, struct err *err)
{
	if (!outbox->n_changes)
		outbox->n_changes = kafka_partition_count(outbox->producer, TOPIC_CHANGES, METADATA_MS);
	if (!outbox->n_changes)
		return err_set(err, ERR_UNAVAILABLE, "Kafka does not tell the partitions of the topic %s",
		        topic_role_name(TOPIC_CHANGES));
	*ret_partition = workspace_partition(workspace, outbox->n_changes);
	return true;
}

static bool topic_of(struct str role_name, enum topic *ret_topic, struct err *err)
{
	for (int topic = 0; topic < TOPIC_COUNT; topic++)
		if (str_is(role_name, topic_role_name((enum topic)topic))) {
			*ret_topic = (enum topic)topic;
			return true;
		}
	return err_set(err, ERR_INTERNAL, "a rule is for a topic that does not exist");
}

/* The oldest row; *ret_found tells whether there is one. */
static bool load_first(struct outbox *outbox, struct db *db, struct row *ret_row, bool *ret_found, struct err *err)
{
	PGresult *rows = db_query(db, "outbox_first", NULL, err);
	bool good = rows != NULL;

	*ret_found = good && PQntuples(rows) == 1;
	if (*ret_found) {
		*ret_row = (struct row){.workspace = db_uuid(rows, 0, 0),
		        .seq = db_i64(rows, 0, 1),
		        .position = (int32_t)db_i64(rows, 0, 2),
		        .partition = (uint32_t)db_i64(rows, 0, 4)};
		good = topic_of(db_text(rows, 0, 3), &ret_row->topic, err) &&
		       command_decode(arena_str(outbox->arena, db_text(rows, 0, 5)), &ret_row->command, err);
	}
	PQclear(rows);
	return good;
}

static bool send_rule(struct outbox *outbox, const struct row *row, struct err *err)
{
	struct command rule;
	struct buf record;

	rule_make(outbox->arena, &row->command, row->topic, row->seq, &rule);
	buf_init(&record, outbox->arena, 256 + rule.body.n);
	command_encode(&record, &rule);
	outbox->waiting = true;
	if (!kafka_send(outbox->producer, row->topic, row->partition, &rule.node, buf_str(&record), outbox, err))
		return false;
	while (outbox->waiting)
		kafka_producer_poll(outbox->producer, 100);
	if (outbox->error)
		return err_set(
		        err, ERR_UNAVAILABLE, "a rule was not taken by Kafka: %s", rd_kafka_err2str(outbox->error));
	return true;
}

static struct db_params row_params(struct outbox *outbox, const struct row *row)
{
	struct db_params params;

	db_params_init(&params, outbox->arena);
	db_param_uuid(&params, &row->workspace);
	db_param_i64(&params, row->seq);
	db_param_i32(&params, row->position);
	return params;
}

/* NODE_EMPTY: customer-merge answers. */
static bool remove_row(struct outbox *outbox, struct db *db, const struct row *row, struct err *err)
{
	struct db_params params = row_params(outbox, row);
	PGresult *done = db_query(db, "outbox_sent", &params, err);

	PQclear(done);
	return done != NULL;
}

/* Removes the row and stores the outcome of its command in one statement. */
static bool store_outcome(
        struct outbox *outbox, struct db *db, const struct row *row, const struct reply *reply, struct err *err)
{
	const struct command *command = &row->command;
	struct db_params params = row_params(outbox, row);

	db_param_uuid(&params, &command->id);
	db_param_bool(&params, command->flags & COMMAND_KEYED);
	db_param_i64(&params, (int64_t)command->fingerprint);
	db_param_i32(&params, reply->status);
	db_param_i64(&params, command->time_us);
	db_param_text(&params, reply->body);
	if (command->flags & COMMAND_KEYED && command->key_days)
		db_param_i64(&params, command_key_kept_until(command));
	else
		db_param_null(&params);
	PGresult *done = db_query(db, "outbox_answered", &params, err);
	PQclear(done);
	return done != NULL;
}

static bool answer(struct outbox *outbox, struct db *db, const struct row *row, struct err *err)
{
	const struct command *command = &row->command;
	struct reply reply = {.boot = command->reply.boot,
	        .request = command->reply.request,
	        .command = command->id,
	        .status = 200,
	        .seq = row->seq,
	        .body = command->body};
	struct buf record;

	if (!store_outcome(outbox, db, row, &reply, err))
		return false;
	if (!reply.boot || outbox->silent)
		return true;
	buf_init(&record, outbox->arena, 128 + reply.body.n);
	reply_encode(&record, &reply);
	struct err lost = {0};
	/* a lost reply is looked up by the gateway */
	if (!kafka_send(outbox->producer, TOPIC_REPLIES, command->reply.partition, NULL, buf_str(&record), NULL, &lost))
		log_event(LOG_WARN, "reply", "%s", lost.message);
	return true;
}

bool outbox_publish(struct outbox *outbox, struct db *db, struct err *err)
{
	kafka_producer_poll(outbox->producer, 0);
	/* looked for each time: another process may have left some */
	for (;;) {
		struct row row;
		bool found;
		arena_reset(outbox->arena);
		if (!load_first(outbox, db, &row, &found, err))
			return false;
		if (!found)
			return true;
		CRASH_POINT("configuration-before-rule");
		if (!outbox->silent && !send_rule(outbox, &row, err))
			return false;
		CRASH_POINT("configuration-after-rule");
		if (!(row.command.type == COMMAND_CONFIG_EMPTY ? remove_row(outbox, db, &row, err)
		                                               : answer(outbox, db, &row, err)))
			return false;
	}
}
