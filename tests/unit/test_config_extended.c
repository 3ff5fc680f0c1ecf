#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/clock.h"
#include "common/config_doc.h"
#include "common/extended.h"
#include "common/json.h"
#include "common/schema.h"
#include "tests/unit/parts.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

static const struct {
	const char *name, *present, *sent;
	const char *problems; /* pointers; "" = taken */
} definitions[] = {
        {.name = "empty", .sent = "{}", .problems = ""},
        {.name = "sample of the API document",
                .sent = "{\"property1\":{\"contactlabProperties\":{\"maxLength\":255,\"label\":\"string\","
                        "\"enabled\":true,\"indexed\":true,\"flowEnabled\":true},\"type\":\"number\"}}",
                .problems = ""},
        {.name = "every type",
                .sent = "{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"number\"},\"c\":{\"type\":\"integer\"},"
                        "\"d\":{\"type\":\"boolean\"},\"e\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}"
                        "},"
                        "\"f\":{\"type\":\"object\",\"properties\":{\"g\":{\"type\":\"string\"}}}}",
                .problems = ""},
        {.name = "nullable",
                .sent = "{\"a\":{\"type\":[\"string\",\"null\"]},\"b\":{\"type\":[\"null\",\"number\"]}}",
                .problems = ""},
        {.name = "two types", .sent = "{\"a\":{\"type\":[\"string\",\"number\"]}}", .problems = "/a/type"},
        {.name = "no type", .sent = "{\"a\":{}}", .problems = "/a/type"},
        {.name = "unknown type", .sent = "{\"a\":{\"type\":\"date\"}}", .problems = "/a/type"},
        {.name = "only null", .sent = "{\"a\":{\"type\":\"null\"}}", .problems = "/a/type"},
        {.name = "no definition", .sent = "{\"a\":7}", .problems = "/a"},
        {.name = "formats",
                .sent = "{\"a\":{\"type\":\"string\",\"format\":\"date\"},\"b\":{\"type\":\"string\","
                        "\"format\":\"ipv6\"}}",
                .problems = ""},
        {.name = "unknown format",
                .sent = "{\"a\":{\"type\":\"string\",\"format\":\"phone\"}}",
                .problems = "/a/format"},
        {.name = "format of a number",
                .sent = "{\"a\":{\"type\":\"number\",\"format\":\"date\"}}",
                .problems = "/a/format"},
        {.name = "dot in a name", .sent = "{\"my.property\":{\"type\":\"string\"}}", .problems = "/my.property"},
        {.name = "blank in a name", .sent = "{\"my property\":{\"type\":\"string\"}}", .problems = "/my property"},
        {.name = "slash in a name", .sent = "{\"a/b\":{\"type\":\"string\"}}", .problems = "/a~1b"},
        {.name = "empty name", .sent = "{\"\":{\"type\":\"string\"}}", .problems = "/"},
        {.name = "letters of every language",
                .sent = "{\"gr\\u00f6\\u00dfe_2-x\":{\"type\":\"string\"}}",
                .problems = ""},
        {.name = "object in object",
                .sent = "{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"object\",\"properties\":"
                        "{}}}}}",
                .problems = "/a/properties/b/type"},
        {.name = "list in object",
                .sent = "{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"array\",\"items\":{"
                        "\"type\":\"string\"}}}}}",
                .problems = ""},
        {.name = "list of objects, old style",
                .sent = "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"b\":{"
                        "\"type\":\"string\"}}}}}",
                .problems = ""},
        {.name = "list of objects in object",
                .sent = "{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"array\",\"items\":{"
                        "\"type\":\"object\","
                        "\"properties\":{}}}}}}",
                .problems = "/a/properties/b/items/type"},
        {.name = "list of lists",
                .sent = "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":"
                        "\"string\"}}}}",
                .problems = "/a/items/type"},
        {.name = "list without items", .sent = "{\"a\":{\"type\":\"array\"}}", .problems = "/a/items"},
        {.name = "object without properties", .sent = "{\"a\":{\"type\":\"object\"}}", .problems = "/a/properties"},
        {.name = "longest string",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":6000}}}",
                .problems = ""},
        {.name = "too long",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":6001}}}",
                .problems = "/a/contactlabProperties/maxLength"},
        {.name = "too short",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":0}}}",
                .problems = "/a/contactlabProperties/maxLength"},
        {.name = "length as text",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":\"9\"}}}",
                .problems = "/a/contactlabProperties/maxLength"},
        {.name = "flags",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"enabled\":1,\"indexed\":null,"
                        "\"flowEnabled\":\"x\"}}}",
                .problems = "/a/contactlabProperties/enabled /a/contactlabProperties/indexed "
                            "/a/contactlabProperties/flowEnabled"},
        {.name = "unknown fact",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"color\":1}}}",
                .problems = "/a/contactlabProperties/color"},
        {.name = "unknown member", .sent = "{\"a\":{\"type\":\"string\",\"enum\":[]}}", .problems = "/a/enum"},
        {.name = "merge policies that fit",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"mergePolicy\":\"OBJ_"
                        "CONCATENATE\"}},"
                        "\"b\":{\"type\":\"integer\",\"contactlabProperties\":{\"mergePolicy\":\"MATH_SUM\"}},"
                        "\"c\":{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"contactlabProperties\":{"
                        "\"mergePolicy\":\"ARRAY_UNION\"}},"
                        "\"d\":{\"type\":\"boolean\",\"contactlabProperties\":{\"mergePolicy\":\"OBJ_"
                        "PRIORITY\"}}}",
                .problems = ""},
        {.name = "merge policy of another type",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"mergePolicy\":\"MATH_MAX\"}}}",
                .problems = "/a/contactlabProperties/mergePolicy"},
        {.name = "unknown merge policy",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"mergePolicy\":\"NEWEST\"}}}",
                .problems = "/a/contactlabProperties/mergePolicy"},
        {.name = "added",
                .present = "{\"a\":{\"type\":\"string\"}}",
                .sent = "{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"number\"}}",
                .problems = ""},
        {.name = "removed", .present = "{\"a\":{\"type\":\"string\"}}", .sent = "{}", .problems = "/a"},
        {.name = "type changed",
                .present = "{\"a\":{\"type\":\"string\"}}",
                .sent = "{\"a\":{\"type\":\"number\"}}",
                .problems = "/a"},
        {.name = "became nullable",
                .present = "{\"a\":{\"type\":\"string\"}}",
                .sent = "{\"a\":{\"type\":[\"string\",\"null\"]}}",
                .problems = ""},
        {.name = "format changed",
                .present = "{\"a\":{\"type\":\"string\",\"format\":\"date\"}}",
                .sent = "{\"a\":{\"type\":\"string\"}}",
                .problems = "/a"},
        {.name = "member removed",
                .present = "{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"}}}}",
                .sent = "{\"a\":{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"string\"}}}}",
                .problems = "/a/properties/b"},
        {.name = "properties of no object",
                .sent = "{\"a\":{\"type\":\"string\",\"properties\":{}}}",
                .problems = "/a/properties"},
        {.name = "items of no list",
                .sent = "{\"a\":{\"type\":\"object\",\"properties\":{},\"items\":{\"type\":\"string\"}}}",
                .problems = "/a/items"},
        {.name = "words that are none",
                .sent = "{\"a\":{\"type\":\"string\",\"title\":5,\"description\":[],\"$id\":true,"
                        "\"additionalProperties\":{},\"examples\":\"x\"}}",
                .problems = "/a/title /a/description /a/$id /a/additionalProperties /a/examples"},
        {.name = "words that are kept",
                .sent = "{\"a\":{\"type\":\"string\",\"title\":\"t\",\"description\":null,\"$id\":\"i\","
                        "\"additionalProperties\":false,\"examples\":[1],\"default\":7,\"items\":null,"
                        "\"properties\":null}}",
                .problems = ""},
        {.name = "items changed",
                .present = "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}",
                .sent = "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}}}",
                .problems = "/a/items"},
        {.name = "label and length changed",
                .present = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"label\":\"A\","
                           "\"maxLength\":10}}}",
                .sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"label\":\"B\",\"maxLength\":"
                        "20}}}",
                .problems = ""},
};

