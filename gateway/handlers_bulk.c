#include "common/arena.h"
#include "common/buf.h"
#include "common/bulk_job.h"
#include "common/catalog.h"
#include "common/hash.h"
#include "gateway/handlers.h"
#include "gateway/upload.h"

#define PAGE_SIZE 50
#define NAME_CHARACTERS 255
#define SORT_KEYS_MAX 4
/* Rows of results in one piece of the answer. */
#define RESULT_ROWS 2000
#define RESULT_ROWS_TEXT "2000"
#define RESULT_ROW_BYTES 128
/* About what a job takes. */
#define JOB_BYTES 1024

const struct statement bulk_statements[] = {
        {.name = "bulk_job",
                .sql = "SELECT " BULK_JOB_COLUMNS " FROM bulk_jobs j WHERE j.workspace_id = $1::uuid"
                       " AND j.node_id = $2::uuid AND j.id = $3::uuid",
                .n_params = 3},
        {.name = "bulk_rows_after",
                .sql = "SELECT line, status, entity_id, error FROM bulk_rows WHERE workspace_id = $1::uuid"
                       " AND job_id = $2::uuid AND line > $3::bigint ORDER BY line LIMIT " RESULT_ROWS_TEXT,
                .n_params = 3},
};
const size_t bulk_statement_count = ARRAY_LEN(bulk_statements);

/* --- create --------------------------------------------------------------------------------------------------------
 */

bool bulk_job_check(struct request *request)
{
	const struct config_node *node;
	struct err err = {0};

	if (!request_node_access(request, request_path(request, "nodeId"), true, &node))
		return false;
	if (!node->aggregate)
		return true;
	err_set(&err, ERR_INVALID, "An aggregate node takes no bulk jobs");
	err_set_pointer(&err, STR("/nodeId"));
	request_fail_err(request, &err);
	return false;
}

static void check_operation(const struct upload *upload, struct problems *problems)
{
	struct str text = upload_field(upload, "operation");
	enum bulk_operation operation;

	if (!text.n)
		problems_add(problems, STR("/operation"), "The field operation is required");
	else if (!bulk_operation_find(text, &operation))
		problems_add(problems, STR("/operation"), "operation must be UPSERT, INSERT or DELETE");
}

static void check_kind(struct request *request, const struct upload *upload, struct problems *problems)
{
	struct str entity = upload_field(upload, "entity"), type = upload_field(upload, "eventType");
	enum bulk_entity known;

	if (entity.n && !bulk_entity_find(entity, &known))
		problems_add(problems, STR("/entity"), "entity must be CUSTOMER or EVENT");
	if (!type.n)
		return; /* of events: then the file has a column for it, as the bulk processor will see */
	if (!event_type_find(type))
		problems_add(problems, STR("/eventType"), "There is no such event type");
	else if (!config_event_type_enabled(request_workspace(request), type))
		problems_add(problems, STR("/eventType"), "The event type is not enabled");
}

static void check_name(struct str text, struct str path, struct problems *problems)
{
	if (!str_is_utf8(text) || (text.n && memchr(text.p, '\0', text.n)))
		problems_add(problems, path, "The text is not valid UTF-8");
	else if (str_utf8_length(text) > NAME_CHARACTERS)
		problems_add(problems, path, "The text has more than %d characters", NAME_CHARACTERS);
}

static void check_file(const struct upload *upload, struct problems *problems)
{
	if (!upload_has_file(upload))
		problems_add(problems, STR("/file"), "The part file is required");
	else if (!upload_file_bytes(upload))
		problems_add(problems, STR("/file"), "The file is empty");
}

static bool check_form(struct request *request, const struct upload *upload)
{
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));

	problems_init(problems, request_arena(request));
	check_file(upload, problems);
	check_operation(upload, problems);
	check_kind(request, upload, problems);
	check_name(upload_field(upload, "bulkJobName"), STR("/bulkJobName"), problems);
	if (!problems->n)
		return true;
	request_fail_problems(request, STR("The form is not valid"), problems);
	return false;
}

