#include "common/arena.h"
#include "common/buf.h"
#include "common/bulk_job.h"
#include "common/json.h"
#include "unit.h"

static void names_are_found_again(void **state)
{
	enum bulk_status status;
	enum bulk_operation operation;
	enum bulk_entity entity;

	(void)state;
	for (int i = 0; i < BULK_STATUSES; i++) {
		assert_true(bulk_status_find(str_of(bulk_status_name((enum bulk_status)i)), &status));
		assert_int_equal(status, i);
	}
	for (int i = 0; i < BULK_OPERATIONS; i++) {
		assert_true(bulk_operation_find(str_of(bulk_operation_name((enum bulk_operation)i)), &operation));
		assert_int_equal(operation, i);
	}
	for (int i = 0; i < BULK_ENTITIES; i++) {
		assert_true(bulk_entity_find(str_of(bulk_entity_name((enum bulk_entity)i)), &entity));
		assert_int_equal(entity, i);
	}
	assert_false(bulk_status_find(STR("loaded"), &status));
	assert_false(bulk_operation_find(STR(""), &operation));
	assert_false(bulk_entity_find(STR("PRODUCT"), &entity));
}

static void what_a_status_means(void **state)
{
	static const struct {
		const char *status;
		bool is_final, has_results;
	} cases[] = {{"LOADED", false, false}, {"SCHEDULED", false, false}, {"PROCESSING", false, false},
	        {"STOPPED", true, false}, {"PROCESSED", true, true}, {"FAILED", true, true},
	        {"processed", false, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(bulk_status_is_final(str_of(cases[i].status)), cases[i].is_final);
		assert_int_equal(bulk_status_has_results(str_of(cases[i].status)), cases[i].has_results);
	}
}

static void all_fifteen_members_are_always_there(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	struct bulk_job job = {.status = STR("LOADED"),
	        .operation = STR("UPSERT"),
	        .entity = STR("CUSTOMER"),
	        .filename = STR("people \"new\".csv"),
	        .total = 3,
	        .processed = 2,
	        .failed = 1};
	struct err err = {0};
	struct buf buf;

	(void)state;
	buf_init(&buf, arena, 16);
	bulk_job_render(&buf, &job);
	struct json *value = json_parse(arena, buf_str(&buf), &err);
	assert_non_null(value);
	assert_int_equal(value->count, 15);
	assert_true(str_is(json_text(json_member(value, "filename")), "people \"new\".csv"));
	assert_true(json_is(json_member(value, "eventType"), JSON_NULL));
	assert_true(json_is(json_member(value, "bulkJobName"), JSON_NULL));
	assert_true(json_is(json_member(value, "errorMessage"), JSON_NULL));
	assert_true(str_is(json_text(json_member(value, "createdAt")), "1970-01-01T00:00:00.000+0000"));
	arena_free(arena);
}

/* What workers answer about a row is read as it was meant; a refusal names its faults. */
static void outcomes_of_rows_are_read(void **state)
{
	struct arena *arena = arena_new(65536);
	struct uuid id = {{1, [6] = 0x80, [8] = 0x80}};

	(void)state;
	for (int i = 0; i < BULK_ROW_STATUSES; i++) {
		struct str body = bulk_outcome_write(arena, (enum bulk_row_status)i, &id);
		struct bulk_outcome outcome = bulk_outcome_read(arena, 201, body);
		assert_int_equal(outcome.status, i);
		assert_str(outcome.id, "01000000-0000-8000-8000-000000000000");
	}
	struct bulk_outcome outcome = bulk_outcome_read(arena, 400,
	        STR("{\"message\":\"not valid\",\"errors\":[{\"path\":\"/a\",\"message\":\"is required\"},"
	            "{\"path\":\"\",\"message\":\"too large\"}]}"));
	assert_int_equal(outcome.status, BULK_ROW_FAILED);
	assert_str(outcome.error, "not valid; /a: is required; too large");
	assert_int_equal(bulk_outcome_read(arena, 404, STR_NONE).status, BULK_ROW_FAILED);
	assert_true(bulk_outcome_read(arena, 404, STR_NONE).error.n > 0);
	assert_int_equal(bulk_outcome_read(arena, 200, STR("{}")).status, BULK_ROW_FAILED);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(outcomes_of_rows_are_read),
	        cmocka_unit_test(names_are_found_again),
	        cmocka_unit_test(what_a_status_means),
	        cmocka_unit_test(all_fifteen_members_are_always_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
