#include "common/arena.h"
#include "common/clock.h"
#include "deploy/ctl/migrate.h"
#include "deploy/ctl/replay.h"

#include <unistd.h>

/* Of the advisory lock that replays take; any number that nobody else uses. */
#define LOCK_KEY "4858011200000002"
#define LOCK_TRIES 50
#define LOCK_PAUSE_US 100000
/* The swap is tried when the new tables are this close; while live traffic goes on they never stay equal. */
#define NEAR_RECORDS 2000
#define CATCH_UP_ROUNDS 20
#define SWAP_TRIES 5

/*
 * The steps. Up to the swap nothing touches the live tables; whoever kills us at any moment leaves them as they were,
 * and the next run begins anew.
 *   1. make the new tables; check that the log reaches from their offsets to the live ones;
 *   2. load: configuration and customers, then events, up to where the live tables stood at the beginning; indexes
 *      that only readers need are made afterwards;
 *   3. catch up; 4. compare at one vector of offsets: entities, then profiles and counters, which both sides make of
 *   them; 5. catch up and swap; 6. what was derived wrongly is made again.
 */

/* Secondary indexes of the large tables, to be made after loading. */
struct indexes {
	PGresult *rows;
};

static void ignore_delivery(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	(void)context, (void)opaque, (void)delivery;
}

static bool find_directory(struct replay *replay, struct err *err)
{
	ssize_t n = readlink("/proc/self/exe", replay->directory, sizeof(replay->directory) - 1);

	while (n > 0 && replay->directory[n - 1] != '/')
		n--;
	if (n <= 0)
		return err_set(err, ERR_INTERNAL, "cannot tell where the workers' programs are");
	replay->directory[n - 1] = '\0';
	return true;
}

static bool quote(struct replay *replay, const char *name, char **ret_quoted, struct err *err)
{
	*ret_quoted = PQescapeIdentifier(replay->main, name, strlen(name));
	return *ret_quoted || err_set(err, ERR_INVALID, "the name of the schema cannot be used");
}

/* The session of one that was killed holds the lock until PostgreSQL has noticed. */
static bool lock(struct replay *replay, struct err *err)
{
	int64_t locked = 0;

	for (int try = 0; try < LOCK_TRIES && !locked; try++) {
		if (try)
			usleep(LOCK_PAUSE_US);
		if (!replay_number(
		            replay, replay->main, err, "SELECT pg_try_advisory_lock(" LOCK_KEY ")::integer", &locked))
			return false;
	}
	return locked || err_set(err, ERR_CONFLICT, "another replay is at work on this database");
}

static bool open_replay(struct replay *replay, struct err *err)
{
	const struct settings *settings = &replay->ctl->settings;
	struct arena *arena = replay->ctl->arena;

	if (!*settings->pg)
		return err_set(err, ERR_INVALID, "CONTACTHUB_PG is not set: it names the database");
	if (!*settings->kafka)
		return err_set(err, ERR_INVALID, "CONTACTHUB_KAFKA is not set: it names the Kafka brokers");
	if (settings->replay)
		return err_set(err, ERR_INVALID, "CONTACTHUB_REPLAY is for the workers that this command starts");
	replay->ctl->producer = kafka_producer_new(settings, KAFKA_SEND_AT_ONCE, ignore_delivery, NULL);
	replay->live = settings->pg_schema;
	replay->new = arena_printf(arena, "%s_replay", replay->live);
	replay->old = arena_printf(arena, "%s_old", replay->live);
	replay->main = replay_connect(settings, err);
	if (!replay->main || !quote(replay, replay->live, &replay->live_q, err) ||
	        !quote(replay, replay->new, &replay->new_q, err) || !quote(replay, replay->old, &replay->old_q, err) ||
	        !find_directory(replay, err))
		return false;
	return lock(replay, err);
}

static void close_replay(struct replay *replay)
{
	PQfreemem(replay->live_q);
	PQfreemem(replay->new_q);
	PQfreemem(replay->old_q);
	PQfinish(replay->snapshot);
	PQfinish(replay->main);
}

static bool schema_exists(struct replay *replay, const char *name, bool *ret_exists, struct err *err)
{
	const char *values[] = {name};
	PGresult *rows =
	        replay_ask(replay, replay->main, err, "SELECT 1 FROM pg_namespace WHERE nspname = $1", 1, values);

	*ret_exists = rows && PQntuples(rows);
	PQclear(rows);
	return rows != NULL;
}

