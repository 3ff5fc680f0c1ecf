#include "common/worker_batch.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/crash.h"
#include "common/error_body.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/problems.h"
#include "common/recent_ids.h"
#include "common/rows.h"

/* What is known about one record of the batch. */
struct entry {
	struct command command;
	struct str record;
	const rd_kafka_message_t *message;
	bool decoded;
	bool skip;
	size_t same_as;        /* index + 1 of the earlier record of the same command; 0 = none */
	bool late;             /* made before a record in front of it: may be its second copy */
	struct entry *next;    /* another command, or use of an Idempotency-Key, in the same bucket */
	int64_t kept_until_us; /* of an Idempotency-Key: when the last record finds this use, or the one it repeats */
	bool answered;         /* an outcome is set */
	bool stored;           /* the outcome comes from the table */
	bool reread;           /* the row keeps no body: the entity can be read again */
	uint16_t status;
	struct str body;
	struct uuid entity;
	int64_t seq;
	struct str dead_reason; /* absent = no dead letter */
	int64_t n_missing;      /* records of the log before this one that did not come */
};

struct change {
	struct uuid workspace, node, id;
	enum entity_kind entity;
	enum change_operation operation;
	uint16_t flags; /* of its fact */
	int64_t version;
	struct change *next;
};

/* One workspace's part of the update stream in this batch. */
struct stream {
	struct uuid workspace;
	int64_t n;
	struct change *first, *last;
	struct stream *next;
};

/* Where a partition stands after this batch. */
struct advance {
	int32_t partition;
	int64_t before, after;
	int64_t time_before_us, last_time_us;
	int64_t steps_before, steps;
};

struct batch {
	struct batch_context context;
	struct entry *entries;
	size_t n;
	struct advance *advances;
	size_t n_advances;
	struct stream *streams; /* sorted by workspace, so that two batches lock the heads in one order */
	size_t n_streams;
	int64_t last_time_us;
	bool more;
};

/* The first of two numbers of an advisory lock; any that nobody else uses. */
#define ANALYZE_LOCK "48580113"
#define SMALL_BLOCKS "16"

