#ifndef GATEWAY_QUERY_H
#define GATEWAY_QUERY_H

#include "common/err.h"
#include "gateway/attribute.h"

/*
 * The query language of customer searches, compiled to a condition over `customers c`.
 *
 *   container   { name?, query }
 *   query       { type: simple, are?: { condition }, did?: { event: { name }, condition?, timeframe? } }
 *             | { type: combined, conjunction: INTERSECT | UNION | EXCEPT, queries: [query, ...] }
 *   condition   { type: composite, conjunction: and | or, conditions: [condition, ...] }
 *             | { type: atomic, attribute, operator, value? }
 *
 * Other keys are ignored: client libraries put `name` in several places. EXCEPT is the first query without the others.
 * `did` asks for an event of that type in which condition and timeframe hold; both speak of the event's attributes
 * (date, registeredAt, updatedAt, context, properties.*, contextInfo.*).
 *
 * What the contract leaves open, and the rule here:
 * - Values are read by the attribute's declared type, because some clients send everything as text: "5" is the number
 *   5, "true" and "1" are true, 5 is the text "5".
 * - A path through a list means any of its elements. EQUALS is IN with one value; IN holds when attribute and value
 *   have one element in common. NOT_EQUALS and NOT_IN are the exact opposites, so they hold for customers without the
 *   value.
 * - Without a value EQUALS asks for the type's empty one ("", 0, false), because some clients leave those out, and IN
 *   for one of none. With the value null both are IS_NULL.
 * - Dates compare with days as written in the value, at midnight; date-times with instants; numbers and digits in text
 *   are milliseconds since 1970. BETWEEN includes both ends.
 * - Text compares by bytes and exact case. LIKE: % any text, _ any character, \ takes the next one as it is.
 * - An id that is no UUID equals nothing. Any other value that does not fit the type is refused.
 */
#define QUERY_MAX_BYTES 16384
#define QUERY_MAX_CONDITIONS 100
#define QUERY_MAX_VALUES 1000 /* of one list */

/*
 * Adds the condition, in parentheses, with $1 the workspace; values go into sql's list. Memory comes from arena, and
 * the query's text must live as long as sql. Pure. Refused with ERR_INVALID, a sentence and a pointer into the query.
 */
bool query_compile(struct arena *arena, struct str query, const struct attribute_source *source, struct sql *sql,
        struct err *err) must_check;

#endif
