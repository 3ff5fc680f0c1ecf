#include "common/event.h"

#include "common/arena.h"
#include "common/buf.h"

#include <endian.h>
#include <stdlib.h>

#define BODY_VERSION 1
#define BODY_HEADER_BYTES 12
#define FLAG_DATE 1

const char *event_bind_name(enum event_bind bind)
{
	switch (bind) {
	case EVENT_BIND_SESSION:
		return "SESSION_ID";
	case EVENT_BIND_EXTERNAL_ID:
		return "EXTERNAL_ID";
	case EVENT_BIND_NONE:
		break;
	}
	return NULL;
}

void event_body_encode(struct buf *buf, const struct event_body *body)
{
	uint64_t date = htole64((uint64_t)body->date_us);
	char *p = buf_reserve(buf, BODY_HEADER_BYTES);

	p[0] = BODY_VERSION;
	p[1] = body->has_date ? FLAG_DATE : 0;
	p[2] = (char)body->type.n;
	p[3] = (char)body->context.n;
	memcpy(p + 4, &date, sizeof(date));
	buf_add_str(buf, body->type);
	buf_add_str(buf, body->context);
	buf_add_str(buf, body->json);
}

bool event_body_decode(struct str text, struct event_body *ret_body, struct err *err)
{
	const unsigned char *p = (const unsigned char *)text.p;
	uint64_t date;

	if (text.n < BODY_HEADER_BYTES || p[0] != BODY_VERSION || p[1] & ~FLAG_DATE)
		return err_set(err, ERR_INVALID, "not the body of an event command (%zu bytes)", text.n);
	size_t names = (size_t)p[2] + p[3];
	if (text.n - BODY_HEADER_BYTES < names + 2 || text.p[BODY_HEADER_BYTES + names] != '{')
		return err_set(err, ERR_INVALID, "the body of an event command is cut off at %zu bytes", text.n);
	memcpy(&date, p + 4, sizeof(date));
	const char *type = text.p + BODY_HEADER_BYTES;
	*ret_body = (struct event_body){
	        .type = {type, p[2]},
	        .context = {type + p[2], p[3]},
	        .has_date = p[1] & FLAG_DATE,
	        .date_us = (int64_t)le64toh(date),
	        .json = {type + names, text.n - BODY_HEADER_BYTES - names},
	};
	return true;
}

static void write_part(struct buf *buf, const struct json *part, struct str otherwise)
{
	if (json_is_null(part))
		buf_add_str(buf, otherwise);
	else
		json_write(buf, part);
}

void event_json_write(
        struct buf *buf, const struct json *properties, const struct json *context_info, const struct json *tracking)
{
	buf_add_literal(buf, "{\"properties\":");
	write_part(buf, properties, STR("{}"));
	buf_add_literal(buf, ",\"contextInfo\":");
	write_part(buf, context_info, STR("{}"));
	buf_add_literal(buf, ",\"tracking\":");
	write_part(buf, tracking, STR("null"));
	buf_add_char(buf, '}');
}

/* A copy of what was sent as a whole: nulls inside it remove nothing, so they are left out. */
static struct json *without_nulls(struct arena *arena, const struct json *value)
{
	if (!json_is(value, JSON_OBJECT))
		return json_copy(arena, value, false);
	struct json *object = json_new(arena, JSON_OBJECT);
	for
		json_each(member, value) if (!json_is_null(member))
		        json_add(object, member->key, without_nulls(arena, member));
	return object;
}

/* A member of a patch. */
struct change {
	const struct json *value;
	bool done;
};

static int by_key(const void *a, const void *b)
{
	return str_compare(((const struct change *)a)->value->key, ((const struct change *)b)->value->key);
}

/* Sorted: objects may have some thousand members, which would be looked through for each other. */
static struct change *sort_changes(struct arena *arena, const struct json *patch)
{
	struct change *changes = arena_alloc(arena, (patch->count + 1) * sizeof(*changes));
	size_t n = 0;

	for
		json_each(member, patch) changes[n++] = (struct change){.value = member};
	qsort(changes, n, sizeof(*changes), by_key);
	return changes;
}

static struct change *find_change(struct change *changes, size_t n, struct str key)
{
	struct json named = {.key = key};

	return bsearch(&(struct change){.value = &named}, changes, n, sizeof(*changes), by_key);
}

/* The target's members, those of the patch in their places, and what is new behind them. */
static struct json *merge_objects(struct arena *arena, struct json *target, const struct json *patch)
{
	struct change *changes = sort_changes(arena, patch), *change;
	struct json *merged = json_new(arena, JSON_OBJECT);

	for (struct json *member = target->first, *next; member; member = next) {
		next = member->next;
		change = find_change(changes, patch->count, member->key);
		if (change)
			change->done = true;
		if (!change)
			json_add(merged, member->key, member);
		else if (json_is(change->value, JSON_OBJECT) && json_is(member, JSON_OBJECT))
			json_add(merged, member->key, merge_objects(arena, member, change->value));
		else if (!json_is_null(change->value))
			json_add(merged, member->key, without_nulls(arena, change->value));
	}
	for
		json_each(member,
		        patch) if (!json_is_null(member) && !find_change(changes, patch->count, member->key)->done)
		        json_add(merged, member->key, without_nulls(arena, member));
	return merged;
}

static struct json *parse_object(struct arena *arena, struct str text, struct err *err)
{
	struct json *value = json_parse(arena, text, err);

