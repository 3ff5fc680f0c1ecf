#include "workers/customer_merge/store.h"

#include "common/binding.h"
#include "common/emptied.h"
#include "common/locks.h"

/* A binding that is still open ends at the largest bigint. */
#define OPEN "9223372036854775807"

/* Whom an event e means. */
#define EVENT_BINDING BOUND_CUSTOMER("e.workspace_id", "e.node_id", "e.bind_kind", "e.bind_value", "e.registered_us")
#define EVENT_RESULT "e.workspace_id, e.node_id, e.id, e.version"

/* Deletes events and leaves tombstones; the events come back in the order in which they were registered. */
#define DELETE_EVENTS(before, from_where, time)                                                                        \
	"WITH " before "gone AS (DELETE FROM events e " from_where                                                     \
	" RETURNING e.workspace_id, e.node_id, e.id, e.version, e.date_us, e.type, e.registered_us, " time             \
	" AS deleted_us), kept AS (INSERT INTO event_tombstones (workspace_id, id, node_id, type, registered_us, "     \
	"deleted_us) SELECT workspace_id, id, node_id, type, registered_us, deleted_us FROM gone ON CONFLICT DO "      \
	"NOTHING) "                                                                                                    \
	"SELECT workspace_id, node_id, id, version, date_us FROM gone ORDER BY registered_us, id"

/* When an event went that its node was emptied of and that is there still; null: it has not. */
#define EMPTIED_SINCE                                                                                                  \
	"(SELECT min(m.us) FROM node_rules r CROSS JOIN LATERAL unnest(r.emptied_before_us || r.emptied_us) AS m(us) " \
	"WHERE r.workspace_id = e.workspace_id AND r.node_id = e.node_id AND m.us > e.registered_us)"

/* A node's customers that are to go have gone for every command: when their rows go depends on no record. */
#define IS_THERE                                                                                                       \
	"NOT EXISTS (SELECT FROM node_emptyings y WHERE y.workspace_id = c.workspace_id AND y.node_id = c.node_id "    \
	"AND y.time_us > c.registered_us AND y.customers)"

/* Likewise, what these customers had bound has ended for whoever looks for it. */
#define IS_BOUND "b.bound_us >= " EMPTIED_US("b.workspace_id", "b.node_id", "")

