#ifndef CUSTOMER_MERGE_STORE_H
#define CUSTOMER_MERGE_STORE_H

#include "common/worker.h"
#include "workers/customer_merge/rules.h"
#include "workers/customer_merge/unit.h"

/*
 * Customers, keys, bindings and what they do to events, in PostgreSQL: everything set-based, one round trip to load and
 * one to write. Only customer-merge writes these tables, and the offset row that every batch begins with admits one
 * process per partition, so reading them needs no locks. Events belong to event-ingest as well: before events are
 * looked at, the values, customers and nodes concerned are locked (common/locks.h).
 */
struct work {
	struct batch *batch;
	struct arena *arena;
	struct db *db;
	struct rules *rules;
	size_t first, end;    /* the commands of the batch that this run takes */
	struct json **bodies; /* by index in the batch; NULL when there is none */
	struct unit unit;
	bool hide_password;
	size_t n_locks;        /* of the transaction, had each value and customer its own */
	int64_t rows_to_empty; /* how many more this transaction may remove */
	int64_t rows_of_step;  /* so many in any case with each command */
};

/* Columns of a customer, in the order in which statements take and give them. */
#define CUSTOMER_COLUMNS                                                                                               \
	"c.workspace_id, c.id, c.node_id, c.int_id, c.version, c.registered_us, c.updated_us, c.enabled, "             \
	"c.registered_by, c.updated_by, c.external_id, c.doc::text, c.consent_times::text"

#define CUSTOMER_MERGE_STATEMENTS 38
extern const struct statement customer_merge_statements[CUSTOMER_MERGE_STATEMENTS];

/* Fills the unit with what the commands name. */
bool store_load(struct work *work, struct err *err) must_check;
/* Makes one more key known. */
bool store_load_key(struct work *work, const struct uuid *workspace, const struct uuid *node, const struct uuid *key,
        struct err *err) must_check;
/* Makes all open bindings of a customer's external ids known. */
bool store_load_external_ids(struct work *work, struct unit_customer *customer, struct err *err) must_check;
/* Writes what changed and lets events follow their bindings; adds those to the update stream. */
bool store_write(struct work *work, struct err *err) must_check;

/* store_node.c: rules of a node changed (its customers get the keys of the new policy). */
bool store_node_rules(struct work *work, const struct command *command, int64_t seq, const struct json *document,
        struct err *err) must_check;
/*
 * Removes a node's events, and its customers unless events_only; all of them leave tombstones. For the commands that
 * follow, and for events on their way, that is done at once. Rows are removed as far as rows_to_empty goes: a node of
 * millions neither fits into a transaction nor may it hold up the others.
 */
bool store_node_empty(struct work *work, size_t index, int64_t seq, bool events_only, struct err *err) must_check;
/* A step of what is left of that, if there is anything. */
bool store_node_empty_step(struct work *work, bool *ret_more, struct err *err) must_check;
/* What the table says about a node at this point of the transaction: RULES_UNKNOWN when it has no row. */
const struct node_rules *store_rules_of(
        struct work *work, const struct uuid *workspace, const struct uuid *node, struct err *err) must_check;

/* Adds returned events (workspace, node, id, version) to the update stream. */
void store_events_changed(struct work *work, const PGresult *rows, enum change_operation operation);

#endif
