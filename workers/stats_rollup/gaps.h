#ifndef WORKERS_STATS_ROLLUP_GAPS_H
#define WORKERS_STATS_ROLLUP_GAPS_H

#include "common/uuid.h"

struct arena;

/* Pure: how the gaps between people's days change (deploy/sql/011_people_of_ranges.sql tells what they are for). */

/* Kinds of stat_people, and the measures of stat_gaps: these, and one more. */
enum { KIND_BUYER = 1, KIND_VISITOR = 2, KIND_SESSION = 3, MEASURE_ORDERS = 4 };

/* Whose days: a row's key without its day and context. */
struct person {
	struct uuid workspace, node, id;
	int16_t kind;
};

/* A row of stat_people: how often somebody was there on a day in a context, before and after the batch. */
struct person_day {
	struct person person;
	int32_t day; /* since 2000-01-01, as PostgreSQL counts */
	struct str context;
	int64_t before, after; /* 0 = not there */
};

#define DAY_NEVER INT32_MIN

struct gap {
	struct uuid workspace, node;
	int16_t measure;
	struct str context; /* "": all */
	int32_t day, last_day;
	int64_t n; /* how many more there are now */
};

/*
 * The gaps that change, in the order of their key. `days` may be in any order and name a row twice (the numbers add
 * up); it is sorted. Of a buyer it holds all days, of others at least those that change and those next to them.
 * Contexts are the caller's memory, in what is returned, too.
 */
struct gap *gaps_of(struct person_day *days, size_t n, struct arena *arena, size_t *ret_n);

#endif
