#include "deploy/ctl/ctl.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "deploy/ctl/statements.h"

#include <unistd.h>

#define OUTCOME_WAIT_US (15 * 1000000LL)
#define OUTCOME_POLL_US 20000
#define METADATA_MS 10000

static bool open_db(struct ctl *ctl, struct err *err)
{
	if (ctl->db)
		return true;
	if (!*ctl->settings.pg)
		return err_set(err, ERR_INVALID, "CONTACTHUB_PG is not set: it names the database");
	ctl->db = db_open(&ctl->settings, "contacthubctl", err);
	if (!ctl->db)
		return false;
	return db_prepare(ctl->db, ctl_statements, CTL_STATEMENTS, err) ||
	       err_wrap(err, "the database is not migrated (run `contacthubctl migrate`)");
}

PGresult *ctl_query(struct ctl *ctl, const char *statement, const struct db_params *params, struct err *err)
{
	return open_db(ctl, err) ? db_query(ctl->db, statement, params, err) : NULL;
}

bool ctl_workspace_partition(struct ctl *ctl, const struct uuid *workspace, uint32_t *ret_partition, struct err *err)
{
	struct db_params params;
	char id[UUID_TEXT_BYTES + 1];

	db_params_init(&params, ctl->arena);
	db_param_uuid(&params, workspace);
	PGresult *rows = ctl_query(ctl, "workspace_partition", &params, err);
	bool found = rows && PQntuples(rows) == 1;
	if (found)
		*ret_partition = (uint32_t)db_i64(rows, 0, 0);
	else if (rows)
		uuid_format(workspace, id), err_set(err, ERR_NOT_FOUND, "there is no workspace %s", id);
	PQclear(rows);
	return found;
}

bool ctl_workspace_read(struct ctl *ctl, struct str text, struct uuid *ret_workspace, struct err *err)
{
	uint32_t partition;

	if (!uuid_parse(text, ret_workspace))
		return err_set(err, ERR_INVALID, "--workspace must be a UUID");
	return ctl_workspace_partition(ctl, ret_workspace, &partition, err);
}

bool ctl_node_check(struct ctl *ctl, const struct uuid *workspace, struct str node, struct err *err)
{
	struct db_params params;
	struct uuid id;

	if (!uuid_parse(node, &id))
		return err_set(err, ERR_INVALID, "--node must be a UUID");
	db_params_init(&params, ctl->arena);
	db_param_uuid(&params, workspace);
	db_param_text(&params, config_id_text(ctl->arena, &id));
	PGresult *rows = ctl_query(ctl, "node_name", &params, err);
	bool found =
	        rows && (PQntuples(rows) == 1 || err_set(err, ERR_NOT_FOUND, "there is no node %.*s", STR_ARG(node)));
	PQclear(rows);
	return found;
}

static void on_delivery(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	struct ctl *ctl = context;

	(void)opaque;
	ctl->delivered = true;
	ctl->delivery_error = delivery->error;
}

static bool open_kafka(struct ctl *ctl, struct err *err)
{
	if (!*ctl->settings.kafka)
		return err_set(err, ERR_INVALID, "CONTACTHUB_KAFKA is not set: it names the Kafka brokers");
	if (!ctl->producer)
		ctl->producer = kafka_producer_new(&ctl->settings, KAFKA_SEND_AT_ONCE, on_delivery, ctl);
	return true;
}

bool ctl_partition_count(struct ctl *ctl, enum topic topic, uint32_t *ret_n, struct err *err)
{
	if (!open_kafka(ctl, err))
		return false;
	*ret_n = kafka_partition_count(ctl->producer, topic, METADATA_MS);
	return *ret_n || err_set(err, ERR_UNAVAILABLE, "Kafka does not tell the partitions of the topic %s",
	                         topic_role_name(topic));
}

bool ctl_send(struct ctl *ctl, enum topic topic, uint32_t partition, const struct uuid *key, struct str record,
        struct err *err)
{
	if (!open_kafka(ctl, err))
		return false;
	ctl->delivered = false;
	if (!kafka_send(ctl->producer, topic, partition, key, record, ctl, err))
		return false;
	while (!ctl->delivered)
		kafka_producer_poll(ctl->producer, 100);
	if (ctl->delivery_error)
		return err_set(err, ERR_UNAVAILABLE, "Kafka did not take the command: %s",
		        rd_kafka_err2str(ctl->delivery_error));
	return true;
}

/* The error body's message. */
static bool refused(struct ctl *ctl, unsigned status, struct str body, struct err *err)
{
	struct err ignored;
	struct str words = json_text(json_member(json_parse(ctl->arena, body, &ignored), "message"));

	return err_set(err, status == 409 ? ERR_CONFLICT : ERR_INVALID, "refused: %.*s", STR_ARG(words));
}

static bool wait_for_outcome(struct ctl *ctl, const struct command *command, struct err *err)
{
	int64_t deadline_us = clock_monotonic_us() + OUTCOME_WAIT_US;
	struct db_params params;

	db_params_init(&params, ctl->arena);
	db_param_uuid(&params, &command->workspace);
	db_param_uuid(&params, &command->id);
	while (clock_monotonic_us() < deadline_us) {
		PGresult *rows = ctl_query(ctl, "outcome", &params, err);
		if (!rows)
			return false;
		if (PQntuples(rows)) {
			unsigned status = (unsigned)db_i64(rows, 0, 0);
			bool good = status < 300 || refused(ctl, status, db_text(rows, 0, 1), err);
			PQclear(rows);
			return good;
		}
		PQclear(rows);
		usleep(OUTCOME_POLL_US);
	}
	return err_set(err, ERR_UNKNOWN_OUTCOME,
	        "the configuration worker has not answered within %d seconds (is it running?); the write may still "
	        "happen",
	        (int)(OUTCOME_WAIT_US / 1000000));
}

bool ctl_put(struct ctl *ctl, const struct uuid *workspace, uint32_t partition, const struct config_key *key,
        const struct json *doc, struct err *err)
{
	int64_t now_us = clock_wall_us();
	struct command command = {.type = COMMAND_CONFIG_PUT,
	        .time_us = now_us,
	        .id = uuid_v7(now_us),
	        .workspace = *workspace,
	        .text = config_key_write(ctl->arena, key),
	        .body = config_doc_text(ctl->arena, doc)};
	struct buf record;

	if (!uuid_parse(key->id, &command.entity))
		command.entity = *workspace;
	buf_init(&record, ctl->arena, 1024);
	command_encode(&record, &command);
	/* the database first: without it nobody could tell the outcome */
	return open_db(ctl, err) && ctl_send(ctl, TOPIC_CONFIG_COMMANDS, partition, workspace, buf_str(&record), err) &&
	       wait_for_outcome(ctl, &command, err);
}
