#include "common/customer_row.h"
#include "workers/aggregate_sync/work.h"

#define STRINGIFY(number) #number
#define TEXT_OF(number) STRINGIFY(number)

#define PROFILE_COLUMNS                                                                                                \
	"workspace_id, id, node_id, int_id, version, registered_us, updated_us, enabled, registered_by, updated_by, "  \
	"external_id, doc"
#define PROFILE_ROWS                                                                                                   \
	"unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], "          \
	"$8::boolean[], $9::uuid[], $10::uuid[], $11::text[], $12::jsonb[])"

/* Of a rule: what has been built so far is right for the new one, too. */
#define GOES_ON_AS_BEFORE                                                                                              \
	"(excluded.active AND NOT n.dropping AND "                                                                     \
	"n.doc -> 'exclusionFilters' IS NOT DISTINCT FROM excluded.doc -> 'exclusionFilters')"

const struct statement sync_statements[] = {
        /* rows are found by key and read in its order: plans that read whole tables or all of a node and sort it,
           made while these were small, are ruled out; so is remembering (Memoize) what is asked for once */
        {.name = "sync_settings",
                .sql = "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', "
                       "false), set_config('enable_mergejoin', 'off', false), set_config('enable_sort', 'off', false), "
                       "set_config('enable_memoize', 'off', false), "
                       "set_config('jit', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false)",
                .n_params = 0},

        /* rules: a node that works otherwise than before is built again, one that is active no more is dropped; one
           that never was has nothing to lose, and what a fact has made of it since must not go */
        {.name = "sync_rule",
                .sql = "INSERT INTO aggregate_nodes AS n (workspace_id, node_id, seq, active, doc, building, dropping) "
                       "VALUES ($1::uuid, $2::uuid, $3::bigint, $4::boolean, $5::jsonb, $4, false) "
                       "ON CONFLICT (workspace_id, node_id) DO UPDATE SET seq = excluded.seq, "
                       "active = excluded.active, doc = excluded.doc, "
                       "dropping = n.dropping OR (n.active AND NOT excluded.active), "
                       "building = excluded.active AND (n.building OR NOT n.active OR NOT " GOES_ON_AS_BEFORE "), "
                       "built_to = CASE WHEN n.building AND " GOES_ON_AS_BEFORE " THEN n.built_to END, "
                       "made_to = CASE WHEN n.building AND " GOES_ON_AS_BEFORE
                       " THEN n.made_to END WHERE n.seq < excluded.seq",
                .n_params = 5},
        /* all members of a profile, however many, are dropped before the next profile's */
        {.name = "sync_drop_members",
                .sql = "WITH chunk AS MATERIALIZED (SELECT m.customer_id, m.profile_id FROM aggregate_members m "
                       "WHERE m.workspace_id = $1::uuid AND m.node_id = $2::uuid AND m.profile_id >= $3::uuid "
                       "ORDER BY m.workspace_id, m.profile_id, m.customer_id LIMIT $4::bigint), "
                       "gone AS (DELETE FROM aggregate_members m USING chunk k WHERE m.workspace_id = $1 "
                       "AND m.customer_id = k.customer_id AND m.node_id = $2) "
                       "SELECT DISTINCT profile_id FROM chunk ORDER BY profile_id",
                .n_params = 4},
        {.name = "sync_drop_profiles",
                .sql = "DELETE FROM customers c USING unnest($3::uuid[]) AS u(id) WHERE c.workspace_id = $1::uuid "
                       "AND c.id = u.id AND c.node_id = $2::uuid RETURNING c.id, c.version",
                .n_params = 3},
        {.name = "sync_profiles_left",
                .sql = "SELECT c.id FROM customers c WHERE c.workspace_id = $1::uuid AND c.node_id = $2::uuid "
                       "ORDER BY c.workspace_id, c.node_id, c.updated_us DESC LIMIT $3::bigint",
                .n_params = 3},
        {.name = "sync_dropped",
                .sql = "UPDATE aggregate_nodes SET made_to = $3::uuid, dropping = $4::boolean "
                       "WHERE workspace_id = $1::uuid AND node_id = $2::uuid",
                .n_params = 4},

        /* what is known */
        /* a workspace's extended properties come with the first of its nodes */
        {.name = "sync_nodes",
                .sql = "SELECT n.workspace_id, n.node_id, n.doc::text, CASE WHEN row_number() OVER (PARTITION BY "
                       "n.workspace_id ORDER BY n.node_id) = 1 THEN x.doc::text END FROM aggregate_nodes n "
                       "LEFT JOIN configuration x ON x.workspace_id = n.workspace_id AND x.kind = 'extended' "
                       "AND x.id = 'customer' WHERE n.workspace_id = ANY ($1::uuid[]) AND n.active "
                       "AND ($2::uuid IS NULL OR n.node_id = $2) ORDER BY n.workspace_id, n.node_id",
                .n_params = 2},
        /* each customer with each node that it is, or was, a member of */
        {.name = "sync_customers",
                .sql = "SELECT n.workspace_id, n.node_id, u.id, m.profile_id, " MEMBER_COLUMNS
                       " FROM (SELECT DISTINCT w, id FROM unnest($1::uuid[], $2::uuid[]) AS u(w, id)) u "
                       "JOIN aggregate_nodes n ON n.workspace_id = u.w AND n.active "
                       "LEFT JOIN LATERAL (SELECT m.profile_id FROM aggregate_members m WHERE m.workspace_id = u.w "
                       "AND m.node_id = n.node_id AND m.customer_id = u.id OFFSET 0) m ON true "
                       "LEFT JOIN customers c ON c.workspace_id = u.w AND c.id = u.id "
                       "AND n.doc -> 'entryNodes' ? c.node_id::text "
                       "WHERE c.id IS NOT NULL OR m.profile_id IS NOT NULL ORDER BY n.workspace_id, u.id, n.node_id",
                .n_params = 2},
        /* a range of one profile: its order tells the planner which index to take, even while there are few rows */
        {.name = "sync_members",
                .sql = "SELECT u.i, m.excluded, m.customer_id "
                       "FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS u(w, profile, i) CROSS JOIN LATERAL "
                       "(SELECT m.customer_id, m.excluded FROM aggregate_members m WHERE m.workspace_id = u.w "
                       "AND m.profile_id >= u.profile AND m.profile_id <= u.profile "
                       "ORDER BY m.profile_id, m.customer_id LIMIT " TEXT_OF(MAX_MEMBERS) ") m "
                                                                                          "ORDER BY u.i, m.customer_id",
                .n_params = 2},
        /* in the order of the parameters, which costs no sort: whoever has no room for the last ones reads them later
         */
        {.name = "sync_other_customers",
                .sql = "SELECT u.i, u.w, " MEMBER_COLUMNS " FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY "
                       "AS u(w, id, i) JOIN customers c ON c.workspace_id = u.w AND c.id = u.id ORDER BY u.i",
                .n_params = 2},
        {.name = "sync_profiles",
                .sql = "SELECT u.i, " CUSTOMER_ROW_COLUMNS
                       " FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS u(w, profile, i) "
                       "JOIN customers c ON c.workspace_id = u.w AND c.id = u.profile ORDER BY u.i",
                .n_params = 2},

        /* what becomes of it */
        {.name = "sync_leave",
                .sql = "DELETE FROM aggregate_members m USING unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u(w, n, c) "
                       "WHERE m.workspace_id = u.w AND m.node_id = u.n AND m.customer_id = u.c",
                .n_params = 3},
        {.name = "sync_join",
                .sql = "INSERT INTO aggregate_members (workspace_id, node_id, customer_id, profile_id, excluded) "
                       "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::boolean[]) "
                       "ON CONFLICT (workspace_id, node_id, customer_id) "
                       "DO UPDATE SET profile_id = excluded.profile_id, excluded = excluded.excluded",
                .n_params = 5},
        {.name = "sync_exclude",
                .sql = "UPDATE aggregate_members m SET excluded = u.excluded FROM unnest($1::uuid[], $2::uuid[], "
                       "$3::boolean[]) AS u(w, p, excluded) CROSS JOIN LATERAL (SELECT m.customer_id, m.node_id "
                       "FROM aggregate_members m WHERE m.workspace_id = u.w AND m.profile_id >= u.p "
                       "AND m.profile_id <= u.p ORDER BY m.profile_id, m.customer_id OFFSET 0) k "
                       "WHERE m.workspace_id = u.w AND m.customer_id = k.customer_id AND m.node_id = k.node_id "
                       "AND m.excluded <> u.excluded",
                .n_params = 3},
        /* Nobody else writes profiles: what has just not been there is not there now. In the order of the indexes by
           time, and often of the external ids, which spares PostgreSQL some of the work: what a build inserts lies by
           id close together in any case. */
        {.name = "sync_create",
                .sql = "INSERT INTO customers (" PROFILE_COLUMNS ") SELECT * FROM " PROFILE_ROWS
                       " AS u(" PROFILE_COLUMNS ") ORDER BY registered_us DESC",
                .n_params = 12},
        /* by the id alone, lest the planner take an index of the node's customers */
        {.name = "sync_update",
                .sql = "UPDATE customers c SET int_id = u.int_id, version = u.version, "
                       "registered_us = u.registered_us, updated_us = u.updated_us, enabled = u.enabled, "
                       "registered_by = u.registered_by, updated_by = u.updated_by, external_id = u.external_id, "
                       "doc = u.doc FROM " PROFILE_ROWS " AS u(" PROFILE_COLUMNS ") "
                       "WHERE c.workspace_id = u.workspace_id AND c.id = u.id AND (c.node_id = u.node_id) IS TRUE",
                .n_params = 12},
        {.name = "sync_delete",
                .sql = "DELETE FROM customers c USING unnest($1::uuid[], $2::uuid[]) AS u(w, id) "
                       "WHERE c.workspace_id = u.w AND c.id = u.id",
                .n_params = 2},

        /* builds */
        {.name = "sync_stale",
                .sql = "UPDATE aggregate_nodes n SET extended_version = x.version, building = true, built_to = NULL, "
                       "made_to = NULL FROM configuration x WHERE x.workspace_id = n.workspace_id "
                       "AND x.kind = 'extended' AND x.id = 'customer' AND n.active "
                       "AND n.extended_version <> x.version",
                .n_params = 0},
        {.name = "sync_builds",
                .sql = "SELECT workspace_id, node_id, made_to IS NOT NULL, COALESCE(made_to, built_to, "
                       "'00000000-0000-0000-0000-000000000000'), extended_version, dropping FROM aggregate_nodes "
                       "WHERE building OR dropping ORDER BY workspace_id, node_id",
                .n_params = 0},
        /* Where to go on is a parameter: as a column of the node it would be no condition of the index. Of others'
           customers no more than $6 rows are passed over: the last of these is answered, too. */
        {.name = "sync_customer_chunk",
                .sql = "SELECT c.id, c.ours, c.n = $6::bigint, CASE WHEN c.ours THEN c.external_id END, "
                       "CASE WHEN c.ours AND $5::boolean THEN c.doc::text END FROM (SELECT c.workspace_id, c.id, "
                       "c.external_id, c.doc, c.node_id = ANY (ARRAY(SELECT jsonb_array_elements_text(n.doc -> "
                       "'entryNodes')::uuid FROM aggregate_nodes n WHERE n.workspace_id = $1::uuid "
                       "AND n.node_id = $2::uuid)) AS ours, row_number() OVER (ORDER BY c.workspace_id, c.id) AS n "
                       "FROM customers c WHERE c.workspace_id = $1 AND c.id > $3::uuid "
                       "ORDER BY c.workspace_id, c.id LIMIT $6) c "
                       "WHERE c.ours OR c.n = $6 ORDER BY c.id LIMIT $4::bigint",
                .n_params = 6},
        {.name = "sync_member_chunk",
                .sql = "SELECT m.customer_id, m.profile_id FROM aggregate_members m WHERE m.workspace_id = $1::uuid "
                       "AND m.node_id = $2::uuid AND m.customer_id > $3::uuid AND m.customer_id <= $4::uuid "
                       "ORDER BY m.workspace_id, m.customer_id",
                .n_params = 4},
        {.name = "sync_place",
                .sql = "INSERT INTO aggregate_members (workspace_id, node_id, customer_id, profile_id, excluded) "
                       "SELECT $1::uuid, $2::uuid, u.c, u.p, $5::boolean FROM unnest($3::uuid[], $4::uuid[]) AS u(c, "
                       "p)",
                .n_params = 5},
        /* of the profiles that get members those that have been made already: in a first build, none */
        {.name = "sync_made",
                .sql = "SELECT DISTINCT u.p FROM unnest($3::uuid[]) AS u(p) JOIN customers c "
                       "ON c.workspace_id = $1::uuid AND c.id = u.p WHERE EXISTS (SELECT FROM customers x "
                       "WHERE x.workspace_id = $1 AND x.node_id = $2::uuid)",
                .n_params = 3},
        {.name = "sync_profile_chunk",
                .sql = "SELECT m.profile_id, m.ours, m.n = $5::bigint, m.excluded, c.* FROM (SELECT m.* FROM "
                       "(SELECT m.workspace_id, m.profile_id, m.customer_id, m.excluded, m.node_id = $2::uuid AS ours, "
                       "row_number() OVER (ORDER BY m.workspace_id, m.profile_id, m.customer_id) AS n "
                       "FROM aggregate_members m WHERE m.workspace_id = $1::uuid AND m.profile_id > $3::uuid "
                       "ORDER BY m.workspace_id, m.profile_id, m.customer_id LIMIT $5) m WHERE m.ours OR m.n = $5 "
                       "ORDER BY m.profile_id, m.customer_id LIMIT $4::bigint) m "
                       "LEFT JOIN LATERAL (SELECT " MEMBER_COLUMNS
                       " FROM customers c WHERE c.workspace_id = $1 AND c.id = m.customer_id AND m.ours OFFSET 0) c "
                       "ON true ORDER BY m.profile_id, m.customer_id",
                .n_params = 5},
        /* none when another process has begun the build anew meanwhile (sync_stale looks at all workspaces) */
        {.name = "sync_built",
                .sql = "UPDATE aggregate_nodes SET built_to = $3::uuid, made_to = $4::uuid, building = $5::boolean "
                       "WHERE workspace_id = $1::uuid AND node_id = $2::uuid AND extended_version = $6::bigint",
                .n_params = 6},
};
const size_t sync_statement_count = ARRAY_LEN(sync_statements);

const struct worker_definition sync_definition = {
        .name = "aggregate-sync",
        .topic = TOPIC_CHANGES,
        .statements = sync_statements,
        .n_statements = ARRAY_LEN(sync_statements),
        .batch_records = 1000,
        .fetch_wait_ms = 50,
        .niceness = 5,
        .open = sync_open,
        .handle = sync_handle,
        .background = sync_background,
        .background_ms = 200,
};
