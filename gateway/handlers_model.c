#include "common/buf.h"
#include "common/catalog.h"
#include "common/config_doc.h"
#include "common/extended.h"
#include "gateway/config.h"
#include "gateway/config_write.h"
#include "gateway/handlers.h"

static void answer_elements(struct request *request, struct json *elements)
{
	struct json *answer = json_new(request_arena(request), JSON_OBJECT);

	json_add(answer, STR("elements"), elements);
	request_answer_json(request, 200, answer);
}

void model_merge_policies(struct request *request)
{
	answer_elements(request, extended_merge_policies(request_arena(request)));
}

/* --- providers of sources -------------------------------------------------------------------------------------------
 */

/* What check_source asks of the properties of such a source. */
static struct json *provider_schema(struct arena *arena, const struct source_provider *provider)
{
	struct str id = str_of(provider->id);
	struct json *schema = json_new(arena, JSON_OBJECT);

	json_add(schema, STR("type"), json_new_str(arena, STR("object")));
	if (!str_is(id, "API"))
		return schema;
	struct json *properties = json_new(arena, JSON_OBJECT), *addresses = json_new(arena, JSON_OBJECT);
	json_add(addresses, STR("type"), json_new_str(arena, STR("string")));
	json_add(addresses, STR("description"),
	        json_new_str(arena, STR("IP addresses and ranges like 192.0.2.0/24, separated by commas")));
	json_add(properties, STR("allowedIPs"), addresses);
	json_add(schema, STR("properties"), properties);
	return schema;
}

static struct json *provider_view(struct arena *arena, const struct source_provider *provider)
{
	struct json *view = json_new(arena, JSON_OBJECT);

	json_add(view, STR("id"), json_new_str(arena, str_of(provider->id)));
	json_add(view, STR("label"), json_new_str(arena, str_of(provider->label)));
	json_add(view, STR("logo"), json_new(arena, JSON_NULL));
	json_add(view, STR("categories"), json_new(arena, JSON_ARRAY));
	json_add(view, STR("description"), json_new_str(arena, str_of(provider->description)));
	json_add(view, STR("documents"), json_new(arena, JSON_NULL));
	json_add(view, STR("propertiesSchema"), provider_schema(arena, provider));
	json_add(view, STR("role"),
	        json_new_str(arena, provider->trusted ? STR("TRUSTED_APPLICATION") : STR("UNTRUSTED_APPLICATION")));
	return view;
}

void model_providers(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct json *elements = json_new(arena, JSON_ARRAY);

	for (size_t i = 0; i < SOURCE_PROVIDER_COUNT; i++)
		json_append(elements, provider_view(arena, &source_providers[i]));
	answer_elements(request, elements);
}

/* --- contexts of events ---------------------------------------------------------------------------------------------
 */

/* The schema is a text, as the API document has it here (and nowhere else). */
static struct json *context_view(struct arena *arena, const struct event_context *context, bool resolve_references)
{
	struct json *view = json_new(arena, JSON_OBJECT);
	struct json *schema = config_served_context_schema(arena, context->id, resolve_references);
	struct str title = json_text(json_member(schema, "title"));
	struct buf text;

	buf_init(&text, arena, 4096);
	json_write(&text, schema);
	json_add(view, STR("id"), json_new_str(arena, context->id));
	json_add(view, STR("label"), json_new_str(arena, context->label));
	json_add(view, STR("description"), json_new_str(arena, title.p ? title : context->label));
	json_add(view, STR("propertiesSchema"), json_new_str(arena, buf_str(&text)));
	return view;
}

void model_contexts(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct json *elements = json_new(arena, JSON_ARRAY);

	for (size_t i = 0; i < EVENT_CONTEXT_COUNT; i++)
		json_append(
		        elements, context_view(arena, &event_contexts[i], config_flag(request, "resolveReferences")));
	answer_elements(request, elements);
}
