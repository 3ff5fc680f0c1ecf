#include "common/event_input.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"

#define AT(write) (1u << (write))
#define AT_ALL (AT(EVENT_CREATE) | AT(EVENT_REPLACE) | AT(EVENT_CHANGE))
#define AT_UPDATE (AT(EVENT_REPLACE) | AT(EVENT_CHANGE))

/* Members that a body may have, and in which calls. */
static const struct {
	struct str name;
	unsigned writes;
} members[] = {
        {.name = {"customerId", 10}, .writes = AT_ALL},
        {.name = {"bringBackProperties", 19}, .writes = AT_ALL},
        {.name = {"type", 4}, .writes = AT_ALL},
        {.name = {"properties", 10}, .writes = AT_ALL},
        {.name = {"context", 7}, .writes = AT_ALL},
        {.name = {"contextInfo", 11}, .writes = AT_ALL},
        {.name = {"date", 4}, .writes = AT_ALL},
        {.name = {"tracking", 8}, .writes = AT_ALL},
        {.name = {"mode", 4}, .writes = AT_ALL},
        {.name = {"id", 2}, .writes = AT_UPDATE},
        {.name = {"origin", 6}, .writes = AT_UPDATE},
        {.name = {"prev", 4}, .writes = AT_UPDATE},
        {.name = {"next", 4}, .writes = AT_UPDATE},
        {.name = {"registeredAt", 12}, .writes = AT_UPDATE},
        {.name = {"updatedAt", 9}, .writes = AT_UPDATE},
        {.name = {"version", 7}, .writes = AT_UPDATE},
};

static bool member_is_known(struct str name, enum event_write write)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (str_eq(members[i].name, name))
			return members[i].writes & AT(write);
	return false;
}

static void add_unknown(struct problems *problems, const char *base, struct str name)
{
	struct buf pointer;

	buf_init(&pointer, problems->arena, 64);
	buf_add_str(&pointer, str_of(base));
	json_pointer_add(&pointer, name);
	problems_add(problems, buf_str(&pointer), "unknown property");
}

/* A string member; absent when it is missing, null or (with a problem) something else. */
static struct str read_string(
        const struct json *object, const char *name, const char *pointer, struct problems *problems)
{
	const struct json *value = json_get(object, str_of(name));

	if (json_is_null(value))
		return STR_NONE;
	if (value->type != JSON_STRING)
		problems_add(problems, str_of(pointer), "must be a string");
	return json_text(value);
}

static void read_type(
        const struct json *body, enum event_write write, struct event_input *input, struct problems *problems)
{
	struct str name = read_string(body, "type", "/type", problems);

	if (name.p) {
		input->type = event_type_find(name);
		if (!input->type)
			problems_add(problems, STR("/type"), "unknown event type");
	} else if (write != EVENT_CHANGE && json_is_null(json_member(body, "type"))) {
		problems_add(problems, STR("/type"), "type is required");
	}
}

static void read_context(
        const struct json *body, enum event_write write, struct event_input *input, struct problems *problems)
{
	struct str name = read_string(body, "context", "/context", problems);

	if (name.p) {
		input->context = event_context_find(name);
		if (!input->context)
			problems_add(problems, STR("/context"), "unknown event context");
	} else if (write != EVENT_CHANGE && json_is_null(json_member(body, "context"))) {
		problems_add(problems, STR("/context"), "context is required");
	}
}

static void read_date(const struct json *body, struct event_input *input, struct problems *problems)
{
	struct str text = read_string(body, "date", "/date", problems);

	if (!text.p)
		return;
	input->has_date = time_parse(text, &input->date_us);
	if (!input->has_date)
		problems_add(problems, STR("/date"), "must be a date-time");
}

/* An object member; NULL when it is not there. Null counts as not there, except in a CHANGE, where it removes. */
static struct json *read_object(struct arena *arena, const struct json *body, struct str name, enum event_write write,
        struct problems *problems)
{
	struct json *value = json_get(body, name);

	if (!value || value->type == JSON_OBJECT)
		return value;
	if (value->type == JSON_NULL)
		return write == EVENT_CHANGE ? value : NULL;
	if (value->type == JSON_ARRAY && value->count == 0)
		return json_new(arena, JSON_OBJECT);
	problems_add(
	        problems, arena_str(arena, str_of(arena_printf(arena, "/%.*s", STR_ARG(name)))), "must be an object");
	return NULL;
}

