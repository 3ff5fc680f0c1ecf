#include "common/schema_private.h"

#include "common/arena.h"
#include "common/buf.h"

#include <stdlib.h>

/* References that lead to a reference: more than any real document has. */
#define MAX_REFERENCE_CHAIN 16
#define MAX_PATTERN_BYTES 1000
/* Alternatives that a message lists. */
#define CHOICES_BYTES 200

/* Schemas that are compiled already or right now, by their place in the document. */
struct memo {
	struct memo *next;
	const struct json *document;
	struct schema *schema;
	bool open;      /* being compiled */
	unsigned level; /* how deep in the value it began */
};

#define MEMO_BUCKETS 64

struct compiler {
	struct arena *arena;
	const struct json *root;
	schema_resolve_fn *resolve;
	void *context;
	struct err *err;
	const struct schema_place *place;
	struct memo *memos[MEMO_BUCKETS];
	unsigned level;
	unsigned n_references; /* of the chain that is being followed */
	pcre2_compile_context *pcre2;
};

typedef bool keyword_fn(struct compiler *compiler, struct schema *schema, const struct json *value);

static const struct schema *compile_node(struct compiler *compiler, const struct json *document);

static const struct type_row {
	const char *name, *text;
	uint8_t bits;
} type_rows[] = {
        {"string", "a string", SCHEMA_STRING},
        {"number", "a number", SCHEMA_NUMBER},
        {"integer", "an integer", SCHEMA_INTEGER},
        {"boolean", "a boolean", SCHEMA_BOOLEAN},
        {"array", "an array", SCHEMA_ARRAY},
        {"object", "an object", SCHEMA_OBJECT},
        {"null", "null", SCHEMA_NULL},
};

uint8_t schema_type_named(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(type_rows); i++) {
		if (str_is(name, type_rows[i].name))
			return type_rows[i].bits;
	}
	return 0;
}

struct str schema_types_text(uint8_t types, char out[96])
{
	size_t n = 0;
	uint8_t left = types;

	for (size_t i = 0; i < ARRAY_LEN(type_rows); i++) {
		const char *separator = left == types ? "" : left == type_rows[i].bits ? " or " : ", ";
		struct str parts[] = {str_of(separator), str_of(type_rows[i].text)};

		if (!(types & type_rows[i].bits))
			continue;
		for (size_t j = 0; j < ARRAY_LEN(parts); j++) {
			memcpy(out + n, parts[j].p, parts[j].n);
			n += parts[j].n;
		}
		left &= (uint8_t)~type_rows[i].bits;
	}
	return (struct str){out, n};
}

static uint32_t property_hash(struct str name)
{
	uint32_t hash = (uint32_t)name.n;

	if (name.n)
		hash += (uint32_t)(unsigned char)name.p[0] << 8 | (uint32_t)(unsigned char)name.p[name.n - 1] << 16 |
		        (uint32_t)(unsigned char)name.p[name.n / 2] << 24;
	hash *= UINT32_C(0x9e3779b1);
	return hash ^ hash >> 15;
}

static struct schema_property *property_slot(const struct schema *schema, struct str name)
{
	uint32_t i = property_hash(name) & (schema->n_slots - 1);

	while (schema->properties[i].name.p && !str_eq(schema->properties[i].name, name))
		i = (i + 1) & (schema->n_slots - 1);
	return &schema->properties[i];
}

const struct schema_property *schema_property_find(const struct schema *schema, struct str name)
{
	const struct schema_property *slot = schema->properties ? property_slot(schema, name) : NULL;

	return slot && slot->name.p ? slot : NULL;
}

static bool fail(struct compiler *compiler, const char *what, struct str name)
{
	struct buf pointer;

	err_set(compiler->err, ERR_INVALID, "the schema is not valid: %s%s%.*s", what, name.p ? " " : "",
	        STR_ARG(str_utf8_cut(name, 100)));
	if (compiler->err) {
		buf_init(&pointer, compiler->arena, 256);
		schema_place_write(&pointer, compiler->place);
		err_set_pointer(compiler->err, buf_str(&pointer));
	}
	return false;
}

/* Compiles the schema at one step further into the document. */
static const struct schema *compile_at(
        struct compiler *compiler, struct str name, size_t index, const struct json *document)
{
	struct schema_place place = {.outer = compiler->place, .name = name, .index = index};
	const struct schema *schema;

