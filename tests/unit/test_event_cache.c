#include "tests/unit/unit.h"

#include "gateway/customer_cache.h"

static const struct uuid workspace = {{1}}, other_workspace = {{2}}, node = {{3}}, customer = {{4}};

static void what_was_put_is_found_for_a_while(void **state)
{
	struct customer_cache *cache = customer_cache_new(64);
	struct uuid found;

	(void)state;
	assert_false(customer_cache_find(cache, &workspace, &customer, 1, &found));
	customer_cache_put(cache, &workspace, &customer, &node, customer_cache_epoch(cache), 1);
	assert_true(customer_cache_find(cache, &workspace, &customer, 1 + CUSTOMER_CACHE_LIFE_US, &found));
	assert_true(uuid_eq(&found, &node));
	assert_false(customer_cache_find(cache, &workspace, &customer, 2 + CUSTOMER_CACHE_LIFE_US, &found));
	assert_false(customer_cache_find(cache, &other_workspace, &customer, 1, &found));
	customer_cache_free(cache);
}

static void a_deleted_customer_is_forgotten(void **state)
{
	struct customer_cache *cache = customer_cache_new(64);
	struct uuid found;

	(void)state;
	customer_cache_put(cache, &workspace, &customer, &node, customer_cache_epoch(cache), 1);
	customer_cache_put_external_id(cache, &node, STR("x"), customer_cache_epoch(cache), 1);
	customer_cache_forget(cache, &workspace, &customer);
	assert_false(customer_cache_find(cache, &workspace, &customer, 1, &found));
	assert_false(customer_cache_has_external_id(cache, &node, STR("x"), 1));
	customer_cache_free(cache);
}

static void a_cleared_cache_knows_nobody(void **state)
{
	struct customer_cache *cache = customer_cache_new(64);
	struct uuid found;

	(void)state;
	customer_cache_put(cache, &workspace, &customer, &node, customer_cache_epoch(cache), 1);
	customer_cache_forget_external_ids(cache);
	assert_true(customer_cache_find(cache, &workspace, &customer, 1, &found));
	customer_cache_clear(cache);
	assert_false(customer_cache_find(cache, &workspace, &customer, 1, &found));
	customer_cache_put(cache, &workspace, &customer, &node, customer_cache_epoch(cache), 1);
	assert_true(customer_cache_find(cache, &workspace, &customer, 1, &found));
	customer_cache_free(cache);
}

static void an_answer_from_before_the_change_is_not_kept(void **state)
{
	struct customer_cache *cache = customer_cache_new(64);
	uint64_t epoch = customer_cache_epoch(cache);
	struct uuid found;

	(void)state;
	customer_cache_forget(cache, &workspace, &customer);
	customer_cache_put(cache, &workspace, &customer, &node, epoch, 1);
	customer_cache_put_external_id(cache, &node, STR("x"), epoch, 1);
	assert_false(customer_cache_find(cache, &workspace, &customer, 1, &found));
	assert_false(customer_cache_has_external_id(cache, &node, STR("x"), 1));
	customer_cache_free(cache);
}

static void external_ids_belong_to_their_node(void **state)
{
	struct customer_cache *cache = customer_cache_new(64);

	(void)state;
	customer_cache_put_external_id(cache, &node, STR("x"), customer_cache_epoch(cache), 1);
	assert_true(customer_cache_has_external_id(cache, &node, STR("x"), 1));
	assert_false(customer_cache_has_external_id(cache, &workspace, STR("x"), 1));
	assert_false(customer_cache_has_external_id(cache, &node, STR("y"), 1));
	assert_false(customer_cache_has_external_id(cache, &node, STR("x"), 2 + CUSTOMER_CACHE_LIFE_US));
	customer_cache_forget_external_ids(cache);
	assert_false(customer_cache_has_external_id(cache, &node, STR("x"), 1));
	customer_cache_put_external_id(cache, &node, STR("x"), customer_cache_epoch(cache), 1);
	assert_true(customer_cache_has_external_id(cache, &node, STR("x"), 1));
	customer_cache_free(cache);
}

static void a_full_cache_keeps_the_latest(void **state)
{
	struct customer_cache *cache = customer_cache_new(64);
	struct uuid found;
	int kept = 0;

	(void)state;
	for (int64_t i = 1; i <= 10000; i++) {
		struct uuid id = {{9}};

		memcpy(id.b + 8, &i, sizeof(i));
		customer_cache_put(cache, &workspace, &id, &node, customer_cache_epoch(cache), i);
		assert_true(customer_cache_find(cache, &workspace, &id, i, &found));
	}
	for (int64_t i = 1; i <= 10000; i++) {
		struct uuid id = {{9}};

		memcpy(id.b + 8, &i, sizeof(i));
		kept += customer_cache_find(cache, &workspace, &id, 10000, &found);
	}
	assert_in_range(kept, 32, 64);
	customer_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_put_is_found_for_a_while),
	        cmocka_unit_test(a_deleted_customer_is_forgotten),
	        cmocka_unit_test(a_cleared_cache_knows_nobody),
	        cmocka_unit_test(an_answer_from_before_the_change_is_not_kept),
	        cmocka_unit_test(external_ids_belong_to_their_node),
	        cmocka_unit_test(a_full_cache_keeps_the_latest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
