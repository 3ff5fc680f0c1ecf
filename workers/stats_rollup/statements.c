#include "common/event_years.h"
#include "workers/stats_rollup/rollup.h"

/* OFFSET 0 keeps the planner from joining the views' tables in another order than from the one entity on. */
#define OF(ids, view)                                                                                                  \
	"SELECT v.* FROM " ids " u CROSS JOIN LATERAL (SELECT * FROM " view                                            \
	" x WHERE x.workspace_id = u.w AND x.id = u.id OFFSET 0) v"
#define AND " UNION ALL "
/* The view stat_live_events, one event after the other: only years that have events are looked at, and LIMIT ends the
 * search at the one that has this. */
#define LIVE_EVENTS                                                                                                    \
	"SELECT s.* FROM events_of_facts u JOIN stat_zones z ON z.workspace_id = u.w CROSS JOIN LATERAL (SELECT * "    \
	"FROM events WHERE workspace_id = u.w AND id = u.id AND registered_us BETWEEN $5::bigint AND $6::bigint "      \
	"LIMIT 1) e CROSS JOIN LATERAL stat_counted_in(e.workspace_id, e.node_id, e.customer_id) n "                   \
	"CROSS JOIN LATERAL stat_event(e.*::events, n.node_id, n.customer_id, z.zone) s"
/* each kind in its own tables */
#define NEW_SHARES                                                                                                     \
	OF("customers_of_facts", "stat_live_customers")                                                                \
	AND OF("customers_of_facts", "stat_gone_customers")                                                            \
	        AND LIVE_EVENTS AND OF("events_of_facts", "stat_gone_events")

/* A share whose columns stand by themselves: taking them out of a value of that type, each time, costs more. */
#define SHARE                                                                                                          \
	"ROW(x.workspace_id, x.entity, x.id, x.node_id, x.customer_id, x.added, x.updated, x.deleted, x.dated, "       \
	"x.type, x.context, x.value, x.total, x.items, x.returned, x.visitor, x.session)::stat_shares"

/* sums lose the zeros at their end: whichever way they came about, they are written alike */
#define SUM(column) "trim_scale(sum(x.sign * p." column "))"
#define ADDED(column) column " = trim_scale(d." column " + excluded." column ")"
#define ADD_DAYS                                                                                                       \
	"INSERT INTO stat_days AS d SELECT x.workspace_id, x.node_id, p.metric, p.day, p.type, p.context, "            \
	"sum(x.sign), " SUM("value") ", " SUM("total") ", " SUM(                                                       \
	        "items") ", sum(x.sign * p.returns) "                                                                  \
	                 "FROM signed x CROSS JOIN LATERAL stat_day_parts(" SHARE ") p GROUP BY 1, 2, 3, 4, 5, 6 "     \
	                 "HAVING sum(x.sign) <> 0 OR sum(x.sign * p.value) <> 0 OR sum(x.sign * p.total) <> 0 "        \
	                 "OR sum(x.sign * p.items) <> 0 OR sum(x.sign * p.returns) <> 0 "                              \
	                 "ON CONFLICT (workspace_id, node_id, metric, day, type, context) DO UPDATE SET n = d.n + "    \
	                 "excluded.n, " ADDED("value") ", " ADDED("total") ", " ADDED(                                 \
	                         "items") ", returns = d.returns + excluded.returns "                                  \
	                                  "RETURNING d.ctid AS place, d.n"

#define PERSON "workspace_id, node_id, kind, person"
/*
 * What people's days gain and lose. A gap is made of several days of a person, so of those whose days change
 * ("changes") the days are answered, for gaps.h. How often somebody was there on a day is no matter, but for a buyer
 * whether it was more than once: a gap tells first and second orders.
 */
#define MOVED                                                                                                          \
	"SELECT m.*, bool_or(COALESCE((SELECT LEAST(p.n, p.n + m.n) FROM stat_people p "                               \
	"WHERE p.workspace_id = m.workspace_id AND p.node_id = m.node_id AND p.kind = m.kind "                         \
	"AND p.person = m.person AND p.day = m.day AND p.context = m.context), 0) < CASE m.kind WHEN 1 THEN 2 "        \
	"ELSE 1 END) "                                                                                                 \
	"OVER (PARTITION BY m.workspace_id, m.node_id, m.kind, m.person) AS changes FROM ("                            \
	"SELECT x.workspace_id, x.node_id, p.kind, p.day, p.context, p.person, sum(x.sign)::bigint AS n "              \
	"FROM signed x CROSS JOIN LATERAL stat_people_parts(" SHARE                                                    \
	") p WHERE x.dated IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6 "                                                     \
	"HAVING sum(x.sign) <> 0) m"
#define DAYS_OF_PEOPLE "workspace_id, node_id, kind, day, context, person, n"
#define ADD_PEOPLE                                                                                                     \
	"INSERT INTO stat_people AS d SELECT " DAYS_OF_PEOPLE " FROM moved ON CONFLICT (" PERSON ", day, context) "    \
	"DO UPDATE SET n = d.n + excluded.n RETURNING d.ctid AS place, d.n"
