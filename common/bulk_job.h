#ifndef COMMON_BULK_JOB_H
#define COMMON_BULK_JOB_H

#include "common/db.h"
#include "common/str.h"
#include "common/uuid.h"

struct arena;
struct buf;

/* Bulk jobs as the gateway and the bulk processor agree on them. Names are the API's. */
enum bulk_status { BULK_LOADED, BULK_SCHEDULED, BULK_PROCESSING, BULK_STOPPED, BULK_PROCESSED, BULK_FAILED };
enum bulk_operation { BULK_UPSERT, BULK_INSERT, BULK_DELETE };
enum bulk_entity { BULK_CUSTOMER, BULK_EVENT };
#define BULK_STATUSES 6
#define BULK_OPERATIONS 3
#define BULK_ENTITIES 2

const char *bulk_status_name(enum bulk_status status);
const char *bulk_operation_name(enum bulk_operation operation);
const char *bulk_entity_name(enum bulk_entity entity);
/* False when it is no such name; case counts. */
bool bulk_status_find(struct str name, enum bulk_status *ret_status);
bool bulk_operation_find(struct str name, enum bulk_operation *ret_operation);
bool bulk_entity_find(struct str name, enum bulk_entity *ret_entity);
/* Nothing more will happen to the job. */
bool bulk_status_is_final(struct str name);
/* Its results can be read: PROCESSED and FAILED, as the API document has it; not those of a job that was stopped. */
bool bulk_status_has_results(struct str name);

/* What became of a row: kept in bulk_rows, and told by the workers that apply COMMAND_BULK commands. */
enum bulk_row_status { BULK_ROW_CREATED, BULK_ROW_UPDATED, BULK_ROW_DELETED, BULK_ROW_UNCHANGED, BULK_ROW_FAILED };
#define BULK_ROW_STATUSES 5
const char *bulk_row_status_name(enum bulk_row_status status);

struct bulk_outcome {
	enum bulk_row_status status;
	struct str id;    /* of the entity, or absent */
	struct str error; /* FAILED: why */
};

/* Body of the outcome of a COMMAND_BULK command that was applied: {"status", "id"}. */
struct str bulk_outcome_write(struct arena *arena, enum bulk_row_status status, const struct uuid *id);
/* Reads it, or the error body of a command that was refused (http_status 400 and above): its message and the first
   entries of its errors. */
struct bulk_outcome bulk_outcome_read(struct arena *arena, unsigned http_status, struct str body);

/* The largest file (1 GiB), and how much of it a BULK_CHUNK carries at most. */
#define BULK_MAX_FILE_BYTES (INT64_C(1) << 30)
#define BULK_CHUNK_BYTES (256 * 1024)
/* LOADED jobs of one node. */
#define BULK_MAX_LOADED 10

/* A row of bulk_jobs, as far as the API shows it. Texts point into where it was read from. */
struct bulk_job {
	struct uuid workspace, id, node;
	struct str status, operation, entity;                 /* names as above */
	struct str event_type, filename, name, error_message; /* absent = null; filename is always there */
	int64_t created_us, updated_us;
	int64_t total, processed, failed; /* rows: of the file, with an outcome, of them those that failed */
};

/* Rows of the file: as counted while it was uploaded, until its end has been read. Of a job without such a count: read
   so far. */
#define BULK_JOB_TOTAL "GREATEST(j.total, CASE WHEN j.status <> 'PROCESSED' THEN j.file_rows ELSE 0 END)"

/* Columns that bulk_job_read expects, from a bulk_jobs table called j. */
#define BULK_JOB_COLUMNS                                                                                               \
	"j.workspace_id, j.id, j.node_id, j.status, j.operation, j.entity, j.event_type, j.filename, j.name, "         \
	"j.error_message, j.created_us, j.updated_us, " BULK_JOB_TOTAL ", j.processed, j.failed"

/* Reads a row of a binary result whose column `first` is the first of BULK_JOB_COLUMNS. */
void bulk_job_read(const PGresult *result, int row, int first, struct bulk_job *ret_job);

/* The job as the API shows it. */
void bulk_job_render(struct buf *buf, const struct bulk_job *job);

#endif
