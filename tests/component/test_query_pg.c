#include "common/arena.h"
#include "common/clock.h"
#include "common/customer_row.h"
#include "common/json.h"
#include "gateway/attribute.h"
#include "gateway/customer_search.h"
#include "gateway/handlers.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/*
 * What searches find, on real PostgreSQL (CONTACTHUB_PG) with the migrations of the project: documents, queries and the
 * customers expected. Everything happens in one transaction that is rolled back.
 */

#define MIGRATIONS_DIR CONTACTHUB_SOURCE_DIR "/deploy/sql"
#define WORKSPACE "0193a000-0000-7000-8000-000000000001"
#define NODE "0193a000-0000-7000-8000-000000000002"
#define BIG_NODE "0193a000-0000-7000-8000-000000000003"
#define BIG_NODE_CUSTOMERS 10050

static PGconn *connection;
static struct arena *arena;
static struct json *declared;

static void run(const char *sql)
{
	PGresult *result = PQexec(connection, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail_msg("%s", PQresultErrorMessage(result));
	PQclear(result);
}

static int is_migration(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

static void migrate(void)
{
	struct dirent **names;
	int n = scandir(MIGRATIONS_DIR, &names, is_migration, alphasort);
	char *text = arena_alloc(arena, 1 << 20);

	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		FILE *file = fopen(arena_printf(arena, "%s/%s", MIGRATIONS_DIR, names[i]->d_name), "rb");
		assert_non_null(file);
		text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
		fclose(file);
		run(text);
		free(names[i]);
	}
	free(names);
}

/* Later rows are updated later; registration is in the other direction. */
static const struct {
	const char *name; /* external id; "-" = none */
	bool enabled;
	const char *doc;
} people[] = {
        {"ada", true,
                "{\"base\":{\"firstName\":\"Ada\",\"lastName\":\"Alfa\",\"dob\":\"1960-01-15\",\"contacts\":{\"email\":"
                "\"ada@example.com\"},\"address\":{\"city\":\"Rome\",\"geo\":{\"lat\":41.9,\"lon\":12.5}},"
                "\"educations\":"
                "[{\"id\":\"1\",\"schoolName\":\"Liceo\",\"startYear\":1974},{\"id\":\"2\",\"schoolName\":\"Sapienza\","
                "\"startYear\":1979,\"isCurrent\":false}],\"subscriptions\":[{\"id\":\"news\",\"subscribed\":true,"
                "\"startDate\":\"2020-01-01T10:00:00+02:00\"}],\"jobs\":[{\"id\":\"1\",\"startDate\":\"1985-03-01\"}]},"
                "\"tags\":{\"auto\":[\"hot\",\"new\"],\"manual\":[\"vip\"]},\"extended\":{\"points\":5,\"big\":"
                "9007199254740993,\"member\":true,\"sizes\":[38,40],\"seen\":\"2020-01-01T00:00:00Z\",\"words\":[\"a\","
                "\"b\"]},\"consents\":{\"disclaimer\":{\"date\":\"2018-05-25T12:00:00.000+0000\"},\"marketing\":"
                "{\"automatic\":{\"email\":{\"status\":true}}}},\"extra\":\"note\"}"},
        {"bea", true,
                "{\"base\":{\"firstName\":\"Bea\",\"lastName\":\"Beta\",\"dob\":\"1970-06-30\",\"contacts\":{\"email\":"
                "\"bea@example.com\"},\"address\":{\"city\":\"Milan\"},\"subscriptions\":[{\"id\":\"news\","
                "\"subscribed\":"
                "false},{\"id\":\"shop\",\"subscribed\":true,\"startDate\":\"2021-06-01\"}]},\"extended\":{\"points\":"
                "10.5,"
                "\"big\":9007199254740992,\"member\":false,\"sizes\":[40],\"seen\":\"2021-01-01T01:00+01\"},"
                "\"consents\":"
                "{\"marketing\":{\"automatic\":{\"email\":{\"status\":false}}}}}"},
        {"carl", true,
                "{\"base\":{\"firstName\":\"Carl\",\"dob\":\"1980-12-31\",\"address\":{\"city\":\"Rome\"}},\"tags\":{"
                "\"auto\":"
                "[\"hot\"]},\"extended\":{\"points\":-1},\"extra\":\"5\"}"},
        {"Dino", false,
                "{\"base\":{\"firstName\":\"Dino%_\\\\x\",\"lastName\":\"d'E\\\"\"},\"extended\":{\"seen\":\"soon\"}}"},
        {"-", true, "{}"},
};

static const char *id_of(size_t index)
{
	return arena_printf(arena, "0193a000-0000-7000-8000-0000000001%02zu", index);
}

static void insert_people(void)
{
	for (size_t i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
		const char *values[] = {id_of(i), arena_printf(arena, "%zu", i), people[i].enabled ? "t" : "f",
		        people[i].name[0] == '-' ? NULL : people[i].name, people[i].doc};
		PGresult *result = PQexecParams(connection,
		        "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, "
		        "enabled, "
		        "registered_by, external_id, doc) VALUES ('" WORKSPACE "', $1, '" NODE
		        "', $2::bigint + 1, 1, 1577836800000000 - $2::bigint * 1000000, 1577836800123456 + $2::bigint "
		        "* 1000000, "
		        "$3, $1::uuid, $4, $5)",
		        5, NULL, values, NULL, NULL, 0);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail_msg("%s", PQresultErrorMessage(result));
		PQclear(result);
	}
}

/* Two orders of Ada, one visit of Bea. */
static void insert_events(void)
{
	run("INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, version, "
	    "type, "
	    "context, body) SELECT '" WORKSPACE "', ('0193a000-0000-7000-8000-0000000002' || n)::uuid, '" NODE
	    "', ('0193a000-0000-7000-8000-0000000001' || c)::uuid, 1735689600000000, 0, (d * 1000000)::bigint, 1, t, "
	    "'WEB', "
	    "b::json FROM "
	    "(VALUES ('01', '00', 1577836800, 'completedOrder', "
	    "'{\"properties\":{\"orderId\":\"A\",\"products\":[{\"sku\":\"s1\"},"
	    "{\"sku\":\"s2\"}],\"amount\":{\"total\":19.99}},\"contextInfo\":{\"client\":{\"ip\":\"10.0.0.1\"}}}'), "
	    "('02', '00', 1609459200, 'completedOrder', '{\"properties\":{\"orderId\":\"B\"},\"contextInfo\":{}}'), "
	    "('03', '01', -0.0005, 'viewedPage', '{\"properties\":{\"url\":\"http://x\"},\"contextInfo\":{}}')) "
	    "e(n, c, d, t, b)");
}

/* More than a search may list; every customer has the city, each tenth a tag. */
static void insert_crowd(void)
{
	run(arena_printf(arena,
	        "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, "
	        "enabled, "
	        "external_id, doc) SELECT '" WORKSPACE
	        "', ('0193a000-0000-7000-9000-' || lpad(i::text, 12, '0'))::uuid, '" BIG_NODE
	        "', i, 1, i, i, true, 'n' || lpad(i::text, 5, '0'), jsonb_build_object('base', "
	        "jsonb_build_object('address', "
	        "'{\"city\": \"Rome\"}'::jsonb, 'firstName', 'F' || i), 'tags', jsonb_build_object('auto', "
	        "jsonb_build_array('t' "
	        "|| i %% 10))) FROM generate_series(1, %d) i; ANALYZE customers",
	        BIG_NODE_CUSTOMERS));
}

static int set_up(void **state)
{
	const char *pg = getenv("CONTACTHUB_PG");
	struct err err;

	(void)state;
	if (!pg) {
		print_error("CONTACTHUB_PG is not set\n");
		return -1;
	}
	arena = arena_new((size_t)256 << 20);
	declared = json_parse(arena,
	        STR("{\"points\":{\"type\":\"number\"},\"big\":{\"type\":\"integer\"},\"member\":{\"type\":\"boolean\"}"
	            ","
	            "\"seen\":{\"type\":\"string\",\"format\":\"date-time\"},"
	            "\"sizes\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}},"
	            "\"words\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}"),
	        &err);
	connection = PQconnectdb(pg);
	if (!declared || PQstatus(connection) != CONNECTION_OK)
		return -1;
	/* another zone and language of dates than any server of ours, to prove that nothing depends on them */
	run("BEGIN; SET LOCAL client_min_messages = warning; SET LOCAL timezone = 'America/New_York'; SET LOCAL "
	    "datestyle = "
	    "'sql, dmy'; CREATE SCHEMA query_test; SET LOCAL search_path = query_test");
	migrate();
	insert_people();
	insert_events();
	insert_crowd();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	run("ROLLBACK");
	PQfinish(connection);
	arena_free(arena);
	return 0;
}

static const struct json *extended(const void *context, struct str set)
{
	(void)context;
	return str_is(set, "customer") ? declared : NULL;
}

static void add_ids(struct db_params *params, const char *node)
{
	struct uuid id;

	db_params_init(params, arena);
	assert_true(uuid_parse(STR(WORKSPACE), &id));
	db_param_uuid(params, &id);
	assert_true(uuid_parse(str_of(node), &id));
	db_param_uuid(params, &id);
}

static PGresult *execute(const char *name, const char *sql, const struct db_params *params)
{
	PGresult *result =
	        PQexecParams(connection, sql, params->n, NULL, params->values, params->lengths, params->formats, 1);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", name, PQresultErrorMessage(result));
	return result;
}

/* External ids on the page in their order; *ret_total may be NULL. */
static const char *names_of(PGresult *result, int64_t *ret_total)
{
	struct buf names;

	buf_init(&names, arena, 256);
	assert_true(PQntuples(result) > 0);
	if (ret_total)
		*ret_total = db_i64(result, 0, 0);
	for (int row = 0; row < PQntuples(result); row++) {
		struct customer customer;
		struct err err;
		if (db_is_null(result, row, 1))
			continue;
		assert_true(customer_row_read(arena, result, row, 1, &customer, &err));
		buf_add_str(&names, row ? STR(" ") : STR(""));
		buf_add_str(&names, customer_external_id(&customer).p ? customer_external_id(&customer) : STR("-"));
	}
	buf_add_char(&names, '\0');
	PQclear(result);
	return names.p;
}

struct page_wanted {
	const char *node;
	int64_t number, size;
};

static const char *find(const char *name, struct customer_search *search, struct page_wanted page, int64_t *ret_total)
{
	struct db_params params;
	struct sql sql;
	struct err err = {0};
	int64_t limit, offset;

	search->source.extended = extended;
	if (!customer_search_sql(arena, search, &sql, &err))
		fail_msg("%s: %s (%s)", name, err.message, err.pointer);
	add_ids(&params, page.node);
	sql_param(&sql, &params);
	customer_search_window(page.number, page.size, &limit, &offset);
	db_param_i64(&params, limit);
	db_param_i64(&params, offset);
	return names_of(execute(name, sql.text.p, &params), ret_total);
}

/* The people that a query finds, in the order of the table above. */
static const char *find_people(const char *name, const char *query)
{
	struct customer_search search = {.query = str_of(query)};
	struct err err;

	search.source.extended = extended;
	assert_true(sort_parse(&search.sort, &search.source, STR("intId"), &err));
	return find(name, &search, (struct page_wanted){NODE, 0, 50}, NULL);
}

#define ALL "ada bea carl Dino -"
#define TEN ",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\",\"18\",\"19\",\"20\""

static const struct {
	const char *attribute, *operator, * value, *expected;
} conditions[] = {
        {"base.firstName", "EQUALS", "\"Ada\"", "ada"},
        {"base.firstName", "EQUALS", "\"ada\"", ""},
        {"base.firstName", "EQUALS", "\"Dino%_\\\\x\"", "Dino"},
        {"base.lastName", "EQUALS", "\"d'E\\\"\"", "Dino"},
        {"base.firstName", "NOT_EQUALS", "\"Ada\"", "bea carl Dino -"},
        {"base.firstName", "EQUALS", "null", "-"},
        {"base.firstName", "NOT_EQUALS", "null", "ada bea carl Dino"},
        {"externalId", "EQUALS", "\"Dino\"", "Dino"},
        {"externalId", "NOT_EQUALS", "\"Dino\"", "ada bea carl -"},
        {"externalId", "NOT_IN", "[\"ada\",\"bea\"]", "carl Dino -"},
        /* a list that is looked up in one */
        {"base.firstName", "IN", "[\"Ada\",\"bea\",\"Carl\"" TEN "]", "ada carl"},
        {"base.firstName", "NOT_IN", "[\"Ada\",\"bea\",\"Carl\"" TEN "]", "bea Dino -"},
        {"base.dob", "IN", "[\"1970-06-30T12:00Z\",\"1960-01-15\",0,1,2,3,4,5,6,7,8,86400000,\"1980-12-31T00:00\"]",
                "ada carl"},
        {"extended.points", "IN", "[5.0,\"105e-1\"" TEN "]", "ada bea"},
        {"extended.points", "NOT_IN", "[5.0,\"105e-1\"" TEN "]", "carl Dino -"},
        {"extended.sizes", "IN", "[38.0" TEN "]", "ada"},
        {"tags.auto", "IN", "[\"hot\"" TEN "]", "ada carl"},
        {"tags.auto", "NOT_IN", "[\"hot\"" TEN "]", "bea Dino -"},
        {"base.subscriptions.subscribed", "IN", "[true,true,true,true,true,true,true,true,true,true,true]", "ada bea"},
        {"externalId", "IS_NULL", NULL, "-"},
        {"externalId", "GT", "\"a\"", "ada bea carl"},
        {"externalId", "LIKE", "\"%a%\"", "ada bea carl"},
        {"enabled", "EQUALS", "\"false\"", "Dino"},
        {"enabled", "EQUALS", NULL, "Dino"},
        {"enabled", "NOT_EQUALS", "true", "Dino"},
        {"extra", "EQUALS", "5", "carl"},
        {"id", "EQUALS", "\"0193A000-0000-7000-8000-000000000100\"", "ada"},
        {"id", "IN", "[\"0193a000-0000-7000-8000-000000000100\",\"0193a000-0000-7000-8000-000000000102\",\"x\"]",
                "ada carl"},
        {"id", "EQUALS", "\"x\"", ""},
        {"nodeId", "EQUALS", "\"" NODE "\"", ALL},
        {"nodeId", "NOT_EQUALS", "\"" NODE "\"", ""},
        {"sourceInfo.registeredBy", "EQUALS", "\"0193a000-0000-7000-8000-000000000101\"", "bea"},
        {"sourceInfo.updatedBy", "IS_NULL", NULL, ALL},
        {"deleted", "EQUALS", "-1", ALL},
        {"intId", "BETWEEN", "[\"2\",3]", "bea carl"},
        {"version", "GT", "0.5", ALL},
        /* times in columns count in milliseconds, as they are answered */
        {"updatedAt", "EQUALS", "\"2020-01-01T00:00:00.123+0000\"", "ada"},
        {"updatedAt", "IN", "[1577836801123,\"1577836802123\",0]", "bea carl"},
        {"updatedAt", "NOT_EQUALS", "\"2020-01-01T00:00:00.123Z\"", "bea carl Dino -"},
        {"updatedAt", "GTE", "\"2020-01-01T00:00:01.123Z\"", "bea carl Dino -"},
        {"updatedAt", "GT", "\"2020-01-01T00:00:01.123Z\"", "carl Dino -"},
        {"updatedAt", "LTE", "\"2020-01-01T00:00:01.123Z\"", "ada bea"},
        {"updatedAt", "LT", "\"2020-01-01T00:00:01.123Z\"", "ada"},
        {"registeredAt", "BETWEEN", "[\"2019-12-31T23:59:58Z\",\"2020-01-01T01:59:59+02\"]", "bea carl"},
        /* numbers by value, beyond the exactness of doubles */
        {"extended.points", "EQUALS", "\"5\"", "ada"},
        {"extended.points", "EQUALS", "5.000", "ada"},
        {"extended.points", "EQUALS", "105e-1", "bea"},
        {"extended.points", "NOT_EQUALS", "5", "bea carl Dino -"},
        {"extended.points", "IN", "[5,\"-1\",7]", "ada carl"},
        {"extended.big", "EQUALS", "9007199254740993", "ada"},
        {"extended.big", "GT", "9007199254740992", "ada"},
        {"extended.points", "GT", "\"5\"", "bea"},
        {"extended.points", "LT", "5", "carl"},
        {"extended.points", "LTE", "5", "ada carl"},
        {"extended.points", "BETWEEN", "[5,10.5]", "ada bea"},
        {"extended.points", "BETWEEN", "[11,5]", ""},
        {"base.address.geo.lat", "GTE", "41", "ada"},
        {"extended.member", "EQUALS", "\"true\"", "ada"},
        {"extended.member", "EQUALS", "\"0\"", "bea"},
        {"extended.member", "IN", "[true,false]", "ada bea"},
        {"consents.marketing.automatic.email.status", "EQUALS", "true", "ada"},
        {"consents.marketing.automatic.email.status", "NOT_EQUALS", "true", "bea carl Dino -"},
        /* lists: any element */
        {"tags.auto", "IN", "\"hot\"", "ada carl"},
        {"tags.auto", "EQUALS", "\"new\"", "ada"},
        {"tags.auto", "IN", "[\"new\",\"x\"]", "ada"},
        {"tags.auto", "NOT_IN", "[\"new\",\"x\"]", "bea carl Dino -"},
        {"tags.auto", "IS_NULL", NULL, "bea Dino -"},
        {"tags.auto", "LIKE", "\"n__\"", "ada"},
        {"tags.auto", "GTE", "\"n\"", "ada"},
        {"tags", "IS_NOT_NULL", NULL, "ada carl"},
        {"base.subscriptions.id", "EQUALS", "\"news\"", "ada bea"},
        {"base.subscriptions.subscribed", "EQUALS", "\"false\"", "bea"},
        {"base.subscriptions", "IS_NULL", NULL, "carl Dino -"},
        {"base.educations.schoolName", "IN", "[\"Sapienza\"]", "ada"},
        {"base.educations.schoolName", "LIKE", "\"%ice%\"", "ada"},
        {"base.educations.startYear", "BETWEEN", "[1975,1978]", ""},
        {"base.educations.startYear", "GTE", "1979", "ada"},
        {"base.educations.isCurrent", "IS_NOT_NULL", NULL, "ada"},
        {"base.jobs.startDate", "LT", "\"1990-01-01T00:00:00Z\"", "ada"},
        {"extended.sizes", "EQUALS", "\"40\"", "ada bea"},
        {"extended.sizes", "LT", "40", "ada"},
        {"extended.words", "IN", "[]", ""},
        {"extended.words", "NOT_IN", "[]", ALL},
        /* days */
        {"base.dob", "EQUALS", "\"1970-06-30T00:00:00.000+0000\"", "bea"},
        {"base.dob", "IN", "[\"1970-06-30\",347068800000]", "bea carl"},
        {"base.dob", "GTE", "15552000000", "bea carl"},
        {"base.dob", "GT", "15552000000", "carl"},
        {"base.dob", "BETWEEN", "[\"1960-01-15T00:00:00+02:00\",\"1970-06-30T23:59:59Z\"]", "ada bea"},
        {"base.dob", "BETWEEN", "[\"1960-01-15T00:00:01Z\",\"1970-06-29T23:59:59Z\"]", ""},
        {"base.dob", "LT", "\"1960-01-15T00:00:00.001Z\"", "ada"},
        {"base.dob", "IS_NULL", NULL, "Dino -"},
        /* date-times in the document, in whatever form they were written; text that is none is like none */
        {"extended.seen", "EQUALS", "\"2021-01-01\"", "bea"},
        {"extended.seen", "NOT_EQUALS", "\"2021-01-01\"", "ada carl Dino -"},
        {"extended.seen", "IN", "[1577836800000,\"2021-01-01T00:00:00Z\"]", "ada bea"},
        {"extended.seen", "GT", "\"2020-01-01T00:00:00Z\"", "bea"},
        {"extended.seen", "LT", "\"2020-01-01T00:00:00.001+0000\"", "ada"},
        {"extended.seen", "BETWEEN", "[\"2019-12-31T19:00:00-05:00\",\"2021-01-01\"]", "ada bea"},
        {"consents.disclaimer.date", "EQUALS", "\"2018-05-25T14:00+0200\"", "ada"},
        {"base.subscriptions.startDate", "EQUALS", "\"2020-01-01T08:00:00Z\"", "ada"},
        {"base.subscriptions.startDate", "GTE", "\"2021-06-01\"", "bea"},
        /* text */
        {"base.lastName", "BETWEEN", "[\"Alfa\",\"Beta\"]", "ada bea"},
        {"base.lastName", "GT", "\"Z\"", "Dino"},
        {"base.lastName", "LIKE", "\"_eta\"", "bea"},
        {"base.lastName", "LIKE", "\"eta\"", ""},
        {"base.firstName", "LIKE", "\"%\\\\%%\"", "Dino"},
        {"base.firstName", "LIKE", "\"Dino\\\\%\\\\_\\\\\\\\x\"", "Dino"},
        {"base.address", "IS_NULL", "\"\"", "Dino -"},
};

static void test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		const char *value = conditions[i].value;
		const char *condition = arena_printf(arena,
		        "{\"type\":\"atomic\",\"attribute\":\"%s\",\"operator\":\"%s\"%s%s}", conditions[i].attribute,
		        conditions[i].operator, value ? ",\"value\":" : "", value ? value : "");
		const char *found = find_people(condition,
		        arena_printf(arena, "{\"query\":{\"type\":\"simple\",\"are\":{\"condition\":%s}}}", condition));
		if (strcmp(found, conditions[i].expected))
			fail_msg("%s finds \"%s\" instead of \"%s\"", condition, found, conditions[i].expected);
	}
}

