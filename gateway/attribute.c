#include "gateway/attribute.h"

#include "common/catalog.h"
#include "common/json.h"

#include <stdio.h>

struct column {
	const char *path;
	const char *sql;
	enum attribute_type type;
	bool nullable;
};

static const struct column customer_columns[] = {
        {.path = "id", .sql = "c.id", .type = ATTRIBUTE_UUID},
        {.path = "nodeId", .sql = "c.node_id", .type = ATTRIBUTE_UUID},
        {.path = "externalId", .sql = "c.external_id", .type = ATTRIBUTE_TEXT, .nullable = true},
        {.path = "enabled", .sql = "c.enabled", .type = ATTRIBUTE_BOOLEAN},
        {.path = "registeredAt", .sql = "c.registered_us", .type = ATTRIBUTE_TIME_US},
        {.path = "updatedAt", .sql = "c.updated_us", .type = ATTRIBUTE_TIME_US},
        {.path = "version", .sql = "c.version", .type = ATTRIBUTE_NUMBER},
        {.path = "intId", .sql = "c.int_id", .type = ATTRIBUTE_NUMBER},
        {.path = "sourceInfo.registeredBy", .sql = "c.registered_by", .type = ATTRIBUTE_UUID, .nullable = true},
        {.path = "sourceInfo.updatedBy", .sql = "c.updated_by", .type = ATTRIBUTE_UUID, .nullable = true},
        /* Only live customers are in the table. */
        {.path = "deleted", .sql = "(-1)", .type = ATTRIBUTE_NUMBER},
};

static const struct column event_columns[] = {
        {.path = "id", .sql = "e.id", .type = ATTRIBUTE_UUID},
        {.path = "date", .sql = "e.date_us", .type = ATTRIBUTE_TIME_US},
        {.path = "registeredAt", .sql = "e.registered_us", .type = ATTRIBUTE_TIME_US},
        {.path = "updatedAt", .sql = "e.updated_us", .type = ATTRIBUTE_TIME_US},
        {.path = "context", .sql = "e.context", .type = ATTRIBUTE_TEXT},
        {.path = "type", .sql = "e.type", .type = ATTRIBUTE_TEXT},
        {.path = "version", .sql = "e.version", .type = ATTRIBUTE_NUMBER},
};

/* Members of the customer's schema that the column doc holds. */
static const char *const customer_members[] = {"base", "consents", "extended", "extra", "tags"};

static const struct column *column_find(const struct column *columns, size_t n, struct str path)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(path, columns[i].path))
			return &columns[i];
	return NULL;
}

static bool column_attribute(const struct attribute_source *source, struct str path, struct attribute *attribute)
{
	const struct column *column = source->event_type.p
	                                      ? column_find(event_columns, ARRAY_LEN(event_columns), path)
	                                      : column_find(customer_columns, ARRAY_LEN(customer_columns), path);

	if (!column)
		return false;
	attribute->column = column->sql;
	attribute->type = column->type;
	attribute->never_null = !column->nullable;
	return true;
}

static bool split_path(struct str path, struct attribute *attribute)
{
	struct str name;

	while (str_split(&path, '.', &name)) {
		if (!name.n || attribute->n_steps == ATTRIBUTE_MAX_STEPS)
			return false;
		attribute->steps[attribute->n_steps++] = (struct attribute_step){.name = name};
	}
	return attribute->n_steps > 0;
}

/* A place in a schema: a schema, or, where the workspace declares the members, only those. */
struct place {
	const struct json *schema;
	const struct json *members;
};

#define EXTENDED_REFERENCE STR("extended.json#/")
/* References and alternatives that lead from one schema to the next; real schemas have two. */
#define MAX_HOPS 8

static const struct json *extended_members(const struct attribute_source *source, struct str set)
{
	char name[128];
	int n;

	if (!source->extended)
		return NULL;
	if (str_is(set, "event")) {
		n = snprintf(name, sizeof(name), "event:%.*s", STR_ARG(source->event_type));
		if (n < 0 || (size_t)n >= sizeof(name))
			return NULL;
		set = (struct str){name, (size_t)n};
	}
	return source->extended(source->context, set);
}

