#include "common/facts.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/crash.h"
#include "common/hash.h"
#include "common/log.h"

#include <stdlib.h>

#define SAVE_US 1000000LL
#define IDLE_SAVE_US (5 * 1000000LL)
#define DELIVERY_US (2 * 1000000LL)
#define METADATA_MS 5000
#define RECOVER_ROWS 4000
/* Workspaces whose facts are recovered at a time. */
#define MAX_GOALS 256
/* Pairs that are remembered to have a cursor; when there are more, some are asked for again. */
#define KNOWN_PAIRS 16384

struct pair {
	struct uuid workspace;
	int32_t partition;
	bool used;
};

/* The stream of a workspace that is behind, and its end when that was seen. */
struct goal {
	struct uuid workspace;
	int64_t offset;
};

struct facts {
	const char *worker;
	const char *topic;
	struct kafka_producer *producer;
	uint32_t n_partitions; /* of `changes`; asked for at the first fact */
	size_t unacknowledged;
	bool dirty; /* published since the cursors were moved */
	int64_t saved_us;
	long long recovered; /* since the partitions came */
	struct goal goals[MAX_GOALS];
	int n_goals;
	struct uuid goals_before; /* workspaces up to this one are recovered */
	struct pair known[KNOWN_PAIRS];
	struct pair *fresh; /* of the open transaction, in its arena */
	size_t n_fresh;
};

const struct statement facts_statements[] = {
        /* the head may grow until the stream's rows are written: the cursor is then too low, which is safe */
        {.name = "facts_cursors",
                .sql = "INSERT INTO fact_cursors (workspace_id, worker, topic, partition, published) "
                       "SELECT u.w, $1::text, $2::text, u.p, COALESCE(h.last_offset, 0) "
                       "FROM unnest($3::uuid[], $4::integer[]) AS u(w, p) "
                       "LEFT JOIN stream_heads h ON h.workspace_id = u.w ON CONFLICT DO NOTHING",
                .n_params = 4},
        {.name = "facts_goals",
                .sql = "SELECT c.workspace_id, h.last_offset FROM (SELECT workspace_id, min(published) AS published "
                       "FROM fact_cursors WHERE worker = $1::text AND topic = $2::text "
                       "AND partition = ANY ($3::integer[]) AND workspace_id > $4::uuid GROUP BY workspace_id) c "
                       "JOIN stream_heads h USING (workspace_id) WHERE h.last_offset > c.published "
                       "ORDER BY c.workspace_id LIMIT $5::bigint",
                .n_params = 5},
        /* a run ends with its transaction, as goals do */
        {.name = "facts_behind",
                .sql = "SELECT s.workspace_id, s.stream_offset, s.entity, s.operation, s.entity_id, s.node_id, "
                       "s.version, s.changed_us FROM unnest($4::uuid[], $5::bigint[]) AS g(workspace_id, goal) "
                       "CROSS JOIN LATERAL (SELECT min(published) AS published FROM fact_cursors f "
                       "WHERE f.workspace_id = g.workspace_id AND worker = $1::text AND topic = $2::text "
                       "AND partition = ANY ($3::integer[])) c "
                       "CROSS JOIN LATERAL (SELECT * FROM update_stream u WHERE u.workspace_id = g.workspace_id "
                       "AND u.run_offset > c.published AND u.run_offset <= g.goal "
                       "AND u.stream_offset > c.published "
                       "ORDER BY u.run_offset, u.stream_offset LIMIT $6::bigint) s "
                       "LIMIT $6::bigint",
                .n_params = 6},
        {.name = "facts_moved",
                .sql = "UPDATE fact_cursors c SET published = u.published FROM (SELECT w, max(published) AS published "
                       "FROM unnest($4::uuid[], $5::bigint[]) AS r(w, published) GROUP BY w) u "
                       "WHERE c.worker = $1::text AND c.topic = $2::text AND c.partition = ANY ($3::integer[]) "
                       "AND c.workspace_id = u.w AND c.published < u.published",
                .n_params = 5},
        /* only where nobody else has gone on in the partition */
        {.name = "facts_save",
                .sql = "UPDATE fact_cursors c SET published = h.last_offset "
                       "FROM unnest($3::integer[], $4::bigint[], $5::bigint[], $6::bigint[]) AS u(partition, "
                       "next_offset, "
                       "last_time_us, steps), consumer_offsets o, "
                       "stream_heads h WHERE c.worker = $1::text AND c.topic = $2::text "
                       "AND c.partition = u.partition AND o.worker = c.worker AND o.topic = c.topic "
                       "AND o.partition = c.partition AND o.next_offset = u.next_offset "
                       "AND o.last_time_us = u.last_time_us AND o.steps = u.steps "
                       "AND h.workspace_id = c.workspace_id AND c.published < h.last_offset",
                .n_params = 6},
};
const size_t facts_statement_count = ARRAY_LEN(facts_statements);