	compiler->place = &place;
	schema = compile_node(compiler, document);
	compiler->place = place.outer;
	return schema;
}

/* The same for schemas that stand for a part of the value, so that a loop through them comes to an end. */
static const struct schema *compile_part(
        struct compiler *compiler, struct str name, size_t index, const struct json *document)
{
	unsigned n_references = compiler->n_references;
	const struct schema *schema;

	compiler->level++;
	compiler->n_references = 0;
	schema = compile_at(compiler, name, index, document);
	compiler->n_references = n_references;
	compiler->level--;
	return schema;
}

static bool add_type(struct compiler *compiler, struct schema *schema, const struct json *name)
{
	uint8_t bits = schema_type_named(json_text(name));

	if (!bits)
		return fail(compiler, "unknown type", json_text(name));
	schema->types |= bits;
	return true;
}

static bool compile_type(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	schema->types = 0;
	if (value->type != JSON_ARRAY)
		return add_type(compiler, schema, value);
	for
		json_each(name, value)
		{
			if (!add_type(compiler, schema, name))
				return false;
		}
	return schema->types || fail(compiler, "empty list of types", STR_NONE);
}

static bool read_size(struct compiler *compiler, const struct json *value, size_t *ret_size)
{
	int64_t size;

	if (!json_to_i64(value, &size) || size < 0)
		return fail(compiler, "not a count:", value->key);
	*ret_size = (size_t)size;
	return true;
}

#define SIZE_KEYWORD(field)                                                                                            \
	static bool compile_##field(struct compiler *compiler, struct schema *schema, const struct json *value)        \
	{                                                                                                              \
		return read_size(compiler, value, &schema->field);                                                     \
	}

SIZE_KEYWORD(min_items)
SIZE_KEYWORD(max_items)
SIZE_KEYWORD(min_length)
SIZE_KEYWORD(max_length)
SIZE_KEYWORD(max_total_length)
SIZE_KEYWORD(max_joined_length)

static bool add_lower_bound(struct compiler *compiler, struct schema *schema, const struct json *value, bool excluded)
{
	struct decimal bound;
	int order;

	if (!json_is(value, JSON_NUMBER))
		return fail(compiler, "not a number:", value->key);
	bound = decimal_read(value->text);
	order = schema->has_minimum ? decimal_compare(&bound, &schema->minimum) : 1;
	if (order < 0 || (order == 0 && !excluded))
		return true;
	schema->has_minimum = true;
	schema->minimum = bound;
	schema->minimum_text = value->text;
	schema->minimum_excluded = excluded;
	return true;
}

static bool add_upper_bound(struct compiler *compiler, struct schema *schema, const struct json *value, bool excluded)
{
	struct decimal bound;
	int order;

	if (!json_is(value, JSON_NUMBER))
		return fail(compiler, "not a number:", value->key);
	bound = decimal_read(value->text);
	order = schema->has_maximum ? decimal_compare(&bound, &schema->maximum) : -1;
	if (order > 0 || (order == 0 && !excluded))
		return true;
	schema->has_maximum = true;
	schema->maximum = bound;
	schema->maximum_text = value->text;
	schema->maximum_excluded = excluded;
	return true;
}

static bool compile_minimum(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	return add_lower_bound(compiler, schema, value, false);
}

static bool compile_exclusive_minimum(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	return add_lower_bound(compiler, schema, value, true);
}

static bool compile_maximum(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	return add_upper_bound(compiler, schema, value, false);
}

static bool compile_exclusive_maximum(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	return add_upper_bound(compiler, schema, value, true);
}

static bool compile_format(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	schema->format = schema_format_find(json_text(value));
	return schema->format || fail(compiler, "unknown format", json_text(value));
}

static void *pcre2_alloc(size_t n_bytes, void *arena)
{
	return arena_alloc(arena, n_bytes);
}

static void pcre2_release(void *p, void *arena)
{
	/* The arena's reset does it. */
	(void)p;
	(void)arena;
}

