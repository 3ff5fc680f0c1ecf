#include "workers/bulk_processor/job.h"

#include "common/arena.h"
#include "common/config_doc.h"
#include "common/log.h"
#include "common/worker.h"

#include <stdlib.h>

/* Holds a row as large as they come, with a piece of the file behind it. */
#define BUFFER_BYTES (CSV_ROW_BYTES + 2 * BULK_CHUNK_BYTES)
/* Room for compiled schemas, and for the documents that they are made from: their text, and what is read of it. */
#define SCHEMA_BYTES ((size_t)256 * 1024 * 1024)
#define BYTES_PER_TEXT_BYTE (JSON_BYTES_PER_TEXT_BYTE + 8)
#define HEADER_BYTES (4 * CSV_ROW_BYTES)
#define DEFAULT_EVENT_BYTES 65535
/* Rows from the oldest one on its way on: those of one partition may come back while another's wait. */
#define WINDOWS_REMEMBERED 4

static void *allocate(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		log_die("memory", "out of memory");
	return memory;
}

struct job *job_new(const struct uuid *workspace, const struct uuid *id)
{
	struct job *job = allocate(1, sizeof(*job));

	job->workspace = *workspace;
	job->id = *id;
	return job;
}

void job_free(struct job *job)
{
	if (job->arena)
		arena_free(job->arena);
	if (job->header_arena)
		arena_free(job->header_arena);
	free(job->buffer);
	free(job->done_lines);
	free(job->flights);
	free(job);
}

struct db_params job_params(const struct job *job, struct arena *arena)
{
	struct db_params params;

	db_params_init(&params, arena);
	db_param_uuid(&params, &job->workspace);
	db_param_uuid(&params, &job->id);
	return params;
}

/* --- flights --- */

struct flight *job_flight(struct job *job, size_t index)
{
	return &job->flights[(job->first_flight + index) % job->max_flights];
}

/* Lines follow each other without a gap. */
struct flight *job_find_flight(struct job *job, int64_t line)
{
	if (!job->n_flights)
		return NULL;
	int64_t index = line - job_flight(job, 0)->line;
	return index >= 0 && index < (int64_t)job->n_flights ? job_flight(job, (size_t)index) : NULL;
}

void job_add_flight(struct job *job, const struct flight *flight)
{
	*job_flight(job, job->n_flights++) = *flight;
	job->n_open += !flight->done;
}

void job_land(struct job *job, struct flight *flight)
{
	flight->done = true;
	job->n_open--;
}

void job_clear_flights(struct job *job)
{
	while (job->n_flights && job_flight(job, 0)->done) {
		job->first_flight = (job->first_flight + 1) % job->max_flights;
		job->n_flights--;
	}
}

/* --- configuration --- */

static void read_event_type(struct row_rules *rules, struct str id, const struct json *doc)
{
	const struct event_type *type = event_type_find(id);

	if (type)
		rules->event_disabled[type - event_types] = json_is(json_member(doc, "enabled"), JSON_FALSE);
}

static void read_payload_size(struct row_rules *rules, const struct json *doc)
{
	for
		json_each(member, doc)
		{
			const struct event_type *type = event_type_find(member->key);
			if (type)
				json_to_i64(json_member(member, "maxBytes"), &rules->event_bytes[type - event_types]);
		}
}

/* The documents of kind "extended", by their ids. */
static const struct json *find_extended(const void *context, struct str set)
{
	return json_get(context, set);
}

/* One document of the workspace. Lists and maps that outlive this live in the job's arena, like doc. */
static void read_document(struct job *job, struct str kind, struct str id, const struct json *doc,
        struct schema_declarations *declarations, struct json *extended)
{
	const struct json *list = json_member(doc, "disabled");
	int64_t partition = 0;

	if (str_is(kind, CONFIG_WORKSPACE)) {
		json_to_i64(json_member(doc, "partition"), &partition);
		job->rules.workspace_partition = (uint32_t)partition;
	} else if (str_is(kind, CONFIG_NODE)) {
		job->rules.policy = customer_policy_read(job->arena, doc);
	} else if (str_is(kind, CONFIG_EXTENDED)) {
		json_set(extended, arena_str(job->arena, id), (struct json *)doc);
	} else if (str_is(kind, CONFIG_EVENT_TYPE)) {
		read_event_type(&job->rules, id, doc);
	} else if (str_is(kind, CONFIG_PAYLOAD_SIZE)) {
		read_payload_size(&job->rules, doc);
	} else if (str_is(kind, CONFIG_BASE_PROPERTIES)) {
		declarations->disabled_base = list && list->count ? list : NULL;
	}
}