static void set_text(struct arena *arena, struct json *object, const char *name, struct str text)
{
	json_set(object, str_of(name), text.n ? json_new_str(arena, text) : json_new(arena, JSON_NULL));
}

/* Body of BULK_CREATE. */
static struct str describe(struct request *request, const struct upload *upload)
{
	struct arena *arena = request_arena(request);
	struct json *body = json_new(arena, JSON_OBJECT);
	struct str filename = upload_filename(upload), entity = upload_field(upload, "entity");
	struct buf buf;

	set_text(arena, body, "filename", filename.n ? filename : STR("file"));
	set_text(arena, body, "name", upload_field(upload, "bulkJobName"));
	set_text(arena, body, "operation", upload_field(upload, "operation"));
	set_text(arena, body, "entity", entity.n ? entity : str_of(bulk_entity_name(BULK_CUSTOMER)));
	set_text(arena, body, "eventType", upload_field(upload, "eventType"));
	json_set(body, STR("bytes"), json_new_i64(arena, upload_file_bytes(upload)));
	json_set(body, STR("chunks"), json_new_i64(arena, upload_chunks(upload)));
	json_set(body, STR("rows"), json_new_i64(arena, upload_rows(upload)));
	buf_init(&buf, arena, 512);
	json_write(&buf, body);
	return buf_str(&buf);
}

/* Kafka has all of the file. */
static void send_create(struct request *request)
{
	const struct upload *upload = request_upload(request);
	struct command command;

	request_command_init(request, &command, COMMAND_BULK_CREATE);
	command.entity = *upload_job(upload);
	if (!request_path_uuid(request, "nodeId", &command.node)) {
		request_fail(request, ERR_NOT_FOUND, "%s", err_sentence(ERR_NOT_FOUND));
		return;
	}
	/* the body is not in memory: fields and file stand for it */
	if (command.flags & COMMAND_KEYED)
		command.fingerprint =
		        hash_bytes(&command.fingerprint, sizeof(command.fingerprint), upload_hash(upload));
	command.body = describe(request, upload);
	upload_claimed(request);
	request_send_command(request, TOPIC_BULK_JOBS,
	        workspace_partition(&command.workspace, request_partitions(request, TOPIC_BULK_JOBS)), &command, NULL);
}

void bulk_job_create(struct request *request)
{
	if (!upload_is_complete(request_upload(request)))
		request_fail(request, ERR_INVALID, "The form breaks off: its last boundary has not come");
	else if (check_form(request, request_upload(request)))
		upload_finish(request, send_create);
}

/* --- list ----------------------------------------------------------------------------------------------------------
 */

static void write_job(struct buf *buf, const PGresult *result, int row, int first)
{
	struct bulk_job job;

	bulk_job_read(result, row, first, &job);
	bulk_job_render(buf, &job);
}

static void answer_list(struct request *request, const PGresult *result)
{
	struct buf body;

	if (!request_page_begin(request, &body, (size_t)PQntuples(result) * JOB_BYTES))
		return;
	for (int row = 0; row < PQntuples(result); row++) {
		if (db_is_null(result, row, 1))
			continue; /* the page is empty */
		request_page_next(&body);
		write_job(&body, result, row, 1);
	}
	request_page_answer(request, &body, request_state(request), db_i64(result, 0, 0));
}

/* Fields that the list can be ordered by. */
static const struct {
	const char *field, *column;
} sort_columns[] = {
        {"createdAt", "j.created_us"},
        {"updatedAt", "j.updated_us"},
        {"id", "j.id"},
        {"filename", "j.filename COLLATE \"C\""},
        {"bulkJobName", "j.name COLLATE \"C\""},
        {"operation", "j.operation COLLATE \"C\""},
        {"entity", "j.entity COLLATE \"C\""},
        {"eventType", "j.event_type COLLATE \"C\""},
        {"status", "j.status COLLATE \"C\""},
        {"processedEntities", "j.processed"},
        {"failedEntities", "j.failed"},
        {"totalEntities", BULK_JOB_TOTAL},
};

