#include "unit.h"

#include "common/arena.h"
#include "common/json.h"
#include "gateway/customer_search.h"
#include "gateway/query.h"

/*
 * Queries and the SQL that they become. In the expected text V stands for the parameter with all values,
 * "($3::text[])"; the values follow, separated by blanks and a bar. What the SQL finds is tested on PostgreSQL
 * (component test_query_pg).
 */

static struct arena *arena;
static struct json *declared;

static int set_up(void **state)
{
	struct err err;

	(void)state;
	arena = arena_new(64 << 20);
	declared = json_parse(arena,
	        STR("{\"points\":{\"type\":[\"number\",\"null\"]},\"member\":{\"type\":\"boolean\"},"
	            "\"seen\":{\"type\":\"string\",\"format\":\"date-time\"},"
	            "\"sizes\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},"
	            "\"car\":{\"type\":\"object\",\"properties\":{\"doors\":{\"type\":\"integer\"}}},"
	            "\"od\\\"d\":{\"type\":\"string\"}}"),
	        &err);
	return declared ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static const struct json *extended(const void *context, struct str set)
{
	(void)context;
	return str_is(set, "customer") || str_is(set, "event:completedOrder") ? declared : NULL;
}

static const struct attribute_source source = {.extended = extended};

/* The text with V for the parameter. */
static const char *shorten(struct str text)
{
	struct buf buf;

	buf_init(&buf, arena, text.n + 1);
	while (text.n) {
		size_t n = str_starts(text, STR(SQL_VALUES)) ? sizeof(SQL_VALUES) - 1 : 1;
		buf_add_char(&buf, n > 1 ? 'V' : text.p[0]);
		text.p += n;
		text.n -= n;
	}
	buf_add_char(&buf, '\0');
	return buf.p;
}

static const char *values_of(const struct sql *sql)
{
	struct buf buf;

	buf_init(&buf, arena, 256);
	for (size_t i = 1; i <= sql_count(sql); i++) {
		buf_add(&buf, " | ", i > 1 ? 3 : 0);
		buf_add_str(&buf, sql_value(sql, i));
	}
	buf_add_char(&buf, '\0');
	return buf.p;
}

/* Simple query around one condition. */
static struct str around(const char *condition)
{
	return str_of(arena_printf(arena, "{\"query\":{\"type\":\"simple\",\"are\":{\"condition\":%s}}}", condition));
}

/* attribute, operator and the rest of the condition (",\"value\":..." or nothing) */
static struct str atomic(const char *attribute, const char *operator, const char * value)
{
	return around(arena_printf(arena, "{\"type\":\"atomic\",\"attribute\":\"%s\",\"operator\":\"%s\"%s%s}",
	        attribute, operator, value ? ",\"value\":" : "", value ? value : ""));
}

static void check_sql(const char *name, struct str query, const char *expected, const char *values)
{
	struct sql sql;
	struct err err = {0};

	sql_init(&sql, arena);
	if (!query_compile(arena, query, &source, &sql, &err))
		CASE_FAIL(name, "refused: %s (%s)", err.message, err.pointer);
	if (strcmp(shorten(buf_str(&sql.text)), expected))
		CASE_FAIL(name, "SQL\n%s\ninstead of\n%s", shorten(buf_str(&sql.text)), expected);
	if (strcmp(values_of(&sql), values))
		CASE_FAIL(name, "values\n%s\ninstead of\n%s", values_of(&sql), values);
}

#define DOB "((c.doc #>> V[1:2]) COLLATE \"C\")"

static const struct {
	const char *attribute, *operator, * value, *sql, *values;
} atomics[] = {
        /* columns */
        {"externalId", "EQUALS", "\"x\"", "((c.external_id = V[1]))", "x"},
        {"externalId", "NOT_EQUALS", "\"x\"", "((c.external_id = V[1]) IS NOT TRUE)", "x"},
        {"externalId", "IN", "[\"x\",\"y\"]", "((c.external_id = ANY (V[1:2])))", "x | y"},
        {"externalId", "LIKE", "\"a%\"", "((c.external_id LIKE V[1]))", "a%"},
        {"externalId", "IS_NULL", NULL, "((c.external_id IS NULL))", ""},
        {"id", "EQUALS", "\"0193A000-0000-7000-8000-000000000001\"", "((c.id = V[1]::uuid))",
                "0193a000-0000-7000-8000-000000000001"},
        {"id", "EQUALS", "\"123\"", "((false))", ""},
        {"id", "NOT_IN", "[\"123\",7]", "((false) IS NOT TRUE)", ""},
        {"nodeId", "IN", "[\"0193a000-0000-7000-8000-000000000001\",\"x\"]", "((c.node_id = V[1]::uuid))",
                "0193a000-0000-7000-8000-000000000001"},
        {"enabled", "EQUALS", "false", "((c.enabled = V[1]::boolean))", "false"},
        {"enabled", "EQUALS", "\"1\"", "((c.enabled = V[1]::boolean))", "true"},
        {"enabled", "EQUALS", NULL, "((c.enabled = V[1]::boolean))", "false"},
        {"version", "GTE", "\"2\"", "((c.version >= V[1]::numeric))", "2"},
        {"updatedAt", "EQUALS", "\"2020-01-01T00:00:00.123456Z\"",
                "((c.updated_us - (c.updated_us % 1000 + 1000) % 1000 = V[1]::bigint))", "1577836800123000"},
        {"updatedAt", "GTE", "1577836800123", "((c.updated_us >= V[1]::bigint))", "1577836800123000"},
        {"updatedAt", "GT", "1577836800123", "((c.updated_us >= V[1]::bigint))", "1577836800124000"},
        {"updatedAt", "LTE", "\"1577836800123\"", "((c.updated_us < V[1]::bigint))", "1577836800124000"},
        {"updatedAt", "LT", "1577836800123", "((c.updated_us < V[1]::bigint))", "1577836800123000"},
        {"registeredAt", "BETWEEN", "[\"2020-01-01\",\"2020-01-02T01:00:00+01:00\"]",
                "((c.registered_us >= V[1]::bigint AND c.registered_us < V[2]::bigint))",
                "1577836800000000 | 1577923200001000"},
        /* equality in the document is containment, which the index on it serves */
        {"base.contacts.email", "EQUALS", "\"a\\\"b\"", "((c.doc @> V[1]::jsonb))",
                "{\"base\":{\"contacts\":{\"email\":\"a\\\"b\"}}}"},
        {"base.firstName", "NOT_EQUALS", "\"A\"", "((c.doc @> V[1]::jsonb) IS NOT TRUE)",
                "{\"base\":{\"firstName\":\"A\"}}"},
        {"base.firstName", "EQUALS", "5", "((c.doc @> V[1]::jsonb))", "{\"base\":{\"firstName\":\"5\"}}"},
        {"base.firstName", "EQUALS", "true", "((c.doc @> V[1]::jsonb))", "{\"base\":{\"firstName\":\"true\"}}"},
        {"base.firstName", "EQUALS", NULL, "((c.doc @> V[1]::jsonb))", "{\"base\":{\"firstName\":\"\"}}"},
        {"base.firstName", "EQUALS", "null", "(((c.doc #>> V[1:2]) IS NULL))", "base | firstName"},
        {"base.firstName", "IN", "[\"A\",\"B\"]", "((c.doc @> ANY (V[1:2]::jsonb[])))",
                "{\"base\":{\"firstName\":\"A\"}} | {\"base\":{\"firstName\":\"B\"}}"},
        {"base.firstName", "IN", "[]", "((false))", ""},
        {"base.firstName", "NOT_IN", "\"A\"", "((c.doc @> V[1]::jsonb) IS NOT TRUE)",
                "{\"base\":{\"firstName\":\"A\"}}"},
        {"extended.points", "EQUALS", "\"5\"", "((c.doc @> V[1]::jsonb))", "{\"extended\":{\"points\":5}}"},
        {"extended.points", "EQUALS", "5.00", "((c.doc @> V[1]::jsonb))", "{\"extended\":{\"points\":5.00}}"},
        {"extended.points", "IN", "[1,2,3,4,5,6,7,8,9,10]",
                "(((c.doc #> V[21:22]) = ANY (V[11:20]::jsonb[]) AND c.doc @> ANY (V[1:10]::jsonb[])))",
                "{\"extended\":{\"points\":1}} | {\"extended\":{\"points\":2}} | {\"extended\":{\"points\":3}} | "
                "{\"extended\":{\"points\":4}} | {\"extended\":{\"points\":5}} | {\"extended\":{\"points\":6}} | "
                "{\"extended\":{\"points\":7}} | {\"extended\":{\"points\":8}} | {\"extended\":{\"points\":9}} | "
                "{\"extended\":{\"points\":10}} | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | extended | points"},
        {"extended.points", "EQUALS", NULL, "((c.doc @> V[1]::jsonb))", "{\"extended\":{\"points\":0}}"},
        {"extended.member", "EQUALS", "\"true\"", "((c.doc @> V[1]::jsonb))", "{\"extended\":{\"member\":true}}"},
        {"extended.car.doors", "EQUALS", "4", "((c.doc @> V[1]::jsonb))", "{\"extended\":{\"car\":{\"doors\":4}}}"},
        {"extended.od\\\"d", "EQUALS", "\"x\"", "((c.doc @> V[1]::jsonb))", "{\"extended\":{\"od\\\"d\":\"x\"}}"},
        {"extra", "EQUALS", "\"n\"", "((c.doc @> V[1]::jsonb))", "{\"extra\":\"n\"}"},
        {"consents.softSpam.email.status", "EQUALS", "true", "((c.doc @> V[1]::jsonb))",
                "{\"consents\":{\"softSpam\":{\"email\":{\"status\":true}}}}"},
        /* any element of a list */
        {"tags.auto", "IN", "\"x\"", "((c.doc @> V[1]::jsonb))", "{\"tags\":{\"auto\":[\"x\"]}}"},
        {"base.subscriptions.id", "EQUALS", "\"x\"", "((c.doc @> V[1]::jsonb))",
                "{\"base\":{\"subscriptions\":[{\"id\":\"x\"}]}}"},
        {"base.subscriptions.preferences.key", "EQUALS", "\"k\"", "((c.doc @> V[1]::jsonb))",
                "{\"base\":{\"subscriptions\":[{\"preferences\":[{\"key\":\"k\"}]}]}}"},
        {"extended.sizes", "GT", "40",
                "((EXISTS (SELECT FROM jsonb_path_query(c.doc, V[1]::jsonpath) v WHERE jsonb_typeof(v) = 'number' AND "
                "v > V[2]::jsonb)))",
                "$.\"extended\".\"sizes\"[*] | 40"},
        {"base.educations.schoolName", "LIKE", "\"S%\"",
                "((EXISTS (SELECT FROM jsonb_path_query(c.doc, V[1]::jsonpath) v WHERE ((v #>> '{}') COLLATE \"C\") "
                "LIKE V[2])))",
                "$.\"base\".\"educations\"[*].\"schoolName\" | S%"},
        {"base.jobs", "IS_NULL", NULL,
                "((NOT EXISTS (SELECT FROM jsonb_path_query(c.doc, V[1]::jsonpath) v WHERE v <> 'null')))",
                "$.\"base\".\"jobs\"[*]"},
        {"base.jobs.startDate", "LTE", "\"2020-01-01\"",
                "((EXISTS (SELECT FROM jsonb_path_query(c.doc, V[1]::jsonpath) v WHERE ((v #>> '{}') COLLATE \"C\") "
                "<= "
                "V[2])))",
                "$.\"base\".\"jobs\"[*].\"startDate\" | 2020-01-01"},
        /* order */
        {"base.lastName", "GTE", "\"M\"", "((((c.doc #>> V[1:2]) COLLATE \"C\") >= V[3]))", "base | lastName | M"},
        {"extended.points", "BETWEEN", "[1,\"2\"]",
                "((jsonb_typeof((c.doc #> V[1:2])) = 'number' AND (c.doc #> V[3:4]) >= V[5]::jsonb AND (c.doc #> "
                "V[6:7]) <= V[8]::jsonb))",
                "extended | points | extended | points | 1 | extended | points | 2"},
        {"base.address.geo.lat", "LT", "45",
                "((jsonb_typeof((c.doc #> V[1:4])) = 'number' AND (c.doc #> V[5:8]) < V[9]::jsonb))",
                "base | address | geo | lat | base | address | geo | lat | 45"},
        {"base.address", "IS_NOT_NULL", "\"\"", "(((c.doc #>> V[1:2]) IS NULL) IS NOT TRUE)", "base | address"},
        /* days */
        {"base.dob", "EQUALS", "\"1970-06-30T00:00:00+02:00\"", "((c.doc @> V[1]::jsonb))",
                "{\"base\":{\"dob\":\"1970-06-30\"}}"},
        {"base.dob", "EQUALS", "\"1970-06-30T10:00:00Z\"", "((false))", ""},
        {"base.dob", "EQUALS", "-86400000", "((c.doc @> V[1]::jsonb))", "{\"base\":{\"dob\":\"1969-12-31\"}}"},
        {"base.dob", "GTE", "\"1970-06-30\"", "((" DOB " >= V[3]))", "base | dob | 1970-06-30"},
        {"base.dob", "GTE", "\"1970-06-30T00:00:01Z\"", "((" DOB " > V[3]))", "base | dob | 1970-06-30"},
        {"base.dob", "LT", "\"1970-06-30T00:00:00.001Z\"", "((" DOB " <= V[3]))", "base | dob | 1970-06-30"},
        {"base.dob", "LT", "1", "((" DOB " <= V[3]))", "base | dob | 1970-01-01"},
        {"base.dob", "LT", "\"0\"", "((" DOB " < V[3]))", "base | dob | 1970-01-01"},
};

static void test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(atomics); i++) {
		const char *name = arena_printf(arena, "%s %s %s", atomics[i].attribute, atomics[i].operator,
		        atomics[i].value ? atomics[i].value : "");
		/* the parentheses of the simple query */
		check_sql(name, atomic(atomics[i].attribute, atomics[i].operator, atomics[i].value), atomics[i].sql,
		        atomics[i].values);
	}
}

