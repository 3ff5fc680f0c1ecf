#ifndef COMMON_DB_H
#define COMMON_DB_H

#include "common/err.h"
#include "common/settings.h"
#include "common/uuid.h"

#include <libpq-fe.h>
#include <sys/types.h>

struct arena;

/*
 * PostgreSQL for workers and tools: one connection in pipeline mode, statements prepared by name from a table,
 * parameters and results in binary. (The gateway's asynchronous pool is gateway/pgpool.h; it shares statements and
 * codecs.)
 */
struct statement {
	const char *name;
	const char *sql; /* parameters $1.. carry casts where PostgreSQL cannot infer their type */
	int n_params;
	bool by_key; /* one row by its key, some microseconds: the gateway sends many of them as one */
	bool scans;  /* may read very many rows: the gateway keeps it from what others wait for */
};

/* Parameters of one execution, filled with db_param_*; binary. Lives in an arena. */
#define DB_MAX_PARAMS 32
struct db_params {
	struct arena *arena;
	int n;
	const char *values[DB_MAX_PARAMS];
	int lengths[DB_MAX_PARAMS];
	int formats[DB_MAX_PARAMS];
};

void db_params_init(struct db_params *params, struct arena *arena);
void db_param_null(struct db_params *params);
void db_param_uuid(struct db_params *params, const struct uuid *value); /* NULL = SQL null */
void db_param_i64(struct db_params *params, int64_t value);
void db_param_i32(struct db_params *params, int32_t value);
void db_param_bool(struct db_params *params, bool value);
void db_param_text(struct db_params *params, struct str value);  /* absent = SQL null; also for json (text form) */
void db_param_jsonb(struct db_params *params, struct str value); /* absent = SQL null */

/* One-dimensional binary arrays, for unnest and = ANY. Start one, add each element, and it is a parameter. */
enum db_element { DB_UUID, DB_I64, DB_I32, DB_I16, DB_BOOL, DB_TEXT, DB_JSON, DB_JSONB, DB_BYTEA };
struct db_array {
	struct arena *arena;
	enum db_element type;
	int n;
	struct buf *bytes;
};
void db_array_init(struct db_array *array, struct arena *arena, enum db_element type);
void db_array_null(struct db_array *array);
void db_array_uuid(struct db_array *array, const struct uuid *value); /* NULL = SQL null */
void db_array_i64(struct db_array *array, int64_t value);             /* also I32, I16, BOOL by the array's type */
void db_array_text(struct db_array *array, struct str value);         /* TEXT, JSON, JSONB, BYTEA; absent = SQL null */
void db_param_array(struct db_params *params, struct db_array *array);

/* Values of a binary result; row and column must exist. Text points into the result. */
bool db_is_null(const PGresult *result, int row, int column);
struct uuid db_uuid(const PGresult *result, int row, int column);
int64_t db_i64(const PGresult *result, int row, int column);     /* int2, int4, int8 and bool columns */
struct str db_text(const PGresult *result, int row, int column); /* text, json, bytea; SQL null = absent */
/* Of all rows together. */
size_t db_column_bytes(const PGresult *result, int column);

/* A connection. */
struct db;

/* ERR_INVALID, in words of ours: libpq's may quote the password. */
bool db_uri_check(const char *uri, struct err *err) must_check;

/* Connects (search_path = settings->pg_schema). NULL with ERR_DATABASE when it cannot, ERR_INVALID when it never will.
 */
struct db *db_open(const struct settings *settings, const char *application_name, struct err *err) must_check;
bool db_prepare(struct db *db, const struct statement *statements, size_t n, struct err *err) must_check;
void db_close(struct db *db);
/* The server's process for this connection where that runs on this machine; 0 = it does not, or nobody knows. */
pid_t db_local_backend(const struct db *db);

/*
 * Pipeline: queue any number of executions, then fetch their results in order with db_result after db_flush. A failed
 * one fails all that follow up to the end of the transaction (see db_rollback).
 */
bool db_send(struct db *db, const char *statement, const struct db_params *params, struct err *err) must_check;
/* db_send for a statement whose result nobody reads: it is checked by whoever reads next, db_settle at the latest.
   Another number of affected rows than `rows` (-1: any) fails with code_otherwise. */
bool db_send_expect(struct db *db, const char *statement, const struct db_params *params, int64_t rows,
        enum err_code code_otherwise, struct err *err) must_check;
bool db_flush(struct db *db, struct err *err) must_check;
/* The next result; the caller frees it (PQclear). NULL with the code made from the SQLSTATE: 08 40 53 57P =
   ERR_DATABASE (try again), 22 23 = ERR_INVALID (the record's fault), all else ERR_INTERNAL. */
PGresult *db_result(struct db *db, struct err *err) must_check;
/* db_result for statements without rows. */
bool db_done(struct db *db, struct err *err) must_check;
/* Flushes, and reads and checks all that is pending. A wrong number of rows is no error for PostgreSQL: whoever commits
   must have settled before. */
bool db_settle(struct db *db, struct err *err) must_check;
/* Queues COMMIT and a sync, and reads everything still pending. */
bool db_commit(struct db *db, struct err *err) must_check;
/* db_send + flush + db_result, inside a transaction; what was queued before is sent, too. The caller frees the result.
 */
PGresult *db_ask(struct db *db, const char *statement, const struct db_params *params, struct err *err) must_check;
/* db_ask for documents that are large together: each row comes as a result of its own, so that no more than one is
   held. take says false to be asked no more: what is left is read and forgotten, which is no failure. */
bool db_ask_each(struct db *db, const char *statement, const struct db_params *params,
        bool (*take)(void *context, const PGresult *row), void *context, struct err *err) must_check;
/* db_send + sync + db_result: outside a transaction its effect is committed. */
PGresult *db_query(struct db *db, const char *statement, const struct db_params *params, struct err *err) must_check;
/* Ends a failed transaction and drains the pipeline; false = the connection is lost, open a new one. */
bool db_rollback(struct db *db) must_check;

/* Translates SQLSTATE into an error code as above. */
enum err_code db_error_code(const char *sqlstate);

#endif
