#include "tests/unit/unit.h"

#include "common/arena.h"
#include "tests/unit/parts.h"
#include "workers/event_ingest/apply.h"

#define STORED "{\"properties\":{\"a\":1},\"contextInfo\":{},\"tracking\":null}"

static const struct uuid customer = {{7}};
static const struct event_body sent = {
        .type = {"viewedPage", 10}, .context = {"WEB", 3}, .json = {STORED, sizeof(STORED) - 1}};

static struct command command_at(enum command_type type, int64_t time_us)
{
	return (struct command){.type = (uint8_t)type, .time_us = time_us, .entity = {{1}}, .node = {{2}}};
}

static struct event live(struct arena *arena, int64_t time_us)
{
	struct command post = command_at(COMMAND_EVENT_POST, time_us);
	struct event event;
	struct err err;

	event_begin(&event, &post, &sent, &customer, 0);
	assert_int_equal(event_apply(arena, &event, &post, &sent, &err), EVENT_CREATED);
	return event;
}

static void a_post_is_dated_by_its_sender_or_now(void **state)
{
	struct event event = live(*state, 5000);
	struct command post = command_at(COMMAND_EVENT_POST, 5000);
	struct event_body dated = sent;

	assert_int_equal(event.row.date_us, 5000);
	assert_int_equal(event.row.registered_us, 5000);
	assert_int_equal(event.row.version, 1);
	assert_int_equal(event.state, EVENT_LIVE);
	dated.has_date = true;
	dated.date_us = -3;
	event_begin(&event, &post, &dated, NULL, 0);
	assert_int_equal(event.row.date_us, -3);
	assert_false(event.row.has_customer);
}

static void the_log_says_how_it_is_bound(void **state)
{
	struct command post = command_at(COMMAND_EVENT_POST, 1);
	struct event event;

	(void)state;
	post.text = STR("v");
	event_begin(&event, &post, &sent, NULL, 0);
	assert_int_equal(event.row.bind, EVENT_BIND_NONE);
	assert_null(event.row.bind_value.p);
	post.flags = COMMAND_BRING_BACK;
	event_begin(&event, &post, &sent, NULL, 0);
	assert_int_equal(event.row.bind, EVENT_BIND_EXTERNAL_ID);
	post.flags |= COMMAND_SESSION_BIND;
	event_begin(&event, &post, &sent, NULL, 0);
	assert_int_equal(event.row.bind, EVENT_BIND_SESSION);
	assert_str(event.row.bind_value, "v");
}

static void an_event_of_somebody_deleted_is_buried_at_once(void **state)
{
	struct command post = command_at(COMMAND_EVENT_POST, 5000);
	struct event event;
	struct err err;

	event_begin(&event, &post, &sent, &customer, 4000);
	assert_int_equal(event_apply(*state, &event, &post, &sent, &err), EVENT_NOTHING);
	assert_int_equal(event.state, EVENT_DELETED);
	assert_int_equal(event.deleted_us, 4000);
	assert_true(event.changed);
}

static void put_replaces_and_patch_merges(void **state)
{
	struct event event = live(*state, 5000);
	struct event_body put = {.type = STR("viewedPage"),
	        .context = STR("MOBILE"),
	        .has_date = true,
	        .date_us = 7,
	        .json = STR("{\"properties\":{}}")};
	struct event_body patch = {.json = STR("{\"properties\":{\"b\":2}}")};
	struct command command = command_at(COMMAND_EVENT_PATCH, 9000);
	struct err err;

	assert_int_equal(event_apply(*state, &event, &command, &patch, &err), EVENT_UPDATED);
	assert_str(event.row.json, "{\"properties\":{\"a\":1,\"b\":2},\"contextInfo\":{},\"tracking\":null}");
	assert_str(event.row.context, "WEB");
	assert_int_equal(event.row.date_us, 5000);
	assert_int_equal(event.row.version, 2);
	command = command_at(COMMAND_EVENT_PUT, 20000);
	assert_int_equal(event_apply(*state, &event, &command, &put, &err), EVENT_UPDATED);
	assert_str(event.row.json, "{\"properties\":{}}");
	assert_str(event.row.context, "MOBILE");
	assert_int_equal(event.row.date_us, 7);
	assert_int_equal(event.row.updated_us, 20000);
	assert_int_equal(event.row.registered_us, 5000);
	assert_int_equal(event.row.version, 3);
	put.has_date = false;
	assert_int_equal(event_apply(*state, &event, &command, &put, &err), EVENT_UPDATED);
	assert_int_equal(event.row.date_us, 7);
}

static void updates_are_a_millisecond_apart(void **state)
{
	struct event event = live(*state, 5000);
	struct command command = command_at(COMMAND_EVENT_PUT, 5001);
	struct err err;

	event_apply(*state, &event, &command, &sent, &err);
	assert_int_equal(event.row.updated_us, 6000);
	event_apply(*state, &event, &command, &sent, &err);
	assert_int_equal(event.row.updated_us, 7000);
}

