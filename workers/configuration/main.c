#include "common/log.h"
#include "workers/configuration/configuration.h"

static const struct statement statements[] = {
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
                       "SELECT u.w, u.kind, u.id, u.version, u.seq, u.time_us, u.time_us, u.doc "
                       "FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], "
                       "$7::jsonb[]) AS u(w, kind, id, version, seq, time_us, doc) "
                       "ON CONFLICT (workspace_id, kind, id) DO UPDATE SET version = excluded.version, "
                       "seq = excluded.seq, updated_us = excluded.updated_us, doc = excluded.doc",
                .n_params = 7},
        {.name = "config_advance", .sql = "UPDATE configuration_head SET seq = $1::bigint", .n_params = 1},
        {.name = "config_add_rules",
                .sql = "INSERT INTO rule_outbox (workspace_id, seq, position, topic, partition, record) "
                       "SELECT u.w, u.seq, 0, $1::text, u.partition, u.record "
                       "FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::bytea[]) AS u(w, seq, partition, "
                       "record)",
                .n_params = 5},
        OUTBOX_STATEMENTS,
};

static void *open_outbox(struct worker *worker, struct err *err)
{
	(void)err;
	return outbox_new(worker_settings(worker));
}

static bool publish(struct worker *worker, void *state, struct err *err)
{
	return outbox_publish(state, worker_db(worker), err);
}

static const struct worker_definition definition = {
        .name = "configuration",
        .topic = TOPIC_CONFIG_COMMANDS,
        .statements = statements,
        .n_statements = ARRAY_LEN(statements),
        .open = open_outbox,
        .handle = configuration_handle,
        .committed = publish,
};

int main(int argc, char **argv)
{
	return worker_main(&definition, argc, argv);
}