#define IS(id) "{\"type\":\"atomic\",\"attribute\":\"externalId\",\"operator\":\"EQUALS\",\"value\":\"" id "\"}"
#define SIMPLE(condition) "{\"type\":\"simple\",\"name\":\"q\",\"are\":{\"condition\":" condition "}}"
#define COMPOSITE(conjunction, conditions)                                                                             \
	"{\"type\":\"composite\",\"conjunction\":\"" conjunction "\",\"conditions\":[" conditions "]}"
#define COMBINED(conjunction, queries)                                                                                 \
	"{\"type\":\"combined\",\"conjunction\":\"" conjunction "\",\"queries\":[" queries "]}"
#define SQL_IS(number) "(c.external_id = V[" number "])"

static const struct {
	const char *name, *query, *sql, *values;
} nested[] = {
        {"and", SIMPLE(COMPOSITE("and", IS("a") "," IS("b"))), "((" SQL_IS("1") " AND " SQL_IS("2") "))", "a | b"},
        {"or in and", SIMPLE(COMPOSITE("and", IS("a") "," COMPOSITE("or", IS("b") "," IS("c")))),
                "((" SQL_IS("1") " AND (" SQL_IS("2") " OR " SQL_IS("3") ")))", "a | b | c"},
        {"intersect", COMBINED("INTERSECT", SIMPLE(IS("a")) "," SIMPLE(IS("b"))),
                "((" SQL_IS("1") ") AND (" SQL_IS("2") "))", "a | b"},
        {"union of one", COMBINED("UNION", SIMPLE(IS("a"))), "((" SQL_IS("1") "))", "a"},
        {"except", COMBINED("EXCEPT", SIMPLE(IS("a")) "," SIMPLE(IS("b")) "," SIMPLE(IS("c"))),
                "((" SQL_IS("1") ") AND (" SQL_IS("2") ") IS NOT TRUE AND (" SQL_IS("3") ") IS NOT TRUE)", "a | b | c"},
        {"did", "{\"type\":\"simple\",\"did\":{\"event\":{\"name\":\"completedOrder\"}}}",
                "(EXISTS (SELECT FROM events e WHERE e.workspace_id = $1 AND e.customer_id = c.id AND e.type = V[1]))",
                "completedOrder"},
        {"did with condition, timeframe and are",
                "{\"type\":\"simple\",\"are\":{\"condition\":" IS(
                        "a") "},\"did\":{\"event\":{\"name\":\"completedOrder\"},"
                             "\"condition\":{\"type\":\"atomic\",\"attribute\":\"properties.products.sku\","
                             "\"operator\":\"EQUALS\","
                             "\"value\":\"s\"},\"timeframe\":{\"type\":\"atomic\",\"attribute\":\"date\",\"operator\":"
                             "\"GT\","
                             "\"value\":1577836800000}}}",
                "(" SQL_IS(
                        "1") " AND EXISTS (SELECT FROM events e WHERE e.workspace_id = $1 AND e.customer_id = c.id AND "
                             "e.type = V[2] AND (e.body::jsonb @> V[3]::jsonb) AND (e.date_us >= V[4]::bigint)))",
                "a | completedOrder | {\"properties\":{\"products\":[{\"sku\":\"s\"}]}} | 1577836800001000"},
};