const struct statement customer_merge_statements[CUSTOMER_MERGE_STATEMENTS] = {
        LOCK_STATEMENT,

        /* Every statement finds its rows by key: plans that read a whole table, made while it was small, are ruled out.
         */
        {.name = "cm_settings",
                .sql = "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', "
                       "false), "
                       "set_config('enable_mergejoin', 'off', false), "
                       "set_config('plan_cache_mode', 'force_generic_plan', false)",
                .n_params = 0},

        /* loading */
        {.name = "cm_rules",
                .sql = "SELECT r.workspace_id, r.node_id, r.seq, r.doc::text "
                       "FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS u(w, n, seq) "
                       "JOIN node_rules r ON r.workspace_id = u.w AND r.node_id = u.n WHERE r.seq <> u.seq",
                .n_params = 3},
        {.name = "cm_customers",
                .sql = "SELECT " CUSTOMER_COLUMNS " FROM unnest($1::uuid[], $2::uuid[]) AS u(w, id) "
                       "JOIN customers c ON c.workspace_id = u.w AND c.id = u.id WHERE " IS_THERE,
                .n_params = 2},
        {.name = "cm_used_ids",
                .sql = "SELECT u.w, u.id FROM unnest($1::uuid[], $2::uuid[]) AS u(w, id) "
                       "WHERE EXISTS (SELECT FROM customers c WHERE c.workspace_id = u.w AND c.id = u.id) "
                       "OR EXISTS (SELECT FROM customer_tombstones t WHERE t.workspace_id = u.w AND t.id = u.id)",
                .n_params = 2},
        {.name = "cm_customers_by_key",
                .sql = "SELECT " CUSTOMER_COLUMNS
                       ", u.key FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u(w, n, key) "
                       "JOIN customer_keys k ON k.workspace_id = u.w AND k.node_id = u.n AND k.key = u.key "
                       "JOIN customers c ON c.workspace_id = u.w AND c.id = k.customer_id",
                .n_params = 3},
        /* the earliest that are open, of each value */
        {.name = "cm_bindings",
                .sql = "SELECT b.* FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::bigint[]) "
                       "AS u(w, n, kind, value, most) CROSS JOIN LATERAL (SELECT b.workspace_id, b.node_id, b.kind, "
                       "b.value, b.customer_id, b.session_id, b.bound_us FROM bindings b WHERE b.workspace_id = u.w "
                       "AND b.node_id = u.n AND b.kind = u.kind AND b.value = u.value AND b.unbound_us = " OPEN
                       " AND " IS_BOUND " ORDER BY b.bound_us, b.customer_id LIMIT u.most) b",
                .n_params = 5},
        /* Ranges of one customer, in the order of their index: where few customers have all bindings, the planner would
           read everybody's. */
        {.name = "cm_bindings_of",
                .sql = "SELECT b.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u(w, c, session) CROSS JOIN "
                       "LATERAL (SELECT b.workspace_id, b.node_id, b.kind, b.value, b.customer_id, b.session_id, "
                       "b.bound_us FROM bindings b WHERE b.workspace_id = u.w AND b.customer_id >= u.c "
                       "AND b.customer_id <= u.c AND b.unbound_us = " OPEN " AND " IS_BOUND
                       " AND (u.session IS NULL OR b.session_id = u.session) ORDER BY b.customer_id, b.kind, "
                       "b.bound_us OFFSET 0) b",
                .n_params = 3},
        {.name = "cm_external_ids_of",
                .sql = "SELECT b.* FROM unnest($1::uuid[], $2::uuid[]) AS u(w, c) CROSS JOIN LATERAL "
                       "(SELECT b.workspace_id, b.node_id, b.kind, b.value, b.customer_id, b.session_id, b.bound_us "
                       "FROM bindings b WHERE b.workspace_id = u.w AND b.customer_id >= u.c AND b.customer_id <= u.c "
                       "AND b.kind = 2 AND b.unbound_us = " OPEN
                       " ORDER BY b.customer_id, b.kind, b.bound_us OFFSET 0) b",
                .n_params = 2},
        {.name = "cm_past_values",
                .sql = "SELECT DISTINCT b.* FROM unnest($1::uuid[], $2::uuid[]) AS u(w, c) CROSS JOIN LATERAL "
                       "(SELECT b.workspace_id, b.node_id, b.kind, b.value FROM bindings b WHERE b.workspace_id = u.w "
                       "AND b.customer_id >= u.c AND b.customer_id <= u.c AND b.unbound_us <> " OPEN
                       " ORDER BY b.customer_id, b.kind, b.bound_us OFFSET 0) b",
                .n_params = 2},
        {.name = "cm_heads",
                .sql = "SELECT h.workspace_id, h.last_int_id FROM unnest($1::uuid[]) AS u(w) "
                       "JOIN customer_heads h ON h.workspace_id = u.w",
                .n_params = 1},

        /* customers */
        {.name = "cm_insert_customers",
                .sql = "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, "
                       "enabled, "
                       "registered_by, updated_by, external_id, doc, consent_times) SELECT * FROM unnest($1::uuid[], "
                       "$2::uuid[], "
                       "$3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[], $9::uuid[], "
                       "$10::uuid[], $11::text[], $12::jsonb[], $13::jsonb[])",
                .n_params = 13},
        {.name = "cm_update_customers",
                .sql = "UPDATE customers c SET version = u.version, updated_us = u.updated_us, enabled = u.enabled, "
                       "updated_by = u.updated_by, external_id = u.external_id, doc = u.doc, consent_times = "
                       "u.consent_times "
                       "FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], "
                       "$7::bigint[], $8::boolean[], $9::uuid[], $10::uuid[], $11::text[], $12::jsonb[], $13::jsonb[]) "
                       "AS u(w, id, node, int_id, version, registered_us, updated_us, enabled, registered_by, "
                       "updated_by, "
                       "external_id, doc, consent_times) WHERE c.workspace_id = u.w AND c.id = u.id",
                .n_params = 13},
        {.name = "cm_delete_customers",
                .sql = "DELETE FROM customers c USING unnest($1::uuid[], $2::uuid[]) AS u(w, id) "
                       "WHERE c.workspace_id = u.w AND c.id = u.id",
                .n_params = 2},
        {.name = "cm_tombstones",
                .sql = "INSERT INTO customer_tombstones (workspace_id, id, node_id, registered_us, deleted_us) "
                       "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[])",
                .n_params = 5},
        {.name = "cm_delete_keys",
                .sql = "DELETE FROM customer_keys k USING unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) "
                       "AS u(w, n, key, c) WHERE k.workspace_id = u.w AND k.node_id = u.n AND k.key = u.key "
                       "AND k.customer_id = u.c",
                .n_params = 4},
        /* a row that is there already belongs to a customer that the key does not stand for any more */
        {.name = "cm_insert_keys",
                .sql = "INSERT INTO customer_keys (workspace_id, node_id, key, customer_id) "
                       "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) "
                       "ON CONFLICT (workspace_id, node_id, key) DO UPDATE SET customer_id = excluded.customer_id",
                .n_params = 4},
        {.name = "cm_set_heads",
                .sql = "INSERT INTO customer_heads (workspace_id, last_int_id) SELECT * FROM unnest($1::uuid[], "
                       "$2::bigint[]) "
                       "ON CONFLICT (workspace_id) DO UPDATE SET last_int_id = excluded.last_int_id",
                .n_params = 2},

        /* bindings, and the events that follow them */
        {.name = "cm_unbind",
                .sql = "UPDATE bindings b SET unbound_us = u.t FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], "
                       "$4::text[], $5::uuid[], $6::bigint[], $7::bigint[]) AS u(w, n, kind, value, c, t, bound_us) "
                       "WHERE b.workspace_id = u.w AND b.node_id = u.n AND b.kind = u.kind AND b.value = u.value "
                       "AND b.bound_us = u.bound_us AND b.customer_id = u.c AND b.unbound_us = " OPEN,
                .n_params = 7},
        {.name = "cm_bind",
                .sql = "INSERT INTO bindings (workspace_id, node_id, kind, value, customer_id, bound_us, unbound_us, "
                       "session_id) "
                       "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::uuid[], "
                       "$6::bigint[], "
                       "$7::bigint[], $8::uuid[])",
                .n_params = 8},
        /* Waiting events are found value by value first: joined at once, the planner may ask of each event that waits
           in the node whom it belongs to. None is of a later time than what event-ingest has taken, which spares
           looking into the years to come: with the offsets' times its rows are committed. */
        {.name = "cm_events_bound",
                .sql = "WITH found AS MATERIALIZED (SELECT e.workspace_id, e.id, e.registered_us, " EVENT_BINDING
                       " AS customer_id FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[]) "
                       "AS u(w, n, kind, value) CROSS JOIN LATERAL (SELECT e.workspace_id, e.node_id, e.id, "
                       "e.registered_us, e.bind_kind, e.bind_value FROM events e WHERE e.workspace_id = u.w "
                       "AND e.node_id = u.n AND e.bind_kind = u.kind AND e.bind_value = u.value "
                       "AND e.customer_id IS NULL AND e.registered_us <= (SELECT max(o.last_time_us) FROM "
                       "consumer_offsets o WHERE o.worker = 'event-ingest' AND o.topic = 'event-commands') "
                       "AND e.registered_us >= COALESCE((SELECT r.emptied_us FROM node_rules r WHERE r.workspace_id = "
                       "u.w AND r.node_id = u.n), 0) OFFSET 0) e) UPDATE events e SET customer_id = f.customer_id "
                       "FROM found f WHERE e.workspace_id = f.workspace_id AND e.id = f.id "
                       "AND e.registered_us = f.registered_us AND f.customer_id IS NOT NULL RETURNING " EVENT_RESULT,
                .n_params = 4},
        /* Likewise, one customer after the other: a range, and an order that names the index, even where there are few.
           Once for all that a customer gives up, and what was there before is its own still; the CASE keeps what is
           left from being joined, value by value. */
        {.name = "cm_events_unbound",
                .sql = "WITH u AS MATERIALIZED (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], "
                       "$4::text[], $5::uuid[], $6::bigint[]) AS u(w, n, kind, value, c, t)), "
                       "late AS MATERIALIZED (SELECT x.* FROM (SELECT w, c, min(t) AS t FROM u GROUP BY w, c) m "
                       "CROSS JOIN LATERAL (SELECT e.workspace_id, e.node_id, e.id, e.registered_us, e.customer_id, "
                       "e.bind_kind, e.bind_value FROM events e WHERE e.workspace_id = m.w AND e.customer_id >= m.c "
                       "AND e.customer_id <= m.c AND e.bind_kind IS NOT NULL AND e.registered_us >= m.t "
                       "ORDER BY e.customer_id, e.date_us DESC OFFSET 0) x), "
                       "found AS MATERIALIZED (SELECT e.workspace_id, e.id, e.registered_us, e.customer_id AS was, "
                       "" EVENT_BINDING " AS customer_id FROM late e WHERE CASE WHEN (e.workspace_id, e.customer_id, "
                       "e.node_id, e.bind_kind, e.bind_value) IN (SELECT w, c, n, kind, value FROM u) THEN true END) "
                       "UPDATE events e SET customer_id = f.customer_id FROM found f "
                       "WHERE e.workspace_id = f.workspace_id AND e.id = f.id AND e.registered_us = f.registered_us "
                       "AND f.customer_id IS DISTINCT FROM f.was RETURNING " EVENT_RESULT,
                .n_params = 6},
        /* All of them, by the same range: where few customers have all events, the planner would read everybody's to
           find one customer's. */
        {.name = "cm_events_deleted",
                .sql = DELETE_EVENTS(
                        "found AS MATERIALIZED (SELECT x.* FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) "
                        "AS u(w, c, t) CROSS JOIN LATERAL (SELECT e.workspace_id, e.id, e.registered_us, "
                        "LEAST(u.t, " EMPTIED_SINCE ") AS t FROM events e WHERE e.workspace_id = u.w AND e.customer_id "
                        ">= u.c AND e.customer_id <= u.c "
                        "ORDER BY e.customer_id, e.date_us DESC OFFSET 0) x), ",
                        "USING found f WHERE e.workspace_id = f.workspace_id AND e.id = f.id "
                        "AND e.registered_us = f.registered_us",
                        "f.t"),
                .n_params = 3},

        /* nodes */
        {.name = "cm_put_rules",
                .sql = "INSERT INTO node_rules (workspace_id, node_id, seq, doc) VALUES ($1::uuid, $2::uuid, "
                       "$3::bigint, "
                       "$4::jsonb) ON CONFLICT (workspace_id, node_id) DO UPDATE SET seq = excluded.seq, doc = "
                       "excluded.doc",
                .n_params = 4},
        {.name = "cm_node_keys_dropped",
                .sql = "DELETE FROM customer_keys WHERE workspace_id = $1::uuid AND node_id = $2::uuid",
                .n_params = 2},
        /* Its order names the index: by their ids, those of all nodes of the workspace would be passed over. */
        {.name = "cm_node_customers",
                .sql = "SELECT " CUSTOMER_COLUMNS
                       " FROM customers c WHERE c.workspace_id = $1::uuid AND c.node_id = $2::uuid "
                       "AND c.registered_us > $3::bigint AND c.registered_us >= " EMPTIED_US(
                               "$1::uuid", "$2::uuid", "") " ORDER BY c.registered_us LIMIT $4::bigint",
                .n_params = 4},
        {.name = "cm_keys_first_come",
                .sql = "INSERT INTO customer_keys (workspace_id, node_id, key, customer_id) "
                       "SELECT $1::uuid, $2::uuid, u.key, u.c FROM unnest($3::uuid[], $4::uuid[]) AS u(key, c) "
                       "ON CONFLICT DO NOTHING",
                .n_params = 4},
        {.name = "cm_node_emptied",
                .sql = "UPDATE node_rules SET seq = $3::bigint, emptied_us = $4::bigint, "
                       "emptied_before_us = emptied_before_us || array_remove(ARRAY[emptied_us], 0) "
                       "WHERE workspace_id = $1::uuid AND node_id = $2::uuid",
                .n_params = 4},
        /* emptying goes on in steps, the oldest command of a node first */
        {.name = "cm_begin_emptying",
                .sql = "INSERT INTO node_emptyings (workspace_id, node_id, time_us, partition, customers) "
                       "VALUES ($1::uuid, $2::uuid, $3::bigint, $4::integer, $5::boolean)",
                .n_params = 5},
        {.name = "cm_emptyings",
                .sql = "SELECT workspace_id, node_id, partition FROM node_emptyings ORDER BY time_us",
                .n_params = 0},
        {.name = "cm_emptying",
                .sql = "SELECT time_us, customers, events_left, below_us FROM node_emptyings WHERE workspace_id = "
                       "$1::uuid AND node_id = $2::uuid ORDER BY time_us LIMIT 1 FOR UPDATE",
                .n_params = 2},
        {.name = "cm_emptying_moved",
                .sql = "UPDATE node_emptyings SET events_left = $4::boolean, below_us = $5::bigint "
                       "WHERE workspace_id = $1::uuid AND node_id = $2::uuid AND time_us = $3::bigint",
                .n_params = 5},
        {.name = "cm_end_emptying",
                .sql = "DELETE FROM node_emptyings WHERE workspace_id = $1::uuid AND node_id = $2::uuid "
                       "AND time_us = $3::bigint",
                .n_params = 3},
        /* in the order of an index, behind what earlier steps have removed: that is passed over once, not every time */
        {.name = "cm_emptied_events",
                .sql = DELETE_EVENTS(
                        "found AS MATERIALIZED (SELECT e.workspace_id, e.id, e.registered_us FROM events e "
                        "WHERE e.workspace_id = $1::uuid AND e.node_id = $2::uuid AND e.registered_us < $3::bigint "
                        "AND e.date_us <= $4::bigint ORDER BY e.workspace_id, e.node_id, e.date_us DESC "
                        "LIMIT $5::bigint), ",
                        "USING found f WHERE e.workspace_id = f.workspace_id AND e.id = f.id "
                        "AND e.registered_us = f.registered_us",
                        "$3::bigint"),
                .n_params = 5},
        {.name = "cm_emptied_customers",
                .sql = "SELECT c.id, c.version, c.registered_us, c.updated_us FROM customers c "
                       "WHERE c.workspace_id = $1::uuid AND c.node_id = $2::uuid AND c.registered_us < $3::bigint "
                       "AND c.updated_us <= $4::bigint ORDER BY c.workspace_id, c.node_id, c.updated_us DESC "
                       "LIMIT $5::bigint",
                .n_params = 5},
        /* Those of any customer are found one after the other, as they are where one is deleted. The node is asked for
           behind that: it would lead the planner, where it holds the node for a rare one (a new one of many), to
           another index, which has all of the node for each of its customers. */
        {.name = "cm_emptied_bindings",
                .sql = "WITH found AS MATERIALIZED (SELECT x.* FROM unnest($4::uuid[]) AS u(c) CROSS JOIN LATERAL ("
                       "SELECT b.workspace_id, b.node_id, b.kind, b.value, b.bound_us, b.customer_id FROM bindings b "
                       "WHERE b.workspace_id = $1::uuid AND b.customer_id >= u.c AND b.customer_id <= u.c "
                       "AND b.unbound_us = " OPEN
                       " ORDER BY b.customer_id, b.kind, b.bound_us OFFSET 0) x WHERE x.node_id = $2::uuid) "
                       "UPDATE bindings b SET unbound_us = $3::bigint FROM found f WHERE b.workspace_id = "
                       "f.workspace_id AND b.node_id = f.node_id AND b.kind = f.kind AND b.value = f.value "
                       "AND b.bound_us = f.bound_us AND b.customer_id = f.customer_id",
                .n_params = 4},
        /* later events that were bound to a customer who goes */
        {.name = "cm_emptied_unbound",
                .sql = "WITH found AS MATERIALIZED (SELECT e.workspace_id, e.id, e.registered_us, " EVENT_BINDING
                       " AS customer_id FROM unnest($4::uuid[]) AS u(c) CROSS JOIN LATERAL ("
                       "SELECT e.workspace_id, e.node_id, e.id, e.registered_us, e.bind_kind, e.bind_value "
                       "FROM events e WHERE e.workspace_id = $1::uuid AND e.customer_id >= u.c "
                       "AND e.customer_id <= u.c AND e.bind_kind IS NOT NULL "
                       "AND e.registered_us >= $3::bigint ORDER BY e.customer_id, e.date_us DESC OFFSET 0) e "
                       "WHERE e.node_id = $2::uuid) "
                       "UPDATE events e SET customer_id = f.customer_id FROM found f WHERE e.workspace_id = "
                       "f.workspace_id AND e.id = f.id AND e.registered_us = f.registered_us RETURNING " EVENT_RESULT,
                .n_params = 4},
        /* of these, those whose next customer is gone as well by now: since when, ingest_facts would say the same */
        {.name = "cm_emptied_late",
                .sql = DELETE_EVENTS(
                        "found AS MATERIALIZED (SELECT e.workspace_id, e.id, e.registered_us, "
                        "LEAST(t.deleted_us, " EMPTIED_SINCE
                        ") AS t FROM unnest($2::uuid[]) AS u(id) CROSS JOIN LATERAL ("
                        "SELECT e.* FROM events e WHERE e.workspace_id = $1::uuid AND e.id = u.id LIMIT 1) e "
                        "JOIN customer_tombstones t ON t.workspace_id = $1::uuid AND t.id = e.customer_id), ",
                        "USING found f WHERE e.workspace_id = f.workspace_id AND e.id = f.id "
                        "AND e.registered_us = f.registered_us",
                        "f.t"),
                .n_params = 2},
};
