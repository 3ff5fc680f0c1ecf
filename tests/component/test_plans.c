/*
 * Plans are made when a statement is prepared, or a little later, and kept: while tables are young a plan that reads
 * all of one costs nothing, and goes on doing so when the table is large. Here every statement that looks for something
 * is run on few rows, then on many, in the settings of the process that runs it, and may touch no more than what it
 * looks for.
 */

#include "common/crashed.h"
#include "common/worker_batch.h"
#include "gateway/handlers.h"
#include "gateway/replies.h"
#include "tests/component/component.h"
#include "workers/aggregate_sync/sync.h"
#include "workers/bulk_processor/bulk_processor.h"
#include "workers/customer_merge/store.h"
#include "workers/event_ingest/ingest.h"
#include "workers/stats_rollup/rollup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Blocks of tables and indexes that a statement may touch: those of a few rows, in an index of every year. */
#define FEW 250
/* The same, but for the years to come. */
#define OF_THE_PAST 35
/* Searches count up to 10,000 matches. */
#define COUNTED 11500
#define YOUNG 3
#define ROWS 20000
/* PostgreSQL thinks of plans that suit any parameters from the sixth run on. */
#define RUNS 7

#define W "'a0000000-0000-4000-8000-000000000000'::uuid"
#define NODE "'b0000000-0000-4000-8000-000000000000'::uuid"
#define AGGREGATE "'ba000000-0000-4000-8000-000000000000'::uuid"
#define JOB "'d0000000-0000-4000-8000-000000000000'::uuid"

/* One row's id, value or time: c customers, e their events, w waiting events, p profiles, k keys, t tombstones, r
 * results. */
#define ID(kind) "id_of('" kind "', at())"
#define ONE(kind) "ARRAY[" ID(kind) "]"
#define WS "ARRAY[" W "]"
#define NODES "ARRAY[" NODE "]"
#define AGGREGATES "ARRAY[" AGGREGATE "]"
#define TIME "time_of(at())"
#define TIMES "ARRAY[" TIME "]"
#define FROM_TO "0, 9000000000000000"
#define SESSION "ARRAY['s' || at()]"
#define WAITING "ARRAY['w' || at()]"
#define FILTERS "NULL, NULL, " FROM_TO ", 10, 0, " FROM_TO

/*
 * AT_ONCE: also before anybody has analyzed what has grown. Such a statement leaves the planner no choice: it looks for
 * one after the other (LATERAL, OFFSET 0), and its order names the index. Worth it where a bad plan costs most.
 */
struct lookup {
	const char *name;
	const char *arguments;
	long most; /* blocks */
	enum { SOON, AT_ONCE } when;
};

static const struct lookup runtime_lookups[] = {
        {"runtime_position", "'tester', 'changes', 0", FEW, AT_ONCE},
        {"runtime_find_results", "'customer-commands', " WS ", " ONE("r") ", ARRAY[0], " TIMES ", ARRAY[0]", FEW, SOON},
        {"runtime_advance",
                "'tester', 'changes', ARRAY[0], ARRAY[0]::bigint[], ARRAY[0]::bigint[], ARRAY[0]::bigint[], "
                "ARRAY[1]::bigint[], ARRAY[1]::bigint[], ARRAY[1]::bigint[]",
                FEW, AT_ONCE},
        {"runtime_hold", "'tester', 'changes', ARRAY[0], ARRAY[0]::bigint[], ARRAY[0]::bigint[], ARRAY[0]::bigint[]",
                FEW, AT_ONCE},
        {"runtime_stream",
                WS ", ARRAY[1]::bigint[], " WS ", ARRAY[0]::bigint[], ARRAY[0]::bigint[], ARRAY[1]::smallint[], "
                   "ARRAY[2]::smallint[], " ONE("c") ", " NODES ", ARRAY[2]::bigint[], 1",
                FEW, AT_ONCE},
        {"facts_cursors", "'tester', 'changes', " WS ", ARRAY[7]", FEW, AT_ONCE},
        {"facts_goals", "'tester', 'changes', ARRAY[0], '00000000-0000-0000-0000-000000000000', 10", FEW, AT_ONCE},
        {"facts_behind", "'tester', 'changes', ARRAY[0], " WS ", ARRAY[9223372036854775807]::bigint[], 10", FEW, SOON},
        {"facts_moved", "'tester', 'changes', ARRAY[0], " WS ", ARRAY[5]::bigint[]", FEW, AT_ONCE},
        {"facts_save", "'tester', 'changes', ARRAY[0], ARRAY[0]::bigint[], ARRAY[0]::bigint[], ARRAY[0]::bigint[]", FEW,
                AT_ONCE},
        {"crashed_load", "'tester', 'changes', 0, 0, 10", FEW, AT_ONCE},
};

