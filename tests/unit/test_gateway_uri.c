#include "common/arena.h"
#include "gateway/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static void test_decoding(void **state)
{
	static const struct {
		const char *raw;
		bool plus_is_blank;
		const char *text; /* NULL = refused */
	} cases[] = {
	        {"", true, ""},
	        {"abc", true, "abc"},
	        {"a%20b", false, "a b"},
	        {"a+b", true, "a b"},
	        {"a+b", false, "a+b"},
	        {"%2B%2b", true, "++"},
	        {"[\"x\"],{$:@}", true, "[\"x\"],{$:@}"},
	        {"%C3%A9", true, "\xc3\xa9"},
	        {"\xc3\xa9", true, "\xc3\xa9"},
	        {"%F0%9F%98%80", true, "\xf0\x9f\x98\x80"},
	        {"%2F", false, "/"},
	        {"%", true, NULL},
	        {"%4", true, NULL},
	        {"%zz", true, NULL},
	        {"%4g", true, NULL},
	        {"a%00b", true, NULL},
	        {"%ff", true, NULL},
	        {"%C3", true, NULL},
	        {"%c0%ae", true, NULL},
	        {"\xff", true, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text;
		bool good = uri_decode(arena, str_of(cases[i].raw), cases[i].plus_is_blank, &text);
		if (good != (cases[i].text != NULL) || (good && !str_is(text, cases[i].text)))
			fail_msg("case %zu: %s", i, cases[i].raw);
	}
}

static void test_targets(void **state)
{
	static const struct {
		const char *target, *path, *query;
	} cases[] = {
	        {"/a/b", "/a/b", NULL},
	        {"/a?x=1?2", "/a", "x=1?2"},
	        {"/a?", "/a", ""},
	        {"http://host:80/a?x", "/a", "x"},
	        {"HTTPS://host/a", "/a", NULL},
	        {"http://host", NULL, NULL},
	        {"*", NULL, NULL},
	        {"", NULL, NULL},
	        {"a/b", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str path, query;
		bool good = uri_split(str_of(cases[i].target), &path, &query);
		assert_int_equal(good, cases[i].path != NULL);
		if (!good)
			continue;
		assert_true(str_is(path, cases[i].path));
		assert_int_equal(query.p != NULL, cases[i].query != NULL);
		assert_true(str_is(query, cases[i].query));
	}
}

static void test_segments(void **state)
{
	struct str segments[URI_MAX_SEGMENTS];
	size_t n;

	(void)state;
	assert_true(uri_segments(arena, STR("/a/%2F+/c"), segments, &n));
	assert_int_equal(n, 3);
	assert_true(str_is(segments[1], "/+"));
	assert_true(uri_segments(arena, STR("/"), segments, &n));
	assert_int_equal(n, 1);
	assert_int_equal(segments[0].n, 0);
	assert_true(uri_segments(arena, STR("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"), segments, &n));
	assert_false(uri_segments(arena, STR("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"), segments, &n));
	assert_false(uri_segments(arena, STR("/a/%zz"), segments, &n));
}

static void test_params(void **state)
{
	struct uri_param *params;
	struct err err = {0};
	size_t n;

	(void)state;
	assert_true(uri_params(arena, STR("a=1&b=x+y%26z&&c&a=2=3&=v"), &params, &n, &err));
	assert_int_equal(n, 5);
	assert_true(str_is(params[1].name, "b") && str_is(params[1].value, "x y&z"));
	assert_true(str_is(params[2].name, "c") && str_is(params[2].value, ""));
	assert_true(str_is(params[3].name, "a") && str_is(params[3].value, "2=3"));
	assert_true(str_is(params[4].name, "") && str_is(params[4].value, "v"));
	assert_true(uri_params(arena, STR_NONE, &params, &n, &err));
	assert_int_equal(n, 0);
	assert_false(uri_params(arena, STR("a=1&b=%zz"), &params, &n, &err));
	assert_int_equal(err.code, ERR_INVALID);
	assert_non_null(strstr(err.message, " b "));
	char many[URI_MAX_PARAMS * 2 + 3];
	for (size_t i = 0; i < sizeof(many) - 1; i++)
		many[i] = i % 2 ? '&' : 'a';
	many[sizeof(many) - 1] = '\0';
	assert_false(uri_params(arena, str_of(many), &params, &n, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_decoding, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_targets, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_segments, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_params, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
