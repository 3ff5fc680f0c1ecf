#ifndef GATEWAY_ATTRIBUTE_H
#define GATEWAY_ATTRIBUTE_H

#include "common/event_years.h"
#include "gateway/sql.h"

struct arena;
struct json;

/*
 * What queries and sort orders may name: a dotted path to a column or into the document of a customer or an event. The
 * type comes from the JSON Schema that writes are validated with, and for extended properties from the workspace's own
 * declaration, so that whatever can be stored can be asked for, and nothing else.
 */
enum attribute_type {
	ATTRIBUTE_TEXT,
	ATTRIBUTE_NUMBER,
	ATTRIBUTE_BOOLEAN,
	ATTRIBUTE_DATE,      /* yyyy-MM-dd: a day of the calendar, in no time zone */
	ATTRIBUTE_DATE_TIME, /* text in the document, in any form that writes accept */
	ATTRIBUTE_OBJECT,    /* can only be null or not null */
	/* columns only */
	ATTRIBUTE_UUID,
	ATTRIBUTE_TIME_US, /* answered in milliseconds, so compared in milliseconds */
};

#define ATTRIBUTE_MAX_STEPS 12

struct attribute_step {
	struct str name;
	unsigned lists; /* lists to go through behind it; one in all real schemas */
};

struct attribute {
	enum attribute_type type;
	const char *column;   /* SQL expression, or NULL: */
	bool never_null;      /* of columns */
	const char *document; /* SQL expression of jsonb, and the steps into it */
	struct attribute_step steps[ATTRIBUTE_MAX_STEPS];
	size_t n_steps;
	bool through_list; /* then it stands for any of the elements */
};

/* Declared extended properties: name -> JSON Schema. NULL when there are none. The set is "customer", "event:<type>" or
   "product". */
typedef const struct json *attribute_extended_fn(const void *context, struct str set);

struct attribute_source {
	attribute_extended_fn *extended;
	const void *context;
	struct str event_type; /* absent: attributes of customers (alias c), else of such events (alias e) */
	bool of_profiles;      /* the customers are profiles of an aggregate node: their members' events are theirs */
	const struct event_years *years; /* which events there are to look at (did); NULL: all */
	bool hide_password;              /* base.credential.password is a hash that nobody may ask for */
};

/* Names in *ret_attribute point into path. False when there is no such attribute. */
bool attribute_find(const struct attribute_source *source, struct str path, struct attribute *ret_attribute);

/* Adds the expression that orders by its value: NULL when the customer has none. Text and dates by bytes, numbers as
   jsonb, date-times as microseconds. Not for attributes through a list and not for objects. */
void attribute_add_key(struct sql *sql, const struct attribute *attribute);

/* The same for one element `v` (jsonb) of an attribute through a list. */
void attribute_add_element_key(struct sql *sql, const struct attribute *attribute);

/* Of a date-time, or of an element `v`: the day as it is written, at most one from the day in UTC, and much cheaper. */
void attribute_add_day(struct sql *sql, const struct attribute *attribute);

/* Adds "(<document> #> <path>)" or with text "(<document> #>> <path>)". */
void attribute_add_path(struct sql *sql, const struct attribute *attribute, bool text);

/* jsonpath of the elements of an attribute through a list. */
struct str attribute_jsonpath(struct arena *arena, const struct attribute *attribute);

/* JSON text that a document contains exactly when the attribute, or an element of it, is `value` (JSON text). */
struct str attribute_containment(struct arena *arena, const struct attribute *attribute, struct str value);

#endif