static void test_nesting(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nested); i++)
		check_sql(nested[i].name, str_of(arena_printf(arena, "{\"query\":%s}", nested[i].query)), nested[i].sql,
		        nested[i].values);
}

static void check_refused(const char *name, struct str query, const char *pointer, const char *words)
{
	struct sql sql;
	struct err err = {0};

	sql_init(&sql, arena);
	if (query_compile(arena, query, &source, &sql, &err))
		CASE_FAIL(name, "accepted: %s", shorten(buf_str(&sql.text)));
	assert_int_equal(err.code, ERR_INVALID);
	if (strcmp(err.pointer, pointer) || !strstr(err.message, words))
		CASE_FAIL(name, "\"%s\" at %s instead of %s", err.message, err.pointer, pointer);
}

#define HERE "/query/are/condition"

static const struct {
	const char *attribute, *operator, * value, *pointer, *words;
} bad_atomics[] = {
        {"base.nothing", "EQUALS", "1", HERE "/attribute", "no such attribute"},
        {"base..firstName", "EQUALS", "1", HERE "/attribute", "no such attribute"},
        {"base.firstName.x", "EQUALS", "1", HERE "/attribute", "no such attribute"},
        {"extended.undeclared", "EQUALS", "1", HERE "/attribute", "no such attribute"},
        {"", "EQUALS", "1", HERE "/attribute", "path"},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n", "EQUALS", "1", HERE "/attribute", "no such attribute"},
        {"extra", "EQUAL", "1", HERE "/operator", "EQUALS"},
        {"extra", "equals", "1", HERE "/operator", "EQUALS"},
        {"base.address", "EQUALS", "1", HERE "/operator", "object"},
        {"base.subscriptions", "IN", "1", HERE "/operator", "object"},
        {"enabled", "GT", "true", HERE "/operator", "order"},
        {"id", "LT", "\"x\"", HERE "/operator", "order"},
        {"extended.points", "LIKE", "\"5\"", HERE "/operator", "text"},
        {"extra", "EQUALS", "{\"a\":1}", HERE "/value", "text"},
        {"extra", "EQUALS", "[\"a\"]", HERE "/value", "one value"},
        {"extra", "IN", "[\"a\",[\"b\"]]", HERE "/value/1", "text"},
        {"extra", "IN", "[null]", HERE "/value/0", "text"},
        {"extra", "LIKE", "\"a\\\\\"", HERE "/value", "escape"},
        {"extra", "LIKE", "5", HERE "/value", "pattern"},
        {"extra", "LIKE", NULL, HERE "/value", "pattern"},
        {"extended.points", "EQUALS", "\"five\"", HERE "/value", "number"},
        {"extended.points", "EQUALS", "\"\"", HERE "/value", "number"},
        {"extended.points", "GT", "true", HERE "/value", "number"},
        {"extended.points", "BETWEEN", "5", HERE "/value", "two values"},
        {"extended.points", "BETWEEN", "[5]", HERE "/value", "two values"},
        {"extended.points", "BETWEEN", "[1,2,3]", HERE "/value", "two values"},
        {"extended.points", "BETWEEN", "[1,\"x\"]", HERE "/value/1", "number"},
        {"extended.member", "EQUALS", "\"maybe\"", HERE "/value", "true or false"},
        {"base.dob", "EQUALS", "\"30.6.1970\"", HERE "/value", "date"},
        {"base.dob", "EQUALS", "\"2021-02-29\"", HERE "/value", "date"},
        {"base.dob", "GT", "99999999999999999", HERE "/value", "date"},
        {"base.dob", "GT", NULL, HERE "/value", "date"},
        {"updatedAt", "GT", "1.5", HERE "/value", "date"},
};

