#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/event_input.h"
#include "tests/unit/parts.h"

/* "/a /b": paths of the problems in their order. */
static struct str paths(struct arena *arena, const struct problems *problems)
{
	struct buf buf;

	buf_init(&buf, arena, 64);
	for (size_t i = 0; i < problems->n; i++) {
		if (i)
			buf_add_char(&buf, ' ');
		buf_add_str(&buf, problems->items[i].path);
	}
	return buf_str(&buf);
}

#define NODE "\"nodeId\":\"95000000-0000-0000-0000-000000000000\""
#define HEAD "\"type\":\"viewedPage\",\"context\":\"WEB\""

/* Rules of a body, one row per rule: the faults that it has. */
static const struct {
	const char *name;
	enum event_write write;
	const char *body, *expected;
} bodies[] = {
        {.name = "smallest with a customer", .body = "{\"customerId\":\"c\"," HEAD "}", .expected = ""},
        {.name = "smallest with a session",
                .body = "{\"bringBackProperties\":{\"value\":\"s\"," NODE "}," HEAD "}",
                .expected = ""},
        {.name = "nulls are not there",
                .body = "{\"customerId\":\"c\",\"bringBackProperties\":null,\"date\":null,\"tracking\":null,"
                        "\"properties\":null,\"contextInfo\":null," HEAD "}",
                .expected = ""},
        {.name = "empty lists of PHP",
                .body = "{\"customerId\":\"c\",\"properties\":[],\"contextInfo\":[]," HEAD "}",
                .expected = ""},
        {.name = "mode of the Python library",
                .body = "{\"customerId\":\"c\",\"mode\":\"ACTIVE\"," HEAD "}",
                .expected = ""},
        {.name = "nobody", .body = "{" HEAD "}", .expected = "/customerId"},
        {.name = "both",
                .body = "{\"customerId\":\"c\",\"bringBackProperties\":{\"value\":\"s\"," NODE "}," HEAD "}",
                .expected = "/bringBackProperties"},
        {.name = "customer of a wrong type", .body = "{\"customerId\":5," HEAD "}", .expected = "/customerId"},
        {.name = "bring-back of a wrong type",
                .body = "{\"bringBackProperties\":[]," HEAD "}",
                .expected = "/bringBackProperties"},
        {.name = "bring-back without anything",
                .body = "{\"bringBackProperties\":{}," HEAD "}",
                .expected = "/bringBackProperties/value /bringBackProperties/nodeId"},
        {.name = "bring-back of an unknown kind",
                .body = "{\"bringBackProperties\":{\"type\":\"externalId\",\"value\":\"s\"," NODE "}," HEAD "}",
                .expected = "/bringBackProperties/type"},
        {.name = "empty value",
                .body = "{\"bringBackProperties\":{\"value\":\"\"," NODE "}," HEAD "}",
                .expected = "/bringBackProperties/value"},
        {.name = "unknown key of a bring-back",
                .body = "{\"bringBackProperties\":{\"value\":\"s\",\"a/b\":1," NODE "}," HEAD "}",
                .expected = "/bringBackProperties/a~1b"},
        {.name = "unknown key", .body = "{\"customerId\":\"c\",\"foo\":1," HEAD "}", .expected = "/foo"},
        {.name = "a POST has no id", .body = "{\"customerId\":\"c\",\"id\":\"x\"," HEAD "}", .expected = "/id"},
        {.name = "nothing about it", .body = "{\"customerId\":\"c\"}", .expected = "/type /context"},
        {.name = "unknown names",
                .body = "{\"customerId\":\"c\",\"type\":\"viewedpage\",\"context\":\"web\"}",
                .expected = "/type /context"},
        {.name = "wrong types",
                .body = "{\"customerId\":\"c\",\"type\":1,\"context\":{},\"date\":1,\"properties\":\"x\","
                        "\"contextInfo\":[1],\"tracking\":5}",
                .expected = "/type /context /date /properties /contextInfo /tracking"},
        {.name = "no date", .body = "{\"customerId\":\"c\",\"date\":\"yesterday\"," HEAD "}", .expected = "/date"},
        {.name = "PUT of all that a GET answers",
                .write = EVENT_REPLACE,
                .body = "{\"id\":\"x\",\"customerId\":\"c\",\"bringBackProperties\":null,\"properties\":{},"
                        "\"contextInfo\":{},\"date\":\"2020-01-01\",\"origin\":\"NATIVE\",\"prev\":null,\"next\":null,"
                        "\"tracking\":null,\"registeredAt\":\"2020-01-01\",\"updatedAt\":null,\"version\":1," HEAD "}",
                .expected = ""},
        {.name = "PUT needs the whole", .write = EVENT_REPLACE, .body = "{}", .expected = "/type /context /properties"},
        {.name = "PATCH of nothing", .write = EVENT_CHANGE, .body = "{}", .expected = ""},
        {.name = "PATCH with nulls",
                .write = EVENT_CHANGE,
                .body = "{\"properties\":null,\"contextInfo\":null,\"tracking\":null,\"date\":null,\"type\":null}",
                .expected = ""},
        {.name = "PATCH with an unknown key", .write = EVENT_CHANGE, .body = "{\"foo\":1}", .expected = "/foo"},
};

