#include "common/bulk_job.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"

static const char *const status_names[BULK_STATUSES] = {
        [BULK_LOADED] = "LOADED",
        [BULK_SCHEDULED] = "SCHEDULED",
        [BULK_PROCESSING] = "PROCESSING",
        [BULK_STOPPED] = "STOPPED",
        [BULK_PROCESSED] = "PROCESSED",
        [BULK_FAILED] = "FAILED",
};
static const char *const operation_names[BULK_OPERATIONS] = {
        [BULK_UPSERT] = "UPSERT", [BULK_INSERT] = "INSERT", [BULK_DELETE] = "DELETE"};
static const char *const entity_names[BULK_ENTITIES] = {[BULK_CUSTOMER] = "CUSTOMER", [BULK_EVENT] = "EVENT"};

static const char *const row_status_names[BULK_ROW_STATUSES] = {
        [BULK_ROW_CREATED] = "CREATED",
        [BULK_ROW_UPDATED] = "UPDATED",
        [BULK_ROW_DELETED] = "DELETED",
        [BULK_ROW_UNCHANGED] = "UNCHANGED",
        [BULK_ROW_FAILED] = "FAILED",
};
/* Faults of one row that its result names. */
#define ERRORS_TOLD 5

const char *bulk_status_name(enum bulk_status status)
{
	return status_names[status];
}

const char *bulk_operation_name(enum bulk_operation operation)
{
	return operation_names[operation];
}

const char *bulk_entity_name(enum bulk_entity entity)
{
	return entity_names[entity];
}

static bool find(const char *const *names, size_t n, struct str name, size_t *ret_index)
{
	for (size_t i = 0; i < n; i++) {
		if (str_is(name, names[i])) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

bool bulk_status_find(struct str name, enum bulk_status *ret_status)
{
	size_t i;

	if (!find(status_names, BULK_STATUSES, name, &i))
		return false;
	*ret_status = (enum bulk_status)i;
	return true;
}

bool bulk_operation_find(struct str name, enum bulk_operation *ret_operation)
{
	size_t i;

	if (!find(operation_names, BULK_OPERATIONS, name, &i))
		return false;
	*ret_operation = (enum bulk_operation)i;
	return true;
}

bool bulk_entity_find(struct str name, enum bulk_entity *ret_entity)
{
	size_t i;

	if (!find(entity_names, BULK_ENTITIES, name, &i))
		return false;
	*ret_entity = (enum bulk_entity)i;
	return true;
}

bool bulk_status_is_final(struct str name)
{
	enum bulk_status status;

	return bulk_status_find(name, &status) &&
	       (status == BULK_STOPPED || status == BULK_PROCESSED || status == BULK_FAILED);
}

bool bulk_status_has_results(struct str name)
{
	enum bulk_status status;

	return bulk_status_find(name, &status) && (status == BULK_PROCESSED || status == BULK_FAILED);
}

void bulk_job_read(const PGresult *result, int row, int first, struct bulk_job *ret_job)
{
	*ret_job = (struct bulk_job){
	        .workspace = db_uuid(result, row, first),
	        .id = db_uuid(result, row, first + 1),
	        .node = db_uuid(result, row, first + 2),
	        .status = db_text(result, row, first + 3),
	        .operation = db_text(result, row, first + 4),
	        .entity = db_text(result, row, first + 5),
	        .event_type = db_text(result, row, first + 6),
	        .filename = db_text(result, row, first + 7),
	        .name = db_text(result, row, first + 8),
	        .error_message = db_text(result, row, first + 9),
	        .created_us = db_i64(result, row, first + 10),
	        .updated_us = db_i64(result, row, first + 11),
	        .total = db_i64(result, row, first + 12),
	        .processed = db_i64(result, row, first + 13),
	        .failed = db_i64(result, row, first + 14),
	};
}

static void add_text(struct buf *buf, const char *member, struct str value)
{
	buf_printf(buf, "\"%s\":", member);
	if (value.p)
		json_write_string(buf, value);
	else
		buf_add_literal(buf, "null");
	buf_add_char(buf, ',');
}

static void add_id(struct buf *buf, const char *member, const struct uuid *id)
{
	char text[UUID_TEXT_BYTES + 1];

	uuid_format(id, text);
	add_text(buf, member, str_of(text));
}

static void add_time(struct buf *buf, const char *member, int64_t time_us)
{
	char text[TIME_TEXT_BYTES + 1];

	time_format(time_us, text);
	add_text(buf, member, str_of(text));
}

void bulk_job_render(struct buf *buf, const struct bulk_job *job)
{
	buf_add_char(buf, '{');
	add_id(buf, "id", &job->id);
	add_text(buf, "filename", job->filename);
	add_text(buf, "operation", job->operation);
	add_id(buf, "workspaceId", &job->workspace);
	add_id(buf, "nodeId", &job->node);
	add_text(buf, "entity", job->entity);
	add_text(buf, "eventType", job->event_type);
	add_text(buf, "bulkJobName", job->name);
	add_text(buf, "status", job->status);
	add_text(buf, "errorMessage", job->error_message);
	add_time(buf, "createdAt", job->created_us);
	add_time(buf, "updatedAt", job->updated_us);
	buf_printf(buf, "\"processedEntities\":%lld,\"failedEntities\":%lld,\"totalEntities\":%lld}",
	        (long long)job->processed, (long long)job->failed, (long long)job->total);
}

const char *bulk_row_status_name(enum bulk_row_status status)
{
	return row_status_names[status];
}

struct str bulk_outcome_write(struct arena *arena, enum bulk_row_status status, const struct uuid *id)
{
	char text[UUID_TEXT_BYTES + 1];

	uuid_format(id, text);
	return str_of(arena_printf(arena, "{\"status\":\"%s\",\"id\":\"%s\"}", row_status_names[status], text));
}

/* "message; pointer: message; ..." */
static struct str read_error(struct arena *arena, const struct json *body)
{
	const struct json *errors = json_member(body, "errors");
	struct str message = json_text(json_member(body, "message"));
	struct buf words;
	int n = 0;

	buf_init(&words, arena, 256);
	buf_add_str(&words, message.n ? message : STR("the row was refused"));
	for (const struct json *error = json_is(errors, JSON_ARRAY) ? errors->first : NULL; error && n < ERRORS_TOLD;
	        error = error->next, n++) {
		struct str path = json_text(json_member(error, "path"));
		buf_add_literal(&words, "; ");
		buf_add_str(&words, path);
		if (path.n)
			buf_add_literal(&words, ": ");
		buf_add_str(&words, json_text(json_member(error, "message")));
	}
	return buf_str(&words);
}

struct bulk_outcome bulk_outcome_read(struct arena *arena, unsigned http_status, struct str body)
{
	struct err ignored;
	const struct json *value = json_parse(arena, body, &ignored);
	size_t status;

	if (http_status >= 400)
		return (struct bulk_outcome){.status = BULK_ROW_FAILED, .error = read_error(arena, value)};
	if (!find(row_status_names, BULK_ROW_STATUSES, json_text(json_member(value, "status")), &status))
		return (struct bulk_outcome){
		        .status = BULK_ROW_FAILED, .error = STR("the outcome of the row cannot be read")};
	return (struct bulk_outcome){.status = (enum bulk_row_status)status, .id = json_text(json_member(value, "id"))};
}
