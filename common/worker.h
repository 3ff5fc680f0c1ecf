#ifndef COMMON_WORKER_H
#define COMMON_WORKER_H

#include "common/command.h"
#include "common/db.h"
#include "common/kafka.h"
#include "common/settings.h"

/*
 * The worker runtime. A worker is a definition and a handler; the runtime owns settings, signals, the consumer, the
 * connection, the transaction, offsets, results, replies, dead letters, the update stream, memory and shutdown.
 *
 * One batch (records of the partitions that this process owns, each partition's in order) is one transaction:
 *   1. compare-and-set of the offset rows: one not changed = another process owns the partition: roll back and exit;
 *   2. the handler: locks, loads, decides, writes (set-based);
 *   3. the runtime: results of commands, rejections, update stream rows (offsets taken from the counter rows last),
 *      COMMIT, sent in one flush;
 *   4. after COMMIT: replies are produced, group offsets committed (for monitoring only).
 * Killed at any point, the batch is either in the tables with its offset or not at all; a lost reply is looked up by
 * the gateway in command_results.
 *
 * command->time_us is the effective time: max(stamped, last of this partition + 1 us), a function of the log.
 */
struct batch;
struct problems;
struct worker;

struct worker_definition {
	const char *name;
	enum topic topic;
	const struct statement *statements;
	size_t n_statements;
	/* For workers that nobody waits for: more records than the settings say, and how long the broker may keep them
	   until there are many. Larger batches cost less for each record. */
	int64_t batch_records, fetch_wait_ms;
	/* More than that again while the worker is behind: 0 = no. */
	int64_t catch_up_records;
	/* How far the database's process that works for it lets others go first, where it runs on this machine: 0 = not
	   at all, up to 19. Workers that clients wait for get more of the processors then. */
	int niceness;
	/* State of the process, given to the handler through batch_state; made once, after the connection. May be NULL.
	   State that mirrors tables must be dropped or reloaded when `aborted` tells that a transaction was rolled
	   back. */
	void *(*open)(struct worker *worker, struct err *err);
	void (*aborted)(void *state);
	/*
	 * Applies the batch. Statements are queued and read on batch_db(). Returns false with
	 * - REJECT class: the fault of the data; the runtime rolls back and halves the batch until the record is found,
	 *   which is then stored as a rejection (dead letter) with that error;
	 * - RETRY class: rolled back and tried again in memory, with back-off (a lost connection ends the process: the
	 *   next one starts from the offset rows);
	 * - FATAL class: the process ends.
	 *
	 * A refusal that the domain foresees (404, 409 ...) is no failure: the handler answers it with batch_reply.
	 */
	bool (*handle)(struct batch *batch, struct err *err);
	/*
	 * Work that no record asks for: a step of it is a transaction of its own with an empty batch (batch_size 0),
	 * under the compare-and-set of all partitions that this process owns, so that nobody else does it at the same
	 * time. Called at start, every background_ms and again at once while *ret_more comes back true (between batches
	 * of records, which go on meanwhile). Steps should take some ten milliseconds. May be NULL. Fails like handle;
	 * REJECT class ends the process.
	 */
	bool (*background)(struct batch *batch, bool *ret_more, struct err *err);
	int64_t background_ms;
	bool background_after_records; /* records bring it work: a step follows each batch at once */
	/* After COMMIT and the replies, of a batch or a background step; may publish (configuration's rule records).
	   Also at start, and before the first batch of partitions that were another process's: that one may have died
	   between its COMMIT and this. May be NULL. */
	bool (*committed)(struct worker *worker, void *state, struct err *err);
};

/* A record on which the process dies by its own signal (not by somebody's kill) is tried three times, alone at last,
   and then set aside as a dead letter: common/crashed.h. */
/* Runs until SIGTERM (exit 0) or a fatal error (exit 1). The whole of a worker's main. */
int worker_main(const struct worker_definition *definition, int argc, char **argv);

const struct settings *worker_settings(struct worker *worker);
struct db *worker_db(struct worker *worker);