struct facts *facts_new(const char *worker, const char *topic, struct kafka_producer *producer)
{
	struct facts *facts = calloc(1, sizeof(*facts));

	if (!facts)
		log_die("memory", "out of memory");
	*facts = (struct facts){.worker = worker, .topic = topic, .producer = producer};
	return facts;
}

static struct pair *slot_of(struct facts *facts, const struct uuid *workspace, int32_t partition)
{
	return &facts->known[hash_bytes(workspace->b, sizeof(workspace->b), (uint64_t)partition) % KNOWN_PAIRS];
}

static bool is_known(struct facts *facts, const struct uuid *workspace, int32_t partition)
{
	const struct pair *slot = slot_of(facts, workspace, partition);

	return slot->used && slot->partition == partition && uuid_eq(&slot->workspace, workspace);
}

static void name_params(const struct facts *facts, struct arena *arena, struct db_params *params)
{
	db_params_init(params, arena);
	db_param_text(params, str_of(facts->worker));
	db_param_text(params, str_of(facts->topic));
}

bool facts_send_cursors(struct facts *facts, struct db *db, struct arena *arena, const struct uuid *workspaces,
        size_t n_workspaces, const int32_t *partitions, size_t n_partitions, struct err *err)
{
	struct db_array ids, numbers;
	struct db_params params;

	facts->n_fresh = 0;
	facts->fresh = arena_alloc(arena, (n_workspaces * n_partitions + 1) * sizeof(*facts->fresh));
	db_array_init(&ids, arena, DB_UUID);
	db_array_init(&numbers, arena, DB_I32);
	for (size_t i = 0; i < n_workspaces * n_partitions; i++) {
		struct pair pair = {workspaces[i / n_partitions], partitions[i % n_partitions], true};
		if (is_known(facts, &pair.workspace, pair.partition))
			continue;
		facts->fresh[facts->n_fresh++] = pair;
		db_array_uuid(&ids, &pair.workspace);
		db_array_i64(&numbers, pair.partition);
	}
	if (!facts->n_fresh)
		return true;
	name_params(facts, arena, &params);
	db_param_array(&params, &ids);
	db_param_array(&params, &numbers);
	return db_send_expect(db, "facts_cursors", &params, -1, ERR_INTERNAL, err);
}

void facts_committed(struct facts *facts)
{
	for (size_t i = 0; i < facts->n_fresh; i++)
		*slot_of(facts, &facts->fresh[i].workspace, facts->fresh[i].partition) = facts->fresh[i];
	facts->n_fresh = 0;
}

void facts_aborted(struct facts *facts)
{
	facts->n_fresh = 0;
}

static uint32_t partition_of(struct facts *facts, const struct uuid *workspace)
{
	if (!facts->n_partitions)
		facts->n_partitions = kafka_partition_count(facts->producer, TOPIC_CHANGES, METADATA_MS);
	if (!facts->n_partitions)
		log_die("kafka", "topic changes cannot be reached (has `contacthubctl topics` been run?)");
	return workspace_partition(workspace, facts->n_partitions);
}