/* Microseconds that searches and orders see in a text of a document, in decimal; "none". */
static const char *searched_us(const char *text)
{
	const struct attribute attribute = {.type = ATTRIBUTE_DATE_TIME, .through_list = true};
	struct sql sql;

	sql_init(&sql, arena);
	sql_add(&sql, "SELECT COALESCE(trunc(");
	attribute_add_element_key(&sql, &attribute);
	sql_add(&sql, ")::text, 'none') FROM (SELECT to_jsonb($1::text) AS v) AS given_value");
	buf_add_char(&sql.text, '\0');
	PGresult *result = PQexecParams(connection, sql.text.p, 1, NULL, &text, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", text, PQresultErrorMessage(result));
	const char *found = arena_printf(arena, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return found;
}

static void check_time(const char *text)
{
	int64_t time_us;
	bool good = time_parse(str_of(text), &time_us);
	const char *expected = good ? arena_printf(arena, "%lld", (long long)time_us) : "none";
	const char *found = searched_us(text);

	if (strcmp(found, expected) != 0)
		fail_msg("%s is searched as %s instead of %s", text, found, expected);
}

/* A customer with this time is found by ranges that end there, and not by those without their end. */
static void check_ends(const char *text)
{
	static const char *const operators[] = {"EQUALS", "GTE", "LTE", "GT", "LT"};

	run(arena_printf(arena,
	        "UPDATE customers SET doc = jsonb_set(doc, '{extended,seen}', to_jsonb('%s'::text)) WHERE external_id "
	        "= "
	        "'Dino'",
	        text));
	for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
		const char *found =
		        find_people(text, arena_printf(arena,
		                                  "{\"query\":{\"type\":\"simple\",\"are\":{\"condition\":{\"type\":"
		                                  "\"atomic\",\"attribute\":"
		                                  "\"extended.seen\",\"operator\":\"%s\",\"value\":\"%s\"}}}}",
		                                  operators[i], text));
		if (!!strstr(found, "Dino") != (i < 3))
			fail_msg("%s %s finds \"%s\"", operators[i], text, found);
	}
}

/* Whatever a document may hold as a date-time is found as the time that it is. */
static void test_times(void **state)
{
	static const char *const texts[] = {"2020-01-01", "2020-02-29T12:30", "2019-02-29",
	        "1999-12-31T23:59:59.123456Z", "2020-01-01T00:00+1", "2020-01-01T00:00+24", "2020-01-01T24:00Z",
	        "2020-13-01", "soon", "", "0000-01-01", "0000-02-29", "0000-02-30", "0000-12-31T23:59:59.5Z",
	        "0000-06-01T12:00-15", "0000-01-02T00:30+23:59", "0001-01-01T00:00:00+00:30", "9999-12-31T23:59:59Z",
	        "9999-12-31T00:00+2359", "2020-01-01T00:00:00.1234567Z", "2020-01-01T00:00:00.123456789+01:00",
	        "2020-12-31T23:59:59.9999999", "0000-06-01T12:00:00.9999999Z", "2020-06-01T12:00:00.123456789-15"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int64_t time_us;
		check_time(texts[i]);
		if (time_parse(str_of(texts[i]), &time_us))
			check_ends(texts[i]);
	}
	for (int hours = 0; hours < 24; hours++)
		for (const char *sign = "+-"; *sign; sign++) {
			check_ends(arena_printf(arena, "2020-03-01T00:00%c%02d59", *sign, hours));
			check_ends(arena_printf(arena, "2020-03-01T23:59:59.999999%c%02d:59", *sign, hours));
			check_time(arena_printf(arena, "2020-03-01T10:20:30%c%02d", *sign, hours));
			check_time(arena_printf(arena, "2020-03-01T10:20:30.5%c%02d59", *sign, hours));
			check_time(arena_printf(arena, "0400-02-29T10:20%c%02d:30", *sign, hours));
		}
	run("UPDATE customers SET doc = jsonb_set(doc, '{extended,seen}', '\"soon\"') WHERE external_id = 'Dino'");
}

#define ATOMIC(attribute, operator, value)                                                                             \
	"{\"type\":\"atomic\",\"attribute\":\"" attribute "\",\"operator\":\"" operator"\",\"value\":" value "}"
#define SIMPLE(condition) "{\"type\":\"simple\",\"are\":{\"condition\":" condition "}}"
#define COMBINED(conjunction, queries)                                                                                 \
	"{\"type\":\"combined\",\"conjunction\":\"" conjunction "\",\"queries\":[" queries "]}"
#define COMPOSITE(conjunction, conditions)                                                                             \
	"{\"type\":\"composite\",\"conjunction\":\"" conjunction "\",\"conditions\":[" conditions "]}"
#define DID(event, more) "{\"type\":\"simple\",\"did\":{\"event\":{\"name\":\"" event "\"}" more "}}"
#define ROME ATOMIC("base.address.city", "EQUALS", "\"Rome\"")
#define VIP ATOMIC("tags.manual", "IN", "\"vip\"")
#define ENABLED ATOMIC("enabled", "EQUALS", "true")

static const struct {
	const char *query, *expected;
} queries[] = {
        {SIMPLE(COMPOSITE("and", ROME "," VIP)), "ada"},
        {SIMPLE(COMPOSITE("or", VIP "," ATOMIC("extended.points", "LT", "0"))), "ada carl"},
        {COMBINED("INTERSECT", SIMPLE(ROME) "," COMBINED("UNION", SIMPLE(VIP))), "ada"},
        {COMBINED("UNION", SIMPLE(ROME) "," SIMPLE(VIP)), "ada carl"},
        {COMBINED("EXCEPT", SIMPLE(ROME) "," SIMPLE(VIP)), "carl"},
        /* what is excluded may be unknown: it stays */
        {COMBINED("EXCEPT", SIMPLE(ENABLED) "," SIMPLE(ATOMIC("extended.points", "GT", "0"))), "carl -"},
        {COMBINED("EXCEPT", SIMPLE(ENABLED) "," SIMPLE(ATOMIC("base.dob", "LT", "\"1975-01-01\"")) "," SIMPLE(
                                    ATOMIC("externalId", "EQUALS", "\"carl\""))),
                "-"},
        {COMBINED("EXCEPT", SIMPLE(ENABLED) "," COMBINED("EXCEPT", SIMPLE(ROME) "," SIMPLE(VIP))), "ada bea -"},
        {DID("completedOrder", ""), "ada"},
        {DID("viewedPage", ""), "bea"},
        {DID("viewedPage", ",\"timeframe\":" ATOMIC("date", "EQUALS", "\"1969-12-31T23:59:59.999Z\"")), "bea"},
        {DID("viewedPage", ",\"timeframe\":" ATOMIC("date", "IN", "[0]")), ""},
        {DID("viewedPage", ",\"timeframe\":" ATOMIC("date", "LT", "0")), "bea"},
        {DID("loggedIn", ""), ""},
        {COMBINED("EXCEPT", SIMPLE(ENABLED) "," DID("completedOrder", "")), "bea carl -"},
        {DID("completedOrder", ",\"timeframe\":" ATOMIC("date", "BETWEEN", "[1609459200000,1609459200000]")), "ada"},
        {DID("completedOrder", ",\"timeframe\":" ATOMIC("date", "GT", "\"2021-01-01\"")), ""},
        {DID("completedOrder", ",\"condition\":" ATOMIC("properties.products.sku", "EQUALS", "\"s2\"")), "ada"},
        {DID("completedOrder", ",\"condition\":" ATOMIC("properties.amount.total", "GTE", "19.99")), "ada"},
        {DID("completedOrder", ",\"condition\":" ATOMIC("properties.amount.total", "GT", "19.99")), ""},
        {DID("completedOrder", ",\"condition\":" ATOMIC("contextInfo.client.ip", "LIKE", "\"10.%\"")), "ada"},
        {DID("completedOrder", ",\"condition\":" ATOMIC("context", "IN", "[\"WEB\"]")), "ada"},
        /* one event must fulfil both */
        {DID("completedOrder", ",\"condition\":" ATOMIC("properties.orderId", "EQUALS",
                                       "\"A\"") ",\"timeframe\":" ATOMIC("date", "GTE", "\"2020-06-01\"")),
                ""},
};

static void test_queries(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		const char *found =
		        find_people(queries[i].query, arena_printf(arena, "{\"query\":%s}", queries[i].query));
		if (strcmp(found, queries[i].expected))
			fail_msg("%s finds \"%s\" instead of \"%s\"", queries[i].query, found, queries[i].expected);
	}
}

