#include "deploy/ctl/migrate.h"

#include "common/db.h"

#include <libpq-fe.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define HASH_HEX (2 * crypto_hash_sha256_BYTES + 1)

/*
 * While a migration waits for a table, whoever wants that table after it waits behind it: next to a pg_dump, which
 * reads for minutes, every write. So it waits for a moment only, lets the others by, and tries again.
 */
#define LOCK_TIMEOUT "2s"
#define LOCK_PAUSE_US 3000000
#define LOCK_NOT_AVAILABLE "55P03"
#define DEADLOCK_DETECTED "40P01"

static bool failed(PGconn *connection, const PGresult *result, struct err *err)
{
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	struct str text = str_of(words ? words : PQerrorMessage(connection));

	while (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	return err_set(err, ERR_DATABASE, "PostgreSQL: %.*s", STR_ARG(text));
}

static bool run(PGconn *connection, const char *sql, struct err *err)
{
	PGresult *result = PQexec(connection, sql);
	ExecStatusType status = PQresultStatus(result);
	bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || failed(connection, result, err);

	PQclear(result);
	return good;
}

/* The number in front of a file's name, or in a column. */
static int number_of(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static void hash_of(const struct migration *migration, char hex[HASH_HEX])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const unsigned char *)migration->text, migration->n_bytes);
	sodium_bin2hex(hex, HASH_HEX, hash, sizeof(hash));
}

static bool make_schema(PGconn *connection, const char *schema, struct err *err)
{
	char sql[1024];
	char *name = PQescapeIdentifier(connection, schema, strlen(schema));

	if (!name)
		return failed(connection, NULL, err);
	int n = snprintf(sql, sizeof(sql), "CREATE SCHEMA IF NOT EXISTS %s; SET search_path = %s", name, name);
	PQfreemem(name);
	if (n < 0 || (size_t)n >= sizeof(sql))
		return err_set(err, ERR_INVALID, "the name of the schema is too long");
	return run(connection, sql, err) &&
	       run(connection,
	               "CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY, name text NOT NULL, "
	               "sha256 text NOT NULL, applied_at timestamptz NOT NULL)",
	               err);
}

static bool record_migration(PGconn *connection, const struct migration *migration, struct err *err)
{
	char hex[HASH_HEX], number[16];
	const char *values[] = {number, migration->name, hex};

	hash_of(migration, hex);
	snprintf(number, sizeof(number), "%d", number_of(migration->name));
	PGresult *result = PQexecParams(connection,
	        "INSERT INTO schema_migrations (number, name, sha256, applied_at) VALUES ($1, $2, $3, "
	        "clock_timestamp())",
	        3, NULL, values, NULL, NULL, 0);
	bool good = PQresultStatus(result) == PGRES_COMMAND_OK || failed(connection, result, err);
	PQclear(result);
	return good;
}

/* One attempt; *ret_busy: others had a table in use, nothing was changed. */
static bool attempt(PGconn *connection, const struct migration *migration, bool *ret_busy, struct err *err)
{
	*ret_busy = false;
	if (!run(connection, "BEGIN; SET LOCAL lock_timeout = '" LOCK_TIMEOUT "'", err))
		return false;
	PGresult *result = PQexec(connection, migration->text);
	ExecStatusType status = PQresultStatus(result);
	bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || failed(connection, result, err);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	*ret_busy = state && (!strcmp(state, LOCK_NOT_AVAILABLE) || !strcmp(state, DEADLOCK_DETECTED));
	PQclear(result);
	if (*ret_busy)
		return run(connection, "ROLLBACK", err);
	return good && record_migration(connection, migration, err) && run(connection, "COMMIT", err);
}

static void say_waiting(const struct migration *migration, FILE *out)
{
	if (out) {
		fprintf(out, "%s waits for tables that other transactions have in use\n", migration->name);
		fflush(out);
	}
}

static bool apply(PGconn *connection, const struct migration *migration, FILE *out, struct err *err)
{
	bool busy, said = false;

	for (;;) {
		if (!attempt(connection, migration, &busy, err))
			return err_wrap(err, "%s", migration->name);
		if (!busy)
			break;
		if (!said)
			say_waiting(migration, out);
		said = true;
		usleep(LOCK_PAUSE_US);
	}
	if (out)
		fprintf(out, "applied %s\n", migration->name);
	return true;
}

static const struct migration *find(int number)
{
	for (size_t i = 0; i < migration_count; i++)
		if (number_of(migrations[i].name) == number)
			return &migrations[i];
	return NULL;
}

static bool check_applied(const PGresult *rows, int row, struct err *err)
{
	char hex[HASH_HEX];
	const char *name = PQgetvalue(rows, row, 1);
	const struct migration *migration = find(number_of(PQgetvalue(rows, row, 0)));

	if (!migration)
		return err_set(err, ERR_CONFLICT,
		        "the database has migration %s, which this build does not know: use a newer build", name);
	hash_of(migration, hex);
	if (strcmp(hex, PQgetvalue(rows, row, 2)))
		return err_set(err, ERR_CONFLICT,
		        "migration %s was changed after it was applied: add a new migration instead of changing it",
		        name);
	return true;
}

static bool check_all_applied(const PGresult *rows, struct err *err)
{
	for (int row = 0; row < PQntuples(rows); row++)
		if (!check_applied(rows, row, err))
			return false;
	return true;
}

static bool is_applied(const PGresult *rows, const struct migration *migration)
{
	for (int row = 0; row < PQntuples(rows); row++)
		if (number_of(PQgetvalue(rows, row, 0)) == number_of(migration->name))
			return true;
	return false;
}

static bool apply_missing(PGconn *connection, FILE *out, struct err *err)
{
	PGresult *rows = PQexec(connection, "SELECT number, name, sha256 FROM schema_migrations ORDER BY number");
	bool good =
	        PQresultStatus(rows) == PGRES_TUPLES_OK ? check_all_applied(rows, err) : failed(connection, rows, err);

	for (size_t i = 0; good && i < migration_count; i++)
		if (!is_applied(rows, &migrations[i]))
			good = apply(connection, &migrations[i], out, err);
	PQclear(rows);
	return good;
}

bool migrate(const struct settings *settings, FILE *out, struct err *err)
{
	const char *names[] = {"dbname", "fallback_application_name", "connect_timeout", "options", NULL};
	const char *values[] = {settings->pg, "contacthubctl", "5", "-c client_min_messages=warning", NULL};

	if (!db_uri_check(settings->pg, err))
		return false;
	PGconn *connection = PQconnectdbParams(names, values, 1);
	bool good = PQstatus(connection) == CONNECTION_OK || failed(connection, NULL, err);

	/* the lock ends with the connection */
	good = good && run(connection, "SELECT pg_advisory_lock(" MIGRATE_LOCK_KEY ")", err) &&
	       make_schema(connection, settings->pg_schema, err) && apply_missing(connection, out, err);
	PQfinish(connection);
	return good;
}
