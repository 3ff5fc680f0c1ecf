#ifndef COMMON_SCHEMA_PRIVATE_H
#define COMMON_SCHEMA_PRIVATE_H

#include "common/decimal.h"
#include "common/schema.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* What schema.c compiles and schema_validate.c reads. Nobody else looks inside. */

/* Required members are bits of one word. */
#define SCHEMA_MAX_REQUIRED 64

struct schema_property {
	struct str name;             /* absent: the slot is empty */
	const struct schema *schema; /* NULL when only `required` names it */
	uint64_t required;           /* its bit, or 0 */
};

struct schema_list {
	const struct schema **items;
	size_t n;
};

typedef bool schema_format_fn(struct str text);

struct schema_format {
	const char *name;
	schema_format_fn *matches;
	const char *what; /* for the message: "must be <what>" */
};

/* Absent keywords are zero or NULL, except the upper bounds, which are SIZE_MAX. */
struct schema {
	uint8_t types;
	bool never;  /* the schema `false` */
	bool closed; /* additionalProperties: false */
	bool has_enumeration;

	/* Open addressing, a power of two of slots, at most half of them used. NULL when there are no properties. */
	struct schema_property *properties;
	uint32_t n_slots;
	uint64_t required;
	const struct schema *additional;

	const struct schema *items;
	size_t min_items, max_items;
	size_t max_total_length, max_joined_length;

	size_t min_length, max_length;
	const struct schema_format *format;
	pcre2_code *pattern;

	bool has_minimum, has_maximum;
	bool minimum_excluded, maximum_excluded;
	struct decimal minimum, maximum;
	struct str minimum_text, maximum_text; /* for messages */

	/* enum and const: strings sorted for a binary search, other values one by one */
	struct str *strings;
	size_t n_strings;
	const struct json **others;
	size_t n_others;
	struct str choices; /* for the message */

	struct schema_list all_of, any_of, one_of;
};

/* Where in a document or value: a chain from the innermost place outwards. */
struct schema_place {
	const struct schema_place *outer;
	struct str name; /* member; absent for an item */
	size_t index;
};

/* Writes the pointer; names and the whole are cut to a length that errors can carry. */
void schema_place_write(struct buf *pointer, const struct schema_place *place);

/* "a string or null" */
struct str schema_types_text(uint8_t types, char out[96]);

const struct schema_format *schema_format_find(struct str name);
const struct schema_property *schema_property_find(const struct schema *schema, struct str name);

#endif
