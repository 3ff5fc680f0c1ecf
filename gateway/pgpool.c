#include "gateway/pgpool.h"

#include "common/clock.h"
#include "common/log.h"
#include "gateway/list.h"
#include "gateway/loop.h"
#include "gateway/pending.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Queries in flight on one connection; beyond it the caller is told to come back. */
#define MAX_IN_FLIGHT 512
/* The same of searches: one that runs and the next. The others wait here, where they are forgotten when nobody wants
   them any more: PostgreSQL would run all that it has been sent, for ten seconds each, and new ones behind them. */
#define MAX_SEARCHES 2
/* The first of a group waits for the last: not so long that anybody notices. */
#define GROUP_MAX 16
#define STATEMENT_TIMEOUT "10s"
/* A connection whose oldest query has no answer so long after its turn began hangs: the statement timeout should have
   ended it. */
#define SILENCE_US (15 * INT64_C(1000000))
/* A result is kept whole until its handler has it. Pages have 64 MiB at most (respond.c). */
#define RESULT_MAX_BYTES (96UL * 1024 * 1024)
#define CONNECT_US (5 * INT64_C(1000000))
#define TELL_EVERY_US (10 * INT64_C(1000000))
#define BACKOFF_FIRST_US 100000
#define BACKOFF_MAX_US 2000000

enum state {
	DOWN,
	CONNECTING,
	SETTING_UP, /* search_path and statements */
	READY,
};

struct query {
	struct list link;
	struct pgpool_query what;
	struct db_params params;
	const struct statement *group; /* it may go in one group with others of this statement; NULL = alone */
	bool search;                   /* it may take long */
	bool again;                    /* its first connection was lost */
	uint64_t mark;                 /* number of the sync mark that ends its group */
	uint64_t round;                /* while it waits */
	int64_t sent_us;
};

struct connection {
	struct pgpool *pool;
	PGconn *pg;
	enum state state;
	struct loop_source source;
	struct list queries; /* in flight, in order */
	size_t n_queries;
	size_t n_searches;             /* of them */
	const struct statement *group; /* of the last queries, whose sync mark has not been sent yet */
	size_t n_group;
	uint64_t sent_marks; /* sync marks that were sent */
	uint64_t back_marks; /* and those that have come back */
	PGresult *error;     /* of the front query, until the sync mark: one that ends the session has none */
	uint64_t first_byte; /* of the front query's result, in what the socket has received; 0 = not known yet */
	bool broken;         /* to be taken down at a safe place */
	bool search;         /* lane: searches first */
	int64_t changed_us;  /* when `state` was entered, or DOWN: when to connect */
	int64_t answered_us; /* when a query was complete last: the next one's turn began */
	int64_t backoff_us;
};

struct pgpool {
	const struct settings *settings;
	int loop;
	struct pending *pending;
	const struct statement_table *tables;
	size_t n_tables;
	struct list free_queries;
	struct list waiting; /* searches, until a connection has room, by rounds */
	uint64_t round;      /* of the last that has waited */
	bool was_up;         /* for the log */
	int64_t told_us;     /* when the log was told last that a connection could not be made */
	size_t n_connections;
	struct connection connections[];
};

static void fail(struct query *query, enum err_code code, const char *words)
{
	struct err err = {0};

	err_set(&err, code, "%s", words);
	query->what.on_result(query->what.context, query->what.number, NULL, &err);
}

static bool is_wanted(const struct pgpool *pool, const struct query *query)
{
	return query->what.number == 0 || pending_find(pool->pending, query->what.number);
}

/* The row of a statement of which more is said than its text; NULL = there is no such row, or for dynamic SQL. */
static const struct statement *find_special(const struct pgpool *pool, const char *name)
{
	for (size_t t = 0; name && t < pool->n_tables; t++) {
		const struct statement_table *table = &pool->tables[t];
		for (size_t i = 0; i < table->n; i++)
			if ((table->statements[i].by_key || table->statements[i].scans) &&
			        !strcmp(table->statements[i].name, name))
				return &table->statements[i];
	}
	return NULL;
}

static struct query *query_new(struct pgpool *pool, const struct pgpool_query *what)
{
	const struct statement *special = find_special(pool, what->statement);
	struct query *query;

	if (list_is_empty(&pool->free_queries)) {
		query = malloc(sizeof(*query));
		if (!query)
			log_die("memory", "out of memory");
		list_init(&query->link);
	} else {
		query = list_owner(pool->free_queries.next, struct query, link);
		list_remove(&query->link);
	}
	query->what = *what;
	query->group = special && special->by_key ? special : NULL;
	query->search = !what->statement || (special && special->scans);
	query->again = false;
	query->params.n = 0;
	if (what->params)
		query->params = *what->params;
	return query;
}

