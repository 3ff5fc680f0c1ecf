#include "gateway/stat_series.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_US (86400LL * 1000000)
/* 9999-12-31, the last day that has a name. Its end lies a day later in zones east of UTC: that day counts with it. */
#define LAST_DAY 2932896
#define POINT_FORMAT "{\"datetime\":\"%.10s\",\"value\":"
#define POINT_BYTES 33 /* of POINT_FORMAT with its date */

struct step {
	int32_t first;
	int64_t n;
	char head[POINT_BYTES + 1]; /* written once: an answer may hold each step many times */
};

struct steps {
	struct step *items;
	size_t n;
};

static void add_step(struct steps *steps, int32_t first)
{
	struct step *step = &steps->items[steps->n++];
	char text[TIME_TEXT_BYTES + 1];

	time_format(first * DAY_US, text);
	snprintf(step->head, sizeof(step->head), POINT_FORMAT, text);
	step->first = first;
}

static int32_t named_day(int32_t day)
{
	return day < LAST_DAY ? day : LAST_DAY;
}

static struct steps make_steps(struct arena *scratch, const struct stat_series *series)
{
	struct steps steps = {0};
	int32_t first = stat_step_of(named_day(series->first), series->mode), last = named_day(series->last), n = 0;

	for (int32_t step = first; step <= last; step = stat_step_next(step, series->mode))
		n++;
	steps.items = arena_zalloc(scratch, ((size_t)n + 1) * sizeof(*steps.items));
	for (int32_t step = first; step <= last; step = stat_step_next(step, series->mode))
		add_step(&steps, step);
	return steps;
}

static int compare(const void *a, const void *b)
{
	const struct stat_point *one = a, *other = b;
	int order = str_compare(one->category, other->category);

	if (!order)
		order = str_compare(one->context, other->context);
	return order ? order : (one->day > other->day) - (one->day < other->day);
}

static bool same_series(const struct stat_point *one, const struct stat_point *other)
{
	return str_eq(one->category, other->category) && str_eq(one->context, other->context);
}

/* Sums of one series' points, which are in order of their days. */
static void count(struct steps *steps, const struct stat_series *series, const struct stat_point *points, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < steps->n; i++)
		steps->items[i].n = 0;
	for (size_t i = 0; i < n; i++) {
		if (points[i].day < series->first || points[i].day > series->last)
			continue;
		while (at + 1 < steps->n && steps->items[at + 1].first <= points[i].day)
			at++;
		steps->items[at].n += points[i].n;
	}
}

static void write_values(struct buf *buf, const struct steps *steps, bool texts)
{
	for (size_t i = 0; i < steps->n; i++) {
		if (i)
			buf_add_char(buf, ',');
		buf_add(buf, steps->items[i].head, POINT_BYTES);
		if (texts)
			buf_add_char(buf, '"');
		buf_add_number(buf, steps->items[i].n);
		if (texts)
			buf_add_char(buf, '"');
		buf_add_char(buf, '}');
	}
}

static void write_series(struct buf *buf, const struct stat_series *series, struct steps *steps,
        const struct stat_point *points, size_t n)
{
	count(steps, series, points, n);
	buf_add_literal(buf, "{\"category\":");
	json_write_string(buf, series->category.p ? series->category : points->category);
	if (series->has_context) {
		buf_add_literal(buf, ",\"context\":");
		json_write_string(buf, points->context);
	}
	buf_add_literal(buf, ",\"type\":\"timeseries\",\"values\":[");
	write_values(buf, steps, series->texts);
	buf_add_literal(buf, "]}");
}

void stat_series_write(
        struct buf *buf, struct arena *scratch, const struct stat_series *series, struct stat_point *points, size_t n)
{
	struct steps steps = make_steps(scratch, series);

	buf_add_char(buf, '[');
	if (n)
		qsort(points, n, sizeof(*points), compare);
	if (series->category.p)
		write_series(buf, series, &steps, points, n);
	for (size_t i = 0, end; !series->category.p && i < n; i = end) {
		for (end = i + 1; end < n && same_series(&points[i], &points[end]);)
			end++;
		if (i)
			buf_add_char(buf, ',');
		write_series(buf, series, &steps, points + i, end - i);
	}
	buf_add_char(buf, ']');
}