static const struct lookup customer_merge_lookups[] = {
        {"cm_rules", WS ", " NODES ", ARRAY[0]::bigint[]", FEW, AT_ONCE},
        {"cm_customers", WS ", " ONE("c"), FEW, SOON},
        {"cm_used_ids", WS ", " ONE("c"), FEW, SOON},
        {"cm_customers_by_key", WS ", " NODES ", " ONE("k"), FEW, SOON},
        {"cm_bindings", WS ", " NODES ", ARRAY[1]::smallint[], " SESSION ", ARRAY[10]::bigint[]", FEW, SOON},
        {"cm_bindings_of", WS ", " ONE("c") ", ARRAY[NULL]::uuid[]", FEW, SOON},
        {"cm_external_ids_of", WS ", " ONE("c"), FEW, SOON},
        {"cm_past_values", WS ", " ONE("c"), FEW, SOON},
        {"cm_heads", WS, FEW, AT_ONCE},
        {"cm_update_customers",
                WS ", " ONE("c") ", " NODES ", ARRAY[1]::bigint[], ARRAY[2]::bigint[], ARRAY[3]::bigint[], "
                                 "ARRAY[4]::bigint[], ARRAY[true], ARRAY[NULL]::uuid[], ARRAY[NULL]::uuid[], "
                                 "ARRAY['x'], ARRAY['{}']::jsonb[], ARRAY[NULL]::jsonb[]",
                FEW, SOON},
        {"cm_delete_customers", WS ", " ONE("c"), FEW, SOON},
        {"cm_delete_keys", WS ", " NODES ", " ONE("k") ", " ONE("c"), FEW, SOON},
        {"cm_unbind", WS ", " NODES ", ARRAY[1]::smallint[], " SESSION ", " ONE("c") ", ARRAY[5]::bigint[], " TIMES,
                FEW, AT_ONCE},
        {"cm_events_bound", WS ", " NODES ", ARRAY[1]::smallint[], " WAITING, OF_THE_PAST, AT_ONCE},
        {"cm_events_unbound", WS ", " NODES ", ARRAY[1]::smallint[], " SESSION ", " ONE("c") ", ARRAY[0]::bigint[]",
                FEW, AT_ONCE},
        {"cm_events_deleted", WS ", " ONE("c") ", ARRAY[5]::bigint[]", FEW, SOON},
        {"cm_emptying", W ", " NODE, FEW, AT_ONCE},
        {"cm_emptied_events", W ", " NODE ", 9000000000000000, 9223372036854775807, 10", FEW, SOON},
        {"cm_emptied_customers", W ", " NODE ", 9000000000000000, 9223372036854775807, 10", FEW, AT_ONCE},
        {"cm_emptied_bindings", W ", " NODE ", 0, " ONE("c"), FEW, AT_ONCE},
        {"cm_emptied_unbound", W ", " NODE ", 0, " ONE("c"), FEW, SOON},
        {"cm_emptied_late", W ", " ONE("e"), FEW, SOON},
        {"cm_node_customers", W ", " NODE ", " TIME ", 10", FEW, AT_ONCE},
};

/* One has more of something than all others together: customers an external id, a customer sessions and events, a node
 * the workspace's customers. What is looked for is something else, or all of it once. */
#define FIRST "ARRAY[id_of('c', 1)]"
#define TEN_OF(value) "array_fill(" value ", '{10}')"
#define ONE_PASS 5000
static const struct lookup lookups_beside_many[] = {
        {"cm_bindings", WS ", " NODES ", ARRAY[2]::smallint[], ARRAY['shared'], ARRAY[10]::bigint[]", FEW, SOON},
        {"cm_events_bound", WS ", " NODES ", ARRAY[2]::smallint[], ARRAY['shared']", FEW, SOON},
        {"cm_unbind",
                WS ", " NODES ", ARRAY[1]::smallint[], ARRAY['m5'], " FIRST ", ARRAY[5]::bigint[], ARRAY[time_of(5)]",
                FEW, SOON},
        {"cm_events_unbound",
                TEN_OF(W) ", " TEN_OF(NODE) ", " TEN_OF("1::smallint") ", '{m1,m2,m3,m4,m5,m6,m7,m8,m9,m10}', " TEN_OF(
                        "id_of('c', 1)") ", " TEN_OF("0::bigint"),
                ONE_PASS, SOON},
        {"cm_node_customers", W ", '00000000-0000-4000-8000-000000000000', 0, 10", FEW, SOON},
};

static const struct lookup event_ingest_lookups[] = {
        {"ingest_facts", "ARRAY[0], " WS ", " NODES ", ARRAY[NULL]::uuid[], ARRAY[1]::smallint[], " SESSION ", " TIMES,
                FEW, SOON},
        {"ingest_find", "ARRAY[0], " WS ", " ONE("e"), FEW, SOON},
        {"ingest_update",
                WS ", " ONE("e") ", " TIMES ", ARRAY[1]::bigint[], ARRAY[1]::bigint[], ARRAY[2], ARRAY['WEB'], "
                                 "ARRAY['{}']::json[]",
                FEW, SOON},
        {"ingest_delete", WS ", " ONE("e") ", " TIMES, FEW, SOON},
};

