#include "common/buf.h"
#include "common/bulk_job.h"
#include "common/json.h"
#include "common/rows.h"
#include "workers/bulk_processor/bulk_processor.h"

/* Pieces in one statement. */
#define CHUNKS_AT_ONCE 16

/* Pieces of files that are to be stored: workspace, job, number, time, bytes. */
static void chunks_init(struct rows *chunks, struct batch *batch)
{
	rows_init(chunks, batch_arena(batch), "uuilx");
}

/* Queues what has been gathered. */
static bool store(struct rows *chunks, struct batch *batch, struct err *err)
{
	struct db *db = batch_db(batch);

	if (!rows_count(chunks))
		return true;
	bool good = rows_write(chunks, db, "bulk_add_chunks", -1, err) && db_flush(db, err);
	chunks_init(chunks, batch);
	return good;
}

static bool add_chunk(struct rows *chunks, struct batch *batch, size_t index, struct err *err)
{
	const struct command *command = batch_command(batch, index);
	uint64_t number;

	if (!str_to_u64(command->text, BULK_MAX_FILE_BYTES / BULK_CHUNK_BYTES, &number) || !command->body.n ||
	        command->body.n > BULK_CHUNK_BYTES) {
		batch_dead_letter(batch, index, STR("not a piece of a file"));
		return true;
	}
	db_array_uuid(&chunks->columns[0], &command->workspace);
	db_array_uuid(&chunks->columns[1], &command->entity);
	db_array_i64(&chunks->columns[2], (int64_t)number);
	db_array_i64(&chunks->columns[3], command->time_us);
	db_array_text(&chunks->columns[4], command->body);
	return rows_count(chunks) < CHUNKS_AT_ONCE || store(chunks, batch, err);
}

static struct db_params job_params(struct batch *batch, const struct command *command)
{
	struct db_params params;

	db_params_init(&params, batch_arena(batch));
	db_param_uuid(&params, &command->workspace);
	db_param_uuid(&params, &command->entity);
	return params;
}

/* --- BULK_CREATE --- */

static bool is_complete(struct batch *batch, const struct command *command, int64_t n_bytes, int64_t n_chunks,
        bool *ret_complete, struct err *err)
{
	struct db_params params = job_params(batch, command);

	db_param_i64(&params, n_chunks);
	db_param_i64(&params, n_bytes);
	db_param_i32(&params, BULK_CHUNK_BYTES);
	PGresult *row = db_ask(batch_db(batch), "bulk_is_complete", &params, err);
	*ret_complete = row && db_i64(row, 0, 0);
	PQclear(row);
	return row != NULL;
}

static struct db_params create_params(
        struct batch *batch, const struct command *command, const struct json *body, bool complete)
{
	struct db_params params = job_params(batch, command);
	struct str operation = json_text(json_member(body, "operation")),
	           entity = json_text(json_member(body, "entity"));
	struct str filename = json_text(json_member(body, "filename"));
	int64_t n_bytes = 0, n_chunks = 0, n_rows = 0;

	json_to_i64(json_member(body, "bytes"), &n_bytes);
	json_to_i64(json_member(body, "chunks"), &n_chunks);
	json_to_i64(json_member(body, "rows"), &n_rows); /* earlier gateways did not count them */
	db_param_uuid(&params, &command->node);
	db_param_text(&params, str_of(bulk_status_name(complete ? BULK_LOADED : BULK_FAILED)));
	db_param_text(&params, operation);
	db_param_text(&params, entity);
	db_param_text(&params, json_text(json_member(body, "eventType")));
	db_param_text(&params, filename.p ? filename : STR("file"));
	db_param_text(&params, json_text(json_member(body, "name")));
	db_param_text(&params, complete ? STR_NONE : STR("the file is not complete: send it again"));
	db_param_i64(&params, command->time_us);
	db_param_uuid(&params, uuid_is_nil(&command->source) ? NULL : &command->source);
	db_param_i64(&params, command->user);
	db_param_i64(&params, n_bytes);
	db_param_i32(&params, (int32_t)n_chunks);
	db_param_i64(&params, n_rows);
	db_param_i32(&params, BULK_MAX_LOADED);
	return params;
}