const struct statement runtime_statements[] = {
        {.name = "runtime_position",
                .sql = "WITH made AS (INSERT INTO consumer_offsets VALUES ($1::text, $2::text, $3::integer, 0, 0, 0) "
                       "ON CONFLICT DO NOTHING RETURNING next_offset, last_time_us, steps) "
                       "SELECT next_offset, last_time_us, steps FROM made UNION ALL SELECT next_offset, last_time_us, "
                       "steps FROM consumer_offsets WHERE worker = $1 AND topic = $2 AND partition = $3",
                .n_params = 3},
        {.name = "runtime_advance",
                .sql = "UPDATE consumer_offsets o SET next_offset = u.after, last_time_us = u.time_us, "
                       "steps = u.steps FROM unnest($3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], "
                       "$7::bigint[], $8::bigint[], $9::bigint[]) AS u(partition, before, time_before_us, "
                       "steps_before, after, time_us, steps) WHERE o.worker = $1::text "
                       "AND o.topic = $2::text AND o.partition = u.partition AND o.next_offset = u.before "
                       "AND o.last_time_us = u.time_before_us AND o.steps = u.steps_before",
                .n_params = 9},
        {.name = "runtime_find_results",
                .sql = "SELECT u.i, r.fingerprint, r.status, r.entity_id, r.seq, r.body::text, "
                       "COALESCE(r.kept_until_us, 9223372036854775807) "
                       "FROM command_results r JOIN unnest($2::uuid[], $3::uuid[], $4::integer[], $5::bigint[], "
                       "$6::integer[]) AS u(w, c, partition, time_us, i) ON r.workspace_id = u.w AND r.command_id = "
                       "u.c AND (r.topic = '' OR (r.topic = $1::text AND r.partition = u.partition)) "
                       "WHERE r.kept_until_us >= u.time_us OR r.kept_until_us IS NULL ORDER BY r.topic",
                .n_params = 6},
        {.name = "runtime_hold",
                .sql = "SELECT 1 FROM consumer_offsets o, unnest($3::integer[], $4::bigint[], $5::bigint[], "
                       "$6::bigint[]) AS u(partition, before, time_before_us, steps_before) WHERE o.worker = $1::text "
                       "AND o.topic = $2::text "
                       "AND o.partition = u.partition AND o.next_offset = u.before "
                       "AND o.last_time_us = u.time_before_us AND o.steps = u.steps_before FOR NO KEY UPDATE OF o",
                .n_params = 6},
        {.name = "runtime_add_results",
                .sql = "INSERT INTO command_results (workspace_id, command_id, keyed, fingerprint, status, entity_id, "
                       "seq, created_us, body, partition, kept_until_us, topic, replayed) "
                       "SELECT u.*, $12::text, $13::boolean FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], "
                       "$4::bigint[], $5::smallint[], $6::uuid[], $7::bigint[], $8::bigint[], $9::json[], "
                       "$10::integer[], $11::bigint[]) AS u " COMMAND_RESULT_REPLACES_FORGOTTEN,
                .n_params = 13},
        /* the place may have a row: facts are read by two workers, and a log that lost its end is told there, too */
        {.name = "runtime_add_dead_letters",
                .sql = "INSERT INTO dead_letters AS d (workspace_id, topic, partition, record_offset, worker, "
                       "command_id, "
                       "command_type, created_us, reason, record) SELECT u.w, $1::text, u.partition, u.record_offset, "
                       "$2::text, u.c, u.type, u.created_us, u.reason, u.record FROM unnest($3::uuid[], $4::integer[], "
                       "$5::bigint[], $6::uuid[], $7::smallint[], $8::bigint[], $9::text[], $10::bytea[]) AS "
                       "u(w, partition, record_offset, c, type, created_us, reason, record) "
                       "ON CONFLICT (workspace_id, topic, partition, record_offset) DO UPDATE SET "
                       "worker = CASE WHEN strpos(d.worker, excluded.worker) > 0 THEN d.worker "
                       "ELSE concat_ws(', ', d.worker, excluded.worker) END, "
                       "reason = CASE WHEN strpos(d.reason, excluded.reason) > 0 THEN d.reason "
                       "ELSE concat_ws('; ', d.reason, excluded.reason) END, "
                       "command_id = excluded.command_id, command_type = excluded.command_type, "
                       "record = CASE WHEN excluded.record = '' THEN d.record ELSE excluded.record END, "
                       "rerun_us = NULL",
                .n_params = 10},
        /* of no workspace: the operator hears that a partition's log has lost its end */
        {.name = "runtime_log_lost",
                .sql = "INSERT INTO dead_letters (workspace_id, topic, partition, record_offset, worker, created_us, "
                       "reason, record) VALUES ('00000000-0000-0000-0000-000000000000', $1::text, $2::integer, "
                       "$3::bigint, $4::text, $5::bigint, $6::text, '') ON CONFLICT DO NOTHING",
                .n_params = 6},
        /* one statement: the head rows stay locked only from here to COMMIT, and offsets are gapless in commit order */
        {.name = "runtime_stream",
                .sql = "WITH heads AS (INSERT INTO stream_heads AS h (workspace_id, last_offset, last_us) "
                       "SELECT n.*, $11::bigint FROM unnest($1::uuid[], $2::bigint[]) AS n "
                       "ON CONFLICT (workspace_id) DO UPDATE SET last_offset = h.last_offset + excluded.last_offset, "
                       "last_us = GREATEST(h.last_us, excluded.last_us) "
                       "RETURNING workspace_id, last_offset, last_us) "
                       "INSERT INTO stream_runs (workspace_id, last_offset, entity, node_id, changed_us, operations, "
                       "entity_ids, versions) SELECT u.w, h.last_offset - min(u.back), u.entity, u.node, h.last_us, "
                       "array_agg(u.operation ORDER BY u.back DESC), array_agg(u.id ORDER BY u.back DESC), "
                       "array_agg(u.version ORDER BY u.back DESC) "
                       "FROM unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::smallint[], $7::smallint[], "
                       "$8::uuid[], $9::uuid[], $10::bigint[]) AS u(w, back, run, entity, operation, id, node, "
                       "version) JOIN heads h ON h.workspace_id = u.w "
                       "GROUP BY u.w, u.run, u.entity, u.node, h.last_offset, h.last_us",
                .n_params = 11},
        /*
         * Plans that were made while a table was small are kept, by every process; whoever analyzes it ends them. So
         * that is done as soon as it has become twice as large, and not some seconds later, by when it may be a
         * thousand times as large. Tables that are read as fast as any index are left alone. Whoever changes or drops
         * a table at this moment goes first: ANALYZE waits for the locks of indexes, too.
         */
        {.name = "runtime_analyze",
                .sql = "DO $$ DECLARE t regclass; BEGIN "
                       "IF pg_try_advisory_xact_lock(" ANALYZE_LOCK ", hashtext(current_schema())) THEN "
                       "PERFORM set_config('lock_timeout', '100ms', true); "
                       "FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace "
                       "AND c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE') "
                       "AND pg_relation_size(c.oid) / current_setting('block_size')::integer "
                       "> 2 * GREATEST(c.relpages, " SMALL_BLOCKS ") LOOP "
                       "EXECUTE format('ANALYZE (SKIP_LOCKED) %s', t); END LOOP; END IF; END $$",
                .n_params = 0},
        /* each worker takes others of the rows that nobody repeats; the larger of the two numbers */
        {.name = "runtime_forget_results",
                .sql = "WITH old AS (DELETE FROM command_results WHERE ctid = ANY (ARRAY(SELECT ctid FROM "
                       "command_results WHERE NOT keyed AND created_us < $1::bigint LIMIT $5::bigint "
                       "FOR UPDATE SKIP LOCKED)) RETURNING 1), "
                       "keys AS (DELETE FROM command_results WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM "
                       "command_results r "
                       "JOIN unnest($3::integer[], $4::bigint[]) AS u(partition, time_us) ON r.partition = u.partition "
                       "AND r.kept_until_us <= u.time_us WHERE r.topic = $2::text LIMIT $5)) RETURNING 1) "
                       "SELECT GREATEST((SELECT count(*) FROM old), (SELECT count(*) FROM keys))",
                .n_params = 5},
};
const size_t runtime_statement_count = ARRAY_LEN(runtime_statements);

