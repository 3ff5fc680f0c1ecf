#ifndef COMMON_FACTS_H
#define COMMON_FACTS_H

#include "common/kafka.h"
#include "common/worker.h"

/*
 * Facts: for every row of the update stream that a worker has committed, one CHANGE record in the topic `changes`. The
 * rows themselves are the outbox. They are published from memory after COMMIT; in the table fact_cursors every writing
 * partition keeps, per workspace, a stream offset below which all its rows are known to be in Kafka. Whoever takes a
 * partition over publishes again what stands above it: a fact may come twice and is never lost.
 * Private to the worker runtime.
 */
struct facts;

/* A committed row of the stream. */
struct fact {
	struct uuid workspace, node, id;
	uint8_t entity;    /* enum entity_kind */
	uint8_t operation; /* enum change_operation */
	uint16_t flags;    /* enum command_flag; one that is published again has lost them */
	int64_t version;
	int64_t changed_us;
};

/* Of its record: the topic keeps the last record of each key. One with flags, which may spare readers work, has a key
   of its own, so that it never takes the place of one that does not. */
struct uuid facts_key(const struct fact *fact);

/* Both name the worker's partitions in fact_cursors and must outlive the facts. */
struct facts *facts_new(const char *worker, const char *topic, struct kafka_producer *producer);

/*
 * Queues, in the open transaction and before its stream rows, the cursors of (workspace, partition) pairs that have
 * none yet. Pairs that are known to have one cost nothing. facts_committed tells that they are there now.
 */
bool facts_send_cursors(struct facts *facts, struct db *db, struct arena *arena, const struct uuid *workspaces,
        size_t n_workspaces, const int32_t *partitions, size_t n_partitions, struct err *err) must_check;
void facts_committed(struct facts *facts);
void facts_aborted(struct facts *facts);

/* Hands a fact to Kafka; ends the process when it cannot (the next one goes on from the cursor). */
void facts_publish(struct facts *facts, struct arena *arena, const struct fact *fact);

/* The opaque of every fact that was sent; its delivery report goes to facts_delivered. */
void facts_delivered(struct facts *facts, rd_kafka_resp_err_t error);

/* Where the process stands in the partitions that it owns. */
struct facts_position {
	int32_t partition;
	int64_t next_offset;
	int64_t last_time_us, steps;
};

/* Partitions came: what predecessors left is to be found anew. */
void facts_taken_over(struct facts *facts);

/*
 * Publishes some of what predecessors of these partitions left; *ret_more: perhaps not all. The stream is everybody's,
 * so that may be much; but not what came into it after the first call, which this process or another one publishes
 * itself: or a worker that catches up would publish all twice. Until all is published facts_save must not be called.
 * Between transactions only.
 */
bool facts_recover(struct facts *facts, struct db *db, struct arena *arena, const struct facts_position *positions,
        size_t n, bool *ret_more, struct err *err) must_check;

/*
 * At most once a second when something was published, and now and then when nothing was: others write into the stream,
 * and a cursor that stays behind would have all of that published again. Waits for the reports and moves the cursors;
 * not those of partitions in which somebody else has gone on: what he committed may not be published. Between
 * transactions only.
 */
bool facts_save(struct facts *facts, struct db *db, struct arena *arena, const struct facts_position *positions,
        size_t n, struct err *err) must_check;

extern const struct statement facts_statements[];
extern const size_t facts_statement_count;

#endif
