#include "workers/stats_rollup/gaps.h"

#include "common/arena.h"

#include <stdlib.h>

struct found {
	struct arena *arena;
	struct gap *gaps;
	size_t n, room;
};

/* A person's days in one context, or in all: what came before the day that is looked at. */
struct past {
	int32_t one, two; /* the last day, and the one before it */
	int64_t one_n;
};

/* The days before that make a day's gaps: its own measure's, and for a buyer's first and second order. */
struct reach {
	bool own, orders, second;
	int32_t own_day, orders_day;
};

static int compare_people(const struct person *a, const struct person *b)
{
	int order = uuid_compare(&a->workspace, &b->workspace);

	if (!order)
		order = uuid_compare(&a->node, &b->node);
	if (!order)
		order = uuid_compare(&a->id, &b->id);
	return order ? order : (a->kind > b->kind) - (a->kind < b->kind);
}

static int compare_days(const void *left, const void *right)
{
	const struct person_day *a = left, *b = right;
	int order = compare_people(&a->person, &b->person);

	if (!order)
		order = (a->day > b->day) - (a->day < b->day);
	return order ? order : str_compare(a->context, b->context);
}

static int compare_gaps(const void *left, const void *right)
{
	const struct gap *a = left, *b = right;
	int order = uuid_compare(&a->workspace, &b->workspace);

	if (!order)
		order = uuid_compare(&a->node, &b->node);
	if (!order)
		order = (a->measure > b->measure) - (a->measure < b->measure);
	if (!order)
		order = str_compare(a->context, b->context);
	if (!order)
		order = (a->day > b->day) - (a->day < b->day);
	return order ? order : (a->last_day > b->last_day) - (a->last_day < b->last_day);
}

static void add_gap(struct found *found, const struct gap *gap)
{
	if (found->n == found->room) {
		struct gap *wider = arena_alloc(found->arena, 2 * found->room * sizeof(*wider));
		memcpy(wider, found->gaps, found->n * sizeof(*wider));
		found->gaps = wider;
		found->room *= 2;
	}
	found->gaps[found->n++] = *gap;
}

/*
 * As stat_gaps_of has it: a first or second order has fewer than two orders between the range's start and itself, so
 * its last order but one lies before the range; of several orders of one day, the day before is enough.
 */
static struct reach reach_of(const struct past *past, int64_t n, int16_t kind)
{
	bool buyer = kind == KIND_BUYER;

	return (struct reach){.own = n > 0,
	        .orders = n > 0 && buyer,
	        .second = n > 1 && buyer,
	        .own_day = past->one,
	        .orders_day = past->one_n > 1 ? past->one : past->two};
}

static void go_on(struct past *past, int32_t day, int64_t n)
{
	if (!n)
		return;
	past->two = past->one;
	past->one = day;
	past->one_n = n;
}

static void add_reach(struct found *found, struct gap gap, int16_t kind, const struct reach *reach, int sign)
{
	gap.n = sign;
	gap.measure = kind;
	gap.last_day = reach->own_day;
	if (reach->own)
		add_gap(found, &gap);
	gap.measure = MEASURE_ORDERS;
	if (reach->second)
		add_gap(found, &gap);
	gap.last_day = reach->orders_day;
	if (reach->orders)
		add_gap(found, &gap);
}

static bool same_reach(const struct reach *a, const struct reach *b)
{
	return a->own == b->own && a->second == b->second && a->own_day == b->own_day && a->orders_day == b->orders_day;
}

/* Of one person; context absent: all. A day whose gaps reach as far as before changes nothing. */
static void add_gaps(struct found *found, const struct person_day *days, size_t n, struct str context)
{
	struct past was = {.one = DAY_NEVER, .two = DAY_NEVER}, is = was;
	const struct person *person = &days->person;

	for (size_t i = 0, next; i < n; i = next) {
		int64_t before = 0, after = 0;
		for (next = i; next < n && days[next].day == days[i].day; next++) {
			if (context.p && !str_eq(days[next].context, context))
				continue;
			before += days[next].before;
			after += days[next].after;
		}
		struct reach old = reach_of(&was, before, person->kind), new = reach_of(&is, after, person->kind);
		struct gap gap = {.workspace = person->workspace,
		        .node = person->node,
		        .context = context.p ? context : STR(""),
		        .day = days[i].day};
		if (!same_reach(&old, &new)) {
			add_reach(found, gap, person->kind, &old, -1);
			add_reach(found, gap, person->kind, &new, 1);
		}
		go_on(&was, days[i].day, before);
		go_on(&is, days[i].day, after);
	}
}

/* Each context once. There are few of them, and a buyer may have very many days. */
static struct str *contexts_of(const struct person_day *days, size_t n, struct arena *arena, size_t *ret_n)
{
	struct str *contexts = arena_alloc(arena, n * sizeof(*contexts));

	*ret_n = 0;
	for (size_t i = 0, known; i < n; i++) {
		for (known = 0; known < *ret_n && !str_eq(contexts[known], days[i].context);)
			known++;
		if (known == *ret_n)
			contexts[(*ret_n)++] = days[i].context;
	}
	return contexts;
}

static void add_gaps_of_contexts(struct found *found, const struct person_day *days, size_t n)
{
	size_t n_contexts;
	const struct str *contexts = contexts_of(days, n, found->arena, &n_contexts);

	for (size_t i = 0; i < n_contexts; i++)
		add_gaps(found, days, n, contexts[i]);
}

/* Adds the rows up that name the same; returns how many are left. */
static size_t merge_days(struct person_day *days, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (kept && !compare_days(&days[kept - 1], &days[i])) {
			days[kept - 1].before += days[i].before;
			days[kept - 1].after += days[i].after;
		} else {
			days[kept++] = days[i];
		}
	}
	return kept;
}

/* The same for gaps; those that come to nothing are left out. */
static size_t merge_gaps(struct gap *gaps, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0, next; i < n; i = next) {
		struct gap sum = gaps[i];
		for (next = i + 1; next < n && !compare_gaps(&gaps[i], &gaps[next]); next++)
			sum.n += gaps[next].n;
		if (sum.n)
			gaps[kept++] = sum;
	}
	return kept;
}

struct gap *gaps_of(struct person_day *days, size_t n, struct arena *arena, size_t *ret_n)
{
	struct found found = {.arena = arena, .room = 64};

	found.gaps = arena_alloc(arena, found.room * sizeof(*found.gaps));
	if (n)
		qsort(days, n, sizeof(*days), compare_days);
	n = merge_days(days, n);
	for (size_t i = 0, next; i < n; i = next) {
		for (next = i + 1; next < n && !compare_people(&days[i].person, &days[next].person);)
			next++;
		add_gaps(&found, days + i, next - i, STR_NONE);
		if (days[i].person.kind == KIND_BUYER)
			add_gaps_of_contexts(&found, days + i, next - i);
	}
	qsort(found.gaps, found.n, sizeof(*found.gaps), compare_gaps);
	*ret_n = merge_gaps(found.gaps, found.n);
	return found.gaps;
}