static bool compile_pattern(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	struct str text = json_text(value);
	size_t offset;
	int error;

	if (!text.p || text.n > MAX_PATTERN_BYTES)
		return fail(compiler, "pattern that is no string or too long", STR_NONE);
	if (!compiler->pcre2)
		compiler->pcre2 = pcre2_compile_context_create(
		        pcre2_general_context_create(pcre2_alloc, pcre2_release, compiler->arena));
	/* As ECMA-262 reads patterns: $ is the very end, \u and \x are its escapes. */
	schema->pattern = pcre2_compile((PCRE2_SPTR)text.p, text.n, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX,
	        &error, &offset, compiler->pcre2);
	return schema->pattern || fail(compiler, "pattern that cannot be compiled:", text);
}

static int compare_strings(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* The choices as a message lists them: the first ones, in the order of the document. */
static struct str choices_text(struct arena *arena, const struct json *first, size_t n)
{
	struct buf buf;

	buf_init(&buf, arena, CHOICES_BYTES);
	for (size_t i = 0; i < n; i++, first = first->next) {
		if (buf.n > CHOICES_BYTES - 50) {
			buf_printf(&buf, " and %zu more", n - i);
			break;
		}
		if (i)
			buf_add_literal(&buf, ", ");
		if (first->type == JSON_STRING)
			buf_add_str(&buf, str_utf8_cut(first->text, CHOICES_BYTES));
		else
			json_write(&buf, first);
	}
	return buf_str(&buf);
}

static void set_enumeration(struct compiler *compiler, struct schema *schema, const struct json *first, size_t n)
{
	const struct json *value = first;

	schema->has_enumeration = true;
	schema->strings = arena_alloc(compiler->arena, n * sizeof(*schema->strings));
	schema->others = arena_alloc(compiler->arena, n * sizeof(*schema->others));
	for (size_t i = 0; i < n; i++, value = value->next) {
		if (value->type == JSON_STRING)
			schema->strings[schema->n_strings++] = value->text;
		else
			schema->others[schema->n_others++] = value;
	}
	qsort(schema->strings, schema->n_strings, sizeof(*schema->strings), compare_strings);
	schema->choices = choices_text(compiler->arena, first, n);
}

static bool compile_enum(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	if (!json_is(value, JSON_ARRAY) || !value->count || schema->has_enumeration)
		return fail(compiler, "enum that is no list, is empty or stands beside const", STR_NONE);
	set_enumeration(compiler, schema, value->first, value->count);
	return true;
}

static bool compile_const(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	if (schema->has_enumeration)
		return fail(compiler, "const beside enum", STR_NONE);
	set_enumeration(compiler, schema, value, 1);
	return true;
}

static bool compile_items(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	if (json_is(value, JSON_ARRAY))
		return fail(compiler, "items as a list is not supported", STR_NONE);
	schema->items = compile_part(compiler, STR("items"), 0, value);
	return schema->items;
}

static bool compile_additional_properties(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	if (value->type == JSON_FALSE || value->type == JSON_TRUE) {
		schema->closed = value->type == JSON_FALSE;
		return true;
	}
	schema->additional = compile_part(compiler, STR("additionalProperties"), 0, value);
	return schema->additional;
}

static bool compile_list(struct compiler *compiler, struct schema_list *list, const struct json *value)
{
	struct schema_place place = {.outer = compiler->place, .name = value->key};
	bool ok = true;

	if (!json_is(value, JSON_ARRAY) || !value->count)
		return fail(compiler, "not a list of schemas:", value->key);
	list->items = arena_alloc(compiler->arena, value->count * sizeof(const struct schema *));
	compiler->place = &place;
	for
		json_each(item, value)
		{
			list->items[list->n] = compile_at(compiler, STR_NONE, list->n, item);
			ok = list->items[list->n++];
			if (!ok)
				break;
		}
	compiler->place = place.outer;
	return ok;
}

#define LIST_KEYWORD(field)                                                                                            \
	static bool compile_##field(struct compiler *compiler, struct schema *schema, const struct json *value)        \
	{                                                                                                              \
		return compile_list(compiler, &schema->field, value);                                                  \
	}

LIST_KEYWORD(all_of)
LIST_KEYWORD(any_of)
LIST_KEYWORD(one_of)

static bool require(struct compiler *compiler, struct schema *schema, const struct json *name, size_t n)
{
	struct schema_property *slot;

	if (!json_is(name, JSON_STRING))
		return fail(compiler, "required that is no list of names", STR_NONE);
	if (n == SCHEMA_MAX_REQUIRED)
		return fail(compiler, "too many required properties", STR_NONE);
	slot = property_slot(schema, name->text);
	slot->name = name->text;
	if (!slot->required)
		slot->required = UINT64_C(1) << n;
	schema->required |= slot->required;
	return true;
}

static bool compile_property(struct compiler *compiler, struct schema *schema, const struct json *property)
{
	struct schema_place place = {.outer = compiler->place, .name = STR("properties")};
	struct schema_property *slot = property_slot(schema, property->key);

	compiler->place = &place;
	slot->name = property->key;
	slot->schema = compile_part(compiler, property->key, 0, property);
	compiler->place = place.outer;
	return slot->schema;
}

/* properties and required share one table, whatever order they stand in. */
static bool compile_members(struct compiler *compiler, struct schema *schema, const struct json *document)
{
	const struct json *properties = json_member(document, "properties");
	const struct json *required = json_member(document, "required");
	size_t n = (properties ? properties->count : 0) + (required ? required->count : 0);
	size_t n_required = 0;

	if (properties && properties->type != JSON_OBJECT)
		return fail(compiler, "properties that are no object", STR_NONE);
	if (required && required->type != JSON_ARRAY)
		return fail(compiler, "required that is no list of names", STR_NONE);
	if (!n)
		return true;
	for (schema->n_slots = 4; schema->n_slots < 2 * n;)
		schema->n_slots *= 2;
	schema->properties = arena_zalloc(compiler->arena, schema->n_slots * sizeof(*schema->properties));
	if (properties) {
		for
			json_each(property, properties)
			{
				if (!compile_property(compiler, schema, property))
					return false;
			}
	}
	if (required) {
		for
			json_each(name, required)
			{
				if (!require(compiler, schema, name, n_required++))
					return false;
			}
	}
	return true;
}

/* Without a function: an annotation, or compiled together with another. */
static const struct keyword {
	const char *name;
	keyword_fn *compile;
} keywords[] = {
        {"type", compile_type},
        {"title", NULL},
        {"properties", NULL},
        {"required", NULL},
        {"additionalProperties", compile_additional_properties},
        {"maxLength", compile_max_length},
        {"minLength", compile_min_length},
        {"format", compile_format},
        {"pattern", compile_pattern},
        {"enum", compile_enum},
        {"const", compile_const},
        {"items", compile_items},
        {"minItems", compile_min_items},
        {"maxItems", compile_max_items},
        {"minimum", compile_minimum},
        {"maximum", compile_maximum},
        {"exclusiveMinimum", compile_exclusive_minimum},
        {"exclusiveMaximum", compile_exclusive_maximum},
        {"allOf", compile_all_of},
        {"anyOf", compile_any_of},
        {"oneOf", compile_one_of},
        {"x-maxTotalLength", compile_max_total_length},
        {"x-maxJoinedLength", compile_max_joined_length},
        {"description", NULL},
        {"default", NULL},
        {"examples", NULL},
        {"readOnly", NULL},
        {"writeOnly", NULL},
        {"definitions", NULL},
        {"contactlabProperties", NULL},
        {"$schema", NULL},
        {"$id", NULL},
        {"$comment", NULL},
};

static bool compile_keyword(struct compiler *compiler, struct schema *schema, const struct json *value)
{
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		if (str_is(value->key, keywords[i].name))
			return !keywords[i].compile || keywords[i].compile(compiler, schema, value);
	}
	if (str_starts(value->key, STR("x-")))
		return true;
	return fail(compiler, "unknown keyword", value->key);
}