/* Of who is not a buyer, a day's gap is made of the day before it alone: only the days that change and those next to
 * them are read, however many there are. */
#define DAYS_OF(x)                                                                                                     \
	"stat_people " x " WHERE " x ".workspace_id = c.workspace_id AND " x ".node_id = c.node_id AND " x             \
	".kind = c.kind AND " x ".person = c.person "
#define DAY_BEFORE "(SELECT max(b.day) FROM " DAYS_OF("b") "AND b.day < c.first)"
#define DAY_BEHIND "(SELECT min(b.day) FROM " DAYS_OF("b") "AND b.day > c.last)"
#define WAS                                                                                                            \
	"SELECT x.* FROM (SELECT " PERSON                                                                              \
	", min(day) AS first, max(day) AS last FROM moved WHERE changes GROUP BY " PERSON                              \
	") c CROSS JOIN LATERAL (SELECT * FROM " DAYS_OF(                                                              \
	        "x") "AND x.day >= CASE c.kind WHEN 1 THEN '-infinity' ELSE COALESCE(" DAY_BEFORE ", c.first) END "    \
	             "AND x.day <= CASE c.kind WHEN 1 THEN 'infinity' ELSE COALESCE(" DAY_BEHIND                       \
	             ", c.last) END OFFSET 0) x"
/* What rollup_apply answers: where counters have become empty, and the days of people whose gaps change. */
#define PLACES(part, rows)                                                                                             \
	"SELECT " part "::smallint AS part, place::text, NULL::uuid AS workspace_id, NULL::uuid AS node_id, "          \
	"NULL::smallint AS kind, NULL::uuid AS person, NULL::date AS day, NULL::text AS context, NULL::bigint AS n "   \
	"FROM " rows " WHERE n = 0"
#define DAYS(part, rows) "SELECT " part "::smallint, NULL, " PERSON ", day, context, n FROM " rows

