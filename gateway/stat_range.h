#ifndef GATEWAY_STAT_RANGE_H
#define GATEWAY_STAT_RANGE_H

#include "common/problems.h"

/* Ranges of time of the analytics operations. Pure. */
enum stat_mode { STAT_DAILY, STAT_WEEKLY, STAT_MONTHLY };

extern const char *const stat_mode_names[3]; /* "DAILY" */

/* What an operation allows. The API document's "date range" sentences. */
struct stat_range_rule {
	bool has_mode;
	enum stat_mode mode; /* default; the one when there is no choice */
	int default_months;  /* length of a range whose start is not given */
	int limit_months[3]; /* longest range by mode; a start before it is moved forward */
};

struct stat_range {
	int64_t start_us, end_us;
	enum stat_mode mode;
};

/*
 * Reads start, end and mode as sent (absent or empty: the default; the end is now). One problem per fault: no
 * date-time, an unknown mode, a start behind the end.
 */
bool stat_range_read(const struct stat_range_rule *rule, struct str start, struct str end, struct str mode,
        int64_t now_us, struct stat_range *ret_range, struct problems *problems);

/* Days are numbers, 0 = 1970-01-01. The step that holds a day: the day itself, its Monday, the first of its month. */
int32_t stat_step_of(int32_t day, enum stat_mode mode);
/* The step after one. */
int32_t stat_step_next(int32_t step, enum stat_mode mode);

#endif
