#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/err.h"
#include "common/hash.h"
#include "common/problems.h"

static void split_gives_every_part(void **state)
{
	static const struct {
		const char *text;
		const char *parts[4];
	} cases[] = {
	        {"a,b,c", {"a", "b", "c"}},
	        {"a", {"a"}},
	        {"", {""}},
	        {",", {"", ""}},
	        {"a,,b", {"a", "", "b"}},
	        {"a,", {"a", ""}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str rest = str_of(cases[i].text), part;
		size_t n = 0;

		while (str_split(&rest, ',', &part)) {
			if (!cases[i].parts[n] || !str_is(part, cases[i].parts[n]))
				CASE_FAIL(cases[i].text, "part %zu is \"%.*s\"", n, STR_ARG(part));
			n++;
		}
		assert_null(cases[i].parts[n]);
	}
	assert_false(str_split(&(struct str){NULL, 0}, ',', &(struct str){NULL, 0}));
}

static void numbers_are_strict(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool ok;
		uint64_t value;
	} cases[] = {
	        {"0", 10, true, 0},
	        {"007", 10, true, 7},
	        {"10", 10, true, 10},
	        {"11", 10, false, 0},
	        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
	        {"18446744073709551616", UINT64_MAX, false, 0},
	        {"99999999999999999999999", UINT64_MAX, false, 0},
	        {"", 10, false, 0},
	        {"-1", 10, false, 0},
	        {"+1", 10, false, 0},
	        {" 1", 10, false, 0},
	        {"1 ", 10, false, 0},
	        {"1.0", 10, false, 0},
	        {"0x1", 10, false, 0},
	        {"5", 3, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t value = 0;

		if (str_to_u64(str_of(cases[i].text), cases[i].max, &value) != cases[i].ok || value != cases[i].value)
			CASE_FAIL(cases[i].text, "wrong");
	}
}

static void utf8_is_checked(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		size_t length;
	} cases[] = {
	        {"", true, 0},
	        {"ascii", true, 5},
	        {"\x7f", true, 1},
	        {"\xc3\xa9", true, 1},
	        {"\xe2\x82\xac", true, 1},
	        {"\xed\x9f\xbf\xee\x80\x80", true, 2},
	        {"\xf0\x9f\x98\x80x", true, 2},
	        {"\xf4\x8f\xbf\xbf", true, 1},
	        {"\x80", false, 0},
	        {"\xc0\x80", false, 0},
	        {"\xc1\xbf", false, 0},
	        {"\xc3", false, 0},
	        {"\xc3(", false, 0},
	        {"\xe0\x9f\xbf", false, 0},
	        {"\xe2\x82", false, 0},
	        {"\xe2(\xa1", false, 0},
	        {"\xed\xa0\x80", false, 0},
	        {"\xf0\x8f\xbf\xbf", false, 0},
	        {"\xf0\x9f\x98", false, 0},
	        {"\xf4\x90\x80\x80", false, 0},
	        {"\xf5\x80\x80\x80", false, 0},
	        {"\xff", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text = str_of(cases[i].text);

		if (str_is_utf8(text) != cases[i].ok)
			CASE_FAIL(cases[i].text, "row %zu", i);
		if (cases[i].ok)
			assert_int_equal(str_utf8_length(text), cases[i].length);
	}
	assert_str(str_utf8_cut(STR("a\xe2\x82\xac"), 3), "a");
	assert_str(str_utf8_cut(STR("a\xe2\x82\xac"), 4), "a\xe2\x82\xac");
	assert_str(str_utf8_cut(STR("abc"), 2), "ab");
}

static void comparisons(void **state)
{
	(void)state;
	assert_true(str_compare(STR("a"), STR("b")) < 0);
	assert_true(str_compare(STR("a"), STR("ab")) < 0);
	assert_true(str_compare(STR("\xc3"), STR("z")) > 0);
	assert_int_equal(str_compare(STR(""), STR_NONE), 0);
	assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
	assert_false(str_eq_nocase(STR("a"), STR("ab")));
	assert_false(str_eq_nocase(STR("@"), STR("`")));
}

static void errors_carry_words_and_place(void **state)
{
	struct err err = {.code = ERR_NONE};
	char long_text[600];

	(void)state;
	assert_false(err_set(&err, ERR_NOT_FOUND, "node not found %s", "x"));
	err_set_pointer(&err, STR("/a/b"));
	err_wrap(&err, "line %d", 3);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(err.message, "line 3: node not found x");
	assert_string_equal(err.pointer, "/a/b");
	assert_int_equal(err_http_status(ERR_THROTTLED), 429);
	assert_int_equal(err_class(ERR_DATABASE), ERR_CLASS_RETRY);
	assert_false(err_set(NULL, ERR_INVALID, "nobody asks"));

	for (size_t n = 240; n < sizeof(long_text); n++) {
		memset(long_text, 'x', sizeof(long_text));
		memcpy(long_text + n - 3, "\xe2\x82\xac", 4);
		err_set(&err, ERR_INVALID, "%s", long_text);
		assert_true(str_is_utf8(str_of(err.message)));
		err_wrap(&err, "%s", "\xc3\xa9");
		assert_true(str_is_utf8(str_of(err.message)));
	}
}

static void problems_are_bounded(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	struct problems *problems = arena_alloc(arena, sizeof(*problems));

	(void)state;
	problems_init(problems, arena);
	problems_add(problems, STR_NONE, "%d things", 2);
	assert_str(problems->items[0].message, "2 things");
	assert_str(problems->items[0].path, "");
	assert_null(problems->items[0].code.p);
	for (int i = 0; i < 2 * PROBLEMS_MAX; i++)
		problems_add(problems, STR("/x"), "%600d", i);
	assert_int_equal(problems->n, PROBLEMS_MAX);
	arena_free(arena);
}

/* Partitions and lock stripes depend on these values: they may never change. */
static void hashes_are_stable(void **state)
{
	(void)state;
	assert_true(hash_str(STR(""), 0) == UINT64_C(0xefd01f60ba992926));
	assert_true(hash_str(STR("a"), 0) == UINT64_C(0x82a2a958a9bece5b));
	assert_true(hash_str(STR("a"), 1) != hash_str(STR("a"), 0));
	assert_true(hash_keyed(STR("a")) == hash_keyed(STR("a")));
	assert_true(hash_keyed(STR("a")) != hash_keyed(STR("b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(split_gives_every_part),
	        cmocka_unit_test(numbers_are_strict),
	        cmocka_unit_test(utf8_is_checked),
	        cmocka_unit_test(comparisons),
	        cmocka_unit_test(errors_carry_words_and_place),
	        cmocka_unit_test(problems_are_bounded),
	        cmocka_unit_test(hashes_are_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
