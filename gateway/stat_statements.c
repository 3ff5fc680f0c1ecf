#include "common/db.h"
#include "gateway/handlers.h"

/*
 * The reads of the analytics operations. All take the same parameters: $1 workspace, $2 nodes, $3 and $4 first and last
 * moment, $5 the operation's kind (ADDED, a context, RETAIL ...), $6 customer. Series answer points (answer_series in
 * handlers_stats.c), the others one text.
 */
#define ASKED                                                                                                          \
	"WITH p AS (SELECT $1::uuid AS w, $2::uuid[] AS nodes, stat_day($3::bigint, z.zone) AS a, "                    \
	"stat_day($4::bigint, z.zone) AS b, $5::text AS kind, $6::uuid AS customer, $3 AS a_us, $4 AS b_us, z.zone, "  \
	"COALESCE((SELECT c.doc ->> 'currency' FROM configuration c WHERE c.workspace_id = $1 "                        \
	"AND c.kind = 'workspace' AND c.id = ''), 'EUR') AS currency FROM (SELECT COALESCE((SELECT zone "              \
	"FROM stat_zones WHERE workspace_id = $1), 'Europe/Rome') AS zone) z) "

/* Points (label, context, day, n) with the range's days; a row also when there is none. */
#define POINTS                                                                                                         \
	" SELECT p.a - '1970-01-01'::date, p.b - '1970-01-01'::date, c.label, c.context, c.day - '1970-01-01'::date, " \
	"c.n FROM p LEFT JOIN counts c ON true"

#define COUNTED(label, context, metric, where)                                                                         \
	", counts AS (SELECT " label " AS label, " context " AS context, d.day, sum(d.n)::bigint AS n FROM p "         \
	"JOIN stat_days d ON d.workspace_id = p.w AND d.node_id = ANY (p.nodes) "                                      \
	"AND d.metric = " metric " AND d.day BETWEEN p.a AND p.b WHERE " where " GROUP BY 3, 1, 2)"

#define BY_KIND(added, updated, deleted)                                                                               \
	"CASE p.kind WHEN 'ADDED' THEN " added " WHEN 'UPDATED' THEN " updated " ELSE " deleted " END"

/* Any amount that an event can hold has two digits; to_char would draw # for a long one. */
#define MONEY(amount) "round((" amount ")::numeric, 2)::text"
#define CURRENCY(name, amount, gross)                                                                                  \
	"json_build_object('name', '" name                                                                             \
	"', 'type', 'currency', 'currency', k.currency, 'value', " MONEY(amount) ", 'total', " MONEY(gross) ")"
#define SPENDING(name, amount, gross)                                                                                  \
	"json_build_object('name', '" name "', 'type', 'currency', 'currency', k.currency, 'value', " MONEY(           \
	        amount) ", 'total', " MONEY(gross) ", 'revenue', " MONEY(amount) ")"
#define CUSTOMERS_ADDED "d.workspace_id = p.w AND d.node_id = ANY (p.nodes) AND d.metric = 1"
#define IN_ECOMMERCE "d.context = 'ECOMMERCE'"
#define NUMBER(name, number)                                                                                           \
	"json_build_object('name', '" name "', 'type', 'number', 'value', trim_scale((" number ")::numeric)::text)"
#define PERCENT(name, part, whole)                                                                                     \
	"json_build_object('name', '" name                                                                             \
	"', 'type', 'percent', 'value', " MONEY("COALESCE(100.0 * (" part ") / NULLIF(" whole ", 0), 0)") ")"
#define MEAN(sum, n) "COALESCE(" sum " / NULLIF(" n ", 0), 0)"

/* Sums of one event type in the range. */
#define SUMS(name, type, context)                                                                                      \
	", " name " AS (SELECT COALESCE(sum(d.n), 0) AS n, COALESCE(sum(d.value), 0) AS value, "                       \
	"COALESCE(sum(d.total), 0) AS total, COALESCE(sum(d.items), 0) AS items, "                                     \
	"COALESCE(sum(d.returns), 0) AS returns, COALESCE(sum(d.n - d.returns), 0) AS sales FROM p "                   \
	"JOIN stat_days d ON d.workspace_id = p.w AND d.node_id = ANY (p.nodes) AND d.metric = 8 "                     \
	"AND d.day BETWEEN p.a AND p.b AND d.type = '" type "' AND " context ")"

/* Distinct people in the range; PEOPLE(4) less PEOPLE(1) are buyers with more than one order. */
#define PEOPLE(measure, context)                                                                                       \
	"(SELECT stat_people_between(p.w, p.nodes, " measure "::smallint, " context ", p.a, p.b) FROM p)"
#define KIND_OR_ALL "CASE p.kind WHEN 'ALL' THEN '' ELSE p.kind END"

