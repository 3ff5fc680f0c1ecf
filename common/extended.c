#include "common/extended.h"

#include "common/buf.h"
#include "common/json.h"
#include "common/schema.h"

#define NAME_MAX_BYTES 255

#define TYPES_SCALAR (SCHEMA_STRING | SCHEMA_NUMBER | SCHEMA_INTEGER | SCHEMA_BOOLEAN)
#define TYPES_MATH (SCHEMA_NUMBER | SCHEMA_INTEGER)
#define TYPES_ALL (TYPES_SCALAR | SCHEMA_OBJECT | SCHEMA_ARRAY)

static const struct {
	const char *name;
	unsigned types;
	const char *description;
} merge_policies[] = {
        {"OBJ_PRIORITY", TYPES_ALL, "The value of the customer whose node comes first among the entry nodes"},
        {"OBJ_CONCATENATE", SCHEMA_STRING, "The texts one after the other, with a blank between them"},
        {"ARRAY_UNION", SCHEMA_ARRAY, "What is in any of the lists"},
        {"ARRAY_INTERSECTION", SCHEMA_ARRAY, "What is in all of the lists"},
        {"MATH_SUM", TYPES_MATH, "The sum"},
        {"MATH_AVG", TYPES_MATH, "The average"},
        {"MATH_DIFF", TYPES_MATH, "The first value less the others"},
        {"MATH_MIN", TYPES_MATH, "The least value"},
        {"MATH_MAX", TYPES_MATH, "The greatest value"},
};

static const char *const formats[] = {"date", "date-time", "email", "hostname", "uri", "ipv4", "ipv6"};

/* Members of a definition: what they must be if they are not null, and what the value is told then. 0 and NULL: looked
   at elsewhere, or only kept. */
static const struct {
	const char *name;
	unsigned types; /* bits of enum json_type */
	const char *fault;
} definition_keys[] = {
        {.name = "type"},
        {.name = "format"},
        {.name = "items"},
        {.name = "properties"},
        {.name = "contactlabProperties"},
        {.name = "default"},
        {.name = "additionalProperties",
                .types = 1 << JSON_TRUE | 1 << JSON_FALSE,
                .fault = "the value must be true or false"},
        {.name = "title", .types = 1 << JSON_STRING, .fault = "the value must be a string"},
        {.name = "description", .types = 1 << JSON_STRING, .fault = "the value must be a string"},
        {.name = "$id", .types = 1 << JSON_STRING, .fault = "the value must be a string"},
        {.name = "examples", .types = 1 << JSON_ARRAY, .fault = "the value must be a list"},
};

/* One walk through a map. `pointer` is the present place. */
struct check {
	struct arena *arena;
	struct problems *problems;
	struct buf pointer;
};

static bool is_one_of(struct str word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(word, words[i]))
			return true;
	return false;
}

struct str extended_type(const struct json *definition)
{
	const struct json *type = json_member(definition, "type");

	if (!json_is(type, JSON_ARRAY))
		return json_text(type);
	for
		json_each(item, type) if (!str_is(json_text(item), "null")) return json_text(item);
	return STR_NONE;
}

static bool is_nullable(const struct json *definition)
{
	const struct json *type = json_member(definition, "type");

	if (!json_is(type, JSON_ARRAY))
		return false;
	for
		json_each(item, type) if (str_is(json_text(item), "null")) return true;
	return false;
}

/* --- checking ---------------------------------------------------------------------------------------------------- */

static struct str place(struct check *check)
{
	return buf_str(&check->pointer);
}

static size_t enter(struct check *check, struct str step)
{
	size_t before = check->pointer.n;

	json_pointer_add(&check->pointer, step);
	return before;
}

static void leave(struct check *check, size_t before)
{
	check->pointer.n = before;
}

static bool name_char_is_allowed(unsigned char c)
{
	return c >= 0x80 || c == '_' || c == '-' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z');
}

static void check_name(struct check *check, struct str name)
{
	bool good = name.n > 0 && name.n <= NAME_MAX_BYTES;

	for (size_t i = 0; good && i < name.n; i++)
		good = name_char_is_allowed((unsigned char)name.p[i]);
	if (!good)
		problems_add(check->problems, place(check),
		        "the name of a property has 1 to %d letters, digits, _ or -: no dots, blanks or other "
		        "characters",
		        NAME_MAX_BYTES);
}

