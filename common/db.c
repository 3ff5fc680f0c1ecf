#include "common/db.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/log.h"

#include <endian.h>
#include <stdlib.h>

#define ARRAY_HEADER_BYTES 20

/* Statements in flight: far above what a batch or db_prepare queues before it reads. */
#define MAX_PENDING 1024

/* Far longer than a batch is computed in, and shorter than a request waits for its answer: others wait for our locks.
 */
#define IDLE_IN_TRANSACTION "10s"

/* A statement sent whose result has not been read. */
struct pending {
	const char *statement;
	bool unattended; /* nobody asks for its result */
	int64_t rows;    /* that it must affect; -1: any */
	enum err_code code_otherwise;
};

struct db {
	PGconn *connection;
	struct pending queue[MAX_PENDING];
	unsigned head, pending;
	int syncs;                /* sync marks sent and not read */
	enum err_code first_fail; /* of the failed pipeline, for the statements skipped after it */
};

static const struct statement transaction_statements[] = {
        {.name = "begin", .sql = "BEGIN", .n_params = 0},
        {.name = "commit", .sql = "COMMIT", .n_params = 0},
};

/* Type numbers of pg_type; they are fixed for built-in types. */
static const uint32_t element_oid[] = {[DB_UUID] = 2950,
        [DB_I64] = 20,
        [DB_I32] = 23,
        [DB_I16] = 21,
        [DB_BOOL] = 16,
        [DB_TEXT] = 25,
        [DB_JSON] = 114,
        [DB_JSONB] = 3802,
        [DB_BYTEA] = 17};

void db_params_init(struct db_params *params, struct arena *arena)
{
	params->arena = arena;
	params->n = 0;
}

static void add_param(struct db_params *params, const char *value, size_t n)
{
	if (params->n == DB_MAX_PARAMS)
		log_die("database", "a statement has more than %d parameters", DB_MAX_PARAMS);
	params->values[params->n] = value;
	params->lengths[params->n] = (int)n;
	params->formats[params->n] = 1;
	params->n++;
}

static void add_copy(struct db_params *params, const void *value, size_t n)
{
	char *copy = arena_alloc(params->arena, n ? n : 1);

	memcpy(copy, value, n);
	add_param(params, copy, n);
}

void db_param_null(struct db_params *params)
{
	add_param(params, NULL, 0);
}

void db_param_uuid(struct db_params *params, const struct uuid *value)
{
	if (value)
		add_copy(params, value, sizeof(*value));
	else
		db_param_null(params);
}

void db_param_i64(struct db_params *params, int64_t value)
{
	uint64_t wire = htobe64((uint64_t)value);

	add_copy(params, &wire, sizeof(wire));
}

void db_param_i32(struct db_params *params, int32_t value)
{
	uint32_t wire = htobe32((uint32_t)value);

	add_copy(params, &wire, sizeof(wire));
}

void db_param_bool(struct db_params *params, bool value)
{
	char wire = value;

	add_copy(params, &wire, 1);
}

void db_param_text(struct db_params *params, struct str value)
{
	if (value.p)
		add_copy(params, value.p, value.n);
	else
		db_param_null(params);
}

void db_param_jsonb(struct db_params *params, struct str value)
{
	if (!value.p) {
		db_param_null(params);
		return;
	}
	char *copy = arena_alloc(params->arena, value.n + 1);
	copy[0] = 1; /* version of jsonb's wire format */
	memcpy(copy + 1, value.p, value.n);
	add_param(params, copy, value.n + 1);
}

static void put_be32(char *p, uint32_t value)
{
	value = htobe32(value);
	memcpy(p, &value, sizeof(value));
}

void db_array_init(struct db_array *array, struct arena *arena, enum db_element type)
{
	array->arena = arena;
	array->type = type;
	array->n = 0;
	array->bytes = arena_alloc(arena, sizeof(*array->bytes));
	buf_init(array->bytes, arena, 1024);
	memset(buf_reserve(array->bytes, ARRAY_HEADER_BYTES), 0, ARRAY_HEADER_BYTES);
}