static bool read_documents(struct job *job, const PGresult *rows, struct err *err)
{
	struct json *extended = json_new(job->arena, JSON_OBJECT);
	struct schema_declarations declarations = {.extended = find_extended, .context = extended};

	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
		job->rules.event_bytes[i] = DEFAULT_EVENT_BYTES;
		job->rules.event_disabled[i] = false;
	}
	for (int row = 0; row < PQntuples(rows); row++) {
		const struct json *doc = json_parse(job->arena, arena_str(job->arena, db_text(rows, row, 2)), err);
		if (!doc)
			return false;
		read_document(job, db_text(rows, row, 0), db_text(rows, row, 1), doc, &declarations, extended);
	}
	job->rules.schemas = schema_set_new(job->arena, &declarations);
	job->rules.tracking =
	        schema_compile(job->arena, catalog_resolve(STR("common.json#/definitions/Tracking")), NULL, NULL, err);
	return job->rules.tracking != NULL;
}

void job_fail(struct job *job, const char *words)
{
	if (!job->failure.p)
		job->failure = arena_str(job->header_arena, str_of(words));
}

/* The header again, with the columns' types by the present configuration. */
static void read_header(struct job *job)
{
	struct err err = {0};
	struct csv_row row;

	if (!job->header.p)
		return;
	csv_next(job->arena, job->header, true, true, &row);
	/* first: a file in UTF-16 has faults of all kinds */
	if (!str_is_utf8(job->header) || memchr(job->header.p, '\0', job->header.n))
		job_fail(job, "the header is not UTF-8 text");
	else if (row.fault)
		job_fail(job, arena_printf(job->arena, "the header cannot be read: %s", row.fault));
	else if (!columns_read(
	                 job->arena, job->rules.schemas, job->entity, job->event_type, &row, &job->rules.columns, &err))
		job_fail(job, err.message);
	else if (job->entity == BULK_EVENT && job->operation != BULK_DELETE && !job->event_type &&
	         !job->rules.columns.has_type)
		job_fail(job, "nobody says the type of the events: the form's eventType or a column type");
}

/* The old rules end with their arena. */
static void begin_rules(struct job *job, const PGresult *rows)
{
	arena_free(job->arena);
	job->arena = arena_new(
	        SCHEMA_BYTES + (size_t)PQntuples(rows) * 4096 + BYTES_PER_TEXT_BYTE * db_column_bytes(rows, 2));
}

static bool compile(struct job *job, struct batch *batch, struct err *err)
{
	struct db_params params;
	char node[UUID_TEXT_BYTES + 1];

	uuid_format(&job->node, node);
	db_params_init(&params, batch_arena(batch));
	db_param_uuid(&params, &job->workspace);
	db_param_text(&params, str_of(node));
	PGresult *rows = db_ask(batch_db(batch), "bulk_configuration", &params, err);
	if (!rows)
		return false;
	begin_rules(job, rows);
	job->rules.job = job->id;
	job->rules.workspace = job->workspace;
	job->rules.node = job->node;
	job->rules.source = job->source;
	job->rules.user = job->user;
	job->rules.operation = job->operation;
	job->rules.entity = job->entity;
	job->rules.event_type = job->event_type;
	bool good = read_documents(job, rows, err);
	PQclear(rows);
	if (good)
		read_header(job);
	return good;
}

bool job_refresh(struct job *job, struct batch *batch, int64_t head_seq, struct err *err)
{
	struct db_params params;

	if (job->configuration_seq == head_seq)
		return true;
	db_params_init(&params, batch_arena(batch));
	db_param_uuid(&params, &job->workspace);
	PGresult *row = db_ask(batch_db(batch), "bulk_configuration_seq", &params, err);
	if (!row)
		return false;
	int64_t seq = db_i64(row, 0, 0);
	PQclear(row);
	if (seq != job->workspace_seq && !compile(job, batch, err))
		return false;
	job->configuration_seq = head_seq;
	job->workspace_seq = seq;
	return true;
}

/* --- the file --- */

/* Adds the bytes of a piece from `from` (counted from 0) on to the buffer. */
static bool read_chunk(struct job *job, struct batch *batch, int64_t chunk, int64_t from, struct err *err)
{
	struct db_params params = job_params(job, batch_arena(batch));

	db_param_i32(&params, (int32_t)chunk);
	db_param_i32(&params, (int32_t)from + 1);
	PGresult *row = db_ask(batch_db(batch), "bulk_chunk", &params, err);
	if (!row)
		return false;
	struct str bytes = PQntuples(row) ? db_text(row, 0, 0) : STR_NONE;
	bool good = bytes.n && bytes.n <= BUFFER_BYTES - job->n_buffer;
	if (good) {
		memcpy(job->buffer + job->n_buffer, bytes.p, bytes.n);
		job->n_buffer += bytes.n;
	}
	PQclear(row);
	return good || err_set(err, ERR_INTERNAL, "a piece of a bulk job's file is missing");
}

