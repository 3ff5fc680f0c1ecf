#include "gateway/ip_list.h"
#include "gateway/pending.h"
#include "gateway/pipeline.h"
#include "gateway/throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND_US INT64_C(1000000)

/* A minute's worth at once, then one token every 60 s / rate. */
static void test_token_bucket(void **state)
{
	struct token_bucket bucket = {0};
	int64_t now_us = 1000 * SECOND_US;
	unsigned retry = 0;

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_true(token_bucket_take(&bucket, 6, now_us, &retry));
	assert_false(token_bucket_take(&bucket, 6, now_us, &retry));
	assert_int_equal(retry, 10);
	assert_false(token_bucket_take(&bucket, 6, now_us + 9 * SECOND_US + 500000, &retry));
	assert_int_equal(retry, 1);
	assert_true(token_bucket_take(&bucket, 6, now_us + 10 * SECOND_US, &retry));
	assert_false(token_bucket_take(&bucket, 6, now_us + 10 * SECOND_US, &retry));
	/* full again after a minute, and not fuller after an hour */
	now_us += 3600 * SECOND_US;
	for (int i = 0; i < 6; i++)
		assert_true(token_bucket_take(&bucket, 6, now_us, &retry));
	assert_false(token_bucket_take(&bucket, 6, now_us, &retry));
	assert_true(token_bucket_take(&bucket, 0, now_us, &retry));
}

static void test_buckets_by_workspace(void **state)
{
	struct throttle *throttle = throttle_new();
	unsigned retry;

	(void)state;
	for (uint16_t round = 0; round < 2; round++) {
		for (uint16_t i = 0; i < 1000; i++) {
			struct uuid id = {{0}};
			memcpy(id.b, &i, sizeof(i));
			assert_int_equal(
			        token_bucket_take(throttle_bucket(throttle, &id), 1, SECOND_US, &retry), round == 0);
		}
	}
	throttle_free(throttle);
}

static void test_ip_lists(void **state)
{
	static const struct {
		const char *list, *address;
		bool contained;
	} cases[] = {
	        {"10.0.0.1", "10.0.0.1", true},
	        {"10.0.0.1", "10.0.0.2", false},
	        {"10.0.0.0/8", "10.255.0.2", true},
	        {"10.0.0.0/8", "11.0.0.1", false},
	        {"10.0.0.0/9", "10.128.0.1", false},
	        {"0.0.0.0/0", "8.8.8.8", true},
	        {"0.0.0.0/0", "2001:db8::1", false},
	        {"10.0.0.1/32,192.168.0.0/16", "192.168.3.4", true},
	        {"10.0.0.1  192.168.0.0/16;", "192.168.3.4", true},
	        {" , ,10.0.0.1", "10.0.0.1", true},
	        {"2001:db8::/32", "2001:db8:1::5", true},
	        {"2001:db8::/32", "2001:db9::5", false},
	        {"::1", "::1", true},
	        {"::/0", "::1", true},
	        {"127.0.0.1", "::ffff:127.0.0.1", true},
	        {"::ffff:127.0.0.1", "127.0.0.1", true},
	        {"localhost 10.0.0.1", "10.0.0.1", true},
	        {"10.0.0.0/33", "10.0.0.1", false},
	        {"10.0.0.0/x", "10.0.0.1", false},
	        {"10.0.0", "10.0.0.1", false},
	        {"", "10.0.0.1", false},
	        {"10.0.0.1", "", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (ip_list_contains(str_of(cases[i].list), str_of(cases[i].address)) != cases[i].contained)
			fail_msg("%s in %s", cases[i].address, cases[i].list);
	}
	assert_true(ip_list_is_valid(STR("10.0.0.1, ::1/128")));
	assert_true(ip_list_is_valid(STR_NONE));
	assert_false(ip_list_is_valid(STR("10.0.0.1, somewhere")));
}

static void test_waiting_requests(void **state)
{
	struct pending *pending = pending_new(2);
	struct request *one = (struct request *)&pending, *two = (struct request *)state;

	uint64_t first = pending_add(pending, one), second = pending_add(pending, two);
	assert_true(first && second && first != second);
	assert_int_equal(pending_add(pending, one), 0);
	assert_ptr_equal(pending_find(pending, first), one);
	assert_ptr_equal(pending_find(pending, second), two);
	pending_remove(pending, first);
	pending_remove(pending, first);
	assert_null(pending_find(pending, first));
	assert_int_equal(pending_count(pending), 1);
	/* the place is used again, the number is not */
	uint64_t third = pending_add(pending, two);
	assert_true(third && third != first);
	assert_null(pending_find(pending, first));
	assert_null(pending_find(pending, 0));
	assert_null(pending_find(pending, UINT64_MAX));
	pending_free(pending);
}

static void test_content_types(void **state)
{
	static const struct {
		const char *type;
		bool json;
	} cases[] = {{"application/json", true}, {"Application/JSON; charset=utf-8", true},
	        {"application/json;charset=UTF-8", true}, {"application/problem+json", true}, {"text/json", true},
	        {"", true}, {" ; charset=utf-8", true}, {NULL, true}, {"text/plain", false}, {"application/xml", false},
	        {"multipart/form-data; boundary=x", false}, {"application/jsonx", false}, {"x+json", false},
	        {"application/x-www-form-urlencoded", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(pipeline_is_json_type(str_of(cases[i].type)), cases[i].json);
}

static void test_idempotency_keys(void **state)
{
	char key[256];

	(void)state;
	memset(key, 'k', sizeof(key));
	assert_true(pipeline_is_idempotency_key(STR("a b~")));
	assert_true(pipeline_is_idempotency_key((struct str){key, 255}));
	assert_false(pipeline_is_idempotency_key((struct str){key, 256}));
	assert_false(pipeline_is_idempotency_key(STR("")));
	assert_false(pipeline_is_idempotency_key(STR("a\tb")));
	assert_false(pipeline_is_idempotency_key(STR("\xc3\xa9")));
	assert_false(pipeline_is_idempotency_key(STR("a\x7f")));
}

static void test_method_override(void **state)
{
	static const struct {
		const char *method, *override, *counts;
	} cases[] = {{"POST", NULL, "POST"}, {"POST", "PATCH", "PATCH"}, {"POST", " delete ", "DELETE"},
	        {"POST", "", "POST"}, {"GET", "DELETE", "GET"}, {"PUT", "DELETE", "PUT"},
	        {"POST", "ABCDEFGHIJKLMNOPQ", "POST"}, {"POST", "X", "X"}};
	char buffer[PIPELINE_METHOD_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(str_is(
		        pipeline_method(str_of(cases[i].method), str_of(cases[i].override), buffer), cases[i].counts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_token_bucket),
	        cmocka_unit_test(test_buckets_by_workspace), cmocka_unit_test(test_ip_lists),
	        cmocka_unit_test(test_waiting_requests), cmocka_unit_test(test_content_types),
	        cmocka_unit_test(test_idempotency_keys), cmocka_unit_test(test_method_override)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
