#ifndef COMMON_ROWS_H
#define COMMON_ROWS_H

#include "common/db.h"

struct arena;

/* Rows on their way to a statement: one array per column, for unnest. */
#define ROWS_MAX_COLUMNS 14

struct rows {
	struct arena *arena;
	int n_columns;
	struct db_array columns[ROWS_MAX_COLUMNS];
};

/* types: one letter per column: u uuid, l bigint, i integer, s smallint, b boolean, t text, j json, J jsonb, x bytea.
 */
void rows_init(struct rows *rows, struct arena *arena, const char *types);

static inline int rows_count(const struct rows *rows)
{
	return rows->columns[0].n;
}

/* Adds the columns to a statement's parameters. */
void rows_add_params(struct rows *rows, struct db_params *params);

/* Queues the statement with the rows as its only parameters; its result is to be read. */
bool rows_send(struct rows *rows, struct db *db, const char *statement, struct err *err) must_check;

/* Queues the statement, if there are rows, and expects it to affect n_affected rows (-1: any). */
bool rows_write(
        struct rows *rows, struct db *db, const char *statement, int64_t n_affected, struct err *err) must_check;

#endif