static void test_bad_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_atomics); i++)
		check_refused(arena_printf(arena, "%s %s", bad_atomics[i].attribute, bad_atomics[i].operator),
		        atomic(bad_atomics[i].attribute, bad_atomics[i].operator, bad_atomics[i].value),
		        bad_atomics[i].pointer, bad_atomics[i].words);
}

static const struct {
	const char *query, *pointer, *words;
} bad_queries[] = {
        {"", "", ""},
        {"{", "", ""},
        {"null", "", "object"},
        {"{}", "/query", "object"},
        {"{\"query\":[]}", "/query", "object"},
        {"{\"query\":{}}", "/query/type", "simple"},
        {"{\"query\":{\"type\":\"simple\"}}", "/query", "are"},
        {"{\"query\":{\"type\":\"simple\",\"are\":5}}", "/query/are", "object"},
        {"{\"query\":{\"type\":\"simple\",\"are\":{}}}", "/query/are/condition", "object"},
        {"{\"query\":{\"type\":\"simple\",\"are\":{\"condition\":{\"type\":\"x\"}}}}", "/query/are/condition/type",
                "atomic"},
        {"{\"query\":" SIMPLE(COMPOSITE("xor", IS("a"))) "}", "/query/are/condition/conjunction", "and"},
        {"{\"query\":" SIMPLE(COMPOSITE("and", "")) "}", "/query/are/condition/conditions", "at least one"},
        {"{\"query\":" SIMPLE(COMPOSITE("and", IS("a") ",5")) "}", "/query/are/condition/conditions/1", "object"},
        {"{\"query\":" COMBINED("union", SIMPLE(IS("a"))) "}", "/query/conjunction", "UNION"},
        {"{\"query\":" COMBINED("UNION", "") "}", "/query/queries", "at least one"},
        {"{\"query\":" COMBINED("UNION", SIMPLE(IS("a")) ",{\"type\":\"simple\"}") "}", "/query/queries/1", "are"},
        {"{\"query\":{\"type\":\"simple\",\"did\":{}}}", "/query/did/event", "object"},
        {"{\"query\":{\"type\":\"simple\",\"did\":{\"event\":{\"name\":\"x\"}}}}", "/query/did/event/name",
                "event type"},
        {"{\"query\":{\"type\":\"simple\",\"did\":{\"event\":{\"name\":\"completedOrder\"},\"timeframe\":{\"type\":"
         "\"atomic\",\"attribute\":\"base.firstName\",\"operator\":\"IS_NULL\"}}}}",
                "/query/did/timeframe/attribute", "no such attribute"},
};

