#include "common/arena.h"
#include "gateway/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct route rows[] = {
        {.operation = 1, .method = "GET", .path = "/me"},
        {.operation = 2, .method = "GET", .path = "/w/{w}/customers"},
        {.operation = 3, .method = "POST", .path = "/w/{w}/customers"},
        {.operation = 4, .method = "GET", .path = "/w/{w}/customers/{customerId}"},
        {.operation = 5, .method = "DELETE", .path = "/w/{w}/customers/{customerId}"},
        {.operation = 6, .method = "GET", .path = "/w/{w}/nodes/entries"},
        {.operation = 7, .method = "GET", .path = "/w/{w}/nodes/entries/{entryId}"},
        {.operation = 8, .method = "GET", .path = "/w/{w}/nodes/{nodeId}/policy"},
        {.operation = 9, .method = "GET", .path = "/docs/{rest+}"},
};

static const struct {
	const char *method, *path;
	int operation; /* 0 = unknown path, -1 = unknown method */
	const char *methods;
	const char *last_name, *last_value;
} cases[] = {
        {"GET", "me", 1, "GET, HEAD, OPTIONS", NULL, NULL},
        {"POST", "me", -1, "GET, HEAD, OPTIONS", NULL, NULL},
        {"get", "me", -1, "GET, HEAD, OPTIONS", NULL, NULL},
        {"OPTIONS", "me", -1, "GET, HEAD, OPTIONS", NULL, NULL},
        {"GET", "me/", 0, "OPTIONS", NULL, NULL},
        {"GET", "", 0, "OPTIONS", NULL, NULL},
        {"GET", "w", 0, "OPTIONS", NULL, NULL},
        {"GET", "w/1", 0, "OPTIONS", NULL, NULL},
        {"GET", "w/1/customers", 2, "GET, HEAD, POST, OPTIONS", "w", "1"},
        {"POST", "w/1/customers", 3, "GET, HEAD, POST, OPTIONS", "w", "1"},
        {"DELETE", "w/1/customers", -1, "GET, HEAD, POST, OPTIONS", NULL, NULL},
        {"GET", "w//customers", 0, "OPTIONS", NULL, NULL},
        {"GET", "w/1/customers/", 0, "OPTIONS", NULL, NULL},
        {"DELETE", "w/1/customers/x y", 5, "GET, HEAD, DELETE, OPTIONS", "customerId", "x y"},
        {"GET", "w/1/customers/a/b", 0, "OPTIONS", NULL, NULL},
        {"GET", "w/1/nodes/entries", 6, "GET, HEAD, OPTIONS", "w", "1"},
        {"GET", "w/1/nodes/entries/2", 7, "GET, HEAD, OPTIONS", "entryId", "2"},
        /* the literal does not fit to the end, so the parameter does */
        {"GET", "w/1/nodes/entries/policy", 7, "GET, HEAD, OPTIONS", "entryId", "policy"},
        {"GET", "w/1/nodes/n/policy", 8, "GET, HEAD, OPTIONS", "nodeId", "n"},
        {"GET", "docs/a", 9, "GET, HEAD, OPTIONS", "rest", "a"},
        {"GET", "docs/a/b/c.json", 9, "GET, HEAD, OPTIONS", "rest", "a/b/c.json"},
        {"GET", "docs", 0, "OPTIONS", NULL, NULL},
};

static void check(const struct router *router, struct arena *arena, size_t i)
{
	struct str segments[16], rest = str_of(cases[i].path);
	struct route_match match;
	size_t n = 0;

	while (str_split(&rest, '/', &segments[n]))
		n++;
	enum route_result result = router_find(router, arena, str_of(cases[i].method), segments, n, &match);
	int operation = result == ROUTE_FOUND ? match.route->operation : result == ROUTE_UNKNOWN_METHOD ? -1 : 0;
	if (operation != cases[i].operation)
		fail_msg("%s %s: operation %d", cases[i].method, cases[i].path, operation);
	assert_string_equal(match.methods, cases[i].methods);
	if (cases[i].last_name) {
		assert_true(str_is(match.names[match.n_params - 1], cases[i].last_name));
		assert_true(str_is(match.values[match.n_params - 1], cases[i].last_value));
	}
}

static void test_table(void **state)
{
	struct router *router = router_new(rows, ARRAY_LEN(rows));
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check(router, arena, i);
	arena_free(arena);
	router_free(router);
}

/* Every row of the program is reached by its own path, needs a token unless it is public, and says what it answers. */
static void test_own_rows(void **state)
{
	struct router *router = router_new(routes, route_count);
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < route_count; i++) {
		const struct route *row = &routes[i];
		struct str segments[16], rest = str_of(row->path + 1);
		struct route_match match;
		size_t n = 0;
		while (str_split(&rest, '/', &segments[n]))
			n++;
		assert_int_equal(router_find(router, arena, str_of(row->method), segments, n, &match), ROUTE_FOUND);
		assert_ptr_equal(match.route, row);
		assert_true(row->roles != 0 && row->handler && row->tag && row->title && row->status);
		assert_int_equal(row->body != BODY_NONE, row->body_schema != NULL);
		assert_int_equal(strcmp(row->method, "DELETE") == 0, row->response_schema == NULL);
	}
	arena_free(arena);
	router_free(router);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_own_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
