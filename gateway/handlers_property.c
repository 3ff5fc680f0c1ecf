#include "common/base_properties.h"
#include "gateway/config_checks.h"
#include "gateway/config_write.h"
#include "gateway/extended_write.h"
#include "gateway/handlers.h"

/* --- base properties ---------------------------------------------------------------------------------------------- */

static struct json *base_property_view(
        struct arena *arena, const struct base_property *property, const struct json *disabled)
{
	struct json *view = json_new(arena, JSON_OBJECT);

	json_add(view, STR("name"), json_new_str(arena, property->name));
	json_add(view, STR("description"), json_new_str(arena, property->label));
	json_add(view, STR("enabled"), json_new_bool(arena, !base_property_is_disabled(disabled, property->name)));
	return view;
}

void base_property_list(struct request *request)
{
	const struct json *disabled = config_disabled_base_properties(request_workspace(request));
	struct arena *arena = request_arena(request);
	struct json *answer = json_new(arena, JSON_OBJECT);
	struct json *elements = json_add(answer, STR("elements"), json_new(arena, JSON_ARRAY));

	for (size_t i = 0; i < BASE_PROPERTY_COUNT; i++)
		json_append(elements, base_property_view(arena, &base_properties[i], disabled));
	request_answer_json(request, 200, answer);
}

/* The property of the path, by the name of its parameter; answers itself when there is none. */
static const struct base_property *path_property(struct request *request, const char *parameter)
{
	struct str name = request_path(request, parameter);
	const struct base_property *property = base_property_find(name);

	if (!property)
		request_fail_not_found(request, STR("property"), name);
	return property;
}

/* The member of the body that says on or off is called differently by the two operations. */
static void switch_property(
        struct request *request, const char *parameter, struct str member, request_reply_fn *on_reply)
{
	const struct base_property *property = path_property(request, parameter);
	const struct json *disabled = config_disabled_base_properties(request_workspace(request));
	const struct json *name = json_member(request_body(request), "name");
	struct arena *arena = request_arena(request);
	struct problems problems;
	bool enabled;

	if (!property)
		return;
	problems_init(&problems, arena);
	if (!json_is_null(name) && base_property_find(json_text(name)) != property)
		problems_add(&problems, STR("/name"), "the name of the property cannot be changed");
	check_bool(request_body(request), member, &enabled, &problems);
	if (problems.n) {
		request_fail_problems(request, STR("The state of the property is not valid"), &problems);
		return;
	}
	struct json *doc = json_new(arena, JSON_OBJECT);
	json_add(doc, STR("disabled"), base_property_switch(arena, disabled, property->name, enabled));
	config_write_document(request, CONFIG_BASE_PROPERTIES, STR(""), doc, NULL, on_reply);
}

static void answer_property(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(request, 200,
		        base_property_view(request_arena(request), base_property_find(request_path(request, "name")),
		                json_member(doc, "disabled")));
}

void base_property_put(struct request *request)
{
	switch_property(request, "name", STR("enabled"), answer_property);
}

static void answer_value(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (!doc)
		return;
	const struct base_property *property = base_property_find(request_path(request, "baseProperty"));
	bool disabled = base_property_is_disabled(json_member(doc, "disabled"), property->name);
	config_answer_member(request, STR("value"), json_new_bool(request_arena(request), !disabled));
}

void base_property_enabled_put(struct request *request)
{
	switch_property(request, "baseProperty", STR("value"), answer_value);
}

/* --- customers ------------------------------------------------------------------------------------------------------
 */

void customer_extended_get(struct request *request)
{
	extended_answer(request, STR("customer"));
}

void customer_extended_put(struct request *request)
{
	extended_write(request, STR("customer"));
}

void customer_properties_get(struct request *request)
{
	request_answer_json(request, 200,
	        config_served_customer_schema(
	                request_arena(request), request_workspace(request), config_flag(request, "resolveReferences")));
}