/* Room for one element of n bytes behind its length. */
static char *element(struct db_array *array, size_t n)
{
	char *p = buf_reserve(array->bytes, 4 + n);

	put_be32(p, (uint32_t)n);
	array->n++;
	return p + 4;
}

void db_array_null(struct db_array *array)
{
	put_be32(buf_reserve(array->bytes, 4), UINT32_MAX);
	put_be32(array->bytes->p + 4, 1);
	array->n++;
}

void db_array_uuid(struct db_array *array, const struct uuid *value)
{
	if (value)
		memcpy(element(array, sizeof(*value)), value, sizeof(*value));
	else
		db_array_null(array);
}

void db_array_i64(struct db_array *array, int64_t value)
{
	uint64_t wide = htobe64((uint64_t)value);
	size_t n = array->type == DB_I64 ? 8 : array->type == DB_I32 ? 4 : array->type == DB_I16 ? 2 : 1;

	/* big-endian: the low bytes are the last ones */
	memcpy(element(array, n), (const char *)&wide + (8 - n), n);
}

void db_array_text(struct db_array *array, struct str value)
{
	if (!value.p) {
		db_array_null(array);
		return;
	}
	size_t prefix = array->type == DB_JSONB;
	char *p = element(array, value.n + prefix);
	if (prefix)
		*p = 1;
	memcpy(p + prefix, value.p, value.n);
}

void db_param_array(struct db_params *params, struct db_array *array)
{
	char *header = array->bytes->p;

	put_be32(header + 8, element_oid[array->type]);
	if (array->n == 0) {
		put_be32(header, 0);
		add_param(params, header, 12);
		return;
	}
	put_be32(header, 1); /* dimensions */
	put_be32(header + 12, (uint32_t)array->n);
	put_be32(header + 16, 1); /* lower bound */
	add_param(params, header, array->bytes->n);
}

bool db_is_null(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column);
}

struct uuid db_uuid(const PGresult *result, int row, int column)
{
	struct uuid id = {{0}};

	if (PQgetlength(result, row, column) == (int)sizeof(id))
		memcpy(&id, PQgetvalue(result, row, column), sizeof(id));
	return id;
}

int64_t db_i64(const PGresult *result, int row, int column)
{
	const unsigned char *p = (const unsigned char *)PQgetvalue(result, row, column);
	int n = PQgetlength(result, row, column);
	/* the first byte carries the sign, except for bool */
	uint64_t value = n > 1 && p[0] & 0x80 ? UINT64_MAX : 0;

	for (int i = 0; i < n; i++)
		value = value << 8 | p[i];
	return (int64_t)value;
}

struct str db_text(const PGresult *result, int row, int column)
{
	if (PQgetisnull(result, row, column))
		return STR_NONE;
	return (struct str){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

size_t db_column_bytes(const PGresult *result, int column)
{
	size_t n_bytes = 0;

	for (int row = 0; row < PQntuples(result); row++)
		n_bytes += (size_t)PQgetlength(result, row, column);
	return n_bytes;
}

enum err_code db_error_code(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		enum err_code code;
	} rows[] = {
	        {.prefix = "08", .code = ERR_DATABASE},    /* connection */
	        {.prefix = "40", .code = ERR_DATABASE},    /* serialization, deadlock */
	        {.prefix = "53", .code = ERR_DATABASE},    /* resources: disk full, too many connections */
	        {.prefix = "55P03", .code = ERR_DATABASE}, /* lock not available */
	        {.prefix = "57P", .code = ERR_DATABASE},   /* shutdown, crash of another backend */
	        {.prefix = "57014", .code = ERR_DATABASE}, /* statement timeout */
	        {.prefix = "25P03", .code = ERR_DATABASE}, /* idle in transaction for too long */
	        {.prefix = "21", .code = ERR_INVALID},     /* rows that do not go together */
	        {.prefix = "22", .code = ERR_INVALID},     /* data */
	        {.prefix = "23", .code = ERR_INVALID},     /* constraint */
	        {.prefix = "54", .code = ERR_INVALID},     /* a limit of PostgreSQL */
	};

	if (!sqlstate || !*sqlstate)
		return ERR_DATABASE; /* no state: the connection broke */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strncmp(sqlstate, rows[i].prefix, strlen(rows[i].prefix)))
			return rows[i].code;
	return ERR_INTERNAL;
}