/* "string" or ["string", "null"]; 0 when wrong. */
static unsigned check_type(struct check *check, const struct json *definition, unsigned allowed)
{
	const struct json *type = json_member(definition, "type");
	unsigned bit = schema_type_named(extended_type(definition)) & TYPES_ALL;
	bool well_formed =
	        json_is(type, JSON_STRING) ||
	        (json_is(type, JSON_ARRAY) && (type->count == 1 || (type->count == 2 && is_nullable(definition))));
	size_t before = enter(check, STR("type"));

	if (!bit || !well_formed)
		problems_add(check->problems, place(check),
		        "the type must be string, number, integer, boolean, object or array, alone or with null");
	else if (!(bit & allowed))
		problems_add(check->problems, place(check),
		        "the type %.*s is not possible here: objects have one level only",
		        STR_ARG(extended_type(definition)));
	leave(check, before);
	return well_formed ? bit & allowed : 0;
}

static void check_format(struct check *check, const struct json *definition, unsigned type)
{
	const struct json *format = json_member(definition, "format");

	if (json_is_null(format))
		return;
	size_t before = enter(check, STR("format"));
	if (type != SCHEMA_STRING || !is_one_of(json_text(format), formats, ARRAY_LEN(formats)))
		problems_add(check->problems, place(check),
		        "the format of a string must be date, date-time, email, hostname, uri, ipv4 or ipv6");
	leave(check, before);
}

static void check_merge_policy(struct check *check, const struct json *policy, unsigned type)
{
	struct str name = json_text(policy);

	if (json_is_null(policy))
		return;
	for (size_t i = 0; i < ARRAY_LEN(merge_policies); i++) {
		if (!str_is(name, merge_policies[i].name))
			continue;
		if (type && !(merge_policies[i].types & type))
			problems_add(check->problems, place(check), "the merge policy %.*s does not fit the type",
			        STR_ARG(name));
		return;
	}
	problems_add(check->problems, place(check), "the merge policy is not known");
}

static void check_fact(struct check *check, const struct json *fact, unsigned type)
{
	size_t before = enter(check, fact->key);
	int64_t length;

	if (str_is(fact->key, "label")) {
		if (!json_is_null(fact) && !json_is(fact, JSON_STRING))
			problems_add(check->problems, place(check), "the label must be a string");
	} else if (str_is(fact->key, "mergePolicy")) {
		check_merge_policy(check, fact, type);
	} else if (str_is(fact->key, "maxLength")) {
		if (!json_is_null(fact) && (!json_to_i64(fact, &length) || length < 1 || length > EXTENDED_MAX_LENGTH))
			problems_add(check->problems, place(check), "maxLength must be a whole number from 1 to %d",
			        EXTENDED_MAX_LENGTH);
	} else if (str_is(fact->key, "enabled") || str_is(fact->key, "indexed") || str_is(fact->key, "flowEnabled")) {
		if (!json_is(fact, JSON_TRUE) && !json_is(fact, JSON_FALSE))
			problems_add(check->problems, place(check), "the value must be true or false");
	} else {
		problems_add(check->problems, place(check), "unknown property");
	}
	leave(check, before);
}

static void check_facts(struct check *check, const struct json *definition, unsigned type)
{
	const struct json *facts = json_member(definition, "contactlabProperties");
	size_t before = enter(check, STR("contactlabProperties"));

	if (facts && !json_is(facts, JSON_OBJECT))
		problems_add(check->problems, place(check), "the value must be an object");
	else if (facts)
		for
			json_each(fact, facts) check_fact(check, fact, type);
	leave(check, before);
}

static void check_map(struct check *check, const struct json *map, unsigned allowed);

static void check_members(struct check *check, const struct json *definition)
{
	const struct json *members = json_member(definition, "properties");
	size_t before = enter(check, STR("properties"));

	if (!json_is(members, JSON_OBJECT))
		problems_add(
		        check->problems, place(check), "an object needs properties: a map of names to definitions");
	else
		check_map(check, members, TYPES_SCALAR | SCHEMA_ARRAY);
	leave(check, before);
}

static void check_definition(struct check *check, const struct json *definition, unsigned allowed);

/* Objects in lists only at the first level. */
static void check_items(struct check *check, const struct json *definition, unsigned allowed)
{
	const struct json *items = json_member(definition, "items");
	size_t before = enter(check, STR("items"));

	if (!json_is(items, JSON_OBJECT))
		problems_add(check->problems, place(check), "a list needs items: the definition of its elements");
	else
		check_definition(check, items, TYPES_SCALAR | (allowed & SCHEMA_OBJECT));
	leave(check, before);
}

