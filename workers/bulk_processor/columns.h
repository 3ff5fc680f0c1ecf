#ifndef BULK_PROCESSOR_COLUMNS_H
#define BULK_PROCESSOR_COLUMNS_H

#include "common/bulk_job.h"
#include "common/catalog.h"
#include "common/csv.h"
#include "common/json.h"
#include "common/problems.h"
#include "common/schema_set.h"

/*
 * The header of a bulk job's file: dotted paths of what the API takes, and what kinds of values their schemas allow, by
 * which the text of a cell becomes JSON. Pure.
 *
 *   customers   id, nodeId, externalId, base.*, consents.*, extended.*, extra, tags.* ... as in the customer's schema
 *   events      id, customerId, externalId, sessionId (the latter two: bring-back, which an event keeps: a row that
 *               changes one may only repeat them), bringBackProperties.type, .value and .nodeId, type, context, date,
 *               properties.*, contextInfo.*, tracking.*
 *
 * A path that an object or a list stands at takes JSON in its cells. No path may lie inside another one.
 */
enum column_part {
	COLUMN_ID, /* of the entity; not part of the document */
	COLUMN_CUSTOMER,
	COLUMN_EXTERNAL_ID, /* of an event's customer */
	COLUMN_SESSION_ID,
	COLUMN_EVENT, /* members that every event has */
	COLUMN_PROPERTIES,
	COLUMN_CONTEXT_INFO,
	COLUMN_TRACKING,
};

struct column {
	struct str path;
	struct str inner; /* the path inside properties, contextInfo or tracking; absent = the whole of it */
	struct str pointer;
	enum column_part part;
};

struct columns {
	struct arena *arena;
	struct schema_set *schemas;
	enum bulk_entity entity;
	struct column *items;
	size_t n;
	bool has_type;           /* events: a column says the type of each row */
	const uint8_t *customer; /* enum schema_types of each column; made when first asked for */
	const uint8_t *tracking;
	const uint8_t *events[EVENT_TYPE_COUNT];
	const uint8_t *contexts[EVENT_CONTEXT_COUNT];
};

/* event_type: of all rows, or NULL. False with a sentence for whoever sent the file. */
bool columns_read(struct arena *arena, struct schema_set *schemas, enum bulk_entity entity,
        const struct event_type *event_type, const struct csv_row *header, struct columns *ret_columns,
        struct err *err) must_check;

/* Set of enum schema_types; 0 = the schema knows no such place. type and context NULL = unknown. */
unsigned column_types(
        struct columns *columns, size_t index, const struct event_type *type, const struct event_context *context);

/*
 * The value of a cell: NULL for an empty one (absent), JSON null for the word null without quotes, else what the types
 * allow: text wherever a string may stand, numbers, booleans (true, false in any case), JSON for objects and lists.
 * What is none of them stays text, for the schema to refuse. Broken JSON is a problem.
 */
struct json *column_value(struct arena *arena, const struct csv_cell *cell, unsigned types, struct str pointer,
        struct problems *problems);

#endif