static void bodies_are_checked(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct problems problems;
		struct event_input input;

		problems_init(&problems, *state);
		bool good =
		        event_input_read(*state, unit_json(*state, bodies[i].body), bodies[i].write, &input, &problems);
		if (!str_is(paths(*state, &problems), bodies[i].expected) || good != (problems.n == 0))
			CASE_FAIL(bodies[i].name, "faults at %.*s", STR_ARG(paths(*state, &problems)));
	}
}

static void values_of_255_characters_fit(void **state)
{
	static const struct {
		size_t n;
		bool good;
	} cases[] = {{1, true}, {255, true}, {256, false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems problems;
		struct event_input input;
		struct buf body;

		buf_init(&body, *state, 2048);
		buf_add_literal(&body, "{\"bringBackProperties\":{" NODE ",\"type\":\"EXTERNAL_ID\",\"value\":\"");
		for (size_t n = 0; n < cases[i].n; n++)
			buf_add_literal(&body, "è");
		buf_add_literal(&body, "\"}," HEAD "}");
		buf_add_char(&body, '\0');
		problems_init(&problems, *state);
		assert_int_equal(event_input_read(*state, unit_json(*state, body.p), EVENT_CREATE, &input, &problems),
		        cases[i].good);
		assert_int_equal(input.bind, EVENT_BIND_EXTERNAL_ID);
	}
}

static void parts_are_found(void **state)
{
	struct problems problems;
	struct event_input input;

	problems_init(&problems, *state);
	assert_true(event_input_read(*state,
	        unit_json(*state,
	                "{\"bringBackProperties\":{\"value\":\"s\"," NODE "},\"date\":\"1970-01-01T00:00:01Z\","
	                "\"properties\":[],\"tracking\":{}," HEAD "}"),
	        EVENT_CREATE, &input, &problems));
	assert_str(input.type->id, "viewedPage");
	assert_str(input.context->id, "WEB");
	assert_int_equal(input.bind, EVENT_BIND_SESSION);
	assert_str(input.bind_value, "s");
	assert_true(input.has_date);
	assert_int_equal(input.date_us, 1000000);
	assert_int_equal(input.properties->type, JSON_OBJECT);
	assert_null(input.context_info);
	assert_non_null(input.tracking);
}

#define ID "\"49000000-0000-0000-0000-000000000000\""
#define CUSTOMER "\"87000000-0000-0000-0000-000000000000\""
#define OTHER "\"88000000-0000-0000-0000-000000000000\""

static const struct {
	const char *name;
	enum event_write write;
	bool waiting; /* an event of a session, without a customer yet */
	const char *body, *expected;
} changes[] = {
        {.name = "nothing", .body = "{}", .expected = ""},
        {.name = "the same",
                .body = "{\"id\":" ID ",\"customerId\":" CUSTOMER ",\"type\":\"viewedPage\",\"context\":\"WEB\","
                        "\"bringBackProperties\":null,\"registeredAt\":\"2019-08-24T14:15:22.123+0000\"}",
                .expected = ""},
        {.name = "ids in capitals",
                .body = "{\"customerId\":\"87000000-0000-0000-0000-000000000000\"}",
                .expected = ""},
        {.name = "all others",
                .body = "{\"id\":" OTHER ",\"customerId\":" OTHER ",\"type\":\"loggedIn\",\"context\":\"MOBILE\","
                        "\"bringBackProperties\":{\"value\":\"s\"," NODE "},"
                        "\"registeredAt\":\"2019-08-24T14:15:22.124+0000\"}",
                .expected = "/id /customerId /bringBackProperties /type /context /registeredAt"},
        {.name = "PUT may change the context",
                .write = EVENT_REPLACE,
                .body = "{\"context\":\"MOBILE\"}",
                .expected = ""},
        {.name = "not even texts",
                .body = "{\"id\":1,\"type\":{},\"registeredAt\":[]}",
                .expected = "/id /type /registeredAt"},
        {.name = "generated ones are passed over",
                .body = "{\"origin\":\"DUPLICATE\",\"version\":99,\"updatedAt\":\"x\"}",
                .expected = ""},
        {.name = "a waiting event keeps its session",
                .waiting = true,
                .body = "{\"customerId\":null,\"bringBackProperties\":{\"type\":\"SESSION_ID\",\"value\":\"s\"," NODE
                        "}}",
                .expected = ""},
        {.name = "the session without its type",
                .waiting = true,
                .body = "{\"bringBackProperties\":{\"value\":\"s\"," NODE "}}",
                .expected = ""},
        {.name = "another value",
                .waiting = true,
                .body = "{\"bringBackProperties\":{\"value\":\"t\"," NODE "}}",
                .expected = "/bringBackProperties"},
        {.name = "another kind",
                .waiting = true,
                .body = "{\"bringBackProperties\":{\"type\":\"EXTERNAL_ID\",\"value\":\"s\"," NODE "}}",
                .expected = "/bringBackProperties"},
        {.name = "no customer can be put there",
                .waiting = true,
                .body = "{\"customerId\":" CUSTOMER "}",
                .expected = "/customerId"},
};

static void some_members_stay(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct event_row event = {.id = {{0x49}},
		        .node = {{0x95}},
		        .has_customer = !changes[i].waiting,
		        .customer = {{0x87}},
		        .registered_us = 1566656122123456,
		        .bind = changes[i].waiting ? EVENT_BIND_SESSION : EVENT_BIND_NONE,
		        .type = STR("viewedPage"),
		        .context = STR("WEB"),
		        .bind_value = STR("s")};
		enum event_write write = changes[i].write ? changes[i].write : EVENT_CHANGE;
		struct problems problems;

		problems_init(&problems, *state);
		event_input_keeps(&event, unit_json(*state, changes[i].body), write, &problems);
		if (!str_is(paths(*state, &problems), changes[i].expected))
			CASE_FAIL(changes[i].name, "faults at %.*s", STR_ARG(paths(*state, &problems)));
	}
}