static const struct {
	const char *sort[2];
	const char *expected;
} orders[] = {
        {{""}, "- Dino carl bea ada"},
        {{"updatedAt"}, "ada bea carl Dino -"},
        {{"registeredAt,desc"}, "ada bea carl Dino -"},
        {{"externalId"}, "Dino ada bea carl -"},
        {{"externalId,desc"}, "carl bea ada Dino -"},
        {{"base.firstName"}, "ada bea carl Dino -"},
        {{"base.firstName,desc"}, "Dino carl bea ada -"},
        {{"extended.points"}, "carl ada bea Dino -"},
        {{"extended.points,desc"}, "bea ada carl Dino -"},
        {{"extended.member,desc"}, "ada bea carl Dino -"},
        {{"base.dob,desc"}, "carl bea ada Dino -"},
        {{"extended.seen,desc"}, "bea ada carl Dino -"},
        {{"base.address.city", "externalId,desc"}, "bea carl ada Dino -"},
        {{"enabled", "base.firstName,desc"}, "Dino carl bea ada -"},
        {{"deleted"}, ALL},
};

static void test_orders(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct customer_search search = {.source = {.extended = extended}};
		struct err err;
		const char *found;
		for (size_t n = 0; n < 2 && orders[i].sort[n]; n++)
			assert_true(sort_parse(&search.sort, &search.source, str_of(orders[i].sort[n]), &err));
		found = find(orders[i].sort[0], &search, (struct page_wanted){NODE, 0, 50}, NULL);
		if (strcmp(found, orders[i].expected))
			fail_msg(
			        "sort %s gives \"%s\" instead of \"%s\"", orders[i].sort[0], found, orders[i].expected);
	}
}

