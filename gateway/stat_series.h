#ifndef GATEWAY_STAT_SERIES_H
#define GATEWAY_STAT_SERIES_H

#include "common/str.h"
#include "gateway/stat_range.h"

struct arena;
struct buf;

/* Counts by day become the series of an analytics answer. Pure. */
struct stat_point {
	struct str category, context; /* context is absent in series that have none */
	int32_t day;                  /* 0 = 1970-01-01 */
	int64_t n;
};

struct stat_series {
	struct str category; /* the only series, there also when nothing was counted; absent = a series for each that
	                        has points */
	bool has_context;
	bool texts; /* values are texts, not numbers */
	enum stat_mode mode;
	int32_t first, last; /* days of the range; a point outside is ignored */
};

/*
 * Writes the list `data`: series by category and context, and in each every step of the range with the sum of its
 * points, 0 without any. Sorts the points. A range without days (last before first) has no steps.
 */
void stat_series_write(
        struct buf *buf, struct arena *scratch, const struct stat_series *series, struct stat_point *points, size_t n);

#endif
