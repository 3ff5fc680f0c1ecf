#include "workers/bulk_processor/columns.h"

#include "common/arena.h"
#include "common/buf.h"

#define NAME_BYTES 255

/* What the header of an events' file may say; a path that ends with a dot stands for all that begin so. */
static const struct {
	struct str path;
	enum column_part part;
} event_columns[] = {
        {{"id", 2}, COLUMN_ID},
        {{"externalId", 10}, COLUMN_EXTERNAL_ID},
        {{"sessionId", 9}, COLUMN_SESSION_ID},
        {{"customerId", 10}, COLUMN_EVENT},
        {{"bringBackProperties.type", 24}, COLUMN_EVENT},
        {{"bringBackProperties.value", 25}, COLUMN_EVENT},
        {{"bringBackProperties.nodeId", 26}, COLUMN_EVENT},
        {{"type", 4}, COLUMN_EVENT},
        {{"context", 7}, COLUMN_EVENT},
        {{"date", 4}, COLUMN_EVENT},
        {{"properties", 10}, COLUMN_PROPERTIES},
        {{"properties.", 11}, COLUMN_PROPERTIES},
        {{"contextInfo", 11}, COLUMN_CONTEXT_INFO},
        {{"contextInfo.", 12}, COLUMN_CONTEXT_INFO},
        {{"tracking", 8}, COLUMN_TRACKING},
        {{"tracking.", 9}, COLUMN_TRACKING},
};

static struct str pointer_of(struct arena *arena, struct str path)
{
	struct str rest = path, name;
	struct buf pointer;

	buf_init(&pointer, arena, path.n + 16);
	while (str_split(&rest, '.', &name))
		json_pointer_add(&pointer, name);
	return buf_str(&pointer);
}

static bool read_event_column(struct column *column)
{
	for (size_t i = 0; i < ARRAY_LEN(event_columns); i++) {
		struct str known = event_columns[i].path;
		bool many = known.p[known.n - 1] == '.';
		if (!(many ? str_starts(column->path, known) && column->path.n > known.n : str_eq(column->path, known)))
			continue;
		column->part = event_columns[i].part;
		if (many)
			column->inner = (struct str){column->path.p + known.n, column->path.n - known.n};
		return true;
	}
	return false;
}

static bool unknown(const struct column *column, struct err *err)
{
	/* what spreadsheets write where a comma is part of a number */
	bool other = memchr(column->path.p, ';', column->path.n) || memchr(column->path.p, '\t', column->path.n);

	return err_set(err, ERR_INVALID, "the column %.*s names nothing that is known%s",
	        STR_ARG(str_utf8_cut(column->path, 100)), other ? ": commas separate cells" : "");
}

static bool read_column(struct columns *columns, struct column *column, struct str name, struct err *err)
{
	*column = (struct column){.path = arena_str(columns->arena, str_trim(name)), .part = COLUMN_CUSTOMER};
	if (!column->path.n)
		return err_set(err, ERR_INVALID, "a column of the header has no name");
	if (column->path.n > NAME_BYTES)
		return err_set(err, ERR_INVALID, "the name of a column is longer than %d bytes", NAME_BYTES);
	column->pointer = pointer_of(columns->arena, column->path);
	if (columns->entity == BULK_EVENT) {
		columns->has_type |= str_is(column->path, "type");
		return read_event_column(column) || unknown(column, err);
	}
	if (str_is(column->path, "id"))
		column->part = COLUMN_ID;
	return true;
}

/* True when `outer` is the path of something that holds what `inner` names, or the same. */
static bool holds(struct str outer, struct str inner)
{
	return str_starts(inner, outer) && (inner.n == outer.n || inner.p[outer.n] == '.');
}

static bool refuse(struct str outer, struct str inner, struct err *err)
{
	bool same = outer.n == inner.n;

	outer = str_utf8_cut(outer, 80);
	if (same)
		return err_set(err, ERR_INVALID, "the column %.*s is there twice", STR_ARG(outer));
	return err_set(err, ERR_INVALID, "the columns %.*s and %.*s exclude each other", STR_ARG(outer),
	        STR_ARG(str_utf8_cut(inner, 80)));
}

static bool check_distinct(const struct columns *columns, struct err *err)
{
	for (size_t i = 0; i < columns->n; i++)
		for (size_t j = 0; j < i; j++) {
			struct str a = columns->items[j].path, b = columns->items[i].path;
			if (holds(a, b))
				return refuse(a, b, err);
			if (holds(b, a))
				return refuse(b, a, err);
		}
	return true;
}

/* Paths whose schema is the same for all rows must be known. */
static bool check_known(struct columns *columns, const struct event_type *event_type, struct err *err)
{
	for (size_t i = 0; i < columns->n; i++) {
		enum column_part part = columns->items[i].part;
		bool same = part == COLUMN_CUSTOMER || part == COLUMN_TRACKING ||
		            (part == COLUMN_PROPERTIES && event_type && !columns->has_type);
		if (same && !column_types(columns, i, event_type, NULL))
			return unknown(&columns->items[i], err);
	}
	return true;
}