static void encode(struct buf *buf, const struct fact *fact)
{
	command_encode(buf, &(struct command){.type = COMMAND_CHANGE,
	                            .item = fact->entity,
	                            .flags = fact->flags,
	                            .user = fact->operation,
	                            .time_us = fact->changed_us,
	                            .workspace = fact->workspace,
	                            .node = fact->node,
	                            .entity = fact->id,
	                            .fingerprint = (uint64_t)fact->version});
}

struct uuid facts_key(const struct fact *fact)
{
	return fact->flags ? uuid_v5(&fact->id, STR("flagged")) : fact->id;
}

void facts_publish(struct facts *facts, struct arena *arena, const struct fact *fact)
{
	struct uuid key = facts_key(fact);
	uint32_t partition = partition_of(facts, &fact->workspace);
	int64_t give_up_us = 0;
	struct buf record;

	buf_init(&record, arena, 256);
	encode(&record, fact);
	for (;;) {
		struct err err = {0};
		if (kafka_send(facts->producer, TOPIC_CHANGES, partition, &key, buf_str(&record), facts, &err))
			break;
		/* the queue is full: wait for room, but not for ever */
		if (!give_up_us)
			give_up_us = clock_monotonic_us() + DELIVERY_US;
		else if (clock_monotonic_us() > give_up_us)
			log_die("facts", "Kafka takes no facts: %s", err.message);
		kafka_producer_poll(facts->producer, 10);
	}
	facts->unacknowledged++;
	facts->dirty = true;
}

void facts_delivered(struct facts *facts, rd_kafka_resp_err_t error)
{
	if (error)
		log_die("facts", "a fact was not taken by Kafka: %s", rd_kafka_err2str(error));
	facts->unacknowledged--;
}

static bool wait_for_reports(struct facts *facts)
{
	int64_t give_up_us = clock_monotonic_us() + DELIVERY_US;

	while (facts->unacknowledged && clock_monotonic_us() < give_up_us)
		kafka_producer_poll(facts->producer, 10);
	return !facts->unacknowledged;
}

static void add_partitions(
        struct db_params *params, struct arena *arena, const struct facts_position *positions, size_t n)
{
	struct db_array partitions;

	db_array_init(&partitions, arena, DB_I32);
	for (size_t i = 0; i < n; i++)
		db_array_i64(&partitions, positions[i].partition);
	db_param_array(params, &partitions);
}

static struct fact fact_of_row(const PGresult *rows, int row)
{
	return (struct fact){.workspace = db_uuid(rows, row, 0),
	        .entity = (uint8_t)db_i64(rows, row, 2),
	        .operation = (uint8_t)db_i64(rows, row, 3),
	        .id = db_uuid(rows, row, 4),
	        .node = db_uuid(rows, row, 5),
	        .version = db_i64(rows, row, 6),
	        .changed_us = db_i64(rows, row, 7)};
}

/* Publishes the rows, and says in the cursors that it did. */
static bool publish_rows(struct facts *facts, struct db *db, struct arena *arena, const PGresult *rows,
        const struct facts_position *positions, size_t n, struct err *err)
{
	struct db_array workspaces, offsets;
	struct db_params params;

	if (!PQntuples(rows))
		return true;
	db_array_init(&workspaces, arena, DB_UUID);
	db_array_init(&offsets, arena, DB_I64);
	for (int row = 0; row < PQntuples(rows); row++) {
		struct fact fact = fact_of_row(rows, row);
		facts_publish(facts, arena, &fact);
		db_array_uuid(&workspaces, &fact.workspace);
		db_array_i64(&offsets, db_i64(rows, row, 1));
	}
	if (!wait_for_reports(facts))
		return err_set(err, ERR_UNAVAILABLE, "Kafka does not acknowledge facts");
	name_params(facts, arena, &params);
	add_partitions(&params, arena, positions, n);
	db_param_array(&params, &workspaces);
	db_param_array(&params, &offsets);
	PGresult *done = db_query(db, "facts_moved", &params, err);
	PQclear(done);
	return done != NULL;
}

void facts_taken_over(struct facts *facts)
{
	facts->recovered = 0;
	facts->n_goals = 0;
	facts->goals_before = (struct uuid){0};
}