static void answer_created(struct batch *batch, size_t index, const PGresult *row)
{
	struct bulk_job job;
	struct buf body;

	bulk_job_read(row, 0, 0, &job);
	buf_init(&body, batch_arena(batch), 1024);
	bulk_job_render(&body, &job);
	batch_reply(batch, index, 201, buf_str(&body));
}

static bool is_description(const struct json *body)
{
	enum bulk_operation operation;
	enum bulk_entity entity;
	int64_t n_bytes, n_chunks;

	return bulk_operation_find(json_text(json_member(body, "operation")), &operation) &&
	       bulk_entity_find(json_text(json_member(body, "entity")), &entity) &&
	       json_to_i64(json_member(body, "bytes"), &n_bytes) &&
	       json_to_i64(json_member(body, "chunks"), &n_chunks) && n_bytes > 0 && n_bytes <= BULK_MAX_FILE_BYTES &&
	       n_chunks > 0 && n_chunks <= BULK_MAX_FILE_BYTES / BULK_CHUNK_BYTES;
}

static bool create(struct batch *batch, size_t index, struct err *err)
{
	const struct command *command = batch_command(batch, index);
	const struct json *body = json_parse(batch_arena(batch), command->body, err);
	int64_t n_bytes, n_chunks;
	bool complete;

	if (!body)
		return false;
	if (!is_description(body))
		return err_set(err, ERR_INVALID, "not the description of a bulk job");
	json_to_i64(json_member(body, "bytes"), &n_bytes);
	json_to_i64(json_member(body, "chunks"), &n_chunks);
	if (!is_complete(batch, command, n_bytes, n_chunks, &complete, err))
		return false;
	struct db_params params = create_params(batch, command, body, complete);
	PGresult *row = db_ask(batch_db(batch), "bulk_create", &params, err);
	if (!row)
		return false;
	if (PQntuples(row))
		answer_created(batch, index, row);
	else
		batch_refuse(batch, index, ERR_CONFLICT,
		        STR("ten bulk jobs of the node are LOADED already: wait for one"), STR_NONE);
	PQclear(row);
	return true;
}

/* --- the others --- */

static bool drop(struct batch *batch, size_t index, struct err *err)
{
	struct db_params params = job_params(batch, batch_command(batch, index));

	return db_send_expect(batch_db(batch), "bulk_drop", &params, -1, ERR_INTERNAL, err);
}

static bool stop(struct batch *batch, size_t index, struct err *err)
{
	const struct command *command = batch_command(batch, index);
	struct db_params params = job_params(batch, command);

	db_param_i64(&params, command->time_us);
	return db_send_expect(batch_db(batch), "bulk_stop", &params, -1, ERR_INTERNAL, err);
}

static bool handle_one(struct batch *batch, size_t index, struct err *err)
{
	switch (batch_command(batch, index)->type) {
	case COMMAND_BULK_CREATE:
		return create(batch, index, err);
	case COMMAND_BULK_DROP:
		return drop(batch, index, err);
	case COMMAND_BULK_STOP:
		return stop(batch, index, err);
	}
	batch_dead_letter(batch, index, STR("not a command of this topic"));
	return true;
}

bool intake_handle(struct batch *batch, struct err *err)
{
	struct rows chunks;

	chunks_init(&chunks, batch);
	for (size_t i = 0; i < batch_size(batch); i++) {
		if (batch_skip(batch, i))
			continue;
		bool is_chunk = batch_command(batch, i)->type == COMMAND_BULK_CHUNK;
		/* in the order of the log: a job is made of pieces that came before it */
		if (!(is_chunk ? add_chunk(&chunks, batch, i, err)
		               : store(&chunks, batch, err) && handle_one(batch, i, err)))
			return false;
	}
	return store(&chunks, batch, err);
}