bool columns_read(struct arena *arena, struct schema_set *schemas, enum bulk_entity entity,
        const struct event_type *event_type, const struct csv_row *header, struct columns *ret_columns, struct err *err)
{
	*ret_columns = (struct columns){.arena = arena,
	        .schemas = schemas,
	        .entity = entity,
	        .items = arena_alloc(arena, (header->n_cells + 1) * sizeof(struct column))};
	for (size_t i = 0; i < header->n_cells; i++) {
		struct str name = header->cells[i].text;
		if (!str_is_utf8(name) || memchr(name.p, '\0', name.n))
			return err_set(err, ERR_INVALID, "the header is not UTF-8 text");
		if (!read_column(ret_columns, &ret_columns->items[ret_columns->n++], name, err))
			return false;
	}
	return check_distinct(ret_columns, err) && check_known(ret_columns, event_type, err);
}

/* --- types --- */

static const uint8_t *types_of_part(
        struct columns *columns, const struct schema_document *document, enum column_part part)
{
	uint8_t *types = arena_zalloc(columns->arena, columns->n + 1);

	for (size_t i = 0; i < columns->n; i++) {
		const struct column *column = &columns->items[i];
		if (column->part == part)
			types[i] = (uint8_t)schema_document_types(
			        document, part == COLUMN_CUSTOMER ? column->path : column->inner);
	}
	return types;
}

static const uint8_t *customer_types(struct columns *columns)
{
	if (!columns->customer) {
		struct schema_document document = schema_set_customer_document(columns->schemas);
		columns->customer = types_of_part(columns, &document, COLUMN_CUSTOMER);
	}
	return columns->customer;
}

static const uint8_t *tracking_types(struct columns *columns)
{
	if (!columns->tracking) {
		struct schema_document document = {.root = catalog_resolve(STR("common.json#/definitions/Tracking"))};
		columns->tracking = types_of_part(columns, &document, COLUMN_TRACKING);
	}
	return columns->tracking;
}

static const uint8_t *property_types(struct columns *columns, size_t type)
{
	if (!columns->events[type]) {
		struct schema_document document = schema_set_event_document(columns->schemas, type);
		columns->events[type] = types_of_part(columns, &document, COLUMN_PROPERTIES);
	}
	return columns->events[type];
}

static const uint8_t *context_types(struct columns *columns, size_t context)
{
	if (!columns->contexts[context]) {
		struct schema_document document = schema_set_context_document(columns->schemas, context);
		columns->contexts[context] = types_of_part(columns, &document, COLUMN_CONTEXT_INFO);
	}
	return columns->contexts[context];
}

unsigned column_types(
        struct columns *columns, size_t index, const struct event_type *type, const struct event_context *context)
{
	switch (columns->items[index].part) {
	case COLUMN_CUSTOMER:
		return customer_types(columns)[index];
	case COLUMN_TRACKING:
		return tracking_types(columns)[index];
	case COLUMN_PROPERTIES:
		return type ? property_types(columns, (size_t)(type - event_types))[index] : 0;
	case COLUMN_CONTEXT_INFO:
		return context ? context_types(columns, (size_t)(context - event_contexts))[index] : 0;
	case COLUMN_ID:
	case COLUMN_EXTERNAL_ID:
	case COLUMN_SESSION_ID:
	case COLUMN_EVENT:
		break;
	}
	return SCHEMA_STRING;
}

/* --- cells --- */

/* Text that is one JSON value of that type; NULL when it is not. */
static struct json *parse_as(struct arena *arena, struct str text, unsigned types, struct err *err)
{
	struct json *value = json_parse_sent(arena, text, err);

	return value && schema_type_of(value) & types ? value : NULL;
}

struct json *column_value(
        struct arena *arena, const struct csv_cell *cell, unsigned types, struct str pointer, struct problems *problems)
{
	struct str text = cell->text;
	struct json *value = NULL;
	struct err err = {0};

	if (!text.n)
		return NULL;
	if (!cell->quoted && str_is(text, "null"))
		return json_new(arena, JSON_NULL);
	if (types & SCHEMA_STRING || !types)
		return json_new_str(arena, text);
	if (types & SCHEMA_BOOLEAN && (str_eq_nocase(text, STR("true")) || str_eq_nocase(text, STR("false"))))
		return json_new_bool(arena, text.n == 4);
	value = parse_as(arena, text, types & ~SCHEMA_NULL, &err);
	if (value)
		return value;
	if (types & (SCHEMA_OBJECT | SCHEMA_ARRAY) && *err.message)
		problems_add(problems, pointer, "the cell must hold JSON: %s", err.message);
	return json_new_str(arena, text);
}