static const struct lookup aggregate_sync_lookups[] = {
        {"sync_nodes", WS ", NULL", FEW, AT_ONCE},
        {"sync_customers", WS ", " ONE("c"), FEW, AT_ONCE},
        {"sync_members", WS ", " ONE("p"), FEW, AT_ONCE},
        {"sync_other_customers", WS ", " ONE("c"), FEW, SOON},
        {"sync_profiles", WS ", " ONE("p"), FEW, SOON},
        {"sync_leave", WS ", " AGGREGATES ", " ONE("c"), FEW, SOON},
        {"sync_join", WS ", " AGGREGATES ", " ONE("c") ", " ONE("p") ", ARRAY[false]", FEW, AT_ONCE},
        {"sync_exclude", WS ", " ONE("p") ", ARRAY[true]", FEW, SOON},
        {"sync_update",
                WS ", " ONE("p") ", " AGGREGATES ", ARRAY[1]::bigint[], ARRAY[2]::bigint[], ARRAY[3]::bigint[], "
                                 "ARRAY[4]::bigint[], ARRAY[true], ARRAY[NULL]::uuid[], ARRAY[NULL]::uuid[], "
                                 "ARRAY['x'], ARRAY['{}']::jsonb[]",
                FEW, SOON},
        {"sync_delete", WS ", " ONE("p"), FEW, SOON},
        {"sync_customer_chunk", W ", " AGGREGATE ", " ID("c") ", 10, true, 80", FEW, AT_ONCE},
        {"sync_member_chunk", W ", " AGGREGATE ", " ID("c") ", " ID("c"), FEW, AT_ONCE},
        {"sync_made", W ", " AGGREGATE ", " ONE("p"), FEW, SOON},
        {"sync_drop_members", W ", " AGGREGATE ", " ID("p") ", 10", FEW, AT_ONCE},
        {"sync_drop_profiles", W ", " AGGREGATE ", " ONE("p"), FEW, SOON},
        {"sync_profiles_left", W ", " AGGREGATE ", 10", FEW, SOON},
        {"sync_profile_chunk", W ", " AGGREGATE ", " ID("p") ", 10, 80", FEW, AT_ONCE},
};

static const struct lookup stats_rollup_lookups[] = {
        {"rollup_profile_events", WS ", " ONE("p") ", " AGGREGATES ", " FROM_TO, FEW, SOON},
        {"rollup_apply", WS ", " ONE("c") ", " WS ", " ONE("e") ", " FROM_TO, 2 * FEW, SOON},
};

static const struct lookup bulk_processor_lookups[] = {
        {"bulk_taken", "ARRAY[0], ARRAY[1, 2]", FEW, AT_ONCE},
        {"bulk_take_results", W ", " ONE("r") ", ARRAY[1]::bigint[]", FEW, AT_ONCE},
        {"bulk_see_results", W ", " ONE("r") ", ARRAY[1]::bigint[]", FEW, AT_ONCE},
        {"bulk_done_lines", W ", " JOB ", (at() - 3)::bigint", FEW, AT_ONCE},
        {"bulk_find_customers", W ", " NODE ", ARRAY[0], " ONE("c"), FEW, AT_ONCE},
        {"bulk_find_keys", W ", " NODE ", ARRAY[0], " ONE("k"), FEW, AT_ONCE},
        {"bulk_find_external_ids", W ", " NODE ", ARRAY[0], ARRAY['x' || at()]", FEW, AT_ONCE},
        {"bulk_find_bindings", W ", " NODE ", ARRAY[0], ARRAY['x' || at()]", FEW, AT_ONCE},
        {"bulk_find_events", W ", " NODE ", ARRAY[0], " ONE("e"), FEW, AT_ONCE},
};

#define OF_CUSTOMER(order)                                                                                             \
	{                                                                                                              \
		"event_search_customer_" order, W ", " NODES ", " FILTERS ", " ID("c"), FEW, SOON                      \
	}
#define OF_PROFILE(order)                                                                                              \
	{                                                                                                              \
		"event_search_profile_" order,                                                                         \
		        W ", ARRAY[" NODE ", " AGGREGATE "], " FILTERS ", " ID("p") ", " AGGREGATE, FEW, SOON          \
	}
