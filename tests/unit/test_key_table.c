/* Things found by their keys, few and many of them. */

#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/key_table.h"
#include "tests/unit/parts.h"

#define MANY 1000

struct thing {
	struct str key;
	int number;
};

static struct thing *make_things(struct arena *arena)
{
	struct thing *things = arena_alloc(arena, MANY * sizeof(*things));

	for (int i = 0; i < MANY; i++)
		things[i] = (struct thing){str_of(arena_printf(arena, "key %d", i)), i};
	return things;
}

static void check_found(const struct key_table *table, struct thing *things, int n_held)
{
	for (int i = 0; i < MANY; i++) {
		const struct thing *found = (const struct thing *)key_table_find(table, things[i].key);
		assert_ptr_equal(found, i < n_held ? &things[i] : NULL);
	}
}

/* At each size around those at which the table changes. */
static void what_was_added_is_found(void **state)
{
	static const size_t expected[] = {0, KEY_TABLE_FEW, KEY_TABLE_FEW + 1, MANY};
	struct thing *things = make_things(*state);

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		struct key_table table;

		key_table_init(&table, *state, expected[i]);
		check_found(&table, things, 0);
		for (int n = 0; n < MANY; n++) {
			assert_ptr_equal(key_table_add(&table, &things[n].key), &things[n].key);
			assert_int_equal(table.n, n + 1);
			if (n < 3 * KEY_TABLE_FEW || n == MANY - 1)
				check_found(&table, things, n + 1);
		}
	}
}

static void one_key_is_held_once(void **state)
{
	struct thing *things = make_things(*state), *same = make_things(*state);
	struct key_table table;

	key_table_init(&table, *state, 0);
	for (int n = 0; n < MANY; n++) {
		key_table_add(&table, &things[n].key);
		for (int held = n % 100 ? n : 0; held <= n; held++)
			assert_ptr_equal(key_table_add(&table, &same[held].key), &things[held].key);
		assert_int_equal(table.n, n + 1);
	}
}

/* The empty key, a key that begins another, bytes of any value. */
static void keys_are_bytes(void **state)
{
	struct str keys[] = {STR(""), STR("a"), STR("a\0"), STR("a\0b"), STR("\xff")};
	struct key_table table;

	key_table_init(&table, *state, 0);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_ptr_equal(key_table_add(&table, &keys[i]), &keys[i]);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_ptr_equal(key_table_find(&table, keys[i]), &keys[i]);
	assert_null(key_table_find(&table, STR("b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_was_added_is_found, unit_arena_new, unit_arena_free),
	        cmocka_unit_test_setup_teardown(one_key_is_held_once, unit_arena_new, unit_arena_free),
	        cmocka_unit_test_setup_teardown(keys_are_bytes, unit_arena_new, unit_arena_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