static const char *sort_column(struct str field)
{
	for (size_t i = 0; i < ARRAY_LEN(sort_columns); i++) {
		if (str_is(field, sort_columns[i].field))
			return sort_columns[i].column;
	}
	return NULL;
}

/* "field" or "field,asc" or "field,desc" becomes "column [DESC] NULLS LAST, ". */
static bool add_order(struct buf *order, struct str text)
{
	struct str rest = text, field = STR_NONE, direction = STR_NONE;
	const char *column;

	if (!str_split(&rest, ',', &field) || !(column = sort_column(field)))
		return false;
	if (rest.p)
		str_split(&rest, ',', &direction);
	bool descending = direction.p && str_eq_nocase(direction, STR("desc"));
	if (rest.p || (direction.p && !descending && !str_eq_nocase(direction, STR("asc"))))
		return false;
	buf_printf(order, "%s %s NULLS LAST, ", column, descending ? "DESC" : "ASC");
	return true;
}

static bool read_order(struct request *request, struct buf *order)
{
	struct str text;

	for (size_t n = 0; (text = request_param_at(request, "sort", n)).p; n++) {
		if (text.n && (n >= SORT_KEYS_MAX || !add_order(order, text)))
			return request_fail_param(request, "sort", "is not valid");
	}
	buf_add_literal(order, "j.created_us DESC, j.id");
	return true;
}

/* An empty parameter counts as not sent. */
static bool add_filters(struct request *request, struct db_params *params)
{
	struct str status = request_param(request, "status"), entity = request_param(request, "entity");
	enum bulk_status known_status;
	enum bulk_entity known_entity;

	if (status.n && !bulk_status_find(status, &known_status))
		return request_fail_param(request, "status", "has an unknown value");
	if (entity.n && !bulk_entity_find(entity, &known_entity))
		return request_fail_param(request, "entity", "has an unknown value");
	db_param_text(params, status.n ? status : STR_NONE);
	db_param_text(params, entity.n ? entity : STR_NONE);
	return true;
}

/* The left join gives one row with the total when the page is empty. */
static struct str list_sql(struct arena *arena, struct str order)
{
	static const char from[] = " FROM bulk_jobs j WHERE j.workspace_id = $1::uuid AND j.node_id = $2::uuid"
	                           " AND ($3::text IS NULL OR j.status = $3) AND ($4::text IS NULL OR j.entity = $4)";
	struct buf sql;

	buf_init(&sql, arena, 2048);
	buf_printf(&sql,
	        "SELECT t.n, p.* FROM (SELECT count(*) AS n%s) t LEFT JOIN (SELECT " BULK_JOB_COLUMNS
	        ", row_number() OVER (ORDER BY %.*s) AS place%s ORDER BY %.*s LIMIT $5::bigint OFFSET $6::bigint) p"
	        " ON true ORDER BY p.place",
	        from, STR_ARG(order), from, STR_ARG(order));
	buf_add_char(&sql, '\0');
	return buf_str(&sql);
}

void bulk_job_list(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct page *page = arena_zalloc(arena, sizeof(*page));
	const struct config_node *node;
	struct buf order;

	buf_init(&order, arena, 256);
	request_set_state(request, page);
	if (!request_node_access(request, request_path(request, "nodeId"), false, &node))
		return;
	struct db_params *params = request_params_of(request, &node->id);
	if (!add_filters(request, params) || !request_page(request, PAGE_SIZE, PAGE_SIZE, page) ||
	        !read_order(request, &order))
		return;
	db_param_i64(params, page->size);
	db_param_i64(params, page->number * page->size);
	request_query(request, NULL, list_sql(arena, buf_str(&order)).p, params, answer_list);
}

/* --- get -----------------------------------------------------------------------------------------------------------
 */

static void job_not_found(struct request *request)
{
	request_fail_not_found(request, STR("bulk job"), request_path(request, "jobId"));
}

