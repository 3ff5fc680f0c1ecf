#include "common/arena.h"
#include "deploy/ctl/replay.h"

#include <unistd.h>

#define QUIET_TRIES 10
#define QUIET_US 500000
#define LOG_MS 10000
/* ten minutes: at some ten thousand rows a second a node of millions */
#define EMPTIED_TRIES 6000
#define EMPTIED_US 100000

/* Whose tables follow from facts, with the entities that they read. */
#define FOLLOWERS 2
#define FOLLOWERS_SQL "'aggregate-sync', 'stats-rollup'"

/* --- is it a quiet moment? ----------------------------------------------------------------------------------------
 */

static bool read_heads(struct replay *replay, PGconn *connection, int64_t *ret_heads, struct err *err)
{
	return replay_number(
	        replay, connection, err, "SELECT COALESCE(sum(last_offset), 0) FROM {live}.stream_heads", ret_heads);
}

/* Facts of one partition that have been taken by all who follow them. */
static bool is_taken(struct replay *replay, int32_t partition, bool *ret_taken, struct err *err)
{
	int64_t first, end, followers;
	const char *sql;

	if (!kafka_log_range(replay->ctl->producer, TOPIC_CHANGES, partition, LOG_MS, &first, &end))
		return err_set(err, ERR_UNAVAILABLE, "Kafka does not tell what partition %d of %s holds", partition,
		        topic_role_name(TOPIC_CHANGES));
	sql = arena_printf(replay->ctl->arena,
	        "SELECT count(*) FROM {live}.consumer_offsets WHERE worker IN (" FOLLOWERS_SQL ") "
	        "AND topic = '%s' AND partition = %d AND next_offset >= %lld",
	        topic_role_name(TOPIC_CHANGES), partition, (long long)end);
	if (!replay_number(replay, replay->main, err, sql, &followers))
		return false;
	*ret_taken = !end || followers == FOLLOWERS;
	return true;
}

static bool all_are_taken(struct replay *replay, bool *ret_taken, struct err *err)
{
	int64_t at_work;
	uint32_t n;

	if (!ctl_partition_count(replay->ctl, TOPIC_CHANGES, &n, err) ||
	        !replay_number(replay, replay->main, err,
	                "SELECT count(*) FROM {live}.aggregate_nodes WHERE building OR dropping", &at_work))
		return false;
	*ret_taken = !at_work;
	for (uint32_t i = 0; i < n && *ret_taken; i++)
		if (!is_taken(replay, (int32_t)i, ret_taken, err))
			return false;
	return true;
}

/* --- what goes in steps --------------------------------------------------------------------------------------------
 */

bool replay_check_emptied(struct replay *replay, PGconn *connection, struct err *err)
{
	int64_t n = 0;

	if (!replay->force && !replay_number(replay, connection, err, "SELECT count(*) FROM {live}.node_emptyings", &n))
		return false;
	return !n || err_set(err, ERR_UNAVAILABLE, "rows of a node that was emptied are still being removed");
}

bool replay_wait_until_emptied(struct replay *replay, struct err *err)
{
	for (int try = 0; try < EMPTIED_TRIES; try++) {
		*err = (struct err){0};
		if (replay_check_emptied(replay, replay->main, err))
			return true;
		if (err->code != ERR_UNAVAILABLE)
			return false;
		if (!try)
			printf("%s: waiting for that\n", err->message);
		fflush(stdout);
		usleep(EMPTIED_US);
	}
	return false;
}

static bool begin_snapshot(struct replay *replay, struct err *err)
{
	PQfinish(replay->snapshot);
	replay->snapshot = replay_connect(&replay->ctl->settings, err);
	return replay->snapshot &&
	       replay_do(replay, replay->snapshot, err,
	               "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ") &&
	       replay_check_emptied(replay, replay->snapshot, err);
}

static bool begin_snapshot_when_emptied(struct replay *replay, struct err *err)
{
	for (int try = 0; try < QUIET_TRIES; try++) {
		if (!replay_wait_until_emptied(replay, err))
			return false;
		if (begin_snapshot(replay, err))
			return true;
		if (err->code != ERR_UNAVAILABLE)
			return false;
	}
	return false;
}

bool replay_open_snapshot(struct replay *replay, struct err *err)
{
	int64_t heads = 0, now = 0;
	bool taken = false;

	if (!replay_wait_until_emptied(replay, err))
		return false;
	for (int try = 0; try < QUIET_TRIES && !(taken && heads == now); try++) {
		if (!read_heads(replay, replay->main, &heads, err))
			return false;
		usleep(QUIET_US);
		if (!all_are_taken(replay, &taken, err) || !read_heads(replay, replay->main, &now, err))
			return false;
	}
	if (!begin_snapshot_when_emptied(replay, err) || !read_heads(replay, replay->snapshot, &now, err))
		return false;
	replay->quiet = taken && heads == now;
	return true;
}

/* --- deriving -----------------------------------------------------------------------------------------------------
 */

/* What the rules' records say, from the documents that they were made of. A backup brings profiles of its own. */
static bool make_nodes(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "DELETE FROM {new}.customers c USING {new}.aggregate_nodes a WHERE c.workspace_id = a.workspace_id "
	        "AND c.node_id = a.node_id; "
	        "TRUNCATE {new}.aggregate_nodes, {new}.aggregate_members; "
	        "INSERT INTO {new}.aggregate_nodes (workspace_id, node_id, seq, active, doc, building) "
	        "SELECT workspace_id, id::uuid, seq, doc ->> 'state' = 'ACTIVE', doc, doc ->> 'state' = 'ACTIVE' "
	        "FROM {new}.configuration WHERE kind = 'node' AND doc ->> 'nodeType' = 'AGGREGATE'");
}

bool replay_recount(struct replay *replay, const char *schema, struct err *err)
{
	/* several statements in one are one transaction; stats-rollup waits at its compare-and-set meanwhile */
	const char *sql = arena_printf(replay->ctl->arena,
	        "SET LOCAL search_path = %s; "
	        "SELECT 1 FROM consumer_offsets WHERE worker = 'stats-rollup' FOR NO KEY UPDATE; "
	        "SELECT stat_recount(workspace_id) FROM configuration WHERE kind = 'workspace' AND id = ''",
	        schema);

	return replay_do(replay, replay->main, err, sql);
}

bool replay_derive(struct replay *replay, struct err *err)
{
	puts("profiles and counters of the new tables");
	fflush(stdout);
	return make_nodes(replay, err) && replay_run_to_end(replay, "aggregate-sync", err) &&
	       replay_recount(replay, "{new}", err);
}
