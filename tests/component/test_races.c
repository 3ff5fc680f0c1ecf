/*
 * customer-merge and event-ingest at the same moment: one is held open just before its COMMIT while the other one runs,
 * in each order. Without their locks neither would see what the other has done, and the event would wait, or live, for
 * ever.
 */

#include "common/arena.h"
#include "common/buf.h"
#include "common/event.h"
#include "common/locks.h"
#include "tests/component/feed.h"
#include "workers/customer_merge/customer_merge.h"
#include "workers/event_ingest/ingest.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define START_US 1800000000000000
#define SECOND_US 1000000
/* Until the one that is not held must be seen waiting. */
#define WAIT_TRIES 400
#define WAIT_US 5000

/* A step of customer-merge in a race; times in seconds after the start. */
struct step {
	enum command_type type; /* 0 = none */
	int at;
	const char *text, *body;
};

/* What happens to customer 1 of a node of its own, and the event at the same time. */
static const struct race {
	const char *name;
	struct step before[4]; /* done in peace: rules of the node come first */
	struct step step;      /* of customer-merge */
	bool put;              /* the event is there already, and the step meets a PUT */
	unsigned flags;        /* of the event's command; 0 = it names the customer */
	const char *value;     /* bring-back value */
	int event_at;
	const char *expected; /* owner, or "waits", or "gone at <second>" */
} races[] = {
        {.name = "a session is bound",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"}},
                .step = {.type = COMMAND_SESSION_POST, .at = 20, .text = "s"},
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .event_at = 10,
                .expected = "owner"},
        {.name = "an external id appears",
                .step = {.type = COMMAND_CUSTOMER_POST, .at = 20, .body = "{\"externalId\":\"e\"}"},
                .flags = COMMAND_BRING_BACK,
                .value = "e",
                .event_at = 10,
                .expected = "owner"},
        {.name = "an external id is ensured",
                .step = {.type = COMMAND_CUSTOMER_ENSURE, .at = 9, .text = "e"},
                .flags = COMMAND_BRING_BACK,
                .value = "e",
                .event_at = 10,
                .expected = "owner"},
        {.name = "a session ends before the event",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"},
                        {.type = COMMAND_SESSION_POST, .at = 2, .text = "s"}},
                .step = {.type = COMMAND_SESSION_DELETE, .at = 5, .text = "%s"},
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .event_at = 10,
                .expected = "waits"},
        {.name = "a session ends after the event",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"},
                        {.type = COMMAND_SESSION_POST, .at = 2, .text = "s"}},
                .step = {.type = COMMAND_SESSION_DELETE, .at = 15, .text = "%s"},
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .event_at = 10,
                .expected = "owner"},
        {.name = "the customer is deleted",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"}},
                .step = {.type = COMMAND_CUSTOMER_DELETE, .at = 20},
                .event_at = 10,
                .expected = "gone at 20"},
        {.name = "the customer was deleted before the event",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"}},
                .step = {.type = COMMAND_CUSTOMER_DELETE, .at = 5},
                .event_at = 10,
                .expected = "gone at 5"},
        {.name = "the customer of the session is deleted",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"},
                        {.type = COMMAND_SESSION_POST, .at = 2, .text = "s"}},
                .step = {.type = COMMAND_CUSTOMER_DELETE, .at = 20},
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .event_at = 10,
                .expected = "gone at 20"},
        {.name = "the customer of an external id that it has given up is deleted",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"externalId\":\"e\"}"},
                        {.type = COMMAND_CUSTOMER_PATCH, .at = 15, .body = "{\"externalId\":\"f\"}"}},
                .step = {.type = COMMAND_CUSTOMER_DELETE, .at = 20},
                .flags = COMMAND_BRING_BACK,
                .value = "e",
                .event_at = 10,
                .expected = "gone at 20"},
        {.name = "the customer of a changed event is deleted that has given up its external id",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"externalId\":\"e\"}"},
                        {.type = COMMAND_CUSTOMER_PATCH, .at = 15, .body = "{\"externalId\":\"f\"}"}},
                .step = {.type = COMMAND_CUSTOMER_DELETE, .at = 20},
                .put = true,
                .flags = COMMAND_BRING_BACK,
                .value = "e",
                .event_at = 10,
                .expected = "gone at 20"},
        {.name = "the node is emptied",
                .step = {.type = COMMAND_NODE_EMPTY, .at = 20, .text = "2", .body = "{\"eventsOnly\":true}"},
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .event_at = 10,
                .expected = "gone at 20"},
        {.name = "the node is emptied again",
                .before = {{.type = COMMAND_NODE_EMPTY, .at = 20, .text = "2", .body = "{\"eventsOnly\":true}"}},
                .step = {.type = COMMAND_NODE_EMPTY, .at = 30, .text = "3", .body = "{\"eventsOnly\":true}"},
                .event_at = 10,
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .expected = "gone at 20"},
        {.name = "the node was emptied before the event",
                .step = {.type = COMMAND_NODE_EMPTY, .at = 5, .text = "2", .body = "{\"eventsOnly\":true}"},
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .event_at = 10,
                .expected = "waits"},
        {.name = "the customer of a changed event is deleted",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"}},
                .step = {.type = COMMAND_CUSTOMER_DELETE, .at = 20},
                .put = true,
                .event_at = 10,
                .expected = "gone at 20"},
        {.name = "a changed event is bound",
                .before = {{.type = COMMAND_CUSTOMER_POST, .at = 1, .body = "{\"extra\":\"x\"}"}},
                .step = {.type = COMMAND_SESSION_POST, .at = 20, .text = "s"},
                .put = true,
                .flags = COMMAND_BRING_BACK | COMMAND_SESSION_BIND,
                .value = "s",
                .event_at = 10,
                .expected = "owner"},
};