static bool check_schemas(struct replay *replay, bool keep_old, struct err *err)
{
	bool live, old;

	if (!schema_exists(replay, replay->live, &live, err) || !schema_exists(replay, replay->old, &old, err))
		return false;
	if (!live)
		return err_set(
		        err, ERR_NOT_FOUND, "there is no schema %s: run `contacthubctl migrate` first", replay->live);
	if (!replay_check_migrations(replay, err))
		return false;
	return !(keep_old && old) || err_set(err, ERR_CONFLICT,
	                                     "the tables of an earlier replay are still in schema %s: remove them with "
	                                     "`contacthubctl replay --drop-old`, or leave --keep-old out",
	                                     replay->old);
}

/*
 * A restored backup becomes the beginning of the new tables. Its name is noted in a comment of the schema: whoever was
 * killed meanwhile has left the only copy there is in it.
 */
static bool take_backup(struct replay *replay, const char *backup, struct err *err)
{
	char *quoted;
	bool exists;

	if (!schema_exists(replay, backup, &exists, err))
		return false;
	if (!exists || !strcmp(backup, replay->live) || !strcmp(backup, replay->new))
		return err_set(err, ERR_INVALID, "--from must name the schema that a backup was restored into");
	if (!quote(replay, backup, &quoted, err))
		return false;
	char *literal = PQescapeLiteral(replay->main, backup, strlen(backup));
	const char *sql =
	        arena_printf(replay->ctl->arena, "COMMENT ON SCHEMA %s IS %s; ALTER SCHEMA %s RENAME TO {new}", quoted,
	                literal ? literal : "NULL", quoted);
	PQfreemem(literal);
	PQfreemem(quoted);
	return replay_do(replay, replay->main, err, sql);
}

/*
 * What a replay that ended in the middle has left in the new tables' schema: a backup gets its name back, at whatever
 * offsets it stands now. *ret_name: NULL when there is none.
 */
