#include "tests/unit/unit.h"

#include "common/aggregate.h"
#include "common/arena.h"
#include "gateway/aggregate_event.h"
#include "gateway/event_search.h"
#include "tests/unit/parts.h"

static struct event_search read_good(struct arena *arena, struct event_search_text text)
{
	struct event_search search;
	struct problems problems;

	problems_init(&problems, arena);
	assert_true(event_search_read(&text, &search, &problems));
	return search;
}

static void nothing_asked_is_everything(void **state)
{
	struct event_search search = read_good(*state, (struct event_search_text){.type = STR(""), .mode = STR("")});

	assert_false(
	        search.by_customer || search.has_types || search.has_contexts || search.nothing || search.ascending);
	assert_int_equal(search.from_us, INT64_MIN);
	assert_int_equal(search.to_us, INT64_MAX);
	assert_string_equal(event_search_statement(&search), "event_search_node_date_desc");
}

static void types_and_modes_meet(void **state)
{
	static const struct {
		struct str type, mode;
		size_t n;
		bool nothing;
	} cases[] = {
	        {.type = {"viewedPage", 10}, .n = 1},
	        {.type = {"viewedPage,loggedIn,viewedPage", 30}, .n = 2},
	        {.mode = {"ACTIVE", 6}, .n = 35},
	        {.mode = {"PASSIVE", 7}, .n = 13},
	        {.type = {"viewedPage,campaignSent", 23}, .mode = {"PASSIVE", 7}, .n = 1},
	        {.type = {"viewedPage", 10}, .mode = {"PASSIVE", 7}, .n = 0, .nothing = true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_search search =
		        read_good(*state, (struct event_search_text){.type = cases[i].type, .mode = cases[i].mode});

		assert_true(search.has_types);
		assert_int_equal(search.n_types, cases[i].n);
		assert_int_equal(search.nothing, cases[i].nothing);
	}
}

static void dates_include_their_millisecond(void **state)
{
	struct event_search search =
	        read_good(*state, (struct event_search_text){.date_from = STR("1970-01-01T00:00:01.5Z"),
	                                  .date_to = STR("1970-01-01T00:00:01.500+0000")});

	assert_int_equal(search.from_us, 1500000);
	assert_int_equal(search.to_us, 1500999);
	search = read_good(*state, (struct event_search_text){.date_to = STR("1969-12-31T23:59:59.999Z")});
	assert_int_equal(search.to_us, -1);
}

static void customers_that_cannot_be_have_no_events(void **state)
{
	struct event_search search = read_good(*state, (struct event_search_text){.customer = STR("123")});

	assert_true(search.by_customer && search.nothing);
	search = read_good(*state, (struct event_search_text){.customer = STR("87000000-0000-0000-0000-000000000000")});
	assert_true(search.by_customer && !search.nothing);
}

static void orders_have_statements(void **state)
{
	static const struct {
		struct str sort;
		const char *statement;
	} cases[] = {
	        {.sort = {"date", 4}, .statement = "event_search_customer_date_asc"},
	        {.sort = {"date,DESC", 9}, .statement = "event_search_customer_date_desc"},
	        {.sort = {"registeredAt,desc", 17}, .statement = "event_search_customer_registered_desc"},
	        {.sort = {"updatedAt,asc", 13}, .statement = "event_search_customer_updated_asc"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_search search = read_good(
		        *state, (struct event_search_text){.customer = STR("87000000-0000-0000-0000-000000000000"),
		                        .sort = cases[i].sort});
		assert_string_equal(event_search_statement(&search), cases[i].statement);
	}
}

static void aggregate_nodes_have_statements_of_their_own(void **state)
{
	struct event_search search = read_good(*state, (struct event_search_text){.sort = STR("date,asc")});

	search.on_aggregate = true;
	assert_string_equal(event_search_statement(&search), "event_search_aggregate_date_asc");
	search = read_good(*state, (struct event_search_text){.customer = STR("87000000-0000-0000-0000-000000000000"),
	                                   .sort = STR("updatedAt,desc")});
	search.on_aggregate = true;
	assert_string_equal(event_search_statement(&search), "event_search_profile_updated_desc");
}

static void an_event_on_an_aggregate_node_is_a_duplicate(void **state)
{
	const struct uuid id = uuid_v7(1700000000000000), node = {{1}}, aggregate = {{2}}, profile = {{3}};
	struct event_row event = {.id = id, .node = node, .bind = EVENT_BIND_SESSION, .bind_value = STR("s")};

	(void)state;
	event_show_on_aggregate(&event, &aggregate, &profile);
	assert_true(event.duplicate && event.has_customer);
	assert_true(uuid_eq(&event.node, &aggregate));
	assert_true(uuid_eq(&event.customer, &profile));
	assert_int_equal(event.bind, EVENT_BIND_NONE);
	assert_false(uuid_eq(&event.id, &id));
	assert_int_equal(event.id.b[6] >> 4, 7);
	assert_int_equal(event.id.b[8] >> 6, 2);
	struct uuid back = aggregate_event_id(&aggregate, &event.id), elsewhere = aggregate_event_id(&node, &event.id);
	assert_true(uuid_eq(&back, &id));
	assert_false(uuid_eq(&elsewhere, &id));
}

static void faults_name_their_parameter(void **state)
{
	static const struct {
		struct event_search_text text;
		const char *path;
	} cases[] = {
	        {.text = {.type = {"x", 1}}, .path = "/type"},
	        {.text = {.type = {"viewedPage,", 11}}, .path = "/type"},
	        {.text = {.context = {"web", 3}}, .path = "/context"},
	        {.text = {.mode = {"BOTH", 4}}, .path = "/mode"},
	        {.text = {.date_from = {"soon", 4}}, .path = "/dateFrom"},
	        {.text = {.date_to = {"2020-13-01", 10}}, .path = "/dateTo"},
	        {.text = {.sort = {"name", 4}}, .path = "/sort"},
	        {.text = {.sort = {"date,up", 7}}, .path = "/sort"},
	        {.text = {.sort = {"registeredAt,asc", 16}}, .path = "/sort"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_search search;
		struct problems problems;

		problems_init(&problems, *state);
		assert_false(event_search_read(&cases[i].text, &search, &problems));
		assert_int_equal(problems.n, 1);
		assert_str(problems.items[0].path, cases[i].path);
	}
}

static void pages_end_where_a_search_ends(void **state)
{
	static const struct {
		int64_t page, size, limit, offset;
	} cases[] = {
	        {0, 10, 10, 0},
	        {3, 50, 50, 150},
	        {199, 50, 50, 9950},
	        {200, 50, 0, 10000},
	        {333, 30, 10, 9990},
	        {INT32_MAX, 50, 0, 10000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t limit, offset;

		event_search_window(cases[i].page, cases[i].size, &limit, &offset);
		assert_int_equal(limit, cases[i].limit);
		assert_int_equal(offset, cases[i].offset);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_asked_is_everything),
	        cmocka_unit_test(types_and_modes_meet),
	        cmocka_unit_test(dates_include_their_millisecond),
	        cmocka_unit_test(customers_that_cannot_be_have_no_events),
	        cmocka_unit_test(orders_have_statements),
	        cmocka_unit_test(aggregate_nodes_have_statements_of_their_own),
	        cmocka_unit_test(an_event_on_an_aggregate_node_is_a_duplicate),
	        cmocka_unit_test(faults_name_their_parameter),
	        cmocka_unit_test(pages_end_where_a_search_ends),
	};

	return cmocka_run_group_tests(tests, unit_arena_new, unit_arena_free);
}
