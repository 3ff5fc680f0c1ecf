#include "common/clock.h"

#include <time.h>

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)
/* 0000-01-01T00:00:00 and the last microsecond of year 9999. */
#define TIME_MIN_US (-719528 * DAY_US)
#define TIME_MAX_US (2932897 * DAY_US - 1)

static int64_t clock_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

/*
 * Days since 1970-01-01 in the proleptic Gregorian calendar and back. Years are counted from March, so that the leap
 * day is the last of its year; 400 such years have 146097 days, and day 0 of that count is 0000-03-01, 719468 days
 * before 1970.
 */
static int64_t days_from_date(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;

	*ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	*ret_month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
	*ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

static void put_digits(char *out, unsigned value, size_t n)
{
	while (n--) {
		out[n] = (char)('0' + value % 10);
		value /= 10;
	}
}

void time_format(int64_t time_us, char out[TIME_TEXT_BYTES + 1])
{
	int year, month, day;
	int64_t days, ms;

	if (time_us < TIME_MIN_US)
		time_us = TIME_MIN_US;
	if (time_us > TIME_MAX_US)
		time_us = TIME_MAX_US;
	days = (time_us - TIME_MIN_US) / DAY_US + TIME_MIN_US / DAY_US;
	ms = (time_us - days * DAY_US) / 1000;
	date_from_days(days, &year, &month, &day);
	memcpy(out, "0000-00-00T00:00:00.000+0000", TIME_TEXT_BYTES + 1);
	put_digits(out, (unsigned)year, 4);
	put_digits(out + 5, (unsigned)month, 2);
	put_digits(out + 8, (unsigned)day, 2);
	put_digits(out + 11, (unsigned)(ms / 3600000), 2);
	put_digits(out + 14, (unsigned)(ms / 60000 % 60), 2);
	put_digits(out + 17, (unsigned)(ms / 1000 % 60), 2);
	put_digits(out + 20, (unsigned)(ms % 1000), 3);
}

/* Takes exactly n digits off the front. */
static bool take_digits(struct str *rest, size_t n, int max, int *ret_value)
{
	int value = 0;

	if (rest->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (rest->p[i] < '0' || rest->p[i] > '9')
			return false;
		value = value * 10 + (rest->p[i] - '0');
	}
	rest->p += n;
	rest->n -= n;
	*ret_value = value;
	return value <= max;
}

static bool take_char(struct str *rest, char c)
{
	if (!rest->n || rest->p[0] != c)
		return false;
	rest->p++;
	rest->n--;
	return true;
}

int date_days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct str *rest, int64_t *ret_days)
{
	int year, month, day;

	if (!take_digits(rest, 4, 9999, &year) || !take_char(rest, '-') || !take_digits(rest, 2, 12, &month) ||
	        !take_char(rest, '-') || !take_digits(rest, 2, 31, &day))
		return false;
	if (month < 1 || day < 1 || day > date_days_in_month(year, month))
		return false;
	*ret_days = days_from_date(year, month, day);
	return true;
}

/* '.' and one to nine digits; what is finer than a microsecond is dropped. */
static bool take_fraction(struct str *rest, int64_t *ret_us)
{
	int64_t unit_us = SECOND_US / 10;
	int digit;
	size_t n = 0;

	*ret_us = 0;
	if (!take_char(rest, '.'))
		return true;
	for (; n < 9 && take_digits(rest, 1, 9, &digit); n++, unit_us /= 10)
		*ret_us += digit * unit_us;
	return n > 0;
}

static bool take_clock(struct str *rest, int64_t *ret_us)
{
	int hour, minute, second = 0;
	int64_t fraction_us = 0;

	if (!take_digits(rest, 2, 23, &hour) || !take_char(rest, ':') || !take_digits(rest, 2, 59, &minute))
		return false;
	if (take_char(rest, ':') && !(take_digits(rest, 2, 59, &second) && take_fraction(rest, &fraction_us)))
		return false;
	*ret_us = (hour * 3600 + minute * 60 + second) * SECOND_US + fraction_us;
	return true;
}

/* Z, +hh, +hhmm, +hh:mm or nothing, up to the end of the text. */
static bool take_offset(struct str *rest, int64_t *ret_us)
{
	int hours, minutes = 0;
	bool negative;

	*ret_us = 0;
	if (!rest->n || take_char(rest, 'Z'))
		return !rest->n;
	negative = take_char(rest, '-');
	if ((!negative && !take_char(rest, '+')) || !take_digits(rest, 2, 23, &hours))
		return false;
	if (rest->n) {
		take_char(rest, ':');
		if (!take_digits(rest, 2, 59, &minutes))
			return false;
	}
	*ret_us = (hours * 3600 + minutes * 60) * SECOND_US * (negative ? -1 : 1);
	return !rest->n;
}

bool time_parse(struct str text, int64_t *ret_time_us)
{
	int64_t days, clock_part_us = 0, offset_us = 0, time_us;

	if (!take_date(&text, &days))
		return false;
	if (text.n && !(take_char(&text, 'T') && take_clock(&text, &clock_part_us) && take_offset(&text, &offset_us)))
		return false;
	time_us = days * DAY_US + clock_part_us - offset_us;
	if (time_us < TIME_MIN_US || time_us > TIME_MAX_US)
		return false;
	*ret_time_us = time_us;
	return true;
}

bool date_is_valid(struct str text)
{
	int64_t days;

	return take_date(&text, &days) && !text.n;
}