/* What comes later into the streams is published by whoever writes it. */
static bool find_goals(struct facts *facts, struct db *db, struct arena *arena, const struct facts_position *positions,
        size_t n, struct err *err)
{
	struct db_params params;

	name_params(facts, arena, &params);
	add_partitions(&params, arena, positions, n);
	db_param_uuid(&params, &facts->goals_before);
	db_param_i64(&params, MAX_GOALS);
	PGresult *rows = db_query(db, "facts_goals", &params, err);
	if (!rows)
		return false;
	facts->n_goals = PQntuples(rows);
	for (int i = 0; i < facts->n_goals; i++)
		facts->goals[i] = (struct goal){db_uuid(rows, i, 0), db_i64(rows, i, 1)};
	PQclear(rows);
	return true;
}

static PGresult *rows_below_goals(struct facts *facts, struct db *db, struct arena *arena,
        const struct facts_position *positions, size_t n, struct err *err)
{
	struct db_array workspaces, offsets;
	struct db_params params;

	db_array_init(&workspaces, arena, DB_UUID);
	db_array_init(&offsets, arena, DB_I64);
	for (int i = 0; i < facts->n_goals; i++) {
		db_array_uuid(&workspaces, &facts->goals[i].workspace);
		db_array_i64(&offsets, facts->goals[i].offset);
	}
	name_params(facts, arena, &params);
	add_partitions(&params, arena, positions, n);
	db_param_array(&params, &workspaces);
	db_param_array(&params, &offsets);
	db_param_i64(&params, RECOVER_ROWS);
	return db_query(db, "facts_behind", &params, err);
}

bool facts_recover(struct facts *facts, struct db *db, struct arena *arena, const struct facts_position *positions,
        size_t n, bool *ret_more, struct err *err)
{
	*ret_more = false;
	if (!n)
		return true;
	arena_reset(arena);
	if (!facts->n_goals && !find_goals(facts, db, arena, positions, n, err))
		return false;
	if (!facts->n_goals) {
		if (facts->recovered)
			log_event(LOG_INFO, "facts", "%lld published again", facts->recovered);
		return true;
	}
	*ret_more = true;
	PGresult *rows = rows_below_goals(facts, db, arena, positions, n, err);
	if (!rows)
		return false;
	bool good = publish_rows(facts, db, arena, rows, positions, n, err);
	facts->recovered += PQntuples(rows);
	if (!PQntuples(rows)) {
		facts->goals_before = facts->goals[facts->n_goals - 1].workspace;
		facts->n_goals = 0;
	}
	PQclear(rows);
	return good;
}

bool facts_save(struct facts *facts, struct db *db, struct arena *arena, const struct facts_position *positions,
        size_t n, struct err *err)
{
	struct db_params params;
	struct db_array partitions, offsets, times, steps;
	int64_t now_us = clock_monotonic_us();

	if (!n || now_us - facts->saved_us < (facts->dirty ? SAVE_US : IDLE_SAVE_US))
		return true;
	CRASH_POINT("worker-facts-unacknowledged");
	if (!wait_for_reports(facts))
		return true; /* librdkafka goes on trying, and reports what it gives up */
	facts->saved_us = now_us;
	facts->dirty = false;
	arena_reset(arena);
	name_params(facts, arena, &params);
	db_array_init(&partitions, arena, DB_I32);
	db_array_init(&offsets, arena, DB_I64);
	db_array_init(&times, arena, DB_I64);
	db_array_init(&steps, arena, DB_I64);
	for (size_t i = 0; i < n; i++) {
		db_array_i64(&partitions, positions[i].partition);
		db_array_i64(&offsets, positions[i].next_offset);
		db_array_i64(&times, positions[i].last_time_us);
		db_array_i64(&steps, positions[i].steps);
	}
	db_param_array(&params, &partitions);
	db_param_array(&params, &offsets);
	db_param_array(&params, &times);
	db_param_array(&params, &steps);
	PGresult *done = db_query(db, "facts_save", &params, err);
	PQclear(done);
	return done != NULL;
}