size_t batch_next_limit(size_t limit, size_t taken, size_t usual, size_t most)
{
	if (limit < usual)
		return limit < usual / 2 ? limit * 2 : usual;
	if (taken < limit || most <= usual)
		return usual;
	return limit < most / 2 ? limit * 2 : most;
}

size_t batch_size(const struct batch *batch)
{
	return batch->n;
}

struct command *batch_command(struct batch *batch, size_t index)
{
	return &batch->entries[index].command;
}

struct worker *batch_worker(struct batch *batch)
{
	return batch->context.worker;
}

struct arena *batch_arena(struct batch *batch)
{
	return batch->context.arena;
}

struct db *batch_db(struct batch *batch)
{
	return batch->context.db;
}

int32_t batch_partition(const struct batch *batch, size_t index)
{
	return batch->entries[index].message->partition;
}

bool batch_owns(const struct batch *batch, int32_t partition)
{
	const struct batch_context *context = &batch->context;

	/* in a replay nobody shares the new tables' background work */
	return context->replay ||
	       (partition >= 0 && (size_t)partition < context->n_positions && context->positions[partition].owned);
}

void *batch_state(struct batch *batch)
{
	return batch->context.state;
}

bool batch_skip(const struct batch *batch, size_t index)
{
	return batch->entries[index].skip;
}

bool batch_is_late(const struct batch *batch, size_t index)
{
	return batch->entries[index].late;
}

static void set_outcome(struct entry *entry, uint16_t status, struct str body)
{
	entry->answered = true;
	entry->status = status;
	entry->body = body;
}

void batch_reply(struct batch *batch, size_t index, uint16_t status, struct str body)
{
	set_outcome(&batch->entries[index], status, body);
}

void batch_reply_entity(struct batch *batch, size_t index, uint16_t status, const struct uuid *entity, struct str body)
{
	struct entry *entry = &batch->entries[index];

	set_outcome(entry, status, body);
	entry->entity = *entity;
	entry->reread = true;
}

void batch_reply_seq(struct batch *batch, size_t index, uint16_t status, struct str body, int64_t seq)
{
	set_outcome(&batch->entries[index], status, body);
	batch->entries[index].seq = seq;
}

static void refuse(struct batch *batch, size_t index, enum err_code code, struct str message, struct str data_json,
        const struct problems *problems)
{
	struct entry *entry = &batch->entries[index];
	struct uuid logref = uuid_derive(&entry->command.id, 0);
	struct buf body;

	buf_init(&body, batch->context.arena, 256);
	error_body_write(&body, message.p ? message : str_of(err_sentence(code)), &logref, data_json, problems);
	set_outcome(entry, (uint16_t)err_http_status(code), buf_str(&body));
}

void batch_refuse(struct batch *batch, size_t index, enum err_code code, struct str message, struct str data_json)
{
	refuse(batch, index, code, message, data_json, NULL);
}

void batch_refuse_problems(
        struct batch *batch, size_t index, enum err_code code, struct str message, const struct problems *problems)
{
	refuse(batch, index, code, message, STR_NONE, problems);
}

void batch_dead_letter(struct batch *batch, size_t index, struct str reason)
{
	batch->entries[index].dead_reason = reason;
}

/* The workspace's stream, made in its sorted place when it is new. */
static struct stream *find_stream(struct batch *batch, const struct uuid *workspace)
{
	struct stream **at = &batch->streams;

	while (*at && uuid_compare(&(*at)->workspace, workspace) < 0)
		at = &(*at)->next;
	if (*at && uuid_eq(&(*at)->workspace, workspace))
		return *at;
	struct stream *stream = arena_zalloc(batch->context.arena, sizeof(*stream));
	stream->workspace = *workspace;
	stream->next = *at;
	*at = stream;
	batch->n_streams++;
	return stream;
}