static enum event_outcome write_again(
        struct arena *arena, struct event *event, enum command_type type, const char *json)
{
	struct command command = command_at(type, 9000);
	struct event_body body = {.json = str_of(json), .has_date = true, .date_us = 5000};
	struct err err;

	command.flags = COMMAND_IF_DIFFERENT;
	event->changed = false;
	return event_apply(arena, event, &command, &body, &err);
}

static void what_changes_nothing_leaves_the_event_as_it_is(void **state)
{
	struct event event = live(*state, 5678);
	struct command old = command_at(COMMAND_EVENT_PATCH, 9000);
	struct event_body nothing = {.json = STR("{}")};
	struct err err;

	assert_int_equal(write_again(*state, &event, COMMAND_EVENT_PATCH, "{}"), EVENT_SAME);
	assert_int_equal(write_again(*state, &event, COMMAND_EVENT_PATCH, "{\"properties\":{\"a\":1.0,\"b\":null}}"),
	        EVENT_SAME);
	assert_int_equal(write_again(*state, &event, COMMAND_EVENT_PUT,
	                         "{\"contextInfo\":{},\"properties\":{\"a\":1},\"tracking\":null}"),
	        EVENT_SAME);
	assert_false(event.changed);
	assert_int_equal(event.row.version, 1);
	assert_int_equal(event.row.date_us, 5678); /* 5 ms are the date that was told */
	assert_str(event.row.json, STORED);
	/* a record of before raises the version as it did then: the log's tables stay what they are */
	assert_int_equal(event_apply(*state, &event, &old, &nothing, &err), EVENT_UPDATED);
	assert_int_equal(event.row.version, 2);
	assert_int_equal(write_again(*state, &event, COMMAND_EVENT_PATCH, "{\"properties\":{\"a\":2}}"), EVENT_UPDATED);
	assert_int_equal(event.row.date_us, 5000);
	nothing.context = STR("MOBILE");
	old.flags = COMMAND_IF_DIFFERENT;
	assert_int_equal(event_apply(*state, &event, &old, &nothing, &err), EVENT_UPDATED);
	assert_int_equal(event_apply(*state, &event, &old, &nothing, &err), EVENT_SAME);
}

static void the_last_delete_says_when(void **state)
{
	struct event event = live(*state, 5000);
	struct event buried = {.state = EVENT_DELETED, .deleted_us = 100};
	struct command command = command_at(COMMAND_EVENT_DELETE, 8000);
	struct err err;

	assert_int_equal(event_apply(*state, &event, &command, NULL, &err), EVENT_REMOVED);
	assert_int_equal(event.deleted_us, 8000);
	assert_int_equal(event_apply(*state, &buried, &command, NULL, &err), EVENT_NOTHING);
	assert_int_equal(buried.deleted_us, 8000);
	assert_true(buried.changed);
	command = command_at(COMMAND_EVENT_PUT, 9000);
	assert_int_equal(event_apply(*state, &event, &command, &sent, &err), EVENT_NOTHING);
	assert_int_equal(event.deleted_us, 8000);
}

static void what_never_was_is_not_found(void **state)
{
	static const enum command_type types[] = {COMMAND_EVENT_PUT, COMMAND_EVENT_PATCH, COMMAND_EVENT_DELETE};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct command command = command_at(types[i], 1);
		struct event event = {.state = EVENT_UNKNOWN};
		struct err err;

		assert_int_equal(event_apply(*state, &event, &command, &sent, &err), EVENT_NOT_FOUND);
		assert_false(event.changed);
	}
}

static void a_broken_patch_changes_nothing(void **state)
{
	struct event event = live(*state, 5000);
	struct command command = command_at(COMMAND_EVENT_PATCH, 9000);
	struct event_body patch = {.json = STR("{\"properties\":")};
	struct err err = {0};

	assert_int_equal(event_apply(*state, &event, &command, &patch, &err), EVENT_BROKEN);
	assert_int_equal(event.row.version, 1);
	assert_int_equal(err.code, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_post_is_dated_by_its_sender_or_now),
	        cmocka_unit_test(the_log_says_how_it_is_bound),
	        cmocka_unit_test(an_event_of_somebody_deleted_is_buried_at_once),
	        cmocka_unit_test(put_replaces_and_patch_merges),
	        cmocka_unit_test(updates_are_a_millisecond_apart),
	        cmocka_unit_test(what_changes_nothing_leaves_the_event_as_it_is),
	        cmocka_unit_test(the_last_delete_says_when),
	        cmocka_unit_test(what_never_was_is_not_found),
	        cmocka_unit_test(a_broken_patch_changes_nothing),
	};

	return cmocka_run_group_tests(tests, unit_arena_new, unit_arena_free);
}
