#ifndef BULK_PROCESSOR_ROW_H
#define BULK_PROCESSOR_ROW_H

#include "common/customer.h"
#include "common/event.h"
#include "common/kafka.h"
#include "workers/bulk_processor/columns.h"

/*
 * A row of a file becomes a command: pure functions of the row, the workspace's configuration and what was looked up in
 * the tables in between. A row that cannot become one carries the reason.
 *
 *   customers
 *     UPSERT  with an id CUSTOMER_PATCH, else CUSTOMER_POST
 *     INSERT  CUSTOMER_POST, only if new
 *     DELETE  CUSTOMER_DELETE by id, else by the node's unique properties, else by externalId
 *   events
 *     UPSERT  with an id EVENT_PATCH, else EVENT_POST
 *     INSERT  EVENT_POST
 *     DELETE  EVENT_DELETE by id
 */
enum row_lookup {
	LOOKUP_NONE,
	LOOKUP_CUSTOMER,    /* key: id of a customer of the node */
	LOOKUP_KEY,         /* key: unique properties */
	LOOKUP_EXTERNAL_ID, /* text: of customers */
	LOOKUP_BINDING,     /* text: external id; who has it does not matter */
	LOOKUP_EVENT,       /* key: id */
	LOOKUPS
};

struct row {
	int64_t line;   /* of the file's data rows, from 1 */
	int64_t at;     /* byte of the file where it begins */
	bool resend;    /* it was decided before, and may have been sent: what has changed since does not matter */
	struct str why; /* why it fails; absent = it does not */
	enum topic topic;
	uint32_t partition;
	struct command command;
	bool ensure; /* CUSTOMER_ENSURE comes first */

	enum row_lookup lookup;
	struct uuid key;
	struct str text;
	/* What was found. */
	int n_found;
	struct uuid found;             /* customer */
	const struct event_row *event; /* LOOKUP_EVENT; only for row_finish */
	struct csv_row cells;          /* of a row that changes an event */
};

/* What rows of one job are judged by. */
struct row_rules {
	struct uuid job, workspace, node, source;
	int64_t user;
	enum bulk_operation operation;
	enum bulk_entity entity;
	const struct event_type *event_type; /* of the form; NULL = not given */
	uint32_t workspace_partition, event_partitions;
	bool hash_passwords;
	struct customer_policy policy;
	struct schema_set *schemas;
	const struct schema *tracking;
	bool event_disabled[EVENT_TYPE_COUNT];
	int64_t event_bytes[EVENT_TYPE_COUNT];
	struct columns columns;
};

/*
 * Ids (version 8) of what follows from a row: the time of the job's id, the line, and a hash, so that the rows of a job
 * are neighbours in an index.
 */
enum row_id { ROW_COMMAND, ROW_ENTITY, ROW_ENSURE, ROW_ENSURED };
struct uuid row_id(const struct uuid *job, int64_t line, enum row_id what);

/* Fills everything but line, at and resend, which are set. `raw` is the text of the row, for its fingerprint. All
   memory is in the arena, or is that of the row. */
void row_make(
        struct arena *arena, struct row_rules *rules, const struct csv_row *cells, struct str raw, struct row *row);

/* After the look-up that row->lookup asks for. */
void row_finish(struct arena *arena, struct row_rules *rules, struct row *row);

/* The command that must be published before the row's. */
struct command row_ensure_command(const struct row_rules *rules, const struct row *row);

#endif
