#ifndef GATEWAY_SQL_H
#define GATEWAY_SQL_H

#include "common/buf.h"
#include "common/db.h"

/*
 * SQL text made for one request: fixed fragments and numbers only. Every value, also every name that came with the
 * request, goes into one text[] parameter ($3) and is named by its number there, as "($3::text[])[7]"; lists and paths
 * are slices of it. So no request can put words into the text, a query is not bound to the number of parameters that a
 * statement may have, and PostgreSQL folds the element to a constant when it plans, so that indexes are used.
 */
#define SQL_VALUES "($3::text[])"

struct sql {
	struct buf text;
	struct buf values; /* struct str each */
};

void sql_init(struct sql *sql, struct arena *arena);

/* Fixed fragments. */
void sql_add(struct sql *sql, const char *fragment);

/* Keeps a value (not copied) and returns its number, from 1. */
size_t sql_keep(struct sql *sql, struct str value);
size_t sql_count(const struct sql *sql);
struct str sql_value(const struct sql *sql, size_t number);

/* "($3::text[])[n]" for a new value; "($3::text[])[first:last]" for kept ones. */
void sql_add_value(struct sql *sql, struct str value);
void sql_add_slice(struct sql *sql, size_t first, size_t last);

/* Adds the parameter. */
void sql_param(const struct sql *sql, struct db_params *params);

#endif
