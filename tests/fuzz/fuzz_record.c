#include "tests/fuzz/fuzz.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/command.h"
#include "common/event.h"

#define LIMIT_BYTES ((size_t)64 * 1024 * 1024)

static void check_error(const struct err *err)
{
	FUZZ_CHECK(err->code == ERR_INVALID && err->message[0]);
}

/* A copy without a byte to spare, so that reading behind the end shows. */
static struct str exact(struct arena *arena, const void *bytes, size_t n)
{
	return arena_str(arena, (struct str){bytes, n});
}

static bool inside(struct str part, struct str whole)
{
	return !part.p || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_event_body(struct arena *arena, struct str text)
{
	struct event_body body, again;
	struct err err = {0};
	struct buf buf;

	if (!event_body_decode(text, &body, &err)) {
		check_error(&err);
		return;
	}
	FUZZ_CHECK(inside(body.type, text) && inside(body.context, text) && inside(body.json, text));
	buf_init(&buf, arena, 64);
	event_body_encode(&buf, &body);
	FUZZ_CHECK(event_body_decode(buf_str(&buf), &again, &err));
	FUZZ_CHECK(str_eq(body.type, again.type) && str_eq(body.json, again.json) && body.has_date == again.has_date);
}

static void check_command(struct arena *arena, struct str record)
{
	struct command command, again;
	struct err err = {0};
	struct buf buf;

	if (!command_decode(record, &command, &err)) {
		check_error(&err);
		return;
	}
	FUZZ_CHECK(inside(command.text, record) && inside(command.body, record));
	FUZZ_CHECK(command_type_name(command.type));
	buf_init(&buf, arena, 64);
	command_encode(&buf, &command);
	FUZZ_CHECK(command_decode(buf_str(&buf), &again, &err));
	FUZZ_CHECK(again.type == command.type && again.flags == command.flags && again.time_us == command.time_us);
	FUZZ_CHECK(str_eq(again.text, command.text) && str_eq(again.body, command.body));
	FUZZ_CHECK(uuid_eq(&again.entity, &command.entity) && uuid_eq(&again.workspace, &command.workspace));
	check_event_body(arena, command.body);
}

static void check_reply(struct arena *arena, struct str record)
{
	struct reply reply, again;
	struct err err = {0};
	struct buf buf;

	if (!reply_decode(record, &reply, &err)) {
		check_error(&err);
		return;
	}
	FUZZ_CHECK(inside(reply.body, record));
	buf_init(&buf, arena, 64);
	reply_encode(&buf, &reply);
	FUZZ_CHECK(reply_decode(buf_str(&buf), &again, &err));
	FUZZ_CHECK(again.status == reply.status && again.seq == reply.seq && str_eq(again.body, reply.body));
}

/* The first byte chooses what the rest is read as. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct arena *arena = arena_new(LIMIT_BYTES);

	if (n) {
		struct str record = exact(arena, bytes + 1, n - 1);
		if (bytes[0] % 3 == 0)
			check_command(arena, record);
		else if (bytes[0] % 3 == 1)
			check_reply(arena, record);
		else
			check_event_body(arena, record);
	}
	arena_free(arena);
	return 0;
}
