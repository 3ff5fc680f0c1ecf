#include "tests/fuzz/fuzz.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/command.h"
#include "common/event_input.h"
#include "common/json.h"
#include "common/schema.h"
#include "gateway/router.h"
#include "gateway/uri.h"

#define LIMIT_BYTES ((size_t)256 * 1024 * 1024)

static void check_problems(const struct problems *problems, bool good)
{
	FUZZ_CHECK(good == (problems->n == 0));
	for (size_t i = 0; i < problems->n; i++) {
		FUZZ_CHECK(problems->items[i].message.n > 0);
		FUZZ_CHECK(!problems->items[i].path.n || problems->items[i].path.p[0] == '/');
		FUZZ_CHECK(str_is_utf8(problems->items[i].path));
	}
}

/* An event that is taken becomes a record that a worker reads back as it was. */
static void check_record(struct arena *arena, const struct event_input *input)
{
	struct event_body body = {.has_date = input->has_date, .date_us = input->date_us}, again;
	struct buf json, record;
	struct err err = {0};

	if (input->type)
		body.type = input->type->id;
	if (input->context)
		body.context = input->context->id;
	buf_init(&json, arena, 256);
	event_json_write(&json, input->properties, input->context_info, input->tracking);
	body.json = buf_str(&json);
	buf_init(&record, arena, 256);
	event_body_encode(&record, &body);
	FUZZ_CHECK(event_body_decode(buf_str(&record), &again, &err));
	FUZZ_CHECK(str_eq(again.json, body.json) && str_eq(again.type, body.type));
	FUZZ_CHECK(json_parse(arena, again.json, &err));
}

static void check_body(struct arena *arena, struct str text)
{
	struct err err = {0};
	struct json *body = json_parse(arena, text, &err);

	for (enum event_write write = EVENT_CREATE; body && write <= EVENT_CHANGE; write++) {
		struct event_input input;
		struct problems problems;
		problems_init(&problems, arena);
		bool good = event_input_read(arena, body, write, &input, &problems);
		check_problems(&problems, good);
		if (!good)
			continue;
		event_input_fill_client(arena, &input, STR("127.0.0.1"), STR("agent"));
		check_record(arena, &input);
	}
}

static void check_target(struct arena *arena, struct str method, struct str target)
{
	static struct router *router;
	struct str path, query, segments[URI_MAX_SEGMENTS];
	struct uri_param *params;
	struct route_match match;
	struct err err = {0};
	size_t n;

	if (!router)
		router = router_new(routes, route_count);
	if (!uri_split(target, &path, &query))
		return;
	if (path.n && path.p[0] == '/' && uri_segments(arena, path, segments, &n)) {
		for (size_t i = 0; i < n; i++)
			FUZZ_CHECK(str_is_utf8(segments[i]));
		if (router_find(router, arena, method, segments, n, &match) == ROUTE_FOUND)
			FUZZ_CHECK(match.route && match.n_params <= ROUTE_MAX_PARAMS);
	}
	if (uri_params(arena, query, &params, &n, &err)) {
		for (size_t i = 0; i < n; i++)
			FUZZ_CHECK(str_is_utf8(params[i].name) && str_is_utf8(params[i].value));
	} else {
		FUZZ_CHECK(err.code == ERR_INVALID);
	}
}

/* METHOD, line, target, line, body: the way of a request up to the record that is published. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	struct str rest = {(const char *)bytes, n}, method = STR_NONE, target = STR_NONE;

	if (n && str_split(&rest, '\n', &method) && str_split(&rest, '\n', &target)) {
		check_target(arena, method, target);
		check_body(arena, rest);
	}
	arena_free(arena);
	return 0;
}
