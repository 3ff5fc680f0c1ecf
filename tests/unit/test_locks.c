#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/locks.h"
#include "tests/unit/parts.h"

static const struct uuid node_a = {{1}}, node_b = {{2}};

static struct lock_set begin(void **state)
{
	struct lock_set set;

	lock_set_init(&set, *state);
	return set;
}

static void keys_are_sorted_and_distinct(void **state)
{
	struct lock_set set = begin(state);

	for (int round = 0; round < 2; round++)
		for (uint8_t i = 0; i < 200; i++)
			lock_set_customer(&set, &(struct uuid){{i}}, false);
	lock_set_order(&set);
	assert_int_equal(set.n, 200);
	for (size_t i = 1; i < set.n; i++)
		assert_true(set.locks[i - 1].key < set.locks[i].key);
}

static void exclusive_wins(void **state)
{
	for (int first = 0; first < 2; first++) {
		struct lock_set set = begin(state);

		lock_set_customer(&set, &node_a, first == 0);
		lock_set_customer(&set, &node_a, first == 1);
		lock_set_customer(&set, &node_a, false);
		lock_set_order(&set);
		assert_int_equal(set.n, 1);
		assert_true(set.locks[0].exclusive);
	}
}

static void kinds_nodes_and_values_are_apart(void **state)
{
	struct lock_set set = begin(state);

	lock_set_customer(&set, &node_a, true);
	lock_set_node(&set, &node_a, true);
	lock_set_binding(&set, &node_a, 1, STR("v"), true);
	lock_set_binding(&set, &node_a, 2, STR("v"), true);
	lock_set_binding(&set, &node_b, 1, STR("v"), true);
	lock_set_binding(&set, &node_a, 1, STR("w"), true);
	lock_set_order(&set);
	assert_int_equal(set.n, 6);
}

/* Both workers must come to the same keys, also across versions that run side by side. */
static void keys_are_stable(void **state)
{
	struct lock_set set = begin(state);

	lock_set_binding(&set, &node_a, 1, STR("session"), false);
	lock_set_customer(&set, &node_a, false);
	assert_int_equal(set.locks[0].key >> 32, 0x43480001);
	assert_int_equal(set.locks[1].key >> 32, 0x43480002);
	assert_true((set.locks[0].key & 0xffffffff) < LOCK_STRIPES);
}

static void an_empty_set_needs_no_database(void **state)
{
	struct lock_set set = begin(state);

	lock_set_order(&set);
	assert_true(lock_set_take(&set, NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_are_sorted_and_distinct),
	        cmocka_unit_test(exclusive_wins),
	        cmocka_unit_test(kinds_nodes_and_values_are_apart),
	        cmocka_unit_test(keys_are_stable),
	        cmocka_unit_test(an_empty_set_needs_no_database),
	};

	return cmocka_run_group_tests(tests, unit_arena_new, unit_arena_free);
}
