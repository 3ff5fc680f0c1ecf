#include "common/bulk_job.h"
#include "common/emptied.h"
#include "common/event.h"
#include "workers/bulk_processor/bulk_processor.h"

#define OPEN "('LOADED', 'SCHEDULED', 'PROCESSING')"
#define THIS_JOB "j.workspace_id = $1::uuid AND j.id = $2::uuid"

const struct statement bulk_processor_statements[BULK_PROCESSOR_STATEMENTS] = {
        /* Every statement finds its rows by key: plans that read a whole table, made while it was small, are ruled out.
         */
        {.name = "bulk_settings",
                .sql = "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', "
                       "false), set_config('enable_mergejoin', 'off', false), "
                       "set_config('plan_cache_mode', 'force_generic_plan', false)",
                .n_params = 0},
        /* --- records --- */
        {.name = "bulk_add_chunks",
                .sql = "INSERT INTO bulk_chunks (workspace_id, job_id, chunk, stored_us, bytes) SELECT * FROM "
                       "unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::bytea[]) "
                       "ON CONFLICT DO NOTHING",
                .n_params = 5},
        /* all pieces are there, and but for the last of the size that the places of bytes are counted with */
        {.name = "bulk_is_complete",
                .sql = "SELECT count(*) = $3::bigint AND COALESCE(sum(octet_length(c.bytes)), 0) = $4::bigint AND "
                       "COALESCE(bool_and(c.chunk < $3 AND (c.chunk = $3 - 1 OR octet_length(c.bytes) = "
                       "$5::integer)), false) "
                       "FROM bulk_chunks c WHERE c.workspace_id = $1::uuid AND c.job_id = $2::uuid",
                .n_params = 5},
        {.name = "bulk_create",
                .sql = "INSERT INTO bulk_jobs AS j (workspace_id, id, node_id, status, operation, entity, event_type, "
                       "filename, name, error_message, created_us, updated_us, source_id, user_id, bytes, chunks, "
                       "file_rows) "
                       "SELECT $1::uuid, $2::uuid, $3::uuid, $4::text, $5::text, $6::text, $7::text, $8::text, "
                       "$9::text, $10::text, $11::bigint, $11, $12::uuid, $13::bigint, $14::bigint, $15::integer, "
                       "$16::bigint "
                       "WHERE (SELECT count(*) FROM bulk_jobs l WHERE l.workspace_id = $1 AND l.node_id = $3 "
                       "AND l.status = 'LOADED') < $17::integer RETURNING " BULK_JOB_COLUMNS,
                .n_params = 17},
        /* marked for whoever sweeps: removing them takes its time */
        {.name = "bulk_drop",
                .sql = "UPDATE bulk_chunks c SET stored_us = 0 WHERE c.workspace_id = $1::uuid AND c.job_id = "
                       "$2::uuid AND NOT EXISTS (SELECT 1 FROM bulk_jobs j WHERE " THIS_JOB ")",
                .n_params = 2},
        {.name = "bulk_stop",
                .sql = "UPDATE bulk_jobs j SET stopping = true, updated_us = $3::bigint, "
                       "status = CASE WHEN j.status = 'LOADED' THEN 'STOPPED' ELSE j.status END "
                       "WHERE " THIS_JOB " AND j.status IN " OPEN,
                .n_params = 3},
        /* --- jobs --- */
        /* the next of each node, in workspaces that take writes */
        {.name = "bulk_open",
                .sql = "SELECT DISTINCT ON (j.workspace_id, j.node_id) j.workspace_id, j.id, j.created_us, j.stopping, "
                       "(SELECT h.seq FROM configuration_head h) FROM bulk_jobs j "
                       "JOIN configuration c ON c.workspace_id = j.workspace_id AND c.kind = 'workspace' "
                       "AND c.id = '' AND c.doc ->> 'status' = 'ENABLED' WHERE j.status IN " OPEN
                       " ORDER BY j.workspace_id, j.node_id, j.created_us, j.id",
                .n_params = 0},
        {.name = "bulk_take_up",
                .sql = "UPDATE bulk_jobs j SET epoch = j.epoch + 1 WHERE " THIS_JOB " RETURNING j.node_id, j.status, "
                       "j.operation, j.entity, j.event_type, j.source_id, j.user_id, j.bytes, j.total, j.next_byte, "
                       "j.done_byte, j.done_line, j.epoch",
                .n_params = 2},
        {.name = "bulk_schedule",
                .sql = "UPDATE bulk_jobs j SET status = 'SCHEDULED', updated_us = $3::bigint WHERE " THIS_JOB
                       " AND j.status = 'LOADED'",
                .n_params = 3},
        {.name = "bulk_move",
                .sql = "UPDATE bulk_jobs j SET status = $3::text, error_message = $4::text, updated_us = $5::bigint, "
                       "total = $6::bigint, next_byte = $7::bigint, done_line = $8::bigint, done_byte = $9::bigint, "
                       "processed = j.processed + $10::bigint, failed = j.failed + $11::bigint WHERE " THIS_JOB
                       " AND j.epoch = $12::integer AND j.status IN " OPEN,
                .n_params = 12},
        {.name = "bulk_configuration",
                .sql = "SELECT c.kind, c.id, c.doc::text FROM configuration c WHERE c.workspace_id = $1::uuid AND "
                       "(c.kind IN ('workspace', 'base-properties', 'extended', 'event-type', 'payload-size') "
                       "OR (c.kind = 'node' AND c.id = $2::text))",
                .n_params = 2},
        {.name = "bulk_configuration_seq",
                .sql = "SELECT COALESCE(max(c.seq), 0) FROM configuration c WHERE c.workspace_id = $1::uuid",
                .n_params = 1},
        {.name = "bulk_chunk",
                .sql = "SELECT substring(c.bytes FROM $4::integer) FROM bulk_chunks c WHERE c.workspace_id = $1::uuid "
                       "AND c.job_id = $2::uuid AND c.chunk = $3::integer",
                .n_params = 4},
        /* the first piece stays: the header is in it */
        {.name = "bulk_forget_chunks",
                .sql = "DELETE FROM bulk_chunks c WHERE c.workspace_id = $1::uuid AND c.job_id = $2::uuid "
                       "AND c.chunk > 0 AND c.chunk < $3::integer",
                .n_params = 3},
        {.name = "bulk_sweep",
                .sql = "DELETE FROM bulk_chunks WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM bulk_chunks c "
                       "LEFT JOIN bulk_jobs j ON j.workspace_id = c.workspace_id AND j.id = c.job_id "
                       "WHERE j.status NOT IN " OPEN " OR (j.id IS NULL AND c.stored_us < $1::bigint) LIMIT 32))",
                .n_params = 1},
        /* --- rows --- */
        {.name = "bulk_done_lines",
                .sql = "SELECT r.line FROM bulk_rows r WHERE r.workspace_id = $1::uuid AND r.job_id = $2::uuid "
                       "AND r.line > $3::bigint",
                .n_params = 3},
        /* records that the workers have taken, of partitions that rows went to */
        {.name = "bulk_taken",
                .sql = "SELECT COALESCE(sum(o.next_offset), 0)::bigint FROM consumer_offsets o WHERE "
                       "(o.worker = 'customer-merge' AND o.topic = 'customer-commands' AND o.partition = ANY "
                       "($1::integer[])) OR (o.worker = 'event-ingest' AND o.topic = 'event-commands' AND o.partition "
                       "= "
                       "ANY ($2::integer[]))",
                .n_params = 2},
        /* one after the other, here and below: joined, they may be looked for among all of the workspace */
        {.name = "bulk_take_results",
                .sql = "DELETE FROM command_results r USING unnest($2::uuid[], $3::bigint[]) AS u(id, line) CROSS JOIN "
                       "LATERAL (SELECT l.ctid FROM command_results l WHERE l.workspace_id = $1::uuid "
                       "AND l.command_id = u.id OFFSET 0) f WHERE r.ctid = f.ctid "
                       "RETURNING u.line, r.status, r.body::text",
                .n_params = 3},
        {.name = "bulk_see_results",
                .sql = "SELECT u.line, r.status, r.body::text FROM unnest($2::uuid[], $3::bigint[]) AS u(id, line) "
                       "CROSS JOIN LATERAL (SELECT l.status, l.body FROM command_results l "
                       "WHERE l.workspace_id = $1::uuid AND l.command_id = u.id OFFSET 0) r",
                .n_params = 3},
        {.name = "bulk_add_rows",
                .sql = "INSERT INTO bulk_rows (workspace_id, job_id, line, status, entity_id, error) "
                       "SELECT $1::uuid, $2::uuid, u.* FROM unnest($3::bigint[], $4::text[], $5::text[], "
                       "$6::text[]) AS u",
                .n_params = 6},
        /* --- what rows name --- */
        {.name = "bulk_find_customers",
                .sql = "SELECT u.i, c.id FROM unnest($3::integer[], $4::uuid[]) AS u(i, id) CROSS JOIN LATERAL (SELECT "
                       "l.id, l.node_id FROM customers l WHERE l.workspace_id = $1::uuid AND l.id = u.id OFFSET 0) c "
                       "WHERE c.node_id = $2::uuid",
                .n_params = 4},
        {.name = "bulk_find_keys",
                .sql = "SELECT u.i, k.customer_id FROM unnest($3::integer[], $4::uuid[]) AS u(i, key) CROSS JOIN "
                       "LATERAL (SELECT l.customer_id FROM customer_keys l WHERE l.workspace_id = $1::uuid "
                       "AND l.node_id = $2::uuid AND l.key = u.key OFFSET 0) k",
                .n_params = 4},
        /* Two are enough to know that there is more than one. A range, and an order that names the index, or the
           planner may read all customers. Those who are to go with an emptied node have gone for whoever writes. */
        {.name = "bulk_find_external_ids",
                .sql = "SELECT u.i, c.id FROM unnest($3::integer[], $4::text[]) AS u(i, value) CROSS JOIN LATERAL "
                       "(SELECT f.id FROM (SELECT l.id, l.registered_us FROM customers l WHERE l.workspace_id = "
                       "$1::uuid AND l.node_id = $2::uuid AND l.external_id >= u.value AND l.external_id <= u.value "
                       "ORDER BY l.workspace_id, l.node_id, l.external_id OFFSET 0) f WHERE f.registered_us "
                       ">= " EMPTIED_US("$1", "$2", "") " LIMIT 2) c",
                .n_params = 4},
        {.name = "bulk_find_bindings",
                .sql = "SELECT u.i, NULL::uuid FROM unnest($3::integer[], $4::text[]) AS u(i, value) CROSS JOIN "
                       "LATERAL (SELECT FROM bindings b WHERE b.workspace_id = $1::uuid AND b.node_id = $2::uuid "
                       "AND b.kind = 2 AND b.value = u.value AND b.unbound_us = 9223372036854775807 "
                       "AND b.bound_us >= " EMPTIED_US("$1", "$2", "") " LIMIT 1) b",
                .n_params = 4},
        {.name = "bulk_find_events",
                .sql = "SELECT u.i, NULL::uuid, " EVENT_COLUMNS " FROM unnest($3::integer[], $4::uuid[]) AS u(i, id) "
                       "CROSS JOIN LATERAL (SELECT * FROM events WHERE workspace_id = $1::uuid AND id = u.id LIMIT 1) "
                       "e WHERE e.node_id = $2::uuid",
                .n_params = 4},
};