static void check_bring_back_members(const struct json *bring_back, struct problems *problems)
{
	for
		json_each(member, bring_back) if (!str_is(member->key, "type") && !str_is(member->key, "value") &&
		                                  !str_is(member->key, "nodeId"))
		        add_unknown(problems, "/bringBackProperties", member->key);
}

static enum event_bind read_bind(const struct json *bring_back, struct problems *problems)
{
	struct str name = read_string(bring_back, "type", "/bringBackProperties/type", problems);

	if (!name.p || str_is(name, event_bind_name(EVENT_BIND_SESSION)))
		return EVENT_BIND_SESSION;
	if (!str_is(name, event_bind_name(EVENT_BIND_EXTERNAL_ID)))
		problems_add(problems, STR("/bringBackProperties/type"), "must be SESSION_ID or EXTERNAL_ID");
	return EVENT_BIND_EXTERNAL_ID;
}

static void read_bring_back(const struct json *body, struct event_input *input, struct problems *problems)
{
	const struct json *bring_back = json_member(body, "bringBackProperties");

	if (json_is_null(bring_back))
		return;
	if (bring_back->type != JSON_OBJECT) {
		problems_add(problems, STR("/bringBackProperties"), "must be an object");
		return;
	}
	check_bring_back_members(bring_back, problems);
	input->bind = read_bind(bring_back, problems);
	input->bind_value = read_string(bring_back, "value", "/bringBackProperties/value", problems);
	input->bind_node = read_string(bring_back, "nodeId", "/bringBackProperties/nodeId", problems);
	size_t length = str_utf8_length(input->bind_value);
	if (length < 1 || length > EVENT_BIND_VALUE_MAX)
		problems_add(problems, STR("/bringBackProperties/value"), "must have 1 to %d characters",
		        EVENT_BIND_VALUE_MAX);
	if (json_is_null(json_member(bring_back, "nodeId")))
		problems_add(problems, STR("/bringBackProperties/nodeId"), "nodeId is required");
}

static void read_owner(const struct json *body, struct event_input *input, struct problems *problems)
{
	bool has_customer = !json_is_null(json_member(body, "customerId"));
	bool has_bring_back = !json_is_null(json_member(body, "bringBackProperties"));

	input->customer_id = read_string(body, "customerId", "/customerId", problems);
	read_bring_back(body, input, problems);
	if (has_customer && has_bring_back)
		problems_add(
		        problems, STR("/bringBackProperties"), "customerId and bringBackProperties exclude each other");
	else if (!has_customer && !has_bring_back)
		problems_add(problems, STR("/customerId"), "customerId or bringBackProperties is required");
}

bool event_input_read(struct arena *arena, const struct json *body, enum event_write write,
        struct event_input *ret_input, struct problems *problems)
{
	size_t before = problems->n;

	*ret_input = (struct event_input){0};
	for
		json_each(member, body) if (!member_is_known(member->key, write))
		        add_unknown(problems, "", member->key);
	if (write == EVENT_CREATE)
		read_owner(body, ret_input, problems);
	read_type(body, write, ret_input, problems);
	read_context(body, write, ret_input, problems);
	read_date(body, ret_input, problems);
	ret_input->properties = read_object(arena, body, STR("properties"), write, problems);
	ret_input->context_info = read_object(arena, body, STR("contextInfo"), write, problems);
	ret_input->tracking = read_object(arena, body, STR("tracking"), write, problems);
	if (write == EVENT_REPLACE && json_is_null(json_member(body, "properties")))
		problems_add(problems, STR("/properties"), "properties is required");
	return problems->n == before;
}

static bool same_id(const struct json *value, bool present, const struct uuid *id)
{
	struct uuid sent;

	return present && uuid_parse(json_text(value), &sent) && uuid_eq(&sent, id);
}

static bool keeps_id(const struct event_row *event, const struct json *value)
{
	return same_id(value, true, &event->id);
}