static const struct lookup gateway_lookups[] = {
        {"customer_node", W ", " ID("c"), FEW, SOON},
        {"customer_by_id", W ", " ID("c"), FEW, SOON},
        {"customer_sessions", W ", " ID("c"), FEW, SOON},
        {"customer_session", W ", " ID("c") ", " ID("c"), FEW, SOON},
        {"customer_search_node", W ", " NODE ", 10, 0", COUNTED, AT_ONCE},
        {"customer_search_external_id", W ", " NODE ", 10, 0, 'x' || at()", FEW, SOON},
        {"event_by_id", W ", " ID("e") ", " FROM_TO, FEW, SOON},
        {"event_neighbours", W ", " ID("c") ", " TIME ", " ID("e") ", " FROM_TO, FEW, SOON},
        {"event_derived", W ", " AGGREGATES ", " ONE("e") ", " FROM_TO, FEW, SOON},
        {"event_profile_neighbours", W ", " ID("p") ", " TIME ", " ID("e") ", " AGGREGATE ", " FROM_TO, FEW, SOON},
        OF_CUSTOMER("date_desc"),
        OF_CUSTOMER("date_asc"),
        OF_CUSTOMER("registered_desc"),
        OF_CUSTOMER("updated_asc"),
        OF_PROFILE("date_desc"),
        OF_PROFILE("date_asc"),
        OF_PROFILE("registered_desc"),
        OF_PROFILE("updated_asc"),
        {"event_search_node_date_desc", W ", " NODES ", " FILTERS, COUNTED, AT_ONCE},
        {"event_search_node_date_asc", W ", " NODES ", " FILTERS, COUNTED, AT_ONCE},
        {"event_search_aggregate_date_desc", W ", ARRAY[" NODE ", " AGGREGATE "], " FILTERS ", " AGGREGATE, 5 * COUNTED,
                SOON},
        {"aggregate_entries", W ", " ID("p") ", " AGGREGATE ", 10, 0", FEW, SOON},
        {"aggregate_entries_of_nodes", W ", " ID("p") ", " AGGREGATE ", 10, 0, " NODES, FEW, SOON},
        {"updates_after", W ", at(), NULL, NULL, 10, 1000, 64", FEW, SOON},
        {"updates_offset_at", W ", " TIME, FEW, SOON},
        {"updates_last", W ", 1000, NULL, NULL", FEW, SOON},
        {"updates_entities",
                W ", ARRAY[0, 1], ARRAY[" ID("c") ", NULL], ARRAY[NULL, " ID("e") "], 1000000, "
                                                                                  "ARRAY[false, true], " FROM_TO,
                FEW, SOON},
        {"results_of_commands",
                WS
                ", " ONE("r") ", ARRAY[1]::bigint[], ARRAY[1]::bigint[], ARRAY['customer-commands'], ARRAY[0], " TIMES,
                FEW, SOON},
        {"node_has_customers", W ", " NODE, FEW, AT_ONCE},
        {"bulk_rows_after", W ", " JOB ", (at() - 10)::bigint", FEW, AT_ONCE},
        {"stat_categories", W ", " NODES ", " FROM_TO ", NULL, " ID("c"), FEW, SOON},
        {"stat_buying", W ", " NODES ", " FROM_TO ", NULL, " ID("c"), FEW, SOON},
        {"stat_snapshot", W ", " NODES ", " FROM_TO ", NULL, NULL", FEW, AT_ONCE},
};

struct table {
	const struct statement *statements;
	const size_t *n;
	size_t n_fixed;
};

/* A process, with the settings of its connections. */
static const struct owner {
	const char *name;
	const char *settings; /* its statement that sets some */
	const struct lookup *lookups;
	size_t n_lookups;
	struct table tables[9];
} owners[] = {
        {"runtime", NULL, runtime_lookups, ARRAY_LEN(runtime_lookups),
                {{runtime_statements, &runtime_statement_count, 0}, {facts_statements, &facts_statement_count, 0},
                        {crashed_statements, &crashed_statement_count, 0}}},
        {"customer-merge", "cm_settings", customer_merge_lookups, ARRAY_LEN(customer_merge_lookups),
                {{customer_merge_statements, NULL, CUSTOMER_MERGE_STATEMENTS}}},
        {"event-ingest", NULL, event_ingest_lookups, ARRAY_LEN(event_ingest_lookups),
                {{event_ingest_statements, &event_ingest_statement_count, 0}}},
        {"aggregate-sync", "sync_settings", aggregate_sync_lookups, ARRAY_LEN(aggregate_sync_lookups),
                {{sync_statements, &sync_statement_count, 0}}},
        {"stats-rollup", "rollup_settings", stats_rollup_lookups, ARRAY_LEN(stats_rollup_lookups),
                {{rollup_statements, &rollup_statement_count, 0}}},
        {"bulk-processor", "bulk_settings", bulk_processor_lookups, ARRAY_LEN(bulk_processor_lookups),
                {{bulk_processor_statements, NULL, BULK_PROCESSOR_STATEMENTS}}},
        {"gateway", NULL, gateway_lookups, ARRAY_LEN(gateway_lookups),
                {{customer_statements, &customer_statement_count, 0},
                        {customer_search_statements, &customer_search_statement_count, 0},
                        {event_statements, &event_statement_count, 0}, {node_statements, &node_statement_count, 0},
                        {bulk_statements, &bulk_statement_count, 0},
                        {aggregate_statements, &aggregate_statement_count, 0},
                        {stat_statements, &stat_statement_count, 0}, {update_statements, &update_statement_count, 0},
                        {reply_statements, &reply_statement_count, 0}}},
};

/* --- tables --------------------------------------------------------------------------------------------------------
 */

static const char functions[] =
        "CREATE FUNCTION id_of(kind text, i integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS "
        "$$ SELECT md5(kind || i)::uuid $$;"
        "CREATE FUNCTION at() RETURNS integer LANGUAGE sql STABLE AS $$ SELECT current_setting('test.at')::integer $$;"
        /* in 2026 up to the number, then in 2027 */
        "CREATE FUNCTION time_of(i integer) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT CASE WHEN i <= "
        "current_setting('test.year_ends_at')::integer THEN 1767225600000000 ELSE 1798761600000000 END + i::bigint * "
        "1000000 "
        "$$;";

