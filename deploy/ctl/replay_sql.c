#include "common/arena.h"
#include "common/buf.h"
#include "deploy/ctl/replay.h"

#include <stdlib.h>

/* Longer than the longest pause inside a transaction of ours, short enough for those who wait for its locks. */
#define IDLE_IN_TRANSACTION "20s"

const struct replay_worker_row replay_workers[REPLAY_WORKERS] = {
        [REPLAY_CONFIGURATION] = {.name = "configuration", .topic = TOPIC_CONFIG_COMMANDS, .lanes = 1},
        [REPLAY_CUSTOMERS] = {.name = "customer-merge", .topic = TOPIC_CUSTOMER_COMMANDS, .lanes = 2},
        [REPLAY_EVENTS] = {.name = "event-ingest", .topic = TOPIC_EVENT_COMMANDS, .lanes = 2},
};

static bool failed(PGconn *connection, const PGresult *result, struct err *err)
{
	const char *words = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	struct str text = str_of(words ? words : PQerrorMessage(connection));

	while (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	/* a lock that was not got, or not together with another, may be asked for again */
	bool busy = state && (!strcmp(state, "55P03") || !strcmp(state, "40P01"));
	return err_set(err, busy ? ERR_UNAVAILABLE : ERR_DATABASE, "PostgreSQL: %.*s", STR_ARG(text));
}

PGconn *replay_connect(const struct settings *settings, struct err *err)
{
	const char *names[] = {"dbname", "fallback_application_name", "connect_timeout", "options", NULL};
	const char *values[] = {settings->pg, "contacthubctl", "5",
	        "-c client_min_messages=warning -c idle_in_transaction_session_timeout=" IDLE_IN_TRANSACTION, NULL};

	if (!db_uri_check(settings->pg, err))
		return NULL;
	PGconn *connection = PQconnectdbParams(names, values, 1);

	if (PQstatus(connection) == CONNECTION_OK)
		return connection;
	failed(connection, NULL, err);
	PQfinish(connection);
	return NULL;
}

static bool fill_in(struct buf *sql, struct str *rest, struct str name, const char *value)
{
	if (!str_starts(*rest, name))
		return false;
	buf_add_str(sql, str_of(value));
	rest->p += name.n;
	rest->n -= name.n;
	return true;
}

/* The text with the schemas' names, in the process's arena. */
static const char *with_names(struct replay *replay, const char *text)
{
	struct str rest = str_of(text);
	struct buf sql;

	buf_init(&sql, replay->ctl->arena, 2 * rest.n + 64);
	while (rest.n) {
		if (fill_in(&sql, &rest, STR("{live}"), replay->live_q) ||
		        fill_in(&sql, &rest, STR("{new}"), replay->new_q) ||
		        fill_in(&sql, &rest, STR("{old}"), replay->old_q))
			continue;
		buf_add_char(&sql, *rest.p++);
		rest.n--;
	}
	buf_add_char(&sql, '\0');
	return sql.p;
}

PGresult *replay_ask(
        struct replay *replay, PGconn *connection, struct err *err, const char *sql, int n, const char *const *values)
{
	const char *text = with_names(replay, sql);
	PGresult *result =
	        n ? PQexecParams(connection, text, n, NULL, values, NULL, NULL, 0) : PQexec(connection, text);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	failed(connection, result, err);
	PQclear(result);
	return NULL;
}

bool replay_do(struct replay *replay, PGconn *connection, struct err *err, const char *sql)
{
	PGresult *result = replay_ask(replay, connection, err, sql, 0, NULL);

	PQclear(result);
	return result != NULL;
}

bool replay_number(struct replay *replay, PGconn *connection, struct err *err, const char *sql, int64_t *ret_value)
{
	PGresult *result = replay_ask(replay, connection, err, sql, 0, NULL);
	bool good = result && PQntuples(result) == 1;

	if (good)
		*ret_value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	else if (result)
		err_set(err, ERR_INTERNAL, "a question to the database has no answer");
	PQclear(result);
	return good;
}

static int worker_number(const char *name)
{
	int i = 0;

	while (i < REPLAY_WORKERS && strcmp(replay_workers[i].name, name) != 0)
		i++;
	return i;
}

bool replay_read_vector(struct replay *replay, PGconn *connection, const char *schema, struct replay_vector *ret_vector,
        struct err *err)
{
	const char *sql = arena_printf(
	        replay->ctl->arena, "SELECT worker, partition, next_offset FROM %s.consumer_offsets", schema);
	PGresult *rows = replay_ask(replay, connection, err, sql, 0, NULL);

	if (!rows)
		return false;
	memset(ret_vector, 0, sizeof(*ret_vector));
	for (int row = 0; row < PQntuples(rows); row++) {
		int worker = worker_number(PQgetvalue(rows, row, 0));
		long partition = strtol(PQgetvalue(rows, row, 1), NULL, 10);
		if (worker < REPLAY_WORKERS && partition >= 0 && partition < REPLAY_MAX_PARTITIONS)
			ret_vector->next[worker][partition] = strtoll(PQgetvalue(rows, row, 2), NULL, 10);
	}
	PQclear(rows);
	return true;
}

int64_t replay_distance(const struct replay_vector *from, const struct replay_vector *to, unsigned workers)
{
	int64_t distance = 0;

	for (int worker = 0; worker < REPLAY_WORKERS; worker++)
		for (int i = 0; workers & 1u << worker && i < REPLAY_MAX_PARTITIONS; i++)
			if (to->next[worker][i] > from->next[worker][i])
				distance += to->next[worker][i] - from->next[worker][i];
	return distance;
}
