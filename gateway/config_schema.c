#include "gateway/config_schema.h"

#include "common/arena.h"
#include "common/catalog.h"
#include "common/json.h"
#include "common/log.h"
#include "gateway/base_properties.h"
#include "gateway/extended.h"

/* The built-in schemas nest about six levels of $ref; a cycle would be a fault of ours. */
#define MAX_REFERENCE_DEPTH 16

struct schema_set {
	struct arena *arena;
	const struct config_workspace *workspace;
	const struct json *product; /* schema of product extended properties, shared by all event schemas */
	const struct schema *customer;
	const struct schema *events[EVENT_TYPE_COUNT];
	const struct schema *contexts[EVENT_CONTEXT_COUNT];
};

/* What the references of one schema to workspace-made properties stand for. */
struct extended_schemas {
	const struct json *customer, *event, *product;
};

static const struct json *find_extended(const struct extended_schemas *schemas, struct str reference)
{
	if (str_is(reference, "extended.json#/customer"))
		return schemas->customer;
	if (str_is(reference, "extended.json#/event"))
		return schemas->event;
	if (str_is(reference, "extended.json#/product"))
		return schemas->product;
	return NULL;
}

static const struct json *resolve(void *context, struct str reference)
{
	const struct json *extended = find_extended(context, reference);

	return extended ? extended : catalog_resolve(reference);
}

static const struct json *map_of(const struct config_workspace *workspace, struct str set)
{
	return workspace ? config_extended(workspace, set) : NULL;
}

static struct str event_set(struct arena *arena, struct str event_type)
{
	return str_of(arena_printf(arena, "event:%.*s", STR_ARG(event_type)));
}

/* Declared properties are checked before they are stored, so a schema that does not compile is a fault of ours. */
static const struct schema *compile(
        struct schema_set *set, const struct json *document, struct extended_schemas *extended, const char *what)
{
	struct err err = {0};
	struct extended_schemas *kept = arena_alloc(set->arena, sizeof(*kept));

	*kept = *extended;
	const struct schema *schema = schema_compile(set->arena, document, resolve, kept, &err);
	if (!schema)
		log_die("schema", "the schema %s does not compile: %s", what, err.message);
	return schema;
}

struct schema_set *schema_set_new(struct arena *arena, const struct config_workspace *workspace)
{
	struct schema_set *set = arena_zalloc(arena, sizeof(*set));

	set->arena = arena;
	set->workspace = workspace;
	return set;
}

const struct schema *schema_set_customer(struct schema_set *set)
{
	if (set->customer)
		return set->customer;
	const struct json *document = catalog_document(STR("customer.json"));
	const struct json *disabled = set->workspace ? config_disabled_base_properties(set->workspace) : NULL;
	struct extended_schemas extended = {
	        .customer = extended_value_schema(set->arena, map_of(set->workspace, STR("customer")), true)};
	if (disabled) {
		struct json *copy = json_copy(set->arena, document, false);
		base_properties_restrict(set->arena, copy, disabled);
		document = copy;
	}
	return set->customer = compile(set, document, &extended, "customer.json");
}

const struct schema *schema_set_event(struct schema_set *set, size_t index)
{
	if (set->events[index])
		return set->events[index];
	struct str type = event_types[index].id;
	const char *name = arena_printf(set->arena, "event.%.*s.json", STR_ARG(type));
	if (!set->product)
		set->product = extended_value_schema(set->arena, map_of(set->workspace, STR("product")), false);
	struct extended_schemas extended = {.product = set->product,
	        .event = extended_value_schema(set->arena, map_of(set->workspace, event_set(set->arena, type)), false)};
	return set->events[index] = compile(set, catalog_document(str_of(name)), &extended, name);
}

const struct schema *schema_set_context(struct schema_set *set, size_t index)
{
	if (set->contexts[index])
		return set->contexts[index];
	struct extended_schemas none = {0};
	const char *name = arena_printf(set->arena, "context.%.*s.json", STR_ARG(event_contexts[index].id));
	return set->contexts[index] = compile(set, catalog_document(str_of(name)), &none, name);
}

/* --- what the API shows ---------------------------------------------------------------------------------------------
 */

/* One walk over a schema. */
struct serve {
	struct arena *arena;
	const struct extended_schemas *extended;
	bool resolve; /* all references, else only those to workspace-made properties */
};

static struct json *serve(const struct serve *walk, const struct json *schema, int depth);

/* What stands in the place of an object with a $ref; NULL = it stays. */
static struct json *serve_reference(const struct serve *walk, const struct json *schema, int depth)
{
	struct str reference = json_text(json_member(schema, "$ref"));
	const struct json *target = reference.p ? find_extended(walk->extended, reference) : NULL;

	if (target)
		return json_copy(walk->arena, target, false);
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
	struct extended_schemas extended = {
	        .customer = extended_served_schema(arena, config_extended(workspace, STR("customer")))};
	struct serve walk = {.arena = arena, .extended = &extended, .resolve = resolve_references};
	struct json *schema = serve(&walk, catalog_document(STR("customer.json")), 0);

	base_properties_describe(arena, schema, config_disabled_base_properties(workspace));
	return schema;
}

struct json *config_served_event_schema(
        struct arena *arena, const struct config_workspace *workspace, struct str event_type, bool resolve_references)
{
	struct str name = str_of(arena_printf(arena, "event.%.*s.json", STR_ARG(event_type)));
	struct extended_schemas extended = {
	        .event = extended_served_schema(arena, config_extended(workspace, event_set(arena, event_type))),
	        .product = extended_served_schema(arena, config_extended(workspace, STR("product")))};
	struct serve walk = {.arena = arena, .extended = &extended, .resolve = resolve_references};

	return serve(&walk, catalog_document(name), 0);
}