/* The message of PostgreSQL may quote data ("DETAIL: Key (...)"); its primary line does not hold values of ours. */
static bool fail_from_result(struct db *db, const PGresult *result, const char *statement, struct err *err)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	enum err_code code = db_error_code(state);

	db->first_fail = code;
	return err_set(err, code, "PostgreSQL %s in %s: %s", state ? state : "-", statement,
	        words ? words : "connection lost");
}

static bool fail_from_connection(const struct db *db, struct err *err)
{
	struct str words = str_of(PQerrorMessage(db->connection));

	while (words.n && words.p[words.n - 1] == '\n')
		words.n--;
	return err_set(err, ERR_DATABASE, "PostgreSQL: %.*s", STR_ARG(words));
}

static bool set_up(struct db *db, const struct settings *settings, struct err *err)
{
	const char *values[] = {settings->pg_schema};
	PGresult *result = PQexecParams(db->connection,
	        "SELECT set_config('search_path', $1, false), set_config('idle_in_transaction_session_timeout', "
	        "'" IDLE_IN_TRANSACTION "', false)",
	        1, NULL, values, NULL, NULL, 0);
	bool good = PQresultStatus(result) == PGRES_TUPLES_OK;

	PQclear(result);
	if (!good || PQsetnonblocking(db->connection, 1) || !PQenterPipelineMode(db->connection))
		return fail_from_connection(db, err);
	return db_prepare(db, transaction_statements, ARRAY_LEN(transaction_statements), err);
}

/* A password with one of @ / ? in it, not percent-encoded, ends at it: the rest is taken for an address. */
static bool holds_rest_of_password(const PQconninfoOption *option)
{
	if (!option->val)
		return false;
	if (!strcmp(option->keyword, "port"))
		return option->val[strspn(option->val, "0123456789,")];
	/* at the start of a host it is a socket's abstract name */
	return (!strcmp(option->keyword, "host") || !strcmp(option->keyword, "dbname")) && *option->val &&
	       strchr(option->val + 1, '@');
}

bool db_uri_check(const char *uri, struct err *err)
{
	PQconninfoOption *options = PQconninfoParse(uri, NULL), *option = options;

	while (option && option->keyword && !holds_rest_of_password(option))
		option++;
	bool good = option && !option->keyword;
	PQconninfoFree(options);
	return good || err_set(err, ERR_INVALID,
	                       "CONTACTHUB_PG is no connection URI that libpq understands (is its password "
	                       "percent-encoded?)");
}

struct db *db_open(const struct settings *settings, const char *application_name, struct err *err)
{
	const char *names[] = {"dbname", "fallback_application_name", "connect_timeout", "tcp_user_timeout",
	        "keepalives_idle", "keepalives_interval", "client_encoding", NULL};
	const char *values[] = {settings->pg, application_name, "5", "10000", "5", "2", "UTF8", NULL};
	struct db *db;

	if (!db_uri_check(settings->pg, err))
		return NULL;
	db = calloc(1, sizeof(*db));
	if (!db)
		log_die("memory", "out of memory");
	db->connection = PQconnectdbParams(names, values, 1);
	if (PQstatus(db->connection) == CONNECTION_OK) {
		if (set_up(db, settings, err))
			return db;
	} else {
		fail_from_connection(db, err);
	}
	db_close(db);
	return NULL;
}

static bool is_postgres(pid_t pid)
{
	char path[64], name[32] = "";

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	bool good = fgets(name, sizeof(name), file) && !strncmp(name, "postgres", strlen("postgres"));
	fclose(file);
	return good;
}

