#include "workers/configuration/configuration.h"

const struct statement configuration_statements[CONFIGURATION_STATEMENTS] = {
        /* serialises the writers of all partitions until COMMIT, so that seq becomes visible in order */
        {.name = "config_lock", .sql = "SELECT seq FROM configuration_head FOR UPDATE", .n_params = 0},
        {.name = "config_versions",
                .sql = "SELECT c.workspace_id, c.kind, c.id, c.version FROM configuration c "
                       "JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS u(w, kind, id) "
                       "ON c.workspace_id = u.w AND c.kind = u.kind AND c.id = u.id",
                .n_params = 3},
        {.name = "config_workspaces",
                .sql = "SELECT workspace_id, (doc->>'partition')::integer FROM configuration "
                       "WHERE workspace_id = ANY ($1::uuid[]) AND kind = 'workspace' AND id = ''",
                .n_params = 1},
        {.name = "config_put",
                .sql = "INSERT INTO configuration (workspace_id, kind, id, version, seq, created_us, updated_us, doc) "
                       "SELECT u.w, u.kind, u.id, u.version, u.seq, u.created_us, u.time_us, u.doc "
                       "FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], "
                       "$7::bigint[], $8::jsonb[]) AS u(w, kind, id, version, seq, created_us, time_us, doc) "
                       "ON CONFLICT (workspace_id, kind, id) DO UPDATE SET version = excluded.version, "
                       "seq = excluded.seq, updated_us = excluded.updated_us, doc = excluded.doc",
                .n_params = 8},
        {.name = "config_advance", .sql = "UPDATE configuration_head SET seq = $1::bigint", .n_params = 1},
        {.name = "config_add_rules",
                .sql = "INSERT INTO rule_outbox (workspace_id, seq, position, topic, partition, record) "
                       "SELECT u.w, u.seq, 0, u.topic, u.partition, u.record "
                       "FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::integer[], $5::bytea[]) "
                       "AS u(w, seq, topic, partition, record)",
                .n_params = 5},
        {.name = "outbox_first",
                .sql = "SELECT workspace_id, seq, position, topic, partition, record FROM rule_outbox "
                       "ORDER BY seq, position LIMIT 1",
                .n_params = 0},
        {.name = "outbox_sent",
                .sql = "DELETE FROM rule_outbox WHERE workspace_id = $1::uuid AND seq = $2::bigint "
                       "AND position = $3::integer",
                .n_params = 3},
        {.name = "outbox_answered",
                .sql = "WITH sent AS (DELETE FROM rule_outbox WHERE workspace_id = $1::uuid "
                       "AND seq = $2::bigint AND position = $3::integer RETURNING workspace_id) "
                       "INSERT INTO command_results (workspace_id, command_id, keyed, fingerprint, status, "
                       "seq, created_us, body, topic, kept_until_us, partition) SELECT workspace_id, $4::uuid, "
                       "$5::boolean, $6::bigint, $7::integer, $2, $8::bigint, $9::json, 'config-commands', "
                       "$10::bigint, "
                       "(SELECT (c.doc->>'partition')::integer FROM configuration c WHERE c.workspace_id = "
                       "sent.workspace_id AND c.kind = 'workspace' AND c.id = '') FROM "
                       "sent " COMMAND_RESULT_REPLACES_FORGOTTEN,
                .n_params = 10},
};