static void query_free(struct pgpool *pool, struct query *query)
{
	list_append(&pool->free_queries, &query->link);
}

static void watch(struct connection *connection, bool also_writable)
{
	loop_watch(connection->pool->loop, &connection->source, PQsocket(connection->pg),
	        EPOLLIN | (also_writable ? EPOLLOUT : 0u));
}

static void flush(struct connection *connection)
{
	int left = PQflush(connection->pg);

	if (left < 0)
		connection->broken = true;
	else
		watch(connection, left > 0);
}

/* A mark behind each query, or group, so that an error spoils no other one. */
static void close_group(struct connection *connection)
{
	connection->group = NULL;
	connection->n_group = 0;
	connection->sent_marks++;
	if (PQpipelineSync(connection->pg))
		flush(connection);
	else
		connection->broken = true;
}

static bool send_query(struct connection *connection, struct query *query)
{
	const struct pgpool_query *what = &query->what;
	const struct db_params *p = &query->params;

	if (connection->group && connection->group != query->group)
		close_group(connection);
	int sent = what->statement ? PQsendQueryPrepared(connection->pg, what->statement, p->n, p->values, p->lengths,
	                                     p->formats, 1)
	                           : PQsendQueryParams(connection->pg, what->sql, p->n, NULL, p->values, p->lengths,
	                                     p->formats, 1);
	if (!sent) {
		connection->broken = true;
		return false;
	}
	query->sent_us = clock_monotonic_us();
	query->mark = connection->sent_marks;
	list_append(&connection->queries, &query->link);
	connection->n_queries++;
	connection->n_searches += query->search;
	connection->group = query->group;
	if (!query->group || ++connection->n_group == GROUP_MAX)
		close_group(connection);
	return true;
}

/* One whose group the query may join; or the least busy ready connection, in the query's lane if that has one. */
static struct connection *choose(struct pgpool *pool, const struct query *query)
{
	struct connection *best = NULL;

	for (size_t i = 0; i < pool->n_connections; i++) {
		struct connection *c = &pool->connections[i];
		if (c->state != READY || c->broken || c->n_queries >= MAX_IN_FLIGHT)
			continue;
		if (c->group && c->group == query->group)
			return c;
		bool better_lane = best && c->search == query->search && best->search != query->search;
		bool worse_lane = best && c->search != query->search && best->search == query->search;
		if (!best || better_lane || (!worse_lane && c->n_queries < best->n_queries))
			best = c;
	}
	return best;
}

static bool has_room(const struct connection *connection)
{
	return connection->n_searches < MAX_SEARCHES;
}

static struct query *waiting_at(struct list *link)
{
	return list_owner(link, struct query, link);
}

/* Each owner has one query in a round, so that one who has many waiting does not hold up another one's first. */
static void wait_for_turn(struct pgpool *pool, struct query *query)
{
	struct list *link = pool->waiting.prev;

	while (link != &pool->waiting && waiting_at(link)->what.owner != query->what.owner)
		link = link->prev;
	query->round = link != &pool->waiting ? waiting_at(link)->round + 1 : pool->round;
	if (query->again) /* its turn has been */
		query->round = pool->round;
	for (link = pool->waiting.prev; link != &pool->waiting && waiting_at(link)->round > query->round;)
		link = link->prev;
	list_append(link->next, &query->link);
}

/* Sends the query or lets it wait; false when no connection is up. */
static bool dispatch(struct pgpool *pool, struct query *query)
{
	struct connection *connection;

	while ((connection = choose(pool, query))) {
		if (query->search && (!has_room(connection) || !list_is_empty(&pool->waiting))) {
			wait_for_turn(pool, query);
			return true;
		}
		if (send_query(connection, query))
			return true;
	}
	return false;
}

/* Those that are still wanted, as far as there is room. */
static void send_waiting(struct pgpool *pool)
{
	while (!list_is_empty(&pool->waiting)) {
		struct query *query = waiting_at(pool->waiting.next);
		bool wanted = is_wanted(pool, query);
		struct connection *connection = wanted ? choose(pool, query) : NULL;
		if (connection && !has_room(connection))
			break;
		pool->round = query->round;
		if (connection) {
			send_query(connection, query); /* or the connection is broken, and it goes on waiting */
			continue;
		}
		list_remove(&query->link);
		if (wanted)
			fail(query, ERR_DATABASE, err_sentence(ERR_DATABASE));
		query_free(pool, query);
	}
}