static void find_job(struct request *request, request_result_fn *then)
{
	const struct config_node *node;
	struct uuid id;

	if (!request_node_access(request, request_path(request, "nodeId"), false, &node))
		return;
	if (!request_path_uuid(request, "jobId", &id)) {
		job_not_found(request);
		return;
	}
	struct db_params *params = request_params_of(request, &node->id);
	db_param_uuid(params, &id);
	request_query(request, "bulk_job", NULL, params, then);
}

static void answer_job(struct request *request, const PGresult *result)
{
	struct buf body;

	if (!PQntuples(result)) {
		job_not_found(request);
		return;
	}
	buf_init(&body, request_arena(request), JOB_BYTES);
	write_job(&body, result, 0, 0);
	request_answer(request, 200, buf_str(&body));
}

void bulk_job_get(struct request *request)
{
	find_job(request, answer_job);
}

/* --- results -------------------------------------------------------------------------------------------------------
 */

/* The rows are read piece by piece, each when the client has taken the one before. */
struct results {
	struct uuid job;
	int64_t last_line;
	struct db_params params;
	struct buf piece; /* used again for each */
	bool ended;
};

#define RESULTS_HEADER "row,status,id,error\r\n"

/* RFC 4180. */
static void add_cell(struct buf *buf, struct str text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.n && !quoted; i++)
		quoted = text.p[i] == '"' || text.p[i] == ',' || text.p[i] == '\r' || text.p[i] == '\n';
	if (!quoted) {
		buf_add_str(buf, text);
		return;
	}
	buf_add_char(buf, '"');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"')
			buf_add_char(buf, '"');
		buf_add_char(buf, text.p[i]);
	}
	buf_add_char(buf, '"');
}

static void add_rows(struct results *results, const PGresult *result)
{
	struct buf *piece = &results->piece;
	int n = PQntuples(result);

	piece->n = 0;
	for (int row = 0; row < n; row++) {
		results->last_line = db_i64(result, row, 0);
		buf_printf(piece, "%lld", (long long)results->last_line);
		for (int column = 1; column <= 3; column++) {
			buf_add_char(piece, ',');
			add_cell(piece, db_text(result, row, column));
		}
		buf_add_literal(piece, "\r\n");
	}
	results->ended = n < RESULT_ROWS;
}

static void take_rows(struct request *request, const PGresult *result)
{
	struct results *results = request_state(request);

	add_rows(results, result);
	request_stream_piece(request, buf_str(&results->piece));
}

static void next_rows(struct request *request)
{
	struct results *results = request_state(request);

	if (results->ended) {
		request_stream_piece(request, STR_NONE);
		return;
	}
	db_params_init(&results->params, request_arena(request));
	db_param_uuid(&results->params, config_workspace_id(request_workspace(request)));
	db_param_uuid(&results->params, &results->job);
	db_param_i64(&results->params, results->last_line);
	request_stream_query(request, "bulk_rows_after", &results->params, take_rows);
}

static void begin_results(struct request *request, const PGresult *result)
{
	struct results *results = arena_zalloc(request_arena(request), sizeof(*results));
	struct bulk_job job;

	if (!PQntuples(result)) {
		job_not_found(request);
		return;
	}
	bulk_job_read(result, 0, 0, &job);
	if (!bulk_status_has_results(job.status)) {
		request_fail(request, ERR_CONFLICT, "The job is %.*s: there are results of PROCESSED and FAILED jobs",
		        STR_ARG(job.status));
		return;
	}
	results->job = job.id;
	buf_init(&results->piece, request_arena(request), RESULT_ROWS * RESULT_ROW_BYTES);
	request_set_state(request, results);
	request_answer_stream(request, "text/csv; charset=utf-8", "attachment; filename=\"results.csv\"",
	        STR(RESULTS_HEADER), next_rows);
}

void bulk_job_results(struct request *request)
{
	find_job(request, begin_results);
}
