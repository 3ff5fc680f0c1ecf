#include "common/binding.h"
#include "common/event.h"
#include "common/locks.h"
#include "workers/event_ingest/ingest.h"

/*
 * A customer that its node was emptied of has no tombstone before its row goes, in a step. When that is decides
 * nothing: since when it is gone must be the same before. The table is empty nearly always.
 */
#define LEAVES_US                                                                                                      \
	"CASE WHEN EXISTS (SELECT FROM node_emptyings) THEN (SELECT min(y.time_us) FROM node_emptyings y "             \
	"JOIN customers c ON c.workspace_id = y.workspace_id AND c.node_id = y.node_id "                               \
	"WHERE y.workspace_id = p.w AND y.node_id = p.n AND y.customers AND c.workspace_id = p.w "                     \
	"AND c.id = p.customer AND c.registered_us < y.time_us) END"

/* Whom a POST means. */
#define POST_BINDING BOUND_CUSTOMER("u.w", "u.n", "u.k", "u.v", "u.t")

const struct statement event_ingest_statements[] = {
        LOCK_STATEMENT,
        /*
         * Of each POST: its customer, and since when that customer or its node's events are gone. Materialized, or the
         * binding would be looked for once for each place that uses its result.
         */
        {.name = "ingest_facts",
                .sql = "WITH posts AS MATERIALIZED (SELECT u.i, u.w, u.n, u.k, u.t, COALESCE(u.c, " POST_BINDING
                       ") AS customer "
                       "FROM unnest($1::integer[], $2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::text[], "
                       "$7::bigint[]) AS u(i, w, n, c, k, v, t)) "
                       "SELECT p.i, p.customer, LEAST(t.deleted_us, " LEAVES_US ", (SELECT min(e.us) "
                       "FROM unnest(r.emptied_before_us || r.emptied_us) AS e(us) WHERE e.us > p.t)) "
                       "FROM posts p "
                       "LEFT JOIN customer_tombstones t ON t.workspace_id = p.w AND t.id = p.customer "
                       "LEFT JOIN node_rules r ON r.workspace_id = p.w AND r.node_id = p.n "
                       "WHERE p.k IS NOT NULL OR t.id IS NOT NULL OR r.emptied_us > p.t",
                .n_params = 7},
        /* Events that a PUT, PATCH or DELETE names, or what is left of them; LIMIT ends the search at the year that
           has one. One that is there although its node was emptied later is on its way out (node_emptyings). */
        {.name = "ingest_find",
                .sql = "SELECT u.i, COALESCE(t.deleted_us, (SELECT min(m.us) FROM node_rules r CROSS JOIN LATERAL "
                       "unnest(r.emptied_before_us || r.emptied_us) AS m(us) WHERE r.workspace_id = u.w "
                       "AND r.node_id = e.node_id AND m.us > e.registered_us)), COALESCE(t.node_id, e.node_id), "
                       "COALESCE(t.type, e.type), COALESCE(t.registered_us, e.registered_us), "
                       "e.source_id, " EVENT_COLUMNS
                       " FROM unnest($1::integer[], $2::uuid[], $3::uuid[]) AS u(i, w, id) "
                       "LEFT JOIN LATERAL (SELECT * FROM events WHERE workspace_id = u.w AND id = u.id LIMIT 1) e "
                       "ON true LEFT JOIN event_tombstones t ON t.workspace_id = u.w AND t.id = u.id",
                .n_params = 3},
        {.name = "ingest_insert",
                .sql = "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, "
                       "date_us, version, bind_kind, type, context, bind_value, source_id, body) "
                       "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], "
                       "$6::bigint[], $7::bigint[], $8::integer[], $9::smallint[], $10::text[], $11::text[], "
                       "$12::text[], $13::uuid[], $14::json[])",
                .n_params = 14},
        {.name = "ingest_update",
                .sql = "UPDATE events e SET updated_us = u.updated_us, date_us = u.date_us, version = u.version, "
                       "context = u.context, body = u.body FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], "
                       "$4::bigint[], $5::bigint[], $6::integer[], $7::text[], $8::json[]) "
                       "AS u(w, id, registered_us, updated_us, date_us, version, context, body) "
                       "WHERE e.workspace_id = u.w AND e.id = u.id AND e.registered_us = u.registered_us",
                .n_params = 8},
        {.name = "ingest_delete",
                .sql = "DELETE FROM events e USING unnest($1::uuid[], $2::uuid[], $3::bigint[]) "
                       "AS u(w, id, registered_us) "
                       "WHERE e.workspace_id = u.w AND e.id = u.id AND e.registered_us = u.registered_us",
                .n_params = 3},
        {.name = "ingest_bury",
                .sql = "INSERT INTO event_tombstones (workspace_id, id, node_id, type, registered_us, deleted_us) "
                       "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], "
                       "$6::bigint[]) ON CONFLICT (workspace_id, id) DO UPDATE SET deleted_us = excluded.deleted_us",
                .n_params = 6},
};
const size_t event_ingest_statement_count = ARRAY_LEN(event_ingest_statements);

const struct worker_definition event_ingest_definition = {
        .name = "event-ingest",
        .topic = TOPIC_EVENT_COMMANDS,
        .statements = event_ingest_statements,
        .n_statements = ARRAY_LEN(event_ingest_statements),
        .handle = event_ingest_handle,
        .catch_up_records = 1000,
        .fetch_wait_ms = 20,
};
