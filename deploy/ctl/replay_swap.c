#include "common/arena.h"
#include "deploy/ctl/migrate.h"
#include "deploy/ctl/replay.h"

/* Live writes wait while the new tables read the last records; those who wait longest still have their answer. */
#define CATCH_UP_MS 5000
#define LOCK_TIMEOUT "5s"

/* By way of the index on nodes: there are few aggregate nodes, and often none. */
#define PROFILES(schema, name)                                                                                         \
	"{live}.aggregate_nodes a JOIN " schema ".customers " name " ON " name                                         \
	".workspace_id = a.workspace_id AND " name ".node_id = a.node_id"
#define SAME_CUSTOMER "n.workspace_id = l.workspace_id AND n.id = l.id"

/* Everything that is not named here is carried over as it is: the update stream, results, dead letters, what the
   consumers of facts have derived, bulk jobs. */
#define REBUILT                                                                                                        \
	"'schema_migrations', 'consumer_offsets', 'configuration_head', 'configuration', 'node_rules', "               \
	"'node_emptyings', "                                                                                           \
	"'customer_heads', 'customers', 'customer_keys', 'customer_tombstones', 'bindings', 'events', "                \
	"'event_tombstones'"

#define STREAM_OF(table, number, only)                                                                                 \
	"SELECT COALESCE(l.workspace_id, n.workspace_id) AS w, " number " AS entity, CASE WHEN l.id IS NULL THEN 1 "   \
	"WHEN n.id IS NULL THEN 3 ELSE 2 END AS operation, COALESCE(l.id, n.id) AS id, "                               \
	"COALESCE(n.node_id, l.node_id) AS node, COALESCE(n.version, l.version) AS version "                           \
	"FROM (SELECT t.* FROM {live}." table " t " only ") l FULL JOIN (SELECT t.* FROM {new}." table " t " only ") " \
	"n ON " SAME_CUSTOMER " WHERE l::text IS DISTINCT FROM n::text"

/* A list of quoted names, or of statements. */
struct names {
	PGresult *rows;
	int n;
};

static bool ask_names(struct replay *replay, const char *sql, struct names *ret_names, struct err *err)
{
	const char *values[] = {replay->live, replay->new};

	ret_names->rows = replay_ask(replay, replay->main, err, sql, 2, values);
	ret_names->n = ret_names->rows ? PQntuples(ret_names->rows) : 0;
	return ret_names->rows != NULL;
}

static const char *name_at(const struct names *names, int i)
{
	return PQgetvalue(names->rows, i, 0);
}

/* format holds the name once. */
static bool do_for(struct replay *replay, struct err *err, const char *before, const char *name, const char *after)
{
	const char *sql = arena_printf(replay->ctl->arena, "%s%s%s", before, name, after);

	return replay_do(replay, replay->main, err, sql);
}

/* Where the update stream stands is noted first: what it says from there on the swap looks at, and nothing else,
 * however many profiles there are. In tables of the new schema that go before it is swapped: temporary ones are a right
 * of their own, which not everybody has. */
bool replay_carry_profiles(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "CREATE TABLE {new}.replay_carried AS SELECT workspace_id, last_offset FROM "
	        "{live}.stream_heads; "
	        "DELETE FROM {new}.customers WHERE (workspace_id, id) IN (SELECT n.workspace_id, n.id "
	        "FROM " PROFILES("{new}", "n") " LEFT JOIN {live}.customers l ON " SAME_CUSTOMER
	                                       " WHERE l.id IS NULL OR l *<> n); "
	                                       "INSERT INTO {new}.customers SELECT l.* FROM " PROFILES(
	                                               "{live}", "l") " ON CONFLICT (workspace_id, id) DO NOTHING");
}

/* What became of the profiles since they were carried over. */
static bool carry_changed_profiles(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "CREATE TABLE {new}.replay_changed AS SELECT DISTINCT a.workspace_id, e.id "
	        "FROM {live}.aggregate_nodes a LEFT JOIN {new}.replay_carried h ON h.workspace_id = a.workspace_id "
	        "JOIN {live}.stream_runs r ON r.workspace_id = a.workspace_id "
	        "AND r.last_offset > COALESCE(h.last_offset, 0) AND r.entity = 1 AND r.node_id = a.node_id "
	        "CROSS JOIN LATERAL unnest(r.entity_ids) AS e(id); "
	        "ANALYZE {new}.replay_changed; "
	        "DELETE FROM {new}.customers n USING {new}.replay_changed l WHERE " SAME_CUSTOMER "; "
	        "INSERT INTO {new}.customers SELECT n.* FROM {new}.replay_changed l JOIN {live}.customers n "
	        "ON " SAME_CUSTOMER "; "
	        "DROP TABLE {new}.replay_carried, {new}.replay_changed");
}

/*
 * Gateways ask for "seq above what I know", so a document that they know keeps its seq; one that differs gets a new one
 * above all.
 */
