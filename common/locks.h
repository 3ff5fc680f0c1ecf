#ifndef COMMON_LOCKS_H
#define COMMON_LOCKS_H

#include "common/db.h"

struct arena;

/*
 * Transaction locks between workers that read each other's tables. customer-merge writes bindings and tombstones and
 * looks for waiting events; event-ingest writes events and looks for bindings and tombstones. Under READ COMMITTED each
 * could miss what the other has not committed yet, and an event would wait for ever. So both lock what they are about
 * to look for, before they look: whoever binds, deletes or empties takes it exclusively, whoever only inserts events
 * takes it shared.
 *
 * A customer's deletion also takes the bindings that it ends: an event that is brought back by one of them locks the
 * value, since it does not know the customer yet.
 *
 * Locks are advisory, end with the transaction, and are hashes: two things may share a stripe, which costs a wait,
 * never correctness. One statement takes all of them in the order of their keys, so that two batches never deadlock; a
 * transaction takes its locks once, before its first read of those tables. PostgreSQL has room for some
 * thousands, of all transactions together: where one would take very many (deleting customers of any number of
 * sessions), it takes whole nodes instead, which event-ingest locks for every event.
 */
#define LOCK_STRIPES (1u << 20) /* of each kind */

enum lock_kind { LOCK_BINDING = 1, LOCK_CUSTOMER, LOCK_NODE };

struct lock {
	int64_t key;
	bool exclusive;
};

/* All memory is in the arena that it was made with. */
struct lock_set {
	struct arena *arena;
	struct lock *locks;
	size_t n;
	size_t capacity;
};

void lock_set_init(struct lock_set *set, struct arena *arena);

/* A session value or external id of a node; kind as in the table bindings (1 session, 2 external id). */
void lock_set_binding(struct lock_set *set, const struct uuid *node, int kind, struct str value, bool exclusive);
/* A customer that may be deleted. */
void lock_set_customer(struct lock_set *set, const struct uuid *customer, bool exclusive);
/* A node that may be emptied. */
void lock_set_node(struct lock_set *set, const struct uuid *node, bool exclusive);

/* Sorts by key and removes repetitions, exclusive wins. Done by the two below; apart for tests. */
void lock_set_order(struct lock_set *set);

/* The row that belongs into the statement table of everybody who takes locks. */
#define LOCK_STATEMENT                                                                                                 \
	{                                                                                                              \
		.name = "lock_set",                                                                                    \
		.sql = "SELECT count(CASE WHEN exclusive THEN pg_advisory_xact_lock(key)"                              \
		       " ELSE pg_advisory_xact_lock_shared(key) END)"                                                  \
		       " FROM unnest($1::bigint[], $2::boolean[]) AS l(key, exclusive)",                               \
		.n_params = 2,                                                                                         \
	}

/* Queues the locks; what is queued behind them reads after they are held. One result, for db_done. */
bool lock_set_send(struct lock_set *set, struct db *db, struct err *err) must_check;

/* Takes the locks: lock_set_send, and waits. Nothing to do when the set is empty. */
bool lock_set_take(struct lock_set *set, struct db *db, struct err *err) must_check;

#endif