/* Undoes %XX (the reference is a URI), in place, then what a JSON pointer escapes. */
static struct str decode_token(struct arena *arena, char *p, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		bool percent = p[i] == '%' && i + 2 < n && str_hex_digit(p[i + 1]) >= 0 && str_hex_digit(p[i + 2]) >= 0;

		p[out++] = percent ? (char)(str_hex_digit(p[i + 1]) << 4 | str_hex_digit(p[i + 2])) : p[i];
		i += percent ? 2 : 0;
	}
	return json_pointer_token(arena, (struct str){p, out});
}

static const struct json *child_at(const struct json *parent, struct str token)
{
	const struct json *item = parent->first;
	uint64_t index;

	if (parent->type == JSON_OBJECT)
		return json_get(parent, token);
	if (parent->type != JSON_ARRAY || !str_to_u64(token, parent->count, &index))
		return NULL;
	while (item && index--)
		item = item->next;
	return item;
}

static const struct json *follow_pointer(struct arena *arena, const struct json *document, struct str pointer)
{
	struct str token;

	str_split(&pointer, '/', &token);
	if (token.n)
		return NULL;
	while (document && str_split(&pointer, '/', &token)) {
		struct str copy = arena_str(arena, token);

		document = child_at(document, decode_token(arena, (char *)copy.p, copy.n));
	}
	return document;
}