/* The number of a process in another container may be that of somebody else here, so its name is looked at. */
pid_t db_local_backend(const struct db *db)
{
	const char *address = PQhostaddr(db->connection);
	pid_t pid = PQbackendPID(db->connection);
	bool local = address && (!*address || !strncmp(address, "127.", 4) || !strcmp(address, "::1"));

	return local && pid > 0 && is_postgres(pid) ? pid : 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	PQfinish(db->connection);
	free(db);
}

static void note_sent(struct db *db, struct pending pending)
{
	if (db->pending == MAX_PENDING)
		log_die("database", "more than %d statements in flight", MAX_PENDING);
	db->queue[(db->head + db->pending++) % MAX_PENDING] = pending;
}

static struct pending note_read(struct db *db)
{
	struct pending pending = db->queue[db->head];

	db->head = (db->head + 1) % MAX_PENDING;
	db->pending--;
	return pending;
}

static bool sync_pipeline(struct db *db, struct err *err)
{
	if (!PQpipelineSync(db->connection))
		return fail_from_connection(db, err);
	db->syncs++;
	return true;
}

bool db_prepare(struct db *db, const struct statement *statements, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (!PQsendPrepare(db->connection, statements[i].name, statements[i].sql, 0, NULL))
			return fail_from_connection(db, err);
		note_sent(db, (struct pending){.statement = statements[i].name, .rows = -1});
	}
	if (!sync_pipeline(db, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!db_done(db, err))
			return false;
	return true;
}

static bool send_statement(
        struct db *db, const char *statement, const struct db_params *params, struct pending pending, struct err *err)
{
	int n = params ? params->n : 0;

	if (!PQsendQueryPrepared(db->connection, statement, n, n ? params->values : NULL, n ? params->lengths : NULL,
	            n ? params->formats : NULL, 1))
		return fail_from_connection(db, err);
	pending.statement = statement;
	note_sent(db, pending);
	return true;
}

bool db_send(struct db *db, const char *statement, const struct db_params *params, struct err *err)
{
	return send_statement(db, statement, params, (struct pending){.rows = -1}, err);
}

bool db_send_expect(struct db *db, const char *statement, const struct db_params *params, int64_t rows,
        enum err_code code_otherwise, struct err *err)
{
	struct pending pending = {.unattended = true, .rows = rows, .code_otherwise = code_otherwise};

	return send_statement(db, statement, params, pending, err);
}

/* A sync, no mere request to flush: only then PostgreSQL counts how long we are idle in the transaction, and ends it
 * when we are frozen and hold locks. Inside a transaction it commits nothing. */
bool db_flush(struct db *db, struct err *err)
{
	return sync_pipeline(db, err);
}

/* PQgetResult without the marks between statements. NULL: the connection is lost or nothing is pending. */
static PGresult *next_result(struct db *db, struct pending *ret_pending)
{
	while (db->pending || db->syncs) {
		PGresult *result = PQgetResult(db->connection);
		if (!result) {
			if (PQstatus(db->connection) != CONNECTION_OK)
				return NULL;
			continue; /* end of a statement's results */
		}
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
			PQclear(result);
			db->syncs--;
			db->first_fail = ERR_NONE;
			continue;
		}
		*ret_pending = note_read(db);
		return result;
	}
	return NULL;
}

static bool check_result(struct db *db, const PGresult *result, const struct pending *pending, struct err *err)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_PIPELINE_ABORTED)
		return err_set(err, db->first_fail ? db->first_fail : ERR_DATABASE, "skipped after a failed statement");
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		return fail_from_result(db, result, pending->statement, err);
	if (pending->rows < 0 || strtoll(PQcmdTuples((PGresult *)result), NULL, 10) == pending->rows)
		return true;
	return err_set(err, pending->code_otherwise, "%s changed %s rows instead of %lld", pending->statement,
	        PQcmdTuples((PGresult *)result), (long long)pending->rows);
}