/* What is wrong with a member, or NULL. */
static const char *key_fault(const struct json *member, unsigned type)
{
	if (str_is(member->key, "items") && type && type != SCHEMA_ARRAY && !json_is_null(member))
		return "only a list has items";
	if (str_is(member->key, "properties") && type && type != SCHEMA_OBJECT && !json_is_null(member))
		return "only an object has properties";
	for (size_t i = 0; i < ARRAY_LEN(definition_keys); i++)
		if (str_is(member->key, definition_keys[i].name))
			return definition_keys[i].types && !json_is_null(member) &&
			                       !(definition_keys[i].types & 1u << member->type)
			               ? definition_keys[i].fault
			               : NULL;
	return "unknown property";
}

static void check_keys(struct check *check, const struct json *definition, unsigned type)
{
	for
		json_each(member, definition)
		{
			const char *fault = key_fault(member, type);
			size_t before = enter(check, member->key);
			if (fault)
				problems_add(check->problems, place(check), "%s", fault);
			leave(check, before);
		}
}

static void check_definition(struct check *check, const struct json *definition, unsigned allowed)
{
	if (!json_is(definition, JSON_OBJECT)) {
		problems_add(check->problems, place(check), "the definition of a property must be an object");
		return;
	}
	unsigned type = check_type(check, definition, allowed);
	check_keys(check, definition, type);
	check_format(check, definition, type);
	check_facts(check, definition, type);
	if (type == SCHEMA_OBJECT)
		check_members(check, definition);
	if (type == SCHEMA_ARRAY)
		check_items(check, definition, allowed);
}

static void check_map(struct check *check, const struct json *map, unsigned allowed)
{
	for
		json_each(definition, map)
		{
			size_t before = enter(check, definition->key);
			check_name(check, definition->key);
			check_definition(check, definition, allowed);
			leave(check, before);
		}
}

/* --- against what was declared before ------------------------------------------------------------------------------
 */

static void compare_maps(struct check *check, const struct json *sent, const struct json *present);

static void compare(struct check *check, const struct json *sent, const struct json *present)
{
	size_t before;

	if (!str_eq(extended_type(sent), extended_type(present)) ||
	        !str_eq(json_text(json_member(sent, "format")), json_text(json_member(present, "format")))) {
		problems_add(check->problems, place(check), "the type of a property cannot be changed");
		return;
	}
	if (json_member(present, "properties")) {
		before = enter(check, STR("properties"));
		compare_maps(check, json_member(sent, "properties"), json_member(present, "properties"));
		leave(check, before);
	}
	if (json_member(present, "items")) {
		before = enter(check, STR("items"));
		compare(check, json_member(sent, "items"), json_member(present, "items"));
		leave(check, before);
	}
}

static void compare_maps(struct check *check, const struct json *sent, const struct json *present)
{
	struct json_index index = json_index_new(check->arena, sent);

	for
		json_each(definition, present)
		{
			const struct json *counterpart = json_index_get(&index, definition->key);
			size_t before = enter(check, definition->key);
			if (counterpart)
				compare(check, counterpart, definition);
			else
				problems_add(
				        check->problems, place(check), "a property cannot be removed, only disabled");
			leave(check, before);
		}
}

static bool is_indexed(const struct json *definition)
{
	return json_is_true(json_member(json_member(definition, "contactlabProperties"), "indexed"));
}

static void check_indexed(struct check *check, const struct json *map)
{
	int n = 0;

	for
		json_each(definition, map) n += is_indexed(definition);
	if (n > EXTENDED_MAX_INDEXED)
		problems_add(check->problems, STR(""), "at most %d properties can be indexed", EXTENDED_MAX_INDEXED);
}

/* Properties, and the members of those that are objects or lists of them. */
static size_t count_properties(const struct json *map)
{
	size_t n = 0;

	if (!map)
		return 0;
	for
		json_each(definition, map) n += 1 + count_properties(json_member(definition, "properties")) +
		                                count_properties(json_path(definition, STR("items.properties")));
	return n;
}

static size_t count_values(const struct json *value)
{
	size_t n = 1;

	for
		json_each(child, value) n += count_values(child);
	return n;
}