static void a_patch_answers_for_what_it_says(void **state)
{
	/* faults before and after a patch, and those that are left */
	static const struct {
		const char *before, *after, *patch, *left;
	} cases[] = {
	        {"/properties/extended/a", "/properties/extended/a", "{\"properties\":{\"title\":\"t\"}}", ""},
	        {"/properties/extended/a", "/properties/extended/a", "{}", ""},
	        {"/properties/extended/a", "/properties/extended/a", "{\"properties\":{\"extended\":{\"a\":1}}}",
	                "/properties/extended/a"},
	        {"", "/properties/extended/a", "{\"properties\":{\"title\":\"t\"}}", "/properties/extended/a"},
	        {"/properties/id", "/properties/id", "{\"properties\":{\"id\":null}}", "/properties/id"},
	        {"/properties/id", "/properties/id", "{\"properties\":null}", "/properties/id"},
	        {"/properties/list/0/price", "/properties/list/0/price", "{\"properties\":{\"list\":[{}]}}",
	                "/properties/list/0/price"},
	        {"/properties/list/0/price", "/properties/list/0/price /contextInfo/x", "{\"contextInfo\":{\"x\":1}}",
	                "/contextInfo/x"},
	        {"/properties/a~1b~0", "/properties/a~1b~0", "{\"properties\":{\"a/b~\":1}}", "/properties/a~1b~0"},
	        {"/properties/a~1b~0", "/properties/a~1b~0", "{\"properties\":{\"a\":1}}", ""},
	};
	struct arena *arena = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems before, after;
		const char *const texts[] = {cases[i].before, cases[i].after};
		struct problems *const lists[] = {&before, &after};
		for (size_t j = 0; j < 2; j++) {
			struct str rest = str_of(texts[j]), path;
			problems_init(lists[j], arena);
			while (rest.n && str_split(&rest, ' ', &path))
				problems_add(lists[j], path, "wrong");
		}
		event_input_forgive(&after, &before, unit_json(arena, cases[i].patch));
		if (!str_eq(paths(arena, &after), str_of(cases[i].left)))
			CASE_FAIL(cases[i].patch, "left: %.*s", STR_ARG(paths(arena, &after)));
	}
}

static void clients_are_filled_in(void **state)
{
	static const struct {
		const char *sent, *expected;
	} cases[] = {
	        {.sent = NULL, .expected = "{\"client\":{\"ip\":\"1.2.3.4\",\"userAgent\":\"a\"}}"},
	        {.sent = "{\"user\":{\"id\":\"u\"}}",
	                .expected = "{\"user\":{\"id\":\"u\"},\"client\":{\"ip\":\"1.2.3.4\",\"userAgent\":\"a\"}}"},
	        {.sent = "{\"client\":null}", .expected = "{\"client\":{\"ip\":\"1.2.3.4\",\"userAgent\":\"a\"}}"},
	        {.sent = "{\"client\":{\"ip\":\"9.9.9.9\"}}", .expected = "{\"client\":{\"ip\":\"9.9.9.9\"}}"},
	        {.sent = "{\"client\":{}}", .expected = "{\"client\":{}}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_input input = {.context_info = cases[i].sent ? unit_json(*state, cases[i].sent) : NULL};
		struct buf buf;

		event_input_fill_client(*state, &input, STR("1.2.3.4"), STR("a"));
		buf_init(&buf, *state, 64);
		json_write(&buf, input.context_info);
		assert_str(buf_str(&buf), cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(bodies_are_checked),
	        cmocka_unit_test(values_of_255_characters_fit),
	        cmocka_unit_test(parts_are_found),
	        cmocka_unit_test(some_members_stay),
	        cmocka_unit_test(a_patch_answers_for_what_it_says),
	        cmocka_unit_test(clients_are_filled_in),
	};

	return cmocka_run_group_tests(tests, unit_arena_new, unit_arena_free);
}