static bool carry_seqs(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "UPDATE {new}.configuration SET seq = -1 - seq; "
	        "UPDATE {new}.configuration n SET seq = l.seq FROM {live}.configuration l "
	        "WHERE l.workspace_id = n.workspace_id AND l.kind = n.kind AND l.id = n.id "
	        "AND l.version = n.version AND l.doc = n.doc; "
	        "UPDATE {new}.configuration n SET seq = (SELECT seq FROM {live}.configuration_head) + u.place "
	        "FROM (SELECT workspace_id, kind, id, row_number() OVER (ORDER BY workspace_id, kind, id) AS place "
	        "FROM {new}.configuration WHERE seq < 0) u "
	        "WHERE n.workspace_id = u.workspace_id AND n.kind = u.kind AND n.id = u.id; "
	        "UPDATE {new}.configuration_head SET seq = GREATEST((SELECT seq FROM {live}.configuration_head), "
	        "(SELECT max(seq) FROM {new}.configuration))");
}

/* The offsets of all workers; those of the log's workers are equal on both sides. */
static bool carry_offsets(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "DELETE FROM {new}.consumer_offsets; "
	        "INSERT INTO {new}.consumer_offsets SELECT * FROM {live}.consumer_offsets");
}

/* Moved in whole: that takes no time, however large they are. */
static bool carry_tables(struct replay *replay, struct err *err)
{
	struct names tables;
	bool good = ask_names(replay,
	        "SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace "
	        "WHERE s.nspname = $1 AND $2::text IS NOT NULL AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
	        "AND c.relname NOT IN (" REBUILT ") ORDER BY c.relname",
	        &tables, err);

	for (int i = 0; good && i < tables.n; i++)
		good = do_for(replay, err, "DROP TABLE IF EXISTS {new}.", name_at(&tables, i), "") &&
		       do_for(replay, err, "ALTER TABLE {live}.", name_at(&tables, i), " SET SCHEMA {new}");
	PQclear(tables.rows);
	return good;
}

#define CHANGED_CUSTOMERS                                                                                              \
	STREAM_OF("customers", "1", "WHERE t.node_id NOT IN (SELECT node_id FROM {new}.aggregate_nodes)")
#define CHANGED_EVENTS STREAM_OF("events", "2", "")

/* Normally none: then the stream goes on above its last offset as if nothing had been. */
static bool tell_differences(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "WITH changed AS MATERIALIZED (" CHANGED_CUSTOMERS " UNION ALL " CHANGED_EVENTS "), "
	        "heads AS (INSERT INTO {new}.stream_heads AS h (workspace_id, last_offset, last_us) "
	        "SELECT w, count(*), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM changed GROUP BY w "
	        "ON CONFLICT (workspace_id) DO UPDATE SET last_offset = h.last_offset + excluded.last_offset, "
	        "last_us = GREATEST(h.last_us, excluded.last_us) RETURNING workspace_id, last_offset, last_us) "
	        "INSERT INTO {new}.stream_runs (workspace_id, last_offset, entity, node_id, changed_us, operations, "
	        "entity_ids, versions) SELECT c.w, h.last_offset + 1 - row_number() OVER (PARTITION BY c.w "
	        "ORDER BY c.entity DESC, c.id DESC), c.entity, c.node, h.last_us, ARRAY[c.operation::smallint], "
	        "ARRAY[c.id], ARRAY[c.version] FROM changed c "
	        "JOIN heads h ON h.workspace_id = c.w");
}

static bool build_profiles_again(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "UPDATE {new}.aggregate_nodes SET building = true, built_to = NULL, made_to = NULL WHERE active");
}

/* Functions, whose bodies nobody looks at yet, then the views that use them, then the views' triggers; each in the
 * order in which they were made. */
#define CODE                                                                                                           \
	"(SELECT 1 AS rank, c.oid, s.nspname, 'VIEW ' || quote_ident(c.relname) AS name, 'CREATE VIEW ' || "           \
	"quote_ident(c.relname) || "                                                                                   \
	"' AS ' || pg_get_viewdef(c.oid) AS text FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace "       \
	"WHERE c.relkind = 'v' UNION ALL SELECT 0, p.oid, s.nspname, 'ROUTINE ' || p.oid::regprocedure, "              \
	"pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace "                      \
	"WHERE p.prokind IN ('f', 'p') AND s.nspname IN ($1, $2) UNION ALL SELECT 2, t.oid, s.nspname, 'TRIGGER ' || " \
	"quote_ident(t.tgname) || ' ON ' || quote_ident(c.relname), pg_get_triggerdef(t.oid, true) FROM pg_trigger t " \
	"JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.relkind = 'v') "   \
	"code"

/*
 * Views and functions know the tables that they use by number: those of the new schema are dropped before tables are
 * moved, and made again from the text of the live ones, in which nothing names a schema that is on the search path.
 */