/* Nothing declared is ever removed: a map that has more already may be changed, but have no more. */
static void check_count(struct check *check, const struct json *sent, const struct json *present)
{
	size_t n = count_properties(sent), n_values = count_values(sent);

	if (n > EXTENDED_MAX_PROPERTIES && n > count_properties(present))
		problems_add(check->problems, STR(""),
		        "there can be at most %d properties, members of objects included", EXTENDED_MAX_PROPERTIES);
	if (n_values > EXTENDED_MAX_VALUES && n_values > count_values(present))
		problems_add(check->problems, STR(""),
		        "there can be at most %d values in all definitions together, examples included",
		        EXTENDED_MAX_VALUES);
}

bool extended_index_differs(struct arena *arena, const struct json *sent, const struct json *present)
{
	struct json_index index = json_index_new(arena, present);

	for
		json_each(definition, sent) if (is_indexed(definition) !=
		                                is_indexed(json_index_get(&index, definition->key))) return true;
	return false;
}

/* --- defaults -------------------------------------------------------------------------------------------------------
 */

static int64_t default_length(const struct json *definition)
{
	struct str type = extended_type(definition);

	if (str_is(type, "string"))
		return EXTENDED_STRING_LENGTH;
	if (str_is(type, "array") && str_is(extended_type(json_member(definition, "items")), "string"))
		return EXTENDED_LIST_LENGTH;
	return 0;
}

static struct json *with_defaults(struct arena *arena, const struct json *map)
{
	struct json *copy = json_copy(arena, map, false);

	for
		json_each(definition, copy)
		{
			int64_t length = default_length(definition);
			struct json *facts = json_member(definition, "contactlabProperties");
			struct json *members = json_member(definition, "properties");
			if (length && !facts)
				facts = json_set(definition, STR("contactlabProperties"), json_new(arena, JSON_OBJECT));
			if (length && json_is_null(json_member(facts, "maxLength")))
				json_set(facts, STR("maxLength"), json_new_i64(arena, length));
			if (members)
				json_set(definition, STR("properties"), with_defaults(arena, members));
		}
	return copy;
}

struct json *extended_check(
        struct arena *arena, const struct json *sent, const struct json *present, struct problems *problems)
{
	struct check check = {.arena = arena, .problems = problems};

	buf_init(&check.pointer, arena, 128);
	check_map(&check, sent, TYPES_ALL);
	if (problems->n)
		return NULL;
	present = present ? present : json_new(arena, JSON_OBJECT);
	compare_maps(&check, sent, present);
	check_count(&check, sent, present);
	check_indexed(&check, sent);
	return problems->n ? NULL : with_defaults(arena, sent);
}

/* --- schemas --------------------------------------------------------------------------------------------------------
 */

static struct json *value_schema(struct arena *arena, const struct json *definition, bool null_removes);
static struct json *whole_value_schema(
        struct arena *arena, const struct json *definition, bool nullable, bool null_removes);

static void add_type(struct arena *arena, struct json *schema, struct str type, bool nullable)
{
	struct json *list = json_add(schema, STR("type"), json_new(arena, JSON_ARRAY));

	json_append(list, json_new_str(arena, type));
	if (nullable)
		json_append(list, json_new_str(arena, STR("null")));
}

static void add_members(struct arena *arena, struct json *schema, const struct json *map, bool null_removes)
{
	struct json *members = json_add(schema, STR("properties"), json_new(arena, JSON_OBJECT));

	for
		json_each(definition, map)
		        json_add(members, definition->key, value_schema(arena, definition, null_removes));
	json_add(schema, STR("additionalProperties"), json_new_bool(arena, false));
}

static int64_t max_length(const struct json *definition)
{
	int64_t length = 0;

	if (!json_to_i64(json_member(json_member(definition, "contactlabProperties"), "maxLength"), &length))
		length = default_length(definition);
	return length;
}

/* The definition without its facts. What it holds is shared: examples may be many. */
static struct json *without_facts(struct arena *arena, const struct json *definition)
{
	struct json *copy = json_new(arena, JSON_OBJECT);

	for
		json_each(member, definition)
		{
			if (!str_is(member->key, "contactlabProperties"))
				json_add(copy, member->key, json_alias(arena, member));
		}
	return copy;
}