	if (value && value->type != JSON_OBJECT) {
		err_set(err, ERR_INVALID, "the JSON of an event is no object");
		return NULL;
	}
	return value;
}

/* The trees are in the scratch arena. */
static struct str merge(
        struct arena *arena, struct arena *scratch, struct str stored, struct str patch, struct err *err)
{
	struct json *event = parse_object(scratch, stored, err);
	struct json *change = event ? parse_object(scratch, patch, err) : NULL;
	struct buf buf;

	if (!change)
		return STR_NONE;
	event = merge_objects(scratch, event, change);
	buf_init(&buf, arena, stored.n + patch.n + 64);
	event_json_write(&buf, json_member(event, "properties"), json_member(event, "contextInfo"),
	        json_member(event, "tracking"));
	return buf_str(&buf);
}

/* Trees are many times as large as their texts: those of a batch of patches of large events would fill all memory. */
struct str event_json_merge(struct arena *arena, struct str stored, struct str patch, struct err *err)
{
	/* trees of both, and what is made of them */
	size_t most = 2 * JSON_BYTES_PER_TEXT_BYTE * (stored.n + patch.n) + 16 * 1024;
	struct arena *scratch = arena_new(most);
	struct str merged = merge(arena, scratch, stored, patch, err);

	arena_free(scratch);
	return merged;
}

bool event_json_equal(struct str a, struct str b)
{
	struct arena *scratch;
	struct err err = {0};

	if (str_eq(a, b))
		return true;
	scratch = arena_new(JSON_BYTES_PER_TEXT_BYTE * (a.n + b.n) + 16 * 1024);
	const struct json *left = json_parse(scratch, a, &err), *right = left ? json_parse(scratch, b, &err) : NULL;
	bool equal = right && json_equal(left, right);
	arena_free(scratch);
	return equal;
}

void event_row_read(const PGresult *result, int row, int first, struct event_row *ret_event)
{
	*ret_event = (struct event_row){
	        .id = db_uuid(result, row, first),
	        .node = db_uuid(result, row, first + 1),
	        .has_customer = !db_is_null(result, row, first + 2),
	        .customer = db_uuid(result, row, first + 2),
	        .registered_us = db_i64(result, row, first + 3),
	        .updated_us = db_i64(result, row, first + 4),
	        .date_us = db_i64(result, row, first + 5),
	        .version = db_i64(result, row, first + 6),
	        .bind = db_is_null(result, row, first + 7) ? EVENT_BIND_NONE
	                                                   : (enum event_bind)db_i64(result, row, first + 7),
	        .type = db_text(result, row, first + 8),
	        .context = db_text(result, row, first + 9),
	        .bind_value = db_text(result, row, first + 10),
	        .json = db_text(result, row, first + 11),
	};
}

static void write_string_or_null(struct buf *buf, struct str s)
{
	if (s.p)
		json_write_string(buf, s);
	else
		buf_add_literal(buf, "null");
}

static void write_bring_back(struct buf *buf, const struct event_row *event)
{
	const char *name = event_bind_name(event->bind);

	if (!name) {
		buf_add_literal(buf, "null");
		return;
	}
	buf_add_literal(buf, "{\"type\":\"");
	buf_add_str(buf, str_of(name));
	buf_add_literal(buf, "\",\"value\":");
	json_write_string(buf, event->bind_value);
	buf_add_literal(buf, ",\"nodeId\":");
	json_write_uuid(buf, &event->node);
	buf_add_char(buf, '}');
}

static void write_times(struct buf *buf, const struct event_row *event)
{
	buf_add_literal(buf, ",\"date\":");
	json_write_time(buf, event->date_us);
	buf_add_literal(buf, ",\"origin\":\"");
	buf_add_str(buf, event->duplicate ? STR("DUPLICATE") : STR("NATIVE"));
	buf_add_literal(buf, "\",\"registeredAt\":");
	json_write_time(buf, event->registered_us);
	buf_add_literal(buf, ",\"updatedAt\":");
	if (event->version > 1)
		json_write_time(buf, event->updated_us);
	else
		buf_add_literal(buf, "null");
	buf_add_literal(buf, ",\"version\":");
	buf_add_number(buf, event->version);
}

void event_render(struct buf *buf, const struct event_row *event, const struct event_neighbours *neighbours)
{
	buf_add_literal(buf, "{\"id\":");
	json_write_uuid(buf, &event->id);
	buf_add_literal(buf, ",\"customerId\":");
	if (event->has_customer)
		json_write_uuid(buf, &event->customer);
	else
		buf_add_literal(buf, "null");
	buf_add_literal(buf, ",\"bringBackProperties\":");
	write_bring_back(buf, event);
	buf_add_literal(buf, ",\"type\":");
	json_write_string(buf, event->type);
	buf_add_literal(buf, ",\"context\":");
	json_write_string(buf, event->context);
	write_times(buf, event);
	if (neighbours) {
		buf_add_literal(buf, ",\"prev\":");
		write_string_or_null(buf, neighbours->prev);
		buf_add_literal(buf, ",\"next\":");
		write_string_or_null(buf, neighbours->next);
	}
	/* the stored object without its first brace: properties, contextInfo, tracking, and the end */
	buf_add_char(buf, ',');
	buf_add(buf, event->json.p + 1, event->json.n - 1);
}