static const char beginning[] =
        "INSERT INTO consumer_offsets VALUES ('tester', 'changes', 0, 0, 0), "
        "('event-ingest', 'event-commands', 0, 0, time_of(1000000));"
        "INSERT INTO configuration VALUES (" W ", 'workspace', '', 1, 1, 0, 0, '{}');"
        "INSERT INTO node_rules (workspace_id, node_id, seq, doc) VALUES (" W ", " NODE ", 1, '{}');"
        "INSERT INTO customer_heads VALUES (" W ", 1);"
        "INSERT INTO aggregate_nodes VALUES (" W ", " AGGREGATE
        ", 1, true, jsonb_build_object('entryNodes', jsonb_build_array(" NODE ")), false);"
        "INSERT INTO stat_zones VALUES (" W ", 'Europe/Rome');"
        "INSERT INTO stream_heads VALUES (" W ", 0, 0);"
        "INSERT INTO fact_cursors VALUES (" W ", 'tester', 'changes', 0, 0);";

static const char waiting_events[] =
        "INSERT INTO events SELECT " W ", id_of('w', i), " NODE ", NULL, time_of(i), time_of(i), time_of(i), 1, 1, "
        "'viewedPage', 'WEB', 'w' || i, NULL, '{}' FROM generate_series($1::integer, $2::integer) i";

/* Rows of numbers $1 to $2: each is a customer with a session, an external id, an event and a profile, and what is left
 * of something. */
static const char *const rows[] = {
        "INSERT INTO customers SELECT " W ", id_of('c', i), " NODE ", i, 1, time_of(i), time_of(i), true, NULL, NULL, "
        "'x' || i, jsonb_build_object('externalId', 'x' || i, 'base', jsonb_build_object('firstName', 'n' || i)) "
        "FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO customers SELECT " W ", id_of('p', i), " AGGREGATE
        ", i, 1, time_of(i), time_of(i), true, NULL, NULL, "
        "'x' || i, '{}' FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO aggregate_members SELECT " W ", " AGGREGATE ", id_of('c', i), id_of('p', i), false "
        "FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO customer_keys SELECT " W ", " NODE ", id_of('k', i), id_of('c', i) "
        "FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO customer_tombstones SELECT " W ", id_of('t', i), " NODE ", time_of(i), time_of(i) "
        "FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO bindings SELECT " W ", " NODE ", k.kind, k.prefix || i, time_of(i), id_of('c', i), "
        "9223372036854775807, NULL FROM generate_series($1::integer, $2::integer) i, "
        "(VALUES (1::smallint, 's'), (2::smallint, 'x')) AS k(kind, prefix)",
        "INSERT INTO events SELECT " W ", id_of('e', i), " NODE
        ", id_of('c', i), time_of(i), time_of(i), time_of(i), 1, 1, "
        "'completedOrder', 'WEB', 's' || i, NULL, '{}' FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO event_tombstones SELECT " W ", id_of('d', i), " NODE ", 'viewedPage', time_of(i), time_of(i) "
        "FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO stream_runs SELECT " W ", i, 1, " NODE ", time_of(i), '{1}', ARRAY[id_of('c', i)], '{1}' "
        "FROM generate_series($1::integer, $2::integer) i",
        "UPDATE stream_heads SET last_offset = $2::integer, last_us = time_of($2::integer) WHERE $1::integer > 0",
        "UPDATE fact_cursors SET published = $2::integer - 5 WHERE $1::integer > 0",
        "INSERT INTO command_results (workspace_id, command_id, keyed, fingerprint, status, created_us) "
        "SELECT " W ", id_of('r', i), false, 1, 201, time_of(i) FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO bulk_rows SELECT " W ", " JOB ", i, 'CREATED', NULL, NULL "
        "FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO stat_shares SELECT s.* FROM generate_series($1::integer, $2::integer) i, stat_live_customers s "
        "WHERE s.workspace_id = " W " AND s.id = id_of('c', i)",
        "INSERT INTO stat_shares SELECT s.* FROM generate_series($1::integer, $2::integer) i, events e, "
        "stat_counted_in(e.workspace_id, e.node_id, e.customer_id) n, "
        "stat_event(e, n.node_id, n.customer_id, 'Europe/Rome') s WHERE e.workspace_id = " W
        " AND e.id = id_of('e', i)",
};

/* What belongs to the first customer alone: events, what they count, and sessions. */
static const char *const rows_of_the_first[] = {
        "INSERT INTO events SELECT " W ", id_of('m', i), " NODE
        ", id_of('c', 1), time_of(i), time_of(i), time_of(i), 1, "
        "NULL, 'viewedPage', 'WEB', NULL, NULL, '{}' FROM generate_series($1::integer, $2::integer) i",
        "INSERT INTO stat_shares SELECT s.* FROM generate_series($1::integer, $2::integer) i, events e, "
        "stat_counted_in(e.workspace_id, e.node_id, e.customer_id) n, "
        "stat_event(e, n.node_id, n.customer_id, 'Europe/Rome') s WHERE e.workspace_id = " W
        " AND e.id = id_of('m', i)",
        "INSERT INTO bindings SELECT " W ", " NODE
        ", 1, 'm' || i, time_of(i), id_of('c', 1), 9223372036854775807, NULL "
        "FROM generate_series($1::integer, $2::integer) i",
};

