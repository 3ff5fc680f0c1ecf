#include "common/schema_set.h"

#include "common/arena.h"
#include "common/base_properties.h"
#include "common/catalog.h"
#include "common/extended.h"
#include "common/json.h"
#include "common/log.h"

/* The built-in schemas nest about six levels of $ref; a cycle would be a fault of ours. */
#define MAX_REFERENCE_DEPTH 16

struct schema_set {
	struct arena *arena;
	struct schema_declarations declarations;
	const struct json *product; /* schema of product extended properties, shared by all event schemas */
	const struct schema *customer;
	const struct schema *events[EVENT_TYPE_COUNT];
	const struct schema *contexts[EVENT_CONTEXT_COUNT];
};

const struct json *schema_extension_find(const struct schema_extensions *extensions, struct str reference)
{
	if (str_is(reference, "extended.json#/customer"))
		return extensions->customer;
	if (str_is(reference, "extended.json#/event"))
		return extensions->event;
	if (str_is(reference, "extended.json#/product"))
		return extensions->product;
	return NULL;
}

static const struct json *resolve(void *context, struct str reference)
{
	const struct json *extension = schema_extension_find(context, reference);

	return extension ? extension : catalog_resolve(reference);
}

static const struct json *map_of(const struct schema_set *set, struct str name)
{
	return set->declarations.extended ? set->declarations.extended(set->declarations.context, name) : NULL;
}

/* Declared properties are checked before they are stored, so a schema that does not compile is a fault of ours. */
static const struct schema *compile(struct schema_set *set, const struct schema_document *document, const char *what)
{
	struct err err = {0};
	struct schema_extensions *kept = arena_alloc(set->arena, sizeof(*kept));

	*kept = document->extensions;
	const struct schema *schema = schema_compile(set->arena, document->root, resolve, kept, &err);
	if (!schema)
		log_die("schema", "the schema %s does not compile: %s", what, err.message);
	return schema;
}

struct schema_set *schema_set_new(struct arena *arena, const struct schema_declarations *declarations)
{
	struct schema_set *set = arena_zalloc(arena, sizeof(*set));

	set->arena = arena;
	if (declarations)
		set->declarations = *declarations;
	return set;
}

/* --- documents --- */

struct schema_document schema_set_customer_document(struct schema_set *set)
{
	const struct json *root = catalog_document(STR("customer.json")), *disabled = set->declarations.disabled_base;

	if (disabled) {
		struct json *copy = json_copy(set->arena, root, false);
		base_properties_restrict(set->arena, copy, disabled);
		root = copy;
	}
	return (struct schema_document){.root = root,
	        .extensions = {.customer = extended_value_schema(set->arena, map_of(set, STR("customer")), true)}};
}

static const char *event_name(struct schema_set *set, size_t index)
{
	return arena_printf(set->arena, "event.%.*s.json", STR_ARG(event_types[index].id));
}

struct schema_document schema_set_event_document(struct schema_set *set, size_t index)
{
	struct str name = str_of(arena_printf(set->arena, "event:%.*s", STR_ARG(event_types[index].id)));

	if (!set->product)
		set->product = extended_value_schema(set->arena, map_of(set, STR("product")), false);
	return (struct schema_document){.root = catalog_document(str_of(event_name(set, index))),
	        .extensions = {
	                .product = set->product, .event = extended_value_schema(set->arena, map_of(set, name), false)}};
}

static const char *context_name(struct schema_set *set, size_t index)
{
	return arena_printf(set->arena, "context.%.*s.json", STR_ARG(event_contexts[index].id));
}

struct schema_document schema_set_context_document(struct schema_set *set, size_t index)
{
	return (struct schema_document){.root = catalog_document(str_of(context_name(set, index)))};
}

/* --- compiled --- */

const struct schema *schema_set_customer(struct schema_set *set)
{
	if (!set->customer) {
		struct schema_document document = schema_set_customer_document(set);
		set->customer = compile(set, &document, "customer.json");
	}
	return set->customer;
}

const struct schema *schema_set_event(struct schema_set *set, size_t index)
{
	if (!set->events[index]) {
		struct schema_document document = schema_set_event_document(set, index);
		set->events[index] = compile(set, &document, event_name(set, index));
	}
	return set->events[index];
}

const struct schema *schema_set_context(struct schema_set *set, size_t index)
{
	if (!set->contexts[index]) {
		struct schema_document document = schema_set_context_document(set, index);
		set->contexts[index] = compile(set, &document, context_name(set, index));
	}
	return set->contexts[index];
}

/* --- places in a document --- */

static const struct json *follow(const struct schema_document *document, const struct json *schema)
{
	struct str reference = json_text(json_member(schema, "$ref"));

	return reference.p ? resolve((void *)&document->extensions, reference) : NULL;
}

/* Whole numbers are numbers. */
static unsigned named_types(const struct json *type)
{
	unsigned bits = schema_type_named(json_text(type));

	if (json_is(type, JSON_ARRAY))
		for
			json_each(name, type) bits |= schema_type_named(json_text(name));
	return bits & SCHEMA_INTEGER ? (bits & ~(unsigned)SCHEMA_INTEGER) | SCHEMA_NUMBER : bits;
}

static const struct json *alternatives(const struct json *schema)
{
	static const char *const names[] = {"oneOf", "anyOf", "allOf"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct json *list = json_get(schema, str_of(names[i]));
		if (list)
			return list;
	}
	return NULL;
}

static unsigned types_of(const struct schema_document *document, const struct json *schema, int depth)
{
	const struct json *target = follow(document, schema), *list = alternatives(schema);
	unsigned bits = named_types(json_member(schema, "type"));

	if (depth > MAX_REFERENCE_DEPTH || json_is(schema, JSON_FALSE))
		return 0;
	if (target)
		return types_of(document, target, depth + 1);
	if (bits || !list)
		return bits ? bits : SCHEMA_ANY;
	for
		json_each(schema_of_list, list) bits |= types_of(document, schema_of_list, depth + 1);
	return bits;
}

/* The schema of a member of an object; NULL when it can have none of that name. */
static const struct json *member_of(
        const struct schema_document *document, const struct json *schema, struct str name, int depth)
{
	static const struct json anything = {.type = JSON_TRUE};
	const struct json *target = follow(document, schema), *list = alternatives(schema), *found = NULL;
	const struct json *others = json_member(schema, "additionalProperties");

	if (depth > MAX_REFERENCE_DEPTH)
		return NULL;
	if (target)
		return member_of(document, target, name, depth + 1);
	if ((found = json_get(json_member(schema, "properties"), name)))
		return found;
	if (!list && types_of(document, schema, depth) & SCHEMA_OBJECT)
		return json_is(others, JSON_FALSE) ? NULL : others ? others : &anything;
	if (list)
		for
			json_each(schema_of_list, list) if (!found) found =
			        member_of(document, schema_of_list, name, depth + 1);
	return found;
}

unsigned schema_document_types(const struct schema_document *document, struct str dotted_path)
{
	const struct json *schema = document->root;
	struct str rest = dotted_path.n ? dotted_path : STR_NONE, name;

	while (schema && str_split(&rest, '.', &name)) {
		if (types_of(document, schema, 0) == SCHEMA_NULL)
			return SCHEMA_NULL;
		schema = member_of(document, schema, name, 0);
	}
	return schema ? types_of(document, schema, 0) : 0;
}