void pgpool_flush(struct pgpool *pool)
{
	send_waiting(pool);
	for (size_t i = 0; i < pool->n_connections; i++)
		if (pool->connections[i].group)
			close_group(&pool->connections[i]);
}

bool pgpool_query(struct pgpool *pool, const struct pgpool_query *what, struct err *err)
{
	struct query *query = query_new(pool, what);

	if (dispatch(pool, query))
		return true;
	query_free(pool, query);
	return err_set(err, ERR_DATABASE, "%s", err_sentence(ERR_DATABASE));
}

static void retry_or_fail(struct pgpool *pool, struct query *query)
{
	list_remove(&query->link);
	if (is_wanted(pool, query)) {
		if (!query->again) {
			query->again = true;
			if (dispatch(pool, query))
				return;
		}
		fail(query, ERR_DATABASE, err_sentence(ERR_DATABASE));
	}
	query_free(pool, query);
}

/* A lost connection is news; that it cannot be made again, only now and then. */
static void log_loss(const struct connection *connection, const char *why)
{
	int64_t now_us = clock_monotonic_us();

	if (connection->state == READY) {
		log_event(LOG_WARN, "database", "a connection was lost: %s", why);
	} else if (now_us - connection->pool->told_us >= TELL_EVERY_US) {
		log_event(LOG_WARN, "database", "cannot connect: %s", why);
		connection->pool->told_us = now_us;
	}
}

/* Closes the connection; it is opened again after the back-off. */
static void take_down(struct connection *connection, const char *why)
{
	struct list lost;

	log_loss(connection, why);
	loop_forget(connection->pool->loop, &connection->source);
	PQclear(connection->error);
	PQfinish(connection->pg);
	connection->error = NULL;
	connection->pg = NULL;
	connection->state = DOWN;
	connection->broken = false;
	connection->group = NULL;
	connection->n_group = 0;
	connection->sent_marks = 0;
	connection->back_marks = 0;
	connection->n_searches = 0;
	connection->first_byte = 0;
	connection->changed_us = clock_monotonic_us() + connection->backoff_us;
	connection->backoff_us *= 2;
	if (connection->backoff_us > BACKOFF_MAX_US)
		connection->backoff_us = BACKOFF_MAX_US;
	list_init(&lost);
	while (!list_is_empty(&connection->queries))
		list_append(&lost, connection->queries.next);
	connection->n_queries = 0;
	while (!list_is_empty(&lost))
		retry_or_fail(connection->pool, list_owner(lost.next, struct query, link));
}

/* PostgreSQL's words without the newline; they go to the log only. */
static const char *last_words(const struct connection *connection, char out[256])
{
	struct str words = str_of(PQerrorMessage(connection->pg));

	while (words.n && words.p[words.n - 1] == '\n')
		words.n--;
	snprintf(out, 256, "%.*s", STR_ARG(words));
	return out;
}

static void lost(struct connection *connection)
{
	char words[256];

	take_down(connection, last_words(connection, words));
}

static void connect_now(struct connection *connection, int64_t now_us)
{
	static const char *const names[] = {"dbname", "fallback_application_name", "tcp_user_timeout",
	        "keepalives_idle", "keepalives_interval", "keepalives_count", "client_encoding", NULL};
	const char *values[] = {connection->pool->settings->pg, "gateway", "5000", "5", "2", "3", "UTF8", NULL};

	connection->pg = PQconnectStartParams(names, values, 1);
	if (!connection->pg)
		log_die("memory", "out of memory");
	connection->state = CONNECTING;
	connection->changed_us = now_us;
	if (PQstatus(connection->pg) == CONNECTION_BAD)
		lost(connection);
	else
		watch(connection, true);
}

/* The session's settings first; a failure of one statement makes the rest fail, which is what we want. */
static bool send_set_up(struct connection *connection)
{
	static const char session[] =
	        "SELECT set_config('search_path', $1, false),"
	        " set_config('statement_timeout', $2, false), set_config('default_transaction_read_only', 'on', false)";
	const char *values[] = {connection->pool->settings->pg_schema, STATEMENT_TIMEOUT};

	if (PQsetnonblocking(connection->pg, 1) || !PQenterPipelineMode(connection->pg) ||
	        !PQsendQueryParams(connection->pg, session, ARRAY_LEN(values), NULL, values, NULL, NULL, 0))
		return false;
	for (size_t t = 0; t < connection->pool->n_tables; t++) {
		const struct statement_table *table = &connection->pool->tables[t];
		for (size_t i = 0; i < table->n; i++) {
			if (!PQsendPrepare(
			            connection->pg, table->statements[i].name, table->statements[i].sql, 0, NULL))
				return false;
		}
	}
	return PQpipelineSync(connection->pg);
}