void batch_change(struct batch *batch, const struct uuid *workspace, const struct uuid *node, enum entity_kind entity,
        const struct uuid *id, enum change_operation operation, int64_t version)
{
	batch_change_flagged(batch, workspace, node, entity, id, operation, version, 0);
}

void batch_change_flagged(struct batch *batch, const struct uuid *workspace, const struct uuid *node,
        enum entity_kind entity, const struct uuid *id, enum change_operation operation, int64_t version,
        uint16_t flags)
{
	if (batch->context.replay)
		return;
	struct stream *stream = find_stream(batch, workspace);
	struct change *change = arena_zalloc(batch->context.arena, sizeof(*change));

	*change = (struct change){.workspace = *workspace,
	        .id = *id,
	        .entity = entity,
	        .operation = operation,
	        .flags = flags,
	        .version = version};
	if (node)
		change->node = *node;
	if (stream->last)
		stream->last->next = change;
	else
		stream->first = change;
	stream->last = change;
	stream->n++;
}

/* The advance of a partition, begun at its position. */
static struct advance *find_advance(struct batch *batch, int32_t partition)
{
	for (size_t i = 0; i < batch->n_advances; i++)
		if (batch->advances[i].partition == partition)
			return &batch->advances[i];
	const struct partition_position *position = &batch->context.positions[partition];
	struct advance *advance = &batch->advances[batch->n_advances++];
	*advance = (struct advance){.partition = partition,
	        .before = position->next_offset,
	        .after = position->next_offset,
	        .time_before_us = position->last_time_us,
	        .last_time_us = position->last_time_us,
	        .steps_before = position->steps,
	        .steps = position->steps};
	return advance;
}

static int64_t effective_time(struct advance *advance, int64_t stamped_us)
{
	advance->last_time_us = stamped_us > advance->last_time_us ? stamped_us : advance->last_time_us + 1;
	return advance->last_time_us;
}

static void decode_entry(struct batch *batch, size_t index, const rd_kafka_message_t *message)
{
	struct entry *entry = &batch->entries[index];
	struct advance *advance = find_advance(batch, message->partition);
	struct err err = {0};

	entry->message = message;
	entry->record = (struct str){message->payload, message->len};
	if (message->offset < advance->after) { /* seen: a consumer may step back after a reconnect */
		entry->skip = true;
		return;
	}
	if (message->offset > advance->after && advance->after &&
	        !topic_is_compacted(batch->context.definition->topic)) {
		log_event(LOG_ERROR, "log-gap", "partition %d: offset %lld follows %lld", message->partition,
		        (long long)message->offset, (long long)advance->after - 1);
		entry->n_missing = message->offset - advance->after;
	}
	advance->after = message->offset + 1;
	entry->decoded = command_decode(entry->record, &entry->command, &err);
	entry->late = entry->decoded && entry->command.time_us <= advance->last_time_us;
	entry->command.time_us = effective_time(advance, entry->decoded ? entry->command.time_us : 0);
	entry->kept_until_us = command_key_kept_until(&entry->command);
	if (entry->command.time_us > batch->last_time_us)
		batch->last_time_us = entry->command.time_us;
	if (!entry->decoded) {
		entry->skip = true;
		entry->dead_reason = arena_str(batch->context.arena, str_of(err.message));
	} else if (entry->command.type == COMMAND_WARM_UP) {
		entry->skip = true;
	}
}

/* A background step holds all partitions where they are. */
static void hold_positions(struct batch *batch)
{
	for (size_t i = 0; i < batch->context.n_positions; i++) {
		const struct partition_position *position = &batch->context.positions[i];
		if (!position->owned)
			continue;
		find_advance(batch, (int32_t)i);
		if (position->last_time_us > batch->last_time_us)
			batch->last_time_us = position->last_time_us;
	}
}

struct batch *batch_new(const struct batch_context *context)
{
	size_t most_advances = context->background ? context->n_positions : context->n_messages;

	struct batch *batch = arena_zalloc(context->arena, sizeof(*batch));

	batch->context = *context;
	batch->n = context->n_messages;
	batch->entries = arena_zalloc(context->arena, batch->n * sizeof(*batch->entries));
	batch->advances = arena_zalloc(context->arena, most_advances * sizeof(*batch->advances));
	if (context->background)
		hold_positions(batch);
	for (size_t i = 0; i < batch->n; i++)
		decode_entry(batch, i, context->messages[i]);
	return batch;
}

