#include "common/arena.h"
#include "common/catalog.h"
#include "gateway/config_checks.h"
#include "gateway/config_write.h"
#include "gateway/extended_write.h"
#include "gateway/handlers.h"

static struct json *event_type_view(struct request *request, const struct event_type *type, bool enabled)
{
	struct arena *arena = request_arena(request);
	struct json *view = json_new(arena, JSON_OBJECT);
	const struct json *document =
	        catalog_document(str_of(arena_printf(arena, "event.%.*s.json", STR_ARG(type->id))));
	struct str title = json_text(json_member(document, "title"));

	json_add(view, STR("id"), json_new_str(arena, type->id));
	json_add(view, STR("type"), json_new_str(arena, type->id));
	json_add(view, STR("mode"), json_new_str(arena, type->active ? STR("ACTIVE") : STR("PASSIVE")));
	json_add(view, STR("label"), json_new_str(arena, type->label));
	json_add(view, STR("description"), json_new_str(arena, title.p ? title : type->label));
	json_add(view, STR("propertiesSchema"),
	        config_served_event_schema(
	                arena, request_workspace(request), type->id, config_flag(request, "resolveReferences")));
	json_add(view, STR("enabled"), json_new_bool(arena, enabled));
	return view;
}

static struct json *event_type_element(struct request *request, size_t index)
{
	return event_type_view(request, &event_types[index],
	        config_event_type_enabled(request_workspace(request), event_types[index].id));
}

void event_type_list(struct request *request)
{
	config_answer_list(request, EVENT_TYPE_COUNT, NULL, event_type_element);
}

/* The event type of the path; answers itself when there is none. */
static const struct event_type *path_type(struct request *request)
{
	struct str id = request_path(request, "eventType");
	const struct event_type *type = event_type_find(id);

	if (!type)
		request_fail_not_found(request, STR("event type"), id);
	return type;
}

void event_type_get(struct request *request)
{
	const struct event_type *type = path_type(request);

	if (type)
		request_answer_json(request, 200, event_type_element(request, (size_t)(type - event_types)));
}

/* --- on and off ------------------------------------------------------------------------------------------------------
 */

static void write_state(
        struct request *request, const struct event_type *type, bool enabled, request_reply_fn *on_reply)
{
	struct arena *arena = request_arena(request);
	struct json *doc = json_new(arena, JSON_OBJECT);

	json_add(doc, STR("enabled"), json_new_bool(arena, enabled));
	config_replace_document(request, CONFIG_EVENT_TYPE, type->id, doc, on_reply);
}

static void answer_event_type(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(request, 200,
		        event_type_view(request, event_type_find(request_path(request, "eventType")),
		                json_is_true(json_member(doc, "enabled"))));
}

static void check_same(const struct json *body, const char *member, struct str id, struct problems *problems)
{
	const struct json *sent = json_get(body, str_of(member));

	if (!json_is_null(sent) && !str_eq(json_text(sent), id))
		problems_add(
		        problems, str_of(arena_printf(problems->arena, "/%s", member)), "%s cannot be changed", member);
}

void event_type_put(struct request *request)
{
	const struct event_type *type = path_type(request);
	const struct json *body = request_body(request);
	bool enabled = true; /* the default of the API document */
	struct problems problems;

	if (!type)
		return;
	problems_init(&problems, request_arena(request));
	check_same(body, "id", type->id, &problems);
	check_same(body, "type", type->id, &problems);
	if (json_member(body, "enabled"))
		check_bool(body, STR("enabled"), &enabled, &problems);
	if (problems.n)
		request_fail_problems(request, STR("The event configuration is not valid"), &problems);
	else
		write_state(request, type, enabled, answer_event_type);
}

static void answer_value(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		config_answer_member(request, STR("value"),
		        json_new_bool(request_arena(request), json_is_true(json_member(doc, "enabled"))));
}

void event_type_enabled_put(struct request *request)
{
	const struct event_type *type = path_type(request);
	struct problems problems;
	bool enabled;

	if (!type)
		return;
	problems_init(&problems, request_arena(request));
	if (check_bool(request_body(request), STR("value"), &enabled, &problems))
		write_state(request, type, enabled, answer_value);
	else
		request_fail_problems(request, STR("The state is not valid"), &problems);
}

/* --- properties ------------------------------------------------------------------------------------------------------
 */

void event_properties_get(struct request *request)
{
	const struct event_type *type = path_type(request);

	if (type)
		request_answer_json(request, 200,
		        config_served_event_schema(request_arena(request), request_workspace(request), type->id,
		                config_flag(request, "resolveReferences")));
}

static struct str set_of(struct request *request, const struct event_type *type)
{
	return str_of(arena_printf(request_arena(request), "event:%.*s", STR_ARG(type->id)));
}

void event_extended_get(struct request *request)
{
	const struct event_type *type = path_type(request);

	if (type)
		extended_answer(request, set_of(request, type));
}

void event_extended_put(struct request *request)
{
	const struct event_type *type = path_type(request);

	if (type)
		extended_write(request, set_of(request, type));
}
