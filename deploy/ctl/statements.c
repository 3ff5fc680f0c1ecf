#include "deploy/ctl/statements.h"

const struct statement ctl_statements[CTL_STATEMENTS] = {
        {.name = "workspace_partition",
                .sql = "SELECT (doc->>'partition')::integer FROM configuration "
                       "WHERE workspace_id = $1::uuid AND kind = 'workspace' AND id = ''",
                .n_params = 1},
        {.name = "outcome",
                .sql = "SELECT status, body::text FROM command_results WHERE workspace_id = $1::uuid AND command_id = "
                       "$2::uuid",
                .n_params = 2},
        {.name = "workspaces",
                .sql = "SELECT workspace_id, doc->>'name', doc->>'slug', doc->>'status', (doc->>'partition')::integer "
                       "FROM configuration WHERE kind = 'workspace' AND id = '' ORDER BY created_us, workspace_id",
                .n_params = 0},
        {.name = "node_name",
                .sql = "SELECT doc->>'name' FROM configuration WHERE workspace_id = $1::uuid AND kind = 'node' "
                       "AND id = $2::text",
                .n_params = 2},
        {.name = "users",
                .sql = "SELECT id, doc->>'name', doc->>'surname', doc->>'email', "
                       "(SELECT string_agg(role, ',' ORDER BY place) FROM jsonb_array_elements_text(doc->'roles') "
                       "WITH ORDINALITY AS r(role, place)), CASE WHEN doc->'enabled' = 'false' THEN '  (disabled)' "
                       "ELSE '' END FROM configuration "
                       "WHERE workspace_id = '00000000-0000-0000-0000-000000000000' AND kind = 'user' ORDER BY "
                       "id::bigint",
                .n_params = 0},
        {.name = "last_user",
                .sql = "SELECT COALESCE(max(id::bigint), 0) FROM configuration "
                       "WHERE workspace_id = '00000000-0000-0000-0000-000000000000' AND kind = 'user'",
                .n_params = 0},
        {.name = "user",
                .sql = "SELECT doc::text, version FROM configuration WHERE workspace_id = "
                       "'00000000-0000-0000-0000-000000000000' "
                       "AND kind = 'user' AND id = $1::text",
                .n_params = 1},
        {.name = "recount_differences",
                .sql = "SELECT what, differences FROM stat_differences($1::uuid)",
                .n_params = 1},
        /* stats-rollup waits at its compare-and-set meanwhile */
        {.name = "recount_repair",
                .sql = "SELECT stat_recount($1::uuid) FROM (SELECT count(*) FROM (SELECT 1 FROM consumer_offsets "
                       "WHERE worker = 'stats-rollup' FOR NO KEY UPDATE) o) held",
                .n_params = 1},
        {.name = "dead_letters",
                .sql = "SELECT topic, partition, record_offset, worker, workspace_id, command_type, created_us, "
                       "reason, "
                       "rerun_us FROM dead_letters WHERE $1::uuid IS NULL OR workspace_id = $1 "
                       "ORDER BY topic, partition, record_offset",
                .n_params = 1},
        {.name = "dead_letter",
                .sql = "SELECT topic, partition, record_offset, worker, workspace_id, command_type, created_us, "
                       "reason, "
                       "rerun_us, record FROM dead_letters WHERE topic = $1::text AND partition = $2::integer "
                       "AND record_offset = $3::bigint",
                .n_params = 3},
        {.name = "dead_letters_open",
                .sql = "SELECT topic, partition, record_offset FROM dead_letters WHERE rerun_us IS NULL "
                       "ORDER BY topic, partition, record_offset",
                .n_params = 0},
        {.name = "dead_letter_mark",
                .sql = "UPDATE dead_letters SET rerun_us = $4::bigint WHERE topic = $1::text AND partition = "
                       "$2::integer "
                       "AND record_offset = $3::bigint",
                .n_params = 4},
        {.name = "dead_letter_drop",
                .sql = "DELETE FROM dead_letters WHERE topic = $1::text AND partition = $2::integer "
                       "AND record_offset = $3::bigint",
                .n_params = 3},
        {.name = "dead_letters_drop_sent_again",
                .sql = "DELETE FROM dead_letters WHERE rerun_us IS NOT NULL",
                .n_params = 0},
        {.name = "bulk_job_status",
                .sql = "SELECT status FROM bulk_jobs WHERE workspace_id = $1::uuid AND id = $2::uuid",
                .n_params = 2},
};
