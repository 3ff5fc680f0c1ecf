#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include "common/err.h"
#include "common/json.h"
#include "common/problems.h"

struct arena;

/*
 * Compiler for the part of JSON Schema (draft 7) that the event, context, customer and extended-property schemas use:
 * type, enum, const, required, properties, additionalProperties, items (one schema), minItems, maxItems, minLength,
 * maxLength (characters), minimum, maximum, exclusiveMinimum, exclusiveMaximum, pattern, format, oneOf, anyOf, allOf,
 * $ref, the schemas true and false; and our own x-maxTotalLength (sum of the lengths of an array's strings) and
 * x-maxJoinedLength (the same with one separator between each two). Any other keyword is an error at compile time
 * unless it is an annotation (title, description, default, examples, readOnly, writeOnly, $id, $schema, $comment,
 * definitions, x-*, contactlabProperties); so are unknown formats, more than 64 required members and schemas that
 * contain themselves without a step into the value.
 *
 * A schema is immutable after compilation, lives in the arena that it was compiled into and needs no destructor.
 */
struct schema;

/* Types as bits. A value that is a number is taken by NUMBER, or by INTEGER when it has no fraction. */
enum schema_types {
	SCHEMA_NULL = 1 << 0,
	SCHEMA_BOOLEAN = 1 << 1,
	SCHEMA_INTEGER = 1 << 2,
	SCHEMA_NUMBER = 1 << 3,
	SCHEMA_STRING = 1 << 4,
	SCHEMA_ARRAY = 1 << 5,
	SCHEMA_OBJECT = 1 << 6,
	SCHEMA_ANY = (1 << 7) - 1,
};

/* The bit of the type that "type" names so; 0 when there is none. */
uint8_t schema_type_named(struct str name);
/* Of a value; a number's is NUMBER. */
uint8_t schema_type_of(const struct json *value);

/*
 * Finds what a $ref names ("common.json#/definitions/Amount"), relative to nothing: all references are by file name,
 * only "#/..." is looked up in the document that is compiled. Returns NULL when there is none. A reference that stands
 * in the project's own schemas for workspace-made properties ("extended.json#/customer", "extended.json#/event",
 * "extended.json#/product") is answered by the caller's own function.
 */
typedef const struct json *schema_resolve_fn(void *context, struct str reference);

/* `document` must outlive the schema. */
struct schema *schema_compile(struct arena *arena, const struct json *document, schema_resolve_fn *resolve,
        void *context, struct err *err) must_check;

/* Adds one problem per fault (path = base_pointer + place). True when there was none. Bounded by the size of value. */
bool schema_validate(
        const struct schema *schema, const struct json *value, struct str base_pointer, struct problems *problems);

/*
 * Formats are lenient where client libraries are: email is text with an @; uri is text without blanks; date-time is
 * what time_parse takes; ip is either kind of address. A format that is not known says nothing: true.
 */
bool schema_format_matches(struct str format, struct str text);

#endif