struct stage {
	struct component *component;
	struct feed *merge, *ingest;
	struct customer_merge_state *state;
	struct arena *arena;
	uint64_t serial;
};

/* Ids of one race: a node, its customer, its session, its event. */
static struct uuid own_id(size_t race, uint8_t kind)
{
	return (struct uuid){{kind, [6] = 0x40, [8] = 0x80, [14] = (uint8_t)(race >> 8), [15] = (uint8_t)race}};
}

static const char *own_text(struct stage *stage, size_t race, uint8_t kind)
{
	struct uuid id = own_id(race, kind);
	char text[UUID_TEXT_BYTES + 1];

	uuid_format(&id, text);
	return arena_printf(stage->arena, "%s", text);
}

enum own { OWN_NODE = 0xb0, OWN_CUSTOMER = 0xd0, OWN_EVENT = 0xe0, OWN_COMMAND = 0xf0 };

static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};

/* customer-merge makes the ids of sessions: "%s" in a step stands for that of the node's only one. */
static struct str fill(struct stage *stage, size_t race, const char *text)
{
	const char *sql;

	if (!text || strcmp(text, "%s"))
		return str_of(text);
	sql = arena_printf(
	        stage->arena, "SELECT session_id FROM bindings WHERE node_id = '%s'", own_text(stage, race, OWN_NODE));
	return str_of(arena_printf(stage->arena, "%s", component_text(stage->component, sql)));
}

static void add_step(struct stage *stage, size_t race, const struct step *step)
{
	struct command command = {.type = (uint8_t)step->type,
	        .time_us = START_US + (int64_t)race * 1000 * SECOND_US + step->at * SECOND_US,
	        .workspace = workspace,
	        .node = own_id(race, OWN_NODE),
	        .entity = own_id(race, OWN_CUSTOMER),
	        .text = fill(stage, race, step->text),
	        .body = str_of(step->body)};

	command.id = own_id(++stage->serial, OWN_COMMAND);
	feed_add(stage->merge, &command);
}

static void add_event(struct stage *stage, size_t race, enum command_type type, int at)
{
	const struct race *what = &races[race % ARRAY_LEN(races)];
	struct command command = {.type = (uint8_t)type,
	        .flags = (uint16_t)what->flags,
	        .time_us = START_US + (int64_t)race * 1000 * SECOND_US + at * SECOND_US,
	        .workspace = workspace,
	        .node = own_id(race, OWN_NODE),
	        .entity = own_id(race, OWN_EVENT)};
	struct buf body;

	command.id = own_id(++stage->serial, OWN_COMMAND);
	if (what->flags)
		command.text = str_of(what->value);
	else
		command.subject = own_id(race, OWN_CUSTOMER);
	buf_init(&body, stage->arena, 256);
	event_body_encode(&body, &(struct event_body){.type = STR("viewedPage"),
	                                 .context = STR("WEB"),
	                                 .json = STR("{\"properties\":{},\"contextInfo\":{},\"tracking\":null}")});
	command.body = buf_str(&body);
	feed_add(stage->ingest, &command);
}

/* --- one held, one waiting --- */

struct hold {
	sem_t reached, released;
};

static void hold_here(void *context)
{
	struct hold *hold = context;

	sem_post(&hold->reached);
	sem_wait(&hold->released);
}

static void *run_feed(void *feed)
{
	feed_run(feed, 0);
	return NULL;
}

static void await_waiter(struct stage *stage, const char *name)
{
	for (int i = 0; i < WAIT_TRIES; i++) {
		if (component_number(stage->component,
		            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype "
		            "= "
		            "'advisory' AND NOT l.granted AND a.application_name = 'test'") > 0)
			return;
		usleep(WAIT_US);
	}
	fail_msg("%s: the other worker did not wait", name);
}

static void run_race(struct stage *stage, struct feed *held, struct feed *other, const char *name)
{
	struct hold hold;
	pthread_t first, second;

	sem_init(&hold.reached, 0, 0);
	sem_init(&hold.released, 0, 0);
	feed_before_commit(held, hold_here, &hold);
	assert_int_equal(pthread_create(&first, NULL, run_feed, held), 0);
	sem_wait(&hold.reached);
	assert_int_equal(pthread_create(&second, NULL, run_feed, other), 0);
	await_waiter(stage, name);
	sem_post(&hold.released);
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	feed_before_commit(held, NULL, NULL);
}

