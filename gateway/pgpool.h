#ifndef GATEWAY_PGPOOL_H
#define GATEWAY_PGPOOL_H

#include "common/db.h"

struct pending;

/*
 * Reads from PostgreSQL without blocking: some connections in pipeline mode inside the event loop, statements prepared
 * on each, results in binary. Sessions are read-only and have a statement timeout. A query whose connection is lost is
 * sent once more on another one; reads may be repeated. Searches (dynamic SQL, and statements that may scan) have
 * connections of their own (half of them, when there are two or more), so that a slow one does not hold up reads by id
 * that were queued behind it. Few of them are sent ahead: those whose request is over before their turn comes are never
 * run.
 */
struct pgpool;

/* Groups of statements that every connection prepares. */
struct statement_table {
	const struct statement *statements;
	size_t n;
};

/*
 * Called once per accepted query, never from within pgpool_query. result has rows and is valid during the call; NULL
 * with err: ERR_DATABASE (try later), ERR_INVALID (a value that PostgreSQL cannot work with, or a result of more than
 * 96 MiB) or ERR_INTERNAL.
 */
typedef void pgpool_result_fn(void *context, uint64_t number, const PGresult *result, const struct err *err);

struct pgpool_query {
	const char *statement;          /* a row of the tables, or NULL for */
	const char *sql;                /* dynamic text, which must live as long as the query is wanted */
	const struct db_params *params; /* or NULL; the same for its values */
	pgpool_result_fn *on_result;
	void *context;
	/* Of the request that waits in `pending`: when it is not there any more, the result is dropped. 0 = always
	 * wanted. */
	uint64_t number;
	const void *owner; /* searches that wait for a connection take turns by owner */
};

/* Starts connecting. What it is given must live as long as the pool, which is never freed. */
struct pgpool *pgpool_new(const struct settings *settings, int loop, struct pending *pending,
        const struct statement_table *tables, size_t n_tables);

/* False with ERR_DATABASE when no connection is up or all have their fill: on_result is not called then. */
bool pgpool_query(struct pgpool *pool, const struct pgpool_query *query, struct err *err) must_check;

/* At the end of each turn: what has been gathered leaves. */
void pgpool_flush(struct pgpool *pool);

/* At least ten times a second: connects again, gives up connections that do not answer. */
void pgpool_tick(struct pgpool *pool, int64_t now_us);
bool pgpool_is_up(const struct pgpool *pool);

#endif
