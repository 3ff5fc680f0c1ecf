#include "tests/unit/unit.h"

#include "common/arena.h"
#include "gateway/metrics.h"
#include "gateway/route.h"

#include <stdlib.h>

static const struct route rows[] = {
        {.method = "GET", .path = "/customers/{customerId}"},
        {.method = "POST", .path = "/events"},
};

struct answered {
	size_t route;
	unsigned status;
	int64_t took_us;
};

static struct str written(struct arena *arena, const struct answered *answered, size_t n)
{
	struct metrics *metrics = metrics_new(ARRAY_LEN(rows));
	struct buf buf;

	for (size_t i = 0; i < n; i++)
		metrics_count(metrics, answered[i].route, answered[i].status, answered[i].took_us);
	buf_init(&buf, arena, 1024);
	metrics_write_requests(&buf, metrics, rows, ARRAY_LEN(rows));
	free(metrics);
	return buf_str(&buf);
}

#define COUNTER_HEAD                                                                                                   \
	"# HELP contacthub_requests_total Requests that were answered; without a path: those of no operation.\n"       \
	"# TYPE contacthub_requests_total counter\n"
#define HISTOGRAM_HEAD                                                                                                 \
	"# HELP contacthub_request_seconds Time from a request's first line to its answer.\n"                          \
	"# TYPE contacthub_request_seconds histogram\n"
#define BUCKET(route, le, n) "contacthub_request_seconds_bucket{" route ",le=\"" le "\"} " n "\n"
#define EVENTS "method=\"POST\",path=\"/events\""

static void test_nothing_was_asked(void **state)
{
	(void)state;
	struct arena *arena = arena_new(65536);
	struct str text = written(arena, NULL, 0);

	assert_true(str_is(text, COUNTER_HEAD HISTOGRAM_HEAD));
	arena_free(arena);
}

static void test_requests_by_route_status_and_time(void **state)
{
	static const struct answered answered[] = {
	        {1, 202, 1000}, {1, 202, 1001}, {1, 503, 100}, {1, 202, 20000000}, {1, 202, 3000}, {1, 202, 10000000}};
	static const char expected[] = COUNTER_HEAD
	        "contacthub_requests_total{" EVENTS ",status=\"202\"} 5\n"
	        "contacthub_requests_total{" EVENTS ",status=\"503\"} 1\n" HISTOGRAM_HEAD BUCKET(EVENTS, "0.001", "2")
	                BUCKET(EVENTS, "0.002", "3") BUCKET(EVENTS, "0.005", "4") BUCKET(EVENTS, "0.01", "4") BUCKET(
	                        EVENTS, "0.02", "4") BUCKET(EVENTS, "0.05", "4") BUCKET(EVENTS, "0.1", "4")
	                        BUCKET(EVENTS, "0.2", "4") BUCKET(EVENTS, "0.5", "4") BUCKET(EVENTS, "1", "4")
	                                BUCKET(EVENTS, "2", "4") BUCKET(EVENTS, "5", "4") BUCKET(EVENTS, "10", "5")
	                                        BUCKET(EVENTS, "+Inf", "6") "contacthub_request_seconds_sum{" EVENTS
	                                                                    "} 30.005101\n"
	                                                                    "contacthub_request_seconds_count{" EVENTS
	                                                                    "} 6\n";

	(void)state;
	struct arena *arena = arena_new(65536);
	struct str text = written(arena, answered, ARRAY_LEN(answered));
	if (!str_is(text, expected))
		fail_msg("%.*s", STR_ARG(text));
	arena_free(arena);
}

/* What leads to no operation, and statuses that the table does not know. */
static void test_others(void **state)
{
	static const struct answered answered[] = {{ARRAY_LEN(rows), 404, 5}, {99, 404, 5}, {0, 299, 5}};

	(void)state;
	struct arena *arena = arena_new(65536);
	struct str all = written(arena, answered, ARRAY_LEN(answered));
	const char *text = arena_printf(arena, "%.*s", STR_ARG(all));
	assert_non_null(strstr(text, "contacthub_requests_total{method=\"\",path=\"\",status=\"404\"} 2\n"));
	assert_non_null(strstr(
	        text, "contacthub_requests_total{method=\"GET\",path=\"/customers/{customerId}\",status=\"\"} 1\n"));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_nothing_was_asked),
	        cmocka_unit_test(test_requests_by_route_status_and_time),
	        cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
