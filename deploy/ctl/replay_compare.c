#include "common/arena.h"
#include "deploy/ctl/replay.h"

#define NO_PROFILES " WHERE t.node_id NOT IN (SELECT node_id FROM {live}.aggregate_nodes)"
#define PROFILES " WHERE t.node_id IN (SELECT node_id FROM {live}.aggregate_nodes)"
#define SHOWN "5"

/*
 * Times of consents (migration 018) are exact of what was given since they are kept. Of what was given before, a live
 * row lacks them, or has the time of its last change from before then; the log gives the right ones, which are earlier.
 * So what both sides say of later times alone must be equal: later than the migration, and than the hour in which
 * workers of before may still have been at work. A schema that was made with the migration knows all of them; so does
 * one that a replay has made.
 */
#define EXACT_SINCE(schema)                                                                                            \
	"SELECT CASE WHEN max(m.applied_at) FILTER (WHERE m.number = 18) > min(m.applied_at) + interval '1 minute' "   \
	"THEN (extract(epoch FROM max(m.applied_at) FILTER (WHERE m.number = 18) + interval '1 hour') * "              \
	"1000000)::bigint ELSE 0 END AS us FROM " schema ".schema_migrations m"
#define CONSENT_TIMES                                                                                                  \
	"(SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(t.consent_times) c WHERE c.value::bigint > "         \
	"(SELECT max(us) FROM (" EXACT_SINCE("{live}") " UNION ALL " EXACT_SINCE("{new}") ") since))"

/*
 * What comes out equal row for row: entities are functions of the log alone, what is derived is one of the entities.
 * Order does not count: the hashes of the rows are combined by XOR, two of 64 bits, with the number of rows.
 */
static const struct table {
	enum replay_part part;
	const char *name;
	const char *of;  /* the table; absent = name */
	const char *key; /* names a row to the operator; unique; holds nothing personal */
	const char *row; /* what is compared */
	const char *where;
} tables[] = {
        /* seq follows the order in which partitions were read */
        {.name = "configuration",
                .key = "concat_ws('/', t.workspace_id, t.kind, t.id)",
                .row = "ROW(t.workspace_id, t.kind, t.id, t.version, t.created_us, t.updated_us, t.doc)::text",
                .where = ""},
        {.name = "node_rules", .key = "concat_ws('/', t.workspace_id, t.node_id)", .row = "t::text", .where = ""},
        {.name = "customer_heads", .key = "t.workspace_id::text", .row = "t::text", .where = ""},
        {.name = "customers",
                .key = "concat_ws('/', t.workspace_id, t.id)",
                .row = "ROW(t.workspace_id, t.id, t.node_id, t.int_id, t.version, t.registered_us, t.updated_us, "
                       "t.enabled, t.registered_by, t.updated_by, t.external_id, t.doc, " CONSENT_TIMES ")::text",
                .where = NO_PROFILES},
        {.name = "customer_keys",
                .key = "concat_ws('/', t.workspace_id, t.node_id, t.key)",
                .row = "t::text",
                .where = NO_PROFILES},
        {.name = "customer_tombstones",
                .key = "concat_ws('/', t.workspace_id, t.id)",
                .row = "t::text",
                .where = NO_PROFILES},
        {.name = "bindings",
                .key = "concat_ws('/', t.workspace_id, t.node_id, t.kind, t.customer_id, t.bound_us, "
                       "left(md5(t.value), 8))",
                .row = "t::text",
                .where = ""},
        {.name = "events", .key = "concat_ws('/', t.workspace_id, t.id)", .row = "t::text", .where = ""},
        {.name = "event_tombstones", .key = "concat_ws('/', t.workspace_id, t.id)", .row = "t::text", .where = ""},
        /* what was asked under which Idempotency-Key, of those that are never forgotten; ids of version 8 are rows of
           bulk jobs, which are removed */
        {.name = "command_results",
                .key = "concat_ws('/', t.workspace_id, t.command_id, t.fingerprint)",
                .row = "concat_ws('/', t.workspace_id, t.command_id, t.fingerprint)",
                .where = " WHERE t.keyed AND t.replayed AND substr(t.command_id::text, 15, 1) <> '8' "
                         "AND t.kept_until_us IS NULL"},

        {.part = REPLAY_DERIVED,
                .name = "aggregate_nodes",
                .key = "concat_ws('/', t.workspace_id, t.node_id)",
                .row = "ROW(t.workspace_id, t.node_id, t.active, t.doc)::text",
                .where = ""},
        {.part = REPLAY_DERIVED,
                .name = "aggregate_members",
                .key = "concat_ws('/', t.workspace_id, t.node_id, t.customer_id)",
                .row = "t::text",
                .where = ""},
        {.part = REPLAY_DERIVED,
                .name = "profiles",
                .of = "customers",
                .key = "concat_ws('/', t.workspace_id, t.id)",
                .row = "t::text",
                .where = PROFILES},
        {.part = REPLAY_DERIVED,
                .name = "stat_shares",
                .key = "concat_ws('/', t.workspace_id, t.id, t.node_id)",
                .row = "t::text",
                .where = ""},
        /* sums that went up and down keep the digits that they needed on the way */
        {.part = REPLAY_DERIVED,
                .name = "stat_days",
                .key = "concat_ws('/', t.workspace_id, t.node_id, t.metric, t.day, t.type, t.context)",
                .row = "ROW(t.workspace_id, t.node_id, t.metric, t.day, t.type, t.context, t.n, trim_scale(t.value), "
                       "trim_scale(t.total), trim_scale(t.items), t.returns)::text",
                .where = ""},
        {.part = REPLAY_DERIVED,
                .name = "stat_people",
                .key = "concat_ws('/', t.workspace_id, t.node_id, t.kind, t.person, t.day, t.context)",
                .row = "t::text",
                .where = ""},
        {.part = REPLAY_DERIVED,
                .name = "stat_gaps",
                .key = "concat_ws('/', t.workspace_id, t.node_id, t.measure, t.context, t.level, t.day, t.last_day)",
                .row = "t::text",
                .where = ""},
};
#define TABLES ARRAY_LEN(tables)