/* Partitions of the worker's topic, and those that this process owns now. */
uint32_t worker_partition_count(struct worker *worker);
bool worker_owns(struct worker *worker, uint32_t partition);

struct worker *batch_worker(struct batch *batch);

/* The batch, as the handler sees it. All memory of a batch is in its arena, which is reset afterwards. */
size_t batch_size(const struct batch *batch);
struct command *batch_command(struct batch *batch, size_t index);
struct arena *batch_arena(struct batch *batch);
struct db *batch_db(struct batch *batch);
int32_t batch_partition(const struct batch *batch, size_t index);
/* Whether the background work of a partition is this step's. */
bool batch_owns(const struct batch *batch, int32_t partition);
void *batch_state(struct batch *batch);

/*
 * Keyed commands (COMMAND_KEYED) whose key was used before in their partition: the runtime has answered them already
 * (first result, or 409 for another body), and the handler must skip them. Also true for the second copy of a record,
 * as far as the runtime remembers the first one, and for records that could not be decoded.
 */
bool batch_skip(const struct batch *batch, size_t index);
/*
 * The record was made before one that stands in front of it: it may be the second copy of one (see recent_ids.h), which
 * nobody remembers when its command has no outcome and the process is another one. That follows from the log alone.
 */
bool batch_is_late(const struct batch *batch, size_t index);

/* Ends an INSERT into command_results: a use of an Idempotency-Key that has been forgotten makes room for the next. */
#define COMMAND_RESULT_REPLACES_FORGOTTEN                                                                              \
	"ON CONFLICT (workspace_id, command_id, topic, partition) DO UPDATE SET fingerprint = excluded.fingerprint, "  \
	"status = excluded.status, entity_id = excluded.entity_id, seq = excluded.seq, "                               \
	"created_us = excluded.created_us, body = excluded.body, kept_until_us = excluded.kept_until_us "              \
	"WHERE command_results.kept_until_us < excluded.created_us"

/*
 * Sets the outcome of a command: kept in command_results and sent to the gateway after COMMIT. body must live in the
 * batch's arena or in the record; absent = an empty answer. A command without an outcome gets none (nobody waits for
 * events).
 */
void batch_reply(struct batch *batch, size_t index, uint16_t status, struct str body);
/* The same for an answer that can be read from the tables again by the entity's id: the result row keeps no body
   (unless the command is keyed), which spares most of its cost; a gateway that looks the result up reads the entity. */
void batch_reply_entity(struct batch *batch, size_t index, uint16_t status, const struct uuid *entity, struct str body);
void batch_reply_seq(struct batch *batch, size_t index, uint16_t status, struct str body, int64_t seq);
/* The same for a refusal: writes the API's error body (message, logref, data, errors). */
void batch_refuse(struct batch *batch, size_t index, enum err_code code, struct str message, struct str data_json);
void batch_refuse_problems(
        struct batch *batch, size_t index, enum err_code code, struct str message, const struct problems *problems);
/* A command that cannot be applied and that nobody is told about any more: a dead letter for the operator, in this
 * transaction. */
void batch_dead_letter(struct batch *batch, size_t index, struct str reason);

enum entity_kind { ENTITY_CUSTOMER = 1, ENTITY_EVENT = 2 };
enum change_operation { CHANGE_CREATE = 1, CHANGE_UPDATE = 2, CHANGE_DELETE = 3 };
/* Changes in a row of the update stream, at most. */
#define STREAM_RUN_MAX 64

/* Adds an entry to the workspace's update stream, in the order of the calls. node may be NULL only for a deleted entity
   whose node is not known. */
void batch_change(struct batch *batch, const struct uuid *workspace, const struct uuid *node, enum entity_kind entity,
        const struct uuid *id, enum change_operation operation, int64_t version);
/* The same with flags of its fact (enum command_flag). A fact that is published again has lost them: they may spare
   readers work, no more. */
void batch_change_flagged(struct batch *batch, const struct uuid *workspace, const struct uuid *node,
        enum entity_kind entity, const struct uuid *id, enum change_operation operation, int64_t version,
        uint16_t flags);

#endif