static void definitions_are_checked(void **state)
{
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(definitions); i++) {
		struct problems problems;
		problems_init(&problems, arena);
		const struct json *present = definitions[i].present ? unit_json(arena, definitions[i].present) : NULL;
		const struct json *map =
		        extended_check(arena, unit_json(arena, definitions[i].sent), present, &problems);
		const char *found = unit_pointers(arena, &problems);
		if (strcmp(found, definitions[i].problems) || !map != (problems.n > 0))
			CASE_FAIL(definitions[i].name, "\"%s\" is not \"%s\"", found, definitions[i].problems);
	}
	arena_free(arena);
}

static void at_most_ten_are_indexed(void **state)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct json *map = json_new(arena, JSON_OBJECT);
	struct problems problems;

	(void)state;
	for (int i = 0; i <= EXTENDED_MAX_INDEXED; i++) {
		problems_init(&problems, arena);
		assert_int_equal(extended_check(arena, map, NULL, &problems) != NULL, true);
		json_add(map, str_of(arena_printf(arena, "p%d", i)),
		        unit_json(arena, "{\"type\":\"number\",\"contactlabProperties\":{\"indexed\":true}}"));
	}
	assert_null(extended_check(arena, map, NULL, &problems));
	arena_free(arena);
}

/* n properties in all, half of them members of one object. */
static struct json *map_of_many(struct arena *arena, int n)
{
	struct json *map = json_new(arena, JSON_OBJECT), *members = json_new(arena, JSON_OBJECT);
	struct json *object = json_add(map, STR("object"), unit_json(arena, "{\"type\":\"object\"}"));