static bool send_positions(struct batch *batch, const char *statement, bool with_afters, struct err *err)
{
	struct db_array partitions, befores, times_before, steps_before, afters, times, steps;
	struct db_params params;
	struct arena *arena = batch->context.arena;

	db_array_init(&partitions, arena, DB_I32);
	db_array_init(&befores, arena, DB_I64);
	db_array_init(&times_before, arena, DB_I64);
	db_array_init(&steps_before, arena, DB_I64);
	db_array_init(&afters, arena, DB_I64);
	db_array_init(&times, arena, DB_I64);
	db_array_init(&steps, arena, DB_I64);
	for (size_t i = 0; i < batch->n_advances; i++) {
		db_array_i64(&partitions, batch->advances[i].partition);
		db_array_i64(&befores, batch->advances[i].before);
		db_array_i64(&times_before, batch->advances[i].time_before_us);
		db_array_i64(&steps_before, batch->advances[i].steps_before);
		db_array_i64(&afters, batch->advances[i].after);
		db_array_i64(&times, batch->advances[i].last_time_us);
		db_array_i64(&steps, batch->advances[i].steps);
	}
	db_params_init(&params, arena);
	db_param_text(&params, str_of(batch->context.definition->name));
	db_param_text(&params, str_of(topic_role_name(batch->context.definition->topic)));
	db_param_array(&params, &partitions);
	db_param_array(&params, &befores);
	db_param_array(&params, &times_before);
	db_param_array(&params, &steps_before);
	if (with_afters) {
		db_param_array(&params, &afters);
		db_param_array(&params, &times);
		db_param_array(&params, &steps);
	}
	return db_send_expect(batch->context.db, statement, &params, (int64_t)batch->n_advances, ERR_ZOMBIE, err);
}

static bool send_advance(struct batch *batch, struct err *err)
{
	return batch->context.background ? send_positions(batch, "runtime_hold", false, err)
	                                 : send_positions(batch, "runtime_advance", true, err);
}

/*
 * A background step that writes into the stream leaves offsets and times as they are: these follow from the log alone.
 * It is counted, so that a process that was overtaken sees that somebody has gone on: it must not count what was
 * committed here among what it has published, nor may its own late steps be missed.
 */
static bool send_step(struct batch *batch, struct err *err)
{
	for (size_t i = 0; i < batch->n_advances; i++)
		batch->advances[i].steps++;
	return send_positions(batch, "runtime_advance", true, err);
}

static bool is_keyed(const struct entry *entry)
{
	return entry->decoded && entry->command.flags & COMMAND_KEYED;
}

/* Facts have no id, and may come twice. */
static bool is_late_command(const struct entry *entry)
{
	return entry->late && !uuid_is_nil(&entry->command.id);
}

static bool may_be_repeat(const struct entry *entry)
{
	return !entry->skip && (is_keyed(entry) || is_late_command(entry));
}

/* Partitions are read in any order: what one decides must not depend on another. */
static bool same_key(const struct entry *a, const struct entry *b)
{
	return uuid_eq(&a->command.id, &b->command.id) && uuid_eq(&a->command.workspace, &b->command.workspace) &&
	       a->message->partition == b->message->partition;
}

/* A key used before with another request is a conflict; with the same one it gives the first result. */
static bool check_fingerprint(struct batch *batch, size_t index, uint64_t fingerprint)
{
	if (batch->entries[index].command.fingerprint == fingerprint)
		return true;
	batch_refuse(
	        batch, index, ERR_CONFLICT, STR("this Idempotency-Key was used before with another request"), STR_NONE);
	batch->entries[index].stored = true; /* the row belongs to the first request */
	return false;
}

/* The command, or the use of the key, that the entry repeats, which is itself when there is none before it in the
 * batch. */
static struct entry *use_of_key(struct entry **bucket, struct entry *entry)
{
	struct entry *use = *bucket;

	while (use && !same_key(use, entry))
		use = use->next;
	if (use && use->kept_until_us >= entry->command.time_us)
		return use;
	if (use) /* forgotten: there is one row, for the last use */
		use->stored = true;
	entry->next = *bucket;
	*bucket = entry;
	return entry;
}

static void mark_repeats_in_batch(struct batch *batch)
{
	size_t n_buckets = 16, n_late = 0;

	while (n_buckets < 2 * batch->n)
		n_buckets *= 2;
	for (size_t i = 0; i < batch->n; i++)
		n_late += is_late_command(&batch->entries[i]);
	struct entry **buckets = arena_zalloc(batch->context.arena, n_buckets * sizeof(struct entry *));
	for (size_t i = 0; i < batch->n; i++) {
		struct entry *entry = &batch->entries[i];
		/* those that a late one may repeat are not late themselves */
		if (!is_keyed(entry) && (!n_late || !entry->decoded || uuid_is_nil(&entry->command.id)))
			continue;
		struct str id = {(const char *)entry->command.id.b, sizeof(entry->command.id.b)};
		const struct entry *first = use_of_key(&buckets[hash_keyed(id) & (n_buckets - 1)], entry);
		if (first == entry || entry->skip)
			continue;
		entry->skip = true;
		if (check_fingerprint(batch, i, first->command.fingerprint))
			entry->same_as = (size_t)(first - batch->entries) + 1;
	}
}

