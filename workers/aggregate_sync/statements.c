#include "common/customer_row.h"
#include "workers/aggregate_sync/sync.h"

/* Members that a profile is made of at most: the first ones. A matching property that thousands share joins nobody in
 * earnest. */
#define MAX_MEMBERS "1000"

const struct statement sync_statements[] = {
        /* rows are found by key: plans that read whole tables, made while these were small, are ruled out */
        {.name = "sync_settings",
                .sql = "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', "
                       "false), set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false), "
                       "set_config('plan_cache_mode', 'force_generic_plan', false)",
                .n_params = 0},

        /* rules: a node that works otherwise than before is built again */
        {.name = "sync_rule",
                .sql = "INSERT INTO aggregate_nodes AS n (workspace_id, node_id, seq, active, doc, building) "
                       "VALUES ($1::uuid, $2::uuid, $3::bigint, $4::boolean, $5::jsonb, $4) "
                       "ON CONFLICT (workspace_id, node_id) DO UPDATE SET seq = excluded.seq, "
                       "active = excluded.active, doc = excluded.doc, "
                       "building = excluded.active AND (n.building OR NOT n.active OR "
                       "n.doc -> 'exclusionFilters' IS DISTINCT FROM excluded.doc -> 'exclusionFilters'), "
                       "built_to = CASE WHEN n.building AND n.doc -> 'exclusionFilters' IS NOT DISTINCT FROM "
                       "excluded.doc -> 'exclusionFilters' THEN n.built_to END WHERE n.seq < excluded.seq",
                .n_params = 5},
        {.name = "sync_drop_members",
                .sql = "DELETE FROM aggregate_members WHERE workspace_id = $1::uuid AND node_id = $2::uuid",
                .n_params = 2},
        {.name = "sync_drop_profiles",
                .sql = "DELETE FROM customers WHERE workspace_id = $1::uuid AND node_id = $2::uuid "
                       "RETURNING workspace_id, node_id, id, version",
                .n_params = 2},

        /* what is known */
        {.name = "sync_nodes",
                .sql = "SELECT n.workspace_id, n.node_id, n.doc::text, x.doc::text FROM aggregate_nodes n "
                       "LEFT JOIN configuration x ON x.workspace_id = n.workspace_id AND x.kind = 'extended' "
                       "AND x.id = 'customer' WHERE n.workspace_id = ANY ($1::uuid[]) AND n.active "
                       "AND ($2::uuid IS NULL OR n.node_id = $2)",
                .n_params = 2},
        /* each customer with each node that it is, or was, a member of */
        {.name = "sync_customers",
                .sql = "SELECT n.workspace_id, n.node_id, u.id, m.profile_id, " CUSTOMER_ROW_COLUMNS
                       ", c.consent_times::text FROM (SELECT DISTINCT w, id FROM unnest($1::uuid[], $2::uuid[]) AS "
                       "u(w, id)) u "
                       "JOIN aggregate_nodes n ON n.workspace_id = u.w AND n.active "
                       "LEFT JOIN aggregate_members m ON m.workspace_id = u.w AND m.node_id = n.node_id "
                       "AND m.customer_id = u.id LEFT JOIN customers c ON c.workspace_id = u.w AND c.id = u.id "
                       "AND n.doc -> 'entryNodes' ? c.node_id::text "
                       "WHERE c.id IS NOT NULL OR m.profile_id IS NOT NULL ORDER BY n.workspace_id, u.id, n.node_id",
                .n_params = 2},
        {.name = "sync_members",
                .sql = "SELECT u.i, m.excluded, m.customer_id "
                       "FROM unnest($1::integer[], $2::uuid[], $3::uuid[]) AS u(i, w, profile) CROSS JOIN LATERAL "
                       "(SELECT m.customer_id, m.excluded FROM aggregate_members m WHERE m.workspace_id = u.w "
                       "AND m.profile_id = u.profile ORDER BY m.customer_id LIMIT " MAX_MEMBERS ") m "
                       "ORDER BY u.i, m.customer_id",
                .n_params = 3},
        {.name = "sync_other_customers",
                .sql = "SELECT u.w, " CUSTOMER_ROW_COLUMNS
                       ", c.consent_times::text FROM unnest($1::uuid[], $2::uuid[]) AS u(w, id) "
                       "JOIN customers c ON c.workspace_id = u.w AND c.id = u.id",
                .n_params = 2},
        {.name = "sync_profiles",
                .sql = "SELECT u.i, " CUSTOMER_ROW_COLUMNS
                       " FROM unnest($1::integer[], $2::uuid[], $3::uuid[]) AS u(i, w, profile) "
                       "JOIN customers c ON c.workspace_id = u.w AND c.id = u.profile",
                .n_params = 3},

        /* what becomes of it */
        {.name = "sync_leave",
                .sql = "DELETE FROM aggregate_members m USING unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u(w, n, c) "
                       "WHERE m.workspace_id = u.w AND m.node_id = u.n AND m.customer_id = u.c",
                .n_params = 3},
        {.name = "sync_join",
                .sql = "INSERT INTO aggregate_members (workspace_id, node_id, customer_id, profile_id, excluded) "
                       "SELECT u.w, u.n, u.c, u.p, false FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) "
                       "AS u(w, n, c, p) ON CONFLICT (workspace_id, node_id, customer_id) "
                       "DO UPDATE SET profile_id = excluded.profile_id, excluded = false",
                .n_params = 4},
        {.name = "sync_exclude",
                .sql = "UPDATE aggregate_members m SET excluded = u.excluded FROM unnest($1::uuid[], $2::uuid[], "
                       "$3::boolean[]) AS u(w, p, excluded) WHERE m.workspace_id = u.w AND m.profile_id = u.p "
                       "AND m.excluded <> u.excluded",
                .n_params = 3},
        {.name = "sync_put",
                .sql = "INSERT INTO customers AS c (workspace_id, id, node_id, int_id, version, registered_us, "
                       "updated_us, enabled, registered_by, updated_by, external_id, doc) SELECT * FROM "
                       "unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], "
                       "$7::bigint[], $8::boolean[], $9::uuid[], $10::uuid[], $11::text[], $12::jsonb[]) "
                       "ON CONFLICT (workspace_id, id) DO UPDATE SET int_id = excluded.int_id, "
                       "version = excluded.version, registered_us = excluded.registered_us, "
                       "updated_us = excluded.updated_us, enabled = excluded.enabled, "
                       "registered_by = excluded.registered_by, updated_by = excluded.updated_by, "
                       "external_id = excluded.external_id, doc = excluded.doc",
                .n_params = 12},
        {.name = "sync_delete",
                .sql = "DELETE FROM customers c USING unnest($1::uuid[], $2::uuid[]) AS u(w, id) "
                       "WHERE c.workspace_id = u.w AND c.id = u.id",
                .n_params = 2},

        /* builds */
        {.name = "sync_stale",
                .sql = "UPDATE aggregate_nodes n SET extended_version = x.version, building = true, built_to = NULL "
                       "FROM configuration x WHERE x.workspace_id = n.workspace_id AND x.kind = 'extended' "
                       "AND x.id = 'customer' AND n.active AND n.extended_version <> x.version",
                .n_params = 0},
        {.name = "sync_builds",
                .sql = "SELECT workspace_id, node_id, COALESCE(built_to, '00000000-0000-0000-0000-000000000000'), "
                       "extended_version FROM aggregate_nodes WHERE building ORDER BY workspace_id, node_id",
                .n_params = 0},
        /* The same columns as sync_customers. Where to go on is a parameter: as a column of the node it would be no
         * condition of the index. */
        {.name = "sync_build_chunk",
                .sql = "SELECT $1::uuid, $2::uuid, c.id, m.profile_id, " CUSTOMER_ROW_COLUMNS
                       ", c.consent_times::text FROM customers c LEFT JOIN aggregate_members m ON m.workspace_id = $1 "
                       "AND m.node_id = $2 "
                       "AND m.customer_id = c.id WHERE c.workspace_id = $1 AND c.id > $3::uuid "
                       "AND c.node_id = ANY (ARRAY(SELECT jsonb_array_elements_text(n.doc -> 'entryNodes')::uuid "
                       "FROM aggregate_nodes n WHERE n.workspace_id = $1 AND n.node_id = $2)) "
                       "ORDER BY c.workspace_id, c.id LIMIT $4::bigint",
                .n_params = 4},
        /* none when another process has begun the build anew meanwhile (sync_stale looks at all workspaces) */
        {.name = "sync_built",
                .sql = "UPDATE aggregate_nodes SET built_to = $3::uuid, building = $3 IS NOT NULL "
                       "WHERE workspace_id = $1::uuid AND node_id = $2::uuid AND extended_version = $4::bigint",
                .n_params = 4},
};
const size_t sync_statement_count = ARRAY_LEN(sync_statements);

static void *open_state(struct worker *worker, struct err *err)
{
	static bool opened;
	PGresult *done = db_query(worker_db(worker), "sync_settings", NULL, err);

	PQclear(done);
	return done ? &opened : NULL;
}

const struct worker_definition sync_definition = {
        .name = "aggregate-sync",
        .topic = TOPIC_CHANGES,
        .statements = sync_statements,
        .n_statements = ARRAY_LEN(sync_statements),
        .batch_records = 500,
        .batch_wait_us = 5 * 1000,
        .open = open_state,
        .handle = sync_handle,
        .background = sync_background,
        .background_ms = 200,
};
