#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/command.h"
#include "common/event.h"
#include "tests/unit/parts.h"

#include <time.h>

static struct str encode(struct arena *arena, const struct event_body *body)
{
	struct buf buf;

	buf_init(&buf, arena, 64);
	event_body_encode(&buf, body);
	return buf_str(&buf);
}

static void a_body_comes_back_as_it_went(void **state)
{
	static const struct event_body cases[] = {
	        {.type = {"completedOrder", 14}, .context = {"WEB", 3}, .json = {"{}", 2}},
	        {.type = {"t", 1}, .context = {"c", 1}, .has_date = true, .date_us = -1, .json = {"{\"a\":1}", 7}},
	        {.has_date = true, .date_us = INT64_MAX, .json = {"{}", 2}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_body body;
		struct err err = {0};

		assert_true(event_body_decode(encode(*state, &cases[i]), &body, &err));
		assert_true(str_eq(body.type, cases[i].type));
		assert_true(str_eq(body.context, cases[i].context));
		assert_true(str_eq(body.json, cases[i].json));
		assert_int_equal(body.has_date, cases[i].has_date);
		assert_int_equal(body.date_us, cases[i].date_us);
	}
}

static void every_cut_of_a_body_is_refused_or_shorter(void **state)
{
	struct str whole = encode(
	        *state, &(struct event_body){
	                        .type = STR("viewedPage"), .context = STR("WEB"), .json = STR("{\"properties\":{}}")});

	for (size_t n = 0; n < 12 + 10 + 3 + 2; n++) {
		struct event_body body;
		struct err err = {0};
		/* a copy of its own, so that reading behind its end shows */
		struct str cut = arena_str(*state, (struct str){whole.p, n});

		if (n == 0)
			cut = STR("");
		assert_false(event_body_decode(cut, &body, &err));
		assert_int_equal(err.code, ERR_INVALID);
	}
}

static void foreign_bodies_are_refused(void **state)
{
	static const struct str cases[] = {
	        {"{\"properties\":{}}", 17},
	        {"\2\0\0\0\0\0\0\0\0\0\0\0{}", 14},
	        {"\1\2\0\0\0\0\0\0\0\0\0\0{}", 14},
	        {"\1\0\0\0\0\0\0\0\0\0\0\0[]", 14},
	        {"\1\0\377\377\0\0\0\0\0\0\0\0{}", 14},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_body body;
		struct err err = {0};

		assert_false(event_body_decode(cases[i], &body, &err));
	}
}

static void patches_merge(void **state)
{
	static const struct {
		const char *name, *stored, *patch, *expected;
	} cases[] = {
	        {.name = "a scalar",
	                .stored = "{\"properties\":{\"a\":1,\"b\":2},\"contextInfo\":{},\"tracking\":null}",
	                .patch = "{\"properties\":{\"a\":3}}",
	                .expected = "{\"properties\":{\"a\":3,\"b\":2},\"contextInfo\":{},\"tracking\":null}"},
	        {.name = "null removes",
	                .stored = "{\"properties\":{\"a\":1,\"b\":2},\"contextInfo\":{},\"tracking\":null}",
	                .patch = "{\"properties\":{\"a\":null,\"c\":null}}",
	                .expected = "{\"properties\":{\"b\":2},\"contextInfo\":{},\"tracking\":null}"},
	        {.name = "objects merge deeply",
	                .stored = "{\"properties\":{\"amount\":{\"total\":10.50,\"type\":\"x\"}},\"contextInfo\":{},"
	                          "\"tracking\":null}",
	                .patch = "{\"properties\":{\"amount\":{\"total\":11.00,\"local\":{\"rate\":1,\"gone\":null}}}}",
	                .expected =
	                        "{\"properties\":{\"amount\":{\"total\":11.00,\"type\":\"x\",\"local\":{\"rate\":1}}},"
	                        "\"contextInfo\":{},\"tracking\":null}"},
	        {.name = "lists replace",
	                .stored = "{\"properties\":{\"l\":[1,2]},\"contextInfo\":{},\"tracking\":null}",
	                .patch = "{\"properties\":{\"l\":[3]}}",
	                .expected = "{\"properties\":{\"l\":[3]},\"contextInfo\":{},\"tracking\":null}"},
	        {.name = "null parts",
	                .stored = "{\"properties\":{\"a\":1},\"contextInfo\":{\"client\":{\"ip\":\"1.1.1.1\"}},"
	                          "\"tracking\":{\"ga\":{}}}",
	                .patch = "{\"properties\":null,\"contextInfo\":null,\"tracking\":null}",
	                .expected = "{\"properties\":{},\"contextInfo\":{},\"tracking\":null}"},
	        {.name = "tracking comes",
	                .stored = "{\"properties\":{},\"contextInfo\":{},\"tracking\":null}",
	                .patch = "{\"tracking\":{\"ga\":{\"utm_source\":\"s\"}}}",
	                .expected =
	                        "{\"properties\":{},\"contextInfo\":{},\"tracking\":{\"ga\":{\"utm_source\":\"s\"}}}"},
	        {.name = "nothing",
	                .stored = "{\"properties\":{\"n\":0.10},\"contextInfo\":{},\"tracking\":null}",
	                .patch = "{}",
	                .expected = "{\"properties\":{\"n\":0.10},\"contextInfo\":{},\"tracking\":null}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		struct str merged = event_json_merge(*state, str_of(cases[i].stored), str_of(cases[i].patch), &err);

		if (!str_is(merged, cases[i].expected))
			CASE_FAIL(cases[i].name, "%.*s (%s)", STR_ARG(merged), err.message);
	}
}

static void broken_patches_say_so(void **state)
{
	struct err err = {0};

	assert_null(event_json_merge(*state, STR("{}"), STR("{"), &err).p);
	assert_int_equal(err.code, ERR_INVALID);
	assert_null(event_json_merge(*state, STR("[]"), STR("{}"), &err).p);
}

/* Trees of what is merged are larger than its text by far, and a batch holds many patches. */
static void large_events_are_merged_in_little_memory(void **state)
{
	struct err err = {0};
	struct buf stored;

	buf_init(&stored, *state, 64 * 1024);
	buf_add_literal(&stored, "{\"properties\":{\"extraProperties\":{\"a\":[0");
	while (stored.n < 60000)
		buf_add_literal(&stored, ",1");
	buf_add_literal(&stored, "]}},\"contextInfo\":{},\"tracking\":null}");
	size_t before = arena_used_bytes(*state);
	struct str merged = event_json_merge(*state, buf_str(&stored), STR("{\"properties\":{\"b\":1}}"), &err);
	assert_true(merged.n > stored.n);
	assert_true(arena_used_bytes(*state) - before < 4 * stored.n);
}

/* Ten seconds, were the members of one looked through for each of the other. */
static void many_members_are_merged_at_once(void **state)
{
	struct err err = {0};
	struct buf stored, patch;
	clock_t begin = clock();

	buf_init(&stored, *state, 1024 * 1024);
	buf_init(&patch, *state, 1024 * 1024);
	buf_add_literal(&stored, "{\"properties\":{");
	buf_add_literal(&patch, "{\"properties\":{");
	for (int i = 0; i < 50000; i++) {
		buf_printf(&stored, "%s\"%d\":1", i ? "," : "", i);
		buf_printf(&patch, "%s\"%d\":%s", i ? "," : "", 60000 - i, i % 2 ? "2" : "null");
	}
	buf_add_literal(&stored, "},\"contextInfo\":{},\"tracking\":null}");
	buf_add_literal(&patch, "}}");
	struct str text = event_json_merge(*state, buf_str(&stored), buf_str(&patch), &err);
	struct json *merged = json_parse(*state, text, &err);
	assert_non_null(merged);
	const struct json *properties = json_member(merged, "properties");
	/* 0 to 10000 as they were, of the others every second, which were there up to 49999 */
	assert_int_equal(properties->count, 10001 + 25000);
	assert_str(properties->first->key, "0");
	assert_null(json_member(properties, "10002"));
	assert_str(json_member(properties, "10003")->text, "2");
	assert_str(properties->last->key, "50001");
	assert_true(clock() - begin < 5 * CLOCKS_PER_SEC);
}

static struct event_row sample(void)
{
	return (struct event_row){
	        .id = {{0x49}},
	        .node = {{0x95}},
	        .registered_us = 1566656122123000,
	        .updated_us = 1566656122123000,
	        .date_us = 1566656122000000,
	        .version = 1,
	        .type = STR("abandonedCart"),
	        .context = STR("WEB"),
	        .json = STR("{\"properties\":{\"x\":1.50},\"contextInfo\":{},\"tracking\":null}"),
	};
}

static struct str render(struct arena *arena, const struct event_row *event, const struct event_neighbours *neighbours)
{
	struct buf buf;

	buf_init(&buf, arena, 64);
	event_render(&buf, event, neighbours);
	return buf_str(&buf);
}

static void a_new_event_with_a_customer(void **state)
{
	struct event_row event = sample();

	event.has_customer = true;
	event.customer = (struct uuid){{0x87}};
	assert_str(render(*state, &event, NULL),
	        "{\"id\":\"49000000-0000-0000-0000-000000000000\",\"customerId\":\"87000000-0000-0000-0000-"
	        "000000000000\","
	        "\"bringBackProperties\":null,\"type\":\"abandonedCart\",\"context\":\"WEB\","
	        "\"date\":\"2019-08-24T14:15:22.000+0000\",\"origin\":\"NATIVE\","
	        "\"registeredAt\":\"2019-08-24T14:15:22.123+0000\",\"updatedAt\":null,\"version\":1,"
	        "\"properties\":{\"x\":1.50},\"contextInfo\":{},\"tracking\":null}");
}

static void a_changed_waiting_event_with_neighbours(void **state)
{
	struct event_row event = sample();
	struct event_neighbours neighbours = {.prev = STR("p")};

	event.bind = EVENT_BIND_SESSION;
	event.bind_value = STR("a\"b");
	event.version = 2;
	event.updated_us += 1000;
	assert_str(render(*state, &event, &neighbours),
	        "{\"id\":\"49000000-0000-0000-0000-000000000000\",\"customerId\":null,"
	        "\"bringBackProperties\":{\"type\":\"SESSION_ID\",\"value\":\"a\\\"b\",\"nodeId\":"
	        "\"95000000-0000-0000-0000-000000000000\"},\"type\":\"abandonedCart\",\"context\":\"WEB\","
	        "\"date\":\"2019-08-24T14:15:22.000+0000\",\"origin\":\"NATIVE\","
	        "\"registeredAt\":\"2019-08-24T14:15:22.123+0000\",\"updatedAt\":\"2019-08-24T14:15:22.124+0000\","
	        "\"version\":2,\"prev\":\"p\",\"next\":null,"
	        "\"properties\":{\"x\":1.50},\"contextInfo\":{},\"tracking\":null}");
}

/* The log holds events by partition for ever: these figures may never change. */
static void partitions_are_stable(void **state)
{
	const struct uuid node = {{1}}, other = {{2}}, customer = {{3}};

	(void)state;
	assert_int_equal(
	        event_partition(&node, STR("session"), NULL, 8), event_partition(&node, STR("session"), &customer, 8));
	assert_int_not_equal(
	        event_partition(&node, STR("s"), NULL, 1u << 30), event_partition(&other, STR("s"), NULL, 1u << 30));
	assert_int_equal(
	        event_partition(&node, STR_NONE, &customer, 1000), event_partition(&other, STR_NONE, &customer, 1000));
	assert_int_equal(event_partition(&node, STR("session"), NULL, 1000), 944);
	assert_int_equal(event_partition(&node, STR_NONE, &customer, 1000), 473);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_body_comes_back_as_it_went),
	        cmocka_unit_test(every_cut_of_a_body_is_refused_or_shorter),
	        cmocka_unit_test(foreign_bodies_are_refused),
	        cmocka_unit_test(patches_merge),
	        cmocka_unit_test(broken_patches_say_so),
	        cmocka_unit_test(large_events_are_merged_in_little_memory),
	        cmocka_unit_test(many_members_are_merged_at_once),
	        cmocka_unit_test(a_new_event_with_a_customer),
	        cmocka_unit_test(a_changed_waiting_event_with_neighbours),
	        cmocka_unit_test(partitions_are_stable),
	};

	return cmocka_run_group_tests(tests, unit_arena_new, unit_arena_free);
}
