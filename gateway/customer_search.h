#ifndef GATEWAY_CUSTOMER_SEARCH_H
#define GATEWAY_CUSTOMER_SEARCH_H

#include "gateway/sort.h"

struct arena;

/* A search lists at most so many customers, the first ones in its order; its total says no more either. */
#define CUSTOMER_SEARCH_MAX 10000

struct customer_search {
	struct attribute_source source;
	struct str external_id; /* absent: any */
	struct str query;       /* absent: all */
	struct sort sort;       /* no keys: last update first */
};

/*
 * Makes the statement; its rows are the total and CUSTOMER_ROW_COLUMNS, or the total and nulls when the page is empty;
 * its parameters are $1 workspace, $2 node, $3 the values of sql, $4 limit, $5 offset (bigint). Pure. Fails for what is
 * wrong with the query.
 *
 * The matching customers are collected first, up to one more than CUSTOMER_SEARCH_MAX, and then counted and put in
 * order: so PostgreSQL cannot bet on finding a page's customers early in an index on the order, which costs seconds
 * when few match. Only when there are more does a second part go through them in order.
 */
bool customer_search_sql(
        struct arena *arena, const struct customer_search *search, struct sql *ret_sql, struct err *err) must_check;

/* Part of a page (number from 0, size at least 1) that can be reached: limit 0 behind the end. */
void customer_search_window(int64_t number, int64_t size, int64_t *ret_limit, int64_t *ret_offset);

#endif
