#ifndef GATEWAY_QUERY_VALUE_H
#define GATEWAY_QUERY_VALUE_H

#include "gateway/attribute.h"

struct arena;
struct json;

/* A value of a condition, read by the type of the attribute that it is compared with. The rules are in query.h. */
struct query_value {
	struct str text;      /* what SQL compares with: text, number, true/false, yyyy-MM-dd, microseconds, UUID */
	struct str json;      /* the same as JSON text in a document */
	bool matches_nothing; /* no attribute of this type can be equal to it */
	bool past_midnight;   /* DATE: the value means a moment later on that day */
};

/* NULL, or a sentence that says what is wrong with the value. item NULL: it was left out. Pure. */
const char *query_value_read(
        struct arena *arena, enum attribute_type type, const struct json *item, struct query_value *ret_value);

/* NULL, or what is wrong with the pattern of a LIKE. */
const char *query_value_check_pattern(const struct json *item);

/* The day in UTC, yyyy-MM-dd, some days later, of years 0 to 9999. */
struct str query_value_day(struct arena *arena, struct str us, int days_later);

/* Microseconds of the next millisecond. */
struct str query_value_next_ms(struct arena *arena, struct str us);

#endif