static void set_up(struct connection *connection)
{
	connection->state = SETTING_UP;
	connection->changed_us = clock_monotonic_us();
	if (send_set_up(connection))
		flush(connection);
	else
		connection->broken = true;
}

static void go_on_connecting(struct connection *connection)
{
	PostgresPollingStatusType status = PQconnectPoll(connection->pg);

	if (status == PGRES_POLLING_FAILED) {
		connection->broken = true;
	} else if (status == PGRES_POLLING_OK) {
		set_up(connection);
	} else {
		/* libpq may have opened another socket with the same number: start watching afresh */
		loop_forget(connection->pool->loop, &connection->source);
		loop_watch(connection->pool->loop, &connection->source, PQsocket(connection->pg),
		        status == PGRES_POLLING_READING ? EPOLLIN : EPOLLOUT);
	}
}

static void become_ready(struct connection *connection)
{
	connection->state = READY;
	connection->backoff_us = BACKOFF_FIRST_US;
	if (!connection->pool->was_up)
		log_event(LOG_INFO, "database", "connected");
	connection->pool->was_up = true;
}

/* A result while SETTING_UP; the sync mark ends it. */
static void take_set_up_result(struct connection *connection, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_PIPELINE_SYNC) {
		if (!connection->broken)
			become_ready(connection);
	} else if (status == PGRES_FATAL_ERROR) {
		log_event(LOG_ERROR, "database", "a statement cannot be prepared (is the database migrated?): %s",
		        PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		connection->broken = true;
	}
	PQclear(result);
}

static void tell(struct query *query, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
		query->what.on_result(query->what.context, query->what.number, result, NULL);
		return;
	}
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	enum err_code code = db_error_code(state);
	/* The primary line of PostgreSQL's message names no values of ours. */
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	log_event(code == ERR_DATABASE ? LOG_WARN : LOG_ERROR, "database", "%s failed: %s %s",
	        query->what.statement ? query->what.statement : "dynamic query", state ? state : "-",
	        words ? words : "-");
	fail(query, code, err_sentence(code));
}

static struct query *take_front(struct connection *connection)
{
	struct query *query = list_owner(connection->queries.next, struct query, link);

	list_remove(&query->link);
	connection->n_queries--;
	connection->n_searches -= query->search;
	connection->answered_us = clock_monotonic_us();
	connection->first_byte = 0;
	return query;
}

static void complete(struct connection *connection, const PGresult *result)
{
	struct query *query = take_front(connection);

	if (is_wanted(connection->pool, query))
		tell(query, result);
	query_free(connection->pool, query);
}

/* One of its group failed before it. */
static void send_alone(struct connection *connection)
{
	struct query *query = take_front(connection);

	query->group = NULL;
	if (is_wanted(connection->pool, query)) {
		if (dispatch(connection->pool, query))
			return;
		fail(query, ERR_DATABASE, err_sentence(ERR_DATABASE));
	}
	query_free(connection->pool, query);
}

/* Is there a query of the group that results come of now? */
static bool group_has_query(const struct connection *connection)
{
	return connection->n_queries &&
	       list_owner(connection->queries.next, struct query, link)->mark == connection->back_marks;
}

/* The error was its query's alone, since the session goes on; what is left of its group was not run. An error behind
 * the group's last result, of the commit, is nobody's: all of them have been answered. */
static void end_group(struct connection *connection)
{
	PGresult *error = connection->error;

	connection->error = NULL;
	if (error && group_has_query(connection))
		complete(connection, error);
	PQclear(error);
	while (group_has_query(connection))
		send_alone(connection);
	connection->back_marks++;
}

/* When the connection is lost, libpq makes an error of that, too, whether or not a query waits. */
static void take_result(struct connection *connection, PGresult *result)
{
	if (connection->state == SETTING_UP) {
		take_set_up_result(connection, result);
		return;
	}
	switch (PQresultStatus(result)) {
	case PGRES_PIPELINE_SYNC:
		end_group(connection);
		break;
	case PGRES_PIPELINE_ABORTED:
		break; /* the sync mark tells */
	case PGRES_FATAL_ERROR:
		PQclear(connection->error);
		connection->error = result;
		return;
	default:
		if (group_has_query(connection))
			complete(connection, result);
	}
	PQclear(result);
}

