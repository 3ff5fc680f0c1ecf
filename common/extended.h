#ifndef COMMON_EXTENDED_H
#define COMMON_EXTENDED_H

#include "common/problems.h"

struct arena;
struct json;

/*
 * Properties that a workspace declares itself, for customers, for an event type or for products: a map of names to
 * definitions {type, format, items, properties, contactlabProperties}. Pure functions. Rules (API document and the
 * facts known about the product):
 *   - names hold no dot, blank, control or special character but _ and -;
 *   - types string, number, integer, boolean, object, array, each also with "null"; strings may have a format;
 *   - an object's members are scalars or lists of scalars: one level; lists hold scalars, or (old style) such objects;
 *   - maxLength 1 to 6000, 255 by default for strings and 1000 for lists of strings (sum of their lengths and
 *     separators);
 *   - EXTENDED_MAX_PROPERTIES properties and members at most, or as many as there are already;
 *   - EXTENDED_MAX_VALUES values of JSON at most, examples and defaults included, or as many as there are already;
 *   - nothing declared is removed or gets another type.
 */
#define EXTENDED_MAX_LENGTH 6000
#define EXTENDED_STRING_LENGTH 255
#define EXTENDED_LIST_LENGTH 1000
#define EXTENDED_MAX_INDEXED 10
#define EXTENDED_MAX_PROPERTIES 2000
/* Whoever reads a workspace's configuration holds all of its maps, so that what is only kept must be bounded, too. */
#define EXTENDED_MAX_VALUES 40000

/*
 * Checks a new map against the present one (NULL = none) and returns it with default lengths filled in; NULL with
 * problems. The result shares values with `sent`.
 */
struct json *extended_check(
        struct arena *arena, const struct json *sent, const struct json *present, struct problems *problems);

/* Whether `indexed` of any property differs: only the platform's operator may change it. */
bool extended_index_differs(struct arena *arena, const struct json *sent, const struct json *present);

/* The JSON schema that values are checked with: a closed object or null. null_removes: every value (but no element
   of a list) may be null, because null takes a value away. map NULL = nothing declared. */
struct json *extended_value_schema(struct arena *arena, const struct json *map, bool null_removes);

/* The JSON schema that is served: the definitions as they were declared. It shares them with the map. */
struct json *extended_served_schema(struct arena *arena, const struct json *map);

/* The merge policies that a definition may name: a list of {id, description, supportedTypes}. */
struct json *extended_merge_policies(struct arena *arena);

/* Base type of a definition ("string"), without "null"; absent when it has none. */
struct str extended_type(const struct json *definition);

#endif
