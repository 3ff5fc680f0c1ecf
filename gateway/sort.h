#ifndef GATEWAY_SORT_H
#define GATEWAY_SORT_H

#include "common/err.h"
#include "gateway/attribute.h"

/*
 * Order of a list, from query parameters "field", "field,asc" or "field,desc" (either case); several fields may share
 * one parameter, and a direction goes for the fields before it that have none. Missing values come last in both
 * directions, ties are broken by id.
 */
#define SORT_MAX_KEYS 4

struct sort_key {
	struct attribute attribute;
	bool descending;
};

struct sort {
	struct sort_key keys[SORT_MAX_KEYS];
	size_t n;
};

/* Adds the fields of one parameter; an empty one adds none. Pure. Refused with ERR_INVALID: unknown fields, objects,
   fields inside lists, words that are no direction. */
bool sort_parse(struct sort *sort, const struct attribute_source *source, struct str text, struct err *err) must_check;

/* One field that is known to exist. */
void sort_add(struct sort *sort, const struct attribute_source *source, struct str path, bool descending);

/* Adds ", <key> AS k1, ..." to the columns of a SELECT. */
void sort_add_columns(struct sql *sql, const struct sort *sort);
/* Adds "k1 DESC NULLS LAST, ..., id", each name behind `prefix` ("p."). */
void sort_add_order(struct sql *sql, const struct sort *sort, const char *prefix);

#endif
