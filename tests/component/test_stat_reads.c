/* What the analytics statements read, on real PostgreSQL: counters filled by hand, so that each figure can be counted.
 */

#include "common/clock.h"
#include "common/db.h"
#include "gateway/handlers.h"
#include "tests/component/component.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define W "a0000000-0000-4000-8000-000000000000"
#define ALIEN "a1000000-0000-4000-8000-000000000000"
#define SHOP "b0000000-0000-4000-8000-000000000000"
#define LETTER "b1000000-0000-4000-8000-000000000000"
#define BOTH "{" SHOP "," LETTER "}"
#define ADA "c0000000-0000-4000-8000-000000000000"
#define BEA "c1000000-0000-4000-8000-000000000000"
#define HIDDEN "c2000000-0000-4000-8000-000000000000"
#define PROFILE "f0000000-0000-4000-8000-000000000000"
#define TEXT_BYTES 4096
#define N_PARAMS 6

/* One execution; the rest are SQL nulls. */
struct ask {
	const char *statement, *nodes, *start, *end, *kind, *customer;
};

static const char *us_text(const char *time, char out[24])
{
	int64_t us = 0;

	assert_true(time_parse(str_of(time), &us));
	snprintf(out, 24, "%lld", (long long)us);
	return out;
}

static PGresult *ask(struct component *component, const struct ask *ask)
{
	char start[24], end[24];
	const char *values[N_PARAMS] = {W, ask->nodes ? ask->nodes : "{" SHOP "}",
	        us_text(ask->start ? ask->start : "2024-01-01", start),
	        us_text(ask->end ? ask->end : "2024-12-31", end), ask->kind ? ask->kind : "ALL", ask->customer};
	const struct statement *statement = stat_statements;

	while (strcmp(statement->name, ask->statement) != 0)
		statement++;
	PGresult *result =
	        PQexecParams(component_connection(component), statement->sql, N_PARAMS, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", ask->statement, PQresultErrorMessage(result));
	return result;
}

static void add(char out[TEXT_BYTES], const char *word)
{
	size_t n = strlen(out);

	snprintf(out + n, TEXT_BYTES - n, "%s%s", n ? " " : "", word);
}

static void add_day(char out[TEXT_BYTES], const char *number)
{
	char text[TIME_TEXT_BYTES + 1];

	time_format(atoll(number) * 86400 * 1000000, text);
	text[10] = '\0';
	add(out, text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* "first last | day label context n | ...", in an order of their own. */
static void outline_points(const PGresult *rows, char out[TEXT_BYTES])
{
	enum { FIRST, LAST, LABEL, CONTEXT, DAY, N };
	char points[32][96];
	size_t n = 0;

	out[0] = '\0';
	add_day(out, PQgetvalue(rows, 0, FIRST));
	add_day(out, PQgetvalue(rows, 0, LAST));
	for (int row = 0; row < PQntuples(rows); row++) {
		char point[TEXT_BYTES] = "";
		if (PQgetisnull(rows, row, DAY))
			continue;
		add_day(point, PQgetvalue(rows, row, DAY));
		for (int column = LABEL; column <= CONTEXT; column++)
			if (!PQgetisnull(rows, row, column))
				add(point, PQgetvalue(rows, row, column));
		add(point, PQgetvalue(rows, row, N));
		assert_true(n < ARRAY_LEN(points));
		snprintf(points[n++], sizeof(points[0]), "%.*s", (int)sizeof(points[0]) - 1, point);
	}
	qsort(points, n, sizeof(points[0]), compare);
	for (size_t i = 0; i < n; i++) {
		add(out, "|");
		add(out, points[i]);
	}
}

/* "name value total revenue | ..." */
static void outline_counters(struct component *component, const PGresult *rows, char out[TEXT_BYTES])
{
	const char *values[] = {PQgetvalue(rows, 0, 0)};
	PGresult *result = PQexecParams(component_connection(component),
	        "SELECT string_agg(concat_ws(' ', x ->> 'name', x ->> 'value', x ->> 'total', x ->> 'revenue', "
	        "x #>> '{values,0,value}'), ' | ') FROM json_array_elements($1::json) AS x",
	        1, NULL, values, NULL, NULL, 0);

	assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
	snprintf(out, TEXT_BYTES, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
}

static void zone(struct component *component, const char *name)
{
	component_sqlf(component, "UPDATE stat_zones SET zone = '%s'", name);
}

/* --- days of the time zone --- */

static void test_days(void **state)
{
	static const struct {
		const char *zone, *start, *end, *first, *last;
	} cases[] = {
	        /* the nights in which summer time begins and ends */
	        {"Europe/Rome", "2024-03-30T22:59:59.999Z", "2024-03-30T23:00:00Z", "2024-03-30", "2024-03-31"},
	        {"Europe/Rome", "2024-03-31T21:59:59.999Z", "2024-03-31T22:00:00Z", "2024-03-31", "2024-04-01"},
	        {"Europe/Rome", "2024-10-26T21:59:59.999Z", "2024-10-26T22:00:00Z", "2024-10-26", "2024-10-27"},
	        {"Europe/Rome", "2024-10-27T22:59:59.999Z", "2024-10-27T23:00:00Z", "2024-10-27", "2024-10-28"},
	        {"Europe/Paris", "2024-03-31T21:59:59.999Z", "2024-03-31T22:00:00Z", "2024-03-31", "2024-04-01"},
	        {"Europe/London", "2024-03-30T23:59:59.999Z", "2024-03-31T00:00:00Z", "2024-03-30", "2024-03-31"},
	        {"Europe/London", "2024-03-31T22:59:59.999Z", "2024-03-31T23:00:00Z", "2024-03-31", "2024-04-01"},
	        {"Europe/London", "2024-10-27T23:59:59.999Z", "2024-10-28T00:00:00Z", "2024-10-27", "2024-10-28"},
	        /* leap day, new year, winter and summer */
	        {"Europe/Rome", "2024-02-28T23:00:00Z", "2024-02-29T23:00:00Z", "2024-02-29", "2024-03-01"},
	        {"Europe/Rome", "2023-02-28T22:59:59Z", "2023-02-28T23:00:00Z", "2023-02-28", "2023-03-01"},
	        {"Europe/Rome", "2023-12-31T22:59:59Z", "2023-12-31T23:00:00Z", "2023-12-31", "2024-01-01"},
	        {"Europe/London", "2023-12-31T23:59:59Z", "2024-07-01T23:00:00Z", "2023-12-31", "2024-07-02"},
	        /* long ago: Rome had a summer time of its own, changed at midnight */
	        {"Europe/Rome", "1969-12-31T22:59:59Z", "1969-12-31T23:00:00Z", "1969-12-31", "1970-01-01"},
	        {"Europe/Rome", "1970-05-30T22:59:59Z", "1970-05-30T23:00:00Z", "1970-05-30", "1970-05-31"},
	        {"Europe/Paris", "0001-01-02T12:00:00Z", "9999-12-30T12:00:00Z", "0001-01-02", "9999-12-30"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char found[TEXT_BYTES], expected[64];
		zone(*state, cases[i].zone);
		PGresult *rows =
		        ask(*state, &(struct ask){"stat_added", NULL, cases[i].start, cases[i].end, NULL, NULL});
		outline_points(rows, found);
		snprintf(expected, sizeof(expected), "%s %s", cases[i].first, cases[i].last);
		assert_string_equal(found, expected);
		PQclear(rows);
	}
	zone(*state, "Europe/Rome");
}

/* --- series --- */

static const char series_rows[] = "INSERT INTO stat_days (workspace_id, node_id, metric, day, type, context, n, value, "
                                  "total, items, returns) VALUES "
                                  "('" W "', '" SHOP "', 1, '2024-03-30', '', '', 1, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 1, '2024-03-31', '', '', 2, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 1, '2024-04-01', '', '', 4, 0, 0, 0, 0),"
                                  "('" W "', '" LETTER "', 1, '2024-03-31', '', '', 8, 0, 0, 0, 0),"
                                  "('" ALIEN "', '" SHOP "', 1, '2024-03-31', '', '', 100, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 2, '2024-03-31', '', '', 16, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 3, '2024-03-31', '', '', 32, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 4, '0001-01-01', 'emailOnly', '', 5, 0, 0, 0, 0),"
                                  "('" W "', '" LETTER "', 4, '0001-01-01', 'emailOnly', '', 6, 0, 0, 0, 0),"
                                  "('" W "', '" LETTER "', 4, '0001-01-01', 'notReachable', '', 7, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 5, '2024-03-31', 'searched', '', 1, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 6, '2024-03-31', 'searched', '', 2, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 7, '2024-03-31', 'searched', '', 4, 0, 0, 0, 0),"
                                  "('" W "', '" SHOP "', 7, '2024-03-31', 'loggedIn', '', 8, 0, 0, 0, 0)";

static void test_series(void **state)
{
	static const struct {
		struct ask ask;
		const char *expected; /* behind the range */
	} cases[] = {
	        {{"stat_added", NULL, "2024-03-31", "2024-04-01", NULL, NULL}, "| 2024-03-31 2 | 2024-04-01 4"},
	        {{"stat_added", NULL, "2024-03-30T23:00:00Z", "2024-03-31T21:59:59Z", NULL, NULL}, "| 2024-03-31 2"},
	        {{"stat_added", BOTH, "2024-03-01", "2024-03-31", NULL, NULL}, "| 2024-03-30 1 | 2024-03-31 10"},
	        {{"stat_added", "{}", "2024-03-01", "2024-03-31", NULL, NULL}, ""},
	        {{"stat_added", NULL, "2023-03-01", "2023-03-31", NULL, NULL}, ""},
	        {{"stat_updated_customers", NULL, NULL, NULL, "ADDED", NULL},
	                "| 2024-03-30 1 | 2024-03-31 2 | 2024-04-01 4"},
	        {{"stat_updated_customers", NULL, NULL, NULL, "UPDATED", NULL}, "| 2024-03-31 16"},
	        {{"stat_updated_customers", NULL, NULL, NULL, "DELETED", NULL}, "| 2024-03-31 32"},
	        {{"stat_updated_events", NULL, NULL, NULL, "ADDED", NULL}, "| 2024-03-31 searched 1"},
	        {{"stat_updated_events", NULL, NULL, NULL, "UPDATED", NULL}, "| 2024-03-31 searched 2"},
	        {{"stat_updated_events", NULL, NULL, NULL, "DELETED", NULL},
	                "| 2024-03-31 loggedIn 8 | 2024-03-31 searched 4"},
	};

	component_sql(*state, series_rows);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char found[TEXT_BYTES];
		PGresult *rows = ask(*state, &cases[i].ask);
		outline_points(rows, found);
		assert_string_equal(strlen(found) > 21 ? found + 22 : "", cases[i].expected);
		PQclear(rows);
	}
}

static void test_totals(void **state)
{
	static const struct {
		struct ask ask;
		const char *expected;
	} cases[] = {
	        {{.statement = "stat_total"}, "7"},
	        {{.statement = "stat_total", .nodes = BOTH}, "15"},
	        {{.statement = "stat_total", .nodes = "{}"}, "0"},
	        {{.statement = "stat_snapshot", .nodes = BOTH}, ("{\"category\" : \"CustomersSnapshot\", \"type\" : "
	                                                         "\"keyValue\", \"values\" : [{\"key\" : \"total\", "
	                                                         "\"value\" : 15}]}")},
	        {{.statement = "stat_nodes", .nodes = BOTH}, "{ \"" SHOP "\" : 7, \"" LETTER "\" : 8 }"},
	        {{.statement = "stat_nodes", .nodes = "{}"}, "{}"},
	        {{.statement = "stat_channels", .nodes = BOTH},
	                ("{\"category\" : \"communicationChannels\", \"type\" : \"keyValue\", \"values\" : "
	                 "[{\"key\" : \"emailMobile\", \"value\" : \"0\"}, {\"key\" : \"emailOnly\", \"value\" : "
	                 "\"11\"}, "
	                 "{\"key\" : \"mobileOnly\", \"value\" : \"0\"}, {\"key\" : \"notReachable\", \"value\" : "
	                 "\"7\"}]}")},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		PGresult *rows = ask(*state, &cases[i].ask);
		assert_string_equal(PQgetvalue(rows, 0, 0), cases[i].expected);
		PQclear(rows);
	}
}

/* --- key figures --- */

static const char figure_rows[] =
        "INSERT INTO stat_days (workspace_id, node_id, metric, day, type, context, n, value, total, items, returns) "
        "VALUES "
        "('" W "', '" SHOP "', 8, '2024-03-31', 'completedOrder', 'ECOMMERCE', 4, 30.105, 36, 7, 1),"
        "('" W "', '" SHOP "', 8, '2024-04-01', 'completedOrder', 'RETAIL', 1, 10, 12, 1, 0),"
        "('" W "', '" LETTER "', 8, '2024-04-01', 'completedOrder', 'ECOMMERCE', 1, 1e40, 2e40, 1, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'abandonedCart', 'ECOMMERCE', 1, 5, 6, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'abandonedCart', 'MOBILE', 9, 500, 600, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'addedProduct', 'ECOMMERCE', 2, 0, 0, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'viewedProduct', 'ECOMMERCE', 3, 0, 0, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'viewedPage', 'WEB', 11, 0, 0, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'viewedPage', 'MOBILE', 1, 0, 0, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'clickedLink', 'WEB', 2, 0, 0, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'formCompiled', 'WEB', 3, 0, 0, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'loggedIn', 'WEB', 4, 0, 0, 0, 0),"
        "('" W "', '" SHOP "', 8, '2024-03-31', 'searched', 'WEB', 5, 0, 0, 0, 0);"
        "INSERT INTO stat_people (workspace_id, node_id, kind, day, context, person, n) VALUES "
        /* Ada orders twice on a day, Bea once on each of two days and in two contexts, a third one once */
        "('" W "', '" SHOP "', 1, '2024-03-31', 'ECOMMERCE', '" ADA "', 2),"
        "('" W "', '" SHOP "', 1, '2024-03-31', 'ECOMMERCE', '" BEA "', 1),"
        "('" W "', '" SHOP "', 1, '2024-04-01', 'RETAIL', '" BEA "', 1),"
        "('" W "', '" LETTER "', 1, '2024-04-01', 'ECOMMERCE', '" HIDDEN "', 1),"
        "('" W "', '" SHOP "', 2, '2024-03-31', 'WEB', '" ADA "', 9),"
        "('" W "', '" SHOP "', 2, '2024-03-31', 'MOBILE', '" ADA "', 1),"
        "('" W "', '" SHOP "', 2, '2024-04-01', 'WEB', '" ADA "', 1),"
        "('" W "', '" SHOP "', 2, '2024-04-01', 'WEB', '" BEA "', 1),"
        "('" W "', '" SHOP "', 2, '2024-04-02', 'WEB', '" HIDDEN "', 1),"
        "('" W "', '" SHOP "', 3, '2024-03-31', 'WEB', '" PROFILE "', 9)";

#define LONG_AMOUNT "0000000000000000000000000000000000000000"

static void test_figures(void **state)
{
	static const struct {
		struct ask ask;
		const char *expected;
	} cases[] = {
	        {{.statement = "stat_purchases", .start = "2024-03-31", .end = "2024-04-01"},
	                ("totalRevenue 40.11 48.00 | averageOrderValue 10.03 12.00 | averageItemPrice 5.01 6.00 | "
	                 "orders 4 | "
	                 "items 8 | returns 1 | buyers 2 | repeatBuyers 2")},
	        {{.statement = "stat_purchases", .start = "2024-03-31", .end = "2024-03-31"},
	                ("totalRevenue 30.11 36.00 | averageOrderValue 10.04 12.00 | averageItemPrice 4.30 5.14 | "
	                 "orders 3 | "
	                 "items 7 | returns 1 | buyers 2 | repeatBuyers 1")},
	        {{.statement = "stat_purchases", .kind = "RETAIL"},
	                ("totalRevenue 10.00 12.00 | averageOrderValue 10.00 12.00 | averageItemPrice 10.00 12.00 | "
	                 "orders 1 | "
	                 "items 1 | returns 0 | buyers 1 | repeatBuyers 0")},
	        {{.statement = "stat_purchases", .start = "2023-01-01", .end = "2023-12-31"},
	                ("totalRevenue 0.00 0.00 | averageOrderValue 0.00 0.00 | averageItemPrice 0.00 0.00 | orders 0 "
	                 "| "
	                 "items 0 | returns 0 | buyers 0 | repeatBuyers 0")},
	        {{.statement = "stat_purchases", .nodes = "{" LETTER "}"},
	                ("totalRevenue 1" LONG_AMOUNT ".00 2" LONG_AMOUNT ".00 | averageOrderValue 1" LONG_AMOUNT
	                 ".00 2" LONG_AMOUNT ".00 | averageItemPrice 1" LONG_AMOUNT ".00 2" LONG_AMOUNT
	                 ".00 | orders 1 | "
	                 "items 1 | returns 0 | buyers 1 | repeatBuyers 0")},
	        {{.statement = "stat_ecommerce", .start = "2024-03-31", .end = "2024-04-01"},
	                ("totalSales 30.11 36.00 | averageCart 10.04 12.00 | abandonedCartsValue 5.00 6.00 | orders 3 "
	                 "| "
	                 "abandonedCarts 1 | addedProducts 2 | viewedProducts 3 | cartAbandonmentRate 25.00 | "
	                 "conversionRate 150.00")},
	        {{.statement = "stat_ecommerce", .start = "2023-01-01", .end = "2023-12-31"},
	                ("totalSales 0.00 0.00 | averageCart 0.00 0.00 | abandonedCartsValue 0.00 0.00 | orders 0 | "
	                 "abandonedCarts 0 | addedProducts 0 | viewedProducts 0 | cartAbandonmentRate 0.00 | "
	                 "conversionRate 0.00")},
	        {{.statement = "stat_web", .start = "2024-03-31", .end = "2024-04-01"},
	                ("pageViews 12 | visitors 2 | sessions 1 | clickedLinks 2 | compiledForms 3 | logins 4 | "
	                 "searches 5")},
	        {{.statement = "stat_web", .start = "2024-04-01", .end = "2024-04-02"},
	                ("pageViews 0 | visitors 3 | sessions 0 | clickedLinks 0 | compiledForms 0 | logins 0 | "
	                 "searches 0")},
	};

	component_sql(*state, figure_rows);
	component_sql(*state, "SELECT stat_recount_gaps('" W "')");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char found[TEXT_BYTES];
		PGresult *rows = ask(*state, &cases[i].ask);
		outline_counters(*state, rows, found);
		assert_string_equal(found, cases[i].expected);
		PQclear(rows);
	}
}

static void test_types(void **state)
{
	static const struct {
		const char *kind, *expected;
	} cases[] = {
	        {"RETAIL", "2024-01-01 2024-12-31 | 2024-04-01 completedOrder RETAIL 1"},
	        {"MOBILE",
	                "2024-01-01 2024-12-31 | 2024-03-31 abandonedCart MOBILE 9 | 2024-03-31 viewedPage MOBILE 1"},
	        {"IOT", "2024-01-01 2024-12-31"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char found[TEXT_BYTES];
		PGresult *rows = ask(*state, &(struct ask){.statement = "stat_types", .kind = cases[i].kind});
		outline_points(rows, found);
		assert_string_equal(found, cases[i].expected);
		PQclear(rows);
	}
}

/* --- one customer: Ada and Bea are a profile, a hidden customer would be --- */

#define EVENT(id, customer, time, type, body)                                                                          \
	"('" W "', 'e0000000-0000-4000-8000-0000000000" id "', '" SHOP "', '" customer "', 1800000000000000, 0, "      \
	"extract(epoch FROM timestamptz '" time "')::bigint * 1000000, 1, '" type "', 'ECOMMERCE', '" body "')"
#define ORDER(kind, revenue, lines)                                                                                    \
	"{\"properties\":{\"type\":\"" kind "\",\"amount\":{\"revenue\":" revenue                                      \
	",\"total\":100},\"products\":" lines "}}"

static const char customer_rows[] = "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, "
                                    "updated_us, date_us, version, type, "
                                    "context, body) VALUES " EVENT("01", ADA, "2024-03-30 22:59:59Z", "completedOrder",
                                            ORDER("sale", "10.10", "[{\"quantity\":2},{}]")) ","
        /* summer time begins in this night: the 31st has 23 hours, the order of 21:59 is its last one */
        EVENT("02", ADA, "2024-03-30 23:00:00Z", "viewedPage", "{}") "," EVENT("03", ADA, "2024-03-31 21:59:59Z",
                "completedOrder", ORDER("sale", "20.20", "[{\"quantity\":1}]")) "," EVENT("04", ADA,
                "2024-03-31 22:00:00Z", "completedOrder",
                ORDER("return", "5.05", "[{\"quantity\":1}]")) "," EVENT("05", ADA, "2024-04-01 10:00:00Z", "searched",
                "{}") "," EVENT("06", BEA, "2024-03-31 10:00:00Z", "completedOrder",
                ORDER("sale", "1", "7")) "," EVENT("07", HIDDEN, "2024-03-31 10:00:00Z", "completedOrder",
                ORDER("sale", "1000", "[{}]")) ";"
                                               "INSERT INTO aggregate_members (workspace_id, node_id, customer_id, "
                                               "profile_id, excluded) VALUES "
                                               "('" W "', '" LETTER "', '" ADA "', '" PROFILE "', false), ('" W
                                               "', '" LETTER "', '" BEA "', '" PROFILE "', false), "
                                               "('" W "', '" LETTER "', '" HIDDEN "', '" PROFILE "', true)";

static void test_one_customer(void **state)
{
	static const struct {
		struct ask ask;
		const char *expected;
	} cases[] = {
	        {{.statement = "stat_categories", .start = "2024-03-31", .end = "2024-03-31", .customer = ADA},
	                "2024-03-31 2024-03-31 | 2024-03-31 completedOrder 1 | 2024-03-31 viewedPage 1"},
	        {{.statement = "stat_categories", .start = "2024-03-30", .end = "2024-04-01", .customer = ADA},
	                ("2024-03-30 2024-04-01 | 2024-03-30 completedOrder 1 | 2024-03-31 completedOrder 1 | "
	                 "2024-03-31 viewedPage 1 | 2024-04-01 completedOrder 1 | 2024-04-01 searched 1")},
	        {{.statement = "stat_categories",
	                 .start = "2024-03-31T23:59:59+02:00",
	                 .end = "2024-03-31T23:59:59+02:00",
	                 .customer = ADA},
	                "2024-03-31 2024-03-31 | 2024-03-31 completedOrder 1 | 2024-03-31 viewedPage 1"},
	        {{.statement = "stat_categories", .start = "2024-03-31", .end = "2024-03-31", .customer = PROFILE},
	                "2024-03-31 2024-03-31 | 2024-03-31 completedOrder 2 | 2024-03-31 viewedPage 1"},
	        {{.statement = "stat_categories", .start = "2023-03-31", .end = "2023-03-31", .customer = ADA},
	                "2023-03-31 2023-03-31"},
	        {{.statement = "stat_categories", .start = "2024-03-31", .end = "2024-03-31", .customer = W},
	                "2024-03-31 2024-03-31"},
	        {{.statement = "stat_buying", .start = "2024-03-01", .end = "2024-04-10T12:00:00Z", .customer = ADA},
	                ("totalSpending 25.25 100.00 25.25 | averageOrderValue 12.63 50.00 12.63 | "
	                 "maxOrderValue 20.20 100.00 20.20 | orders 2 | items 3 | returns 1 | daysSinceLastOrder 9 | "
	                 "averageDaysBetweenOrders 0.96")},
	        {{.statement = "stat_buying",
	                 .start = "2024-03-31",
	                 .end = "2024-03-31T10:00:00Z",
	                 .customer = PROFILE},
	                ("totalSpending 21.20 200.00 21.20 | averageOrderValue 10.60 100.00 10.60 | "
	                 "maxOrderValue 20.20 100.00 20.20 | orders 2 | items 1 | returns 0 | daysSinceLastOrder 0 | "
	                 "averageDaysBetweenOrders 0.5")},
	        {{.statement = "stat_buying", .start = "2023-03-31", .end = "2023-03-31", .customer = ADA},
	                ("totalSpending 0.00 0.00 0.00 | averageOrderValue 0.00 0.00 0.00 | maxOrderValue 0.00 0.00 "
	                 "0.00 | "
	                 "orders 0 | items 0 | returns 0 | daysSinceLastOrder 0 | averageDaysBetweenOrders 0")},
	};

	component_sql(*state, customer_rows);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char found[TEXT_BYTES];
		PGresult *rows = ask(*state, &cases[i].ask);
		if (strcmp(cases[i].ask.statement, "stat_buying") == 0)
			outline_counters(*state, rows, found);
		else
			outline_points(rows, found);
		assert_string_equal(found, cases[i].expected);
		PQclear(rows);
	}
}

static int set_up(void **state)
{
	struct component *component = component_open();

	component_sql(
	        component, "INSERT INTO stat_zones VALUES ('" W "', 'Europe/Rome'), ('" ALIEN "', 'Europe/London')");
	*state = component;
	return 0;
}

static int tear_down(void **state)
{
	component_close(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_days),
	        cmocka_unit_test(test_series),
	        cmocka_unit_test(test_totals),
	        cmocka_unit_test(test_figures),
	        cmocka_unit_test(test_types),
	        cmocka_unit_test(test_one_customer),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