static void test_external_id_and_query_together(void **state)
{
	struct customer_search search = {.external_id = STR("carl"), .query = STR("{\"query\":" SIMPLE(ROME) "}")};
	int64_t total;

	(void)state;
	assert_string_equal(find("both", &search, (struct page_wanted){NODE, 0, 50}, &total), "carl");
	assert_int_equal(total, 1);
	search.external_id = STR("bea");
	assert_string_equal(find("none", &search, (struct page_wanted){NODE, 0, 50}, &total), "");
	assert_int_equal(total, 0);
}

/* More than 10,000 match: the newest are listed, the total says 10,000, and what lies behind cannot be reached. */
static const struct {
	const char *name, *query;
	int64_t number, size, total;
	const char *expected;
} pages[] = {
        {"all", NULL, 0, 2, 10000, "n10050 n10049"},
        {"all, last page", NULL, 4999, 2, 10000, "n00052 n00051"},
        {"all, behind it", NULL, 5000, 2, 10000, ""},
        {"city", "{\"query\":" SIMPLE(ROME) "}", 0, 3, 10000, "n10050 n10049 n10048"},
        {"city, last page", "{\"query\":" SIMPLE(ROME) "}", 3333, 3, 10000, "n00051"},
        {"city, behind it", "{\"query\":" SIMPLE(ROME) "}", 3334, 3, 10000, ""},
        {"tag", "{\"query\":" SIMPLE(ATOMIC("tags.auto", "IN", "\"t3\"")) "}", 0, 2, 1005, "n10043 n10033"},
        {"tag, last page", "{\"query\":" SIMPLE(ATOMIC("tags.auto", "IN", "\"t3\"")) "}", 502, 2, 1005, "n00003"},
        {"tag, behind it", "{\"query\":" SIMPLE(ATOMIC("tags.auto", "IN", "\"t3\"")) "}", 503, 2, 1005, ""},
        {"one", "{\"query\":" SIMPLE(ATOMIC("base.firstName", "EQUALS", "\"F77\"")) "}", 0, 10, 1, "n00077"},
};