static void take_stored_result(struct batch *batch, size_t index, const PGresult *rows, int row)
{
	struct entry *entry = &batch->entries[index];

	entry->skip = true;
	entry->kept_until_us = db_i64(rows, row, 6);
	if (!check_fingerprint(batch, index, (uint64_t)db_i64(rows, row, 1)))
		return;
	set_outcome(entry, (uint16_t)db_i64(rows, row, 2), arena_str(batch->context.arena, db_text(rows, row, 5)));
	if (db_is_null(rows, row, 5))
		entry->body = STR_NONE;
	entry->entity = db_uuid(rows, row, 3);
	entry->seq = db_i64(rows, row, 4);
	entry->stored = true;
}

/* Commands without an outcome are not in the table, nor are those of a replay, or of a log that was read late. */
static void skip_recent(struct batch *batch)
{
	for (size_t i = 0; i < batch->n && batch->context.recent; i++) {
		struct entry *entry = &batch->entries[i];
		if (!is_keyed(entry) && is_late_command(entry) &&
		        recent_ids_has(batch->context.recent, &entry->command.id))
			entry->skip = true;
	}
}

/* Answers repeats of Idempotency-Keys and second copies of records, from the table and from earlier in this batch. */
static bool answer_repeats(struct batch *batch, struct err *err)
{
	struct rows asked;
	struct db_params params;

	rows_init(&asked, batch->context.arena, "uuili");
	for (size_t i = 0; i < batch->n; i++) {
		const struct entry *entry = &batch->entries[i];
		if (!may_be_repeat(entry))
			continue;
		db_array_uuid(&asked.columns[0], &entry->command.workspace);
		db_array_uuid(&asked.columns[1], &entry->command.id);
		db_array_i64(&asked.columns[2], entry->message->partition);
		db_array_i64(&asked.columns[3], entry->command.time_us);
		db_array_i64(&asked.columns[4], (int64_t)i);
	}
	if (!rows_count(&asked))
		return true;
	db_params_init(&params, batch->context.arena);
	db_param_text(&params, str_of(topic_role_name(batch->context.definition->topic)));
	rows_add_params(&asked, &params);
	PGresult *rows = db_ask(batch->context.db, "runtime_find_results", &params, err);
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows); row++)
		take_stored_result(batch, (size_t)db_i64(rows, row, 0), rows, row);
	PQclear(rows);
	skip_recent(batch);
	mark_repeats_in_batch(batch);
	return true;
}

static void copy_outcomes_of_repeats(struct batch *batch)
{
	for (size_t i = 0; i < batch->n; i++) {
		struct entry *entry = &batch->entries[i];
		if (!entry->same_as)
			continue;
		const struct entry *first = &batch->entries[entry->same_as - 1];
		set_outcome(entry, first->status, first->body);
		entry->answered = first->answered;
		entry->seq = first->seq;
		entry->stored = true;
	}
}

static bool send_results(struct batch *batch, struct err *err)
{
	struct rows rows;
	struct db_params params;

	rows_init(&rows, batch->context.arena, "uublsulljil");
	for (size_t i = 0; i < batch->n; i++) {
		const struct entry *entry = &batch->entries[i];
		bool keyed = entry->command.flags & COMMAND_KEYED;
		if (!entry->answered || entry->stored || !entry->decoded || (batch->context.replay && !keyed))
			continue;
		db_array_uuid(&rows.columns[0], &entry->command.workspace);
		db_array_uuid(&rows.columns[1], &entry->command.id);
		db_array_i64(&rows.columns[2], keyed);
		db_array_i64(&rows.columns[3], (int64_t)entry->command.fingerprint);
		db_array_i64(&rows.columns[4], entry->status);
		db_array_uuid(&rows.columns[5], entry->reread ? &entry->entity : NULL);
		db_array_i64(&rows.columns[6], entry->seq);
		db_array_i64(&rows.columns[7], entry->command.time_us);
		db_array_text(&rows.columns[8], entry->reread && !keyed ? STR_NONE : entry->body);
		db_array_i64(&rows.columns[9], entry->message->partition);
		if (keyed && entry->command.key_days)
			db_array_i64(&rows.columns[10], entry->kept_until_us);
		else
			db_array_null(&rows.columns[10]);
	}
	if (!rows_count(&rows))
		return true;
	db_params_init(&params, batch->context.arena);
	rows_add_params(&rows, &params);
	db_param_text(&params, str_of(topic_role_name(batch->context.definition->topic)));
	db_param_bool(&params, batch->context.definition->topic != TOPIC_BULK_JOBS);
	/* a row that a worker of before migration 014 wrote meanwhile: try again, then it is found */
	return db_send_expect(batch->context.db, "runtime_add_results", &params, rows_count(&rows), ERR_DATABASE, err);
}

