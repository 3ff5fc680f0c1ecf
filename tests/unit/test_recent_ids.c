/* The window of ids that were seen: the last ones are known, whatever their hashes. */

#include "common/recent_ids.h"
#include "unit.h"

#define CAPACITY 50

static struct uuid id_of(int number)
{
	struct uuid id = {{0}};

	memcpy(id.b, &number, sizeof(number));
	return id;
}

static void the_last_ids_are_known(void **state)
{
	struct recent_ids *recent = recent_ids_new(CAPACITY);

	(void)state;
	for (int i = 0; i < 10 * CAPACITY; i++) {
		struct uuid id = id_of(i);
		assert_false(recent_ids_has(recent, &id));
		recent_ids_add(recent, &id);
		for (int known = 0; known <= i; known++) {
			id = id_of(known);
			assert_int_equal(recent_ids_has(recent, &id), known > i - CAPACITY);
		}
	}
	recent_ids_free(recent);
}

static void an_id_may_be_added_twice(void **state)
{
	struct recent_ids *recent = recent_ids_new(2);
	struct uuid one = id_of(1), two = id_of(2);

	(void)state;
	recent_ids_add(recent, &one);
	recent_ids_add(recent, &one);
	recent_ids_add(recent, &two);
	assert_true(recent_ids_has(recent, &one));
	recent_ids_add(recent, &two);
	assert_false(recent_ids_has(recent, &one));
	recent_ids_free(recent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_last_ids_are_known),
	        cmocka_unit_test(an_id_may_be_added_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