static void add_list(struct arena *arena, struct json *schema, const struct json *definition, bool null_removes)
{
	const struct json *items = json_member(definition, "items");

	if (str_is(extended_type(items), "string")) {
		/* the length counts for the list, not for each element */
		items = without_facts(arena, items);
		json_add(schema, STR("x-maxJoinedLength"), json_new_i64(arena, max_length(definition)));
	}
	/* null takes a value away, but no element of a list */
	struct json *element =
	        json_add(schema, STR("items"), whole_value_schema(arena, items, is_nullable(items), null_removes));
	if (str_is(extended_type(items), "string"))
		json_remove(element, STR("maxLength"));
}

/* Some clients send all that they know as null or []: the schema of nothing, as of a disabled base property. */
static struct json *disabled_schema(struct arena *arena, const struct json *definition)
{
	struct json *schema = json_new(arena, JSON_OBJECT), *members;
	struct str type = extended_type(definition);

	if (str_is(type, "array")) {
		add_type(arena, schema, type, true);
		json_add(schema, STR("maxItems"), json_new_i64(arena, 0));
	} else if (str_is(type, "object")) {
		add_type(arena, schema, type, true);
		members = json_add(schema, STR("properties"), json_new(arena, JSON_OBJECT));
		for
			json_each(member, json_member(definition, "properties"))
			        json_add(members, member->key, disabled_schema(arena, member));
		json_add(schema, STR("additionalProperties"), json_new_bool(arena, false));
	} else {
		json_add(schema, STR("type"), json_new_str(arena, STR("null")));
	}
	return schema;
}

static struct json *whole_value_schema(
        struct arena *arena, const struct json *definition, bool nullable, bool null_removes)
{
	struct json *schema = json_new(arena, JSON_OBJECT);
	struct str type = extended_type(definition);
	const struct json *enabled = json_member(json_member(definition, "contactlabProperties"), "enabled");

	if (json_is(enabled, JSON_FALSE))
		return disabled_schema(arena, definition);
	add_type(arena, schema, type, nullable);
	if (str_is(type, "string"))
		json_add(schema, STR("maxLength"), json_new_i64(arena, max_length(definition)));
	if (json_is(json_member(definition, "format"), JSON_STRING))
		json_add(schema, STR("format"), json_new_str(arena, json_text(json_member(definition, "format"))));
	if (str_is(type, "object"))
		add_members(arena, schema, json_member(definition, "properties"), null_removes);
	if (str_is(type, "array"))
		add_list(arena, schema, definition, null_removes);
	return schema;
}

static struct json *value_schema(struct arena *arena, const struct json *definition, bool null_removes)
{
	return whole_value_schema(arena, definition, null_removes || is_nullable(definition), null_removes);
}

struct json *extended_value_schema(struct arena *arena, const struct json *map, bool null_removes)
{
	struct json *schema = json_new(arena, JSON_OBJECT);

	add_type(arena, schema, STR("object"), true);
	add_members(arena, schema, map ? map : json_new(arena, JSON_OBJECT), null_removes);
	return schema;
}

struct json *extended_served_schema(struct arena *arena, const struct json *map)
{
	struct json *schema = json_new(arena, JSON_OBJECT);

	add_type(arena, schema, STR("object"), true);
	json_add(schema, STR("properties"), map ? json_alias(arena, map) : json_new(arena, JSON_OBJECT));
	json_add(schema, STR("additionalProperties"), json_new_bool(arena, false));
	return schema;
}

/* --- merge policies ------------------------------------------------------------------------------------------------
 */

static struct json *names_of_types(struct arena *arena, unsigned bits)
{
	static const char *const types[] = {"string", "number", "integer", "boolean", "object", "array"};
	struct json *names = json_new(arena, JSON_ARRAY);

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (bits & schema_type_named(str_of(types[i])))
			json_append(names, json_new_str(arena, str_of(types[i])));
	return names;
}

struct json *extended_merge_policies(struct arena *arena)
{
	struct json *list = json_new(arena, JSON_ARRAY);

	for (size_t i = 0; i < ARRAY_LEN(merge_policies); i++) {
		struct json *policy = json_new(arena, JSON_OBJECT);

		json_add(policy, STR("id"), json_new_str(arena, str_of(merge_policies[i].name)));
		json_add(policy, STR("description"), json_new_str(arena, str_of(merge_policies[i].description)));
		json_add(policy, STR("supportedTypes"), names_of_types(arena, merge_policies[i].types));
		json_append(list, policy);
	}
	return list;
}
