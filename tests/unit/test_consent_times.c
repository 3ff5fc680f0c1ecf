/* When each leaf of a customer's consents got its value. */

#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/consent_times.h"

#define EMAIL(status) "{\"consents\":{\"marketing\":{\"automatic\":{\"email\":{\"status\":" status "}}}}}"
#define EMAIL_TIME(time) "{\"marketing.automatic.email.status\":" time "}"
#define NOW 900
#define UPDATED 500 /* the customer before */

static struct json *parse(struct arena *arena, const char *text)
{
	struct err err = {0};
	struct json *value = text ? json_parse(arena, str_of(text), &err) : NULL;

	assert_true(!text || value);
	return value;
}

static void leaves_that_change_take_the_time_of_the_change(void **state)
{
	static const struct {
		const char *name, *before, *times, *after, *then; /* NULL: none */
	} cases[] = {
	        {"a new customer", NULL, NULL, EMAIL("true"), EMAIL_TIME("900")},
	        {"a new customer without consents", NULL, NULL, "{}", NULL},
	        {"another value", EMAIL("true"), EMAIL_TIME("100"), EMAIL("false"), EMAIL_TIME("900")},
	        {"the same value", EMAIL("true"), EMAIL_TIME("100"), EMAIL("true"), EMAIL_TIME("100")},
	        {"something else changed", EMAIL("true"), EMAIL_TIME("100"),
	                "{\"extra\":\"x\",\"consents\":{\"marketing\":{\"automatic\":{\"email\":{\"status\":true}}}}}",
	                EMAIL_TIME("100")},
	        {"one leaf of two", EMAIL("true"), EMAIL_TIME("100"),
	                "{\"consents\":{\"disclaimer\":{\"version\":\"1\"},\"marketing\":{\"automatic\":{\"email\":{"
	                "\"status\":true}}}}}",
	                "{\"disclaimer.version\":900,\"marketing.automatic.email.status\":100}"},
	        {"a leaf that goes", EMAIL("true"), EMAIL_TIME("100"), "{\"consents\":{}}", "{}"},
	        {"all that go", EMAIL("true"), EMAIL_TIME("100"), "{}", NULL},
	        {"given before times were kept", EMAIL("true"), NULL, EMAIL("true"), EMAIL_TIME("500")},
	        {"changed when times are kept", EMAIL("true"), NULL, EMAIL("false"), EMAIL_TIME("900")},
	};
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct customer before = {.updated_us = UPDATED,
		        .doc = parse(arena, cases[i].before),
		        .consent_times = parse(arena, cases[i].times)};
		struct json *times =
		        consent_times_next(arena, cases[i].before ? &before : NULL, parse(arena, cases[i].after), NOW);
		const struct json *wanted = parse(arena, cases[i].then);
		if (!times != !wanted || (wanted && !json_equal(times, wanted)))
			CASE_FAIL(cases[i].name, "not %s", cases[i].then ? cases[i].then : "none");
	}
	arena_free(arena);
}

static void a_leaf_without_a_time_is_as_old_as_the_last_change(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	struct customer customer = {.updated_us = UPDATED, .consent_times = parse(arena, EMAIL_TIME("100"))};

	(void)state;
	assert_int_equal(consent_time(&customer, STR("marketing.automatic.email.status")), 100);
	assert_int_equal(consent_time(&customer, STR("marketing.automatic.sms.status")), UPDATED);
	customer.consent_times = NULL;
	assert_int_equal(consent_time(&customer, STR("marketing.automatic.email.status")), UPDATED);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(leaves_that_change_take_the_time_of_the_change),
	        cmocka_unit_test(a_leaf_without_a_time_is_as_old_as_the_last_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
