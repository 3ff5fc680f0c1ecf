#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/str.h"

/* All time comes from here. Workers use the first two only for waiting and metrics, never for data. */
int64_t clock_wall_us(void);
int64_t clock_monotonic_us(void);

#define TIME_TEXT_BYTES 28

/* "yyyy-MM-ddTHH:mm:ss.SSS+0000", the only form that every client library parses. Years 0000 to 9999. */
void time_format(int64_t time_us, char out[TIME_TEXT_BYTES + 1]);

/*
 * Reads the date-times that client libraries send: date only, or date 'T' time with optional seconds and fraction, and
 * Z, +hh, +hhmm, +hh:mm or nothing (UTC). False for anything else, also for days that do not exist.
 */
bool time_parse(struct str text, int64_t *ret_time_us);

/* month 1 to 12, of the Gregorian calendar. */
int date_days_in_month(int year, int month);

/* yyyy-MM-dd of a day that exists. */
bool date_is_valid(struct str text);

#endif