static bool find_begun_backup(struct replay *replay, const char **ret_name, struct err *err)
{
	const char *values[] = {replay->new};
	PGresult *rows = replay_ask(replay, replay->main, err,
	        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", 1, values);

	*ret_name = NULL;
	if (rows && PQntuples(rows) && !PQgetisnull(rows, 0, 0))
		*ret_name = arena_printf(replay->ctl->arena, "%s", PQgetvalue(rows, 0, 0));
	PQclear(rows);
	return rows != NULL;
}

static bool give_name_back(struct replay *replay, const char *name, struct err *err)
{
	char *quoted = NULL;
	bool exists;

	if (!schema_exists(replay, name, &exists, err))
		return false;
	if (exists)
		return err_set(err, ERR_CONFLICT,
		        "schema %s is the backup %s that an earlier replay began with, and there is another schema of "
		        "that "
		        "name: rename or drop one of them",
		        replay->new, name);
	if (!quote(replay, name, &quoted, err) || !quoted)
		return false;
	const char *sql = arena_printf(
	        replay->ctl->arena, "COMMENT ON SCHEMA {new} IS NULL; ALTER SCHEMA {new} RENAME TO %s", quoted);
	PQfreemem(quoted);
	return replay_do(replay, replay->main, err, sql);
}

static bool save_begun_backup(struct replay *replay, struct err *err)
{
	const char *name;

	if (!find_begun_backup(replay, &name, err) || (name && !give_name_back(replay, name, err)))
		return false;
	if (name)
		printf("a replay that began with the backup %s did not come to its end: the schema has its name back\n",
		        name);
	return true;
}

static bool make_tables(struct replay *replay, struct str backup, struct err *err)
{
	struct settings settings = replay->ctl->settings;

	settings.pg_schema = replay->new;
	if (!save_begun_backup(replay, err) ||
	        !replay_do(replay, replay->main, err, "DROP SCHEMA IF EXISTS {new} CASCADE"))
		return false;
	if (backup.p && !take_backup(replay, arena_printf(replay->ctl->arena, "%.*s", STR_ARG(backup)), err))
		return false;
	return migrate(&settings, NULL, err);
}

static bool drop_indexes(struct replay *replay, struct indexes *indexes, struct err *err)
{
	const char *values[] = {replay->new};
	bool good;

	indexes->rows = replay_ask(replay, replay->main, err,
	        "SELECT t.relname, quote_ident(i.relname), replace(pg_get_indexdef(i.oid), ' ON ONLY ', ' ON ') "
	        "FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid "
	        "JOIN pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = $1 "
	        "AND t.relname IN ('customers', 'events') AND NOT x.indisunique ORDER BY i.relname",
	        1, values);
	good = indexes->rows != NULL;
	for (int row = 0; good && row < PQntuples(indexes->rows); row++) {
		const char *sql =
		        arena_printf(replay->ctl->arena, "DROP INDEX {new}.%s", PQgetvalue(indexes->rows, row, 1));
		good = replay_do(replay, replay->main, err, sql);
	}
	return good;
}

static bool make_indexes(struct replay *replay, const struct indexes *indexes, const char *table, struct err *err)
{
	for (int row = 0; indexes->rows && row < PQntuples(indexes->rows); row++) {
		if (strcmp(PQgetvalue(indexes->rows, row, 0), table) != 0)
			continue;
		printf("index %s\n", PQgetvalue(indexes->rows, row, 1));
		fflush(stdout);
		if (!replay_do(replay, replay->main, err, PQgetvalue(indexes->rows, row, 2)))
			return false;
	}
	return replay_do(replay, replay->main, err, arena_printf(replay->ctl->arena, "ANALYZE {new}.%s", table));
}

/* Events after customers: no event is written twice, and nobody looks for events by customer meanwhile. */
static bool load(struct replay *replay, bool empty, struct err *err)
{
	static struct replay_vector target;
	struct indexes indexes = {0};
	bool good =
	        (!empty || drop_indexes(replay, &indexes, err)) &&
	        replay_read_vector(replay, replay->main, "{live}", &target, err) &&
	        replay_run(replay, &target, 1u << REPLAY_CONFIGURATION | 1u << REPLAY_CUSTOMERS, 0, "customers", err) &&
	        make_indexes(replay, &indexes, "customers", err) &&
	        replay_do(replay, replay->main, err,
	                "ANALYZE {new}.customer_keys; ANALYZE {new}.bindings; ANALYZE {new}.customer_tombstones") &&
	        replay_run(replay, &target, 1u << REPLAY_EVENTS, 0, "events", err) &&
	        make_indexes(replay, &indexes, "events", err);

	PQclear(indexes.rows);
	return good;
}

static bool catch_up(struct replay *replay, struct err *err)
{
	static struct replay_vector live, now;

	for (int round = 0; round < CATCH_UP_ROUNDS; round++) {
		if (!replay_read_vector(replay, replay->main, "{live}", &live, err) ||
		        !replay_read_vector(replay, replay->main, "{new}", &now, err))
			return false;
		if (replay_distance(&now, &live, REPLAY_ALL) <= NEAR_RECORDS)
			return true;
		if (!replay_run(replay, &live, REPLAY_ALL, 0, "catching up", err))
			return false;
	}
	return true; /* traffic is as fast as we are: the swap has a deadline of its own */
}

/* A second connection keeps one view of the live tables, with their offsets, while the live workers go on. */
static bool compare(struct replay *replay, bool *ret_equal, struct err *err)
{
	static struct replay_vector target;
	bool derived_equal = true;

	if (!replay_open_snapshot(replay, err) ||
	        !replay_read_vector(replay, replay->snapshot, "{live}", &target, err) ||
	        !replay_run(replay, &target, REPLAY_ALL, 0, "up to the comparison", err) ||
	        !replay_compare(replay, REPLAY_ENTITIES, ret_equal, err))
		return false;
	if (!*ret_equal)
		return true; /* then the rest differs, too */
	if (!replay_derive(replay, err) || !replay_compare(replay, REPLAY_DERIVED, &derived_equal, err))
		return false;
	replay->derived_differs = !derived_equal;
	return true;
}

static bool compare_and_judge(struct replay *replay, struct err *err)
{
	bool equal = false, good = compare(replay, &equal, err);

	PQfinish(replay->snapshot);
	replay->snapshot = NULL;
	if (!good)
		return false;
	replay->differs = !equal;
	if (equal || replay->force)
		return true;
	return err_set(err, ERR_CONFLICT,
	        "the live tables are not what the log says, nothing was changed; the tables made from the log are in "
	        "schema %s until the next replay (--force takes them all the same)",
	        replay->new);
}

/* The workers' sessions of before; every one of them would find out by itself. */
static bool end_sessions(struct replay *replay, const char *before, struct err *err)
{
	const char *values[] = {before};
	PGresult *done = replay_ask(replay, replay->main, err,
	        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
	        "AND pid <> pg_backend_pid() AND backend_start < $1::timestamptz AND application_name IN "
	        "('configuration', 'customer-merge', 'event-ingest', 'aggregate-sync', 'stats-rollup', "
	        "'bulk-processor')",
	        1, values);

	PQclear(done);
	return done != NULL;
}

/* What follows from entities loses nothing when it is made again. */
static bool heal(struct replay *replay, struct err *err)
{
	if (!replay->differs && !replay->derived_differs)
		return true;
	puts("aggregate nodes are being built again; counters are counted again");
	return replay_recount(replay, "{live}", err) || err_wrap(err, "`contacthubctl recount --repair` is to be run");
}

static bool swap(struct replay *replay, struct err *err)
{
	bool late = true;
	int64_t held_us = 0;
	PGresult *before = NULL;

	if (!replay_carry_profiles(replay, err) ||
	        !replay_do(replay, replay->main, err, "DROP SCHEMA IF EXISTS {old} CASCADE"))
		return false;
	for (int try = 0; late && try < SWAP_TRIES; try++) {
		*err = (struct err){0};
		if (!replay_wait_until_emptied(replay, err) || !catch_up(replay, err))
			return false;
		/* a commit that is waited for: the swap's own finds little left to be made durable */
		if (!replay_do(replay, replay->main, err, "SELECT pg_current_xact_id()"))
			return false;
		held_us = clock_monotonic_us();
		PQclear(before);
		before = replay_ask(replay, replay->main, err, "SELECT clock_timestamp()", 0, NULL);
		if (before && replay_swap(replay, &late, err))
			break;
		if (!late) {
			PQclear(before);
			return false;
		}
	}
	if (late && err->code)
		return PQclear(before), err_wrap(err, "the swap was tried %d times", SWAP_TRIES);
	printf("swapped: live writes waited for %.1f s; the tables of before are in schema %s\n",
	        (double)(clock_monotonic_us() - held_us) / 1e6, replay->old);
	if (!heal(replay, err))
		return false;
	if (!end_sessions(replay, PQgetvalue(before, 0, 0), err))
		fprintf(stderr, "%s\n", err->message); /* they find out by themselves */
	PQclear(before);
	return true;
}

/* What was begun is of no use to anybody; a backup gets its name back (it stands at later offsets now). */
static void clear_away(struct replay *replay)
{
	struct err ignored = {0};
	const char *name;

	if (!find_begun_backup(replay, &name, &ignored) ||
	        !(name ? give_name_back(replay, name, &ignored)
	               : replay_do(replay, replay->main, &ignored, "DROP SCHEMA IF EXISTS {new} CASCADE")))
		fprintf(stderr, "schema %s could not be cleared away: %s\n", replay->new, ignored.message);
}

static bool rebuild(struct replay *replay, struct str backup, struct err *err)
{
	if (!make_tables(replay, backup, err))
		return false;
	if (replay_check_log(replay, err) && load(replay, !backup.p, err) && catch_up(replay, err) &&
	        compare_and_judge(replay, err) && swap(replay, err))
		return true;
	if (!replay->differs)
		clear_away(replay);
	return false;
}

static bool drop_old(struct replay *replay, struct err *err)
{
	return save_begun_backup(replay, err) &&
	       replay_do(replay, replay->main, err,
	               "DROP SCHEMA IF EXISTS {old} CASCADE; DROP SCHEMA IF EXISTS {new} CASCADE");
}

bool ctl_replay(struct ctl *ctl, struct err *err)
{
	struct replay replay = {.ctl = ctl, .force = arguments_flag(&ctl->arguments, "force")};
	bool keep_old = arguments_flag(&ctl->arguments, "keep-old");
	bool drop = arguments_flag(&ctl->arguments, "drop-old");
	struct str backup = arguments_option(&ctl->arguments, "from");

	if (!arguments_done(&ctl->arguments, err))
		return false;
	bool good = open_replay(&replay, err) &&
	            (drop ? drop_old(&replay, err)
	                  : check_schemas(&replay, keep_old, err) && rebuild(&replay, backup, err));
	close_replay(&replay);
	return good;
}
