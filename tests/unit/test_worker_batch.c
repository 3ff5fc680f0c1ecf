#include "tests/unit/unit.h"

#include "common/worker_batch.h"

static const struct {
	size_t limit, taken, usual, most, next;
} cases[] = {
        {.limit = 200, .taken = 1, .usual = 200, .most = 1000, .next = 200},
        {.limit = 200, .taken = 199, .usual = 200, .most = 1000, .next = 200},
        /* full: twice as many, up to the most */
        {.limit = 200, .taken = 200, .usual = 200, .most = 1000, .next = 400},
        {.limit = 400, .taken = 400, .usual = 200, .most = 1000, .next = 800},
        {.limit = 800, .taken = 800, .usual = 200, .most = 1000, .next = 1000},
        {.limit = 1000, .taken = 1000, .usual = 200, .most = 1000, .next = 1000},
        /* caught up */
        {.limit = 1000, .taken = 999, .usual = 200, .most = 1000, .next = 200},
        /* a worker that keeps to its size */
        {.limit = 200, .taken = 200, .usual = 200, .most = 200, .next = 200},
        {.limit = 2000, .taken = 2000, .usual = 2000, .most = 1000, .next = 2000},
        {.limit = 1, .taken = 1, .usual = 1, .most = 2, .next = 2},
        /* just started */
        {.limit = 1, .taken = 1, .usual = 200, .most = 200, .next = 2},
        {.limit = 64, .taken = 64, .usual = 200, .most = 1000, .next = 128},
        {.limit = 64, .taken = 3, .usual = 200, .most = 1000, .next = 128},
        {.limit = 128, .taken = 128, .usual = 200, .most = 1000, .next = 200},
};

static void a_batch_that_comes_out_full_makes_the_next_one_larger(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
		        batch_next_limit(cases[i].limit, cases[i].taken, cases[i].usual, cases[i].most), cases[i].next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_batch_that_comes_out_full_makes_the_next_one_larger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
