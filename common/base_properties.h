#ifndef COMMON_BASE_PROPERTIES_H
#define COMMON_BASE_PROPERTIES_H

#include "common/str.h"

struct arena;
struct json;

/*
 * The properties of a customer's `base` that a workspace may switch off (none can be made). A group's switch also sets
 * its members', and switching a member on switches its groups on, so that a group that is off has no member that is on.
 * Pure functions over the list of names that are off: a JSON array of strings, NULL = empty.
 */
struct base_property {
	struct str name; /* dotted path below base: "contacts.email" */
	struct str label;
};

#define BASE_PROPERTY_COUNT 41
extern const struct base_property base_properties[BASE_PROPERTY_COUNT];

/* NULL when there is none. */
const struct base_property *base_property_find(struct str name);

bool base_property_is_disabled(const struct json *disabled, struct str name);
struct json *base_property_switch(struct arena *arena, const struct json *disabled, struct str name, bool enabled);

/* Changes a copy of the customer schema: a property that is off takes nothing but null, a list nothing but []. A map
   point is off with either coordinate, because it needs both. */
void base_properties_restrict(struct arena *arena, struct json *customer_schema, const struct json *disabled);
/* Adds {"contactlabProperties": {label, enabled}} to each property of a copy of the customer schema. */
void base_properties_describe(struct arena *arena, struct json *customer_schema, const struct json *disabled);

#endif