static void add_dead_letter(struct rows *rows, const struct entry *entry)
{
	db_array_uuid(&rows->columns[0], &entry->command.workspace); /* nil when not decoded */
	db_array_i64(&rows->columns[1], entry->message->partition);
	db_array_i64(&rows->columns[2], entry->message->offset);
	db_array_uuid(&rows->columns[3], &entry->command.id);
	db_array_i64(&rows->columns[4], entry->command.type);
	db_array_i64(&rows->columns[5], entry->command.time_us);
	db_array_text(&rows->columns[6], entry->dead_reason);
	db_array_text(&rows->columns[7], entry->record.p ? entry->record : STR(""));
}

/* What Kafka's client passed over: nobody knows what it was, and it must not go in silence. */
static void add_missing(struct batch *batch, struct rows *rows, const struct entry *entry)
{
	const char *words = arena_printf(batch->context.arena,
	        "the log does not give the records from here to offset %lld", (long long)entry->message->offset - 1);
	rd_kafka_message_t place = {
	        .partition = entry->message->partition, .offset = entry->message->offset - entry->n_missing};

	add_dead_letter(rows,
	        &(struct entry){
	                .command.time_us = entry->command.time_us, .message = &place, .dead_reason = str_of(words)});
}

static bool send_dead_letters(struct batch *batch, struct err *err)
{
	struct rows rows;
	struct db_params params;

	rows_init(&rows, batch->context.arena, "uilusltx");
	for (size_t i = 0; i < batch->n; i++) {
		const struct entry *entry = &batch->entries[i];
		if (entry->n_missing)
			add_missing(batch, &rows, entry);
		if (entry->dead_reason.p)
			add_dead_letter(&rows, entry);
	}
	if (!rows_count(&rows))
		return true;
	db_params_init(&params, batch->context.arena);
	db_param_text(&params, str_of(topic_role_name(batch->context.definition->topic)));
	db_param_text(&params, str_of(batch->context.definition->name));
	rows_add_params(&rows, &params);
	return db_send_expect(
	        batch->context.db, "runtime_add_dead_letters", &params, rows_count(&rows), ERR_INTERNAL, err);
}

/* Whether a change can stand in the run of the one before it. */
static bool goes_on(const struct change *before, const struct change *change)
{
	return before->entity == change->entity && uuid_eq(&before->node, &change->node);
}

/* Returns the number of the next run. */
static int64_t add_stream_rows(const struct stream *stream, struct rows *rows, int64_t run)
{
	const struct change *before = NULL;
	int64_t back = stream->n, n_in_run = 0;

	for (const struct change *change = stream->first; change; before = change, change = change->next) {
		if (before && (n_in_run == STREAM_RUN_MAX || !goes_on(before, change))) {
			run++;
			n_in_run = 0;
		}
		n_in_run++;
		db_array_uuid(&rows->columns[0], &change->workspace);
		db_array_i64(&rows->columns[1], --back);
		db_array_i64(&rows->columns[2], run);
		db_array_i64(&rows->columns[3], change->entity);
		db_array_i64(&rows->columns[4], change->operation);
		db_array_uuid(&rows->columns[5], &change->id);
		db_array_uuid(&rows->columns[6], &change->node);
		db_array_i64(&rows->columns[7], change->version);
	}
	return run + 1;
}

static bool send_fact_cursors(struct batch *batch, struct err *err)
{
	struct arena *arena = batch->context.arena;
	struct uuid *workspaces = arena_alloc(arena, batch->n_streams * sizeof(*workspaces));
	int32_t *partitions = arena_alloc(arena, batch->n_advances * sizeof(*partitions));
	size_t n = 0;

	for (const struct stream *stream = batch->streams; stream; stream = stream->next)
		workspaces[n++] = stream->workspace;
	for (size_t i = 0; i < batch->n_advances; i++)
		partitions[i] = batch->advances[i].partition;
	return facts_send_cursors(
	        batch->context.facts, batch->context.db, arena, workspaces, n, partitions, batch->n_advances, err);
}

