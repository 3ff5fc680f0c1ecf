/* What the gateway reads of a customer, on real PostgreSQL. */

#include "gateway/handlers.h"
#include "tests/component/component.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define W "a0000000-0000-4000-8000-000000000000"
#define NODE "b0000000-0000-4000-8000-000000000000"
#define ADA "c0000000-0000-4000-8000-000000000000"
#define BEA "c1000000-0000-4000-8000-000000000000"
/* More than a list shows. */
#define SESSIONS "10005"
#define SESSION(n) "d0000000-0000-4000-8000-0000000" n

static PGresult *read_customer(
        struct component *component, const char *name, const char *customer, const char *session, int n_params)
{
	const char *values[] = {W, customer, session};
	const struct statement *statement = customer_statements;

	while (strcmp(statement->name, name) != 0)
		statement++;
	assert_int_equal(statement->n_params, n_params);
	PGresult *rows =
	        PQexecParams(component_connection(component), statement->sql, n_params, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(rows) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", name, PQresultErrorMessage(rows));
	return rows;
}

static void test_list_of_sessions(void **state)
{
	PGresult *rows = read_customer(*state, "customer_sessions", ADA, NULL, 2);

	assert_int_equal(PQntuples(rows), 10000);
	assert_string_equal(PQgetvalue(rows, 0, 2), "value 1");
	assert_string_equal(PQgetvalue(rows, 9999, 2), "value 10000");
	PQclear(rows);
}

/* NULL: there is the customer, but no such session; "": no such customer. */
static void test_one_session(void **state)
{
	static const struct {
		const char *customer, *session, *value;
	} cases[] = {
	        {ADA, SESSION("00001"), "value 1"},
	        {ADA, SESSION("10005"), "value 10005"},
	        {ADA, SESSION("00000"), NULL},
	        {BEA, SESSION("00001"), NULL},
	        {NODE, SESSION("00001"), ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		PGresult *rows = read_customer(*state, "customer_session", cases[i].customer, cases[i].session, 3);
		assert_int_equal(PQntuples(rows), !cases[i].value || *cases[i].value);
		if (!cases[i].value) {
			assert_true(PQgetisnull(rows, 0, 1));
		} else if (*cases[i].value) {
			assert_string_equal(PQgetvalue(rows, 0, 0), NODE);
			assert_string_equal(PQgetvalue(rows, 0, 1), cases[i].session);
			assert_string_equal(PQgetvalue(rows, 0, 2), cases[i].value);
		}
		PQclear(rows);
	}
}

static int set_up(void **state)
{
	struct component *component = component_open();

	component_sql(component,
	        "INSERT INTO customers SELECT '" W "', c::uuid, '" NODE "', row_number() OVER (), 1, 1, 1, true, NULL, "
	        "NULL, NULL, '{}' FROM (VALUES ('" ADA "'), ('" BEA "')) v (c)");
	component_sql(component,
	        "INSERT INTO bindings SELECT '" W "', '" NODE "', 1, 'value ' || n, n, '" ADA "', 9223372036854775807, "
	        "('d0000000-0000-4000-8000-0000000' || lpad(n::text, 5, '0'))::uuid FROM generate_series(1, " SESSIONS
	        ") n");
	/* ended, and not a session */
	component_sql(component, "INSERT INTO bindings VALUES ('" W "', '" NODE "', 1, 'ended', 1, '" ADA
	                         "', 2, '" SESSION("00000") "'), ('" W "', '" NODE "', 2, 'external', 1, '" ADA
	                                                    "', 9223372036854775807, NULL)");
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_list_of_sessions), cmocka_unit_test(test_one_session)};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