#define ANY_OR_KIND "(p.kind = 'ALL' OR d.context = p.kind)"

#define WEB_KPI(name, value)                                                                                           \
	"json_build_object('name', '" name "', 'category', 'eventsKPI', 'type', 'keyValue', 'values', "                \
	"json_build_array(json_build_object('key', '" name "', 'value', " value ")))"
#define WEB_TYPES "'viewedPage', 'clickedLink', 'formCompiled', 'loggedIn', 'searched'"
#define WEB_COUNT(type) "COALESCE((SELECT sum(n) FROM web WHERE type = '" type "'), 0)"

/*
 * The events of the customer, or of the members of the profile that it is. The index gives two days more on each side:
 * a local day may have 25 hours; what belongs to the range is told by the days of the time zone.
 */
#define MARGIN_US "172800000000"
#define OF_CUSTOMER                                                                                                    \
	"events e WHERE e.workspace_id = p.w AND e.customer_id IN (SELECT p.customer UNION ALL SELECT m.customer_id "  \
	"FROM aggregate_members m WHERE m.workspace_id = p.w AND m.profile_id = p.customer AND NOT m.excluded) "       \
	"AND e.date_us BETWEEN p.a_us - " MARGIN_US " AND p.b_us + " MARGIN_US                                         \
	" AND stat_day(e.date_us, p.zone) BETWEEN p.a AND p.b"