	json_add(object, STR("properties"), members);
	for (int i = 1; i < n; i++) {
		struct json *number = json_new(arena, JSON_OBJECT);
		json_add(number, STR("type"), json_new_str(arena, STR("number")));
		json_add(i % 2 ? map : members, str_of(arena_printf(arena, "p%d", i)), number);
	}
	return map;
}

static bool can_follow(struct arena *arena, struct json *sent, const struct json *present)
{
	struct problems problems;

	problems_init(&problems, arena);
	return extended_check(arena, sent, present, &problems);
}

static void there_is_a_most_of_properties(void **state)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct json *most = map_of_many(arena, EXTENDED_MAX_PROPERTIES);
	struct json *more = map_of_many(arena, EXTENDED_MAX_PROPERTIES + 1);
	struct json *too_many = map_of_many(arena, EXTENDED_MAX_PROPERTIES + 2);

	(void)state;
	assert_true(can_follow(arena, most, NULL));
	assert_true(can_follow(arena, most, most));
	assert_false(can_follow(arena, more, NULL));
	assert_false(can_follow(arena, more, most));
	/* declared before there was a limit: it can be changed, though not grow */
	assert_true(can_follow(arena, more, more));
	assert_false(can_follow(arena, too_many, more));
	arena_free(arena);
}

/* A list of strings in an object in a list, with that many examples at either end. */
static struct json *map_of_examples(struct arena *arena, int n)
{
	struct json *map = unit_json(arena,
	        "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"array\","
	        "\"items\":{\"type\":\"string\",\"examples\":[]}}}},\"examples\":[]}}");
	struct json *outer = json_path(map, STR("a.examples"));
	struct json *inner = json_path(map, STR("a.items.properties.b.items.examples"));

	for (int i = 0; i < n; i++) {
		json_append(outer, json_new(arena, JSON_TRUE));
		json_append(inner, json_new(arena, JSON_TRUE));
	}
	return map;
}

static void examples_are_bounded(void **state)
{
	struct arena *arena = arena_new(4 * ARENA_BYTES);
	struct json *most = map_of_examples(arena, EXTENDED_MAX_VALUES / 2 - 10);
	struct json *more = map_of_examples(arena, EXTENDED_MAX_VALUES / 2);

	(void)state;
	assert_true(can_follow(arena, most, NULL));
	assert_false(can_follow(arena, more, NULL));
	assert_false(can_follow(arena, more, most));
	assert_true(can_follow(arena, more, more));
	arena_free(arena);
}

/* A workspace has a map for each event type, and all of their schemas in one piece of memory. */
static void examples_are_not_copied_into_schemas(void **state)
{
	struct arena *arena = arena_new(4 * ARENA_BYTES);
	const struct json *map = map_of_examples(arena, 10000);
	size_t before = arena_used_bytes(arena);

	(void)state;
	extended_value_schema(arena, map, false);
	extended_served_schema(arena, map);
	assert_true(arena_used_bytes(arena) - before < (size_t)64 * 1024);
	arena_free(arena);
}

