#include "common/settings.h"
#include "gateway/admission.h"
#include "gateway/ip_list.h"
#include "gateway/pending.h"
#include "gateway/pipeline.h"
#include "gateway/refusals.h"
#include "gateway/route.h"
#include "gateway/tenants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

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

static void test_tenants_by_workspace(void **state)
{
	struct tenants *tenants = tenants_new();
	const struct tenant *first = NULL;
	unsigned retry;

	(void)state;
	for (uint16_t round = 0; round < 2; round++) {
		for (uint16_t i = 0; i < 1000; i++) {
			struct uuid id = {{0}};
			memcpy(id.b, &i, sizeof(i));
			struct tenant *tenant = tenants_get(tenants, &id);
			assert_int_equal(token_bucket_take(&tenant->bucket, 1, SECOND_US, &retry), round == 0);
			if (!first)
				first = tenant;
			/* it stays where it is while the table grows */
			if (i == 0)
				assert_ptr_equal(tenant, first);
		}
	}
	tenants_free(tenants);
}

static void test_shares_of_workspaces(void **state)
{
	static const struct {
		size_t most, taken, own, n;
		bool fits;
	} cases[] = {
	        /* alone: half */
	        {16, 0, 0, 1, true},
	        {16, 7, 7, 1, true},
	        {16, 8, 8, 1, false},
	        {100, 0, 0, 100, true},
	        {100, 0, 0, 101, false},
	        {100, 40, 40, 20, true},
	        {100, 40, 40, 21, false},
	        /* beside others: as many as are free */
	        {16, 8, 0, 8, true},
	        {16, 8, 0, 9, false},
	        {16, 12, 4, 1, false},
	        {16, 15, 0, 1, true},
	        {16, 16, 0, 1, false},
	        /* what is sent in any case may take more than there is */
	        {100, 150, 0, 1, false},
	        {100, 0, 0, SIZE_MAX, false},
	        {100, 0, SIZE_MAX, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (tenant_fits(cases[i].most, cases[i].taken, cases[i].own, cases[i].n) != cases[i].fits)
			fail_msg("case %zu", i);
	}
}

/* Whether a workspace with so many of the requests in work gets another one in. */
static void test_room(void **state)
{
	static const struct {
		size_t limit, in_work, own;
		bool fits;
	} cases[] = {
	        /* alone: half of the lane */
	        {100, 0, 0, true},
	        {100, 49, 49, true},
	        {100, 50, 50, false},
	        {8, 7, 7, true},
	        {8, 8, 8, false},
	        {1, 0, 0, true},
	        /* beside a flood: as many again */
	        {100, 50, 0, true},
	        {100, 70, 20, true},
	        {100, 70, 40, false},
	        {100, 90, 9, true},
	        {100, 90, 10, false},
	        /* no room, but for who has few: up to four times as many as few are */
	        {100, 100, 8, false},
	        {100, 100, 7, true},
	        {100, 131, 7, true},
	        {100, 132, 0, false},
	        /* the limit has fallen since they were taken */
	        {10, 41, 20, false},
	        {10, 41, 7, true},
	        {10, 42, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (admission_fits(cases[i].limit, 8, cases[i].in_work, cases[i].own) != cases[i].fits)
			fail_msg("case %zu", i);
	}
}

static void test_next_limit(void **state)
{
	static const struct {
		size_t limit;
		struct admission_window window;
		size_t next; /* between 8 and 1000 */
	} cases[] = {
	        /* nearly all are late */
	        {100, {.n = 40, .n_late = 30, .idle_percent = 100}, 117},
	        {100, {.n = 40, .n_late = 31, .idle_percent = 100}, 66},
	        {100, {.n = 40, .n_late = 31, .full = true, .idle_percent = 100}, 66},
	        {8, {.n = 50, .n_late = 50, .full = true, .idle_percent = 100}, 8},
	        {9, {.n = 50, .n_late = 50, .full = true, .idle_percent = 100}, 8},
	        {600, {.n = 40, .n_late = 31, .full = true}, 399},
	        /* they are not: up to 256 in any case */
	        {100, {.n = 0, .idle_percent = 2}, 117},
	        {8, {.n = 50, .n_late = 0, .full = true, .idle_percent = 2}, 10},
	        {255, {.n = 50, .n_late = 30, .full = true, .idle_percent = 2}, 298},
	        /* above it only while there is no room, most are in time and the gateway could do more */
	        {300, {.n = 40, .n_late = 20, .full = true, .idle_percent = 50}, 351},
	        {300, {.n = 0, .full = true, .idle_percent = 100}, 351},
	        {1000, {.n = 50, .n_late = 0, .full = true, .idle_percent = 100}, 1000},
	        {600, {.n = 40, .n_late = 20, .idle_percent = 50}, 499},
	        {600, {.n = 40, .n_late = 21, .full = true, .idle_percent = 50}, 499},
	        {600, {.n = 40, .n_late = 20, .full = true, .idle_percent = 49}, 499},
	        {257, {.n = 40, .n_late = 0, .idle_percent = 100}, 256},
	        {256, {.n = 40, .n_late = 0, .idle_percent = 100}, 256},
	        /* the gateway itself has no time left: fewer are done as fast */
	        {300, {.n = 40, .n_late = 0, .full = true, .idle_percent = 1}, 249},
	        {9, {.n = 40, .n_late = 0, .full = true, .idle_percent = 1}, 8},
	        {100, {.n = 40, .n_late = 0, .idle_percent = 1}, 100},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(admission_next_limit(cases[i].limit, 256, &cases[i].window, 8, 1000), cases[i].next);
}

/* Nine of ten requests take 2 ms and one a second: the usual time is about 2 ms, wherever it begins. */
static void test_usual_time(void **state)
{
	int64_t usual_us = admission_learn(0, 500000);

	(void)state;
	assert_int_equal(usual_us, 500000);
	assert_false(admission_is_late(0, 1000000));
	for (int i = 0; i < 1000; i++)
		usual_us = admission_learn(usual_us, i % 10 ? 2000 : 1000000);
	assert_in_range(usual_us, 1500, 2500);
	assert_false(admission_is_late(2000, 5000));
	assert_true(admission_is_late(2000, 5001));
}

static void init_tenant(struct tenant *tenant)
{
	*tenant = (struct tenant){.bucket = {0}};
	for (int lane = 0; lane < ADMISSION_LANES; lane++)
		admission_share_init(&tenant->shares[lane]);
}

static struct admission_ticket ticket_of(struct tenant *tenant)
{
	return (struct admission_ticket){.tenant = tenant, .lane = LANE_SEARCHES, .operation = 1};
}

/* Takes as many as are let in, up to `wanted`, and ends them after a time; the number of them. */
static size_t one_round(
        struct admission *admission, struct tenant *tenant, size_t wanted, int64_t took_us, int64_t *now_us)
{
	struct admission_ticket tickets[1000];
	size_t n = 0;

	for (; n < wanted; n++) {
		tickets[n] = ticket_of(tenant);
		if (admission_enter(admission, &tickets[n], *now_us) != ADMISSION_TAKEN) {
			admission_leave(admission, &tickets[n], false, *now_us);
			break;
		}
	}
	*now_us += took_us;
	for (size_t i = 0; i < n; i++)
		admission_leave(admission, &tickets[i], true, *now_us);
	*now_us += SECOND_US / 2;
	admission_tick(admission, SECOND_US, *now_us);
	return n;
}

/* Ten times the usual time when more than a few are in work: fewer are let in, and more again when that is over. */
static void test_lane_follows_time(void **state)
{
	const struct settings settings = {.max_in_flight = 1000, .calm_in_flight = 8};
	static const struct {
		int rounds;
		int64_t took_us;
		size_t wanted, least, most;
	} phases[] = {
	        {100, 2000, 4, 4, 4}, {100, 20000, 1000, 1, 8}, {500, 2000, 1000, 400, 1000}, {100, 20000, 1000, 1, 8}};
	struct admission *admission = admission_new(&settings, 2);
	struct tenant tenant, other;
	struct admission_ticket standing[8];
	int64_t now_us = SECOND_US;
	size_t n = 0;

	(void)state;
	init_tenant(&tenant);
	init_tenant(&other);
	for (size_t phase = 0; phase < ARRAY_LEN(phases); phase++) {
		for (int round = 0; round < phases[phase].rounds; round++)
			n = one_round(admission, &tenant, phases[phase].wanted, phases[phase].took_us, &now_us);
		assert_in_range(n, phases[phase].least, phases[phase].most);
		/* from now on there are never few */
		for (size_t i = 0; phase == 0 && i < ARRAY_LEN(standing); i++) {
			standing[i] = ticket_of(&other);
			assert_int_equal(admission_enter(admission, &standing[i], now_us), ADMISSION_TAKEN);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(standing); i++) {
		admission_leave(admission, &standing[i], false, now_us);
		admission_leave(admission, &standing[i], false, now_us);
	}
	assert_int_equal(admission_in_work(admission), 0);
	assert_int_equal(tenant.shares[LANE_SEARCHES].in_work + other.shares[LANE_SEARCHES].in_work, 0);
	free(admission);
}

/* Enters n tickets of a workspace; how many of the answers were `wanted`. */
static size_t enter(struct admission *admission, struct tenant *tenant, struct admission_ticket *tickets, size_t n,
        enum admission_answer wanted)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		tickets[i] = ticket_of(tenant);
		found += admission_enter(admission, &tickets[i], SECOND_US) == wanted;
	}
	return found;
}

/* A flood of 300 and two others of 20 each: the lane's first limit of 256 lets half of it in; of the others come in at
   once as many as few are. */
struct flooded {
	struct admission *admission;
	struct tenant flood, others[2];
	struct admission_ticket of_flood[300], of_others[2][20];
};

#define FLOOD_IN_WORK 128
#define FEW 16

static void flood(struct flooded *flooded)
{
	static const struct settings settings = {.max_in_flight = 1000, .calm_in_flight = 200};

	flooded->admission = admission_new(&settings, 2);
	init_tenant(&flooded->flood);
	assert_int_equal(enter(flooded->admission, &flooded->flood, flooded->of_flood, 128, ADMISSION_TAKEN), 128);
	assert_int_equal(enter(flooded->admission, &flooded->flood, flooded->of_flood + 128, 72, ADMISSION_WAITS), 72);
	assert_int_equal(
	        enter(flooded->admission, &flooded->flood, flooded->of_flood + 200, 100, ADMISSION_REFUSED), 100);
	for (int i = 0; i < 2; i++)
		init_tenant(&flooded->others[i]);
}

/* The excess waits up to what a workspace may have, in its order, and is refused beyond that. */
static void test_excess_waits(void **state)
{
	struct flooded flooded;

	(void)state;
	flood(&flooded);
	assert_null(admission_next(flooded.admission, SECOND_US));
	assert_int_equal(admission_waiting(flooded.admission), 72);
	/* one that waits gives up; it has no place any more, and nobody moves up for it */
	admission_leave(flooded.admission, &flooded.of_flood[129], false, SECOND_US);
	admission_leave(flooded.admission, &flooded.of_flood[129], false, SECOND_US);
	assert_null(admission_next(flooded.admission, SECOND_US));
	for (size_t i = 0; i < 3; i++)
		admission_leave(flooded.admission, &flooded.of_flood[i], true, SECOND_US);
	/* nobody who comes now overtakes them */
	flooded.of_flood[0] = ticket_of(&flooded.flood);
	assert_int_equal(admission_enter(flooded.admission, &flooded.of_flood[0], SECOND_US), ADMISSION_WAITS);
	assert_ptr_equal(admission_next(flooded.admission, SECOND_US), &flooded.of_flood[128]);
	assert_ptr_equal(admission_next(flooded.admission, SECOND_US), &flooded.of_flood[130]);
	assert_ptr_equal(admission_next(flooded.admission, SECOND_US), &flooded.of_flood[131]);
	assert_null(admission_next(flooded.admission, SECOND_US));
	assert_int_equal(admission_in_work(flooded.admission), FLOOD_IN_WORK);
	assert_int_equal(admission_waiting(flooded.admission), 72 - 4 + 1);
	free(flooded.admission);
}

/* A file that has come waits in its workspace's order, beyond what the workspace and the gateway may have; before it
   was sent it would have been put off. */
static void test_what_was_costly_waits(void **state)
{
	static const struct settings settings = {.max_in_flight = 200, .calm_in_flight = 1000};
	struct flooded flooded;
	struct admission_ticket of_all[201], upload;

	(void)state;
	flood(&flooded);
	upload = ticket_of(&flooded.flood);
	assert_false(admission_has_room(flooded.admission, &upload));
	upload.costly = true;
	assert_int_equal(admission_enter(flooded.admission, &upload, SECOND_US), ADMISSION_WAITS);
	for (size_t i = 0; i <= 72; i++)
		admission_leave(flooded.admission, &flooded.of_flood[i], true, SECOND_US);
	for (size_t i = 128; i < 200; i++)
		assert_ptr_equal(admission_next(flooded.admission, SECOND_US), &flooded.of_flood[i]);
	assert_ptr_equal(admission_next(flooded.admission, SECOND_US), &upload);
	free(flooded.admission);

	flooded.admission = admission_new(&settings, 2);
	init_tenant(&flooded.flood);
	enter(flooded.admission, &flooded.flood, of_all, 200, ADMISSION_REFUSED);
	assert_int_equal(enter(flooded.admission, &flooded.flood, of_all + 200, 1, ADMISSION_REFUSED), 1);
	upload = ticket_of(&flooded.flood);
	upload.costly = true;
	assert_int_equal(admission_enter(flooded.admission, &upload, SECOND_US), ADMISSION_WAITS);
	free(flooded.admission);
}

/* Others come in beside the flood, and when even they have to wait, the places go round. */
static void test_workspaces_take_turns(void **state)
{
	struct flooded flooded;
	struct admission_ticket *next;
	size_t turns[2] = {0};

	(void)state;
	flood(&flooded);
	/* limit + 4 times what few are: full */
	static struct tenant crowd[12];
	static struct admission_ticket of_crowd[12][FEW];
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
		init_tenant(&crowd[i]);
		assert_int_equal(enter(flooded.admission, &crowd[i], of_crowd[i], FEW, ADMISSION_TAKEN), FEW);
	}
	assert_int_equal(admission_in_work(flooded.admission), 256 + 4 * FEW);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		        enter(flooded.admission, &flooded.others[i], flooded.of_others[i], 20, ADMISSION_WAITS), 20);
	for (size_t i = 0; i < 20; i++)
		admission_leave(flooded.admission, &flooded.of_flood[i], true, SECOND_US);
	while ((next = admission_next(flooded.admission, SECOND_US))) {
		size_t who = next->tenant == &flooded.others[1];
		assert_ptr_equal(next, &flooded.of_others[who][turns[who]++]);
		assert_in_range(turns[0], turns[1], turns[1] + 1);
	}
	assert_int_equal(turns[0], 10);
	assert_int_equal(turns[1], 10);
	free(flooded.admission);
}