static void test_bad_queries(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_queries); i++)
		check_refused(bad_queries[i].query, str_of(bad_queries[i].query), bad_queries[i].pointer,
		        bad_queries[i].words);
}

/* n conditions */
static struct str many_conditions(size_t n)
{
	struct buf buf;

	buf_init(&buf, arena, 16384);
	for (size_t i = 0; i < n; i++)
		buf_printf(
		        &buf, "%s{\"type\":\"atomic\",\"attribute\":\"extra\",\"operator\":\"IS_NULL\"}", i ? "," : "");
	buf_add_char(&buf, '\0');
	return around(
	        arena_printf(arena, "{\"type\":\"composite\",\"conjunction\":\"or\",\"conditions\":[%s]}", buf.p));
}

static void test_bounds(void **state)
{
	struct sql sql;
	struct err err;
	struct buf buf;

	(void)state;
	sql_init(&sql, arena);
	assert_true(query_compile(arena, many_conditions(QUERY_MAX_CONDITIONS), &source, &sql, &err));
	check_refused("conditions", many_conditions(QUERY_MAX_CONDITIONS + 1), HERE "/conditions/100", "100");

	buf_init(&buf, arena, 16384);
	for (int i = 0; i <= QUERY_MAX_VALUES; i++)
		buf_printf(&buf, "%s%d", i ? "," : "[", i);
	buf_add(&buf, "]", 2);
	check_refused("values", atomic("extended.points", "IN", buf.p), HERE "/value", "1000");

	memset(buf_reserve(&buf, QUERY_MAX_BYTES), ' ', QUERY_MAX_BYTES);
	check_refused("bytes", buf_str(&buf), "", "16384");

	buf.n = 0;
	for (int i = 0; i < 40; i++)
		buf_printf(&buf, "{\"type\":\"composite\",\"conjunction\":\"or\",\"conditions\":[");
	buf_add_char(&buf, '\0');
	sql_init(&sql, arena);
	assert_false(query_compile(arena, around(buf.p), &source, &sql, &err));
}