bool job_fill(struct job *job, struct batch *batch, struct err *err)
{
	job->n_buffer -= job->used;
	memmove(job->buffer, job->buffer + job->used, job->n_buffer);
	job->used = 0;
	for (;;) {
		int64_t end = job->at + (int64_t)job->n_buffer;
		job->at_end = end >= job->bytes;
		if (job->at_end || job->n_buffer > CSV_ROW_BYTES)
			return true;
		if (!read_chunk(job, batch, end / BULK_CHUNK_BYTES, end % BULK_CHUNK_BYTES, err))
			return false;
	}
}

static const char *header_fault(const struct job *job, enum csv_status status, const struct csv_row *row)
{
	if (status == CSV_END)
		return "the file has no header";
	return arena_printf(
	        job->header_arena, "the header cannot be read: %s", row->fault ? row->fault : "it has no end");
}

/* Reads the first row, which must lie in the first piece (the others may be gone), and keeps its bytes; the buffer
   stands behind it afterwards. */
static bool load_header(struct job *job, struct batch *batch, struct err *err)
{
	struct csv_row row;

	if (!read_chunk(job, batch, 0, 0, err))
		return false;
	enum csv_status status = csv_next(batch_arena(batch), (struct str){job->buffer, job->n_buffer}, true,
	        (int64_t)job->n_buffer == job->bytes, &row);
	if (status != CSV_ROW) {
		job_fail(job, header_fault(job, status, &row));
		return true;
	}
	job->header = arena_str(job->header_arena, (struct str){job->buffer, row.n_bytes});
	job->used = row.n_bytes;
	job->at = (int64_t)row.n_bytes;
	return true;
}

/* --- loading --- */

static void read_row(struct job *job, const PGresult *row)
{
	size_t names = 0;

	job->node = db_uuid(row, 0, 0);
	names += bulk_status_find(db_text(row, 0, 1), &job->status);
	names += bulk_operation_find(db_text(row, 0, 2), &job->operation);
	names += bulk_entity_find(db_text(row, 0, 3), &job->entity);
	if (names != 3)
		log_die("bulk-jobs", "a job's row holds a name that nobody knows");
	job->event_type = db_is_null(row, 0, 4) ? NULL : event_type_find(db_text(row, 0, 4));
	if (!db_is_null(row, 0, 5))
		job->source = db_uuid(row, 0, 5);
	job->user = db_is_null(row, 0, 6) ? 0 : db_i64(row, 0, 6);
	job->bytes = db_i64(row, 0, 7);
	job->total = db_i64(row, 0, 8);
	job->next_byte = db_i64(row, 0, 9);
	job->done_byte = db_i64(row, 0, 10);
	job->done_line = db_i64(row, 0, 11);
	job->epoch = db_i64(row, 0, 12);
}

/* Of the rows that were read before, those that have an outcome. */
static bool load_done_lines(struct job *job, struct batch *batch, struct err *err)
{
	struct db_params params = job_params(job, batch_arena(batch));
	int64_t n = job->total - job->done_line;

	if (n <= 0)
		return true;
	job->done_lines = allocate((size_t)n, sizeof(bool));
	job->first_done_line = job->done_line + 1;
	db_param_i64(&params, job->done_line);
	PGresult *rows = db_ask(batch_db(batch), "bulk_done_lines", &params, err);
	for (int row = 0; rows && row < PQntuples(rows); row++) {
		int64_t index = db_i64(rows, row, 0) - job->done_line - 1;
		if (index < n)
			job->done_lines[index] = true;
	}
	PQclear(rows);
	return rows != NULL;
}

/* Where reading goes on: at the first row whose outcome is not known. */
static void go_to_first_row(struct job *job)
{
	job->line = job->done_line;
	if (!job->done_byte) {
		job->done_byte = job->at; /* never begun: behind the header */
		return;
	}
	if (job->done_byte != job->at) {
		job->at = job->done_byte;
		job->used = job->n_buffer = 0;
	}
}

bool job_load(struct job *job, struct batch *batch, const struct processor_options *options, struct err *err)
{
	int64_t most = options->window * WINDOWS_REMEMBERED;
	struct db_params params = job_params(job, batch_arena(batch));
	PGresult *row = db_ask(batch_db(batch), "bulk_take_up", &params, err);

	if (!row)
		return false;
	bool found = PQntuples(row) == 1;
	if (found)
		read_row(job, row);
	PQclear(row);
	if (!found)
		return err_set(err, ERR_DATABASE, "a bulk job has gone");
	job->rules.event_partitions = options->event_partitions;
	job->rules.hash_passwords = options->hash_passwords;
	job->max_flights = (size_t)(job->total - job->done_line > most ? job->total - job->done_line : most);
	job->flights = allocate(job->max_flights, sizeof(*job->flights));
	job->buffer = allocate(1, BUFFER_BYTES);
	job->header_arena = arena_new(HEADER_BYTES);
	job->configuration_seq = job->workspace_seq = -1;
	if (!load_header(job, batch, err) || !compile(job, batch, err) || !load_done_lines(job, batch, err))
		return false;
	go_to_first_row(job);
	job->loaded = true;
	return true;
}
