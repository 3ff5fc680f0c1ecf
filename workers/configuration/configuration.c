#include "workers/configuration/configuration.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/rows.h"
#include "workers/configuration/changes.h"

/* What happens to one batch, in two flights to the database: facts, then writes. */
struct work {
	struct batch *batch;
	struct arena *arena;
	struct db *db;
	struct changes changes;
	size_t *indexes; /* of the changes in the batch */
};

static bool gather(struct work *work)
{
	size_t n = batch_size(work->batch);

	changes_init(&work->changes, work->arena, n);
	work->indexes = arena_alloc(work->arena, n * sizeof(*work->indexes));
	for (size_t i = 0; i < n; i++) {
		struct err bad = {0};
		if (batch_skip(work->batch, i))
			continue;
		work->indexes[work->changes.n] = i;
		if (!changes_add(&work->changes, batch_command(work->batch, i), &bad)) {
			batch_refuse(work->batch, i, bad.code, arena_str(work->arena, str_of(bad.message)), STR_NONE);
			batch_dead_letter(work->batch, i, arena_str(work->arena, str_of(bad.message)));
		}
	}
	return work->changes.n > 0;
}

static bool ask_facts(struct work *work, struct err *err)
{
	struct db_array workspaces, kinds, ids;
	struct db_params documents, homes;

	db_array_init(&workspaces, work->arena, DB_UUID);
	db_array_init(&kinds, work->arena, DB_TEXT);
	db_array_init(&ids, work->arena, DB_TEXT);
	for (size_t i = 0; i < work->changes.n; i++) {
		const struct change *change = &work->changes.items[i];
		db_array_uuid(&workspaces, &change->command->workspace);
		db_array_text(&kinds, change->key.kind);
		db_array_text(&ids, change->key.id);
	}
	db_params_init(&documents, work->arena);
	db_param_array(&documents, &workspaces);
	db_param_array(&documents, &kinds);
	db_param_array(&documents, &ids);
	db_params_init(&homes, work->arena);
	db_param_array(&homes, &workspaces);
	return db_send(work->db, "config_lock", NULL, err) && db_send(work->db, "config_versions", &documents, err) &&
	       db_send(work->db, "config_workspaces", &homes, err) && db_flush(work->db, err);
}

static bool read_facts(struct work *work, int64_t *ret_seq, struct err *err)
{
	PGresult *head = db_result(work->db, err);
	PGresult *versions = head ? db_result(work->db, err) : NULL;
	PGresult *homes = versions ? db_result(work->db, err) : NULL;

	if (homes && PQntuples(head) == 1)
		*ret_seq = db_i64(head, 0, 0);
	for (int row = 0; homes && row < PQntuples(versions); row++) {
		struct uuid workspace = db_uuid(versions, row, 0);
		/* a document that is named twice is found twice: the later fact hides the earlier, equal one */
		changes_know_version(&work->changes, &workspace, db_text(versions, row, 1), db_text(versions, row, 2),
		        db_i64(versions, row, 3));
	}
	for (int row = 0; homes && row < PQntuples(homes); row++) {
		struct uuid workspace = db_uuid(homes, row, 0);
		changes_know_workspace(&work->changes, &workspace, (uint32_t)db_i64(homes, row, 1));
	}
	bool good = homes && PQntuples(head) == 1;
	if (homes && !good)
		err_set(err, ERR_INTERNAL, "the table configuration_head is empty");
	PQclear(head);
	PQclear(versions);
	PQclear(homes);
	return good;
}

static bool send_documents(struct work *work, struct err *err)
{
	struct rows rows;

	rows_init(&rows, work->arena, "uttllllJ");
	for (size_t i = 0; i < work->changes.n; i++) {
		const struct change *change = &work->changes.items[i];
		if (!change->last)
			continue;
		db_array_uuid(&rows.columns[0], &change->command->workspace);
		db_array_text(&rows.columns[1], change->key.kind);
		db_array_text(&rows.columns[2], change->key.id);
		db_array_i64(&rows.columns[3], change->version);
		db_array_i64(&rows.columns[4], change->seq);
		db_array_i64(&rows.columns[5], change->created_us);
		db_array_i64(&rows.columns[6], change->command->time_us);
		db_array_text(&rows.columns[7], change->command->body);
	}
	return rows_write(&rows, work->db, "config_put", rows_count(&rows), err);
}

/* The outbox keeps the command itself: its rule and its answer are made from it when the rule is published. */
static struct str record_of(struct work *work, const struct command *command)
{
	struct buf record;

	buf_init(&record, work->arena, 256 + command->body.n);
	command_encode(&record, command);
	return buf_str(&record);
}

static bool rule_partition(struct work *work, const struct change *change, uint32_t *ret_partition, struct err *err)
{
	const struct uuid *workspace = &change->command->workspace;

	if (change->rule_topic == TOPIC_CHANGES)
		return outbox_changes_partition(batch_state(work->batch), workspace, ret_partition, err);
	*ret_partition = changes_partition(&work->changes, workspace);
	return true;
}

static bool send_rules(struct work *work, struct err *err)
{
	struct rows rows;

	rows_init(&rows, work->arena, "ultix");
	for (size_t i = 0; i < work->changes.n; i++) {
		const struct change *change = &work->changes.items[i];
		uint32_t partition;
		if (change->refused || !change->has_rule)
			continue;
		if (!rule_partition(work, change, &partition, err))
			return false;
		db_array_uuid(&rows.columns[0], &change->command->workspace);
		db_array_i64(&rows.columns[1], change->seq);
		db_array_text(&rows.columns[2], str_of(topic_role_name(change->rule_topic)));
		db_array_i64(&rows.columns[3], partition);
		db_array_text(&rows.columns[4], record_of(work, change->command));
	}
	return rows_write(&rows, work->db, "config_add_rules", rows_count(&rows), err);
}

static bool send_head(struct work *work, int64_t seq, struct err *err)
{
	struct db_params params;

	db_params_init(&params, work->arena);
	db_param_i64(&params, seq);
	return db_send_expect(work->db, "config_advance", &params, 1, ERR_INTERNAL, err);
}

/* Commands with a rule are answered when it is published: outbox.c. */
static void answer(struct work *work)
{
	for (size_t i = 0; i < work->changes.n; i++) {
		const struct change *change = &work->changes.items[i];
		if (change->refused)
			batch_refuse(work->batch, work->indexes[i], change->refused, change->why, STR_NONE);
		else if (!change->has_rule)
			batch_reply_seq(work->batch, work->indexes[i], 200, change->command->body, change->seq);
	}
}

bool configuration_handle(struct batch *batch, struct err *err)
{
	struct work work = {.batch = batch, .arena = batch_arena(batch), .db = batch_db(batch)};
	int64_t before = 0;

	if (!gather(&work))
		return true;
	if (!ask_facts(&work, err) || !read_facts(&work, &before, err))
		return false;
	int64_t after = changes_decide(&work.changes, before);
	answer(&work);
	if (after == before)
		return true;
	return send_documents(&work, err) && send_rules(&work, err) && send_head(&work, after, err);
}