static void many_properties_are_compared_at_once(void **state)
{
	struct arena *arena = arena_new(4 * ARENA_BYTES);
	struct json *map = map_of_many(arena, 40000);
	int64_t start_us = clock_monotonic_us();

	(void)state;
	assert_true(can_follow(arena, map, map));
	assert_false(extended_index_differs(arena, map, map));
	/* some 20 ms; each looked up among the others took seconds */
	assert_true(clock_monotonic_us() - start_us < 1000 * 1000);
	arena_free(arena);
}

static void lengths_have_defaults(void **state)
{
	static const struct {
		const char *sent, *kept;
	} cases[] = {
	        {.sent = "{\"a\":{\"type\":\"string\"}}",
	                .kept = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":255}}}"},
	        {.sent = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":9}}}",
	                .kept = "{\"a\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":9}}}"},
	        {.sent = "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}",
	                .kept = "{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"contactlabProperties\":{"
	                        "\"maxLength\":1000}}}"},
	        {.sent = "{\"a\":{\"type\":\"number\"}}", .kept = "{\"a\":{\"type\":\"number\"}}"},
	        {.sent = "{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"}}}}",
	                .kept = "{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\","
	                        "\"contactlabProperties\":{\"maxLength\":255}}}}}"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems problems;
		problems_init(&problems, arena);
		const struct json *map = extended_check(arena, unit_json(arena, cases[i].sent), NULL, &problems);
		assert_non_null(map);
		assert_str(config_doc_text(arena, map), cases[i].kept);
	}
	arena_free(arena);
}

static void a_change_of_indexed_is_seen(void **state)
{
	static const struct {
		const char *sent, *present;
		bool differs;
	} cases[] = {
	        {.sent = "{\"a\":{\"type\":\"number\"}}", .present = NULL, .differs = false},
	        {.sent = "{\"a\":{\"type\":\"number\",\"contactlabProperties\":{\"indexed\":false}}}",
	                .present = NULL,
	                .differs = false},
	        {.sent = "{\"a\":{\"type\":\"number\",\"contactlabProperties\":{\"indexed\":true}}}",
	                .present = NULL,
	                .differs = true},
	        {.sent = "{\"a\":{\"type\":\"number\",\"contactlabProperties\":{\"indexed\":true}}}",
	                .present = "{\"a\":{\"type\":\"number\",\"contactlabProperties\":{\"indexed\":true}}}",
	                .differs = false},
	        {.sent = "{\"a\":{\"type\":\"number\"}}",
	                .present = "{\"a\":{\"type\":\"number\",\"contactlabProperties\":{\"indexed\":true}}}",
	                .differs = true},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *present = cases[i].present ? unit_json(arena, cases[i].present) : NULL;
		if (extended_index_differs(arena, unit_json(arena, cases[i].sent), present) != cases[i].differs)
			CASE_FAIL(cases[i].sent, "differs should be %d", cases[i].differs);
	}
	arena_free(arena);
}

static const struct json *no_reference(void *context, struct str reference)
{
	(void)context, (void)reference;
	return NULL;
}

#define MAP                                                                                                            \
	"{\"text\":{\"type\":\"string\",\"contactlabProperties\":{\"maxLength\":3}},"                                  \
	"\"day\":{\"type\":\"string\",\"format\":\"date\"},\"maybe\":{\"type\":[\"number\",\"null\"]},"                \
	"\"count\":{\"type\":\"integer\"},\"off\":{\"type\":\"string\",\"contactlabProperties\":{\"enabled\":false}}," \
	"\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"contactlabProperties\":{\"maxLength\":5}},"    \
	"\"group\":{\"type\":\"object\",\"properties\":{\"size\":{\"type\":\"number\"}}}}"

#define LISTS                                                                                                          \
	"{\"maybe\":{\"type\":\"array\",\"items\":{\"type\":[\"number\",\"null\"]}},\"groups\":{\"type\":\"array\","   \
	"\"items\":{\"type\":\"object\",\"properties\":{\"size\":{\"type\":\"number\"}}}}}"

#define OFF                                                                                                            \
	"{\"list\":{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"contactlabProperties\":{\"enabled\":false}}," \
	"\"group\":{\"type\":\"object\",\"properties\":{\"size\":{\"type\":\"number\"},\"words\":{\"type\":\"array\"," \
	"\"items\":{\"type\":\"string\"}}},\"contactlabProperties\":{\"enabled\":false}}}"

