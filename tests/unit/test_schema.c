#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/schema.h"
#include "tests/unit/parts.h"

#include <stdio.h>

static struct schema *compile(struct arena *arena, const char *text)
{
	struct err err;
	struct schema *schema = schema_compile(arena, unit_json(arena, text), NULL, NULL, &err);

	if (!schema)
		CASE_FAIL(text, "%s %s", err.message, err.pointer);
	return schema;
}

/* All faults of a value in one text: "pointer: message; ...". */
static struct str faults(struct arena *arena, const struct schema *schema, const struct json *value)
{
	struct problems *problems = arena_alloc(arena, sizeof(*problems));
	struct buf buf;
	bool ok;

	problems_init(problems, arena);
	ok = schema_validate(schema, value, STR("/base"), problems);
	assert_int_equal(ok, problems->n == 0);
	buf_init(&buf, arena, 256);
	for (size_t i = 0; i < problems->n; i++)
		buf_printf(&buf, "%s%.*s: %.*s", i ? "; " : "", STR_ARG(problems->items[i].path),
		        STR_ARG(problems->items[i].message));
	return buf_str(&buf);
}

static void faults_can_be_read(void **state)
{
	static const struct {
		const char *schema, *value, *faults;
	} cases[] = {
	        {"{\"type\":\"string\"}", "1", "/base: must be a string"},
	        {"{\"type\":[\"string\",\"null\"]}", "1", "/base: must be a string or null"},
	        {"{\"type\":[\"null\",\"object\",\"number\"]}", "true", "/base: must be a number, an object or null"},
	        {"{\"type\":\"integer\"}", "1.5", "/base: must be an integer"},
	        {"{\"type\":\"integer\"}", "1e2", ""},
	        {"{\"type\":\"integer\"}", "12345678901234567890123", ""},
	        {"{\"enum\":[\"b\",\"a\",null,1]}", "\"c\"", "/base: is not one of b, a, null, 1"},
	        {"{\"enum\":[\"b\",\"a\",null,1]}", "1.0", ""},
	        {"{\"const\":\"x\"}", "\"y\"", "/base: is not one of x"},
	        {"{\"additionalProperties\":false}", "{\"a/b~\":1}", "/base/a~1b~0: is not a known property"},
	        {"{\"required\":[\"a\",\"b\"]}", "{\"b\":1}", "/base/a: is required"},
	        {"{\"properties\":{\"a\":{\"items\":{\"properties\":{\"b\":{\"type\":\"null\"}}}}}}",
	                "{\"a\":[{},{\"b\":null},{\"b\":2}]}", "/base/a/2/b: must be null"},
	        {"{\"properties\":{\"a\":{\"type\":\"null\"},\"b\":false},\"additionalProperties\":{\"type\":\"array\"}"
	         "}",
	                "{\"a\":1,\"b\":2,\"c\":3,\"d\":[]}",
	                "/base/a: must be null; /base/b: is not allowed; /base/c: must be an array"},
	        {"{\"maxLength\":2}", "\"\xc3\xa9\xc3\xa9\"", ""},
	        {"{\"maxLength\":2}", "\"abc\"", "/base: must not be longer than 2 characters"},
	        {"{\"minLength\":1}", "\"\"", "/base: must not be shorter than 1 character"},
	        {"{\"minLength\":2}", "\"\xf0\x9f\x98\x80\"", "/base: must not be shorter than 2 characters"},
	        {"{\"minimum\":0.1}", "0.09999999999999999999", "/base: must be at least 0.1"},
	        {"{\"maximum\":9007199254740992}", "9007199254740993", "/base: must be at most 9007199254740992"},
	        {"{\"exclusiveMinimum\":0,\"minimum\":-1}", "0", "/base: must be above 0"},
	        {"{\"exclusiveMaximum\":5,\"maximum\":5}", "5.0", "/base: must be below 5"},
	        {"{\"minItems\":1}", "[]", "/base: must have at least 1 item"},
	        {"{\"maxItems\":1}", "[1,2]", "/base: must not have more than 1 item"},
	        {"{\"maxItems\":0}", "[1]", "/base: must be empty"},
	        {"{\"format\":\"date\"}", "\"2023-02-30\"", "/base: must be a date (yyyy-MM-dd)"},
	        {"{\"format\":\"email\"}", "\"@example.com\"", ""},
	        {"{\"format\":\"email\"}", "\"example.com\"", "/base: must be an e-mail address"},
	        {"{\"pattern\":\"^[a-z]$\"}", "\"a\\n\"", "/base: does not have the form that is asked for"},
	        {"{\"x-maxTotalLength\":4}", "[\"ab\",\"c\xc3\xa9\"]", ""},
	        {"{\"x-maxTotalLength\":4}", "[\"ab\",\"cde\"]",
	                "/base: must not have more than 4 characters in total"},
	        {"{\"x-maxJoinedLength\":4}", "[\"ab\",\"c\"]", ""},
	        {"{\"x-maxJoinedLength\":4}", "[\"ab\",\"cd\"]",
	                "/base: must not have more than 4 characters in total, one between each two items"},
	        /* Alternatives: the one that takes the type speaks. */
	        {"{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"string\",\"maxLength\":1}]}", "\"ab\"",
	                "/base: must not be longer than 1 characters"},
	        {"{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", "1", "/base: must be a string or null"},
	        {"{\"oneOf\":[{\"maxLength\":3},{\"minLength\":2}]}", "\"abc\"",
	                "/base: fits more than one of the forms that are possible"},
	        {"{\"anyOf\":[{\"maxLength\":1},{\"minLength\":3}]}", "\"ab\"",
	                "/base: fits none of the forms that are possible"},
	        {"{\"allOf\":[{\"maxLength\":1},{\"format\":\"date\"}]}", "\"ab\"",
	                "/base: must not be longer than 1 characters; /base: must be a date (yyyy-MM-dd)"},
	        /* Names that are part of the value or the table and nothing else. */
	        {"{\"properties\":{\"\":{\"type\":\"null\"}}}", "{\"\":1}", "/base/: must be null"},
	        {"{\"required\":[\"a\",\"a\"]}", "{\"a\":1}", ""},
	        {"{\"required\":[\"a\"],\"additionalProperties\":false}", "{\"a\":1}",
	                "/base/a: is not a known property"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str found = faults(*state, compile(*state, cases[i].schema), unit_json(*state, cases[i].value));

		if (!str_is(found, cases[i].faults))
			CASE_FAIL(cases[i].schema, "gave \"%.*s\" for %s", STR_ARG(found), cases[i].value);
	}
}

static void schemas_that_cannot_be_compiled(void **state)
{
	static const struct {
		const char *schema, *pointer, *words;
	} cases[] = {
	        {"1", "", "must be an object or a boolean"},
	        {"{\"type\":\"text\"}", "", "unknown type text"},
	        {"{\"type\":[]}", "", "empty list of types"},
	        {"{\"properties\":{\"a\":{\"minLenght\":1}}}", "/properties/a", "unknown keyword minLenght"},
	        {"{\"properties\":[]}", "", "properties that are no object"},
	        {"{\"required\":\"a\"}", "", "required that is no list"},
	        {"{\"required\":[1]}", "", "required that is no list of names"},
	        {"{\"items\":[{}]}", "", "items as a list"},
	        {"{\"items\":{\"format\":\"phone\"}}", "/items", "unknown format phone"},
	        {"{\"format\":1}", "", "unknown format"},
	        {"{\"maxLength\":-1}", "", "not a count: maxLength"},
	        {"{\"maxLength\":1.5}", "", "not a count: maxLength"},
	        {"{\"maximum\":\"1\"}", "", "not a number: maximum"},
	        {"{\"pattern\":\"(\"}", "", "pattern that cannot be compiled: ("},
	        {"{\"pattern\":1}", "", "pattern that is no string"},
	        {"{\"enum\":[]}", "", "enum that is no list, is empty"},
	        {"{\"enum\":[1],\"const\":1}", "", "const beside enum"},
	        {"{\"anyOf\":[]}", "", "not a list of schemas: anyOf"},
	        {"{\"anyOf\":[{},{\"type\":1}]}", "/anyOf/1", "unknown type"},
	        {"{\"$ref\":\"other.json\"}", "", "reference that leads nowhere: other.json"},
	        {"{\"properties\":{\"a\":{\"$ref\":\"#/definitions/x\"}}}", "/properties/a", "leads nowhere"},
	        {"{\"$ref\":\"#\"}", "", "reference that leads to itself"},
	        {"{\"allOf\":[{\"$ref\":\"#\"}]}", "/allOf/0", "schema that contains itself"},
	        {"{\"definitions\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/definitions/b\"}]},"
	         "\"b\":{\"oneOf\":[{\"$ref\":\"#/definitions/a\"}]}},\"items\":{\"$ref\":\"#/definitions/a\"}}",
	                "/items/anyOf/0/oneOf/0", "schema that contains itself"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *document = unit_json(*state, cases[i].schema);
		struct err err = {.code = ERR_NONE};

		if (schema_compile(*state, document, NULL, NULL, &err))
			CASE_FAIL(cases[i].schema, "was compiled");
		if (err.code != ERR_INVALID || strcmp(err.pointer, cases[i].pointer) != 0 ||
		        !strstr(err.message, cases[i].words))
			CASE_FAIL(cases[i].schema, "gave \"%s\" at \"%s\"", err.message, err.pointer);
		assert_null(schema_compile(*state, document, NULL, NULL, NULL));
	}
}

static void formats_are_lenient(void **state)
{
	static const struct {
		const char *format, *text;
		bool matches;
	} cases[] = {
	        {"email", "a@b", true},
	        {"email", "@example.com", true},
	        {"email", "a", false},
	        {"email", "", false},
	        {"uri", "https://example.com/a?b=c#d", true},
	        {"uri", "www.example.com", true},
	        {"uri", "a b", false},
	        {"uri", "a\tb", false},
	        {"date", "1999-12-31", true},
	        {"date", "1999-12-31T00:00:00Z", false},
	        {"date-time", "1999-12-31T10:11:12.5+02", true},
	        {"date-time", "1999-12-31", true},
	        {"date-time", "yesterday", false},
	        {"ipv4", "127.0.0.1", true},
	        {"ipv4", "127.0.0.01", false},
	        {"ipv4", "127.0.0.256", false},
	        {"ipv4", "127.0.0.1.", false},
	        {"ipv6", "::1", true},
	        {"ipv6", "::ffff:127.0.0.1", true},
	        {"ipv6", "127.0.0.1", false},
	        {"ipv6", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false},
	        {"ip", "::1", true},
	        {"ip", "10.1.2.3", true},
	        {"ip", "host", false},
	        {"hostname", "www.example-1.com", true},
	        {"hostname", "-a.com", false},
	        {"hostname", "a_b.com", false},
	        {"hostname", "a..com", false},
	        {"hostname", "", false},
	        {"uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", true},
	        {"uuid", "6ba7b810", false},
	        {"colour", "anything", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (schema_format_matches(str_of(cases[i].format), str_of(cases[i].text)) != cases[i].matches)
			CASE_FAIL(cases[i].format, "%s", cases[i].text);
	}
	assert_false(schema_format_matches(STR("ipv4"), STR("1.2.3.4\0")));
}

static void reports_are_bounded(void **state)
{
	struct schema *schema = compile(*state, "{\"additionalProperties\":{\"additionalProperties\":false}}");
	struct problems *problems = arena_alloc(*state, sizeof(*problems));
	struct json *value = json_new(*state, JSON_OBJECT), *inner = json_new(*state, JSON_OBJECT);
	size_t before;

	char *name = arena_alloc(*state, 60000);

	memset(name, '~', 60000);
	json_add(value, (struct str){name, 60000}, inner);
	for (int i = 0; i < 5000; i++)
		json_add(inner, str_of(arena_printf(*state, "%d", i)), json_new(*state, JSON_NULL));
	problems_init(problems, *state);
	before = arena_used_bytes(*state);
	assert_false(schema_validate(schema, value, STR(""), problems));
	assert_int_equal(problems->n, PROBLEMS_MAX);
	assert_true(arena_used_bytes(*state) - before < 500000);
}

/* A pattern made to explode gives up and says no. */
static void patterns_are_bounded(void **state)
{
	struct schema *schema = compile(*state, "{\"pattern\":\"^(a+)+$\"}");

	assert_str(faults(*state, schema, unit_json(*state, "\"aaaaaa\"")), "");
	assert_str(
	        faults(*state, schema, unit_json(*state, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"")),
	        "/base: does not have the form that is asked for");
}

static const struct json *resolve_one(void *context, struct str reference)
{
	return str_is(reference, "extended.json#/event") ? context : NULL;
}

static void references_go_to_the_caller(void **state)
{
	const struct json *extended =
	        unit_json(*state, "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"number\"}}}");
	const struct json *document = unit_json(*state,
	        "{\"properties\":{\"extended\":{\"$ref\":\"extended.json#/event\"},\"more\":{\"$ref\":\"#\"}}}");
	struct schema *schema = schema_compile(*state, document, resolve_one, (void *)extended, NULL);

	assert_non_null(schema);
	assert_str(faults(*state, schema, unit_json(*state, "{\"more\":{\"more\":{\"extended\":{\"n\":\"x\"}}}}")),
	        "/base/more/more/extended/n: must be a number");
}

static void many_required_members(void **state)
{
	for (int n = 63; n <= 65; n++) {
		struct json *document = json_new(*state, JSON_OBJECT);
		struct json *names = json_set(document, STR("required"), json_new(*state, JSON_ARRAY));
		struct json *value = json_new(*state, JSON_OBJECT);
		struct schema *schema;

		for (int i = 0; i < n; i++) {
			struct str name = str_of(arena_printf(*state, "name%d", i));

			json_append(names, json_new_str(*state, name));
			if (i != 40)
				json_add(value, name, json_new(*state, JSON_NULL));
		}
		schema = schema_compile(*state, document, NULL, NULL, NULL);
		assert_int_equal(schema != NULL, n <= 64);
		if (schema)
			assert_str(faults(*state, schema, value), "/base/name40: is required");
	}
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, unit_arena_new, unit_arena_free)
	const struct CMUnitTest tests[] = {
	        TEST(faults_can_be_read),
	        TEST(schemas_that_cannot_be_compiled),
	        TEST(formats_are_lenient),
	        TEST(reports_are_bounded),
	        TEST(patterns_are_bounded),
	        TEST(references_go_to_the_caller),
	        TEST(many_required_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