/* The alternative that is not just null. */
static const struct json *alternative(const struct json *schema)
{
	static const char *const keywords[] = {"oneOf", "anyOf", "allOf"};

	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		const struct json *list = json_get(schema, str_of(keywords[i]));
		if (!json_is(list, JSON_ARRAY))
			continue;
		for
			json_each(item, list) if (!str_is(json_text(json_member(item, "type")), "null")) return item;
	}
	return NULL;
}

/* Follows references and alternatives up to a schema that says what a value is. */
static struct place resolve(const struct attribute_source *source, const struct json *schema)
{
	for (int hop = 0; schema && hop < MAX_HOPS; hop++) {
		struct str reference = json_text(json_member(schema, "$ref"));
		const struct json *next;
		if (reference.p && str_starts(reference, EXTENDED_REFERENCE)) {
			reference.p += EXTENDED_REFERENCE.n;
			reference.n -= EXTENDED_REFERENCE.n;
			return (struct place){.members = extended_members(source, reference)};
		}
		next = reference.p ? catalog_resolve(reference) : alternative(schema);
		if (!next && !reference.p)
			return (struct place){.schema = schema, .members = json_member(schema, "properties")};
		schema = next;
	}
	return (struct place){0};
}

/* The type that is not null. */
static struct str type_name(const struct json *schema)
{
	const struct json *type = json_member(schema, "type");

	if (!json_is(type, JSON_ARRAY))
		return json_text(type);
	for
		json_each(item, type) if (!str_is(json_text(item), "null")) return json_text(item);
	return STR_NONE;
}

/* Goes through the lists that a member is; counts them in the step. */
static struct place enter_lists(
        const struct attribute_source *source, const struct json *schema, struct attribute_step *step)
{
	struct place place = resolve(source, schema);

	while (place.schema && str_is(type_name(place.schema), "array") && step->lists < MAX_HOPS) {
		step->lists++;
		place = resolve(source, json_member(place.schema, "items"));
	}
	return place;
}

static bool place_type(const struct place *place, enum attribute_type *ret_type)
{
	static const struct {
		const char *name, *format;
		enum attribute_type type;
	} types[] = {
	        {.name = "string", .format = "date", .type = ATTRIBUTE_DATE},
	        {.name = "string", .format = "date-time", .type = ATTRIBUTE_DATE_TIME},
	        {.name = "string", .type = ATTRIBUTE_TEXT},
	        {.name = "number", .type = ATTRIBUTE_NUMBER},
	        {.name = "integer", .type = ATTRIBUTE_NUMBER},
	        {.name = "boolean", .type = ATTRIBUTE_BOOLEAN},
	        {.name = "object", .type = ATTRIBUTE_OBJECT},
	};
	struct str name = place->schema ? type_name(place->schema) : STR("object");
	struct str format = json_text(json_member(place->schema, "format"));

	if (!place->schema && !place->members)
		return false;
	if (!name.n)
		name = STR("string"); /* an enumeration */
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_is(name, types[i].name) && (!types[i].format || str_is(format, types[i].format))) {
			*ret_type = types[i].type;
			return true;
		}
	}
	return false;
}

/* Walks all steps from `first` on below a schema. */
static bool walk(
        const struct attribute_source *source, const struct json *schema, size_t first, struct attribute *attribute)
{
	struct place place = resolve(source, schema);

	for (size_t i = first; i < attribute->n_steps; i++) {
		struct attribute_step *step = &attribute->steps[i];
		const struct json *member = json_get(place.members, step->name);
		if (!member)
			return false;
		step->lists = 0;
		place = enter_lists(source, member, step);
		attribute->through_list = attribute->through_list || step->lists;
	}
	return place_type(&place, &attribute->type);
}