static bool take_code(struct replay *replay, struct names *ret_code, struct err *err)
{
	struct names own = {0};
	bool good =
	        replay_do(replay, replay->main, err, "SET LOCAL search_path = {live}") &&
	        ask_names(replay, "SELECT text FROM " CODE " WHERE nspname = $1 ORDER BY rank, oid", ret_code, err) &&
	        replay_do(replay, replay->main, err, "SET LOCAL search_path = {new}") &&
	        ask_names(
	                replay, "SELECT name FROM " CODE " WHERE nspname = $2 ORDER BY rank DESC, oid DESC", &own, err);

	for (int i = 0; good && i < own.n; i++)
		good = do_for(replay, err, "DROP ", name_at(&own, i), "");
	PQclear(own.rows);
	return good;
}

static bool do_all(struct replay *replay, const struct names *statements, struct err *err)
{
	bool good = true;

	for (int i = 0; good && i < statements->n; i++)
		good = replay_do(replay, replay->main, err, name_at(statements, i));
	return good;
}

static bool put_code(struct replay *replay, const struct names *code, struct err *err)
{
	return replay_do(replay, replay->main, err,
	               "SET LOCAL search_path = {live}; SET LOCAL check_function_bodies = off") &&
	       do_all(replay, code, err);
}

/* What others may do with the schema, its tables and views: a role for reports, say, reads after the swap what it read
 * before. */
static bool ask_grants(struct replay *replay, struct names *ret_grants, struct err *err)
{
	return ask_names(replay,
	        "SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, o.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' "
	        "ELSE quote_ident(pg_get_userbyid(a.grantee)) END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' "
	        "ELSE '' END) FROM (SELECT 'SCHEMA ' || quote_ident(nspname) AS name, nspacl AS acl, nspowner AS owner "
	        "FROM pg_namespace WHERE nspname = $1 AND $2::text IS NOT NULL UNION ALL SELECT quote_ident(s.nspname) "
	        "|| '.' || quote_ident(c.relname), c.relacl, c.relowner FROM pg_class c JOIN pg_namespace s "
	        "ON s.oid = c.relnamespace WHERE s.nspname = $1 AND c.relkind IN ('r', 'p', 'v') AND NOT "
	        "c.relispartition) o "
	        "CROSS JOIN LATERAL aclexplode(o.acl) a WHERE a.grantee <> o.owner ORDER BY 1",
	        ret_grants, err);
}

/*
 * A worker that waits for its offset row at this moment goes on with the old table: there it must find another offset,
 * so that it ends. -1 - offset can be turned back.
 */
static bool rename_schemas(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "UPDATE {live}.consumer_offsets SET next_offset = -1 - next_offset; "
	        "ALTER SCHEMA {live} RENAME TO {old}; ALTER SCHEMA {new} RENAME TO {live}; "
	        "COMMENT ON SCHEMA {live} IS NULL");
}

static bool carry_over(struct replay *replay, struct err *err)
{
	struct names code = {0}, grants = {0};
	bool good = carry_changed_profiles(replay, err) && carry_seqs(replay, err) && carry_offsets(replay, err) &&
	            ask_grants(replay, &grants, err) && take_code(replay, &code, err) && carry_tables(replay, err) &&
	            (!replay->differs || tell_differences(replay, err)) &&
	            (!(replay->differs || replay->derived_differs) || build_profiles_again(replay, err)) &&
	            rename_schemas(replay, err) && put_code(replay, &code, err) && do_all(replay, &grants, err);

	PQclear(code.rows);
	PQclear(grants.rows);
	return good;
}

bool replay_check_migrations(struct replay *replay, struct err *err)
{
	PGresult *rows = replay_ask(
	        replay, replay->main, err, "SELECT name FROM {live}.schema_migrations ORDER BY number", 0, NULL);
	if (!rows)
		return false;
	bool same = PQntuples(rows) == (int)migration_count;
	for (size_t i = 0; same && i < migration_count; i++)
		same = !strcmp(PQgetvalue(rows, (int)i, 0), migrations[i].name);
	PQclear(rows);
	return same || err_set(err, ERR_CONFLICT,
	                       "the tables are of another version than this build: upgrade them with `contacthubctl "
	                       "migrate`, or replay with the build that they are of");
}

/* Whoever migrates meanwhile is waited for, and waits. */
static bool hold_live(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "BEGIN; SET LOCAL lock_timeout = '" LOCK_TIMEOUT "'; "
	        "SELECT pg_advisory_xact_lock(" MIGRATE_LOCK_KEY "); "
	        "SELECT 1 FROM {live}.consumer_offsets ORDER BY worker, topic, partition FOR UPDATE");
}

bool replay_swap(struct replay *replay, bool *ret_late, struct err *err)
{
	static struct replay_vector target;
	struct err ignored = {0};

	*ret_late = false;
	if (hold_live(replay, err) && replay_check_migrations(replay, err) &&
	        replay_check_emptied(replay, replay->main, err) &&
	        replay_read_vector(replay, replay->main, "{live}", &target, err) &&
	        replay_run(replay, &target, REPLAY_ALL, CATCH_UP_MS, NULL, err) && carry_over(replay, err) &&
	        replay_do(replay, replay->main, err, "COMMIT"))
		return true;
	*ret_late = err->code == ERR_UNAVAILABLE;
	if (!replay_do(replay, replay->main, &ignored, "ROLLBACK"))
		*ret_late = false;
	return false;
}