static bool send_stream(struct batch *batch, struct err *err)
{
	struct rows streams, changes;
	int64_t n_runs = 0;
	struct db_params params;
	struct arena *arena = batch->context.arena;

	if (!batch->streams)
		return true;
	if (batch->context.facts && !send_fact_cursors(batch, err))
		return false;
	rows_init(&streams, arena, "ul");
	rows_init(&changes, arena, "ullssuul");
	for (const struct stream *stream = batch->streams; stream; stream = stream->next) {
		db_array_uuid(&streams.columns[0], &stream->workspace);
		db_array_i64(&streams.columns[1], stream->n);
		n_runs = add_stream_rows(stream, &changes, n_runs);
	}
	db_params_init(&params, arena);
	rows_add_params(&streams, &params);
	rows_add_params(&changes, &params);
	db_param_i64(&params, batch->last_time_us);
	return db_send_expect(batch->context.db, "runtime_stream", &params, (int)n_runs, ERR_INTERNAL, err);
}

static void remember_commands(struct batch *batch)
{
	for (size_t i = 0; i < batch->n && batch->context.recent; i++) {
		const struct entry *entry = &batch->entries[i];
		if (entry->decoded && !is_keyed(entry))
			recent_ids_add(batch->context.recent, &entry->command.id);
	}
}

static void take_positions(struct batch *batch)
{
	for (size_t i = 0; i < batch->n_advances; i++) {
		struct partition_position *position = &batch->context.positions[batch->advances[i].partition];
		position->next_offset = batch->advances[i].after;
		position->last_time_us = batch->advances[i].last_time_us;
		position->steps = batch->advances[i].steps;
	}
}

/* Stores the only record as a rejection instead of handling it. */
static void reject(struct batch *batch)
{
	const struct err *why = batch->context.rejection;

	if (batch->entries[0].skip)
		return;
	batch->entries[0].dead_reason = str_of(why->message);
	if (batch->entries[0].command.reply.boot || batch->entries[0].command.flags & COMMAND_BULK)
		batch_refuse(batch, 0, why->code, STR("The record was set aside: it could not be applied"), STR_NONE);
}

static bool handle(struct batch *batch, struct err *err)
{
	if (batch->context.rejection) {
		reject(batch);
		return true;
	}
	if (batch->context.background)
		return batch->context.definition->background(batch, &batch->more, err);
	return batch->context.definition->handle(batch, err);
}

bool batch_wants_more(const struct batch *batch)
{
	return batch->more;
}

bool batch_run(struct batch *batch, struct err *err)
{
	struct db *db = batch->context.db;

	/* nothing is ours to do; but a replay's background work is, whoever reads the partitions */
	if (!batch->n_advances && !(batch->context.background && batch->context.replay))
		return true;
	if (!db_send_expect(db, "begin", NULL, -1, ERR_DATABASE, err) || !send_advance(batch, err))
		return false;
	CRASH_POINT("worker-after-begin");
	if (!answer_repeats(batch, err) || !handle(batch, err))
		return false;
	copy_outcomes_of_repeats(batch);
	if (batch->context.background && batch->streams && !send_step(batch, err))
		return false;
	/* settled first: the compare-and-set must be known to have hit before COMMIT is sent */
	if (!send_results(batch, err) || !send_dead_letters(batch, err) || !db_settle(db, err))
		return false;
	CRASH_POINT("worker-before-commit");
	if (!send_stream(batch, err) || !db_commit(db, err))
		return false;
	take_positions(batch);
	remember_commands(batch);
	if (batch->context.facts)
		facts_committed(batch->context.facts);
	return true;
}

void batch_publish_facts(struct batch *batch)
{
	for (const struct stream *stream = batch->streams; stream; stream = stream->next) {
		for (const struct change *change = stream->first; change; change = change->next)
			facts_publish(batch->context.facts, batch->context.arena,
			        &(struct fact){.workspace = change->workspace,
			                .node = change->node,
			                .id = change->id,
			                .entity = (uint8_t)change->entity,
			                .operation = (uint8_t)change->operation,
			                .flags = change->flags,
			                .version = change->version,
			                .changed_us = batch->last_time_us});
	}
}

void batch_publish_replies(struct batch *batch, struct kafka_producer *producer)
{
	for (size_t i = 0; i < batch->n; i++) {
		const struct entry *entry = &batch->entries[i];
		struct err err = {0};
		struct buf record;
		if (!entry->answered || !entry->command.reply.boot || batch->context.replay)
			continue;
		struct reply reply = {.boot = entry->command.reply.boot,
		        .request = entry->command.reply.request,
		        .command = entry->command.id,
		        .status = entry->status,
		        .seq = entry->seq,
		        .body = entry->body};
		buf_init(&record, batch->context.arena, 128 + reply.body.n);
		reply_encode(&record, &reply);
		/* a reply that is not sent is found in command_results by the gateway */
		if (!kafka_send(producer, TOPIC_REPLIES, entry->command.reply.partition, NULL, buf_str(&record), NULL,
		            &err))
			log_event(LOG_WARN, "reply", "%s", err.message);
	}
	CRASH_POINT("worker-after-replies");
	kafka_producer_poll(producer, 0);
}