static bool walk_customer(const struct attribute_source *source, struct attribute *attribute)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(customer_members); i++)
		known = known || str_is(attribute->steps[0].name, customer_members[i]);
	attribute->document = "c.doc";
	return known && walk(source, catalog_document(STR("customer.json")), 0, attribute);
}

static bool walk_document(
        const struct attribute_source *source, const char *kind, struct str id, struct attribute *attribute)
{
	char name[128];
	int n = snprintf(name, sizeof(name), "%s.%.*s.json", kind, STR_ARG(id));

	if (n < 0 || (size_t)n >= sizeof(name))
		return false;
	attribute->through_list = false;
	return walk(source, catalog_document((struct str){name, (size_t)n}), 1, attribute);
}

/* contextInfo depends on the event's context: the first context that has the attribute tells its type. */
static bool walk_event(const struct attribute_source *source, struct attribute *attribute)
{
	attribute->document = "e.body::jsonb";
	if (str_is(attribute->steps[0].name, "properties"))
		return walk_document(source, "event", source->event_type, attribute);
	if (!str_is(attribute->steps[0].name, "contextInfo"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(event_contexts); i++)
		if (walk_document(source, "context", event_contexts[i].id, attribute))
			return true;
	return false;
}

bool attribute_find(const struct attribute_source *source, struct str path, struct attribute *ret_attribute)
{
	*ret_attribute = (struct attribute){0};
	if (column_attribute(source, path, ret_attribute))
		return true;
	if (!split_path(path, ret_attribute) || (source->hide_password && str_is(path, "base.credential.password")))
		return false;
	return source->event_type.p ? walk_event(source, ret_attribute) : walk_customer(source, ret_attribute);
}

void attribute_add_path(struct sql *sql, const struct attribute *attribute, bool text)
{
	size_t first = sql_count(sql) + 1;

	for (size_t i = 0; i < attribute->n_steps; i++)
		sql_keep(sql, attribute->steps[i].name);
	sql_add(sql, "(");
	sql_add(sql, attribute->document);
	sql_add(sql, text ? " #>> " : " #> ");
	sql_add_slice(sql, first, sql_count(sql));
	sql_add(sql, ")");
}

/*
 * Microseconds of a date-time in any form that writes accept, NULL for everything else: the pattern keeps everything
 * from the cast that PostgreSQL would refuse (days that do not exist). Without a zone it is UTC.
 */
#define YEARS "([1-9]\\d{3}|0[1-9]\\d\\d|00[1-9]\\d|000[1-9])"
#define LEAP_YEARS "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][48]|[13579][26]|[2468]0)00)"
#define DAYS(years, leap_years)                                                                                        \
	"(" years "-((0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)|" leap_years   \
	"-02-29)"
#define CLOCK "([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,9})?)?"
#define ZONE(hours) "(Z|[+-](" hours ")(:?[0-5]\\d)?)?"
#define FORM(days, zone) "'^" days "(T" CLOCK zone ")?$'"
#define PLAIN_FORM FORM(DAYS(YEARS, LEAP_YEARS), ZONE("0\\d|1[0-4]"))
/* What is finer than a microsecond is dropped, as it is of values: PostgreSQL would round it up. Looked for only where
   a text is long enough: it takes as long as the rest. */
#define PLAIN_SECONDS                                                                                                  \
	"extract(epoch FROM (CASE WHEN length(t) > 26 THEN regexp_replace(t, '(\\.\\d{6})\\d+', '\\1') ELSE t END || " \
	"CASE WHEN t ~ 'T.*[Z+-]' THEN '' ELSE 'Z' END)::timestamptz)"
/* The year 0 and offsets of a day's length PostgreSQL does not read: such a time is read 400 years later, when days are
   the same, and in UTC, and then put where it belongs. */
#define RARE_FORM FORM(DAYS("\\d{4}", "(0000|" LEAP_YEARS ")"), ZONE("[01]\\d|2[0-3]"))
#define RARE_SECONDS                                                                                                   \
	"extract(epoch FROM (CASE WHEN t ~ '^0000' THEN '0400' ELSE left(t, 4) END || substring(t FROM "               \
	"'^\\d{4}(-\\d\\d-\\d\\d(?:T[\\d:]+(?:\\.\\d{1,6})?)?)') || 'Z')::timestamptz) "                               \
	"- CASE WHEN t ~ '^0000' THEN 146097::bigint * 86400 ELSE 0 END "                                              \
	"- COALESCE(substring(t FROM 'T[\\d:.]+([+-]\\d\\d)')::integer, 0) * 3600 "                                    \
	"- COALESCE((substring(t FROM 'T[\\d:.]+([+-])') || substring(t FROM 'T[\\d:.]+[+-]\\d\\d:?(\\d\\d)$'))"       \
	"::integer, 0) * 60"
/* OFFSET keeps PostgreSQL from looking the text up wherever it is named: the document may be large. */
#define MICROSECONDS                                                                                                   \
	"(SELECT CASE t ~ " PLAIN_FORM " WHEN true THEN " PLAIN_SECONDS " WHEN false THEN CASE WHEN t ~ " RARE_FORM    \
	" THEN " RARE_SECONDS " END END * 1000000 FROM (SELECT "
#define MICROSECONDS_END " OFFSET 0) AS given(t))"

void attribute_add_key(struct sql *sql, const struct attribute *attribute)
{
	if (attribute->column) {
		sql_add(sql, attribute->column);
	} else if (attribute->type == ATTRIBUTE_NUMBER) {
		attribute_add_path(sql, attribute, false);
	} else if (attribute->type == ATTRIBUTE_DATE_TIME) {
		sql_add(sql, MICROSECONDS);
		attribute_add_path(sql, attribute, true);
		sql_add(sql, MICROSECONDS_END);
	} else {
		sql_add(sql, "(");
		attribute_add_path(sql, attribute, true);
		sql_add(sql, " COLLATE \"C\")");
	}
}

void attribute_add_element_key(struct sql *sql, const struct attribute *attribute)
{
	if (attribute->type == ATTRIBUTE_NUMBER)
		sql_add(sql, "v");
	else if (attribute->type == ATTRIBUTE_DATE_TIME)
		sql_add(sql, MICROSECONDS "v #>> '{}'" MICROSECONDS_END);
	else
		sql_add(sql, "((v #>> '{}') COLLATE \"C\")");
}

void attribute_add_day(struct sql *sql, const struct attribute *attribute)
{
	sql_add(sql, "(left(");
	if (attribute->through_list)
		sql_add(sql, "v #>> '{}'");
	else
		attribute_add_path(sql, attribute, true);
	sql_add(sql, ", 10) COLLATE \"C\")");
}

struct str attribute_jsonpath(struct arena *arena, const struct attribute *attribute)
{
	struct buf path;

	buf_init(&path, arena, 64);
	buf_add_char(&path, '$');
	for (size_t i = 0; i < attribute->n_steps; i++) {
		buf_add_char(&path, '.');
		json_write_string(&path, attribute->steps[i].name);
		for (unsigned list = 0; list < attribute->steps[i].lists; list++)
			buf_add_literal(&path, "[*]");
	}
	return buf_str(&path);
}

struct str attribute_containment(struct arena *arena, const struct attribute *attribute, struct str value)
{
	struct buf text;

	buf_init(&text, arena, 64 + value.n);
	for (size_t i = 0; i < attribute->n_steps; i++) {
		buf_add_char(&text, '{');
		json_write_string(&text, attribute->steps[i].name);
		buf_add_char(&text, ':');
		for (unsigned list = 0; list < attribute->steps[i].lists; list++)
			buf_add_char(&text, '[');
	}
	buf_add_str(&text, value);
	for (size_t i = attribute->n_steps; i-- > 0;) {
		for (unsigned list = 0; list < attribute->steps[i].lists; list++)
			buf_add_char(&text, ']');
		buf_add_char(&text, '}');
	}
	return buf_str(&text);
}