static bool expects_results(const struct connection *connection)
{
	return !connection->broken && (connection->state == SETTING_UP || connection->n_queries > 0 ||
	                                      connection->sent_marks > connection->back_marks);
}

/* Nothing else ends a result in the middle: what libpq has of it goes with the connection. The other queries are sent
 * again on others. */
static void give_up_result(struct connection *connection)
{
	struct query *query = take_front(connection);

	if (is_wanted(connection->pool, query))
		fail(query, ERR_INVALID, "The answer would be too large: ask for a smaller page");
	query_free(connection->pool, query);
	take_down(connection, "a result was too large");
}

/* libpq does not tell how much it has of a result that is not complete. A Unix socket does not, either: there nothing
 * is too large. */
static bool is_too_large(struct connection *connection)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	if (connection->broken || !connection->n_queries ||
	        getsockopt(PQsocket(connection->pg), IPPROTO_TCP, TCP_INFO, &info, &n))
		return false;
	if (!connection->first_byte)
		connection->first_byte = info.tcpi_bytes_received;
	return info.tcpi_bytes_received - connection->first_byte > RESULT_MAX_BYTES;
}

static void read_results(struct connection *connection)
{
	int empty = 0;

	if (!PQconsumeInput(connection->pg)) {
		connection->broken = true;
		return;
	}
	/* A NULL ends one query's results; two of them in a row: there is nothing more. */
	while (expects_results(connection) && !PQisBusy(connection->pg) && empty < 2) {
		PGresult *result = PQgetResult(connection->pg);
		empty = result ? 0 : empty + 1;
		if (result)
			take_result(connection, result);
	}
	if (PQstatus(connection->pg) == CONNECTION_BAD)
		connection->broken = true;
}

static void on_ready(void *context, uint32_t events)
{
	struct connection *connection = context;

	if (connection->state == CONNECTING) {
		go_on_connecting(connection);
	} else if (connection->state != DOWN) {
		if (events & ~(uint32_t)EPOLLOUT)
			read_results(connection);
		if (is_too_large(connection)) {
			give_up_result(connection);
			return;
		}
		if (!connection->broken)
			flush(connection);
	}
	if (connection->broken)
		lost(connection);
}

struct pgpool *pgpool_new(const struct settings *settings, int loop, struct pending *pending,
        const struct statement_table *tables, size_t n_tables)
{
	size_t n = (size_t)settings->pg_connections;
	struct err err = {0};
	struct pgpool *pool = calloc(1, sizeof(*pool) + n * sizeof(pool->connections[0]));

	if (!pool)
		log_die("memory", "out of memory");
	*pool = (struct pgpool){.settings = settings,
	        .loop = loop,
	        .pending = pending,
	        .tables = tables,
	        .n_tables = n_tables,
	        .n_connections = n};
	list_init(&pool->free_queries);
	list_init(&pool->waiting);
	if (!db_uri_check(settings->pg, &err))
		log_die("settings", "%s", err.message);
	for (size_t i = 0; i < n; i++) {
		struct connection *connection = &pool->connections[i];
		connection->pool = pool;
		connection->source = (struct loop_source){.ready = on_ready, .context = connection, .fd = -1};
		connection->search = i < n / 2;
		connection->backoff_us = BACKOFF_FIRST_US;
		list_init(&connection->queries);
	}
	pgpool_tick(pool, clock_monotonic_us());
	return pool;
}

static bool hangs(const struct connection *connection, int64_t now_us)
{
	if (connection->state != READY)
		return now_us - connection->changed_us > CONNECT_US;
	if (connection->n_queries == 0)
		return false;
	/* it may have stood behind others, each of which may take as long as a statement may */
	int64_t since_us = list_owner(connection->queries.next, struct query, link)->sent_us;
	if (since_us < connection->answered_us)
		since_us = connection->answered_us;
	return now_us - since_us > SILENCE_US;
}

void pgpool_tick(struct pgpool *pool, int64_t now_us)
{
	for (size_t i = 0; i < pool->n_connections; i++) {
		struct connection *connection = &pool->connections[i];
		if (connection->state == DOWN) {
			if (now_us >= connection->changed_us)
				connect_now(connection, now_us);
		} else if (connection->broken) {
			lost(connection);
		} else if (hangs(connection, now_us)) {
			take_down(connection, "no answer in time");
		}
	}
	if (!pgpool_is_up(pool))
		pool->was_up = false;
}

bool pgpool_is_up(const struct pgpool *pool)
{
	for (size_t i = 0; i < pool->n_connections; i++) {
		if (pool->connections[i].state == READY)
			return true;
	}
	return false;
}