static void test_nothing_from_the_request_gets_into_the_text(void **state)
{
	static const char *const hostile[] = {"'; DROP TABLE customers; --", "$1", "\\\\", "%", "V[1]", "\\u0001"};
	struct sql sql;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		static const char *const used[] = {"EQUALS", "GT", "LIKE", "IN"};
		for (size_t o = 0; o < ARRAY_LEN(used); o++) {
			sql_init(&sql, arena);
			if (query_compile(arena,
			            atomic("base.firstName", used[o], arena_printf(arena, "\"%s\"", hostile[i])),
			            &source, &sql, &err))
				assert_null(strpbrk(shorten(buf_str(&sql.text)), ";$%\\"));
		}
	}
}

static void test_hidden_password(void **state)
{
	struct attribute_source hidden = {.hide_password = true};
	struct attribute attribute;

	(void)state;
	assert_true(attribute_find(&source, STR("base.credential.password"), &attribute));
	assert_false(attribute_find(&hidden, STR("base.credential.password"), &attribute));
	assert_true(attribute_find(&hidden, STR("base.credential.username"), &attribute));
}

static const struct {
	const char *sort[3];
	const char *columns, *order; /* NULL: refused */
} sorts[] = {
        {{"updatedAt,desc"}, ", c.updated_us AS k1", "p.k1 DESC, p.id"},
        {{"externalId"}, ", c.external_id AS k1", "p.k1, p.id"},
        {{"externalId,DESC"}, ", c.external_id AS k1", "p.k1 DESC NULLS LAST, p.id"},
        {{"base.dob,Asc"}, ", ((c.doc #>> V[1:2]) COLLATE \"C\") AS k1", "p.k1, p.id"},
        {{"extended.points,desc", "enabled"}, ", (c.doc #> V[1:2]) AS k1, c.enabled AS k2",
                "p.k1 DESC NULLS LAST, p.k2, p.id"},
        {{"version,intId,desc", "", "enabled,asc"}, ", c.version AS k1, c.int_id AS k2, c.enabled AS k3",
                "p.k1 DESC, p.k2 DESC, p.k3, p.id"},
        {{"version,asc,intId,desc"}, ", c.version AS k1, c.int_id AS k2", "p.k1, p.k2 DESC, p.id"},
        {{"base.firstName,up"}, NULL, NULL},
        {{"base.firstName,asc,desc"}, NULL, NULL},
        {{",asc"}, NULL, NULL},
        {{"asc"}, NULL, NULL},
        {{"base"}, NULL, NULL},
        {{"tags.auto"}, NULL, NULL},
        {{"base.jobs.companyName"}, NULL, NULL},
        {{"id,id,id,id,id"}, NULL, NULL},
};