static void check_page(size_t i, const char *found, int64_t total)
{
	if (strcmp(found, pages[i].expected) || total != pages[i].total)
		fail_msg("%s: \"%s\" of %lld instead of \"%s\" of %lld", pages[i].name, found, (long long)total,
		        pages[i].expected, (long long)pages[i].total);
}

static void test_pages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct customer_search search = {.query = str_of(pages[i].query)};
		int64_t total;
		const char *found = find(
		        pages[i].name, &search, (struct page_wanted){BIG_NODE, pages[i].number, pages[i].size}, &total);
		check_page(i, found, total);
	}
}

static const char *find_fixed(
        size_t statement, const char *external_id, int64_t number, int64_t size, int64_t *ret_total)
{
	struct db_params params;
	int64_t limit, offset;

	add_ids(&params, BIG_NODE);
	customer_search_window(number, size, &limit, &offset);
	db_param_i64(&params, limit);
	db_param_i64(&params, offset);
	if (external_id)
		db_param_text(&params, str_of(external_id));
	assert_int_equal(params.n, customer_search_statements[statement].n_params);
	return names_of(
	        execute(customer_search_statements[statement].name, customer_search_statements[statement].sql, &params),
	        ret_total);
}

static void test_fixed_statements(void **state)
{
	int64_t total;

	(void)state;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]) && !pages[i].query; i++) {
		const char *found = find_fixed(0, NULL, pages[i].number, pages[i].size, &total);
		check_page(i, found, total);
	}
	assert_string_equal(find_fixed(1, "n00077", 0, 10, &total), "n00077");
	assert_int_equal(total, 1);
	assert_string_equal(find_fixed(1, "n00077", 1, 10, &total), "");
	assert_int_equal(total, 1);
	assert_string_equal(find_fixed(1, "x", 0, 10, &total), "");
	assert_int_equal(total, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_conditions),
	        cmocka_unit_test(test_times),
	        cmocka_unit_test(test_queries),
	        cmocka_unit_test(test_orders),
	        cmocka_unit_test(test_external_id_and_query_together),
	        cmocka_unit_test(test_pages),
	        cmocka_unit_test(test_fixed_statements),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
