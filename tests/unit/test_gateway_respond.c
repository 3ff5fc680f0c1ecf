#include "common/arena.h"
#include "common/catalog.h"
#include "common/json.h"
#include "gateway/openapi.h"
#include "gateway/respond.h"
#include "gateway/schema_documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/* What a caller that may only write sees of answers. */
static void test_reduction(void **state)
{
	static const struct {
		unsigned status;
		const char *body, *seen;
	} cases[] = {
	        {201, "{\"id\":\"x\",\"base\":{\"id\":\"y\",\"firstName\":\"Anna\"}}", "{\"id\":\"x\"}"},
	        {200, "{\"base\":{\"id\":\"y\"}}", "{}"},
	        {200, "{\"id\":{\"secret\":1}}", "{}"},
	        {200, "[{\"id\":\"x\"}]", "{}"},
	        {200, "not json", "{}"},
	        {200, "", ""},
	        {409,
	                "{\"message\":\"m\",\"logref\":\"l\",\"data\":{\"customer\":{\"id\":\"x\",\"href\":\"h\"}},"
	                "\"errors\":[]}",
	                "{\"message\":\"m\",\"logref\":\"l\",\"data\":{\"customer\":null},\"errors\":[]}"},
	        {504, "{\"message\":\"m\",\"logref\":\"l\",\"data\":{\"commandId\":\"c\",\"x\":1},\"errors\":[]}",
	                "{\"message\":\"m\",\"logref\":\"l\",\"data\":{\"commandId\":\"c\"},\"errors\":[]}"},
	        {400, "{\"message\":\"m\",\"logref\":\"l\",\"data\":{\"stored\":1},\"errors\":[]}",
	                "{\"message\":\"m\",\"logref\":\"l\",\"data\":null,\"errors\":[]}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str seen = respond_reduce(arena, cases[i].status, str_of(cases[i].body));
		if (!str_is(seen, cases[i].seen))
			fail_msg("case %zu: %.*s", i, STR_ARG(seen));
	}
}

static void count_references(const struct json *value, const struct json *schemas, size_t *n)
{
	static const struct str prefix = {"#/components/schemas/", 21};
	struct str target = json_text(json_member(value, "$ref"));

	if (str_starts(target, prefix)) {
		struct str name = {target.p + prefix.n, target.n - prefix.n};
		if (!json_get(schemas, name))
			fail_msg("no schema %.*s", STR_ARG(name));
		(*n)++;
	}
	for
		json_each(item, value) count_references(item, schemas, n);
}

/* Every row is in the document, and every name in it is resolved. */
static void test_openapi(void **state)
{
	struct str text = openapi_build(routes, route_count);
	struct err err = {0};
	const struct json *document = json_parse(arena, text, &err);
	size_t n_operations = 0, n_references = 0;

	(void)state;
	assert_non_null(document);
	assert_true(str_starts(json_text(json_member(document, "openapi")), STR("3.")));
	for
		json_each(path, json_member(document, "paths")) n_operations += path->count;
	assert_int_equal(n_operations, route_count);
	count_references(document, json_path(document, STR("components.schemas")), &n_references);
	assert_true(n_references > route_count);
	free((char *)text.p);
}

static bool has_reference(const struct json *value)
{
	if (json_member(value, "$ref"))
		return true;
	for
		json_each(item, value)
		{
			if (has_reference(item))
				return true;
		}
	return false;
}

/* The names under which class builders of client libraries fetch the documents. */
static void test_schema_documents(void **state)
{
	static const char *const known[] = {"enums.json", "customer.json", "common.json",
	        "base-property/base-properties.json", "base-property/contacts.json", "consents/consents.json",
	        "consents/marketing.json", "event/tracking.json", "event/user.json", "event/context/WEB.json",
	        "event/context/contact-center.json", "event/context/digital-campaign.json",
	        "event/completedOrder.json"};
	static const char *const unknown[] = {"", ".json", "x.json", "enums", "event/.json", "event/x.post.json",
	        "event/../enums.json", "event/context/x.json", "base-property/x.json", "base-property/contacts",
	        ("event/context/"
	         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.json")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const struct json *document = schema_document(arena, str_of(known[i]));
		if (!document || document->count == 0 || has_reference(document))
			fail_msg("%s", known[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		if (schema_document(arena, str_of(unknown[i])))
			fail_msg("%s", unknown[i]);
	}
	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
		char path[128];
		snprintf(path, sizeof(path), "event/%.*s.post.json", STR_ARG(event_types[i].id));
		assert_non_null(schema_document(arena, str_of(path)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_reduction, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_openapi, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_schema_documents, set_up, tear_down)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