static void test_lanes(void **state)
{
	(void)state;
	assert_int_equal(pipeline_lane(STR("GET"), 0), LANE_READS);
	assert_int_equal(pipeline_lane(STR("GET"), ROUTE_SEARCHES), LANE_SEARCHES);
	assert_int_equal(pipeline_lane(STR("POST"), ROUTE_PUBLISHES), LANE_EVENTS);
	assert_int_equal(pipeline_lane(STR("POST"), 0), LANE_COMMANDS);
	assert_int_equal(pipeline_lane(STR("DELETE"), ROUTE_UNTHROTTLED), LANE_COMMANDS);
	for (size_t i = 0; i < route_count; i++) {
		bool searches = !strncmp(routes[i].title, "Search", 6);
		if (searches && pipeline_lane(str_of(routes[i].method), routes[i].flags) != LANE_SEARCHES)
			fail_msg("%s is counted with reads by id", routes[i].title);
	}
}

static void test_gap_of_refusals(void **state)
{
	static const struct {
		int64_t gap_us, idle_us, next_us; /* of 80 ms */
	} cases[] = {{0, 80000, 0}, {0, 10000, 0}, {0, 9999, 20}, {20, 0, 30}, {1000, 0, 1500}, {2000, 0, 2000},
	        {2000, 10000, 1500}, {21, 80000, 16}, {16, 80000, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(refusals_gap(cases[i].gap_us, cases[i].idle_us, 80000), cases[i].next_us);
}

/* With idle time all leave at once; without, one by one, and none later than after a second. */
static void test_refusals_leave(void **state)
{
	struct refusals refusals = {.looked_us = SECOND_US};
	int64_t now_us = 2 * SECOND_US, at_us = 0;

	(void)state;
	for (int i = 0; i < 10000; i++)
		assert_true(refusals_next(&refusals, now_us) <= now_us);
	for (int i = 0; i < 20; i++)
		refusals_tick(&refusals, now_us += 50000);
	assert_int_equal(refusals.gap_us, 2000);
	for (int i = 0; i < 10; i++)
		at_us = refusals_next(&refusals, now_us);
	assert_in_range(at_us, now_us + 2000, now_us + 20000);
	for (int i = 0; i < 10000; i++) {
		int64_t next_us = refusals_next(&refusals, now_us);
		assert_true(next_us >= at_us && next_us <= now_us + SECOND_US);
		at_us = next_us;
	}
	assert_int_equal(at_us, now_us + SECOND_US);
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

static void test_clients_behind_proxies(void **state)
{
	static const struct {
		const char *proxies, *peer, *forwarded, *client;
	} cases[] = {
	        {"", "10.0.0.1", "192.0.2.1", "10.0.0.1"},
	        {"10.0.0.1", "192.0.2.9", "192.0.2.1", "192.0.2.9"},
	        {"10.0.0.1", "10.0.0.1", "", "10.0.0.1"},
	        {"10.0.0.1", "10.0.0.1", "192.0.2.1", "192.0.2.1"},
	        {"10.0.0.1", "10.0.0.1", "203.0.113.7, 192.0.2.1", "192.0.2.1"},
	        {"10.0.0.0/8", "10.0.0.1", "203.0.113.7,192.0.2.1 , 10.0.0.2", "192.0.2.1"},
	        {"10.0.0.0/8", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
	        {"10.0.0.0/8 192.0.2.1", "10.0.0.1", "10.0.0.3,192.0.2.1", "10.0.0.3"},
	        {"10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"},
	        {"10.0.0.1", "10.0.0.1", "192.0.2.1:4711", "192.0.2.1"},
	        {"10.0.0.1", "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"},
	        {"10.0.0.1", "10.0.0.1", "[2001:db8::1]", "2001:db8::1"},
	        {"10.0.0.1", "10.0.0.1", "192.0.2.1, unknown", NULL},
	        {"10.0.0.1", "10.0.0.1", "192.0.2.1,", NULL},
	        {"10.0.0.1", "10.0.0.1", " ", NULL},
	        {"10.0.0.1", "10.0.0.1", "[", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str client =
		        ip_list_client(str_of(cases[i].proxies), str_of(cases[i].peer), str_of(cases[i].forwarded));
		if (cases[i].client ? !str_is(client, cases[i].client) : client.p != NULL)
			fail_msg("%s from %s: %.*s", cases[i].forwarded, cases[i].peer, STR_ARG(client));
	}
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
	        {"POST", "", "POST"}, {"GET", "DELETE", "GET"}, {"PUT", "DELETE", "PUT"}, {"HEAD", NULL, "GET"},
	        {"HEAD", "DELETE", "GET"}, {"POST", "ABCDEFGHIJKLMNOPQ", "POST"}, {"POST", "X", "X"}};
	char buffer[PIPELINE_METHOD_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(str_is(
		        pipeline_method(str_of(cases[i].method), str_of(cases[i].override), buffer), cases[i].counts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_token_bucket),
	        cmocka_unit_test(test_tenants_by_workspace), cmocka_unit_test(test_shares_of_workspaces),
	        cmocka_unit_test(test_room), cmocka_unit_test(test_next_limit), cmocka_unit_test(test_usual_time),
	        cmocka_unit_test(test_lane_follows_time), cmocka_unit_test(test_excess_waits),
	        cmocka_unit_test(test_what_was_costly_waits), cmocka_unit_test(test_workspaces_take_turns),
	        cmocka_unit_test(test_lanes), cmocka_unit_test(test_gap_of_refusals),
	        cmocka_unit_test(test_refusals_leave), cmocka_unit_test(test_ip_lists),
	        cmocka_unit_test(test_clients_behind_proxies), cmocka_unit_test(test_waiting_requests),
	        cmocka_unit_test(test_content_types), cmocka_unit_test(test_idempotency_keys),
	        cmocka_unit_test(test_method_override)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