static bool keeps_customer(const struct event_row *event, const struct json *value)
{
	return same_id(value, event->has_customer, &event->customer);
}

static bool keeps_bring_back(const struct event_row *event, const struct json *value)
{
	const struct json *type = json_member(value, "type");

	if (event->bind == EVENT_BIND_NONE || value->type != JSON_OBJECT)
		return false;
	if (json_is_null(type) ? event->bind != EVENT_BIND_SESSION
	                       : !str_is(json_text(type), event_bind_name(event->bind)))
		return false;
	return str_eq(json_text(json_member(value, "value")), event->bind_value) &&
	       same_id(json_member(value, "nodeId"), true, &event->node);
}

static bool keeps_type(const struct event_row *event, const struct json *value)
{
	return value->type == JSON_STRING && str_eq(value->text, event->type);
}

static bool keeps_context(const struct event_row *event, const struct json *value)
{
	return value->type == JSON_STRING && str_eq(value->text, event->context);
}

/* Times travel in milliseconds; ours are non-negative. */
static bool keeps_registered(const struct event_row *event, const struct json *value)
{
	int64_t sent_us;

	return time_parse(json_text(value), &sent_us) && sent_us / 1000 == event->registered_us / 1000;
}

bool event_input_keeps(
        const struct event_row *event, const struct json *body, enum event_write write, struct problems *problems)
{
	static const struct {
		const char *name, *pointer;
		bool (*keeps)(const struct event_row *event, const struct json *value);
		unsigned writes;
	} rows[] = {
	        {.name = "id", .pointer = "/id", .keeps = keeps_id, .writes = AT_UPDATE},
	        {.name = "customerId", .pointer = "/customerId", .keeps = keeps_customer, .writes = AT_UPDATE},
	        {.name = "bringBackProperties",
	                .pointer = "/bringBackProperties",
	                .keeps = keeps_bring_back,
	                .writes = AT_UPDATE},
	        {.name = "type", .pointer = "/type", .keeps = keeps_type, .writes = AT_UPDATE},
	        {.name = "context", .pointer = "/context", .keeps = keeps_context, .writes = AT(EVENT_CHANGE)},
	        {.name = "registeredAt", .pointer = "/registeredAt", .keeps = keeps_registered, .writes = AT_UPDATE},
	};
	size_t before = problems->n;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct json *value = json_get(body, str_of(rows[i].name));
		if (rows[i].writes & AT(write) && !json_is_null(value) && !rows[i].keeps(event, value))
			problems_add(problems, str_of(rows[i].pointer), "%s cannot be changed", rows[i].name);
	}
	return problems->n == before;
}

static bool has_path(const struct problems *problems, struct str path)
{
	for (size_t i = 0; i < problems->n; i++)
		if (str_eq(problems->items[i].path, path))
			return true;
	return false;
}

/* Whether a patch sets what a pointer leads to, or something around it: what is no object replaces the whole. */
static bool patch_sets(struct arena *arena, const struct json *patch, struct str pointer)
{
	struct str token;

	str_split(&pointer, '/', &token);
	while (json_is(patch, JSON_OBJECT) && str_split(&pointer, '/', &token))
		patch = json_get(patch, json_pointer_token(arena, token));
	return patch != NULL;
}

void event_input_forgive(struct problems *problems, const struct problems *before, const struct json *patch)
{
	size_t n = 0;

	for (size_t i = 0; i < problems->n; i++) {
		struct str path = problems->items[i].path;
		if (patch_sets(problems->arena, patch, path) || !has_path(before, path))
			problems->items[n++] = problems->items[i];
	}
	problems->n = n;
}

void event_input_fill_client(struct arena *arena, struct event_input *input, struct str ip, struct str user_agent)
{
	struct json *client;

	if (!input->context_info)
		input->context_info = json_new(arena, JSON_OBJECT);
	if (!json_is_null(json_member(input->context_info, "client")) || (!ip.p && !user_agent.p))
		return;
	client = json_new(arena, JSON_OBJECT);
	if (ip.p)
		json_add(client, STR("ip"), json_new_str(arena, ip));
	if (user_agent.p)
		json_add(client, STR("userAgent"), json_new_str(arena, user_agent));
	json_set(input->context_info, STR("client"), client);
}
