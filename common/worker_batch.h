#ifndef COMMON_WORKER_BATCH_H
#define COMMON_WORKER_BATCH_H

#include "common/facts.h"
#include "common/worker.h"

/* One batch of the worker runtime: its transaction and what it leaves behind. Private to worker.c. */

/* Records of a batch: no more are taken when they hold so much, each of at most 1 MiB. Bounds what is loaded, too. */
#define BATCH_BYTES (4UL * 1024 * 1024)
#define BATCH_ARENA_BYTES (1024UL * 1024 * 1024)

/*
 * Most records of the next batch. One that came out full means that more wait than it could take: the next is larger,
 * since a transaction's own costs (its round trips, its sync of the log) are shared by its records. A process begins
 * with one record and comes to its usual number by doubling: what its predecessor did not get done together, because
 * the database ended the transaction, say, it gets done in parts. Pure.
 */
size_t batch_next_limit(size_t limit, size_t taken, size_t usual, size_t most);

struct partition_position {
	bool owned;
	int64_t next_offset;
	int64_t last_time_us;
	int64_t steps; /* in the background; they are no records */
};

struct batch_context {
	struct worker *worker;
	const struct worker_definition *definition;
	struct db *db;
	void *state;
	struct arena *arena;
	struct partition_position *positions; /* by partition; advanced when the transaction is committed */
	rd_kafka_message_t **messages;
	size_t n_messages;
	struct facts *facts; /* NULL: none are published */
	bool replay;         /* tables are rebuilt: no update stream, no replies, results of keyed commands only */
	bool background;     /* no records: the definition's background step, over all positions owned */
	size_t n_positions;
	struct recent_ids *recent;   /* of commands; NULL where a record may come twice */
	const struct err *rejection; /* not NULL: store the only record as rejected for this reason */
};

/* Lives in the context's arena. */
struct batch *batch_new(const struct batch_context *context);

/* The whole transaction. False leaves it open and failed: the caller rolls back. */
bool batch_run(struct batch *batch, struct err *err) must_check;

void batch_publish_replies(struct batch *batch, struct kafka_producer *producer);
/* Facts of what was committed. */
void batch_publish_facts(struct batch *batch);
/* After a background step: whether it wants to go on at once. */
bool batch_wants_more(const struct batch *batch);

extern const struct statement runtime_statements[];
extern const size_t runtime_statement_count;

#endif