PGresult *db_result(struct db *db, struct err *err)
{
	for (;;) {
		struct pending pending;
		PGresult *result = next_result(db, &pending);
		if (!result) {
			fail_from_connection(db, err);
			return NULL;
		}
		bool good = check_result(db, result, &pending, err);
		if (good && !pending.unattended)
			return result;
		PQclear(result);
		if (!good)
			return NULL;
	}
}

bool db_done(struct db *db, struct err *err)
{
	PGresult *result = db_result(db, err);

	PQclear(result);
	return result != NULL;
}

/* Reads all that is pending; false when any of it failed (the first failure stays in err). */
static bool drain(struct db *db, struct err *err)
{
	bool good = true;

	while (db->pending || db->syncs) {
		struct pending pending;
		PGresult *result = next_result(db, &pending);
		if (!result && PQstatus(db->connection) != CONNECTION_OK)
			return good ? fail_from_connection(db, err) : false;
		if (!result)
			break;
		if (good)
			good = check_result(db, result, &pending, err);
		PQclear(result);
	}
	return good;
}

bool db_settle(struct db *db, struct err *err)
{
	return db_flush(db, err) && drain(db, err);
}

bool db_commit(struct db *db, struct err *err)
{
	return db_send(db, "commit", NULL, err) && sync_pipeline(db, err) && drain(db, err);
}

PGresult *db_ask(struct db *db, const char *statement, const struct db_params *params, struct err *err)
{
	return db_send(db, statement, params, err) && db_flush(db, err) ? db_result(db, err) : NULL;
}

/* Reads what comes before the statement sent last, until its rows can be asked for one by one. */
static bool begin_rows(struct db *db, struct err *err)
{
	struct pending pending;

	while (db->pending > 1) {
		PGresult *result = next_result(db, &pending);
		bool good = result ? check_result(db, result, &pending, err) : fail_from_connection(db, err);
		PQclear(result);
		if (!good)
			return false;
	}
	while (!PQsetSingleRowMode(db->connection)) {
		PGresult *mark = PQgetResult(db->connection);
		ExecStatusType status = PQresultStatus(mark);
		if (!mark && PQstatus(db->connection) != CONNECTION_OK)
			return fail_from_connection(db, err);
		if (status == PGRES_PIPELINE_SYNC) {
			db->syncs--;
			db->first_fail = ERR_NONE;
		} else if (mark) { /* it is skipped */
			pending = note_read(db);
			check_result(db, mark, &pending, err);
			PQclear(mark);
			return false;
		}
		PQclear(mark);
	}
	return true;
}

bool db_ask_each(struct db *db, const char *statement, const struct db_params *params,
        bool (*take)(void *context, const PGresult *row), void *context, struct err *err)
{
	bool wanted = true;

	if (!db_send(db, statement, params, err) || !db_flush(db, err) || !begin_rows(db, err))
		return false;
	for (;;) {
		PGresult *result = PQgetResult(db->connection);
		if (!result)
			return fail_from_connection(db, err);
		if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
			wanted = wanted && take(context, result);
			PQclear(result);
			continue;
		}
		struct pending pending = note_read(db);
		bool good = check_result(db, result, &pending, err);
		PQclear(result);
		return good;
	}
}

PGresult *db_query(struct db *db, const char *statement, const struct db_params *params, struct err *err)
{
	if (!db_send(db, statement, params, err) || !sync_pipeline(db, err))
		return NULL;
	PGresult *result = db_result(db, err);
	if (!drain(db, err)) {
		PQclear(result);
		return NULL;
	}
	return result;
}

bool db_rollback(struct db *db)
{
	struct err ignored = {0};

	if (!sync_pipeline(db, &ignored))
		return false;
	drain(db, &ignored);
	if (PQstatus(db->connection) != CONNECTION_OK)
		return false;
	if (PQtransactionStatus(db->connection) == PQTRANS_IDLE)
		return true;
	if (!PQsendQueryParams(db->connection, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 1))
		return false;
	note_sent(db, (struct pending){.statement = "ROLLBACK", .rows = -1});
	return sync_pipeline(db, &ignored) && drain(db, &ignored);
}