static const char *table_of(const struct table *table)
{
	return table->of ? table->of : table->name;
}

static bool is_compared(const struct replay *replay, const struct table *table, enum replay_part part)
{
	if (table->part != part)
		return false;
	/* before migration 022 the clock forgot keys, of the live tables alone: they are no difference */
	return strcmp(table->name, "command_results") != 0 || !replay->ctl->settings.idempotency_retention_days;
}

/* "ROWS HASH" of a table as the connection sees it. */
static const char *hash_of(
        struct replay *replay, PGconn *connection, const char *schema, const struct table *table, struct err *err)
{
	struct arena *arena = replay->ctl->arena;
	const char *sql = arena_printf(arena,
	        "SELECT count(*), lpad(to_hex(COALESCE(bit_xor(hashtextextended(%s, 0)), 0)), 16, '0'), "
	        "lpad(to_hex(COALESCE(bit_xor(hashtextextended(%s, 1)), 0)), 16, '0') FROM %s.%s t%s",
	        table->row, table->row, schema, table_of(table), table->where);
	PGresult *result = replay_ask(replay, connection, err, sql, 0, NULL);
	const char *hash = NULL;

	if (result)
		hash = arena_printf(arena, "%12s  %s%s", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
		        PQgetvalue(result, 0, 2));
	PQclear(result);
	return hash;
}

/* Puts the live rows' hashes where the other connection can join them. */
static bool keep_rows(struct replay *replay, const struct table *table, struct err *err)
{
	const char *sql = arena_printf(replay->ctl->arena,
	        "INSERT INTO {new}.replay_rows SELECT '%s', %s, hashtextextended(%s, 0) FROM {live}.%s t%s",
	        table->name, table->key, table->row, table_of(table), table->where);

	return replay_do(replay, replay->snapshot, err, sql);
}

static bool list_rows(struct replay *replay, const struct table *table, struct err *err)
{
	const char *sql = arena_printf(replay->ctl->arena,
	        "SELECT COALESCE(l.key, n.key), CASE WHEN l.key IS NULL THEN 'not in the live table' "
	        "WHEN n.key IS NULL THEN 'in the live table only' ELSE 'differs' END, count(*) OVER () "
	        "FROM (SELECT key, hash FROM {new}.replay_rows WHERE name = '%s') l FULL JOIN "
	        "(SELECT %s AS key, hashtextextended(%s, 0) AS hash FROM {new}.%s t%s) n ON l.key = n.key "
	        "WHERE l.hash IS DISTINCT FROM n.hash ORDER BY 1 LIMIT " SHOWN,
	        table->name, table->key, table->row, table_of(table), table->where);
	PGresult *rows = replay_ask(replay, replay->main, err, sql, 0, NULL);

	if (!rows)
		return false;
	printf("%s: %s rows differ\n", table->name, PQntuples(rows) ? PQgetvalue(rows, 0, 2) : "no");
	for (int row = 0; row < PQntuples(rows); row++)
		printf("  %s %s\n", PQgetvalue(rows, row, 0), PQgetvalue(rows, row, 1));
	PQclear(rows);
	return true;
}

static bool list_differences(struct replay *replay, const bool *differs, struct err *err)
{
	bool good = replay_do(replay, replay->main, err,
	        "CREATE UNLOGGED TABLE {new}.replay_rows (name text, key text, hash bigint)");

	for (size_t i = 0; good && i < TABLES; i++)
		good = !differs[i] || keep_rows(replay, &tables[i], err);
	good = good && replay_do(replay, replay->snapshot, err, "COMMIT");
	for (size_t i = 0; good && i < TABLES; i++)
		good = !differs[i] || list_rows(replay, &tables[i], err);
	return good && replay_do(replay, replay->main, err, "DROP TABLE {new}.replay_rows");
}

/* Facts that are on their way make the tables that follow from them differ, and nobody can tell from what. */
static const char *verdict(const struct replay *replay, const struct table *table, bool equal)
{
	if (equal)
		return "equal";
	return table->part == REPLAY_DERIVED && !replay->quiet ? "in motion" : "DIFFERS";
}

bool replay_compare(struct replay *replay, enum replay_part part, bool *ret_equal, struct err *err)
{
	bool differs[TABLES] = {false};

	*ret_equal = true;
	for (size_t i = 0; i < TABLES; i++) {
		if (!is_compared(replay, &tables[i], part))
			continue;
		const char *live = hash_of(replay, replay->snapshot, "{live}", &tables[i], err);
		const char *new = live ? hash_of(replay, replay->main, "{new}", &tables[i], err) : NULL;
		if (!new)
			return err_wrap(err, "%s", tables[i].name);
		bool equal = !strcmp(live, new);
		const char *words = verdict(replay, &tables[i], equal);
		differs[i] = !strcmp(words, "DIFFERS");
		*ret_equal &= !differs[i];
		printf("%-20s %s  %s\n", tables[i].name, live, words);
		if (!equal)
			printf("%-20s %s  (from the log)\n", "", new);
		fflush(stdout);
	}
	return *ret_equal || list_differences(replay, differs, err);
}
