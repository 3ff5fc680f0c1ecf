#include "gateway/config.h"

#include "common/arena.h"
#include "common/base_properties.h"
#include "common/catalog.h"
#include "common/extended.h"
#include "common/json.h"
#include "common/schema_set.h"

/* The built-in schemas nest about six levels of $ref; a cycle would be a fault of ours. */
#define MAX_REFERENCE_DEPTH 16

static struct str event_set(struct arena *arena, struct str event_type)
{
	return str_of(arena_printf(arena, "event:%.*s", STR_ARG(event_type)));
}

/* One walk over a schema. */
struct serve {
	struct arena *arena;
	const struct schema_extensions *extended;
	bool resolve; /* all references, else only those to workspace-made properties */
};

static struct json *serve(const struct serve *walk, const struct json *schema, int depth);

/* What stands in the place of an object with a $ref; NULL = it stays. */
static struct json *serve_reference(const struct serve *walk, const struct json *schema, int depth)
{
	struct str reference = json_text(json_member(schema, "$ref"));
	const struct json *target = reference.p ? schema_extension_find(walk->extended, reference) : NULL;

	if (target)
		return json_alias(walk->arena, target);
	if (!reference.p || !walk->resolve || depth == MAX_REFERENCE_DEPTH)
		return NULL;
	target = catalog_resolve(reference);
	return target ? serve(walk, target, depth + 1) : NULL;
}

static struct json *serve(const struct serve *walk, const struct json *schema, int depth)
{
	struct json *copy = serve_reference(walk, schema, depth);

	if (copy)
		return copy;
	if (!json_is(schema, JSON_OBJECT) && !json_is(schema, JSON_ARRAY))
		return json_copy(walk->arena, schema, false);
	copy = json_new(walk->arena, schema->type);
	for
		json_each(member, schema)
		{
			if (schema->type == JSON_OBJECT)
				json_add(copy, member->key, serve(walk, member, depth));
			else
				json_append(copy, serve(walk, member, depth));
		}
	return copy;
}

struct json *config_served_customer_schema(
        struct arena *arena, const struct config_workspace *workspace, bool resolve_references)
{
	struct schema_extensions extended = {
	        .customer = extended_served_schema(arena, config_extended(workspace, STR("customer")))};
	struct serve walk = {.arena = arena, .extended = &extended, .resolve = resolve_references};
	struct json *schema = serve(&walk, catalog_document(STR("customer.json")), 0);

	base_properties_describe(arena, schema, config_disabled_base_properties(workspace));
	return schema;
}

struct json *config_served_context_schema(struct arena *arena, struct str context, bool resolve_references)
{
	struct str name = str_of(arena_printf(arena, "context.%.*s.json", STR_ARG(context)));
	struct schema_extensions extended = {0};
	struct serve walk = {.arena = arena, .extended = &extended, .resolve = resolve_references};

	return serve(&walk, catalog_document(name), 0);
}

struct json *config_served_event_schema(
        struct arena *arena, const struct config_workspace *workspace, struct str event_type, bool resolve_references)
{
	struct str name = str_of(arena_printf(arena, "event.%.*s.json", STR_ARG(event_type)));
	struct schema_extensions extended = {
	        .event = extended_served_schema(arena, config_extended(workspace, event_set(arena, event_type))),
	        .product = extended_served_schema(arena, config_extended(workspace, STR("product")))};
	struct serve walk = {.arena = arena, .extended = &extended, .resolve = resolve_references};

	return serve(&walk, catalog_document(name), 0);
}