static void test_sort(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sorts); i++) {
		struct sort sort = {0};
		struct err err = {0};
		struct sql sql;
		bool good = true;
		for (size_t n = 0; n < ARRAY_LEN(sorts[i].sort) && sorts[i].sort[n]; n++)
			good = good && sort_parse(&sort, &source, str_of(sorts[i].sort[n]), &err);
		if (good != (sorts[i].order != NULL))
			CASE_FAIL(sorts[i].sort[0], "%s", good ? "accepted" : err.message);
		if (!good) {
			assert_string_equal(err.pointer, "/sort");
			continue;
		}
		sql_init(&sql, arena);
		sort_add_columns(&sql, &sort);
		assert_string_equal(shorten(buf_str(&sql.text)), sorts[i].columns);
		sql.text.n = 0;
		sort_add_order(&sql, &sort, "p.");
		assert_str(buf_str(&sql.text), sorts[i].order);
	}
}

static const struct {
	int64_t number, size, limit, offset;
} windows[] = {
        {0, 10, 10, 0},
        {3, 50, 50, 150},
        {199, 50, 50, 9950},
        {200, 50, 0, 10000},
        {322, 31, 18, 9982},
        {INT64_MAX, 50, 0, 10000},
};

static void test_windows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		int64_t limit, offset;
		customer_search_window(windows[i].number, windows[i].size, &limit, &offset);
		assert_int_equal(limit, windows[i].limit);
		assert_int_equal(offset, windows[i].offset);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_conditions),
	        cmocka_unit_test(test_nesting),
	        cmocka_unit_test(test_bad_conditions),
	        cmocka_unit_test(test_bad_queries),
	        cmocka_unit_test(test_bounds),
	        cmocka_unit_test(test_nothing_from_the_request_gets_into_the_text),
	        cmocka_unit_test(test_hidden_password),
	        cmocka_unit_test(test_sort),
	        cmocka_unit_test(test_windows),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