static void values_are_checked(void **state)
{
	static const struct {
		const char *map, *value;
		bool null_removes;
		const char *problems;
	} cases[] = {
	        {.map = NULL, .value = "null", .problems = ""},
	        {.map = NULL, .value = "{}", .problems = ""},
	        {.map = NULL, .value = "{\"a\":1}", .problems = "/a"},
	        {.map = NULL, .value = "[]", .problems = "root"},
	        {.map = MAP,
	                .value = "{\"text\":\"abc\",\"day\":\"2020-02-29\",\"count\":3,\"tags\":[\"a\",\"b\"]}",
	                .problems = ""},
	        {.map = MAP, .value = "{\"text\":\"abcd\"}", .problems = "/text"},
	        {.map = MAP, .value = "{\"day\":\"2021-02-29\"}", .problems = "/day"},
	        {.map = MAP, .value = "{\"count\":1.5}", .problems = "/count"},
	        {.map = MAP, .value = "{\"text\":null}", .problems = "/text"},
	        {.map = MAP, .value = "{\"text\":null}", .null_removes = true, .problems = ""},
	        {.map = MAP, .value = "{\"maybe\":null}", .problems = ""},
	        {.map = MAP, .value = "{\"off\":\"x\"}", .problems = "/off"},
	        {.map = MAP, .value = "{\"off\":null}", .problems = ""},
	        {.map = MAP, .value = "{\"tags\":[\"aa\",\"bb\"]}", .problems = ""},
	        {.map = MAP, .value = "{\"tags\":[\"aaa\",\"bb\"]}", .problems = "/tags"},
	        {.map = MAP, .value = "{\"tags\":[\"a\",7]}", .problems = "/tags/1"},
	        {.map = MAP, .value = "{\"group\":{\"size\":4}}", .problems = ""},
	        {.map = MAP,
	                .value = "{\"group\":{\"size\":\"4\",\"other\":1}}",
	                .problems = "/group/size /group/other"},
	        {.map = MAP, .value = "{\"group\":{\"size\":null}}", .null_removes = true, .problems = ""},
	        {.map = MAP, .value = "{\"tags\":[\"a\",null]}", .null_removes = true, .problems = "/tags/1"},
	        {.map = MAP, .value = "{\"tags\":null}", .null_removes = true, .problems = ""},
	        {.map = LISTS, .value = "{\"maybe\":[1,null]}", .null_removes = true, .problems = ""},
	        {.map = LISTS, .value = "{\"maybe\":[1,null]}", .problems = ""},
	        {.map = LISTS, .value = "{\"groups\":[{\"size\":null}]}", .null_removes = true, .problems = ""},
	        {.map = OFF, .value = "{\"list\":[],\"group\":{\"size\":null,\"words\":[]}}", .problems = ""},
	        {.map = OFF, .value = "{\"list\":null,\"group\":null}", .problems = ""},
	        {.map = OFF,
	                .value = "{\"list\":[1],\"group\":{\"size\":1,\"words\":[\"a\"],\"other\":null}}",
	                .problems = "/list /group/size /group/words /group/other"},
	        {.map = LISTS, .value = "{\"groups\":[null]}", .null_removes = true, .problems = "/groups/0"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems problems;
		struct err err = {0};
		const struct json *document = extended_value_schema(
		        arena, cases[i].map ? unit_json(arena, cases[i].map) : NULL, cases[i].null_removes);
		const struct schema *schema = schema_compile(arena, document, no_reference, NULL, &err);
		assert_non_null(schema);
		problems_init(&problems, arena);
		schema_validate(schema, unit_json(arena, cases[i].value), STR(""), &problems);
		const char *found = unit_pointers(arena, &problems);
		if (problems.n && !*found)
			found = "root";
		if (strcmp(found, cases[i].problems))
			CASE_FAIL(cases[i].value, "\"%s\" is not \"%s\"", found, cases[i].problems);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(definitions_are_checked),
	        cmocka_unit_test(at_most_ten_are_indexed),
	        cmocka_unit_test(there_is_a_most_of_properties),
	        cmocka_unit_test(examples_are_bounded),
	        cmocka_unit_test(examples_are_not_copied_into_schemas),
	        cmocka_unit_test(many_properties_are_compared_at_once),
	        cmocka_unit_test(lengths_have_defaults),
	        cmocka_unit_test(a_change_of_indexed_is_seen),
	        cmocka_unit_test(values_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