const struct statement rollup_statements[] = {
        /* entities are found by key: plans that read whole tables, made while these were small, are ruled out, and what
           is remembered for each entity (Memoize) would be thrown away for each */
        {.name = "rollup_settings",
                .sql = "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', "
                       "false), set_config('enable_mergejoin', 'off', false), set_config('enable_memoize', 'off', "
                       "false), set_config('jit', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', "
                       "false)",
                .n_params = 0},
        {.name = "rollup_zones",
                .sql = "INSERT INTO stat_zones (workspace_id, zone) SELECT u.w, COALESCE(z.zone, 'Europe/Rome') "
                       "FROM (SELECT DISTINCT w FROM unnest($1::uuid[] || $2::uuid[]) AS u(w)) u "
                       "LEFT JOIN stat_wanted_zones z ON z.workspace_id = u.w "
                       "WHERE NOT EXISTS (SELECT FROM stat_zones s WHERE s.workspace_id = u.w) "
                       "ON CONFLICT DO NOTHING",
                .n_params = 2},
        {.name = "rollup_years", .sql = EVENT_YEARS_SQL, .n_params = 0},
        /* of each profile: its members' and its own events that do not count in its node as they should (its own are
           as a member's that is excluded while the profile is not there), and events that count there and are neither's
           any more */
        /* A range of one profile, and of one customer: its order tells the planner which index to take, even while the
           table is young, or where few customers have all events. */
        {.name = "rollup_profile_events",
                .sql = "WITH u AS MATERIALIZED (SELECT DISTINCT u.w, u.id, u.node FROM unnest($1::uuid[], $2::uuid[], "
                       "$3::uuid[]) AS u(w, id, node) JOIN aggregate_nodes n ON n.workspace_id = u.w "
                       "AND n.node_id = u.node) "
                       "SELECT u.w, x.id FROM u CROSS JOIN LATERAL (SELECT e.id FROM ((SELECT m.customer_id, "
                       "m.excluded FROM aggregate_members m WHERE m.workspace_id = u.w AND m.profile_id >= u.id "
                       "AND m.profile_id <= u.id ORDER BY m.profile_id, m.customer_id OFFSET 0) UNION ALL SELECT u.id, "
                       "(SELECT true FROM customers c WHERE c.workspace_id = u.w AND c.id = u.id) IS NULL) m "
                       "CROSS JOIN LATERAL (SELECT e.id FROM events e WHERE e.workspace_id = u.w "
                       "AND e.customer_id >= m.customer_id AND e.customer_id <= m.customer_id "
                       "AND e.registered_us BETWEEN $4::bigint AND $5::bigint "
                       "ORDER BY e.customer_id, e.date_us DESC OFFSET 0) e LEFT JOIN LATERAL (SELECT s.customer_id "
                       "FROM stat_shares s WHERE s.workspace_id = u.w AND s.id = e.id AND s.node_id = u.node OFFSET 0) "
                       "s ON true WHERE (NOT m.excluded) IS DISTINCT FROM (s.customer_id IS NOT DISTINCT FROM u.id) "
                       "OFFSET 0) x "
                       "UNION SELECT u.w, x.id FROM u CROSS JOIN LATERAL (SELECT s.id FROM stat_shares s "
                       "WHERE s.workspace_id = u.w AND s.node_id = u.node AND s.customer_id = u.id AND s.entity = 2 "
                       "OFFSET 0) x WHERE NOT EXISTS (SELECT FROM events e LEFT JOIN LATERAL (SELECT m.profile_id, "
                       "m.excluded FROM aggregate_members m WHERE m.workspace_id = u.w AND m.node_id = u.node "
                       "AND m.customer_id = e.customer_id OFFSET 0) m ON true WHERE e.workspace_id = u.w "
                       "AND e.id = x.id AND e.registered_us BETWEEN $4 AND $5 AND (e.customer_id = u.id "
                       "OR (m.profile_id = u.id AND NOT m.excluded)))",
                .n_params = 5},
        /*
         * Replaces the shares of the entities and applies the difference; answers the rows of enum part. The new shares
         * are inserted when the old ones are gone: their statement counts those first.
         */
        {.name = "rollup_apply",
                .sql = "WITH customers_of_facts AS MATERIALIZED (SELECT DISTINCT w, id FROM unnest($1::uuid[], "
                       "$2::uuid[]) AS u(w, id)), events_of_facts AS MATERIALIZED (SELECT DISTINCT w, id "
                       "FROM unnest($3::uuid[], $4::uuid[]) AS u(w, id)), "
                       "ids AS (TABLE customers_of_facts UNION ALL TABLE events_of_facts), "
                       "old AS (DELETE FROM stat_shares s USING ids u WHERE s.workspace_id = u.w AND s.id = u.id "
                       "RETURNING s.*), new AS (INSERT INTO stat_shares SELECT n.* FROM (" NEW_SHARES ") n "
                       "WHERE (SELECT count(*) FROM old) >= 0 RETURNING *), "
                       "signed AS (SELECT 1 AS sign, new.* FROM new "
                       "UNION ALL SELECT -1, old.* FROM old), days AS "
                       "(" ADD_DAYS "), "
                       "moved AS MATERIALIZED (" MOVED "), people AS (" ADD_PEOPLE "), "
                       "was AS (" WAS ") " PLACES("1", "days") AND PLACES("2", "people")
                               AND DAYS("3", "moved WHERE changes") AND DAYS("4", "was"),
                .n_params = 6},
        /* null: never; answers where gaps have become empty */
        {.name = "rollup_gaps",
                .sql = "WITH gaps AS (INSERT INTO stat_gaps AS d SELECT g.w, g.node, g.measure, g.context, l.level, "
                       "l.day, l.last_day, sum(g.n) FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], "
                       "$5::bigint[], $6::bigint[], $7::bigint[]) AS g(w, node, measure, context, day, last_day, n) "
                       "CROSS JOIN LATERAL stat_gap_levels('2000-01-01'::date + g.day::integer, "
                       "COALESCE('2000-01-01'::date "
                       "+ g.last_day::integer, '-infinity')) l GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(g.n) <> 0 ON "
                       "CONFLICT "
                       "(workspace_id, node_id, measure, context, level, day, last_day) DO UPDATE SET n = d.n + "
                       "excluded.n RETURNING d.ctid AS place, d.n) SELECT place::text FROM gaps WHERE n = 0",
                .n_params = 7},
        /* in the same transaction, so that the rows still stand where they stood */
        {.name = "rollup_empty_days",
                .sql = "DELETE FROM stat_days WHERE ctid = ANY ($1::text[]::tid[]) AND n = 0",
                .n_params = 1},
        {.name = "rollup_empty_people",
                .sql = "DELETE FROM stat_people WHERE ctid = ANY ($1::text[]::tid[]) AND n = 0",
                .n_params = 1},
        {.name = "rollup_empty_gaps",
                .sql = "DELETE FROM stat_gaps WHERE ctid = ANY ($1::text[]::tid[]) AND n = 0",
                .n_params = 1},
        {.name = "rollup_moved_zones",
                .sql = "SELECT z.workspace_id FROM stat_zones z JOIN stat_wanted_zones w "
                       "ON w.workspace_id = z.workspace_id WHERE w.zone <> z.zone",
                .n_params = 0},
        {.name = "rollup_recount", .sql = "SELECT stat_recount($1::uuid)", .n_params = 1},
};
const size_t rollup_statement_count = ARRAY_LEN(rollup_statements);

static void *open_state(struct worker *worker, struct err *err)
{
	static bool opened;
	PGresult *done = db_query(worker_db(worker), "rollup_settings", NULL, err);

	PQclear(done);
	return done ? &opened : NULL;
}

const struct worker_definition rollup_definition = {
        .name = "stats-rollup",
        .topic = TOPIC_CHANGES,
        .statements = rollup_statements,
        .n_statements = ARRAY_LEN(rollup_statements),
        .open = open_state,
        .batch_records = 1000,
        .fetch_wait_ms = 100,
        .niceness = 10,
        .handle = rollup_handle,
        .background = rollup_background,
        .background_ms = 5000,
};
