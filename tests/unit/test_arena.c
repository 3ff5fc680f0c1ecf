#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"

#define LIMIT_BYTES ((size_t)8 * 1024 * 1024)

static void allocations_are_aligned_and_apart(void **state)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	char *before = NULL;
	size_t before_bytes = 0;

	(void)state;
	for (size_t n = 0; n < 3000; n++) {
		char *p = arena_alloc(arena, n);

		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		memset(p, 'x', n);
		if (before_bytes)
			assert_int_equal(before[before_bytes - 1], 'x');
		before = p;
		before_bytes = n;
	}
	arena_free(arena);
}

static void one_allocation_may_exceed_a_block(void **state)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	char *p = arena_zalloc(arena, 5 * 1024 * 1024);

	(void)state;
	assert_int_equal(p[5 * 1024 * 1024 - 1], 0);
	memset(p, 1, 5 * 1024 * 1024);
	assert_int_equal(arena_used_bytes(arena), 5 * 1024 * 1024);
	arena_reset(arena);
	assert_int_equal(arena_used_bytes(arena), 0);
	arena_free(arena);
}

static void reset_gives_the_whole_limit_back(void **state)
{
	struct arena *arena = arena_new(100000);

	(void)state;
	for (int i = 0; i < 100; i++) {
		memset(arena_alloc(arena, 99999), i, 99999);
		arena_reset(arena);
	}
	arena_free(arena);
	arena_free(NULL);
}

/* Arenas wait for their next use by the hundreds: what one large request took must not stay with each. */
static void reset_keeps_no_more_than_it_may(void **state)
{
	static const size_t keeps[] = {0, 16 * 1024, 32 * 1024, 256 * 1024};
	struct arena *arena = arena_new(LIMIT_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keeps); i++) {
		for (size_t n = 0; n < 1000; n++)
			arena_alloc(arena, 1024);
		assert_true(arena_held_bytes(arena) >= 1000 * 1024);
		arena_reset_keeping(arena, keeps[i]);
		assert_in_range(arena_held_bytes(arena), 0, keeps[i]);
	}
	arena_free(arena);
}

static void copies_end_with_nul(void **state)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	struct str copy = arena_str(arena, (struct str){"abcdef", 3});

	(void)state;
	assert_string_equal(copy.p, "abc");
	assert_int_equal(copy.n, 3);
	assert_null(arena_str(arena, STR_NONE).p);
	assert_string_equal(arena_str(arena, STR("")).p, "");
	assert_string_equal(arena_printf(arena, "%d-%s", 7, "x"), "7-x");
	arena_free(arena);
}

static void buf_grows_and_keeps_what_it_has(void **state)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	struct buf buf;

	(void)state;
	buf_init(&buf, arena, 0);
	for (int i = 0; i < 1000; i++)
		buf_printf(&buf, "%03d", i);
	buf_add_literal(&buf, "|");
	buf_add_char(&buf, 'c');
	buf_add_str(&buf, STR("str"));
	buf_add_str(&buf, STR_NONE);
	memcpy(buf_reserve(&buf, 2), "RR", 2);
	assert_int_equal(buf.n, 3007);
	assert_memory_equal(buf.p, "000001002", 9);
	assert_memory_equal(buf.p + 2997, "999|cstrRR", 10);
	arena_free(arena);
}

static void numbers_are_decimal(void **state)
{
	static const struct {
		int64_t number;
		const char *text;
	} cases[] = {{0, "0"}, {7, "7"}, {-1, "-1"}, {10, "10"}, {1234567890123, "1234567890123"},
	        {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}};
	struct arena *arena = arena_new(LIMIT_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf buf;
		buf_init(&buf, arena, 0);
		buf_add_number(&buf, cases[i].number);
		assert_str(buf_str(&buf), cases[i].text);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(allocations_are_aligned_and_apart),
	        cmocka_unit_test(one_allocation_may_exceed_a_block),
	        cmocka_unit_test(reset_gives_the_whole_limit_back),
	        cmocka_unit_test(reset_keeps_no_more_than_it_may),
	        cmocka_unit_test(copies_end_with_nul),
	        cmocka_unit_test(buf_grows_and_keeps_what_it_has),
	        cmocka_unit_test(numbers_are_decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