/* Rows of other workspaces, each with a node of its own: $1 workspaces of $2 customers. */
#define OTHERS "id_of('W', w), "
#define OTHERS_NODE "id_of('N', w), "
#define OF_OTHERS "FROM generate_series(1, $1::integer) w, generate_series(1, $2::integer) i"
static const char *const rows_of_others[] = {
        "INSERT INTO customers SELECT " OTHERS "id_of('c' || w, i), " OTHERS_NODE "i, 1, time_of(i), time_of(i), true, "
        "NULL, NULL, 'x' || i, '{}' " OF_OTHERS,
        "INSERT INTO aggregate_members SELECT " OTHERS "id_of('A', w), id_of('c' || w, i), id_of('p' || w, i), false "
        "" OF_OTHERS,
        "INSERT INTO customer_keys SELECT " OTHERS OTHERS_NODE "id_of('k' || w, i), id_of('c' || w, i) " OF_OTHERS,
        "INSERT INTO customer_tombstones SELECT " OTHERS "id_of('t' || w, i), " OTHERS_NODE "time_of(i), time_of(i) "
        "" OF_OTHERS,
        "INSERT INTO bindings SELECT " OTHERS OTHERS_NODE "k.kind, k.prefix || i, time_of(i), id_of('c' || w, i), "
        "9223372036854775807, NULL " OF_OTHERS ", (VALUES (1::smallint, 's'), (2::smallint, 'x')) AS k(kind, prefix)",
        "INSERT INTO events SELECT " OTHERS "id_of('e' || w, i), " OTHERS_NODE "id_of('c' || w, i), time_of(i), "
        "time_of(i), time_of(i), 1, 1, 'completedOrder', 'WEB', 's' || i, NULL, '{}' " OF_OTHERS,
        "INSERT INTO event_tombstones SELECT " OTHERS "id_of('d' || w, i), " OTHERS_NODE "'viewedPage', time_of(i), "
        "time_of(i) " OF_OTHERS,
        "INSERT INTO stream_runs SELECT " OTHERS "i, 1, " OTHERS_NODE
        "time_of(i), '{1}', ARRAY[id_of('c' || w, i)], '{1}' " OF_OTHERS,
        "INSERT INTO command_results (workspace_id, command_id, keyed, fingerprint, status, created_us) SELECT " OTHERS
        "id_of('r' || w, i), false, 1, 201, time_of(i) " OF_OTHERS,
};

static void run_row(struct component *component, const char *row, int from, int to)
{
	char first[16], last[16];
	const char *values[] = {first, last};

	snprintf(first, sizeof(first), "%d", from);
	snprintf(last, sizeof(last), "%d", to);
	PGresult *result = PQexecParams(component_connection(component), row, 2, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", row, PQresultErrorMessage(result));
	PQclear(result);
}

static void run_rows(struct component *component, int from, int to)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		run_row(component, rows[i], from, to);
}

static void run_rows_and_waiting(struct component *component, int from, int to)
{
	run_rows(component, from, to);
	run_row(component, waiting_events, from, to);
}

/* Nobody but the test looks at what the tables hold. */
static const char without_autovacuum[] =
        "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = "
        "current_schema()::regnamespace LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', t); "
        "END LOOP; END $$";

static struct component *open_tables(int year_ends_at)
{
	struct component *component = component_open();

	component_sql(component, "SET synchronous_commit = off");
	component_sql(component, without_autovacuum);
	component_sqlf(component, "SET test.year_ends_at = %d", year_ends_at);
	component_sql(component, functions);
	component_sql(component, beginning);
	return component;
}

/* --- sessions ------------------------------------------------------------------------------------------------------
 */

/* The process's connection. */
static PGconn *open_session(struct component *component, const struct owner *owner, int year_ends_at)
{
	PGconn *session = PQconnectdb(component_settings(component)->pg);
	char sql[256];

	assert_int_equal(PQstatus(session), CONNECTION_OK);
	snprintf(sql, sizeof(sql), "SET search_path = %s; SET test.year_ends_at = %d; SET synchronous_commit = off",
	        component_settings(component)->pg_schema, year_ends_at);
	PQclear(PQexec(session, sql));
	for (size_t t = 0; t < ARRAY_LEN(owner->tables); t++) {
		const struct table *table = &owner->tables[t];
		size_t n = table->n ? *table->n : table->n_fixed;
		for (size_t i = 0; table->statements && i < n; i++) {
			PGresult *result =
			        PQprepare(session, table->statements[i].name, table->statements[i].sql, 0, NULL);
			if (PQresultStatus(result) != PGRES_COMMAND_OK)
				fail_msg("%s: %s", table->statements[i].name, PQresultErrorMessage(result));
			PQclear(result);
		}
	}
	if (owner->settings) {
		PGresult *result = PQexecPrepared(session, owner->settings, 0, NULL, NULL, NULL, 0);
		assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
		PQclear(result);
	}
	return session;
}