// clang-format off
const struct statement stat_statements[] = {
	{.name = "stat_categories", .n_params = 6, .sql = ASKED
		", counts AS (SELECT e.type AS label, NULL::text AS context, stat_day(e.date_us, p.zone) AS day, count(*) AS n "
		"FROM p CROSS JOIN LATERAL (SELECT e.type, e.date_us FROM " OF_CUSTOMER ") e GROUP BY 3, 1, 2)" POINTS},
	{.name = "stat_buying", .n_params = 6, .sql = ASKED
		", orders AS (SELECT stat_amount(e.type, e.body, 'revenue') AS value, "
		"stat_amount(e.type, e.body, 'total') AS total, stat_items(e.body) AS items, "
		"COALESCE(e.body #>> '{properties,type}' = 'return', false) AS returned, e.date_us, p.b_us FROM p "
		"CROSS JOIN LATERAL (SELECT e.* FROM " OF_CUSTOMER " AND e.type = 'completedOrder') e)"
		", k AS (SELECT (SELECT currency FROM p) AS currency, COALESCE(sum(value), 0) AS value, "
		"COALESCE(sum(total), 0) AS total, COALESCE(sum(items), 0) AS items, "
		"count(*) FILTER (WHERE NOT returned) AS sales, count(*) FILTER (WHERE returned) AS returns, "
		"COALESCE(max(value) FILTER (WHERE NOT returned), 0) AS most, "
		"COALESCE(max(total) FILTER (WHERE NOT returned), 0) AS most_total, "
		"max(b_us - date_us) FILTER (WHERE NOT returned) AS first_us, "
		"min(b_us - date_us) FILTER (WHERE NOT returned) AS last_us FROM orders) SELECT json_build_array("
		SPENDING("totalSpending", "value", "total") ", "
		SPENDING("averageOrderValue", MEAN("value", "sales"), MEAN("total", "sales")) ", "
		SPENDING("maxOrderValue", "most", "most_total") ", "
		NUMBER("orders", "sales") ", " NUMBER("items", "items") ", " NUMBER("returns", "returns") ", "
		NUMBER("daysSinceLastOrder", "COALESCE(GREATEST(last_us, 0) / 86400000000, 0)") ", "
		NUMBER("averageDaysBetweenOrders",
			"COALESCE(round((first_us - last_us) / 86400000000.0 / NULLIF(sales - 1, 0), 2), 0)")
		")::text FROM k"},
	{.name = "stat_total", .n_params = 6, .sql = ASKED
		"SELECT COALESCE(sum(d.n), 0)::text FROM p JOIN stat_days d ON " CUSTOMERS_ADDED},
	{.name = "stat_nodes", .n_params = 6, .sql = ASKED
		"SELECT COALESCE(json_object_agg(x.node_id, x.n), '{}')::text FROM (SELECT d.node_id, sum(d.n) AS n "
		"FROM p JOIN stat_days d ON " CUSTOMERS_ADDED " GROUP BY d.node_id) x"},
	{.name = "stat_snapshot", .n_params = 6, .sql = ASKED
		"SELECT json_build_object('category', 'CustomersSnapshot', 'type', 'keyValue', 'values', "
		"json_build_array(json_build_object('key', 'total', 'value', COALESCE(sum(d.n), 0))))::text "
		"FROM p JOIN stat_days d ON " CUSTOMERS_ADDED},
	{.name = "stat_added", .n_params = 6, .sql = ASKED COUNTED("NULL::text", "NULL::text", "1", "true") POINTS},
	{.name = "stat_channels", .n_params = 6, .sql = ASKED
		", counts AS (SELECT d.type, sum(d.n) AS n FROM p JOIN stat_days d ON d.workspace_id = p.w "
		"AND d.node_id = ANY (p.nodes) AND d.metric = 4 GROUP BY d.type) "
		"SELECT json_build_object('category', 'communicationChannels', 'type', 'keyValue', 'values', "
		"json_agg(json_build_object('key', k.key, 'value', COALESCE(c.n, 0)::text) ORDER BY k.place))::text "
		"FROM unnest(ARRAY['emailMobile', 'emailOnly', 'mobileOnly', 'notReachable']) "
		"WITH ORDINALITY AS k(key, place) LEFT JOIN counts c ON c.type = k.key"},
	{.name = "stat_updated_customers", .n_params = 6, .sql = ASKED
		COUNTED("NULL::text", "NULL::text", BY_KIND("1", "2", "3"), "true") POINTS},
	{.name = "stat_updated_events", .n_params = 6, .sql = ASKED
		COUNTED("d.type", "NULL::text", BY_KIND("5", "6", "7"), "true") POINTS},
	{.name = "stat_types", .n_params = 6, .sql = ASKED COUNTED("d.type", "d.context", "8", ANY_OR_KIND) POINTS},
	{.name = "stat_purchases", .n_params = 6, .scans = true, .sql = ASKED SUMS("o", "completedOrder", ANY_OR_KIND)
		", b AS MATERIALIZED (SELECT " PEOPLE("1", KIND_OR_ALL) " AS n, " PEOPLE("4", KIND_OR_ALL) " AS orders)"
		", k AS (SELECT p.currency, o.*, b.n AS buyers, b.orders - b.n AS repeated FROM p, o, b) SELECT json_build_array("
		CURRENCY("totalRevenue", "value", "total") ", "
		CURRENCY("averageOrderValue", MEAN("value", "sales"), MEAN("total", "sales")) ", "
		CURRENCY("averageItemPrice", MEAN("value", "items"), MEAN("total", "items")) ", "
		NUMBER("orders", "sales") ", " NUMBER("items", "items") ", " NUMBER("returns", "returns") ", "
		NUMBER("buyers", "buyers") ", " NUMBER("repeatBuyers", "repeated") ")::text FROM k"},
	{.name = "stat_ecommerce", .n_params = 6, .scans = true, .sql = ASKED
		SUMS("o", "completedOrder", IN_ECOMMERCE) SUMS("a", "abandonedCart", IN_ECOMMERCE)
		SUMS("added", "addedProduct", IN_ECOMMERCE) SUMS("viewed", "viewedProduct", IN_ECOMMERCE)
		", k AS (SELECT p.currency, o.value, o.total, o.sales, a.n AS carts, a.value AS lost, "
		"a.total AS lost_total, added.n AS added, viewed.n AS viewed, " PEOPLE("2", "''") " AS visitors "
		"FROM p, o, a, added, viewed) SELECT json_build_array("
		CURRENCY("totalSales", "value", "total") ", "
		CURRENCY("averageCart", MEAN("value", "sales"), MEAN("total", "sales")) ", "
		CURRENCY("abandonedCartsValue", "lost", "lost_total") ", "
		NUMBER("orders", "sales") ", " NUMBER("abandonedCarts", "carts") ", " NUMBER("addedProducts", "added") ", "
		NUMBER("viewedProducts", "viewed") ", " PERCENT("cartAbandonmentRate", "carts", "carts + sales") ", "
		PERCENT("conversionRate", "sales", "visitors") ")::text FROM k"},
	{.name = "stat_web", .n_params = 6, .scans = true, .sql = ASKED
		", web AS (SELECT d.type, sum(d.n) AS n FROM p JOIN stat_days d ON d.workspace_id = p.w "
		"AND d.node_id = ANY (p.nodes) AND d.metric = 8 AND d.day BETWEEN p.a AND p.b "
		"AND d.type IN (" WEB_TYPES ") GROUP BY d.type)"
		" SELECT json_build_array("
		WEB_KPI("pageViews", WEB_COUNT("viewedPage")) ", " WEB_KPI("visitors", PEOPLE("2", "''")) ", "
		WEB_KPI("sessions", PEOPLE("3", "''")) ", " WEB_KPI("clickedLinks", WEB_COUNT("clickedLink")) ", "
		WEB_KPI("compiledForms", WEB_COUNT("formCompiled")) ", " WEB_KPI("logins", WEB_COUNT("loggedIn")) ", "
		WEB_KPI("searches", WEB_COUNT("searched")) ")::text"},
};
// clang-format on
const size_t stat_statement_count = ARRAY_LEN(stat_statements);
