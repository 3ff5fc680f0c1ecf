#ifndef COMMON_EVENT_YEARS_H
#define COMMON_EVENT_YEARS_H

#include "common/db.h"

/*
 * From when to when events were registered, at most. Events lie in a table for each year, and every one of them costs a
 * statement some microseconds, even those that are empty: one that is told between which times to look leaves the
 * others out before it begins. Only parameters do that, so they are asked for beforehand.
 */
struct event_years {
	bool any; /* there are events */
	int64_t first_us, last_us;
};

/* A statement without parameters: the first and last microsecond of the years whose tables hold rows, or nulls. OFFSET
 * 0 keeps the planner from asking the file system for the size of every table that there is. */
#define EVENT_YEARS_SQL                                                                                                \
	"SELECT min(y.a), max(y.z) FROM (SELECT CASE WHEN x.year > 0 THEN (extract(epoch FROM "                        \
	"make_timestamptz(x.year, 1, 1, 0, 0, 0, 'UTC')) * 1000000)::bigint ELSE -9223372036854775808 END AS a, "      \
	"CASE WHEN x.year > 0 THEN (extract(epoch FROM make_timestamptz(x.year + 1, 1, 1, 0, 0, 0, 'UTC')) * "         \
	"1000000)::bigint - 1 ELSE 9223372036854775807 END AS z FROM (SELECT "                                         \
	"substring(c.relname FROM '^events_([0-9]{4})$')::integer AS year FROM (SELECT c.oid, c.relname FROM "         \
	"pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass OFFSET 0) c "      \
	"WHERE pg_relation_size(c.oid) > 0) x) y"

struct event_years event_years_read(const PGresult *rows);

/* Adds the two times, for BETWEEN; nulls, which nothing is between, when there are no events. */
void event_years_params(const struct event_years *years, struct db_params *params);

#endif
