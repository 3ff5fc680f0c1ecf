#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/json.h"
#include "tests/unit/jansson_reader.h"
#include "tests/unit/parts.h"

#include <stdlib.h>

static struct str write(struct arena *arena, const struct json *value)
{
	struct buf buf;

	buf_init(&buf, arena, 16);
	json_write(&buf, value);
	return buf_str(&buf);
}

/* Text that is read, and what is written then. */
static void documents_come_back(void **state)
{
	static const struct {
		const char *text, *written; /* written NULL: the same */
	} cases[] = {
	        {"null", NULL},
	        {"true", NULL},
	        {"false", NULL},
	        {"\"\"", NULL},
	        {"[]", NULL},
	        {"{}", NULL},
	        {" \t\r\n[ ] \n", "[]"},
	        {"{ \"a\" : [ 1 , { } , null ] }", "{\"a\":[1,{},null]}"},
	        {"{\"\":\"\"}", NULL},
	        {"[[[[[[]]]]]]", NULL},
	        {"{\"b\":1,\"a\":2}", NULL},
	        /* Numbers keep their text. */
	        {"19.99", NULL},
	        {"19.990", NULL},
	        {"0", NULL},
	        {"-0", NULL},
	        {"-0.0", NULL},
	        {"1e5", NULL},
	        {"1E+5", NULL},
	        {"1.5e-7", NULL},
	        {"9007199254740993", NULL},
	        {"123456789012345678901234567890", NULL},
	        {"0.1000000000000000055511151231257827", NULL},
	        {"1e307", NULL},
	        {"1e-308", NULL},
	        {"1e-00000000000000000001", NULL},
	        /* Strings. */
	        {"\"\\u0041\\n\\/\\b\\f\\r\\t\\\"\\\\\"", "\"A\\n/\\b\\f\\r\\t\\\"\\\\\""},
	        {"\"\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
	        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", NULL},
	        {"\"\\u001f\\u007f\"", "\"\\u001f\x7f\""},
	        {"\"\\uffff\\ufdd0\"", "\"\xef\xbf\xbf\xef\xb7\x90\""},
	        {"{\"\\u0061\":1,\"\\\\a\":2}", "{\"a\":1,\"\\\\a\":2}"},
	        {"\"\\\\u0000\"", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str written = write(*state, unit_json(*state, cases[i].text));
		const char *expected = cases[i].written ? cases[i].written : cases[i].text;

		if (!str_is(written, expected))
			CASE_FAIL(cases[i].text, "gave %.*s", STR_ARG(written));
		assert_true(json_equal(unit_json(*state, cases[i].text), json_parse(*state, written, NULL)));
	}
}

/* Text that is refused, the place that the error names and words of its message. */
static void faults_name_their_place(void **state)
{
	static const struct {
		const char *text, *pointer, *words;
	} cases[] = {
	        {"", "", "no value where one belongs at byte 0"},
	        {"  ", "", "no value where one belongs at byte 2"},
	        {"nul", "", "unexpected text at byte 0"},
	        {"nullx", "", "more text behind the end at byte 4"},
	        {"True", "", "unexpected text"},
	        {"'a'", "", "unexpected text"},
	        {"\xef\xbb\xbf{}", "", "unexpected text at byte 0"},
	        {"{} {}", "", "more text behind the end at byte 3"},
	        {"[1,]", "/1", "unexpected text at byte 3"},
	        {"[,1]", "/0", "unexpected text"},
	        {"[1 2]", "", "no , or ] where one belongs at byte 3"},
	        {"[1", "", "no , or ]"},
	        {"[", "/0", "no value"},
	        {"[1}", "", "no , or ]"},
	        {"[1,[2,[3,x]]]", "/1/1/1", "unexpected text at byte 9"},
	        {"{", "", "no member name"},
	        {"{,}", "", "no member name"},
	        {"{\"a\"}", "/a", "no : where one belongs"},
	        {"{\"a\":}", "/a", "unexpected text"},
	        {"{\"a\":1,}", "", "no member name"},
	        {"{a:1}", "", "no member name"},
	        {"{1:1}", "", "no member name"},
	        {"{\"a\":1 \"b\":2}", "", "no , or }"},
	        {"{\"a\":{\"b\":[0,{\"c\":tru}]}}", "/a/b/1/c", "unexpected text"},
	        {"{\"a/b~c\":x}", "/a~1b~0c", "unexpected text"},
	        {"{\"a\":1,\"a\":2}", "/a", "member name that stands there twice at byte 7"},
	        {"{\"x\":{\"a\":1,\"\\u0061\":2}}", "/x/a", "twice"},
	        {"{\"a\":\"\\x\"}", "/a", "unknown escape at byte 6"},
	        {"{\"a\\x\":1}", "", "unknown escape"},
	        {"\"abc", "", "string without an end at byte 4"},
	        {"\"abc\\", "", "string without an end"},
	        {"\"abc\\\"", "", "string without an end"},
	        {"\"a\nb\"", "", "control character in a string at byte 2"},
	        {"\"\x1f\"", "", "control character"},
	        {"\"\\u0000\"", "", "\\u0000, which cannot be stored, at byte 1"},
	        {"\"\\u12\"", "", "four hexadecimal digits"},
	        {"\"\\u12g4\"", "", "four hexadecimal digits"},
	        {"\"\\ud800\"", "", "first half"},
	        {"\"\\ud800x\"", "", "first half"},
	        {"\"\\ud800\\n12345\"", "", "first half"},
	        {"\"\\ud800\\u0041\"", "", "first half"},
	        {"\"\\ud800\\ud800\"", "", "first half"},
	        {"\"\\udc00\"", "", "second half"},
	        {"\"\xff\"", "", "not UTF-8 at byte 1"},
	        {"\"\xc0\x80\"", "", "not UTF-8"},
	        {"\"\xed\xa0\x80\"", "", "not UTF-8"},
	        {"[\"ok\",\"\xc3\"]", "/1", "not UTF-8 at byte 7"},
	        {"\"\\\xc3\xa9\"", "", "not UTF-8"},
	        {"01", "", "number that is not well-formed"},
	        {"-", "", "number that is not well-formed"},
	        {"-x", "", "number that is not well-formed"},
	        {"+1", "", "unexpected text"},
	        {".5", "", "unexpected text"},
	        {"1.", "", "number that is not well-formed"},
	        {"1.e5", "", "number that is not well-formed"},
	        {"1e", "", "number that is not well-formed"},
	        {"1e+", "", "number that is not well-formed"},
	        {"0x10", "", "more text behind the end"},
	        {"-00", "", "number that is not well-formed"},
	        {"NaN", "", "unexpected text"},
	        {"-Infinity", "", "number that is not well-formed"},
	        {"1e308", "", "too many digits"},
	        {"1e-309", "", "too many digits"},
	        {"1e99999999999999999999", "", "too many digits"},
	        {"[0,1e999]", "/1", "too many digits at byte 3"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {.code = ERR_NONE};

		if (json_parse(*state, str_of(cases[i].text), &err))
			CASE_FAIL(cases[i].text, "was read");
		if (err.code != ERR_INVALID || strcmp(err.pointer, cases[i].pointer) != 0 ||
		        !strstr(err.message, cases[i].words))
			CASE_FAIL(cases[i].text, "gave \"%s\" at \"%s\"", err.message, err.pointer);
		assert_null(json_parse(*state, str_of(cases[i].text), NULL));
	}
}

static void nul_bytes_are_refused(void **state)
{
	assert_null(json_parse(*state, STR("\"a\0b\""), NULL));
	assert_null(json_parse(*state, STR("\"a\\\0b\""), NULL));
	assert_null(json_parse(*state, STR("1\0"), NULL));
	assert_null(json_parse(*state, STR_NONE, NULL));
}

static struct str nested(struct arena *arena, int depth)
{
	struct buf buf;

	buf_init(&buf, arena, 64);
	for (int i = 0; i < depth; i++)
		buf_add_str(&buf, i % 2 ? STR("{\"a\":") : STR("["));
	buf_add_literal(&buf, "0");
	for (int i = depth - 1; i >= 0; i--)
		buf_add_char(&buf, i % 2 ? '}' : ']');
	return buf_str(&buf);
}

static void depth_is_bounded(void **state)
{
	struct err err;

	assert_non_null(json_parse(*state, nested(*state, JSON_MAX_DEPTH), &err));
	assert_null(json_parse(*state, nested(*state, JSON_MAX_DEPTH + 1), &err));
	assert_non_null(strstr(err.message, "nesting that is too deep at byte 192"));
	assert_null(json_parse(*state, nested(*state, 100000), &err));
	assert_non_null(json_parse_sent(*state, nested(*state, JSON_MAX_SENT_DEPTH), &err));
	assert_null(json_parse_sent(*state, nested(*state, JSON_MAX_SENT_DEPTH + 1), &err));
}

static void depth_counts_arrays_and_objects(void **state)
{
	assert_int_equal(json_depth(unit_json(*state, "1")), 0);
	assert_int_equal(json_depth(unit_json(*state, "[]")), 1);
	assert_int_equal(json_depth(unit_json(*state, "{\"a\":[{}],\"b\":{\"c\":1},\"d\":0}")), 3);
}

static void digits_are_bounded(void **state)
{
	char text[JSON_MAX_DIGITS + 3];
	struct json *value;

	memset(text, '9', sizeof(text));
	value = json_parse(*state, (struct str){text, JSON_MAX_DIGITS}, NULL);
	assert_non_null(value);
	assert_true(json_to_double(value) < 1e309L);
	assert_null(json_parse(*state, (struct str){text, JSON_MAX_DIGITS + 1}, NULL));
	text[1] = '.';
	assert_non_null(json_parse(*state, (struct str){text, JSON_MAX_DIGITS + 2}, NULL));
	assert_null(json_parse(*state, (struct str){text, JSON_MAX_DIGITS + 3}, NULL));
}

/* Both the short way and the table must find the second one, wherever it stands. */
static void duplicates_are_found_among_many(void **state)
{
	for (int n = 2; n < 300; n += n < 40 ? 1 : 37) {
		for (int twice = -1; twice < n - 1; twice += n < 40 ? 1 : 29) {
			struct json *value;
			struct buf buf;

			buf_init(&buf, *state, 4096);
			for (int i = 0; i < n; i++)
				buf_printf(
				        &buf, "%s\"key%d\":%d", i ? "," : "{", i == n - 1 && twice >= 0 ? twice : i, i);
			buf_add_literal(&buf, "}");
			value = json_parse(*state, buf_str(&buf), NULL);
			if ((value != NULL) != (twice < 0))
				fail_msg("%d keys, number %d twice", n, twice);
			if (value)
				assert_int_equal(value->count, n);
		}
	}
}

/* Callers derive the limits of their arenas from this. Each case repeats a piece; a number makes member names differ.
 */
static void memory_is_bounded_by_the_text(void **state)
{
	static const struct {
		bool members;
		const char *before, *after;
	} cases[] = {
	        {false, "0", ","},
	        {false, "[]", ","},
	        {false, "{}", ","},
	        {false, "\"\\n\"", ","},
	        {false, "{\"\":0}", ","},
	        {true, "\"", "\":0,"},
	        {true, "\"\\t", "\":[],"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf buf;
		size_t used_bytes;

		buf_init(&buf, *state, 4096);
		buf_add_char(&buf, cases[i].members ? '{' : '[');
		for (int n = 0; n < 20000; n++) {
			buf_add_str(&buf, str_of(cases[i].before));
			if (cases[i].members)
				buf_printf(&buf, "%x", n);
			buf_add_str(&buf, str_of(cases[i].after));
		}
		buf.p[buf.n - 1] = cases[i].members ? '}' : ']';
		used_bytes = arena_used_bytes(*state);
		assert_non_null(json_parse(*state, buf_str(&buf), NULL));
		used_bytes = arena_used_bytes(*state) - used_bytes;
		if (used_bytes > JSON_BYTES_PER_TEXT_BYTE * buf.n + 1024)
			CASE_FAIL(cases[i].before, "%zu bytes for %zu", used_bytes, buf.n);
	}
}

static void equality_is_by_value(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
	        {"1", "1.0", true},
	        {"100", "1e2", true},
	        {"0", "-0", true},
	        {"1", "2", false},
	        {"1", "\"1\"", false},
	        {"0", "false", false},
	        {"null", "false", false},
	        {"\"a\"", "\"\\u0061\"", true},
	        {"[1,2]", "[1.0,2]", true},
	        {"[1,2]", "[2,1]", false},
	        {"[1]", "[1,1]", false},
	        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true},
	        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
	        {"{\"a\":1}", "{\"b\":1}", false},
	        {"{\"a\":null}", "{}", false},
	        {"{}", "[]", false},
	        {"{\"a\":{\"b\":[1,{\"c\":2}]}}", "{\"a\":{\"b\":[1,{\"c\":2.0}]}}", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct json *a = unit_json(*state, cases[i].a), *b = unit_json(*state, cases[i].b);

		if (json_equal(a, b) != cases[i].equal || json_equal(b, a) != cases[i].equal)
			CASE_FAIL(cases[i].a, "and %s", cases[i].b);
	}
}

static struct json *numbered_members(struct arena *arena, int first, int last, int step)
{
	struct json *object = json_new(arena, JSON_OBJECT);

	for (int i = first; i != last; i += step)
		json_add(object, str_of(arena_printf(arena, "%d", i)), json_new_i64(arena, i));
	return object;
}

static void large_objects_compare_in_any_order(void **state)
{
	struct json *up = numbered_members(*state, 0, 5000, 1);
	struct json *down = numbered_members(*state, 4999, -1, -1);

	assert_true(json_equal(up, down));
	json_set(down, STR("17"), json_new_bool(*state, true));
	assert_false(json_equal(up, down));
	assert_false(json_equal(up, numbered_members(*state, 1, 5001, 1)));
}

static void members_are_set_and_removed(void **state)
{
	struct json *object = unit_json(*state, "{\"a\":1,\"b\":2,\"c\":3}");

	json_set(object, STR("b"), json_new_str(*state, STR("x")));
	assert_str(write(*state, object), "{\"a\":1,\"b\":\"x\",\"c\":3}");
	json_set(object, STR("c"), json_new(*state, JSON_NULL));
	json_set(object, STR("d"), json_new_i64(*state, INT64_MIN));
	assert_str(write(*state, object), "{\"a\":1,\"b\":\"x\",\"c\":null,\"d\":-9223372036854775808}");
	assert_true(json_remove(object, STR("d")));
	assert_false(json_remove(object, STR("d")));
	assert_true(json_remove(object, STR("a")));
	json_set(object, STR("e"), json_new_bool(*state, false));
	assert_str(write(*state, object), "{\"b\":\"x\",\"c\":null,\"e\":false}");
	assert_int_equal(object->count, 3);
	while (object->first)
		json_remove(object, object->first->key);
	json_set(object, STR("z"), json_append(json_new(*state, JSON_ARRAY), json_new(*state, JSON_NULL)));
	assert_str(write(*state, object), "{\"z\":null}");
}

static void paths_are_followed(void **state)
{
	struct json *value = unit_json(*state, "{\"base\":{\"contacts\":{\"email\":\"a@b\"},\"dob\":null}}");
	struct json *parent;
	struct str name;

	assert_str(json_text(json_path(value, STR("base.contacts.email"))), "a@b");
	assert_true(json_is(json_path(value, STR("base.dob")), JSON_NULL));
	assert_null(json_path(value, STR("base.contacts.phone")));
	assert_null(json_path(value, STR("base.dob.year")));
	assert_null(json_path(value, STR("")));
	assert_null(json_path(value, STR_NONE));
	assert_null(json_path(NULL, STR("a")));

	parent = json_path_make(*state, value, STR("base.dob.year"), &name);
	json_set(parent, name, json_new_i64(*state, 1980));
	parent = json_path_make(*state, value, STR("extra"), &name);
	json_set(parent, name, json_new_str(*state, STR("e")));
	assert_str(write(*state, value),
	        "{\"base\":{\"contacts\":{\"email\":\"a@b\"},\"dob\":{\"year\":1980}},\"extra\":\"e\"}");
}

static void scalars_are_read(void **state)
{
	int64_t number = 0;

	assert_true(json_to_i64(unit_json(*state, "1e2"), &number));
	assert_int_equal(number, 100);
	assert_false(json_to_i64(unit_json(*state, "1.5"), &number));
	assert_false(json_to_i64(unit_json(*state, "\"1\""), &number));
	assert_false(json_to_i64(NULL, &number));
	assert_true(json_to_double(unit_json(*state, "-2.5e1")) == -25.0);
	assert_true(json_to_double(NULL) == 0);
	assert_true(json_is_null(NULL));
	assert_true(json_is_null(unit_json(*state, "null")));
	assert_false(json_is_null(unit_json(*state, "0")));
	assert_true(json_is_true(unit_json(*state, "true")));
	assert_null(json_text(unit_json(*state, "1")).p);
	assert_non_null(json_text(unit_json(*state, "\"\"")).p);
	assert_null(json_get(unit_json(*state, "[1]"), STR("0")));
}

static void copies_stand_alone(void **state)
{
	char text[] = "{\"a\":[\"x\",{\"b\":1.50}]}";
	struct json *copy;

	copy = json_copy(*state, json_parse(*state, str_of(text), NULL), true);
	memset(text, '#', sizeof(text));
	assert_str(write(*state, copy), "{\"a\":[\"x\",{\"b\":1.50}]}");
	assert_null(copy->key.p);
}

/* An independent reader finds the same in the text that was written as in the text that was read. */
static void jansson_agrees(void **state)
{
	static const char *const texts[] = {
	        "{\"a\":1,\"b\":[true,false,null,\"x\"],\"c\":{\"d\":{}}}",
	        "[1,-1,0,-0,1.5,1e3,-2.25e-3,9007199254740992,1e300]",
	        "\"\\u00e9 \\ud83d\\ude00 \\\\ \\/ \\b\\f\\n\\r\\t \\\" \\u0001\"",
	        "{\"\\u00fc\":\"\xc3\xbc\",\"\xe2\x82\xac\":[[],[[]]]}",
	        " [ 1 , 2 ] ",
	        "[1,]",
	        "{\"a\":1,\"a\":2}",
	        "\"\\ud800\"",
	        "\"\xc0\xaf\"",
	        "[01]",
	        "[1.]",
	        "[\"a\tb\"]",
	        "{\"a\" 1}",
	        "[] []",
	        "",
	        "tru",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct str text = str_of(texts[i]);
		struct json *value = json_parse(*state, text, NULL);
		char *theirs = jansson_canonical(text);
		char *ours = value ? jansson_canonical(write(*state, value)) : NULL;

		if (!theirs != !ours || (ours && strcmp(ours, theirs) != 0))
			CASE_FAIL(texts[i], "\"%s\" against \"%s\"", ours ? ours : "refused",
			        theirs ? theirs : "refused");
		free(ours);
		free(theirs);
	}
}

/* RFC 6901, read back. */
static void pointer_tokens_are_read(void **state)
{
	static const struct {
		const char *token, *name;
	} cases[] = {{"", ""}, {"a", "a"}, {"a~1b", "a/b"}, {"a~0b", "a~b"}, {"~01", "~1"}, {"~1~0", "/~"}, {"~", "~"},
	        {"a~2", "a~2"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str name = json_pointer_token(*state, str_of(cases[i].token));

		if (!str_is(name, cases[i].name))
			CASE_FAIL(cases[i].token, "became %.*s", STR_ARG(name));
	}
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, unit_arena_new, unit_arena_free)
	const struct CMUnitTest tests[] = {
	        TEST(documents_come_back),
	        TEST(faults_name_their_place),
	        TEST(nul_bytes_are_refused),
	        TEST(depth_is_bounded),
	        TEST(depth_counts_arrays_and_objects),
	        TEST(digits_are_bounded),
	        TEST(duplicates_are_found_among_many),
	        TEST(memory_is_bounded_by_the_text),
	        TEST(equality_is_by_value),
	        TEST(large_objects_compare_in_any_order),
	        TEST(members_are_set_and_removed),
	        TEST(paths_are_followed),
	        TEST(pointer_tokens_are_read),
	        TEST(scalars_are_read),
	        TEST(copies_stand_alone),
	        TEST(jansson_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
