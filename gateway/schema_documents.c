#include "gateway/schema_documents.h"

#include "common/catalog.h"
#include "common/json.h"

#include <ctype.h>
#include <stdio.h>

/* References within references: the catalog has no circles, and this many levels are more than it has. */
#define MAX_DEPTH 12
#define MAX_NAME_BYTES 64

static struct json *inlined(struct arena *arena, const struct json *value, int depth);

/* What takes the place of a reference; NULL: it stays. What a workspace declares itself is any object here. */
static struct json *replacement(struct arena *arena, struct str target, int depth)
{
	const struct json *found = depth < MAX_DEPTH ? catalog_resolve(target) : NULL;
	struct json *any;

	if (found)
		return inlined(arena, found, depth + 1);
	if (!str_starts(target, STR("extended.json#")))
		return NULL;
	any = json_new(arena, JSON_OBJECT);
	struct json *types = json_set(any, STR("type"), json_new(arena, JSON_ARRAY));
	json_append(types, json_new_str(arena, STR("object")));
	json_append(types, json_new_str(arena, STR("null")));
	return any;
}

/* A copy with every $ref replaced by what it names. */
static struct json *inlined(struct arena *arena, const struct json *value, int depth)
{
	struct str target = json_text(json_member(value, "$ref"));
	struct json *instead = target.p ? replacement(arena, target, depth) : NULL;

	if (instead)
		return instead;
	struct json *copy = json_new(arena, value->type);
	copy->text = value->text;
	for
		json_each(item, value)
		{
			if (value->type == JSON_ARRAY)
				json_append(copy, inlined(arena, item, depth));
			else if (!str_starts(item->key, STR("x-")) && !str_is(item->key, "$id"))
				json_add(copy, item->key, inlined(arena, item, depth));
		}
	return copy;
}

static const struct json *customer_part(struct str dotted)
{
	return json_path(catalog_document(STR("customer.json")), dotted);
}

static struct json *inlined_or_null(struct arena *arena, const struct json *value)
{
	return value && value->type == JSON_OBJECT ? inlined(arena, value, 0) : NULL;
}

static struct json *definition(struct arena *arena, struct str name)
{
	return inlined_or_null(arena, json_get(json_member(catalog_document(STR("common.json")), "definitions"), name));
}

/* --- one function per folder --- */

static struct json *base_property(struct arena *arena, struct str name)
{
	if (str_is(name, "base-properties"))
		return inlined_or_null(arena, customer_part(STR("properties.base")));
	return inlined_or_null(arena, json_get(customer_part(STR("properties.base.properties")), name));
}

static struct json *consents(struct arena *arena, struct str name)
{
	if (str_is(name, "consents"))
		return inlined_or_null(arena, customer_part(STR("properties.consents")));
	return inlined_or_null(arena, json_get(customer_part(STR("properties.consents.properties")), name));
}

/* "contact-center" and "CONTACT_CENTER" are one context. */
static struct json *event_context(struct arena *arena, struct str name)
{
	char file[MAX_NAME_BYTES + 16] = "context.";
	size_t n = strlen(file);

	if (name.n > MAX_NAME_BYTES)
		return NULL;
	for (size_t i = 0; i < name.n; i++)
		file[n++] = (char)(name.p[i] == '-' ? '_' : toupper((unsigned char)name.p[i]));
	memcpy(file + n, ".json", sizeof(".json"));
	return inlined_or_null(arena, catalog_document(str_of(file)));
}

static struct json *event(struct arena *arena, struct str name)
{
	static const struct {
		struct str name, definition;
	} parts[] = {{{"tracking", 8}, {"Tracking", 8}}, {{"user", 4}, {"ContextUser", 11}},
	        {{"client", 6}, {"ContextClient", 13}}};
	static const struct str post = {".post", 5};
	char file[MAX_NAME_BYTES + 16];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (str_eq(name, parts[i].name))
			return definition(arena, parts[i].definition);
	}
	if (name.n > post.n && str_eq((struct str){name.p + name.n - post.n, post.n}, post))
		name.n -= post.n;
	if (name.n > MAX_NAME_BYTES)
		return NULL;
	snprintf(file, sizeof(file), "event.%.*s.json", STR_ARG(name));
	return inlined_or_null(arena, catalog_document(str_of(file)));
}

/* Every shared definition that is a list of values. */
static struct json *enums(struct arena *arena)
{
	struct json *document = json_new(arena, JSON_OBJECT);
	struct json *definitions = json_set(document, STR("definitions"), json_new(arena, JSON_OBJECT));

	for
		json_each(item, json_member(catalog_document(STR("common.json")), "definitions"))
		{
			if (json_member(item, "enum"))
				json_set(definitions, item->key, inlined(arena, item, 0));
		}
	return document;
}

static struct json *top(struct arena *arena, struct str name)
{
	if (str_is(name, "enums"))
		return enums(arena);
	if (str_is(name, "customer"))
		return inlined_or_null(arena, catalog_document(STR("customer.json")));
	return str_is(name, "common") ? inlined_or_null(arena, catalog_document(STR("common.json"))) : NULL;
}

const struct json *schema_document(struct arena *arena, struct str path)
{
	static const struct {
		struct str folder;
		struct json *(*make)(struct arena *arena, struct str name);
	} folders[] = {{{"event/context/", 14}, event_context}, {{"event/", 6}, event},
	        {{"base-property/", 14}, base_property}, {{"consents/", 9}, consents}, {{"", 0}, top}};
	static const struct str end = {".json", 5};

	if (path.n <= end.n || !str_eq((struct str){path.p + path.n - end.n, end.n}, end))
		return NULL;
	path.n -= end.n;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		if (str_starts(path, folders[i].folder))
			return folders[i].make(
			        arena, (struct str){path.p + folders[i].folder.n, path.n - folders[i].folder.n});
	}
	return NULL;
}