static void run(PGconn *session, const char *sql)
{
	PGresult *result = PQexec(session, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQresultErrorMessage(result));
	PQclear(result);
}

/* Where the lookup finds its row, and leaves it. */
static void go_to(PGconn *session, int at)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "BEGIN; SET LOCAL test.at = %d", at);
	run(session, sql);
}

/* The whole plan as text begins with what its top node, all others included, has touched. */
static long blocks_of(const PGresult *plan)
{
	for (int row = 0; row < PQntuples(plan); row++) {
		const char *found = strstr(PQgetvalue(plan, row, 0), "Buffers: shared");
		if (!found)
			continue;
		const char *hit = strstr(found, "hit="), *read = strstr(found, "read=");
		return (hit ? strtol(hit + 4, NULL, 10) : 0) + (read ? strtol(read + 5, NULL, 10) : 0);
	}
	return 0;
}

static void print_plan(const PGresult *plan)
{
	for (int row = 0; row < PQntuples(plan); row++)
		print_message("    %s\n", PQgetvalue(plan, row, 0));
}

/* Whether it touches no more than it may. */
static bool is_bounded(PGconn *session, const struct lookup *lookup, int at)
{
	char sql[2048];

	snprintf(sql, sizeof(sql), "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) EXECUTE %s (%s)", lookup->name,
	        lookup->arguments);
	go_to(session, at);
	PGresult *plan = PQexec(session, sql);
	if (PQresultStatus(plan) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", lookup->name, PQresultErrorMessage(plan));
	run(session, "ROLLBACK");
	long blocks = blocks_of(plan);
	if (getenv("CONTACTHUB_TEST_PLANS"))
		print_message("%-40s %ld\n", lookup->name, blocks);
	if (blocks > lookup->most) {
		print_message("%s touches %ld blocks, of at most %ld\n", lookup->name, blocks, lookup->most);
		print_plan(plan);
	}
	PQclear(plan);
	return blocks <= lookup->most;
}

static void run_lookups(PGconn *session, const struct owner *owner, int at)
{
	char sql[2048];

	for (size_t i = 0; i < owner->n_lookups * RUNS; i++) {
		const struct lookup *lookup = &owner->lookups[i / RUNS];
		snprintf(sql, sizeof(sql), "EXECUTE %s (%s)", lookup->name, lookup->arguments);
		go_to(session, at);
		run(session, sql);
		run(session, "ROLLBACK");
	}
}

/* --- tests ---------------------------------------------------------------------------------------------------------
 */

/* What the tables hold while the plans are made, and what comes then. */
struct growth {
	int before, after;
	bool analyzed; /* before */
	int year_ends_at;
};

/* Lookups that touch more than they may. */
static size_t count_bad(PGconn *const *sessions, bool analyzed, int at)
{
	size_t n_bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(owners); i++)
		for (size_t j = 0; j < owners[i].n_lookups; j++)
			if (analyzed || owners[i].lookups[j].when == AT_ONCE)
				n_bad += !is_bounded(sessions[i], &owners[i].lookups[j], at);
	return n_bad;
}

static void open_sessions(struct component *component, PGconn **sessions, const struct growth *growth)
{
	if (growth->analyzed)
		component_sql(component, "ANALYZE");
	for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
		sessions[i] = open_session(component, &owners[i], growth->year_ends_at);
		run_lookups(sessions[i], &owners[i], 1);
	}
}

static void close_all(struct component *component, PGconn **sessions, size_t n_bad)
{
	for (size_t i = 0; i < ARRAY_LEN(owners); i++)
		PQfinish(sessions[i]);
	component_close(component);
	if (n_bad)
		fail_msg("%zu lookups touch more than they may", n_bad);
}

static void check_growth(const struct growth *growth)
{
	struct component *component = open_tables(growth->year_ends_at);
	PGconn *sessions[ARRAY_LEN(owners)];

	run_rows_and_waiting(component, 1, growth->before);
	open_sessions(component, sessions, growth);
	run_rows_and_waiting(component, growth->before + 1, growth->after);
	size_t n_bad = count_bad(sessions, false, growth->after - 7);
	run(sessions[0], "EXECUTE runtime_analyze"); /* as followers of facts do within a second */
	n_bad += count_bad(sessions, true, growth->after - 7);
	close_all(component, sessions, n_bad);
}

static void plans_of_empty_tables_stay_good(void **state)
{
	(void)state;
	check_growth(&(struct growth){.before = 0, .after = ROWS, .year_ends_at = 2 * ROWS});
}

static void plans_of_young_tables_stay_good(void **state)
{
	(void)state;
	check_growth(&(struct growth){.before = YOUNG, .after = ROWS, .year_ends_at = 2 * ROWS});
}

static void plans_of_young_tables_that_were_analyzed_stay_good(void **state)
{
	(void)state;
	check_growth(&(struct growth){.before = YOUNG, .after = ROWS, .analyzed = true, .year_ends_at = 2 * ROWS});
}

