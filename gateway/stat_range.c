#include "gateway/stat_range.h"

#include "common/clock.h"

#include <time.h>

#define SECOND_US 1000000LL
#define DAY_SECONDS 86400
#define WEEK_DAYS 7
#define FIRST_MONDAY 4 /* 1970-01-05 */

const char *const stat_mode_names[3] = {"DAILY", "WEEKLY", "MONTHLY"};

/* The same moment so many months earlier; the last day of a shorter month stands for the days that it lacks. */
static int64_t months_before(int64_t time_us, int months)
{
	int64_t fraction_us = (time_us % SECOND_US + SECOND_US) % SECOND_US;
	time_t seconds = (time_t)((time_us - fraction_us) / SECOND_US);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm))
		return time_us;
	int month = tm.tm_year * 12 + tm.tm_mon - months;
	tm.tm_year = month / 12;
	tm.tm_mon = month % 12;
	if (tm.tm_mon < 0) {
		tm.tm_mon += 12;
		tm.tm_year--;
	}
	int most = date_days_in_month(tm.tm_year + 1900, tm.tm_mon + 1);
	if (tm.tm_mday > most)
		tm.tm_mday = most;
	return (int64_t)timegm(&tm) * SECOND_US + fraction_us;
}

static bool read_time(
        struct str text, const char *path, int64_t fallback_us, int64_t *ret_us, struct problems *problems)
{
	*ret_us = fallback_us;
	if (!text.n)
		return false;
	if (time_parse(text, ret_us))
		return true;
	problems_add(problems, str_of(path), "must be a date-time");
	return false;
}

static enum stat_mode read_mode(const struct stat_range_rule *rule, struct str text, struct problems *problems)
{
	if (!rule->has_mode || !text.n)
		return rule->mode;
	for (enum stat_mode mode = STAT_DAILY; mode <= STAT_MONTHLY; mode++)
		if (str_is(text, stat_mode_names[mode]))
			return mode;
	problems_add(problems, STR("/mode"), "must be DAILY, WEEKLY or MONTHLY");
	return rule->mode;
}

bool stat_range_read(const struct stat_range_rule *rule, struct str start, struct str end, struct str mode,
        int64_t now_us, struct stat_range *ret_range, struct problems *problems)
{
	size_t n_before = problems->n;

	ret_range->mode = read_mode(rule, mode, problems);
	read_time(end, "/end", now_us, &ret_range->end_us, problems);
	read_time(start, "/start", months_before(ret_range->end_us, rule->default_months), &ret_range->start_us,
	        problems);
	if (problems->n > n_before)
		return false;
	if (ret_range->start_us > ret_range->end_us) {
		problems_add(problems, STR("/start"), "must not be later than end");
		return false;
	}
	int64_t earliest_us = months_before(ret_range->end_us, rule->limit_months[ret_range->mode]);
	if (ret_range->start_us < earliest_us)
		ret_range->start_us = earliest_us;
	return true;
}

static struct tm date_of(int32_t day)
{
	time_t seconds = (time_t)day * DAY_SECONDS;
	struct tm tm = {0};

	gmtime_r(&seconds, &tm);
	return tm;
}

int32_t stat_step_of(int32_t day, enum stat_mode mode)
{
	int32_t since_monday = (day - FIRST_MONDAY) % WEEK_DAYS;

	if (mode == STAT_DAILY)
		return day;
	if (mode == STAT_WEEKLY)
		return day - (since_monday < 0 ? since_monday + WEEK_DAYS : since_monday);
	return day - (date_of(day).tm_mday - 1);
}

int32_t stat_step_next(int32_t step, enum stat_mode mode)
{
	if (mode == STAT_DAILY)
		return step + 1;
	if (mode == STAT_WEEKLY)
		return step + WEEK_DAYS;
	struct tm tm = date_of(step);
	return step + date_days_in_month(tm.tm_year + 1900, tm.tm_mon + 1);
}