/* "owner", "waits", "gone at <second>". */
static const char *fate(struct stage *stage, size_t race)
{
	const char *sql = arena_printf(stage->arena,
	        "SELECT coalesce((SELECT CASE WHEN customer_id IS NULL THEN 'waits' WHEN customer_id = '%s' THEN "
	        "'owner' "
	        "ELSE 'stranger' END FROM events WHERE id = '%s'), (SELECT 'gone at ' || (deleted_us - %lld) / 1000000 "
	        "FROM event_tombstones WHERE id = '%s'), 'lost')",
	        own_text(stage, race, OWN_CUSTOMER), own_text(stage, race, OWN_EVENT),
	        (long long)(START_US + (int64_t)race * 1000 * SECOND_US), own_text(stage, race, OWN_EVENT));

	return component_text(stage->component, sql);
}

static void run_one(struct stage *stage, size_t race, bool merge_first)
{
	static const struct step rules = {.type = COMMAND_NODE_RULES, .text = "1", .body = "{}"};
	const struct race *what = &races[race % ARRAY_LEN(races)];

	add_step(stage, race, &rules);
	for (size_t i = 0; i < ARRAY_LEN(what->before) && what->before[i].type; i++)
		add_step(stage, race, &what->before[i]);
	feed_run(stage->merge, 0);
	if (what->put) {
		add_event(stage, race, COMMAND_EVENT_POST, what->event_at);
		feed_run(stage->ingest, 0);
	}
	add_step(stage, race, &what->step);
	add_event(stage, race, what->put ? COMMAND_EVENT_PUT : COMMAND_EVENT_POST, what->event_at + what->put);
	if (merge_first)
		run_race(stage, stage->merge, stage->ingest, what->name);
	else
		run_race(stage, stage->ingest, stage->merge, what->name);
	if (strcmp(fate(stage, race), what->expected))
		fail_msg("%s, %s first: the event is %s, not %s", what->name,
		        merge_first ? "customer-merge" : "event-ingest", fate(stage, race), what->expected);
}

static struct stage *stage_open(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct err err = {0};

	assert_non_null(stage);
	stage->component = component_open();
	stage->arena = arena_new(16 * 1024 * 1024);
	stage->merge = feed_open(stage->component, &customer_merge);
	stage->ingest = feed_open(stage->component, &event_ingest_definition);
	stage->state = customer_merge_open(feed_db(stage->merge), false, &err);
	assert_non_null(stage->state);
	feed_set_state(stage->merge, stage->state);
	return stage;
}

static void stage_close(struct stage *stage)
{
	customer_merge_close(stage->state);
	feed_close(stage->merge);
	feed_close(stage->ingest);
	component_close(stage->component);
	arena_free(stage->arena);
	free(stage);
}

static void who_comes_second_sees_the_first(void **state)
{
	struct stage *stage = stage_open();

	(void)state;
	/* later rounds have later times and ids of their own */
	for (size_t i = 0; i < 2 * ARRAY_LEN(races); i++)
		run_one(stage, i, i < ARRAY_LEN(races));
	assert_int_equal(component_number(stage->component, "SELECT count(*) FROM dead_letters"), 0);
	stage_close(stage);
}

/* --- one frozen --- */

static const struct statement frozen_statements[] = {
        LOCK_STATEMENT,
        {.name = "patience",
                .sql = "SELECT set_config('idle_in_transaction_session_timeout', '200ms', false) "
                       "WHERE current_setting('idle_in_transaction_session_timeout') <> '0'",
                .n_params = 0},
};

#define LOCKS_HELD                                                                                                     \
	"SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' "      \
	"AND a.application_name = 'test'"

static struct db *open_frozen(struct component *component)
{
	struct err err = {0};
	struct db *db = db_open(component_settings(component), "test", &err);

	assert_non_null(db);
	assert_true(db_prepare(db, frozen_statements, ARRAY_LEN(frozen_statements), &err));
	PGresult *set = db_query(db, "patience", NULL, &err);
	assert_int_equal(PQntuples(set), 1);
	PQclear(set);
	return db;
}

/* A process that does not go on in the middle of its transaction loses it, and learns of that. */
static void who_is_frozen_does_not_hold_up_others(void **state)
{
	struct component *component = component_open();
	struct db *frozen = open_frozen(component);
	struct arena *arena = arena_new(1024 * 1024);
	struct err err = {0};
	struct lock_set locks;

	(void)state;
	lock_set_init(&locks, arena);
	lock_set_node(&locks, &workspace, true);
	assert_true(db_send_expect(frozen, "begin", NULL, -1, ERR_INTERNAL, &err));
	assert_true(lock_set_take(&locks, frozen, &err));
	for (int i = 0; i < WAIT_TRIES && component_number(component, LOCKS_HELD) > 0; i++)
		usleep(WAIT_US);
	assert_int_equal(component_number(component, LOCKS_HELD), 0);
	assert_false(lock_set_take(&locks, frozen, &err));
	assert_int_equal(err.code, ERR_DATABASE);
	db_close(frozen);
	arena_free(arena);
	component_close(component);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(who_comes_second_sees_the_first),
	        cmocka_unit_test(who_is_frozen_does_not_hold_up_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