/* "#/..." is within the document that is compiled; every other reference is the caller's. */
static const struct schema *compile_reference(struct compiler *compiler, struct str reference)
{
	const struct json *target = NULL;
	const struct schema *schema;

	if (++compiler->n_references > MAX_REFERENCE_CHAIN) {
		fail(compiler, "reference that leads to itself:", reference);
		return NULL;
	}
	if (reference.n && reference.p[0] == '#')
		target =
		        follow_pointer(compiler->arena, compiler->root, (struct str){reference.p + 1, reference.n - 1});
	else if (reference.p && compiler->resolve)
		target = compiler->resolve(compiler->context, reference);
	if (!target) {
		fail(compiler, "reference that leads nowhere:", reference);
		return NULL;
	}
	schema = compile_node(compiler, target);
	compiler->n_references--;
	return schema;
}

static struct memo **memo_bucket(struct compiler *compiler, const struct json *document)
{
	return &compiler->memos[(uintptr_t)document / sizeof(*document) % MEMO_BUCKETS];
}

static struct memo *memo_find(struct compiler *compiler, const struct json *document)
{
	struct memo *memo = *memo_bucket(compiler, document);

	while (memo && memo->document != document)
		memo = memo->next;
	return memo;
}

static struct memo *memo_add(struct compiler *compiler, const struct json *document)
{
	struct memo **bucket = memo_bucket(compiler, document);
	struct memo *memo = arena_alloc(compiler->arena, sizeof(*memo));
	struct schema *schema = arena_zalloc(compiler->arena, sizeof(*schema));

	schema->types = SCHEMA_ANY;
	schema->max_items = schema->max_length = SIZE_MAX;
	schema->max_total_length = schema->max_joined_length = SIZE_MAX;
	*memo = (struct memo){
	        .next = *bucket, .document = document, .schema = schema, .open = true, .level = compiler->level};
	*bucket = memo;
	return memo;
}

static bool compile_object(struct compiler *compiler, struct schema *schema, const struct json *document)
{
	for
		json_each(value, document)
		{
			if (!compile_keyword(compiler, schema, value))
				return false;
		}
	return compile_members(compiler, schema, document);
}

static const struct schema *compile_node(struct compiler *compiler, const struct json *document)
{
	struct memo *memo = memo_find(compiler, document);
	const struct json *reference = json_member(document, "$ref");
	bool ok = true;

	/* Draft 7: whatever stands beside a reference is ignored. */
	if (json_is(reference, JSON_STRING))
		return compile_reference(compiler, reference->text);
	if (memo && memo->open && memo->level == compiler->level)
		ok = fail(compiler, "schema that contains itself", STR_NONE);
	if (memo)
		return ok ? memo->schema : NULL;
	memo = memo_add(compiler, document);
	if (document->type == JSON_OBJECT)
		ok = compile_object(compiler, memo->schema, document);
	else if (document->type == JSON_FALSE)
		memo->schema->never = true;
	else if (document->type != JSON_TRUE)
		ok = fail(compiler, "a schema must be an object or a boolean", STR_NONE);
	memo->open = false;
	return ok ? memo->schema : NULL;
}

struct schema *schema_compile(
        struct arena *arena, const struct json *document, schema_resolve_fn *resolve, void *context, struct err *err)
{
	struct compiler compiler = {
	        .arena = arena, .root = document, .resolve = resolve, .context = context, .err = err};

	/* Made by this compiler in its own arena: the caller may have it without const. */
	return (struct schema *)compile_node(&compiler, document);
}