/* The tables are large and known; then the year of the events' tables ends. */
static void plans_stay_good_in_a_new_year(void **state)
{
	(void)state;
	check_growth(&(struct growth){.before = ROWS, .after = 2 * ROWS, .analyzed = true, .year_ends_at = ROWS});
}

/* Nothing waits while the plans are made; then more events wait in one node than there are others. None are deleted for
 * that: while any transaction of the database is older, scans go on reading what is gone. */
static void plans_stay_good_when_events_wait(void **state)
{
	static const struct growth growth = {.analyzed = true, .year_ends_at = 2 * ROWS};
	struct component *component = open_tables(growth.year_ends_at);
	PGconn *sessions[ARRAY_LEN(owners)];

	(void)state;
	run_rows(component, 1, ROWS);
	open_sessions(component, sessions, &growth);
	run_row(component, waiting_events, 1, 3 * ROWS / 2);
	close_all(component, sessions, count_bad(sessions, true, ROWS - 7));
}

/* The planner then expects as much of every customer. */
static void plans_stay_good_when_one_customer_has_all(void **state)
{
	static const struct growth growth = {.analyzed = true, .year_ends_at = 4 * ROWS};
	struct component *component = open_tables(growth.year_ends_at);
	PGconn *sessions[ARRAY_LEN(owners)];

	(void)state;
	run_rows_and_waiting(component, 1, YOUNG);
	component_sql(component, "DELETE FROM events; DELETE FROM stat_shares WHERE entity = 2; DELETE FROM bindings");
	for (size_t i = 0; i < ARRAY_LEN(rows_of_the_first); i++)
		run_row(component, rows_of_the_first[i], 1, 3 * ROWS);
	open_sessions(component, sessions, &growth);
	close_all(component, sessions, count_bad(sessions, true, YOUNG - 1));
}

static const char shared[] = "INSERT INTO bindings SELECT " W ", " NODE
                             ", 2, 'shared', time_of(i), id_of('q', i), 9223372036854775807, NULL "
                             "FROM generate_series($1::integer, $2::integer) i";

static const char waits_for_shared[] =
        "INSERT INTO events VALUES (" W ", id_of('w', 1), " NODE ", NULL, time_of(1), time_of(1), time_of(1), 1, 2, "
        "'viewedPage', 'WEB', 'shared', NULL, '{}')";

static void plans_beside_many_are_good(void **state)
{
	struct owner owner = {"customer-merge", "cm_settings", lookups_beside_many, ARRAY_LEN(lookups_beside_many),
	        {{customer_merge_statements, NULL, CUSTOMER_MERGE_STATEMENTS}}};
	struct component *component = open_tables(4 * ROWS);
	size_t n_bad = 0;

	(void)state;
	run_rows(component, 1, ROWS);
	for (size_t i = 0; i < ARRAY_LEN(rows_of_the_first); i++)
		run_row(component, rows_of_the_first[i], 1, 3 * ROWS);
	run_row(component, shared, 1, 5 * ROWS);
	component_sql(component, waits_for_shared);
	component_sql(component, "ANALYZE");
	PGconn *session = open_session(component, &owner, 4 * ROWS);
	run_lookups(session, &owner, 1);
	for (size_t i = 0; i < owner.n_lookups; i++)
		n_bad += !is_bounded(session, &owner.lookups[i], 1);
	PQfinish(session);
	component_close(component);
	assert_int_equal(n_bad, 0);
}

/* Most of what there is belongs to others, and the planner, which knows that, has not heard of this workspace and its
 * node: it takes them for so rare that it need not look for a customer. */
static void check_new_workspace(int n_others, int customers_of_each)
{
	static const struct growth growth = {.analyzed = true, .year_ends_at = 4 * ROWS};
	struct component *component = open_tables(growth.year_ends_at);
	PGconn *sessions[ARRAY_LEN(owners)];

	for (size_t i = 0; i < ARRAY_LEN(rows_of_others); i++)
		run_row(component, rows_of_others[i], n_others, customers_of_each);
	open_sessions(component, sessions, &growth);
	run_rows(component, 1, ROWS);
	close_all(component, sessions, count_bad(sessions, false, ROWS - 7));
}

static void plans_of_a_new_workspace_are_good(void **state)
{
	(void)state;
	check_new_workspace(12, ROWS / 4);
}

static void plans_of_a_new_workspace_of_many_are_good(void **state)
{
	(void)state;
	check_new_workspace(300, ROWS / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(plans_of_empty_tables_stay_good),
	        cmocka_unit_test(plans_of_young_tables_stay_good),
	        cmocka_unit_test(plans_of_young_tables_that_were_analyzed_stay_good),
	        cmocka_unit_test(plans_stay_good_in_a_new_year),
	        cmocka_unit_test(plans_stay_good_when_events_wait),
	        cmocka_unit_test(plans_stay_good_when_one_customer_has_all),
	        cmocka_unit_test(plans_beside_many_are_good),
	        cmocka_unit_test(plans_of_a_new_workspace_are_good),
	        cmocka_unit_test(plans_of_a_new_workspace_of_many_are_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
